"""A data problem whose spectrum is known: power-law kernels on a grid of points."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from .._checks import check_choice, check_finite
from .._types import as_inexact
from ._operator import OperatorProblem


def torus(
    alpha: Any,
    beta: Any,
    num_examples: int,
    basis: str = "fourier",
    *,
    signs: str = "random",
    seed: int = 0,
) -> OperatorProblem:
    """As many examples as modes, eigenvalues k^-alpha and target energies k^-beta in an orthonormal basis.

    Uniform weights give exactly the loss of `power_law(alpha, beta, num_modes=num_examples)`; weights on examples mix
    the modes. Random signs spread the target over space, equal signs concentrate it, which matters much to curation.

    Arguments:
        alpha: eigenvalue exponent, scalar.
        beta: energy exponent, scalar.
        num_examples: number of examples and of modes; a power of two for "haar".
        basis: "fourier" (real, ordered by frequency), "haar" (ordered by scale) or "random" (orthogonal).
        signs: "random" or "plus", the signs of the target's coefficients.
        seed: seed of the signs and of the random basis.

    Returns:
        An `OperatorProblem` with one output and equal mass.

    Raises:
        ValueError: unknown basis or signs, or a size that the basis does not exist for.
    """
    check_choice("basis", basis, _BASES)
    check_choice("signs", signs, ("random", "plus"))
    if num_examples < 2:
        raise ValueError(f"num_examples is {num_examples}: give at least 2.")
    sign_rng, basis_rng = np.random.default_rng(seed).spawn(2)
    functions = _BASES[basis](num_examples, basis_rng)
    sign = sign_rng.choice([-1.0, 1.0], num_examples) if signs == "random" else np.ones(num_examples)
    for name, value in (("alpha", alpha), ("beta", beta)):
        check_finite(name, value, "give a finite exponent")
    alpha, beta = as_inexact(alpha), as_inexact(beta)
    index = jnp.arange(1, num_examples + 1, dtype=jnp.result_type(alpha, beta))
    orthonormal = jnp.asarray(functions, index.dtype)
    return OperatorProblem(
        orthonormal * index ** (-alpha / 2), orthonormal @ (jnp.asarray(sign, index.dtype) * index ** (-beta / 2))
    )


def _fourier(size: int, rng: np.random.Generator) -> np.ndarray:
    """Real Fourier functions on size equally spaced points: constant, then cosine and sine by frequency."""
    angle = 2 * np.pi * np.outer(np.arange(size), np.arange(1, size // 2 + 1)) / size
    pairs = np.sqrt(2) * np.stack([np.cos(angle), np.sin(angle)], axis=-1).reshape(size, -1)
    functions = np.concatenate([np.ones((size, 1)), pairs], axis=1)[:, :size]
    if size % 2 == 0:
        functions[:, -1] /= np.sqrt(2)  # the highest frequency alternates between -1 and 1
    return functions


def _haar(size: int, rng: np.random.Generator) -> np.ndarray:
    """Haar wavelets on size points, coarse scales first."""
    if size & (size - 1):
        raise ValueError(
            f"num_examples is {size}: the Haar basis needs a power of two, such as {2 ** size.bit_length()}."
        )
    functions = np.ones((1, 1))
    while functions.shape[0] < size:
        coarse = np.kron(functions, [[1.0], [1.0]])
        fine = np.sqrt(functions.shape[0]) * np.kron(np.eye(functions.shape[0]), [[1.0], [-1.0]])
        functions = np.concatenate([coarse, fine], axis=1)
    return functions


def _random(size: int, rng: np.random.Generator) -> np.ndarray:
    """A random orthogonal basis."""
    return np.sqrt(size) * np.linalg.qr(rng.standard_normal((size, size)))[0]


_BASES = {"fourier": _fourier, "haar": _haar, "random": _random}
