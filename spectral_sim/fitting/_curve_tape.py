"""What a fit of curves has found so far, on disk, so that a fit that was killed goes on where it was.

A fit is a sequence of searches, each of which depends only on the curves, the options and the searches before it. Their
results are kept in order. A fit that begins again takes those that are there, and computes the rest.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import _schema as schema
from .._files import write_arrays
from .._identity import identity

_FIX = "Delete it to begin anew, or give another path."
_VERSION = 1


class Tape:
    """Results of a fit in order; without a path nothing is kept.

    Arguments:
        path: where the file is, or None.
        fit: everything that the fit computes with.

    Raises:
        ValueError: a path in a folder that does not exist, a file of another fit, or a damaged one.
    """

    def __init__(self, path: str | os.PathLike[str] | None, fit: Any):
        self._path = None if path is None else Path(path)
        self._entries: list[np.ndarray] = []
        self._next = 0
        if self._path is None:
            return
        if self._path.suffix != ".npz" or not self._path.parent.is_dir():
            raise ValueError(f"checkpoint={str(path)!r}: name a .npz file in a folder that exists.")
        self._identity = identity((_VERSION, fit))
        if self._path.exists():
            file = f"checkpoint={str(path)!r}"
            self._entries = schema.explained(file, _FIX, ValueError, lambda: self._read(self._path))

    def take(self, compute: Callable[[], Any]) -> np.ndarray:
        """The next result: as it was found before, or computed and kept."""
        if self._path is None:
            return np.asarray(compute(), np.float64)
        if self._next == len(self._entries):
            self._entries.append(np.asarray(compute(), np.float64))
            self._write(self._path)
        self._next += 1
        return self._entries[self._next - 1].copy()

    def _read(self, path: Any) -> list[np.ndarray]:
        known = schema.record(None, schema.array("f"), identity=schema.array("U", shape=()))
        found = schema.read_npz(path.read_bytes(), known)
        if str(found.pop("identity")) != self._identity:
            raise schema.Malformed("identity", "is that of a fit of other curves, other options or another version")
        names = [f"entry_{n}" for n in range(len(found))]
        if set(found) != set(names):
            raise schema.Malformed("entries", f"are {', '.join(sorted(found))}, not numbered from 0")
        return [found[name] for name in names]

    def _write(self, path: Path) -> None:
        arrays: dict[str, Any] = {f"entry_{n}": entry for n, entry in enumerate(self._entries)}
        write_arrays(path, {**arrays, "identity": np.array(self._identity)}, compressed=False)
