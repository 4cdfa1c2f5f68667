"""The best learning rates under a fitted law, within what the curves have shown."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import check_whole
from .._files import write_rows
from ..learning import RatesByHand, control_grid, learn_control
from ._curve_prediction import CurvePrediction

if TYPE_CHECKING:
    from ._curve_fit import CurveFit

_RAMP = 4  # intervals of a warm-up
_INTERVALS = 192  # of a run: rates often fall within a small part of it


@dataclass(frozen=True, eq=False)
class BestRates:
    """Learning rates that were learned under a fitted law, and what they are predicted to give.

    Arguments:
        learning_rate: of every step, shape (steps,).
        prediction: the predicted loss with its interval, and in what way it goes beyond the fitted curves.
        grid: whole steps between which rates were learned, shape (times,).
        by_hand: the best member of each family of rates within the same range; its `loss` is that of the fitted law.
        warm_up: steps of the linear warm-up.
    """

    learning_rate: np.ndarray
    prediction: CurvePrediction
    grid: np.ndarray
    by_hand: dict[str, RatesByHand]
    warm_up: int

    @property
    def warnings(self) -> tuple[str, ...]:
        """In what way the run goes beyond the fitted curves, and what the fitted law cannot know."""
        unknown = "the fitted law does not know where training diverges or what else a rate does: try the rates first"
        return *self.prediction.warnings, unknown

    def report(self) -> str:
        """The predicted loss, and that of the families, in lines of text."""
        end = self.prediction
        interval = f"{end.low[-1]:.4f} to {end.high[-1]:.4f}"
        lines = [
            f"best rates over {end.steps[-1]} steps: loss {end.loss[-1]:.4f} ({interval}), rates "
            f"{self.learning_rate.max():.3g} to {self.learning_rate[self.warm_up :].min():.3g}"
        ]
        for name, best in sorted(self.by_hand.items(), key=lambda pair: pair[1].loss):
            shape = "" if best.shape is None else f", {best.shape:.3g}"
            lines.append(f"  {name:18s} loss {best.loss:.4f} (peak {best.peak:.3g}{shape})")
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a CSV table of step and learning rate, a row for every step; `read_rates` reads it.

        Arguments:
            path: of the file.
        """
        rows = ([step, f"{rate:.8g}"] for step, rate in enumerate(self.learning_rate.tolist(), start=1))
        write_rows(Path(path), ["step", "learning_rate"], rows)


def best_rates(
    fit: "CurveFit",
    steps: int | None,
    highest: float | None,
    lowest: float | None,
    warm_up: int | None,
    batch_size: float | None,
    options: dict[str, Any],
) -> BestRates:
    """As `CurveFit.best_rates`."""
    reach = fit.reach
    steps = reach.steps if steps is None else steps
    noise = reach.check_batch_size(batch_size)
    check_whole("steps", steps, "give the length of the run")
    if warm_up is None:
        warm_up = min(int(np.argmax(fit.curves[name].learning_rate)) for name in fit.fitted)
        warm_up = min(warm_up, steps // 4)
    if not 0 <= warm_up < steps:
        raise ValueError(f"warm_up is {warm_up}: give fewer steps than the {steps} of the run, 0 or more.")
    highest = reach.peak if highest is None else highest
    lowest = min(reach.least, 0.5 * highest) if lowest is None else lowest
    if not 0 <= lowest < highest:
        raise ValueError(f"lowest is {lowest:.6g}, not from 0 to below the largest rate, {highest:.6g}.")
    grid = control_grid(steps, _INTERVALS)
    if warm_up:
        ramp = np.rint(np.linspace(0, warm_up, _RAMP + 1)).astype(np.int64)
        grid = np.unique(np.concatenate([ramp, grid[grid > warm_up]]))
    slope = np.minimum(1.0, (np.arange(steps) + 1) / max(warm_up, 1))
    cap = highest * np.add.reduceat(slope, grid[:-1]) / np.diff(grid)
    found = learn_control(
        fit.problem,
        steps,
        dynamics=fit.law.dynamics(fit.parameters, highest, noise),
        highest=cap,
        lowest=np.minimum(lowest, 0.9 * cap),
        grid=grid,
        **options,
    )
    shape = np.repeat(found.learning_rate / cap, np.diff(grid))
    rates = highest * slope * shape  # a straight warm-up has the mean that was held in each of its intervals
    return BestRates(rates, fit.predict(rates, batch_size=batch_size), grid, found.by_hand, warm_up)
