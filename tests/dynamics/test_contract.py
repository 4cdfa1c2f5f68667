"""What every dynamics owes the loop, checked over a registry."""

import functools
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import KINDS, QUICK, make_problem, quickly

import spectral_sim as ss
from spectral_sim import dynamics as package

GRIDS = {"time": 0.8 * np.array([0.0, 1, 3, 4, 12, 25]), "steps": 8 * np.array([0, 1, 3, 4, 12, 25])}
LENGTH = 6
KEY = jax.random.key(3)


class Example(NamedTuple):
    """How to build a dynamics.

    Arguments:
        build: `build(**leaves) -> dynamics`.
        kinds: the kinds of problem that it advances, of those in `helpers`.
        leaves: values of each array hyperparameter; the first is the one that derivatives are taken at.
        exact: an interval may be cut into two without a change of the result.
        flat: hyperparameters that the loss depends on in steps, so that the gradient is zero.
    """

    build: Callable[..., ss.AbstractDynamics]
    kinds: tuple[str, ...]
    leaves: Mapping[str, list[Any]] = MappingProxyType({})
    exact: bool = True
    flat: tuple[str, ...] = ()


MODAL, DATA = ("modal", "shells"), ("operator", "grouped", "held_out")

EXAMPLES = {
    "ModalFlow": Example(ss.ModalFlow, MODAL),
    "OperatorFlow": Example(ss.OperatorFlow, DATA),
    "PoolMoments": Example(
        functools.partial(ss.PoolMoments, max_steps=127),
        DATA,
        {"learning_rate": [0.1, 0.16, 0.2], "batch_size": [2.5, 1.0, 40.0], "noise_variance": [0.3, 0.0, 2.0]},
    ),
    "PoolTraining": Example(  # reweighted after drawing, so that derivatives see the weights
        functools.partial(ss.PoolTraining, batch_size=3, draw="weighted", max_steps=127),
        DATA,
        {"learning_rate": [0.1, 0.16, 0.2], "noise_variance": [0.3, 0.0, 2.0]},
        exact=False,  # other draws
    ),
    "SGDMoments": Example(
        ss.SGDMoments,
        MODAL,
        {"learning_rate": [0.1, 0.05, 0.2], "batch_size": [2.5, 1.0, 40.0], "noise_variance": [0.3, 0.0, 2.0]},
    ),
    "SelfGenerated": Example(
        ss.SelfGenerated,
        (*MODAL, *DATA),
        {"fraction": [0.4, 0.1, 0.7], "period": [1.1, 0.0, np.inf], "ratio": [1.1, 5.0, 100.0]},
        exact=False,  # the learner may take a snapshot where an interval ends
        flat=("period", "ratio"),
    ),
    "ShellTransport": Example(
        functools.partial(ss.ShellTransport, max_substeps=31),
        ("shells",),
        {
            "drift_exponent": [1.3, 0.9, 1.0],
            "drift": [0.03, 0.0, -0.02],
            "gamma": [2.0, 1.0, 0.0],
            "source": [0.01, 0, 1],
        },
        exact=False,  # a longer step splits drift and dissipation less finely
    ),
}
ADMITTED = [(name, kind) for name in EXAMPLES for kind in EXAMPLES[name].kinds]
FIRST = [(name, EXAMPLES[name].kinds[0]) for name in EXAMPLES]
TUNABLE = [(name, kind) for name, kind in FIRST if EXAMPLES[name].leaves]


def firsts(name):
    return {leaf: values[0] for leaf, values in EXAMPLES[name].leaves.items()}


def key_for(name):
    return KEY if EXAMPLES[name].build(**firsts(name)).needs_key else None


def grid_for(name):
    return GRIDS[EXAMPLES[name].build(**firsts(name)).clock]


def run(name, problem, leaves, power=0.6, times=None, **options):
    """A closed loop, so that weights depend on what the dynamics shows."""
    dynamics = EXAMPLES[name].build(**leaves)
    times = GRIDS[dynamics.clock] if times is None else times
    options = {"key": key_for(name), "throw": False} | options
    schedule = ss.chain(ss.proportional(power), ss.clip(0.1, 4.0))
    return ss.simulate(problem, schedule, times, dynamics=dynamics, **options)


def test_every_dynamics_has_an_example():
    public = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_")
        and inspect.isclass(value)
        and issubclass(value, ss.AbstractDynamics)
        and value is not ss.AbstractDynamics
    }
    assert public == set(EXAMPLES)
    assert all(hasattr(ss, name) for name in public)


@pytest.mark.parametrize(("name", "kind"), ADMITTED)
def test_contract(name, kind):
    problem, traces = make_problem(kind), []

    def save(observation, weights):
        traces.append(None)
        return weights, observation.energy, observation.log_energy

    base = run(name, problem, firsts(name), save=save)
    traced = len(traces)
    weights, energy, log_energy = (np.asarray(x) for x in base.saved)
    assert (base.status, base.refresh) == (ss.Status.OK, -1)
    assert np.isnan(base.limit)
    chex.assert_type([base.times, base.loss, base.limit, *base.saved], jnp.float64)
    assert (base.steps is None) == (EXAMPLES[name].build(**firsts(name)).clock == "time")
    chex.assert_shape([weights, energy, log_energy], (LENGTH, *problem.mass.shape))
    np.testing.assert_allclose(weights @ np.asarray(problem.mass), 1, atol=1e-12)
    assert np.all(energy >= 0)
    np.testing.assert_allclose(np.exp(log_energy), energy, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(base.loss[0], problem.initial_loss(), rtol=1e-13)
    if kind != "held_out":
        np.testing.assert_allclose(base.loss, jax.vmap(problem.training_loss)(energy), rtol=1e-12)
    assert np.abs(np.diff(base.loss)).min() > 1e-6

    # one trace for every other value, whether given as a number or as an array; each changes something
    for leaf, values in EXAMPLES[name].leaves.items():
        for value, given_as in zip(values[1:], (np.asarray, lambda x: x), strict=True):
            other = run(name, problem, firsts(name) | {leaf: given_as(value)}, save=save)
            assert other.status == ss.Status.OK, (leaf, value)
            assert np.abs(other.loss / base.loss - 1).max() > 1e-4, (leaf, value)
    assert len(traces) == traced, "a changed value traced the run again"

    # only what draws random numbers depends on the key, and it says so
    again = run(name, problem, firsts(name), save=save, key=jax.random.key(4))
    same = np.array_equal(again.loss, base.loss)
    assert same == (not EXAMPLES[name].build(**firsts(name)).needs_key)


@pytest.mark.parametrize(("name", "kind"), FIRST)
def test_looking_at_a_learner_does_not_change_it(name, kind):
    problem, dynamics = make_problem(kind), EXAMPLES[name].build(**firsts(name))
    if dynamics.clock == "steps":
        dynamics, _ = dynamics.on_steps(np.array([0, 2]))
    span = jnp.asarray(2) if dynamics.clock == "steps" else jnp.asarray(1.6)
    state = dynamics.init(problem)
    for time in (0.0, 1.6):
        for _ in range(2):
            seen = dynamics.observe(problem, state, jnp.asarray(time))
            chex.assert_trees_all_equal(seen.state, state)
        state = dynamics.advance(problem, state, jnp.ones_like(problem.mass), span, key_for(name))


@pytest.mark.parametrize(("name", "kind"), FIRST)
def test_jit_vmap_and_loop_agree(name, kind):
    problem, base = make_problem(kind), firsts(name)
    members = [base] + [base | {leaf: values[1]} for leaf, values in EXAMPLES[name].leaves.items()]
    members = [jax.tree.map(lambda x: jnp.asarray(x, float), member) for member in members]
    power = jnp.linspace(0.4, 0.8, len(members))
    loss = lambda leaves, power: run(name, problem, leaves, power).loss
    alone = jax.jit(loss, compiler_options=QUICK)
    looped = [alone(*member) for member in zip(members, power, strict=True)]
    together = jax.jit(jax.vmap(loss), compiler_options=QUICK)(jax.tree.map(lambda *x: jnp.stack(x), *members), power)
    np.testing.assert_allclose(together, np.stack(looped), rtol=1e-9)
    with jax.disable_jit():
        eager = run(name, problem, base, 0.4, times=grid_for(name)[:3]).loss
    np.testing.assert_allclose(eager, looped[0][:3], rtol=1e-9)


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, k in FIRST if EXAMPLES[n].exact])
def test_an_interval_may_be_cut_in_two(name, kind):
    """Advancing twice with the weights held is advancing once."""
    problem, dynamics = make_problem(kind), EXAMPLES[name].build(**firsts(name))
    weights = np.random.default_rng(0).exponential(size=problem.mass.shape)
    schedule = ss.static_weights(weights)

    def state(times):
        return ss.simulate(problem, schedule, times, dynamics=dynamics, save=lambda o, w: o.energy).saved[-1]

    start, first, last = grid_for(name)[[0, 1, 4]]
    parts, whole = state([start, first, last]), state([start, last])
    np.testing.assert_allclose(parts, whole, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize(("name", "kind"), FIRST)
def test_float32_stays_float32(name, kind):
    double = run(name, make_problem(kind), firsts(name)).loss
    with jax.enable_x64(False):
        problem = make_problem.__wrapped__(kind, np.float32)
        single = run(name, problem, firsts(name), save=lambda o, w: (o.energy, o.state))
    chex.assert_type([x for x in jax.tree.leaves(single.saved) if eqx.is_inexact_array(x)], jnp.float32)
    assert single.loss.dtype == jnp.float32
    assert single.status == ss.Status.OK
    if key_for(name) is None:
        np.testing.assert_allclose(single.loss, double, rtol=3e-4)


@pytest.mark.parametrize(("name", "kind"), TUNABLE)
def test_constant_tables_equal_plain_values(name, kind):
    problem, plain = make_problem(kind), firsts(name)
    tables = {leaf: ss.PerRefresh(np.full(LENGTH, value)) for leaf, value in plain.items()}
    expected, tabled = quickly(lambda: [run(name, problem, leaves).loss for leaves in (plain, tables)])
    np.testing.assert_allclose(tabled, expected, rtol=1e-13)


@pytest.mark.parametrize(("name", "kind"), FIRST)
def test_gradients(name, kind):
    """Reverse mode of every adjoint against forward mode and differences, in every leaf and in the schedule."""
    problem = make_problem(kind)
    leaves = jax.tree.map(lambda x: jnp.asarray(x, float), firsts(name) | {"power": 0.6})
    score = np.random.default_rng(1).normal(size=LENGTH - 1)

    def objective(leaves, adjoint=None):
        loss = run(
            name, problem, {k: v for k, v in leaves.items() if k != "power"}, leaves["power"], adjoint=adjoint
        ).loss
        return score @ jnp.log(loss[1:])

    adjoints = ("direct", "stored", "checkpointed")
    value = jax.jit(objective, compiler_options=QUICK)
    reverse = quickly(lambda: [jax.grad(objective)(leaves, adjoint) for adjoint in adjoints])
    forward = quickly(lambda: jax.jacfwd(objective)(leaves))
    for leaf in leaves:
        for each in reverse:
            np.testing.assert_allclose(each[leaf], forward[leaf], rtol=1e-9, err_msg=leaf)
        step = 1e-6 * leaves[leaf]
        at = [float(value(leaves | {leaf: leaves[leaf] + i * step})) for i in (-1, 1)]
        np.testing.assert_allclose((at[1] - at[0]) / (2 * step), forward[leaf], rtol=1e-6, atol=1e-8, err_msg=leaf)
        assert (abs(forward[leaf]) > 1e-3) == (leaf not in EXAMPLES[name].flat), leaf


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n in EXAMPLES for k in KINDS if k not in EXAMPLES[n].kinds])
def test_other_kinds_of_problem_are_refused(name, kind):
    if name == "ShellTransport" and kind == "modal":
        with pytest.raises(ValueError, match=r"eigenvalues\[11\] is 0"):
            run(name, make_problem(kind), firsts(name))
        return
    with pytest.raises(TypeError, match=f"{name} advances"):
        run(name, make_problem(kind), firsts(name))


@pytest.mark.parametrize(("name", "kind"), FIRST)
def test_a_member_that_fails_spoils_no_other(name, kind):
    """A schedule that turns negative for one member: its gradient is zero, the others are as they would be."""
    problem = make_problem(kind)
    static = jnp.linspace(0.5, 1.5, problem.mass.shape[0])

    def loss(scale):
        dynamics = EXAMPLES[name].build(**firsts(name))
        weights = ss.static_weights(jnp.append(static[:-1] * scale, static[-1] * jnp.where(scale > 1.5, -1, 1)))
        return ss.simulate(problem, weights, grid_for(name), dynamics=dynamics, key=key_for(name), throw=False).loss[-1]

    slope = jax.jit(jax.vmap(jax.value_and_grad(loss)), compiler_options=QUICK)
    value, gradient = slope(jnp.array([1.0, 1.2, 2.0]))
    good_value, good_gradient = slope(jnp.array([1.0, 1.2, 1.1]))
    assert np.isnan(value[2])
    assert gradient[2] == 0
    np.testing.assert_allclose(value[:2], good_value[:2], rtol=1e-12)
    np.testing.assert_allclose(gradient[:2], good_gradient[:2], rtol=1e-9, atol=1e-14)
