"""What every problem owes the library."""

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._types import ArrayLike
from ..dynamics import AbstractDynamics
from ..problems import AbstractProblem
from ..schedules import uniform
from ._common import QUICK, TIMES, check_run, simulated, stacked, tolerance


def check_problem(
    problem: AbstractProblem, times: ArrayLike = TIMES, *, dynamics: AbstractDynamics | None = None
) -> None:
    """Hold a problem to what the library relies on: forms and signs of all that it says of itself, and a run on it.

    Arguments:
        problem: the problem, with concrete values.
        times: refresh grid of the run.
        dynamics: how it is trained; its own default if None.

    Raises:
        AssertionError: an invariant does not hold; the message says which.
    """
    grid = np.asarray(times, np.float64)
    _check_required(problem)
    _check_optional(problem, grid)
    dynamics = problem.default_dynamics() if dynamics is None else dynamics

    def run(problem):
        save = lambda observation, weights: (weights, observation.energy)
        key = jax.random.key(0) if dynamics.needs_key else None
        return simulated(problem, uniform(), grid, dynamics=dynamics, save=save, key=key)

    alone = run(problem)
    check_run(problem, alone, *alone.saved)
    # a problem is a pytree: it may be an argument of a compiled function, and several may be a batch
    rest = eqx.filter(problem, eqx.is_array, inverse=True)
    batch = eqx.filter(stacked([problem, problem]), eqx.is_array)
    loss = jax.jit(jax.vmap(lambda arrays: run(eqx.combine(arrays, rest)).loss), compiler_options=QUICK)
    rounding = 1e-9 if jnp.finfo(problem.dtype).bits == 64 else 1e-4
    np.testing.assert_allclose(loss(batch), [alone.loss, alone.loss], rtol=rounding, err_msg="a batch of problems")


def _check_required(problem: AbstractProblem) -> None:
    mass, dtype = np.asarray(problem.mass, np.float64), problem.dtype
    assert jnp.issubdtype(dtype, jnp.floating), f"dtype is {dtype}, which is no floating-point type"
    assert mass.ndim == 1, f"mass has shape {mass.shape}: one entry for each weight"
    assert np.all(mass >= 0), "a mass is negative"
    np.testing.assert_allclose(mass.sum(), 1, rtol=tolerance(dtype), err_msg="mass does not sum to 1")
    chex.assert_type([problem.mass, problem.initial_loss()], dtype)
    chex.assert_shape(problem.initial_loss(), ())
    assert float(problem.initial_loss()) > 0, "there is nothing to learn: the initial loss is not positive"
    energy = jnp.linspace(0.5, 1.5, mass.size, dtype=dtype)
    loss = problem.training_loss(energy)
    chex.assert_shape(loss, ())
    chex.assert_type(loss, dtype)
    assert float(problem.training_loss(2 * energy)) > float(loss), "training_loss does not grow with the energies"


def _check_optional(problem: AbstractProblem, times: np.ndarray) -> None:
    size, initial = problem.mass.shape[0], float(problem.initial_loss())
    assert float(problem.trace) > 0, "trace is not positive"
    assert 0 <= float(problem.floor) <= initial * (1 + 1e-6), "floor is not between 0 and the initial loss"
    assert problem.num_examples is None or problem.num_examples >= 1, "num_examples is below 1"
    assert isinstance(problem.measure, str), "measure is no text"
    examples = problem.per_example(jnp.ones(size, problem.dtype))
    chex.assert_equal_shape([examples, problem.example_mass])
    np.testing.assert_array_equal(examples, np.ones(examples.shape), err_msg="weights of one per example")
    np.testing.assert_allclose(np.sum(problem.example_mass), 1, rtol=1e-5, err_msg="example_mass does not sum to 1")
    difficulty = problem.difficulty()
    if difficulty is not None:
        chex.assert_shape(difficulty, (size,))
        assert not np.isnan(difficulty).any(), "a difficulty is NaN"
    for bound in (problem.lower_bound(times), problem.capped_bound(times, 2.0)):
        if bound is not None:
            chex.assert_shape(bound.loss, times.shape)
            slack = initial * 10 * tolerance(problem.dtype)
            assert np.all(np.diff(np.asarray(bound.loss)) <= slack), f"the bound {bound.name} rises"
    modal, data, finer = problem.as_modal(), problem.as_operator(), problem.refined()
    assert modal is None or (modal.as_modal() is modal and modal.mass.shape == (size,)), "as_modal"
    assert data is None or (data.as_operator() is data and data.mass.shape == (size,)), "as_operator"
    assert finer is None or type(finer) is type(problem), "refined() is a problem of another class"
