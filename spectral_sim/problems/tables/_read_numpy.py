"""Arrays from `.npy` and `.npz` files, and features or a Gram matrix in place of inputs; nothing is ever unpickled."""

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..._checks import nearest
from ..._wording import option


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


def read_features(path: str | Path, num_rows: int) -> np.ndarray:
    """Features of every row, shape (rows, features), as they are.

    Raises:
        ValueError: an array of another shape, or with values that are not finite.
    """
    array = _numbers("features_from", path)
    if len(array) != num_rows:
        raise ValueError(
            f"{option('features_from', str(path))} has {len(array)} rows but the table has {num_rows} (with those of "
            f"{option('eval')}): give one row of features for each."
        )
    return array


def read_gram(path: str | Path, num_rows: int) -> np.ndarray:
    """Kernel between all rows, shape (rows, rows), as it is.

    Raises:
        ValueError: an array that is not square, not symmetric, of another size, or with values that are not finite.
    """
    array = _numbers("gram", path)
    if array.shape != (num_rows, num_rows):
        raise ValueError(
            f"{option('gram', str(path))} has shape {array.shape}: for {num_rows} rows (with those of "
            f"{option('eval')}) it must be ({num_rows}, {num_rows})."
        )
    skew = np.abs(array - array.T)
    if skew.max() > 1e-6 * np.abs(array).max():
        i, j = np.unravel_index(np.argmax(skew), skew.shape)
        raise ValueError(
            f"{option('gram', str(path))} is not symmetric: entries [{i}, {j}] and [{j}, {i}] differ by "
            f"{skew[i, j]:.3g}; give a kernel."
        )
    return (array + array.T) / 2


def _numbers(argument: str, path: str | Path) -> np.ndarray:
    array = read_array(argument, path)
    if array.ndim != 2 or array.dtype.kind not in "biuf" or 0 in array.shape:
        raise ValueError(
            f"{option(argument, str(path))} has shape {array.shape} and dtype {array.dtype}: give a matrix of numbers."
        )
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(
            f"{option(argument, str(path))}: row {row} (the first is 0), column {column} is {array[row, column]}: "
            "every entry must be finite."
        )
    return array


def _read(argument: str, what: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if "Object arrays" in str(error):  # unpickling one could run any code
            fix = "is an object array, which is never unpickled; save it as numbers or text, e.g. array.astype(float)"
        else:
            fix = f"is empty, damaged or no NumPy file ({error}); save it again"
        raise ValueError(f"{option(argument)}: {what} {fix}.") from error
