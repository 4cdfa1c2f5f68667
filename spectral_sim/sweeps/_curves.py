"""Numbers read off one loss curve inside jit: what `analysis` does on the host, for every row of a batch.

Times are constants of a sweep, so all that depends on them alone is computed on the host in float64.
"""

import jax
import jax.numpy as jnp
import numpy as np

from .._types import Array, Float

__all__ = ["crossing_times", "interpolated", "line_fit", "window_rows"]


def window_rows(times: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Which times lie in a window, ends included."""
    return np.flatnonzero((times >= window[0] * (1 - 1e-9)) & (times <= window[1] * (1 + 1e-9)))


def line_fit(times: np.ndarray, loss: Float[Array, "times"], rows: np.ndarray) -> dict[str, Array]:
    """Least-squares line of log loss against log time on some of the times, as `analysis.fit_exponent` fits it.

    Returns:
        exponent: minus the slope.
        stderr: scatter about the line, and half the change of the slope between the halves, added in squares.
        drift: range of the local slope of a cubic, relative to the slope.
        level: log loss at the mean of log time; level_stderr: its standard error.
    """
    x = np.log(times[rows])
    centre = x.mean()
    y = jnp.log(loss[rows])
    level = jnp.mean(y)
    deviation = y - level  # small numbers: float32 keeps their digits
    half = (x.size + 1) // 2
    fitted = lambda x, y: _dot(_slope_weights(x), y)
    slope = fitted(x, deviation)
    bend = fitted(x[x.size // 2 :], deviation[x.size // 2 :]) - fitted(x[:half], deviation[:half])
    misfit = jnp.sum((deviation - slope * (x - centre).astype(loss.dtype)) ** 2)
    scatter = misfit / (x.size - 4)
    return {
        "exponent": -slope,
        "stderr": jnp.sqrt(scatter / float(np.sum((x - centre) ** 2)) + (bend / 2) ** 2),
        "drift": _slope_range(x, deviation) / jnp.abs(slope),
        "level": level,
        "level_stderr": jnp.sqrt(scatter / x.size),
    }


def _dot(weights: np.ndarray, values: Array) -> Array:
    # a product and a sum, not a matrix product, whose order of summation would depend on how rows are batched
    return jnp.sum(jnp.asarray(weights, values.dtype) * values, axis=-1)


def _slope_weights(x: np.ndarray) -> np.ndarray:
    """The slope of a least-squares line is linear in the values; these are its coefficients."""
    centred = x - x.mean()
    return centred / (centred @ centred)


def _slope_range(x: np.ndarray, y: Array) -> Array:
    """Range of the local slope of a least-squares cubic over the points."""
    half = (x[-1] - x[0]) / 2
    u = (x - x[0]) / half - 1
    coefficients = np.linalg.pinv(u[:, None] ** np.arange(4))
    linear, square, cube = (_dot(row, y) for row in coefficients[1:])
    at = lambda u: linear + 2 * square * u + 3 * cube * u**2
    vertex = jnp.where(cube == 0, -1.0, jnp.clip(-square / (3 * jnp.where(cube == 0, 1, cube)), -1, 1))
    local = jnp.stack([at(-1.0), at(1.0), at(vertex)])
    return (jnp.max(local) - jnp.min(local)) / half


def crossing_times(
    times: np.ndarray, loss: Float[Array, "times"], targets: Float[Array, "targets"]
) -> Float[Array, "targets"]:
    """First time at or below each target, straight in log-log between refreshes; see `analysis.time_to_loss`."""
    loss = jnp.where(jnp.isnan(loss), jnp.inf, loss)
    lowest = jax.lax.cummin(loss)
    # comparing with every entry vectorises, which pays for a few targets
    method = "compare_all" if targets.shape[0] <= 8 else "scan_unrolled"
    end = jnp.searchsorted(-lowest, -targets, method=method)
    inner = jnp.clip(end, 1, loss.shape[0] - 1)
    before, after = loss[inner - 1], loss[inner]
    start, stop = (jnp.asarray(part, loss.dtype)[inner - 1] for part in (times[:-1], times[1:]))
    with np.errstate(divide="ignore"):
        span = jnp.asarray(np.log(times[1:] / np.maximum(times[:-1], np.finfo(np.float32).tiny)), loss.dtype)[inner - 1]
    smooth = (end > 0) & (end < loss.shape[0]) & jnp.isfinite(before) & (after > 0)
    safe = lambda x: jnp.where(smooth, x, 1)
    # a curve that is flat within rounding crosses at the end of its interval
    drop = jnp.log(safe(before) / safe(after))
    part = jnp.where(smooth & (drop > 0), jnp.log(safe(targets) / safe(after)) / jnp.where(drop > 0, drop, 1), 0)
    reached = jnp.where(start > 0, stop * jnp.exp(-part * span), stop * (1 - part))
    return jnp.where(end == 0, 0, jnp.where(end < loss.shape[0], reached, jnp.inf))


def interpolated(times: np.ndarray, loss: Float[Array, "times"], at: np.ndarray) -> Float[Array, "at"]:
    """The loss between refreshes, straight in log-log; its logarithm linear in time on an interval from time 0."""
    after = np.clip(np.searchsorted(times, at), 1, times.size - 1)
    start, stop = times[after - 1], times[after]
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithmic = np.log(at / start) / np.log(stop / start)
    part = np.where(start > 0, logarithmic, at / stop)
    before, later = loss[after - 1], loss[after]
    between = before * (later / before) ** jnp.asarray(part, loss.dtype)
    # on the grid the very loss: powers would round it
    return jnp.where(part == 1, later, jnp.where(part == 0, before, between))
