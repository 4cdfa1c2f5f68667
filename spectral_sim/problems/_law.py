"""The description a power-law problem keeps of itself, so that it can be rebuilt on another rule."""

import equinox as eqx

from .._types import Array, Float


class PowerLaw(eqx.Module):
    """lam_k = k^-alpha and E_k(0) = k^-beta for k = 1 ... max_mode, on `nodes` entries.

    Arguments:
        alpha: eigenvalue exponent.
        beta: energy exponent.
        max_mode: how many modes there are.
        nodes: how many entries stand for them; None for every mode by itself.
    """

    alpha: Float[Array, ""]
    beta: Float[Array, ""]
    max_mode: int = eqx.field(static=True)
    nodes: int | None = eqx.field(static=True)
