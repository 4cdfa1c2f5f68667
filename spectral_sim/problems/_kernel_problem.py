"""Operator problems from a kernel: a Gram matrix, or a kernel function with the inputs it is to see."""

import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._checks import check_finite, check_ndim
from .._types import ArrayLike, as_inexact
from ._feature_map import feature_map, positive_part
from ._kernels import AbstractKernel
from ._operator import OperatorProblem


def from_kernel(
    kernel: Any,
    targets: ArrayLike,
    *,
    inputs: ArrayLike | None = None,
    eval_inputs: ArrayLike | None = None,
    eval_kernel: ArrayLike | None = None,
    method: str = "exact",
    num_features: int | None = None,
    key: Any = None,
    **problem: Any,
) -> OperatorProblem:
    """Build an `OperatorProblem` whose features reproduce a kernel.

    Arguments:
        kernel: a Gram matrix, shape (examples, examples), symmetric positive semidefinite; or a kernel such as
            `rbf()`, with `inputs`.
        targets: shape (examples, outputs) or (examples,).
        inputs: raw inputs, shape (examples, dimensions); with a kernel function only.
        eval_inputs: held-out raw inputs, shape (held_out, dimensions); with a kernel function only.
        eval_kernel: kernel between held-out and training examples, shape (held_out, examples); with a Gram matrix only.
        method: "exact", "nystrom" or "random" features; with a kernel function only.
        num_features: number of features for "nystrom" and "random".
        key: PRNG key of the landmarks or random features.
        **problem: passed on to `OperatorProblem` (`mass`, `eval_targets`, `eval_mass`, `groups`, ...).

    Returns:
        The problem; null directions of a Gram matrix are dropped, so features <= examples.

    Raises:
        ValueError: a matrix that is not square, symmetric or positive semidefinite, or arguments of the other form.
    """
    if isinstance(kernel, AbstractKernel):
        if inputs is None or eval_kernel is not None:
            raise ValueError("a kernel function takes inputs= (and eval_inputs=), not eval_kernel=.")
        features = feature_map(kernel, inputs, method=method, num_features=num_features, key=key)
        held_out = None if eval_inputs is None else features(eval_inputs)
        return OperatorProblem(features(inputs), targets, eval_features=held_out, **problem)
    if inputs is not None or eval_inputs is not None or method != "exact":
        raise ValueError("a Gram matrix takes eval_kernel=, not inputs=, eval_inputs= or method=.")
    values, vectors = _eigh(kernel)
    dtype = as_inexact(kernel).dtype
    held_out = None
    if eval_kernel is not None:
        check_ndim("eval_kernel", eval_kernel, 2, "held_out, examples")
        check_finite("eval_kernel", eval_kernel)
        if np.shape(eval_kernel)[1] != len(vectors):
            raise ValueError(
                f"eval_kernel has shape {np.shape(eval_kernel)}: its columns are the {len(vectors)} examples."
            )
        held_out = jnp.asarray(np.asarray(eval_kernel, np.float64) @ vectors / np.sqrt(values), dtype)
    return OperatorProblem(jnp.asarray(vectors * np.sqrt(values), dtype), targets, eval_features=held_out, **problem)


def _eigh(kernel: Any) -> tuple[np.ndarray, np.ndarray]:
    """Positive eigenvalues, descending, and their eigenvectors."""
    check_ndim("kernel", kernel, 2, "examples, examples")
    check_finite("kernel", kernel)
    matrix = np.asarray(kernel)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"kernel has shape {matrix.shape}: a Gram matrix is square.")
    scale = np.abs(matrix).max()
    rounding = float(np.finfo(matrix.dtype if matrix.dtype.kind == "f" else np.float64).eps)
    tolerance = scale * len(matrix) * rounding
    skew = np.abs(matrix - matrix.T)
    if skew.max() > 10 * tolerance:
        i, j = np.unravel_index(np.argmax(skew), skew.shape)
        raise ValueError(f"kernel[{i}, {j}] and kernel[{j}, {i}] differ by {skew[i, j]:.3g}: make it symmetric.")
    wide = np.asarray(matrix, np.float64)
    least = np.linalg.eigvalsh((wide + wide.T) / 2)[0]
    if least < -10 * tolerance:
        raise ValueError(f"kernel has the eigenvalue {least:.3g}: it must be positive semidefinite.")
    values, vectors, dropped = positive_part(wide, rounding)
    if dropped.share > 4 * rounding * len(matrix) ** 0.5:  # more than rounding alone puts into null directions
        warnings.warn(
            f"kernel in {matrix.dtype} cannot tell {dropped.count} of its {len(matrix)} directions from rounding: they "
            f"hold {dropped.share:.2g} of the trace and are dropped; give the matrix in float64, or the kernel itself.",
            stacklevel=3,
        )
    return values, vectors
