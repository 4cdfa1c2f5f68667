"""Power-law problems, mode by mode or by shell quadrature."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._checks import check_entries, check_finite, check_positive
from .._types import Array, ArrayLike, Float, as_inexact
from ..numerics import shell_rule
from ._modal import AbstractLaw, ModalProblem


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

    def rebuilt(self, problem: ModalProblem, values: dict[str, Any]) -> ModalProblem:
        """The nodes of a rule do not depend on the exponents."""
        law = dataclasses.replace(self, **{name: jnp.asarray(value, problem.dtype) for name, value in values.items()})
        return problem.with_entries(*law.spectrum(problem.index), law=law)

    def refined(self, problem: ModalProblem) -> ModalProblem | None:
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


def power_law(
    alpha: Any,
    beta: Any,
    *,
    num_modes: int | None = None,
    max_mode: float | None = None,
    nodes: int | None = None,
    eigenvalue_scale: Any = 1.0,
    energy_scale: Any = 1.0,
    floor: Any = 0.0,
    breaks: Sequence[float] = (),
) -> ModalProblem:
    """Eigenvalues c k^-alpha and initial energies s k^-beta.

    Either `num_modes` plain modes, or `nodes` quadrature nodes standing for the modes 1 ... `max_mode`. The shell rule
    is accurate to about 1e-12 for weights smooth in log k. Weights that jump after a known mode (a band limit, hard
    pruning) cost up to a percent unless the mode is among `breaks`; at kinks that move (clips, water-filling) see
    `quadrature_error`.

    The exponents, the scales and the floor may be traced, so that a fit can differentiate in them.

    Arguments:
        alpha: eigenvalue exponent, scalar, above 1 (the trace must converge).
        beta: energy exponent, scalar, above 1 (the loss must converge).
        num_modes: number of plain modes.
        max_mode: number of modes that the nodes stand for; 1e8 is fine.
        nodes: number of quadrature nodes, 256 if None; shared out over more panels where there are breaks.
        eigenvalue_scale: c, scalar, positive, per unit of time.
        energy_scale: s, scalar, positive.
        floor: loss that no training removes, scalar, not negative; part of every loss recorded.
        breaks: modes k such that weights may jump between k and k + 1, as exact then as smooth ones.

    Returns:
        A `ModalProblem` whose static loss exponent is (beta - 1) / alpha.

    Raises:
        ValueError: an exponent not above 1, a scale that is not positive, a negative floor, both or neither of
            `num_modes` and `max_mode`, or more breaks than the nodes can serve.
    """
    for name, value in (("alpha", alpha), ("beta", beta)):
        check_finite(name, value, "give an exponent above 1")
        check_entries(name, value, lambda x: x > 1, "the sum over modes diverges; give > 1")
    if (num_modes is None) == (max_mode is None):
        raise ValueError(
            f"num_modes={num_modes} and max_mode={max_mode}: give exactly one, num_modes for plain modes or "
            "max_mode (with nodes) for shell quadrature."
        )
    for name, value in (("eigenvalue_scale", eigenvalue_scale), ("energy_scale", energy_scale)):
        check_positive(name, value)
    exponents = as_inexact(alpha), as_inexact(beta)
    dtype = jnp.result_type(*exponents)
    scales = jnp.asarray(eigenvalue_scale, dtype), jnp.asarray(energy_scale, dtype)
    if num_modes is not None:
        if nodes is not None:
            raise ValueError(f"nodes={nodes} is used with max_mode only; drop it, or give max_mode={num_modes}.")
        if len(breaks):
            raise ValueError(
                f"breaks={tuple(breaks)} are used with max_mode only: plain modes have no panels; drop it."
            )
        if int(num_modes) != num_modes or num_modes < 1:
            raise ValueError(f"num_modes is {num_modes}: give a whole number, at least 1.")
        index, multiplicity = np.arange(1.0, int(num_modes) + 1), np.ones(int(num_modes))
        law = PowerLaw(*exponents, int(num_modes), None, *scales)
    else:
        assert max_mode is not None
        nodes = 256 if nodes is None else nodes
        breaks = tuple(float(edge) for edge in breaks)
        rule = shell_rule(max_mode, nodes, breaks)
        index, multiplicity = rule.index, rule.multiplicity
        exact = len(index) == max_mode
        law = PowerLaw(*exponents, int(max_mode), None if exact else int(nodes), *scales, breaks)
    position = jnp.asarray(index, dtype)
    spectrum = law.spectrum(position)
    return ModalProblem(*spectrum, jnp.asarray(multiplicity, dtype), index=position, law=law, floor=floor)


def doubled_rule(problem: ModalProblem) -> ModalProblem | None:
    """The same law on twice the nodes; None where every mode stands for itself, or no law is known.

    Arguments:
        problem: with modes.
    """
    return None if problem.law is None else problem.law.refined(problem)
