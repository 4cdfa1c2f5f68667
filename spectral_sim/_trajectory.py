"""What a run returns, and the reasons for which it may have failed."""

import enum
from typing import Any

import equinox as eqx
import numpy as np

from ._checks import is_concrete
from ._types import Array, Float, Int, PyTree


class Status(enum.IntEnum):
    """Why a run stopped following its schedule."""

    OK = 0
    NON_FINITE_WEIGHTS = 1
    NEGATIVE_WEIGHTS = 2
    ZERO_WEIGHTS = 3
    NON_FINITE_STATE = 4


_MEANING = {
    Status.NON_FINITE_WEIGHTS: "the schedule returned weights that are NaN or infinite",
    Status.NEGATIVE_WEIGHTS: "the schedule returned a negative weight; weights are density ratios",
    Status.ZERO_WEIGHTS: "the schedule returned weights that are all zero",
    Status.NON_FINITE_STATE: "the loss became NaN or infinite; check the problem's scale, or use float64",
}


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
    """

    times: Float[Array, "times"]
    loss: Float[Array, "times"]
    saved: PyTree
    status: Int[Array, "..."]
    refresh: Int[Array, "..."]

    def raise_if_failed(self) -> None:
        """Raise `SimulationError` for the first member that failed; nothing is raised under a trace."""
        if not is_concrete(self.status, self.refresh):
            return
        status, refresh = np.atleast_1d(self.status).ravel(), np.atleast_1d(self.refresh).ravel()
        if status.any():
            member = int(np.flatnonzero(status)[0])
            where = f"refresh {refresh[member]}" + (f" of member {member}" if status.size > 1 else "")
            raise SimulationError(
                f"{_MEANING[Status(int(status[member]))]} (at {where}); simulate(throw=False) returns a status instead."
            )


def describe_status(status: Any) -> str:
    """A status code as lower-case words."""
    return Status(int(status)).name.lower().replace("_", " ")
