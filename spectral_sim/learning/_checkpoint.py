"""The state of a search on disk."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._files import SavedFileError, read_arrays, scalar, write_arrays
from .._identity import identity
from .._schema import Malformed, Schema, array, choice, explained, integer, record, text
from .._types import Array, Bool, Float, Int, PyTree

_VERSION = 2
_FIX = "Delete it to begin anew, or give another path."


class SearchState(eqx.Module):
    """Where every start of a search stands; each leaf has a leading axis `starts`.

    Arguments:
        params: free numbers, from which the next gradient is taken.
        opt_state: state of the optimiser.
        best: the least objective so far.
        best_params: free numbers that reached it.
        failed_at: step at which the gradient became non-finite, -1 before that.
        count: how many steps have been done.
    """

    params: PyTree
    opt_state: PyTree
    best: Float[Array, "starts"]
    best_params: PyTree
    failed_at: Int[Array, "starts"]
    count: Int[Array, "starts"]

    @property
    def failed(self) -> Bool[np.ndarray, "starts"]:
        """Which starts have stopped for good."""
        return np.asarray(self.failed_at) >= 0


class Snapshot(eqx.Module):
    """A search between two steps.

    Arguments:
        state: where every start stands.
        history: the objective of every start before each step so far, shape (steps, starts).
    """

    state: SearchState
    history: Float[np.ndarray, "steps starts"]

    @property
    def done(self) -> int:
        """How many steps have been done."""
        return len(self.history)


class Checkpoint:
    """A file with the snapshot of one search; without a path it does nothing.

    Arguments:
        path: where the file is, or None.
        search: everything that the search computes with.
        steps: how many steps it has in all.

    Raises:
        ValueError: a path in a folder that does not exist.
        TypeError: a search with a part whose behaviour cannot be told from that of another.
    """

    def __init__(self, path: Any, search: Any, steps: int):
        self._path, self._steps, self._identity = None if path is None else Path(path), steps, ""
        if self._path is None:
            return
        if not self._path.parent.is_dir():
            raise ValueError(f"checkpoint={str(path)!r} lies in a folder that does not exist: make it first.")
        self._identity = identity(search)

    def restore(self, begin: SearchState) -> Snapshot:
        """The snapshot in the file, if there is one; else that of a search which begins.

        Raises:
            SavedFileError: the file belongs to another search or version, or is damaged.
        """
        starts = begin.best.shape[0]
        if self._path is None or not self._path.exists():
            return Snapshot(begin, np.zeros((0, starts), np.asarray(begin.best).dtype))
        leaves, structure = jax.tree.flatten(begin)
        names = [f"leaf_{n}" for n in range(len(leaves))]
        own = {"version": scalar(choice(_VERSION)), "fingerprint": scalar(self._own)}
        found = read_arrays(self._path, record(None, lambda value, field: value, **own), _FIX)
        schema = record(
            **own,
            done=scalar(integer(low=0, high=self._steps)),
            history=_like(np.asarray(begin.best), (None, starts)),
            **{name: _like(leaf, leaf.shape) for name, leaf in zip(names, leaves, strict=True)},
        )
        found = explained(repr(str(self._path)), _FIX, SavedFileError, lambda: schema(found, ""))
        state = jax.tree.unflatten(structure, [jnp.asarray(found[name]) for name in names])
        counts = {len(found["history"]), *np.asarray(state.count).tolist()}
        if counts != {found["done"]}:
            raise SavedFileError(
                f"{str(self._path)!r}: done is {found['done']}, but history and starts have {sorted(counts)} steps. "
                f"{_FIX}"
            )
        return Snapshot(state, found["history"])

    def _own(self, value: Any, field: str) -> str:
        if text()(value, field) != self._identity:
            raise Malformed(field, f"is {value[:32]!r}, not {self._identity}: it was written by another search")
        return value

    def write(self, snapshot: Snapshot) -> None:
        """Replace the file by the present snapshot."""
        if self._path is None:
            return
        leaves = {f"leaf_{n}": np.asarray(leaf) for n, leaf in enumerate(jax.tree.leaves(snapshot.state))}
        about = {"version": _VERSION, "fingerprint": self._identity, "done": snapshot.done}
        write_arrays(self._path, {**about, "history": snapshot.history, **leaves}, compressed=False)


def _like(leaf: Any, shape: tuple[int | None, ...]) -> Schema:
    """An array of the type of a leaf."""

    def check(value: Any, field: str) -> np.ndarray:
        found = array(np.dtype(leaf.dtype).kind, shape=shape)(value, field)
        if found.dtype != leaf.dtype:
            raise Malformed(field, f"holds {found.dtype}, not {leaf.dtype}")
        return found

    return check
