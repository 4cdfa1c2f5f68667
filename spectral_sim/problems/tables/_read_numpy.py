"""Arrays from `.npy` and `.npz` files; nothing is ever unpickled."""

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..._checks import nearest
from ._wording import option


def read_array(argument: str, path: str | Path) -> np.ndarray:
    """One array from a `.npy` file, named by an option."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{option(argument, str(path))} is not a file: check the name and the folder.")
    if path.suffix.lower() != ".npy":
        raise ValueError(f"{option(argument, str(path))} has an unknown suffix.{nearest(path.suffix, ['.npy'])}")
    array = _read(argument, path.name, lambda: np.load(path, allow_pickle=False))
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{option(argument, str(path))} is not one array: write it with numpy.save.")
    return array


def read_npz(argument: str, path: Path) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file by name."""
    archive = _read(argument, path.name, lambda: np.load(path, allow_pickle=False))
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError(f"{option(argument, str(path))} is not an archive of arrays: write it with numpy.savez.")
    with archive:
        return {
            name: _read(argument, f"array {name!r} of {path.name}", lambda name=name: archive[name])
            for name in archive.files
        }


def _read(argument: str, what: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if "Object arrays" in str(error):  # unpickling one could run any code
            fix = "is an object array, which is never unpickled; save it as numbers or text, e.g. array.astype(float)"
        else:
            fix = f"is empty, damaged or no NumPy file ({error}); save it again"
        raise ValueError(f"{option(argument)}: {what} {fix}.") from error
