"""Losses under rates that were never tried, with intervals, and what the fitted curves cannot answer for."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._shown import Line, Shown, View, digits
from .._wording import option
from ..schedules import AbstractStage
from ._curve import Curve
from ._curve_grid import CurveBatch
from ._curve_model import CurveLaw, ensemble_losses

_BEYOND = 1.02  # times the range that was seen
_LEAST_TIMES = 128  # intervals of a padded grid; predictions of similar length share a program


@dataclass(frozen=True, eq=False, repr=False)
class CurvePrediction(Shown):
    """A predicted loss curve.

    Arguments:
        steps: steps taken, shape (points,).
        loss: predicted losses, shape (points,).
        low: lower ends of the intervals of a measured loss, shape (points,).
        high: upper ends, shape (points,).
        warnings: in what way the prediction goes beyond what the fitted curves have shown.
    """

    steps: np.ndarray
    loss: np.ndarray
    low: np.ndarray
    high: np.ndarray
    warnings: tuple[str, ...]

    def _view(self) -> View:
        """A curve with its interval."""
        steps, loss, low, high = self.steps, self.loss, self.low, self.high
        end = f"interval at the end {digits(low[-1])} to {digits(high[-1])}"
        facts = {
            "steps": f"{len(steps)} points, {steps[0]} to {steps[-1]}",
            "loss": f"{digits(loss[0])} to {digits(loss[-1])}, {end}",
            "warnings": "; ".join(self.warnings) or "none",
        }
        arrays = {
            "loss": (("steps",), loss, "predicted loss"),
            "low": (("steps",), low, "lower end of the interval of a measured loss"),
            "high": (("steps",), high, "upper end of the interval of a measured loss"),
        }
        lines = lambda: [Line("predicted", steps, loss, False, low, high)]
        return View(facts, arrays, {"steps": steps}, lines, ("steps", "loss"), (False, False))


@dataclass(frozen=True)
class Reach:
    """What the fitted curves cover.

    Arguments:
        steps: most steps.
        area: largest sum of rates.
        peak: largest rate.
        least: smallest rate above zero after the peak of any fitted curve.
        batch_sizes: batch sizes of the fitted curves; none if unknown.
    """

    steps: int
    area: float
    peak: float
    least: float
    batch_sizes: tuple[float, ...]

    @classmethod
    def of(cls, curves: list[Curve]) -> "Reach":
        """The reach of some curves."""
        used = [curve.learning_rate[: curve.steps[-1]] for curve in curves]
        late = [rates[int(np.argmax(rates)) :] for rates in used]
        positive = [rates[rates > 0].min() for rates in late]
        return cls(
            max(int(curve.steps[-1]) for curve in curves),
            max(float(rates.sum()) for rates in used),
            max(float(rates.max()) for rates in used),
            float(min(positive)),
            tuple(sorted({curve.batch_size for curve in curves if curve.batch_size is not None})),
        )

    def warnings(self, rates: np.ndarray) -> tuple[str, ...]:
        """How a run with some rates goes beyond what was seen."""
        found = []
        if rates.size > _BEYOND * self.steps:
            found.append(f"the run takes {rates.size} steps, and the longest fitted curve {self.steps}")
        if rates.sum() > _BEYOND * self.area:
            found.append(
                f"the rates sum to {rates.sum():.3g}, and those of the fitted curves to {self.area:.3g} at most"
            )
        if rates.max() > _BEYOND * self.peak:
            found.append(f"the largest rate is {rates.max():.3g}, and the largest that was fitted {self.peak:.3g}")
        late = rates[int(np.argmax(rates)) :]
        least = late[late > 0].min() if np.any(late > 0) else 0.0
        if least < self.least / _BEYOND:
            found.append(
                f"the smallest rate after the peak is {least:.3g}, and that of the fitted curves {self.least:.3g}"
            )
        return tuple(found)

    def check_batch_size(self, batch_size: Any) -> float:
        """Noise at a batch size over that of the reference; raises where the curves cannot tell."""
        if batch_size is None:
            return 1.0
        if not (np.ndim(batch_size) == 0 and np.isfinite(batch_size) and batch_size > 0):
            raise ValueError(f"{option('batch_size')} is {batch_size!r}: give one positive number.")
        if len(self.batch_sizes) < 2 and (not self.batch_sizes or batch_size != self.batch_sizes[0]):
            known = f"the batch size {self.batch_sizes[0]:g}" if self.batch_sizes else "unknown batch sizes"
            raise ValueError(
                f"{option('batch_size')} is {batch_size:g}, but batch size cannot be predicted from curves of one "
                f"batch size: all fitted curves have {known}; add a curve of another one to the fit."
            )
        return self.batch_sizes[0] / float(batch_size)


def sigma_points(point: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """The parameters, and those one standard deviation along each principal axis on either side, shape (15, 7)."""
    values, vectors = np.linalg.eigh(covariance)
    moves = (vectors * np.sqrt(np.maximum(values, 0))).T
    return np.concatenate([point[None], point + moves, point - moves])


def predict_batch(
    law: CurveLaw,
    point: np.ndarray,
    covariance: np.ndarray,
    residual: float,
    level: float,
    batch: CurveBatch,
    schedule: AbstractStage | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Losses of curves with the ends of their intervals, each of shape (curves, points)."""
    members = jnp.asarray(sigma_points(point, covariance), float)
    values = np.asarray(ensemble_losses(law, members, batch, schedule), np.float64)
    middle = values[0]
    if not np.isfinite(middle[batch.mask > 0]).all():
        raise ValueError(
            "learning_rate is above the limit of stability of the fitted law (or the schedule fails): give smaller "
            f"rates; the largest that was fitted is {float(law.peak):.3g}."
        )
    number = len(point)
    around = np.where(np.isfinite(values), values, middle)
    variance = (((around[1 : number + 1] - around[number + 1 :]) / 2) ** 2).sum(axis=0) + residual**2
    half = NormalDist().inv_cdf(0.5 + level / 2) * np.sqrt(variance)
    return np.exp(middle), np.exp(middle - half), np.exp(middle + half)


def padded(batch: CurveBatch) -> CurveBatch:
    """The batch with its axes filled up to a power of two, so that a program compiled for one serves others."""
    times, points = batch.grid.shape[1], batch.mask.shape[1]
    more, behind = (((0, 0), (0, max(_LEAST_TIMES, 1 << (size - 1).bit_length()) - size)) for size in (times, points))
    return CurveBatch(
        np.pad(batch.grid, more, mode="edge"),
        np.pad(batch.rates, more, mode="edge"),
        batch.noise,
        np.pad(batch.index, behind, mode="edge"),
        np.pad(batch.log_loss, behind, mode="edge"),
        np.pad(batch.mask, behind),
    )
