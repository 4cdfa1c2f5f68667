"""Power-law problems, mode by mode or by shell quadrature."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._checks import check_entries, check_finite, check_positive
from .._types import as_inexact
from ..numerics import shell_rule
from ._law import PowerLaw
from ._modal import ModalProblem


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
    """The same law on twice the nodes; None where every mode stands for itself, or no law is known."""
    return None if problem.law is None else problem.law.refined(problem)
