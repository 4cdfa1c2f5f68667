"""Published laws of loss curves, fitted beside ours: a power law, a momentum law and the multi-power law."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from ._curve import Curve
from ._curve_grid import refine, thinned
from ._curve_search import HUBER

_COARSE = 32  # most points of a curve while starts are compared
_MEMORY = 0.999  # of the momentum law, as published


@dataclass(frozen=True)
class Baseline:
    """A law in closed form.

    Arguments:
        loss: (parameters, features, lowest) -> losses, shape (points,).
        starts: parameters on the real line to start from.
    """

    loss: Callable[[np.ndarray, "_Features", float], np.ndarray]
    starts: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class _Features:
    """What the laws see of a curve, in units of the peak rate: sums of rates up to each loss, and drops of the rate.

    Arguments:
        area: sum of rates before each loss, shape (points,).
        momentum: sum of drops, each remembered for a while, shape (points,).
        drop: drop of the rate between neighbouring intervals, shape (drops,).
        since: sum of rates since each drop, shape (points, drops); 0 before it.
        rate: rate after each drop, shape (drops,).
    """

    area: np.ndarray
    momentum: np.ndarray
    drop: np.ndarray
    since: np.ndarray
    rate: np.ndarray


def _features(curve: Curve, peak: float) -> _Features:
    last = int(curve.steps[-1])
    rates = curve.learning_rate[:last] / peak
    warm = int(np.argmax(rates >= rates.max() * (1 - 1e-9)))  # changes during a warm-up are no drops
    total = np.concatenate([[0.0], np.cumsum(rates)])
    change = np.concatenate([[0.0], -np.diff(rates)])
    change[: warm + 1] = 0
    # each drop decays by _MEMORY a step; the law sums what is left of them over all steps
    momentum = np.cumsum(scipy.signal.lfilter([1.0], [1.0, -_MEMORY], change))
    grid, held = refine(curve.steps, curve.learning_rate, peak)
    held, begins = held / peak, grid[:-1]
    late = begins[1:] > warm
    drop, at, rate = -np.diff(held)[late], begins[1:][late], held[1:][late]
    since = np.maximum(total[curve.steps][:, None] - total[at], 0.0)
    moved = np.abs(drop) > 0
    return _Features(
        total[curve.steps],
        np.concatenate([[0.0], momentum])[curve.steps],
        drop[moved],
        since[:, moved],
        np.maximum(rate[moved], 1e-12),
    )


def _floor(value: float, lowest: float) -> float:
    return lowest / (1 + np.exp(-value))


def _power(p, seen, lowest):
    return _floor(p[0], lowest) + np.exp(p[1]) * (seen.area / 1e3 + 1e-9) ** -np.exp(p[2])


def _momentum(p, seen, lowest):
    return _power(p, seen, lowest) - np.exp(p[3]) * seen.momentum / 1e3


def _multi_power(p, seen, lowest):
    scale, exponent, inner = np.exp(np.clip(p[4:7], -20, 20))
    with np.errstate(over="ignore"):  # a rate that drops to nothing has a gain of one at once
        speed = np.minimum(scale * seen.rate**-inner, 1e100)
    gain = -np.expm1(-exponent * np.log1p(speed * seen.since / 1e3))
    return _power(p, seen, lowest) - np.exp(p[3]) * (gain @ seen.drop)


BASELINES: dict[str, Baseline] = {
    "power law": Baseline(_power, ((1.5, 0.0, -0.7), (2.5, 0.0, -0.7))),
    "momentum law": Baseline(_momentum, ((1.5, 0.0, -0.7, -2.0), (2.5, 0.0, -0.7, -2.0))),
    "multi-power law": Baseline(
        _multi_power,
        tuple(
            (2.3, 0.0, -0.7, -1.2, scale, exponent, inner)
            for scale in (0.0, 2.0)
            for exponent, inner in ((-0.7, -0.7), (0.0, -2.0), (-1.2, -0.3))
        ),
    ),
}


def fit_baseline(baseline: Baseline, curves: Sequence[Curve], peak: float, lowest: float) -> np.ndarray:
    """Parameters on the real line of least Huber loss of the log loss: starts are compared on few points."""
    few = _measured([thinned(curve, _COARSE) for curve in curves], peak)
    found = [_minimum(baseline, np.array(start), few, lowest, 200) for start in baseline.starts]
    best = min(found, key=lambda result: result.cost)
    return _minimum(baseline, best.x, _measured(curves, peak), lowest, 200).x


def _measured(curves: Sequence[Curve], peak: float) -> tuple[list[_Features], np.ndarray]:
    """What the laws see of curves, and the log losses of all, one after the other."""
    return [_features(curve, peak) for curve in curves], np.concatenate([np.log(curve.loss) for curve in curves])


def _minimum(
    baseline: Baseline, start: np.ndarray, curves: tuple[list[_Features], np.ndarray], lowest: float, most: int
) -> Any:
    seen, measured = curves

    def errors(p):
        with np.errstate(all="ignore"):
            loss = np.concatenate([baseline.loss(p, part, lowest) for part in seen])
            value = np.log(np.maximum(loss, 1e-3)) - measured
        return np.where(np.isfinite(value), value, 10.0)

    return scipy.optimize.least_squares(errors, start, loss="huber", f_scale=HUBER, x_scale="jac", max_nfev=most)


def predict_baseline(
    baseline: Baseline, parameters: np.ndarray, curves: Mapping[str, Curve], peak: float, lowest: float
) -> dict[str, np.ndarray]:
    """Losses of curves by name, at their steps."""
    return {name: baseline.loss(parameters, _features(curve, peak), lowest) for name, curve in curves.items()}
