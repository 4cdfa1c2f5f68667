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
from helpers import KINDS, make_problem, quickly

import spectral_sim as ss
from spectral_sim import dynamics as package
from spectral_sim.testing import check_dynamics

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

NETWORK = ("network",)


@functools.cache
def kernel(shift=0.0):
    """Features of the kernel of the small network; another kernel with a shift. Also while a run is being traced."""
    with jax.ensure_compile_time_eval():
        network = make_problem("network")
        moved = jax.tree.map(lambda x: x + shift, network.params)
        return np.asarray(ss.linearise(network, moved).features)


def relinearised(**leaves):
    return ss.Relinearised(np.stack([kernel(), kernel(0.1)]), (0, 30), max_steps=127, **leaves)


EXAMPLES = {
    "KernelTraining": Example(
        lambda **leaves: ss.KernelTraining(kernel(), max_steps=127, **leaves),
        NETWORK,
        {"learning_rate": [0.05, 0.1, 0.2]},
    ),
    "ModalFlow": Example(ss.ModalFlow, MODAL),
    "NetworkTraining": Example(
        lambda learning_rate: ss.NetworkTraining(learning_rate, max_steps=127),
        NETWORK,
        {"learning_rate": [0.05, 0.1, 0.2]},
    ),
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
    "Relinearised": Example(relinearised, NETWORK, {"learning_rate": [0.05, 0.1, 0.2]}, exact=False),
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
LONG = {"NetworkTraining", "PoolMoments", "PoolTraining", "SGDMoments", "ShellTransport"}  # take long to compile
SAME_STEPS = {"Relinearised"}  # as those of KernelTraining
FIRST = [(name, EXAMPLES[name].kinds[0]) for name in EXAMPLES if name not in SAME_STEPS]
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


def variants(name, given_as=(np.asarray, lambda x: x)):
    """The other values of every hyperparameter, as an array and as a number."""
    return [
        EXAMPLES[name].build(**firsts(name) | {leaf: form(value)})
        for leaf, values in EXAMPLES[name].leaves.items()
        for value, form in zip(values[1:], given_as, strict=False)
    ]


def check(name, kind, *parts, **options):
    dynamics = EXAMPLES[name].build(**firsts(name))
    check_dynamics(dynamics, make_problem(kind), GRIDS[dynamics.clock], parts=parts, **options)


@pytest.mark.parametrize(("name", "kind"), ADMITTED)
def test_contract(name, kind):
    check(name, kind, "run", variants=variants(name))
    if kind != EXAMPLES[name].kinds[0]:
        return
    dynamics = EXAMPLES[name].build(**firsts(name))
    steps = ss.simulate(make_problem(kind), ss.uniform(), GRIDS[dynamics.clock], dynamics=dynamics, key=KEY).steps
    assert (steps is None) == (dynamics.clock == "time")


@pytest.mark.parametrize(("name", "kind"), FIRST)
def test_jit_vmap_and_loop_agree(name, kind):
    check(name, kind, "batches", variants=variants(name, given_as=(np.asarray,)))


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, k in FIRST if EXAMPLES[n].exact])
def test_an_interval_may_be_cut_in_two(name, kind):
    check(name, kind, "intervals")


@pytest.mark.parametrize(("name", "kind"), FIRST)
def test_a_member_that_fails_spoils_no_other(name, kind):
    check(name, kind, "failures")


@pytest.mark.parametrize(("name", "kind"), FIRST)
def test_gradients(name, kind):
    """Reverse mode against forward mode and differences, in every leaf and in the schedule; where it compiles quickly
    by every adjoint."""
    example = EXAMPLES[name]
    part = "gradients" if name in LONG else "adjoints"
    check(name, kind, part, sloped={leaf: leaf not in example.flat for leaf in example.leaves})


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(LONG))
def test_every_adjoint(name):
    check(name, EXAMPLES[name].kinds[0], "adjoints")


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


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n in EXAMPLES for k in KINDS if k not in EXAMPLES[n].kinds])
def test_other_kinds_of_problem_are_refused(name, kind):
    if name == "ShellTransport" and kind == "modal":
        with pytest.raises(ValueError, match=r"eigenvalues\[11\] is 0"):
            run(name, make_problem(kind), firsts(name))
        return
    with pytest.raises(TypeError, match=f"{name} advances"):
        run(name, make_problem(kind), firsts(name))
