"""The directions of a Gram matrix that rounding leaves, in float64."""

from typing import NamedTuple

import numpy as np


class Dropped(NamedTuple):
    """Directions of a kernel that rounding cannot tell from null ones, and are no features.

    Arguments:
        count: how many.
        share: the part of the trace that they hold.
    """

    count: int
    share: float


def positive_part(gram: np.ndarray, rounding: float) -> tuple[np.ndarray, np.ndarray, Dropped]:
    """Eigenvalues of a Gram matrix beyond its rounding, descending, with their eigenvectors, and what was dropped.

    Arguments:
        gram: symmetric, float64.
        rounding: of its entries, relative.

    Raises:
        ValueError: nothing is left.
    """
    values, vectors = np.linalg.eigh((gram + gram.T) / 2)
    # Rounding moves eigenvalues by up to this much: a direction below it is noise, which whitening would magnify.
    keep = values > len(gram) * rounding * values[-1]
    if not keep.any():
        raise ValueError("the kernel is zero on all inputs: none has a feature; give inputs that are not all zero.")
    lost = float(np.sum(np.maximum(values[~keep], 0)) / np.sum(np.maximum(values, 0)))
    return values[keep][::-1], vectors[:, keep][:, ::-1], Dropped(int(np.sum(~keep)), lost)
