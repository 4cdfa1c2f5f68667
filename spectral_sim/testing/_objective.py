"""What every objective owes a search."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from .._simulate import simulate
from .._trajectory import Trajectory
from .._types import ArrayLike
from ..dynamics import AbstractDynamics
from ..learning import AbstractObjective, save_costs
from ..problems import AbstractProblem
from ..schedules import proportional
from ._common import run_parts


def check_objective(
    objective: AbstractObjective,
    problem: AbstractProblem | None = None,
    times: ArrayLike | None = None,
    *,
    dynamics: AbstractDynamics | None = None,
) -> None:
    """Hold an objective to what searches and gaps rely on.

    It is a finite number with a finite gradient; it never grows when the loss falls everywhere, so that its value on a
    lower bound is one on every schedule; under jit it is the same.

    Arguments:
        objective: the objective.
        problem: what runs; a problem with modes if None.
        times: refresh grid, of steps for dynamics that take steps; a short one if None.
        dynamics: how the learner moves; the default of the problem if None.

    Raises:
        AssertionError: an invariant does not hold; the message says which.
    """
    problem, dynamics, grid, key = run_parts(problem, times, dynamics)
    objective.check(grid, float(problem.floor))
    run = simulate(problem, proportional(1.0), grid, save=save_costs, dynamics=dynamics, key=key)

    def value(loss, saved=run.saved):
        return objective(Trajectory(run.times, loss, saved, run.status, run.refresh, steps=run.steps))

    at = value(run.loss)
    chex.assert_shape(at, ())
    assert np.isfinite(at), f"the objective of a good run is {at}"
    np.testing.assert_allclose(jax.jit(value)(run.loss), at, rtol=1e-6, err_msg="with and without jit")
    gradient = jax.grad(value)(run.loss)
    assert np.isfinite(gradient).all(), "its gradient is not finite"
    lower = run.loss * jnp.linspace(0.99, 0.9, len(grid), dtype=run.loss.dtype)
    assert value(lower) <= at, "it grows when the loss falls"
    assert objective.measures in ("loss", "time"), f"measures = {objective.measures!r}: give 'loss' or 'time'"
    if not objective.needs_weights:
        bare = value(run.loss, None)
        np.testing.assert_array_equal(bare, at, err_msg="it reads more than the loss: set needs_weights = True")
