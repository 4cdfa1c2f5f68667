"""Other numbers of steps than that of the table, learnt from a few runs of full length."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .._types import ArrayLike
from ._mixture_scale import ScaleMap, fit_scale

if TYPE_CHECKING:
    from ._mixture_fit import MixtureFit

__all__ = ["MixtureClock", "fit_clock"]


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
        bad = next((n, value) for n, value in enumerate(np.ravel(np.asarray(steps))) if not _number(value))
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


def _number(value) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
