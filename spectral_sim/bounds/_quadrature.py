"""How far results on quadrature nodes are from results on every mode."""

from typing import Any

import jax.numpy as jnp

from .._simulate import simulate
from .._types import Array, ArrayLike, Float
from ..problems import AbstractProblem
from ..schedules import AbstractStage


def quadrature_error(
    problem: AbstractProblem, schedule: AbstractStage, times: ArrayLike, **options: Any
) -> Float[Array, "times"]:
    """Relative change of the loss when the run is repeated on a rule with twice the nodes.

    Near 1e-12 for weights smooth in the logarithm of the mode number; near 1e-5 at kinks such as water-filling and
    clips; up to tens of percent at band edges and sharp steps.

    Arguments:
        problem: from `power_law`; without quadrature the error is zero.
        schedule: a schedule that runs on any number of modes.
        times: refresh grid.
        **options: passed on to `simulate`.

    Returns:
        Shape (times,).

    Raises:
        ValueError: a modal problem whose multiplicities did not come from `power_law`, so that no finer rule is known.
    """
    coarse = simulate(problem, schedule, times, **options).loss
    finer, modal = problem.refined(), problem.as_modal()
    if finer is None:
        if modal is not None and modal.law is None and bool(jnp.any(modal.multiplicity != 1)):
            raise ValueError("problem.law is None with multiplicities other than 1: build the problem by power_law().")
        return jnp.zeros_like(coarse)
    return jnp.abs(simulate(finer, schedule, times, **options).loss / coarse - 1)
