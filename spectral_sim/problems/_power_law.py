"""Power-law problems, mode by mode or by shell quadrature."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from .._checks import check_finite, is_concrete
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
) -> ModalProblem:
    """Eigenvalues k^-alpha and initial energies k^-beta.

    Either `num_modes` plain modes, or `nodes` quadrature nodes standing for the modes 1 ... `max_mode`. The shell rule
    is accurate to about 1e-12 for weights smooth in log k; at kinks (clips, water-filling) see `quadrature_error`.

    Arguments:
        alpha: eigenvalue exponent, scalar, above 1 (the trace must converge).
        beta: energy exponent, scalar, above 1 (the loss must converge).
        num_modes: number of plain modes.
        max_mode: number of modes that the nodes stand for; 1e8 is fine.
        nodes: number of quadrature nodes, 256 if None.

    Returns:
        A `ModalProblem` whose static loss exponent is (beta - 1) / alpha.

    Raises:
        ValueError: an exponent not above 1, or both or neither of `num_modes` and `max_mode`.
    """
    for name, value in (("alpha", alpha), ("beta", beta)):
        check_finite(name, value, "give an exponent above 1")
        if is_concrete(value) and np.any(np.asarray(value) <= 1):
            raise ValueError(
                f"{name} is {float(np.min(np.asarray(value))):.6g}: the sum over modes diverges; give > 1."
            )
    if (num_modes is None) == (max_mode is None):
        raise ValueError(
            f"num_modes={num_modes} and max_mode={max_mode}: give exactly one, num_modes for plain modes or "
            "max_mode (with nodes) for shell quadrature."
        )
    exponents = as_inexact(alpha), as_inexact(beta)
    dtype = jnp.result_type(*exponents)
    if num_modes is not None:
        if nodes is not None:
            raise ValueError(f"nodes={nodes} is used with max_mode only; drop it, or give max_mode={num_modes}.")
        if int(num_modes) != num_modes or num_modes < 1:
            raise ValueError(f"num_modes is {num_modes}: give a whole number, at least 1.")
        index, multiplicity = np.arange(1.0, int(num_modes) + 1), np.ones(int(num_modes))
        law = PowerLaw(*exponents, int(num_modes), None)
    else:
        assert max_mode is not None
        nodes = 256 if nodes is None else nodes
        rule = shell_rule(max_mode, nodes)
        index, multiplicity = rule.index, rule.multiplicity
        exact = len(index) == max_mode
        law = PowerLaw(*exponents, int(max_mode), None if exact else int(nodes))
    position = jnp.asarray(index, dtype)
    eigenvalues, energies = position**-law.alpha, position**-law.beta
    return ModalProblem(eigenvalues, energies, jnp.asarray(multiplicity, dtype), index=position, law=law)


def doubled_rule(problem: ModalProblem) -> ModalProblem | None:
    """The same power law on twice the nodes; None where every mode stands for itself, or no law is known."""
    law = problem.law
    if law is None or law.nodes is None:
        return None
    return power_law(law.alpha, law.beta, max_mode=law.max_mode, nodes=2 * law.nodes)
