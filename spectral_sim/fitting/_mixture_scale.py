"""From losses at one scale, or number of steps, to those at another: one ratio, or a shift and a slope, for each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .._checks import check_choice
from .._types import ArrayLike
from ._mixture_table import check_losses, is_number

if TYPE_CHECKING:
    from ._mixture_fit import MixtureFit

SCALE_METHODS = ("auto", "ratio", "affine")
_FEWEST_AFFINE = 4


@dataclass(frozen=True, eq=False)
class ScaleMap:
    """Losses at one scale as shift + slope times those at another.

    Arguments:
        shift: shape (losses,).
        slope: shape (losses,), positive.
        error: root mean squared error on large runs that were left out, shape (losses,); 0 for the identity.
        method: "identity", "ratio" or "affine".
    """

    shift: np.ndarray
    slope: np.ndarray
    error: np.ndarray
    method: str

    @staticmethod
    def identity(losses: int) -> "ScaleMap":
        """No change."""
        return ScaleMap(np.zeros(losses), np.ones(losses), np.zeros(losses), "identity")


def fit_scale(
    small: np.ndarray, large: np.ndarray, metrics: Sequence[str], method: str = "auto"
) -> tuple[ScaleMap, str]:
    """The map from predictions at the small scale to a few losses at the large one, and a note on its error.

    Arguments:
        small: what the fit predicts for the large runs, shape (runs, losses).
        large: what they reached, shape (runs, losses).
        metrics: names of the losses.
        method: one of `SCALE_METHODS`.
    """
    check_choice("method", method, SCALE_METHODS)
    if large.shape != small.shape:
        raise ValueError(
            f"losses has shape {large.shape}, but {small.shape[0]} runs of {small.shape[1]} losses are expected."
        )
    runs = len(large)
    if runs == 0:
        raise ValueError("losses holds no large run: give at least one.")
    if len(large) > 1:
        check_losses(large, [str(n) for n in range(runs)], metrics)
    fewest = _FEWEST_AFFINE if method in ("auto", "affine") else 1
    methods = [m for m in ("ratio", "affine") if method in ("auto", m)]
    if runs < fewest:
        if method == "affine":
            raise ValueError(
                f"method='affine' needs {_FEWEST_AFFINE} large runs, got {runs}: use 'ratio', or add runs."
            )
        methods = ["ratio"]
    errors = {name: _left_out(small, large, name) for name in methods}
    spread = large.std(axis=0) if runs > 1 else np.ones(large.shape[1])
    best = min(methods, key=lambda name: np.mean(errors[name] / spread))
    shift, slope = _map(small, large, best)
    if runs == 1:
        note = "One large run fixes the ratio of each loss; what its error is cannot be told from one run."
        return ScaleMap(shift, slope, np.zeros_like(slope), best), note
    each = "one ratio" if best == "ratio" else "a shift and a slope"
    note = (
        f"Losses at the large scale: {each} for each loss, from {runs} runs; error on left-out runs "
        f"{np.mean(np.abs(errors[best])):.4f}, their spread {np.mean(spread):.4f}."
    )
    return ScaleMap(shift, slope, errors[best], best), note


def _map(small: np.ndarray, large: np.ndarray, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Least squares; a slope that would not be positive gives way to the ratio."""
    ratio = np.sum(small * large, axis=0) / np.sum(small**2, axis=0)
    if method == "ratio":
        return np.zeros_like(ratio), ratio
    mean_small, mean_large = small.mean(axis=0), large.mean(axis=0)
    variance = np.sum((small - mean_small) ** 2, axis=0)
    slope = np.sum((small - mean_small) * (large - mean_large), axis=0) / np.where(variance > 0, variance, 1)
    usable = slope > 0
    slope = np.where(usable, slope, ratio)
    return np.where(usable, mean_large - slope * mean_small, 0), slope


def _left_out(small: np.ndarray, large: np.ndarray, method: str) -> np.ndarray:
    """Root mean squared error of each loss on large runs that were left out in turn."""
    if len(large) == 1:
        return np.zeros(large.shape[1])
    errors = []
    for n in range(len(large)):
        others = np.arange(len(large)) != n
        shift, slope = _map(small[others], large[others], method)
        errors.append(shift + slope * small[n] - large[n])
    return np.sqrt(np.mean(np.square(errors), axis=0))


@dataclass(frozen=True, eq=False)
class MixtureClock:
    """The same mixtures at other numbers of steps.

    Between the steps of the full runs the map is interpolated linearly in the logarithm of the step.

    Arguments:
        fit: the fit at the steps of its table.
        steps: when the full runs were evaluated, shape (times,).
        maps: how losses of the table become those of each step.
    """

    fit: "MixtureFit"
    steps: np.ndarray
    maps: tuple[ScaleMap, ...]

    def at(self, step: float) -> "MixtureFit":
        """The fit at a number of steps.

        Arguments:
            step: between the first and the last step of the full runs.

        Raises:
            ValueError: a step outside those of the full runs; losses are not extrapolated in time.
        """
        first, last = self.steps[0], self.steps[-1]
        if not first <= step <= last:
            raise ValueError(
                f"step {step!r} lies outside the full runs, which were evaluated from {first:g} to {last:g}: losses "
                "are not extrapolated in time; give runs that were trained for longer."
            )
        place = np.log(self.steps)

        def between(name: str) -> np.ndarray:
            columns = np.array([getattr(scale, name) for scale in self.maps])
            return np.array([np.interp(np.log(step), place, column) for column in columns.T])

        scale = ScaleMap(between("shift"), between("slope"), between("error"), "clock")
        return replace(self.fit, scale=scale, notes=(*self.fit.notes, f"Losses are those at step {step:g}."))


def fit_clock(fit: "MixtureFit", steps: ArrayLike, ratios: np.ndarray, losses: ArrayLike) -> MixtureClock:
    """One map of losses for each step of the full runs; see `MixtureFit.clock`."""
    try:
        grid = np.asarray(steps, np.float64)
    except (TypeError, ValueError):
        bad = next((n, value) for n, value in enumerate(np.ravel(np.asarray(steps))) if not is_number(value))
        raise ValueError(f"steps[{bad[0]}] is {str(bad[1])!r}: give numbers of steps.") from None
    values = np.asarray(losses, np.float64)
    expected = (len(ratios), grid.size, len(fit.metrics))
    if grid.ndim != 1 or values.shape != expected:
        raise ValueError(
            f"losses has shape {values.shape}, steps {grid.shape}: {expected[0]} full runs of {expected[2]} losses "
            f"need losses of shape {expected} and steps of shape (times,)."
        )
    if grid.size == 0 or not np.isfinite(grid).all() or grid[0] <= 0 or (np.diff(grid) <= 0).any():
        raise ValueError(f"steps are {grid}: give positive numbers that increase.")
    small = replace(fit, scale=ScaleMap.identity(len(fit.metrics))).predict(ratios)
    maps = tuple(fit_scale(small, values[:, n], fit.metrics)[0] for n in range(grid.size))
    return MixtureClock(fit, grid, maps)
