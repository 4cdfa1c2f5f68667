"""Many steps of a linear recursion at once, where one step is diagonal plus rank one.

A step is x <- A x + f u with A = D + u v^T. Its n-th iterate is a contour integral of the resolvent (zeta - A)^-1,
which Sherman and Morrison's formula gives in O(size) at each node.
"""

import jax.numpy as jnp
import numpy as np

from .._types import Array, Float

SHORTEST_POWER = 8
"""The least number of steps that `rank_one_power` takes at once.

Below it the contour meets its own copies, 2 pi n i apart.
"""

_NODES = {jnp.dtype("float32"): 12, jnp.dtype("float64"): 20}  # error 3.9^-nodes: 8e-8 and 2e-12


def rank_one_power(
    value: Float[Array, "size"],
    decrement: Float[Array, "size"],
    left: Float[Array, "size"],
    right: Float[Array, "size"],
    forcing: Float[Array, ""],
    log_diagonal: Float[Array, "size"],
    steps: Float[Array, ""],
) -> Float[Array, "size"]:
    """Take n >= 8 steps of x <- (1 - d) x + u (v . x + f) at once, for non-negative d, u, v, f and x.

    The diagonal part, (1 - d)^n x, is taken exactly; the contour carries what the rank-one part has added, so that a
    component that has decayed by many orders of magnitude keeps its digits. A must have no eigenvalue above 1.

    Arguments:
        value: x.
        decrement: d = 1 - D, given by itself because 1 - D would lose its digits where steps are small.
        left: u.
        right: v.
        forcing: f.
        log_diagonal: log(1 - d).
        steps: n, a whole number.

    Source:
        Trefethen, Weideman and Schmelzer, Talbot quadratures and rational approximations (2006), for the contour and
        its nodes; their exp(z) becomes zeta^n with zeta = exp(z / n).
    """
    node_real, node_imag, weight = _nodes(_NODES[jnp.dtype(value.dtype)])
    dtype = value.dtype
    # p = n (zeta - 1), without cancellation for many steps, in real arithmetic: complex division is slow
    angle, growth = node_imag.astype(dtype) / steps, jnp.expm1(node_real.astype(dtype) / steps)
    sine = jnp.sin(angle / 2)
    p_real = steps * (growth - 2 * (1 + growth) * sine**2)
    p_imag = steps * (1 + growth) * jnp.sin(angle)
    # n R_k = 1 / (p + n d_k) = (real - i imag) q
    real = p_real[:, None] + steps * decrement
    q = 1 / (real**2 + p_imag[:, None] ** 2)
    real_part = real * q

    def resolved(vector):
        """sum_k v_k n R_k vector_k at every node."""
        product = right * vector
        return jnp.sum(real_part * product, axis=1) - 1j * p_imag * jnp.sum(q * product, axis=1)

    p = p_real + 1j * p_imag
    source = resolved(value) + forcing / p
    step_weight = weight.astype(p.dtype) * (1 + p / steps) * steps
    factor = step_weight * source / (1 - steps * resolved(left))
    # what a positive recursion adds is positive; rounding may leave a component below
    added = jnp.sum(factor.real[:, None] * real_part + (factor.imag * p_imag)[:, None] * q, axis=0)
    return jnp.exp(steps * log_diagonal) * value + left * jnp.maximum(added, 0)


def _nodes(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes z of the upper half plane, in parts, and their weights: Re sum w F(z) = (1 / 2 pi i) int e^z F(z) dz."""
    angle = (2 * np.arange(count // 2) + 1) * np.pi / count
    a, b, c, shift = 0.6407, 0.5017, 0.2645, 0.6122
    real, imag = count * (b * angle / np.tan(a * angle) - shift), count * c * angle
    slope = count * (b / np.tan(a * angle) - a * b * angle / np.sin(a * angle) ** 2 + 1j * c)
    return real, imag, 2 * np.exp(real + 1j * imag) * slope / (1j * count)
