"""What a run returns, and the reasons for which it may have failed."""

from typing import Any

import equinox as eqx
import numpy as np

from ._checks import is_concrete
from ._status import MEANING, Status
from ._types import Array, Float, Int, PyTree


class SimulationError(RuntimeError):
    """A run failed inside the loop; the message names the refresh."""


class Trajectory(eqx.Module):
    """A run over a refresh grid; entry n of every recorded array is the state at times[n].

    Arguments:
        times: refresh grid, shape (times,).
        loss: loss under the uncurated distribution, shape (times,): held-out where the problem has an evaluation set.
        saved: what `save` returned, every array with a leading `times` axis.
        status: a `Status` code, scalar (one per member of a batch).
        refresh: index of the first bad refresh, -1 if none. Recorded values from there on are NaN.
        limit: what the dynamics could have done there, where its status names a limit: the largest stable learning
            rate, for one. NaN otherwise, None where nothing was run.
    """

    times: Float[Array, "times"]
    loss: Float[Array, "times"]
    saved: PyTree
    status: Int[Array, "..."]
    refresh: Int[Array, "..."]
    limit: Float[Array, "..."] | None = None

    def raise_if_failed(self) -> None:
        """Raise `SimulationError` for the first member that failed; nothing is raised under a trace."""
        if not is_concrete(self.status, self.refresh):
            return
        status, refresh = np.atleast_1d(self.status).ravel(), np.atleast_1d(self.refresh).ravel()
        if status.any():
            member = int(np.flatnonzero(status)[0])
            where = f"refresh {refresh[member]}" + (f" of member {member}" if status.size > 1 else "")
            limit = np.nan if self.limit is None else np.atleast_1d(self.limit).ravel()[member]
            meaning = MEANING[Status(int(status[member]))].format(limit=f"{limit:.6g}")
            raise SimulationError(f"{meaning} (at {where}); simulate(throw=False) returns a status instead.")


def describe_status(status: Any) -> str:
    """A status code as lower-case words."""
    return Status(int(status)).name.lower().replace("_", " ")
