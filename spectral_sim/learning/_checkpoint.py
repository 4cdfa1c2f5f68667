"""The state of a search on disk."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

_VERSION = 1
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of this process: the same search has others in the next


class Checkpoint:
    """A file with every array of the search; written to the side and moved into place, so that it is always whole."""

    def __init__(self, path: Path | None, fingerprint: str):
        self._path = path
        self._fingerprint = fingerprint

    @classmethod
    def open(cls, path: Any, carry: Any, what: Any) -> "Checkpoint":
        """A checkpoint for the search that `what` describes; does nothing if `path` is None.

        Raises:
            ValueError: a path in a folder that does not exist.
        """
        if path is not None and not Path(path).parent.is_dir():
            raise ValueError(f"checkpoint={str(path)!r} lies in a folder that does not exist: make it first.")
        return cls(None if path is None else Path(path), "" if path is None else _fingerprint((carry, what)))

    def restore(self, carry: Any) -> tuple[Any, np.ndarray, int]:
        """The carry, the history and the number of steps done: from the file if there is one, else fresh.

        Raises:
            ValueError: the file belongs to another search, version or is damaged.
        """
        leaves, structure = jax.tree.flatten(carry)
        if self._path is None or not self._path.exists():
            return carry, np.zeros((0, leaves[0].shape[0])), 0
        try:
            with np.load(self._path, allow_pickle=False) as file:
                stored = {name: file[name] for name in file.files}
        except Exception as error:
            raise ValueError(
                f"checkpoint={str(self._path)!r} cannot be read ({error}): delete it to begin anew."
            ) from error
        for name, expected in (("version", _VERSION), ("fingerprint", self._fingerprint)):
            if str(stored.get(name)) != str(expected):
                raise ValueError(
                    f"checkpoint={str(self._path)!r} has {name} {stored.get(name)}, this search has {expected}: it was "
                    "written by another search; give another path, or delete it."
                )
        restored = [jax.numpy.asarray(stored[f"leaf_{i}"], x.dtype) for i, x in enumerate(leaves)]
        return jax.tree.unflatten(structure, restored), stored["history"], int(stored["done"])

    def write(self, carry: Any, history: np.ndarray, done: int) -> None:
        """Replace the file by the present state."""
        if self._path is None:
            return
        leaves: dict[str, Any] = {f"leaf_{i}": np.asarray(x) for i, x in enumerate(jax.tree.leaves(carry))}
        aside = self._path.with_name(self._path.name + ".part")
        with aside.open("wb") as file:
            np.savez(file, version=_VERSION, fingerprint=self._fingerprint, history=history, done=done, **leaves)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self._path)


def _fingerprint(tree: Any) -> str:
    """A hash of the structure and the bytes of a pytree."""
    arrays, rest = eqx.partition(tree, eqx.is_array_like)
    named = [_name(leaf) for leaf in jax.tree.leaves(rest)]
    text = f"{jax.tree.structure(tree)} {named}"
    digest = hashlib.sha256(_ADDRESS.sub("", text).encode())
    for leaf in jax.tree.leaves(arrays):
        array = np.asarray(leaf)
        digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()[:16]


def _name(leaf: Any) -> str:
    """A leaf that is no array, by what it is: functions by their name."""
    if callable(leaf):
        return f"{getattr(leaf, '__module__', '')}.{getattr(leaf, '__qualname__', type(leaf).__qualname__)}"
    return repr(leaf)


def describe_optimizer(optimizer: Any, params: Any) -> str:
    """The program of an optimiser's update: its hyperparameters are closed over, and no two have the same program."""
    state = optimizer.init(params)
    program = jax.make_jaxpr(optimizer.update)(params, state, params)
    return _ADDRESS.sub("", f"{program} {program.consts}")
