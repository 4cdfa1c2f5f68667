"""Fits on disk: one .npz file of arrays and a line of JSON."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import _schema as schema
from .._files import write_arrays

_FIX = "Write it anew with save()."


def write_fit(path: str | os.PathLike[str], facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write plain facts and arrays, replacing the file at once."""
    write_arrays(_npz(path), {"facts": np.array(json.dumps(facts)), **arrays}, compressed=True)


def read_fit(
    path: str | os.PathLike[str],
    facts: schema.Schema,
    arrays: schema.Schema,
    make: Callable[[dict[str, Any], dict[str, np.ndarray]], Any],
) -> Any:
    """What `make(facts, arrays)` makes of a file that fits its schemas.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that does not fit them, or that `make` finds malformed.
    """
    source = _npz(path)
    if not source.is_file():
        raise FileNotFoundError(f"path={str(path)!r} is not a file: check the name.")

    def read() -> Any:
        found = schema.read_npz(source.read_bytes(), arrays)
        return make(schema.read_json(str(found.pop("facts")).encode(), facts), found)

    return schema.explained(f"path={str(path)!r}", _FIX, ValueError, read)


def _npz(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    if target.suffix != ".npz":
        raise ValueError(f"path={str(path)!r} does not end in .npz: name a .npz file.")
    return target
