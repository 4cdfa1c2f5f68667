"""Batches of matrices in the cone of positive semidefinite ones."""

import numpy as np

_TO_BOUNDARY = 0.95  # part of the way to the boundary of the cone that a step goes
_BATCHES = 16  # parts in which matrices are looked at for the longest step, the most doubtful ones first


def inverse_root(matrices: np.ndarray) -> np.ndarray:
    return np.linalg.inv(np.linalg.cholesky(matrices))


def is_inside(matrices: np.ndarray) -> bool:
    try:
        np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        return False
    return True


def longest_step(root: np.ndarray, change: np.ndarray, most: float) -> float:
    """The part of a change that keeps matrices positive definite, with a margin; at most `most`.

    Eigenvalues are taken only where the mean of a matrix's less sqrt(n - 1) of their standard deviations, below which
    none is, would shorten the step.

    Source:
        Wolkowicz, Styan, "Bounds for eigenvalues using traces", Linear Algebra and its Applications 29 (1980).
    """
    turned = root @ change @ root.swapaxes(-1, -2)
    turned = turned.reshape(-1, *turned.shape[-2:])
    size = turned.shape[-1]
    mean = np.trace(turned, axis1=1, axis2=2) / size
    spread = np.maximum(np.einsum("nij,nij->n", turned, turned) / size - mean**2, 0)
    lower = mean - np.sqrt((size - 1) * spread)
    order = np.argsort(lower)
    for some in np.array_split(order, min(_BATCHES, len(order))):
        if lower[some[0]] >= -_TO_BOUNDARY / most:
            break
        least = float(np.linalg.eigvalsh(turned[some]).min())
        most = most if least >= 0 else min(most, -_TO_BOUNDARY / least)
    return most


def symmetrised(matrices: np.ndarray) -> np.ndarray:
    return (matrices + matrices.swapaxes(-1, -2)) / 2
