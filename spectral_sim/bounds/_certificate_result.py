"""What a certificate says, and what can be done with it."""

import dataclasses
from typing import Any

import numpy as np

from .._types import ArrayLike, PerRefresh
from ..schedules import TableSchedule
from ._certificate_multiplier import Multiplier, hold, proven_loss
from ._certificate_task import CertificateTask


@dataclasses.dataclass(frozen=True)
class Certificate:
    """A proof that no schedule has a lower loss at given times; see `certificate`.

    Arguments:
        horizon: the times that the bound holds at, shape (horizons,).
        loss: no schedule reaches a lower loss at that time, shape (horizons,).
        limit: no multiplier on the same pieces proves more, to the accuracy of the search, shape (horizons,); NaN where
            it is not known.
        multiplier: the proof, for each horizon one `Multiplier` P for each of `tasks`.
        tasks: what the multipliers are about, in coordinates of unit scale: one for each output, or one for all.
        cap: the largest weight that the proof counts on, None for any weights.
        method: the route that found the multipliers.
        finished: whether each horizon's search came to its end, shape (horizons,).
        shares: for each horizon the part of the time that examples or groups have in the best schedule of the relaxed
            problem, shape (instants, choices); for several outputs their mean.
        instants: when, as parts of the horizon, shape (instants,).
    """

    horizon: np.ndarray
    loss: np.ndarray
    limit: np.ndarray
    multiplier: tuple[tuple[Multiplier, ...], ...]
    tasks: tuple[CertificateTask, ...]
    cap: float | None
    method: str
    finished: np.ndarray
    shares: tuple[np.ndarray, ...]
    instants: np.ndarray

    @property
    def verified(self) -> bool:
        """Whether the multipliers as they stand prove `loss`: every condition is checked again in float64."""
        for row, horizon, loss in zip(self.multiplier, self.horizon, self.loss, strict=True):
            ends = [m.knots[-1] * task.time_scale for task, m in zip(self.tasks, row, strict=True)]
            if not np.allclose(ends, horizon, rtol=1e-12, atol=0) or not hold(self.tasks, row, self.cap):
                return False
            if not loss <= proven_loss(self.tasks, row):
                return False
        return True

    def gap(self, learned: Any) -> Any:
        """How far a schedule may still be from the best: its loss over the bound, minus one.

        Arguments:
            learned: losses at the horizons, a number or shape (horizons,); or a `Trajectory` whose times hold them.

        Returns:
            A number for one horizon, else shape (horizons,); 0 where the schedule is proven to be optimal, infinite
            where the bound is 0.

        Raises:
            ValueError: a run that was not recorded at a horizon.
        """
        losses = learned
        if hasattr(learned, "times") and hasattr(learned, "loss"):
            times, recorded = np.asarray(learned.times, np.float64), np.asarray(learned.loss, np.float64)
            places = np.argmin(np.abs(times[:, None] - self.horizon), axis=0)
            away = np.abs(times[places] - self.horizon) > 1e-6 * self.horizon
            if away.any():
                missing = float(self.horizon[np.argmax(away)])
                raise ValueError(f"the run has no record at the horizon {missing:.6g}: put it among its times.")
            losses = recorded[places]
        with np.errstate(divide="ignore"):
            ratio = np.asarray(losses, np.float64) / self.loss - 1
        return float(ratio[0]) if ratio.size == 1 else ratio

    def bound(self, times: ArrayLike) -> np.ndarray:
        """The loss that no schedule can beat at any times: a multiplier for T also serves T' < T, begun at T - T'.

        Arguments:
            times: shape (times,), not negative.

        Returns:
            Shape (times,); 0 beyond the last horizon, where the certificate says nothing.
        """
        times = np.atleast_1d(np.asarray(times, np.float64))
        best = np.zeros(len(times))
        for row, horizon in zip(self.multiplier, self.horizon, strict=True):
            inside = np.flatnonzero(times <= horizon * (1 + 1e-12))
            for n in inside:
                later = [_begun_at(m, max(m.knots[-1] * (1 - times[n] / horizon), 0.0)) for m in row]
                best[n] = max(best[n], proven_loss(self.tasks, later))
        return best

    def schedule(self, times: ArrayLike, *, horizon: int = -1, least: float = 1e-2) -> TableSchedule:
        """The weights that the multiplier points at: a start for a search, on the examples whose conditions bind.

        Arguments:
            times: refresh grid, shape (times,).
            horizon: number of the horizon whose multiplier is used.
            least: weights are kept at or above it, so that a search can move all of them.
        """
        grid = np.asarray(times, np.float64)
        middle = np.append((grid[:-1] + grid[1:]) / 2, grid[-1]) / self.horizon[horizon]
        shares, base = self.shares[horizon], self.tasks[0].shares
        weights = np.stack([np.interp(middle, self.instants, column) for column in shares.T], axis=1) / base
        return TableSchedule(PerRefresh(np.log(np.maximum(weights, least))))

    def report(self) -> str:
        """A few lines for people: the bound by horizon, how it was found and whether it is proven."""
        lines = [f"{'horizon':>10}  {'no loss below':>13}  {'limit of the pieces':>19}  search"]
        for horizon, loss, limit, finished in zip(self.horizon, self.loss, self.limit, self.finished, strict=True):
            known = "not known" if np.isnan(limit) else f"{limit:.6g}"
            lines.append(f"{horizon:10.4g}  {loss:13.6g}  {known:>19}  {'finished' if finished else 'stopped early'}")
        weights = "any weights" if self.cap is None else f"weights up to {self.cap:g}"
        proof = "proven in float64" if self.verified else "NOT PROVEN: do not use"
        first = self.tasks[0]
        lines.append(
            f"{proof}, for {weights} on {len(first.generators)} examples or groups; {len(self.tasks)} multiplier(s) of "
            f"size {len(first.start)}, by the {self.method} route."
        )
        return "\n".join(lines)


def _begun_at(multiplier: Multiplier, time: float) -> Multiplier:
    """The part of a multiplier from a time on, as far as `proven_loss` looks at it."""
    piece = min(int(np.searchsorted(multiplier.knots, time, side="right")) - 1, multiplier.pieces - 1)
    left, right = multiplier.knots[piece], multiplier.knots[piece + 1]
    part, degree = (time - left) / (right - left), multiplier.degree
    points = multiplier.control[degree * piece : degree * (piece + 1) + 1]
    while len(points) > 1:
        points = (1 - part) * points[:-1] + part * points[1:]
    ends = np.array([0.0, multiplier.knots[-1] - time])
    return dataclasses.replace(multiplier, knots=ends, control=np.concatenate([points, multiplier.control]))
