"""Training on fixed features: against NumPy, against gradient flow, and with a kernel that is taken anew."""

import jax
import numpy as np
import pytest
from helpers import tiny_network

import spectral_sim as ss

STEPS = np.array([0, 2, 10, 30])
WEIGHTS = np.random.default_rng(2).uniform(0.2, 2.0, 12)
HELD_OUT = np.random.default_rng(8).normal(size=(6, 3))


def network_with(loss):
    rng = np.random.default_rng(9)
    if loss == "squared":
        return tiny_network(eval_inputs=HELD_OUT, eval_targets=rng.normal(size=(6, 2)))
    labels, others = rng.integers(0, 2, 12), rng.integers(0, 2, 6)
    return tiny_network(targets=labels, loss=loss, eval_inputs=HELD_OUT, eval_targets=others)


def jacobians(network):
    """The derivative of every output, as (examples, outputs, parameters), on the training and the evaluation set."""
    found = []
    for inputs in (network.inputs, network.eval_inputs):
        leaves = jax.tree.leaves(jax.jacrev(lambda params, x=inputs: network.outputs(params, x))(network.params))
        found.append(np.concatenate([np.asarray(leaf).reshape(*leaf.shape[:2], -1) for leaf in leaves], axis=2))
    return found


def by_hand(network, kernel, rate, steps=STEPS):
    """Held-out losses of gradient descent on a linearised network, from its Jacobian."""
    rows, others = jacobians(network)
    if kernel == "trace":
        act = lambda left, force: np.einsum("icp,jcp,jd->id", left, rows, force) / 2
    else:
        act = lambda left, force: np.einsum("icp,jdp,jd->ic", left, rows, force)
    inside = np.asarray(network.outputs(network.params, network.inputs))
    outside = np.asarray(network.outputs(network.params, network.eval_inputs))
    targets, wanted = np.asarray(network.targets), np.asarray(network.eval_targets)
    law = WEIGHTS / WEIGHTS.sum()
    softmax = lambda f: np.exp(f) / np.exp(f).sum(axis=1, keepdims=True)
    losses = []
    for n in range(steps[-1] + 1):
        if n in steps:
            if network.loss == "squared":
                losses.append(0.5 * ((wanted - outside) ** 2).sum(axis=1).mean())
            else:
                losses.append(-(wanted * np.log(softmax(outside))).sum(axis=1).mean())
        told = inside if network.loss == "squared" else softmax(inside)
        force = law[:, None] * (targets - told)
        inside, outside = inside + rate * act(rows, force), outside + rate * act(others, force)
    return np.array(losses)


@pytest.mark.parametrize(("loss", "kernel"), [("squared", "trace"), ("cross_entropy", "full")])
def test_against_numpy(loss, kernel):
    network = network_with(loss)
    dynamics = ss.KernelTraining(ss.linearise(network, kernel=kernel), 0.2, max_steps=31)
    run = ss.simulate(network, ss.static_weights(WEIGHTS), STEPS, dynamics=dynamics)
    np.testing.assert_allclose(run.loss, by_hand(network, kernel, 0.2), rtol=1e-8)
    np.testing.assert_allclose(run.times, 0.2 * STEPS, rtol=1e-12)


def test_small_steps_are_the_gradient_flow_of_the_linearised_problem():
    """In losses, in the energies of examples and in the weights that see them; each output has its own rows."""
    network, schedule = network_with("squared"), ss.chain(ss.proportional(0.5), ss.clip(0.1, 4.0))
    steps = np.array([0, 500, 1500])
    save = lambda o, w: (o.energy, w)
    problem = ss.linearise(network, kernel="full")
    np.testing.assert_allclose(problem.initial_loss(), network.initial_loss(), rtol=1e-10)
    flow = ss.simulate(problem, schedule, 1e-3 * steps, save=save)
    taken = ss.simulate(network, schedule, steps, dynamics=ss.KernelTraining(problem, 1e-3), save=save)
    np.testing.assert_allclose(taken.loss, flow.loss, rtol=2e-3)
    np.testing.assert_allclose(taken.saved[0], flow.saved[0], rtol=2e-2)
    np.testing.assert_allclose(taken.saved[1], flow.saved[1], rtol=1e-2)


def test_a_real_network_follows_its_kernel_as_long_as_it_hardly_moves():
    network = network_with("squared")
    steps = np.array([0, 1, 2])
    real = ss.simulate(network, ss.static_weights(WEIGHTS), steps, dynamics=ss.NetworkTraining(1e-3)).loss
    told = ss.simulate(
        network,
        ss.static_weights(WEIGHTS),
        steps,
        dynamics=ss.KernelTraining(ss.linearise(network, kernel="full"), 1e-3),
    ).loss
    np.testing.assert_allclose((told - told[0])[1:], (real - real[0])[1:], rtol=1e-2)


def test_a_kernel_taken_anew_goes_on_from_the_outputs():
    network = network_with("squared")
    one = ss.linearise(network)
    other = ss.linearise(network, jax.tree.map(lambda x: 1.3 * x, network.params), kernel="last_layer")
    schedule, steps = ss.static_weights(WEIGHTS), np.array([0, 5, 12])
    same = ss.simulate(network, schedule, steps, dynamics=ss.Relinearised([one, one], [0, 5], 0.1))
    plain = ss.simulate(network, schedule, steps, dynamics=ss.KernelTraining(one, 0.1))
    np.testing.assert_allclose(same.loss, plain.loss, rtol=1e-10)
    moved = ss.simulate(network, schedule, steps, dynamics=ss.Relinearised([one, other], [0, 5], 0.1))
    np.testing.assert_allclose(moved.loss[:2], plain.loss[:2], rtol=1e-10)
    # after the change: the outputs of the first kernel, moved on by NumPy with the second
    save = lambda o, w: (o.state.outputs, o.state.eval_outputs)
    inside, outside = (
        np.asarray(x[1])
        for x in ss.simulate(network, schedule, steps, dynamics=ss.KernelTraining(one, 0.1), save=save).saved
    )
    features, held_out = np.asarray(other.features), np.asarray(other.eval_features)
    law = WEIGHTS / WEIGHTS.sum()
    for _ in range(7):
        theta = 0.1 * features.T @ (law[:, None] * (np.asarray(network.targets) - inside))
        inside, outside = inside + features @ theta, outside + held_out @ theta
    expected = 0.5 * ((np.asarray(network.eval_targets) - outside) ** 2).sum(axis=1).mean()
    np.testing.assert_allclose(moved.loss[2], expected, rtol=1e-10)


def test_what_does_not_belong_together():
    network, features = tiny_network(), np.ones((12, 3))
    with pytest.raises(ValueError, match=r"features is of shape \(11, 3\), and the network has 12 such examples"):
        ss.simulate(network, ss.uniform(), STEPS, dynamics=ss.KernelTraining(features[:11], 0.1))
    with pytest.raises(ValueError, match=r"eval_features is None"):
        ss.simulate(network_with("squared"), ss.uniform(), STEPS, dynamics=ss.KernelTraining(features, 0.1))
    with pytest.raises(ValueError, match=r"starts is \(5, 0\) for 2 kernels"):
        ss.Relinearised(np.ones((2, 12, 3)), [5, 0], 0.1)
    run = ss.simulate(network, ss.uniform(), STEPS, dynamics=ss.KernelTraining(features, 10.0), throw=False)
    assert ss.describe_status(run.status, run.faults) == "training diverges"
    np.testing.assert_allclose(run.limit, 2 / 3, rtol=1e-3)  # 36 / 12 is the eigenvalue of features of ones
