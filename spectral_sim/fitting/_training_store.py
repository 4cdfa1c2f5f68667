"""Real runs of a comparison on disk: a file for each seed, so that what was killed goes on with the next seed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._files import read_arrays, scalar, write_arrays
from .._identity import identity
from .._schema import Malformed, Schema, array, choice, record, text
from .._trajectory import Trajectory

_VERSION = 1
_FIX = "Delete it to run that seed anew, or give another folder."


class RunStore:
    """A folder with the runs of one comparison; without a path it does nothing.

    Arguments:
        path: the folder, made if need be, or None.
        comparison: everything that the runs compute with.

    Raises:
        TypeError: a comparison with a part whose behaviour cannot be told from that of another.
    """

    def __init__(self, path: Any, comparison: Any):
        self._path, self._identity = None, ""
        if path is not None:
            self._identity = identity(comparison)
            self._path = Path(path)
            self._path.mkdir(parents=True, exist_ok=True)

    def load(self, seed: int, shapes: Callable[[], Trajectory]) -> Trajectory | None:
        """The run of a seed, if it is there.

        Arguments:
            seed: its number.
            shapes: () -> a run with `jax.ShapeDtypeStruct` in place of its arrays; called where the file is there.

        Raises:
            SavedFileError: the file belongs to another comparison or version, or is damaged.
        """
        file = self._file(seed)
        if file is None or not file.exists():
            return None
        leaves, structure = jax.tree.flatten(shapes())
        schemas = {f"leaf_{n}": _like(leaf) for n, leaf in enumerate(leaves)}
        schema = record(version=scalar(choice(_VERSION)), fingerprint=scalar(self._own), **schemas)
        found = read_arrays(file, schema, _FIX)
        return jax.tree.unflatten(structure, [jnp.asarray(found[name]) for name in schemas])

    def write(self, seed: int, run: Trajectory) -> None:
        """Keep the run of a seed."""
        file = self._file(seed)
        if file is not None:
            leaves = {f"leaf_{n}": np.asarray(leaf) for n, leaf in enumerate(jax.tree.leaves(run))}
            write_arrays(file, {"version": _VERSION, "fingerprint": self._identity, **leaves}, compressed=False)

    def _file(self, seed: int) -> Path | None:
        return None if self._path is None else self._path / f"seed_{seed}.npz"

    def _own(self, value: Any, field: str) -> str:
        if text()(value, field) != self._identity:
            raise Malformed(field, f"is {value[:32]!r}, not {self._identity}: it was written by another comparison")
        return value


def _like(leaf: Any) -> Schema:
    """An array of the shape and type of a leaf."""

    def check(value: Any, field: str) -> np.ndarray:
        found = array(np.dtype(leaf.dtype).kind, shape=leaf.shape)(value, field)
        if found.dtype != leaf.dtype:
            raise Malformed(field, f"holds {found.dtype}, not {leaf.dtype}")
        return found

    return check
