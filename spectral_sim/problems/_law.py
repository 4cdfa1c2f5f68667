"""The description that a problem keeps of itself, so that it can be rebuilt with other numbers or on another rule."""

import abc
import dataclasses
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._types import Array, ArrayLike, Float, as_inexact

if TYPE_CHECKING:
    from ._modal import ModalProblem


class AbstractLaw(eqx.Module):
    """What the entries of a modal problem were made from."""

    @abc.abstractmethod
    def numbers(self) -> dict[str, Array]:
        """The scalars that may be swept or differentiated, by name."""

    @abc.abstractmethod
    def check_number(self, name: str, values: ArrayLike) -> None:
        """Raise unless each of `values` may take the place of that number; the message goes on from its name."""

    @abc.abstractmethod
    def rebuilt(self, problem: "ModalProblem", values: dict[str, Any]) -> "ModalProblem":
        """The problem with other numbers, which may be traced.

        Arguments:
            problem: whose spectrum the law made.
            values: new numbers by name.
        """

    @abc.abstractmethod
    def refined(self, problem: "ModalProblem") -> "ModalProblem | None":
        """The problem on twice the nodes; None where every mode stands for itself."""


class PowerLaw(AbstractLaw):
    """A power law: lam_k = c k^-alpha and E_k(0) = s k^-beta for k = 1 ... max_mode, on `nodes` entries.

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
        """Eigenvalues and energies of the modes with these numbers.

        Arguments:
            index: mode numbers from 1, which need not be whole.
        """
        return self.eigenvalue_scale * index**-self.alpha, self.energy_scale * index**-self.beta

    def numbers(self) -> dict[str, Array]:
        return {"alpha": self.alpha, "beta": self.beta}

    def check_number(self, name: str, values: ArrayLike) -> None:
        if np.min(values) <= 1:
            raise ValueError(f"goes down to {np.min(values):.6g}: the sum over modes diverges; give values above 1.")

    def rebuilt(self, problem: "ModalProblem", values: dict[str, Any]) -> "ModalProblem":
        """The nodes of a rule do not depend on the exponents."""
        law = dataclasses.replace(self, **{name: jnp.asarray(value, problem.dtype) for name, value in values.items()})
        return problem.with_entries(*law.spectrum(problem.index), law=law)

    def refined(self, problem: "ModalProblem") -> "ModalProblem | None":
        from ._power_law import power_law

        if self.nodes is None:
            return None
        return power_law(
            self.alpha,
            self.beta,
            max_mode=self.max_mode,
            nodes=2 * self.nodes,
            eigenvalue_scale=self.eigenvalue_scale,
            energy_scale=self.energy_scale,
            floor=problem.floor,
            breaks=self.breaks,
        )
