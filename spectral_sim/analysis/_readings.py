"""Numbers read off a loss curve, by one implementation for single curves on the host and for batches inside jit.

Each function computes with the array library that its losses come from, NumPy or JAX. Times are constants, so that what
depends on them alone is computed in NumPy and float64. Nothing is checked here: a number that does not exist is NaN.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from ._curve import inside

Values = Any  # an array of NumPy or of JAX


class LineFit(NamedTuple):
    """A least-squares line log L = level - exponent (log t - centre); level and exponent have independent errors.

    Arguments:
        exponent: minus the slope.
        stderr: the scatter about the line, and half the change of the slope from the first half to the second, added in
            squares.
        drift: range of the local slope of a cubic, relative to the slope.
        r2: share of the variance of log L that the line explains; 0 for a flat curve.
        centre: mean log t of the points.
        level: log L on the line there.
        level_stderr: its standard error.
    """

    exponent: Any
    stderr: Any
    drift: Any
    r2: Any
    centre: float
    level: Any
    level_stderr: Any


def line_fit(times: np.ndarray, loss: Values, window: tuple[float, float]) -> LineFit:
    """Fit a line to log loss against log time on the points that lie in a window.

    Arguments:
        times: refresh grid, shape (times,).
        loss: losses there, positive.
        window: first and last time of the points, both included.
    """
    rows = np.flatnonzero(inside(times, window))
    xp = _library(loss)
    x = np.log(times[rows])
    centre = x.mean()
    y = xp.log(loss[rows])
    level = xp.mean(y)
    deviation = y - level  # small numbers: float32 keeps their digits
    half = (x.size + 1) // 2
    fitted = lambda x, y: _dot(_slope_weights(x), y)
    slope = fitted(x, deviation)
    bend = fitted(x[x.size // 2 :], deviation[x.size // 2 :]) - fitted(x[:half], deviation[:half])
    misfit = xp.sum((deviation - slope * (x - centre).astype(loss.dtype)) ** 2)
    total = xp.sum(deviation**2)
    # n - 4, not n - 2: the error in units of its estimate follows Student's t, whose variance is (n - 2) / (n - 4).
    scatter = misfit / (x.size - 4)
    with np.errstate(divide="ignore", invalid="ignore"):
        drift = _drift(x, deviation) / xp.abs(slope)
    return LineFit(
        exponent=-slope,
        stderr=xp.sqrt(scatter / float(np.sum((x - centre) ** 2)) + (bend / 2) ** 2),
        drift=drift,
        r2=xp.where(total > 0, 1 - misfit / xp.where(total > 0, total, 1), 0),
        centre=float(centre),
        level=level,
        level_stderr=xp.sqrt(scatter / x.size),
    )


def _library(values: Any) -> Any:
    return values.__array_namespace__()


def _dot(weights: np.ndarray, values: Values) -> Values:
    # a product and a sum, not a matrix product, whose order of summation would depend on how rows are batched
    xp = _library(values)
    return xp.sum(xp.asarray(weights, dtype=values.dtype) * values, axis=-1)


def _slope_weights(x: np.ndarray) -> np.ndarray:
    """The slope of a least-squares line is linear in the values; these are its coefficients."""
    centred = x - x.mean()
    return centred / (centred @ centred)


def _drift(x: np.ndarray, y: Values) -> Values:
    """Range of the local slope of a least-squares cubic over the points."""
    half = (x[-1] - x[0]) / 2
    u = (x - x[0]) / half - 1
    linear, square, cube = (_dot(row, y) for row in np.linalg.pinv(u[:, None] ** np.arange(4))[1:])
    return slope_range(linear, square, cube, -1.0, 1.0) / half


def slope_range(linear: Values, square: Values, cube: Values, low: Any, high: Any) -> Values:
    """Range of the slope of linear u + square u^2 + cube u^3 on [low, high]: extreme at the ends or at its vertex."""
    xp = _library(cube)
    slope = lambda u: linear + 2 * square * u + 3 * cube * u**2
    vertex = xp.where(cube == 0, low, xp.clip(-square / (3 * xp.where(cube == 0, 1, cube)), low, high))
    local = xp.stack([slope(low), slope(high), slope(vertex)])
    return xp.max(local, axis=0) - xp.min(local, axis=0)


def meeting(first: LineFit, last: LineFit) -> tuple[Values, Values]:
    """The log time at which two lines meet, and its standard error, to first order in theirs.

    Arguments:
        first: the line of the early times.
        last: the line of the late times.
    """
    xp = _library(last.level)
    change = first.exponent - last.exponent
    offset = first.level + first.exponent * first.centre - last.level - last.exponent * last.centre
    with np.errstate(divide="ignore", invalid="ignore"):
        log_time = offset / change
        errors = [xp.hypot(fit.level_stderr, fit.stderr * (log_time - fit.centre)) for fit in (first, last)]
        return log_time, xp.hypot(*errors) / xp.abs(change)


def crossing_times(times: np.ndarray, loss: Values, targets: Values) -> Values:
    """Find the first time at or below each target; 0 where the first loss is already there, infinite where none is.

    Between refreshes the curve is straight in log-log, and log L linear in t on an interval that starts at time 0. A
    target equal to a loss on the grid gives that very time.

    Arguments:
        times: refresh grid, shape (times,).
        loss: losses there, shape (..., times).
        targets: losses to be reached, shape (..., targets).
    """
    xp = _library(loss)
    loss = xp.where(xp.isnan(loss), xp.inf, loss)
    end = _first_at_or_below(loss, targets)
    inner = xp.clip(end, 1, loss.shape[0] - 1)
    before, after = loss[inner - 1], loss[inner]
    start, stop = (xp.asarray(part, dtype=loss.dtype)[inner - 1] for part in (times[:-1], times[1:]))
    shortest = np.finfo(np.float32).tiny  # in place of a start at 0, whose logarithm is not used
    span = xp.asarray(np.log(times[1:] / np.maximum(times[:-1], shortest)), dtype=loss.dtype)[inner - 1]
    smooth = (end > 0) & (end < loss.shape[0]) & xp.isfinite(before) & (after > 0)
    safe = lambda x: xp.where(smooth, x, 1)
    # how far before the end of its interval the crossing lies: 0 at the end, also of one that is flat within rounding
    drop = xp.log(safe(before) / safe(after))
    part = xp.where(smooth & (drop > 0), xp.log(safe(targets) / safe(after)) / xp.where(drop > 0, drop, 1), 0)
    reached = xp.where(start > 0, stop * xp.exp(-part * span), stop * (1 - part))
    return xp.where(end == 0, 0, xp.where(end < loss.shape[0], reached, xp.inf))


def _first_at_or_below(loss: Values, targets: Values) -> Values:
    """Index of the first entry at or below each target; the length of the curve if there is none."""
    if isinstance(loss, np.ndarray):
        return np.searchsorted(-np.minimum.accumulate(loss), -targets)
    # comparing with every entry vectorises, which pays for a few targets
    method = "compare_all" if targets.size <= 8 else "scan_unrolled"
    return jax.numpy.searchsorted(-jax.lax.cummin(loss), -targets, method=method)


def interpolated(times: np.ndarray, loss: Values, at: np.ndarray) -> Values:
    """Read the loss between refreshes, on the curve that `crossing_times` assumes.

    Arguments:
        times: refresh grid, shape (times,).
        loss: losses there, shape (..., times).
        at: times to read the curve at.
    """
    xp = _library(loss)
    after = np.clip(np.searchsorted(times, at), 1, times.size - 1)
    start, stop = times[after - 1], times[after]
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithmic = np.log(at / start) / np.log(stop / start)
        part = np.where(start > 0, logarithmic, at / stop)
        before, later = loss[after - 1], loss[after]
        between = before * (later / before) ** xp.asarray(part, dtype=loss.dtype)
    # on the grid the very loss: powers would round it
    return xp.where(part == 1, later, xp.where(part == 0, before, between))


class Race(NamedTuple):
    """When a reference and a curve reach the same losses.

    Arguments:
        target: the best loss that the reference has had by each horizon, shape (horizons,).
        slow: times at which the reference reaches it.
        fast: times at which the curve does: its last known one where it never does, its first where it starts below.
        never: where the curve does not reach the target.
        before: where the curve starts at or below it.
    """

    target: Values
    slow: Values
    fast: Values
    never: Values
    before: Values

    def speedup(self, paid: Any = 0.0) -> Values:
        """Geometric mean of the ratios of times, with what had been paid by then added to those of the curve.

        Arguments:
            paid: what the curve had paid by each target, in units of time, shape (horizons,); see `paid`.
        """
        xp = _library(self.slow)
        return xp.exp(xp.mean(xp.log(self.slow / (self.fast + paid))))

    def paid(self, times: np.ndarray, charges: Values) -> Values:
        """What the refreshes before each time of the curve have cost, of charges for each refresh.

        The refresh at times[n] serves what comes after it: to reach a loss at times[n] took those before it.

        Arguments:
            times: refresh grid, shape (times,).
            charges: cost of each refresh, in units of time, shape (times,).

        Returns:
            One number for each horizon, shape (horizons,).
        """
        xp = _library(self.fast)
        so_far = xp.concatenate([xp.zeros(1, dtype=charges.dtype), xp.cumsum(charges)])
        if xp is np:
            return so_far[np.searchsorted(times, self.fast)]
        grid = xp.asarray(times, dtype=self.fast.dtype)
        return so_far[xp.searchsorted(grid, self.fast, method="scan_unrolled")]


def race(times: np.ndarray, loss: Values, reference: Values, horizons: np.ndarray) -> Race:
    """How soon a curve reaches the best losses that a reference has had by some horizons, in (times[0], times[-1]].

    Arguments:
        times: refresh grid, shape (times,).
        loss: the curve, shape (..., times).
        reference: the other curve, of the same shape.
        horizons: times by which the reference has reached them.
    """
    xp = _library(loss)
    earlier = np.searchsorted(times, horizons) - 1
    so_far = np.minimum.accumulate if xp is np else jax.lax.cummin
    lowest = so_far(xp.where(xp.isnan(reference), xp.inf, reference))[earlier]
    target = xp.minimum(lowest, interpolated(times, reference, horizons))
    slow, fast = crossing_times(times, reference, target), crossing_times(times, loss, target)
    never, before = xp.isinf(fast), fast == 0
    first = float(times[0])
    known = xp.max(xp.where(xp.isnan(loss), first, xp.asarray(times, dtype=loss.dtype)))
    return Race(target, slow, xp.where(never, known, xp.where(before, first, fast)), never, before)
