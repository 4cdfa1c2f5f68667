"""Kernels of networks against their whole Jacobians, however they are computed, and what is cut or refused."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import tiny_network

import spectral_sim as ss
from spectral_sim.fitting import _kernel_features, _network_kernel, kernel_features, linearise_jacobian

HELD_OUT = np.random.default_rng(8).normal(size=(7, 3)), np.random.default_rng(9).normal(size=(7, 2))


@pytest.fixture(scope="module")
def network():
    return tiny_network(eval_inputs=HELD_OUT[0], eval_targets=HELD_OUT[1])


def jacobian(network, inputs, layers=("hidden", "out"), params=None):
    """As (examples, outputs, parameters)."""
    params = network.params if params is None else params
    tree = jax.jacrev(lambda params: network.outputs(params, inputs))(params)
    leaves = jax.tree.leaves({name: tree[name] for name in layers})
    return np.concatenate([np.asarray(leaf).reshape(*leaf.shape[:2], -1) for leaf in leaves], axis=2)


def kernels(kind, left, right):
    if kind == "full":
        return left.reshape(-1, left.shape[2]) @ right.reshape(-1, right.shape[2]).T
    return np.einsum("icp,jcp->ij", left, right) / 2


@pytest.mark.parametrize("kind", ["trace", "full", "last_layer"])
@pytest.mark.parametrize("block", [_network_kernel._BLOCK_BYTES, 5 * 24 * 2 * 8], ids=["whole", "blocks"])
def test_features_give_the_kernel_back(network, monkeypatch, kind, block):
    monkeypatch.setattr(_network_kernel, "_BLOCK_BYTES", block)
    layers = ("out",) if kind == "last_layer" else ("hidden", "out")
    rows, others = (jacobian(network, inputs, layers) for inputs in (network.inputs, network.eval_inputs))
    found = kernel_features(network, kernel=kind)
    np.testing.assert_allclose(found.features @ found.features.T, kernels(kind, rows, rows), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(
        found.eval_features @ found.features.T, kernels(kind, others, rows), rtol=1e-7, atol=1e-7
    )
    assert found.share == pytest.approx(1, abs=1e-9)
    assert found.rows == (24 if kind == "full" else 12)


@pytest.mark.parametrize("kind", ["trace", "full"])
def test_products_alone_give_the_leading_features(network, monkeypatch, kind):
    """The best approximation of that rank, from passes over the data; blocks of examples, vectors and rows."""
    rows = jacobian(network, network.inputs)
    whole = kernels(kind, rows, rows)
    values, vectors = np.linalg.eigh(whole)
    rank = 4
    best = (vectors[:, -rank:] * values[-rank:]) @ vectors[:, -rank:].T
    monkeypatch.setattr(_kernel_features, "_EXTRA", 6)
    monkeypatch.setattr("spectral_sim.fitting._linearise.check_memory", lambda *_: False)
    monkeypatch.setattr(_network_kernel, "_BLOCK_BYTES", 3 * 24 * 8)
    found = kernel_features(network, kernel=kind, rank=rank)
    np.testing.assert_allclose(found.features @ found.features.T, best, atol=2e-3 * values[-1])
    assert found.share == pytest.approx(values[-rank:].sum() / values.sum(), abs=2e-3)
    held_out = kernels(kind, jacobian(network, network.eval_inputs), rows) @ np.linalg.pinv(best) @ best
    np.testing.assert_allclose(found.eval_features @ found.features.T, held_out, atol=3e-2 * values[-1])


def test_a_cut_is_warned_of_with_the_share_that_is_kept(network):
    rows = jacobian(network, network.inputs)
    values = np.linalg.eigvalsh(kernels("trace", rows, rows))
    with pytest.warns(UserWarning, match=rf"2 features keep {values[-2:].sum() / values.sum():.2%} of the trace"):
        problem = ss.linearise(network, rank=2)
    assert problem.features.shape == (12, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ss.linearise(network)


def test_training_starts_from_the_network_wherever_the_kernel_is_taken(network):
    moved = jax.tree.map(lambda x: 1.5 * x, network.params)
    problem = ss.linearise(network, moved)
    np.testing.assert_allclose(
        problem.targets, network.targets - network.outputs(network.params, network.inputs), rtol=1e-12
    )
    rows = jacobian(network, network.inputs, params=moved)
    np.testing.assert_allclose(problem.features @ problem.features.T, kernels("trace", rows, rows), atol=1e-9)
    np.testing.assert_allclose(problem.trace, network.with_params(moved).trace, rtol=1e-9)


def test_units_of_the_parameters(network):
    scale = jax.tree.map(lambda x: jnp.asarray(np.random.default_rng(x.size).uniform(0.5, 2, x.shape)), network.params)
    rows = jacobian(network, network.inputs)
    by_leaf = np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(scale)])
    found = kernel_features(network, scale=scale)
    np.testing.assert_allclose(found.features @ found.features.T, kernels("trace", rows * by_leaf, rows), atol=1e-9)


def test_groups_and_mass_stay_those_of_the_network():
    groups, mass = np.arange(12) % 3, np.random.default_rng(0).uniform(0.5, 2, 12)
    network = tiny_network(groups=groups, mass=mass)
    for kind in ("trace", "full"):
        problem = ss.linearise(network, kernel=kind)
        np.testing.assert_allclose(problem.mass, network.mass, rtol=1e-12)
        outputs = network.outputs(network.params, network.inputs)
        energies = problem.per_weight(jnp.sum(problem.targets**2, axis=1))
        np.testing.assert_allclose(energies, network.energy(outputs), rtol=1e-10)


def test_the_last_layer_is_found_by_what_outputs_are_linear_in():
    """Numbers in names count as numbers, and a branch after the last layer that outputs are not linear in is passed."""
    rng = np.random.default_rng(0)
    params = {"layer_2": rng.normal(size=(3, 4)), "layer_10": rng.normal(size=(4, 2)), "zoom": np.ones(())}
    params = {name: {"w": jnp.asarray(value)} for name, value in params.items()}
    apply = lambda p, x: jnp.tanh(jnp.tanh(p["zoom"]["w"]) * x @ p["layer_2"]["w"]) @ p["layer_10"]["w"]
    inputs = rng.normal(size=(12, 3))
    network = ss.NetworkProblem(apply, params, inputs, rng.normal(size=(12, 2)))
    hidden = np.tanh(np.tanh(1.0) * inputs @ np.asarray(params["layer_2"]["w"]))
    found = kernel_features(network, kernel="last_layer")
    np.testing.assert_allclose(found.features @ found.features.T, hidden @ hidden.T, atol=1e-10)
    bent = ss.NetworkProblem(lambda p, x: jnp.tanh(apply(p, x)), params, inputs, rng.normal(size=(12, 2)))
    with pytest.raises(ValueError, match=r"outputs are linear in no layer"):
        kernel_features(bent, kernel="last_layer")


def test_what_does_not_fit_is_refused_with_the_rank_that_does(network, monkeypatch):
    monkeypatch.setattr(_kernel_features, "_MEMORY", 24_000)
    with pytest.raises(ValueError, match=r"the kernel has 24 rows.*give rank=(\d+) or less") as error:
        kernel_features(network, kernel="full")
    fits = int(str(error.value).split("rank=")[1].split()[0])
    assert fits >= 1
    with pytest.raises(ValueError, match=rf"{fits + 1} features of it.*rank={fits}"):
        kernel_features(network, kernel="full", rank=fits + 1)
    assert kernel_features(network, kernel="full", rank=fits).features.shape == (24, fits)


def test_a_jacobian_from_elsewhere(network):
    rows, others = (jacobian(network, inputs) for inputs in (network.inputs, network.eval_inputs))
    start, held_out = (np.asarray(network.outputs(network.params, x)) for x in (network.inputs, network.eval_inputs))
    for kind in ("trace", "full"):
        given = linearise_jacobian(
            rows,
            start,
            network.targets,
            eval_jacobian=others,
            eval_outputs=held_out,
            eval_targets=network.eval_targets,
            kernel=kind,
        )
        own = ss.linearise(network, kernel=kind)
        times = [0.0, 0.5, 3.0]
        np.testing.assert_allclose(
            ss.simulate(given, ss.proportional(), times).loss,
            ss.simulate(own, ss.proportional(), times).loss,
            rtol=1e-7,
        )
    with pytest.raises(ValueError, match=r"eval_jacobian, eval_outputs and eval_targets go together"):
        linearise_jacobian(rows, start, network.targets, eval_jacobian=others)
    with pytest.raises(ValueError, match=r"outputs has shape \(12, 3\)"):
        linearise_jacobian(rows, np.ones((12, 3)), network.targets)
    with pytest.raises(ValueError, match=r"kernel='last_layer' is not known"):
        linearise_jacobian(rows, start, network.targets, kernel="last_layer")


def test_bad_input(network):
    with pytest.raises(ValueError, match=r"kernel='penultimate' is not known"):
        ss.linearise(network, kernel="penultimate")
    with pytest.raises(TypeError, match=r"network is a OperatorProblem"):
        ss.linearise(ss.linearise(network))
    with pytest.raises(ValueError, match=r"rank is 0"):
        ss.linearise(network, rank=0)
