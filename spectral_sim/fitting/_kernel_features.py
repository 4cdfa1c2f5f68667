"""Features of a kernel: how many there are, what of the kernel they keep, and what fits into memory."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.linalg

from .._checks import check_whole
from .._types import Float

_MEMORY = 2**32  # bytes that a kernel may take while its features are computed
_EXTRA = 10  # vectors beyond the rank, which make the last features of a drawn subspace exact
_SMALLEST = {"float32": 1e-7, "float64": 1e-13}  # of the largest eigenvalue: what rounding leaves of a kernel


class KernelFeatures(NamedTuple):
    """Features Phi of a kernel K on a training set, Phi Phi^T = K as far as the rank allows.

    Arguments:
        features: shape (rows, rank).
        eval_features: the same on the evaluation set, shape (eval_rows, rank), or None.
        rank: how many there are.
        rows: how many the whole kernel would have.
        share: which part of the trace of the kernel they keep.
    """

    features: Float[np.ndarray, "rows rank"]
    eval_features: Float[np.ndarray, "eval_rows rank"] | None
    rank: int
    rows: int
    share: float


def check_memory(rows: int, eval_rows: int, rank: int | None, dtype: np.dtype) -> bool:
    """Whether a kernel can be held whole; raises ValueError where neither it nor features of that rank fit.

    Arguments:
        rows: of the kernel.
        eval_rows: rows of the evaluation set.
        rank: how many features are wanted; all if None.
        dtype: of the network.
    """
    if rank is not None:
        check_whole("rank", rank, "give a number of features, or None for all")
    wanted = rows if rank is None else min(rank, rows)
    # the kernel and, in float64, its copy, its eigenvectors and those times their roots, and kernels of evaluation rows
    whole = rows**2 * (dtype.itemsize + 3 * 8) + (rows + eval_rows) * rows * dtype.itemsize
    each = (rows + eval_rows) * (3 * 8 + dtype.itemsize)
    if whole <= _MEMORY:
        return True
    fits = max(1, _MEMORY // (2 * each) - _EXTRA)
    if rank is None or wanted > fits:
        raise ValueError(
            f"the kernel has {rows} rows, which take {whole / 2**30:.3g} GiB"
            f"{'' if rank is None else f', and {rank} features of it {2 * wanted * each / 2**30:.3g}'}, more than the "
            f"{_MEMORY / 2**30:.3g} GiB that it may take: give rank={fits} or less, which fits, fewer examples, or a "
            "kernel with fewer rows ('trace' in place of 'full')."
        )
    return False


def dense_features(
    kernel: Float[np.ndarray, "rows rows"], cross: Float[np.ndarray, "eval_rows rows"] | None, rank: int | None
) -> KernelFeatures:
    """Features from a whole kernel, and those of other rows from their kernel with the training rows."""
    dtype, rows = kernel.dtype, kernel.shape[0]
    trace = float(np.trace(kernel, dtype=np.float64))
    # this driver works in place, and another one would need twice the memory
    values, vectors = scipy.linalg.eigh(kernel.astype(np.float64), overwrite_a=True, check_finite=False, driver="evr")
    values, vectors = values[::-1], vectors[:, ::-1]
    keep = int(np.sum(values > values[0] * _SMALLEST[dtype.name])) if values[0] > 0 else 0
    if keep == 0:
        raise ValueError("the kernel is zero: the outputs depend on no parameter at these parameters.")
    keep = keep if rank is None else min(keep, rank)
    values, vectors = values[:keep], vectors[:, :keep]
    held_out = None if cross is None else (cross @ (vectors / np.sqrt(values))).astype(dtype)
    share = min(1.0, float(values.sum()) / trace)
    return KernelFeatures((vectors * np.sqrt(values)).astype(dtype), held_out, keep, rows, share)


def drawn_features(
    product: Callable[[np.ndarray], np.ndarray],
    cross: Callable[[np.ndarray], np.ndarray] | None,
    rows: int,
    rank: int,
    trace: float,
    dtype: np.dtype,
) -> KernelFeatures:
    """The leading features of a kernel of which only products with vectors are known.

    Two passes of a block power iteration from random vectors, then the approximation of Nystrom from their span
    (Tropp, Yurtsever, Udell, Cevher, Fixed-rank approximation of a positive-semidefinite matrix from streaming data,
    2017).

    Arguments:
        product: vectors of shape (rows, many) -> the kernel times them.
        cross: the same for the kernel between the evaluation set and the training set; None without one.
        rows, rank: of the kernel and of the approximation.
        trace: of the whole kernel.
        dtype: of the network.
    """
    many = min(rows, rank + _EXTRA)
    basis = np.random.default_rng(0).standard_normal((rows, many))
    for _ in range(2):
        basis = np.linalg.qr(product(np.linalg.qr(basis)[0].astype(dtype)).astype(np.float64))[0]
    image = product(basis.astype(dtype)).astype(np.float64)
    shift = _SMALLEST[dtype.name] * np.linalg.norm(image, 2)
    image += shift * basis
    inner = basis.T @ image
    root = np.linalg.cholesky((inner + inner.T) / 2)
    vectors, singular, _ = np.linalg.svd(np.linalg.solve(root, image.T).T, full_matrices=False)
    values = singular**2 - shift
    keep = min(rank, int(np.sum(values > values[0] * _SMALLEST[dtype.name])))
    values, vectors = values[:keep], vectors[:, :keep]
    held_out = None if cross is None else cross((vectors / np.sqrt(values)).astype(dtype))
    share = min(1.0, float(values.sum()) / trace)
    return KernelFeatures((vectors * np.sqrt(values)).astype(dtype), held_out, keep, rows, share)


def warn_of_cut(found: KernelFeatures, kernel: str) -> None:
    """Warn where features keep less of a kernel than rounding would."""
    if found.share < 1 - 1e-3:
        warnings.warn(
            f"{found.rank} features keep {found.share:.2%} of the trace of the {kernel} kernel, which has {found.rows} "
            "rows: what is cut is never learnt in the prediction; give a larger rank if there is memory for it.",
            stacklevel=3,
        )
