"""The description a power-law problem keeps of itself, so that it can be rebuilt on another rule."""

import equinox as eqx

from .._types import Array, Float, as_inexact


class PowerLaw(eqx.Module):
    """lam_k = c k^-alpha and E_k(0) = s k^-beta for k = 1 ... max_mode, on `nodes` entries.

    Arguments:
        alpha: eigenvalue exponent.
        beta: energy exponent.
        max_mode: how many modes there are.
        nodes: how many entries stand for them; None for every mode by itself.
        eigenvalue_scale: c.
        energy_scale: s.
        breaks: mode numbers after which a panel of the quadrature ends.
    """

    alpha: Float[Array, ""]
    beta: Float[Array, ""]
    max_mode: int = eqx.field(static=True)
    nodes: int | None = eqx.field(static=True)
    eigenvalue_scale: Float[Array, ""] = eqx.field(converter=as_inexact, default=1.0)
    energy_scale: Float[Array, ""] = eqx.field(converter=as_inexact, default=1.0)
    breaks: tuple[float, ...] = eqx.field(static=True, default=())

    def spectrum(self, index: Float[Array, "modes"]) -> tuple[Float[Array, "modes"], Float[Array, "modes"]]:
        """Eigenvalues and energies of the modes with these numbers."""
        return self.eigenvalue_scale * index**-self.alpha, self.energy_scale * index**-self.beta
