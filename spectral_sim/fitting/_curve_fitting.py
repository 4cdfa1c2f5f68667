"""The fit of loss curves: starts, search, the exponent of the noise, errors, and published laws beside it."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from .._version import __version__
from .._wording import option
from ._curve import Curve, check_curves, check_hold_out
from ._curve_baselines import BASELINES, fit_baseline, predict_baseline
from ._curve_errors import CurveScore, flat_directions, score_curve, spread
from ._curve_fit import LAW, CurveFit
from ._curve_grid import curve_batch, thinned
from ._curve_model import NAMES, CurveLaw
from ._curve_prediction import Reach, padded, predict_batch
from ._curve_search import CurveSearch, Found, screen
from ._curve_tape import Tape
from ._curve_validation import Validation, choose_exponent, validate

_COARSE, _FINE = 32, 400  # most points of a curve while searching, and in the end
_SCREENED, _STARTS, _FIRST, _MOST = 48, 3, 30, 50  # points screened, searches begun, evaluations at first and later


def fit_curves(
    curves: Mapping[str, Curve],
    *,
    hold_out: Any = (),
    noise_exponent: float | str = "auto",
    intervals: float = 0.9,
    max_mode: float = 1e8,
    nodes: int = 64,
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> CurveFit:
    """Fit SGD on a power-law spectrum to loss curves of known learning rates.

    The loss is that of `SGDMoments` with full gradients and label noise on a `power_law`: exponents alpha and beta, an
    eigenvalue scale, an energy scale, a floor, and a noise whose strength goes with a power of the rate. The parameters
    minimise the Huber loss (1e-3) of the log loss over all points of the fitted curves.

    Use double precision (`jax.config.update("jax_enable_x64", True)`): in single precision the search stops early.

    Arguments:
        curves: `Curve` by name. Two or more, under different rates, or little can be predicted.
        hold_out: names of curves that are predicted and scored, and used for nothing else.
        noise_exponent: power of the rate that the strength of the noise goes with; "auto" takes the one that predicts
            each fitted curve best from the others, 0 for one curve.
        intervals: coverage that intervals of predictions aim at.
        max_mode: number of modes.
        nodes: quadrature nodes that stand for them.
        seed: of the starts.
        checkpoint: path of a .npz file that keeps what each search of the fit has found. A fit that finds one of its
            own goes on from it, to the same result.
        progress: called with a line of text at each stage of the fit.

    Returns:
        A `CurveFit`.

    Raises:
        ValueError: curves that cannot be fitted, clashing or unknown names, a checkpoint of another fit.
    """
    curves = check_curves(curves)
    held = check_hold_out(hold_out, curves)
    given = isinstance(noise_exponent, int | float | np.number) and np.isfinite(noise_exponent)
    if not given and not (isinstance(noise_exponent, str) and noise_exponent == "auto"):
        raise ValueError(f"noise_exponent is {noise_exponent!r}: give 'auto' or a finite number.")
    if not 0 < intervals < 1:
        raise ValueError(f"intervals is {intervals:.6g}: give a coverage between 0 and 1.")
    tell = progress or (lambda line: None)
    fitted = {name: curve for name, curve in curves.items() if name not in held}
    reach = Reach.of(list(fitted.values()))
    reference = reach.batch_sizes[0] if reach.batch_sizes else None
    for name in held if len(reach.batch_sizes) == 1 else ():
        if curves[name].batch_size != reference:
            raise ValueError(
                f"{option('hold_out')} names {name!r} of batch size {curves[name].batch_size:g}, but all fitted curves "
                f"have {reference:g}: batch size cannot be predicted from curves of one batch size; fit one of another."
            )
    lowest = min(float(curve.loss.min()) for curve in fitted.values())
    law = CurveLaw(reach.peak, lowest, float(max_mode), int(nodes))

    coarse = [thinned(curve, _COARSE) for curve in fitted.values()]
    tell(f"screening {_SCREENED} starts")
    double = bool(jax.config.jax_enable_x64)  # pyright: ignore[reportAttributeAccessIssue]
    tape = Tape(checkpoint, (fitted, noise_exponent, float(max_mode), int(nodes), seed, double, __version__))
    search = CurveSearch(law, curve_batch(coarse, reach.peak, reference), tape)
    best = _search(search, tape.take(lambda: screen(law, search.batch, seed, _SCREENED)), tell)
    validation, exponents = None, {}
    if noise_exponent != "auto":
        exponent = float(noise_exponent)
        validation = validate(search, best.point, exponent) if len(fitted) > 1 else None
    elif len(fitted) > 1:
        tell("choosing the exponent of the noise by cross-validation")
        validation, exponents = choose_exponent(search, best)
        exponent = validation.exponent
    else:
        exponent = 0.0

    tell("fitting all points")
    start = best.point if validation is None else validation.start
    # a coarse search is quick, so it goes on until it can do no better
    start = search.run(start, exponent=exponent, most=_MOST).point
    fine = CurveSearch(law, curve_batch([thinned(c, _FINE) for c in fitted.values()], reach.peak, reference), tape)
    found = fine.run(start, exponent=exponent, most=_MOST)
    errors, slopes = fine.evaluate(found.point)
    # an exponent that was chosen is uncertain too; one that was given is not
    free = np.array([name != "noise_exponent" or noise_exponent == "auto" for name in NAMES])
    errors_of = spread(errors, slopes, fine.batch.mask, free)
    wider = 1.0 if validation is None else validation.inflation
    covariance, residual = errors_of.covariance * wider, errors_of.residual * np.sqrt(wider)

    tell("fitting the published laws")
    few = dict(zip(fitted, coarse, strict=True))
    scores = {LAW: _scores(law, found.point, covariance, residual, intervals, curves, reach, reference)}
    validated = {} if validation is None else {LAW: validation.mean_error}
    for name, baseline in BASELINES.items():
        parameters = tape.take(lambda law=baseline: fit_baseline(law, list(fitted.values()), reach.peak, lowest))
        predicted = predict_baseline(baseline, parameters, curves, reach.peak, lowest)
        scores[name] = {key: score_curve(predicted[key], curve.loss) for key, curve in curves.items()}
        if len(fitted) > 1:
            validated[name] = float(tape.take(lambda law=baseline: _validated(law, few, reach.peak)))
    return CurveFit(
        curves=curves,
        hold_out=held,
        law=law,
        point=found.point,
        covariance=covariance,
        residual=float(residual),
        level=float(intervals),
        scores=scores,
        cross_validation=validated,
        exponents=exponents,
        converged=found.converged,
        warnings=_warnings(fitted, reach, found, errors_of.residual, errors_of.covariance, validation, validated),
    )


def _search(search: CurveSearch, starts: np.ndarray, tell: Callable[[str], None]) -> Found:
    """The best of several short searches, continued."""
    if len(starts) == 0:
        raise ValueError("the law fails at every start: check learning_rate and loss of the curves for wrong units.")
    tell("searching from the best starts")
    found = [search.run(start, most=_FIRST) for start in starts[:_STARTS]]
    return min(found, key=lambda each: each.cost)


def _scores(law, point, covariance, residual, level, curves, reach, reference) -> dict[str, CurveScore]:
    batch = padded(curve_batch(list(curves.values()), reach.peak, reference))
    predicted = zip(*predict_batch(law, point, covariance, residual, level, batch), strict=True)
    return {
        name: score_curve(middle[: curve.loss.size], curve.loss, low[: curve.loss.size], high[: curve.loss.size])
        for (name, curve), (middle, low, high) in zip(curves.items(), predicted, strict=True)
    }


def _validated(baseline, coarse: dict[str, Curve], peak: float) -> float:
    """Mean absolute error of the log loss on each curve, predicted from the others."""
    errors = []
    for name, curve in coarse.items():
        others = [other for key, other in coarse.items() if key != name]
        lowest = min(float(other.loss.min()) for other in others)
        parameters = fit_baseline(baseline, others, peak, lowest)
        predicted = predict_baseline(baseline, parameters, {name: curve}, peak, lowest)[name]
        errors.append(np.mean(np.abs(np.log(np.maximum(predicted, 1e-12) / curve.loss))))
    return float(np.mean(errors))


def _warnings(
    fitted: dict[str, Curve],
    reach: Reach,
    found: Found,
    residual: float,
    covariance: np.ndarray,
    validation: Validation | None,
    validated: dict[str, float],
) -> tuple[str, ...]:
    notes = []
    if not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        notes.append("the fit ran in single precision, where searches stop early: enable double precision")
    if not found.converged:
        notes.append(
            f"the search stopped after {found.evaluations} evaluations before it had converged; residuals of the log "
            f"loss have a standard deviation of {residual:.2g}"
        )
    if len(fitted) == 1:
        notes.append("one curve only: noise and decay cannot be told apart, and other schedules are a guess")
    if len(reach.batch_sizes) < 2:
        notes.append("batch size cannot be predicted from curves of one batch size")
    rates = [curve.learning_rate[: curve.steps[-1]] for curve in fitted.values()]
    after = np.concatenate([each[int(np.argmax(each)) :] for each in rates])
    if np.ptp(after) <= 1e-6 * reach.peak:
        notes.append(
            "the rate never changes after its peak: the noise cannot be told from the floor; add a decayed run"
        )
    notes += [f"the curves leave open {direction}" for direction in flat_directions(covariance)]
    if validated:
        best = min(validated, key=lambda name: validated[name])
        if best != LAW:
            notes.append(
                f"the {best} predicts left-out curves better: error {validated[best]:.2g} of the log loss, and "
                f"{validated[LAW]:.2g} for the spectral law"
            )
    if validation is not None and validation.inflation > 1.5:
        notes.append(
            f"left-out curves were missed by {np.sqrt(validation.inflation):.2g} times what the scatter explains: the "
            "law is not exact here, and intervals are as much wider"
        )
    return tuple(notes)
