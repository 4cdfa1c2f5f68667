"""Shells: cells in the logarithm of the eigenvalue, and how far a drift sweeps across their edges."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._checks import check_finite, check_positive, is_concrete
from .._types import Array, ArrayLike, Float
from .._where import where
from ..problems import ModalProblem


class Edges(eqx.Module):
    """Edges of shells in descending order of eigenvalue.

    Arguments:
        log: logarithm of the eigenvalue at the edges, shape (shells + 1,), descending.
        width: width of each shell in the logarithm, shape (shells,).
        spacing: distance between the middles of neighbouring shells, shape (shells - 1,).
    """

    log: Float[Array, "edges"]
    width: Float[Array, "shells"]
    spacing: Float[Array, "gaps"]


def shell_edges(problem: ModalProblem) -> Edges:
    """Every entry of a spectrum as a shell: edges halfway, in the logarithm, between neighbouring eigenvalues."""
    middle = jnp.log(problem.eigenvalues)
    inner = (middle[:-1] + middle[1:]) / 2
    first, last = 2 * middle[:1] - inner[:1], 2 * middle[-1:] - inner[-1:]
    log = jnp.concatenate([first, inner, last])
    width = log[:-1] - log[1:]
    return Edges(log, width, (width[:-1] + width[1:]) / 2)


def check_shells(problem: ModalProblem) -> None:
    """Raise unless eigenvalues are positive, all different and at least three."""
    if problem.eigenvalues.shape[0] < 3:
        raise ValueError(f"the spectrum has {problem.eigenvalues.shape[0]} entries: transport needs 3 shells or more.")
    if not is_concrete(problem.eigenvalues):
        return
    values = np.asarray(problem.eigenvalues)
    check_positive(
        "eigenvalues", values, "transport moves energy along log eigenvalue; drop modes that are never learnt"
    )
    same = np.flatnonzero(np.diff(values) == 0)
    if same.size:
        raise ValueError(
            f"eigenvalues[{same[0]}] and eigenvalues[{same[0] + 1}] are both {values[same[0]]:.6g}: shells of no width "
            "carry nothing; merge them with multiplicity=."
        )


def swept_log_distance(log_eigenvalue: Array, shift: Array, exponent: Array) -> Array:
    """log(lam0 / lam) for the eigenvalue lam0 that the drift lam' = -c lam^b carries to lam, with shift = int c dt.

    lam0^(1 - b) = lam^(1 - b) + (1 - b) shift, so log(lam0 / lam) = y phi((1 - b) y) with y = shift lam^(b - 1) and
    phi(z) = log(1 + z) / z, which is smooth through b = 1. Infinite where lam0 lies beyond every eigenvalue.
    """
    y = shift * jnp.exp((exponent - 1) * log_eigenvalue)
    z = (1 - exponent) * y
    small = jnp.abs(z) < 1e-3
    series = 1 - z / 2 + z**2 / 3 - z**3 / 4 + z**4 / 5
    beyond = z <= -1
    safe = where(small | beyond, 1, z)
    return where(beyond, jnp.inf, y * where(small, series, jnp.log1p(safe) / safe))


def log_shells(
    density: ArrayLike, largest: ArrayLike, smallest: ArrayLike, *, multiplicity: ArrayLike | None = None
) -> ModalProblem:
    """A spectrum in shells of equal width in the logarithm of the eigenvalue, for `ShellTransport`.

    Arguments:
        density: residual energy per unit of log eigenvalue in the middle of each shell, shape (shells,), largest
            eigenvalue first: lam g(lam) for an energy density g(lam).
        largest: upper edge of the first shell.
        smallest: lower edge of the last shell, positive.
        multiplicity: how many modes each shell holds, shape (shells,), which sets what a unit of weight costs; ones if
            None. For eigenvalues k^-alpha it is proportional to lam^(-1/alpha).

    Returns:
        A `ModalProblem`; m_k E_k is the energy in shell k.

    Raises:
        ValueError: edges that do not descend, or densities as in `ModalProblem`.
    """
    check_finite("largest", largest)
    check_positive("smallest", smallest, "give the lower edge of the last shell")
    if is_concrete(largest, smallest) and np.any(np.asarray(largest) <= np.asarray(smallest)):
        raise ValueError(f"largest={largest} is not above smallest={smallest}: give descending edges.")
    energy = jnp.asarray(density)
    count = energy.shape[0]
    top, bottom = jnp.log(jnp.asarray(largest, float)), jnp.log(jnp.asarray(smallest, float))
    width = (top - bottom) / count
    middle = top - width * (jnp.arange(count) + 0.5)
    energy = energy * width if multiplicity is None else energy * width / jnp.asarray(multiplicity)
    eigenvalues = jnp.exp(middle)
    return ModalProblem(eigenvalues.astype(energy.dtype), energy, multiplicity)
