"""Cross-validation over the fitted curves: the exponent of the noise, and how much wider intervals must be."""

from dataclasses import dataclass

import numpy as np

from ._curve_errors import spread, spread_of_loss
from ._curve_model import NAMES
from ._curve_search import CurveSearch, Found

_STEP, _LEAST, _LARGEST = 0.25, -1.0, 2.0  # grid of exponents
_MOST = 40  # evaluations for each fit


@dataclass(frozen=True)
class Validation:
    """Each curve predicted from the others, at one exponent of the noise.

    Arguments:
        exponent: of the noise.
        errors: root mean square error of the log loss on each curve that was left out, shape (curves,).
        mean_error: mean over the curves of the mean absolute error.
        inflation: mean square of those errors over what the intervals expected; at least 1.
        start: parameters fitted to all curves at this exponent, shape (7,).
        cost: Huber loss of that fit.
    """

    exponent: float
    errors: np.ndarray
    mean_error: float
    inflation: float
    start: np.ndarray
    cost: float

    @property
    def error(self) -> float:
        """Mean over the curves."""
        return float(np.mean(self.errors))


def validate(search: CurveSearch, start: np.ndarray, exponent: float) -> Validation:
    """Leave out each curve in turn at one exponent of the noise."""
    curves = len(search.batch.mask)
    found = search.run(start, exponent=exponent, most=_MOST)
    whole = found.point
    free = np.array([name != "noise_exponent" for name in NAMES])
    errors, sizes, ratios = [], [], []
    for n in range(curves):
        keep = np.arange(curves) != n
        point = search.run(whole, keep=keep, exponent=exponent, most=_MOST).point
        error, slope = search.evaluate(point)
        measured = search.batch.mask[n] > 0
        errors_of = spread(error[keep], slope[keep], search.batch.mask[keep], free)
        expected = spread_of_loss(errors_of, slope[n][measured])
        errors.append(np.sqrt(np.mean(error[n][measured] ** 2)))
        sizes.append(np.mean(np.abs(error[n][measured])))
        ratios.append(np.mean((error[n][measured] / expected) ** 2))
    return Validation(
        exponent, np.array(errors), float(np.mean(sizes)), max(1.0, float(np.mean(ratios))), whole, found.cost
    )


def choose_exponent(search: CurveSearch, found: Found) -> tuple[Validation, dict[float, float]]:
    """The exponent of the noise, on a grid of quarters, by cross-validation over the curves.

    The grid is walked downhill from the exponent of the fit. A handful of curves cannot tell exponents apart whose
    errors differ by less than the standard error of their mean; of those the one is taken that fits all curves best.

    Returns:
        The validation of the chosen exponent, and the error of each exponent that was tried.
    """
    tried: dict[float, Validation] = {}

    def at(exponent: float, start: np.ndarray) -> Validation:
        if exponent not in tried:
            tried[exponent] = validate(search, start, exponent)
        return tried[exponent]

    nearest = _STEP * round(float(found.point[NAMES.index("noise_exponent")]) / _STEP)
    best = at(float(np.clip(nearest, _LEAST, _LARGEST)), found.point)
    for side in (-_STEP, _STEP):
        while _LEAST <= best.exponent + side <= _LARGEST:
            further = at(best.exponent + side, best.start)
            if further.error >= best.error:
                break
            best = further
    margin = float(np.std(best.errors, ddof=1) / np.sqrt(len(best.errors)))
    level = [each for each in tried.values() if each.error <= best.error + margin]
    chosen = min(level, key=lambda each: each.cost)
    return chosen, {exponent: tried[exponent].error for exponent in sorted(tried)}
