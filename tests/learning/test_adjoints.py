"""Gradients through whole runs: modes of differentiation, adjoints, precision and memory."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spectral_sim as ss

ADJOINTS = ("direct", "stored", "checkpointed")
OBJECTIVES = {
    "terminal": ss.terminal_log_loss(),
    "anytime": ss.anytime_log_loss(),
    "time to target": ss.learning.soft_time_to_target(0.05, 0.3),
    "penalised": ss.learning.penalised(
        ss.anytime_log_loss(), divergence=0.1, smoothness=0.01, sample_size=0.01, scoring=0.1
    ),
}


def problems():
    rng = np.random.default_rng(0)
    features, targets = rng.standard_normal((9, 4)), rng.standard_normal((9, 2))
    return {
        "modal": ss.power_law(2.0, 1.7, max_mode=1e5, nodes=64),
        "data": ss.OperatorProblem(features, targets, eval_features=features[:5] + 0.1, eval_targets=targets[:5]),
        # the identity covariance has one eigenvalue four times over
        "repeated eigenvalues": ss.OperatorProblem(np.kron(np.eye(4), np.ones((2, 1))), rng.standard_normal((8, 2))),
    }


def schedules(problem, times):
    key = jax.random.key(1)
    practical = ss.chain(ss.lag(0.5), ss.delay(0.4, slots=3), ss.proportional(0.7), ss.clip(0.2, 3.0), ss.smooth(0.3))
    return {
        "table": ss.TableSchedule.create(problem, times, scale=0.5, key=key),
        "capped table": ss.TableSchedule.create(problem, times, cap=(0.1, 2.5), min_spacing=0.5, scale=0.5, key=key),
        "policy": ss.PolicySchedule.create(key, width=4, depth=1),
        "chain": practical,
    }


def value_of(problem, schedule, times, adjoint):
    return ss.anytime_log_loss()(ss.simulate(problem, schedule, times, adjoint=adjoint, throw=False))


@pytest.mark.parametrize(
    ("problem_name", "schedule_name"),
    [
        ("modal", "capped table"),
        ("modal", "policy"),
        ("data", "table"),
        ("data", "chain"),
        ("repeated eigenvalues", "chain"),
        # each problem and each schedule stands above once
        pytest.param("modal", "table", marks=pytest.mark.slow),
        pytest.param("modal", "chain", marks=pytest.mark.slow),
        pytest.param("data", "capped table", marks=pytest.mark.slow),
        pytest.param("data", "policy", marks=pytest.mark.slow),
        pytest.param("repeated eigenvalues", "table", marks=pytest.mark.slow),
    ],
)
def test_reverse_forward_and_differences_agree(problem_name, schedule_name):
    """For every objective, along one random direction of all trainable leaves; in the weights and in the problem."""
    problem = problems()[problem_name]
    times = np.concatenate([[0.0], np.geomspace(0.1, 20.0, 8)])
    schedule = schedules(problem, times)[schedule_name]
    moving, fixed = eqx.partition((problem, schedule), eqx.is_inexact_array)
    leaves, structure = jax.tree.flatten(moving)
    rng = np.random.default_rng(2)
    step = [jnp.asarray(rng.standard_normal(x.shape)) * (jnp.abs(x) + 1e-3) for x in leaves]
    direction = jax.tree.unflatten(structure, step)
    if problem_name == "modal":  # tables are piecewise linear in the mode number, with modes on the knots
        direction = eqx.tree_at(lambda d: d[0].index, direction, jnp.zeros_like(problem.index))

    @jax.jit
    def values(step):
        both = eqx.combine(jax.tree.map(lambda x, d: x + step * d, moving, direction), fixed)
        run = ss.simulate(*both, times, save=ss.learning.save_costs, throw=False)
        return jnp.stack([objective(run) for objective in OBJECTIVES.values()])

    step = 1e-7  # short: where the largest residual passes from one mode to another the derivative jumps
    difference = (8 * (values(step) - values(-step)) - (values(2 * step) - values(-2 * step))) / (12 * step)
    forward = jax.jacfwd(values)(0.0)
    reverse = jax.jacrev(values)(0.0)
    assert np.abs(forward).max() > 1e-3
    np.testing.assert_allclose(reverse, forward, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(forward, difference, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("problem_name", ["modal", "data"])
def test_adjoints_give_the_same_gradient(problem_name):
    problem = problems()[problem_name]
    times = ss.log_times(0.1, 20.0, 24)  # 23 intervals: segments do not fit evenly
    table = schedules(problem, times)["table"]
    gradients = []
    for adjoint in ADJOINTS:
        value = eqx.filter_jit(eqx.filter_grad(lambda s, a=adjoint: value_of(problem, s, times, a)))
        gradients.append(value(table).log_weights.values)
    assert np.abs(gradients[0]).max() > 1e-4
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(gradients[2], gradients[0], rtol=1e-10, atol=1e-14)


def test_float32_gradients_survive_eight_decades_and_4096_refreshes():
    times = ss.log_times(1.0, 1e8, 4096)
    gradients = {}
    for dtype in (np.float32, np.float64):
        problem = ss.power_law(dtype(2), dtype(2), max_mode=1e7, nodes=128)
        table = ss.TableSchedule.create(problem, times, num_basis=8)
        tilt = jnp.linspace(0, 2, 8, dtype=dtype)

        def value(values, problem=problem, table=table):
            schedule = ss.TableSchedule(ss.PerRefresh(jnp.broadcast_to(values, (4096, 8))), None)
            return ss.anytime_log_loss()(ss.simulate(problem, schedule, times, throw=False))

        gradients[dtype] = jax.jit(jax.grad(value))(tilt)
    exact = gradients[np.float64]
    assert gradients[np.float32].dtype == np.float32
    assert np.abs(gradients[np.float32] - exact).max() <= 1e-4 * np.abs(exact).max()


def test_memory_grows_no_faster_than_the_root_of_the_times():
    def temporary(num_times):
        problem = ss.power_law(np.float32(2), np.float32(2), num_modes=512)
        times = ss.log_times(0.1, 1e4, num_times)
        values = jnp.zeros((64, num_times, 8), jnp.float32)

        def value(values):
            schedule = ss.TableSchedule(ss.PerRefresh(values), None)
            return ss.anytime_log_loss()(ss.simulate(problem, schedule, times, throw=False))

        compiled = jax.jit(jax.vmap(jax.grad(value))).lower(values).compile()
        # aside from the gradient of the table, and the table itself with times in front
        return compiled.memory_analysis().temp_size_in_bytes - 2 * values.nbytes

    assert temporary(4096) <= 4 * temporary(256)


def test_times_are_not_differentiable():
    problem = problems()["modal"]
    with pytest.raises(TypeError, match="times are constants of a run"):
        jax.grad(lambda t: ss.simulate(problem, ss.uniform(), jnp.array([0.0, 1.0]) * t).loss[-1])(2.0)


def test_the_derivative_at_uniform_weights_knows_that_their_mean_is_one():
    """There weights need no normalising, but those beside them do."""
    problem, times = problems()["modal"], np.array([0.0, 0.5, 2.0, 7.0])
    table = ss.TableSchedule.create(problem, times)
    moved = jnp.asarray(np.random.default_rng(4).standard_normal(table.log_weights.values.shape)) + 1.0

    @jax.jit
    def value(step):
        return value_of(problem, ss.TableSchedule(ss.PerRefresh(step * moved)), times, "checkpointed")

    difference = (value(1e-5) - value(-1e-5)) / 2e-5
    np.testing.assert_allclose(jax.grad(value)(0.0), difference, rtol=1e-7)
