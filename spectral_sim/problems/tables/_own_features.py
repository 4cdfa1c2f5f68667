"""Features or a Gram matrix of the user's own, in place of inputs."""

from pathlib import Path

import numpy as np

from ._read_numpy import read_array
from ._wording import option


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
