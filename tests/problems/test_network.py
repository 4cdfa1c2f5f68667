"""A network and its data as a problem: its losses against NumPy, and what is refused before anything is compiled."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import tiny_network, two_layers

import spectral_sim as ss
from spectral_sim.testing import check_problem

RNG = np.random.default_rng(5)
LABELS = RNG.integers(0, 2, 12)
INPUTS = RNG.normal(size=(12, 3))


def by_hand(network, inputs):
    params = jax.tree.map(np.asarray, network.params)
    hidden = np.tanh(np.asarray(inputs) @ params["hidden"]["weights"] + params["hidden"]["bias"])
    return hidden @ params["out"]["weights"]


def test_the_problem_owes_what_problems_owe():
    check_problem(tiny_network(groups=np.arange(12) % 4), [0, 3, 5, 9])


def test_squared_loss_and_its_energies():
    held_out = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2))
    mass = RNG.uniform(0.5, 2.0, 12)
    network = tiny_network(eval_inputs=held_out[0], eval_targets=held_out[1], mass=mass)
    squares = ((np.asarray(network.targets) - by_hand(network, network.inputs)) ** 2).sum(axis=1)
    outputs = network.outputs(network.params, network.inputs)
    np.testing.assert_allclose(network.energy(outputs), squares, rtol=1e-12)
    np.testing.assert_allclose(network.training_loss(squares), 0.5 * mass @ squares / mass.sum(), rtol=1e-12)
    eval_squares = ((held_out[1] - by_hand(network, held_out[0])) ** 2).sum(axis=1)
    np.testing.assert_allclose(network.initial_loss(), 0.5 * eval_squares.mean(), rtol=1e-12)
    assert network.measure == "held-out loss"


@pytest.mark.parametrize("targets", [LABELS, np.eye(2)[LABELS]], ids=["classes", "one-hot"])
def test_cross_entropy_from_classes_and_from_rows(targets):
    network = tiny_network(targets=targets, loss="cross_entropy")
    outputs = by_hand(network, network.inputs)
    share = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    each = -np.log(share[np.arange(12), LABELS])
    np.testing.assert_allclose(network.energy(jnp.asarray(outputs)), 2 * each, rtol=1e-12)
    np.testing.assert_allclose(network.initial_loss(), each.mean(), rtol=1e-12)
    np.testing.assert_allclose(network.descent(outputs, network.targets), np.eye(2)[LABELS] - share, rtol=1e-12)
    np.testing.assert_allclose(network.accuracy(outputs), np.mean(outputs.argmax(axis=1) == LABELS), rtol=1e-12)


def test_groups_carry_the_mean_energy_of_their_examples():
    groups = np.arange(12) % 4
    network, alone = tiny_network(groups=groups), tiny_network()
    outputs = alone.outputs(alone.params, alone.inputs)
    each = np.asarray(alone.energy(outputs))
    np.testing.assert_allclose(network.energy(outputs), [each[groups == g].mean() for g in range(4)], rtol=1e-12)
    np.testing.assert_array_equal(network.per_example(jnp.arange(4.0)), groups)


def test_the_trace_is_that_of_the_jacobian(monkeypatch):
    network = tiny_network()
    jacobian = jax.jacrev(lambda params: network.outputs(params, network.inputs))(network.params)
    squares = sum(float(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(jacobian))
    monkeypatch.setattr("spectral_sim.problems._network._BLOCK_BYTES", 5 * 24 * 2 * 8)  # blocks of five of twelve
    np.testing.assert_allclose(network.trace, squares / 12 / 2, rtol=1e-12)


def test_models_of_other_libraries_are_functions_of_their_parameters():
    model = eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0))
    params, rest = eqx.partition(model, eqx.is_inexact_array)
    network = ss.NetworkProblem(
        lambda p, x: jax.vmap(eqx.combine(p, rest))(x), params, INPUTS, RNG.normal(size=(12, 2))
    )
    expected = jax.vmap(model)(jnp.asarray(INPUTS, network.dtype))
    np.testing.assert_allclose(network.outputs(network.params, network.inputs), expected, rtol=1e-6)

    linen = pytest.importorskip("flax.linen")
    dense = linen.Dense(2)
    flax = ss.NetworkProblem(dense.apply, dense.init(jax.random.key(0), INPUTS), INPUTS, RNG.normal(size=(12, 2)))
    assert flax.num_outputs == 2


class Noise:
    """Another outcome at every call."""

    def __init__(self):
        self.draw = np.random.default_rng(0)

    def __call__(self, params, inputs):
        return inputs @ params + self.draw.normal(size=(inputs.shape[0], 2))


def whitened(params, inputs):
    """Batch norm in training mode."""
    outputs = inputs @ params
    return (outputs - outputs.mean(axis=0)) / jnp.sqrt(outputs.var(axis=0) + 1e-5)


def dropped(params, inputs):
    """A layer that needs a key."""
    return eqx.nn.Dropout(0.5)(inputs) @ params


MATRIX, TARGETS = np.ones((3, 2)), np.arange(24.0).reshape(12, 2)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: tiny_network(targets=np.ones((12, 3))), ValueError, r"targets has shape \(12, 3\).*\(12, 2\)"),
        (lambda: tiny_network(targets=np.ones(11)), ValueError, r"targets has shape \(11,\)"),
        (lambda: tiny_network(loss="cross_entropy", targets=LABELS + 1), ValueError, r"classes from 1 to 2.*2 outputs"),
        (lambda: tiny_network(loss="cross_entropy"), ValueError, r"no probabilities"),
        (lambda: tiny_network(loss="hinge"), ValueError, r"loss='hinge' is not known"),
        (lambda: tiny_network(eval_inputs=INPUTS), ValueError, r"eval_inputs and eval_targets go together"),
        (lambda: ss.NetworkProblem(whitened, MATRIX, INPUTS, TARGETS), ValueError, r"depends on the other examples"),
        (lambda: ss.NetworkProblem(Noise(), MATRIX, INPUTS, TARGETS), ValueError, r"other outputs when it was called"),
        (lambda: ss.NetworkProblem(dropped, MATRIX, INPUTS, TARGETS), ValueError, r"failed.*Dropout.*inference mode"),
        (lambda: ss.NetworkProblem(lambda p, x: (x @ p, 0), MATRIX, INPUTS, TARGETS), TypeError, r"returned a tuple"),
        (lambda: ss.NetworkProblem(lambda p, x: x.T @ x, MATRIX, INPUTS, TARGETS), ValueError, r"for 12 examples"),
        (
            lambda: ss.NetworkProblem(two_layers, {"n": np.arange(3)}, INPUTS, TARGETS),
            ValueError,
            r"params\['n'\] has dtype int64",
        ),
        (
            lambda: ss.NetworkProblem(two_layers, {"w": np.array([1.0, np.nan])}, INPUTS, TARGETS),
            ValueError,
            r"params\['w'\]\[1\] is nan",
        ),
        (
            lambda: ss.NetworkProblem(two_layers, {"f": jnp.tanh}, INPUTS, TARGETS),
            TypeError,
            r"params\['f'\].*eqx\.partition",
        ),
        (lambda: ss.NetworkProblem(two_layers, {}, INPUTS, TARGETS), ValueError, r"holds no arrays"),
        (
            lambda: ss.NetworkProblem(eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0)), MATRIX, INPUTS, TARGETS),
            TypeError,
            r"holds arrays, which nothing would train",
        ),
        (lambda: tiny_network().with_params({"w": np.ones(3)}), ValueError, r"structure"),
    ],
)
def test_bad_input(build, error, message):
    with pytest.raises(error, match=message):
        build()
