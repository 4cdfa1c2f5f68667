"""What a run returns."""

from typing import Any

import equinox as eqx
import numpy as np

from ._checks import is_concrete
from ._status import Status, describe_status, explain_status
from ._types import Array, Float, Int, PyTree

__all__ = ["SimulationError", "Status", "Trajectory", "describe_status"]


class SimulationError(RuntimeError):
    """A run failed inside the loop; the message names the refresh."""


class Trajectory(eqx.Module):
    """A run over a refresh grid; entry n of every recorded array is the state at times[n].

    Arguments:
        times: intrinsic time at each refresh, shape (times,): the grid itself, or, for dynamics with steps, the running
            sum of their learning rates over the steps taken, which stands still while a rate is zero.
        loss: loss under the uncurated distribution, shape (times,): held-out where the problem has an evaluation set.
        saved: what `save` returned, every array with a leading `times` axis.
        status: a `Status` code, or that of a fault of the dynamics; scalar (one per member of a batch).
        refresh: index of the first bad refresh, -1 if none. Recorded values from there on are NaN.
        limit: what the dynamics could have done there, where its fault names a limit: the largest stable learning
            rate, for one. NaN otherwise, None where nothing was run.
        steps: number of steps taken at each refresh, whole numbers of shape (times,): the grid of dynamics with steps.
            None for those without.
        faults: what the dynamics says of each of its faults, for `describe_status`.
    """

    times: Float[Array, "times"]
    loss: Float[Array, "times"]
    saved: PyTree
    status: Int[Array, "..."]
    refresh: Int[Array, "..."]
    limit: Float[Array, "..."] | None = None
    steps: Int[Array, "times"] | None = None
    faults: tuple[str, ...] = eqx.field(static=True, default=())

    @property
    def grid(self) -> Array:
        """The refresh grid as it was given: whole steps, or times, shape (times,), in the dtype of the loss."""
        return self.times if self.steps is None else self.steps.astype(self.loss.dtype)

    def raise_if_failed(self) -> None:
        """Raise `SimulationError` for the first member that failed; nothing is raised under a trace."""
        if not is_concrete(self.status, self.refresh):
            return
        status, refresh = np.atleast_1d(self.status).ravel(), np.atleast_1d(self.refresh).ravel()
        if status.any():
            member = int(np.flatnonzero(status)[0])
            where = f"refresh {refresh[member]}" + (f" of member {member}" if status.size > 1 else "")
            limit: Any = np.nan if self.limit is None else np.atleast_1d(self.limit).ravel()[member]
            meaning = explain_status(status[member], self.faults, limit)
            raise SimulationError(f"{meaning} (at {where}); simulate(throw=False) returns a status instead.")
