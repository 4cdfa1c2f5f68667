"""What a run returns."""

import os
from typing import Any

import equinox as eqx
import jax
import numpy as np

from ._checks import is_concrete
from ._shown import Line, Shown, View, digits
from ._status import describe_status, explain_status
from ._types import Array, Float, Int, PyTree


class SimulationError(RuntimeError):
    """A run failed inside the loop; the message names the refresh."""


class Trajectory(Shown, eqx.Module):
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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything recorded as labelled arrays, for `xarray.open_dataset`.

        Arguments:
            path: file ending in .nc.

        Raises:
            ImportError: xarray is not installed.
            ValueError: another suffix.
        """
        self.save_arrays(path)

    @property
    def grid(self) -> Array:
        """The refresh grid as it was given: whole steps, or times, shape (times,), in the dtype of the loss."""
        return self.times if self.steps is None else self.steps.astype(self.loss.dtype)

    def raise_if_failed(self) -> None:
        """Raise `SimulationError` for the first member that failed; nothing is raised under a trace."""
        if (failure := first_failure(self)) is not None:
            raise SimulationError(failure[1])

    def _view(self) -> View | None:
        if not is_concrete(self.times, self.loss, self.status):
            return None
        loss, times = np.asarray(self.loss), np.asarray(self.times)
        axis, unit = ("steps", "steps") if self.steps is not None else ("times", "t")
        count, leading = loss.shape[-1], _leading(loss.ndim - 1)
        grid = np.asarray(self.grid).reshape(-1, count)[0]
        last = loss[..., -1]
        known = last[np.isfinite(last)]
        ends = f"{digits(loss[..., 0].flat[0])} at the start, "
        ends += digits(last.flat[0]) if known.size < 2 else f"{digits(known.min())} to {digits(known.max())}"
        facts = {
            "refreshes": f"{count}, {unit} = {digits(grid[0])} to {digits(grid[-1])}",
            "runs": f"{last.size}, shape {last.shape}",
            "loss": f"{ends} at the end",
            "status": self._status_in_words(),
        }
        if not leading:
            del facts["runs"]
        arrays = {
            "loss": ((*leading, axis), loss, "loss under the uncurated distribution"),
            "status": (leading, np.asarray(self.status), "0, or why a run stopped following its schedule"),
            "refresh": (leading, np.asarray(self.refresh), "index of the first bad refresh, -1 if none"),
        }
        if self.steps is not None:
            arrays["times"] = (_dims(times, (*leading, axis)), times, "intrinsic time, the sum of learning rates")
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.saved):
            name = "_".join(["saved", *filter(None, [jax.tree_util.keystr(path, simple=True, separator="_")])])
            values = np.asarray(leaf)
            arrays[name] = (_dims(values, (*leading, axis), name), values, "what save returned")
            facts[name] = f"shape {values.shape}"
        rows, places = loss.reshape(-1, count), times.reshape(-1, count)
        lines = lambda: [Line(f"run {n}", places[n % len(places)][1:], row[1:]) for n, row in enumerate(rows)]
        return View(facts, arrays, {axis: grid}, lines, ("training time", "loss"))

    def _status_in_words(self) -> str:
        status, refresh = np.atleast_1d(self.status).ravel(), np.atleast_1d(self.refresh).ravel()
        if not status.any():
            return "ok"
        first = int(np.flatnonzero(status)[0])
        words = f"{describe_status(status[first], self.faults)} at refresh {refresh[first]}"
        return words if status.size == 1 else f"{np.count_nonzero(status)} of {status.size} failed; first: {words}"


def first_failure(run: Trajectory, *, numbered: bool = True) -> tuple[int, str] | None:
    """The first member that failed and what happened to it, in a sentence; None where none did, and under a trace."""
    if not is_concrete(run.status, run.refresh):
        return None
    status, refresh = np.atleast_1d(run.status).ravel(), np.atleast_1d(run.refresh).ravel()
    if not status.any():
        return None
    member = int(np.flatnonzero(status)[0])
    where = f"refresh {refresh[member]}" + (f" of member {member}" if numbered and status.size > 1 else "")
    limit: Any = np.nan if run.limit is None else np.atleast_1d(run.limit).ravel()[member]
    meaning = explain_status(status[member], run.faults, limit)
    return member, f"{meaning} (at {where}); simulate(throw=False) returns a status instead."


def _leading(count: int) -> tuple[str, ...]:
    """Names of the axes before that of the times."""
    return ("schedules",) if count == 1 else tuple(f"axis_{n}" for n in range(count))


def _dims(values: np.ndarray, known: tuple[str, ...], name: str = "") -> tuple[str, ...]:
    """Dimensions of an array whose first axes are those known, or, without leading axes, the last of those."""
    known = known if values.ndim >= len(known) else known[len(known) - values.ndim :]
    return (*known, *(f"{name}_{n}" for n in range(values.ndim - len(known))))
