"""Schedules of different kinds in one program: as if each ran alone."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import EXAMPLES, example, make_problem

import spectral_sim as ss

TIMES = ss.log_times(0.2, 30.0, 7)
DYNAMICS = {
    "modal": [None, ss.SelfGenerated(0.3), ss.SGDMoments(0.02, 2.0, 0.1)],
    "shells": [ss.ShellTransport(1.5, 0.01)],
    "operator": [None, ss.PoolTraining(0.02, 2, 0.1), ss.PoolMoments(0.02, 2.0, 0.1)],
}
CASES = [(kind, each) for kind, all_of_kind in DYNAMICS.items() for each in all_of_kind]


def grid_for(dynamics):
    return np.array([0, 1, 5, 20, 60]) if getattr(dynamics, "clock", "time") == "steps" else TIMES


def few(problem, kind):
    """Ten schedules of every sort: static and not, with and without memory, random, with a second model, a table."""
    names = ("uniform", "proportional", "lag", "clip", "add_noise", "complement", "curriculum", "stale", "top_fraction")
    chosen = {name: example(name, problem) for name in names if kind not in EXAMPLES[name].refused}
    table = ss.TableSchedule.create(problem, TIMES, scale=0.3, key=jax.random.key(2))
    return {**chosen, "static": example("static_weights", problem), "table": table}


@pytest.mark.parametrize(
    ("kind", "dynamics"), CASES, ids=lambda x: type(x).__name__ if isinstance(x, eqx.Module) else x
)
def test_each_runs_as_if_alone(kind, dynamics):
    problem, key, times = make_problem(kind), jax.random.key(5), grid_for(dynamics)
    schedules = few(problem, kind)
    if times is not TIMES:
        del schedules["table"]
    options = {"dynamics": dynamics, "key": key, "save": ss.save_weights, "throw": False}
    together = ss.simulate_many(problem, schedules, times, **options)
    assert together.loss.shape == (len(schedules), len(times))
    for row, (name, schedule) in enumerate(schedules.items()):
        alone = ss.simulate(problem, schedule, times, **options)
        np.testing.assert_allclose(together.loss[row], alone.loss, rtol=1e-9, err_msg=name)
        np.testing.assert_allclose(together.saved[row], alone.saved, rtol=1e-9, atol=1e-12, err_msg=name)
        assert (together.status[row], together.refresh[row]) == (alone.status, alone.refresh)
        np.testing.assert_array_equal(together.times[row], alone.times)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["modal", "operator", "grouped", "held_out"])
def test_every_stage_that_comes_with_the_library(kind):
    problem, key = make_problem(kind), jax.random.key(5)
    schedules = {name: example(name, problem) for name, each in EXAMPLES.items() if kind not in each.refused}
    together = ss.simulate_many(problem, schedules, TIMES, key=key)
    for row, (name, schedule) in enumerate(schedules.items()):
        alone = ss.simulate(problem, schedule, TIMES, key=key)
        np.testing.assert_allclose(together.loss[row], alone.loss, rtol=1e-9, err_msg=name)


def test_gradients_are_those_of_single_runs():
    problem = make_problem("operator")

    def losses(power, tau, run):
        schedules = {"rule": ss.proportional(power), "lagged": ss.chain(ss.lag(tau), ss.proportional(power))}
        return run(problem, schedules)

    together = lambda problem, schedules: ss.simulate_many(problem, schedules, TIMES).loss[:, -1]
    alone = lambda problem, schedules: jnp.stack([ss.simulate(problem, s, TIMES).loss[-1] for s in schedules.values()])
    for mode in (jax.jacrev, jax.jacfwd):
        found, expected = (mode(losses, (0, 1))(0.8, 2.0, run) for run in (together, alone))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)
    assert float(jnp.abs(expected[1][1])) > 1e-6


def test_one_that_fails_changes_no_other_and_is_named():
    problem = make_problem("modal")
    schedules = {"rule": ss.proportional(0.8), "bad": ss.proportional(jnp.float64(400.0)), "static": ss.power_tilt(0.3)}
    schedules["bad"] = eqx.tree_at(lambda s: s.power, schedules["bad"], jnp.nan)
    found = ss.simulate_many(problem, schedules, TIMES, throw=False)
    assert [int(status) for status in found.status] == [0, int(ss.Status.NON_FINITE_WEIGHTS), 0]
    for row, name in ((0, "rule"), (2, "static")):
        np.testing.assert_allclose(found.loss[row], ss.simulate(problem, schedules[name], TIMES).loss, rtol=1e-12)
    with pytest.raises(ss.SimulationError, match=r"schedule 'bad': the schedule returned weights that are NaN"):
        ss.simulate_many(problem, schedules, TIMES)


def test_one_program_serves_them_all_and_runs_inside_jit():
    problem = make_problem("modal")

    @jax.jit
    def final(power):
        schedules = {"uniform": ss.uniform(), "rule": ss.proportional(power), "ideal": ss.water_filling()}
        return ss.simulate_many(problem, schedules, TIMES).loss[:, -1]

    first, second = final(0.5), final(0.9)
    assert final._cache_size() == 1
    assert float(first[0]) == float(second[0])
    assert float(first[1]) != float(second[1])


def test_refusals():
    problem = make_problem("modal")
    with pytest.raises(ValueError, match=r"schedules is \{\}: give a dict of at least one schedule"):
        ss.simulate_many(problem, {}, TIMES)
    with pytest.raises(TypeError, match=r"schedule is 0\.5: give a stage"):
        ss.simulate_many(problem, {"half": 0.5}, TIMES)
    with pytest.raises(ValueError, match="draws random numbers"):
        ss.simulate_many(problem, {"a": ss.uniform(), "b": example("add_noise", problem)}, TIMES)
