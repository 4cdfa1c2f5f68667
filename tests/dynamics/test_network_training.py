"""Real training in the loop, against loops of optax and NumPy that are written without it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import QUICK, on_eight_devices, tiny_network
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import spectral_sim as ss
from spectral_sim.dynamics import is_adaptive, step_lengths

STEPS = np.array([0, 3, 10, 24])
WEIGHTS = np.random.default_rng(2).uniform(0.2, 2.0, 12)


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(8)
    return tiny_network(eval_inputs=rng.normal(size=(6, 3)), eval_targets=rng.normal(size=(6, 2)))


def trained(network, optimizer, batches, factors):
    """Held-out loss at each of STEPS, by a loop of optax; batches and the weights of their examples for each step."""

    def loss(params, x, y, weight):
        return jnp.sum(weight * 0.5 * jnp.sum((network.apply(params, x) - y) ** 2, axis=1))

    def step(carry, xs):
        params, memory = carry
        batch, factor = xs
        gradient = jax.grad(loss)(params, network.inputs[batch], network.targets[batch], factor)
        move, memory = optimizer.update(gradient, memory, params)
        return (optax.apply_updates(params, move), memory), params

    def run(batches, factors):
        start = network.params, optimizer.init(network.params)
        (end, _), path = jax.lax.scan(step, start, (batches, factors))
        path = jax.tree.map(lambda x, last: jnp.concatenate([x, last[None]])[STEPS], path, end)
        return jax.vmap(lambda params: loss(params, network.eval_inputs, network.eval_targets, 1 / 6))(path)

    batched = np.ndim(batches) == 3  # several seeds
    compiled = jax.jit(jax.vmap(run) if batched else run, compiler_options=QUICK)
    return np.asarray(compiled(jnp.asarray(batches), jnp.asarray(factors)))


@pytest.mark.parametrize("optimizer", [0.1, optax.sgd(0.05, momentum=0.8), optax.adam(0.02)], ids=["sgd", "m", "adam"])
def test_the_whole_set_step_for_step(network, optimizer):
    dynamics = ss.NetworkTraining(optimizer)
    run = ss.simulate(network, ss.static_weights(WEIGHTS), STEPS, dynamics=dynamics)
    everyone = np.tile(np.arange(12), (STEPS[-1], 1))
    law = np.tile(WEIGHTS / WEIGHTS.sum(), (STEPS[-1], 1))
    plain = optax.sgd(optimizer) if isinstance(optimizer, float) else optimizer
    np.testing.assert_allclose(run.loss, trained(network, plain, everyone, law), rtol=1e-9)
    assert not dynamics.needs_key


@pytest.mark.parametrize("draw", ["sampled", pytest.param("weighted", marks=pytest.mark.slow)])
def test_mini_batches_agree_with_a_trainer_of_their_own_within_two_deviations_of_the_seed(network, draw):
    """Two schedules; the trainer draws its batches with NumPy."""
    seeds, rate, batch = 40, 0.1, 4
    keys = jax.random.split(jax.random.key(0), seeds)
    dynamics = ss.NetworkTraining(rate, batch_size=batch, draw=draw, max_steps=31)

    def last(values):
        schedule = ss.static_weights(values)
        return jax.vmap(lambda key: ss.simulate(network, schedule, STEPS, dynamics=dynamics, key=key).loss[-1])(keys)

    values = np.stack([np.ones(12), WEIGHTS])
    uniform, curated = np.asarray(jax.jit(jax.vmap(last), compiler_options=QUICK)(values))
    for ours, weights in ((uniform, np.ones(12)), (curated, WEIGHTS)):
        rng, mean = np.random.default_rng(1), weights / weights.sum()
        chance = mean if draw == "sampled" else np.full(12, 1 / 12)
        batches = rng.choice(12, (seeds, STEPS[-1], batch), p=chance)
        factors = np.full(batches.shape, 1 / batch) if draw == "sampled" else 12 * mean[batches] / batch
        theirs = trained(network, optax.sgd(rate), batches, factors)[:, -1]
        spread = np.std(np.concatenate([ours - ours.mean(), theirs - theirs.mean()]))
        assert abs(ours.mean() - theirs.mean()) < min(2 * spread, 4 * spread * np.sqrt(2 / seeds))
        assert 0.5 < ours.std() / theirs.std() < 2
    assert abs(uniform.mean() - curated.mean()) > 0.1 * uniform.std()


def test_the_same_key_gives_the_same_run_and_its_schedule_sees_the_network(network):
    schedule, dynamics = ss.chain(ss.proportional(0.7), ss.clip(0.1, 4.0)), ss.NetworkTraining(0.1, batch_size=4)
    run = lambda n: ss.simulate(network, schedule, STEPS, dynamics=dynamics, key=jax.random.key(n)).loss
    one, two, other = run(1), run(1), run(2)
    np.testing.assert_array_equal(one, two)
    assert np.abs(other - one).max() > 1e-6
    with pytest.raises(ValueError, match=r"NetworkTraining draws random numbers: pass simulate\(key="):
        ss.simulate(network, schedule, STEPS, dynamics=dynamics)


def test_accuracy_is_recorded():
    labels = np.random.default_rng(0).integers(0, 2, 12)
    network = tiny_network(targets=labels, loss="cross_entropy")
    save = lambda o, w: (ss.save_accuracy(o, w), o.state.params)
    (found, params) = ss.simulate(network, ss.uniform(), STEPS, dynamics=ss.NetworkTraining(0.5), save=save).saved
    for n in (0, len(STEPS) - 1):
        outputs = network.apply(jax.tree.map(lambda x, n=n: x[n], params), network.inputs)
        right = (np.argmax(np.asarray(outputs), axis=1) == labels).mean()
        np.testing.assert_allclose([found["accuracy"][n], found["train_accuracy"][n]], right, rtol=1e-12)


def test_gradients_of_a_short_real_run_in_weights_and_rate(network):
    """Through the network itself, against central differences."""
    steps = np.array([0, 4, 8])

    def value(leaves):
        schedule, dynamics = ss.static_weights(leaves["weights"]), ss.NetworkTraining(leaves["rate"], max_steps=7)
        return jnp.log(ss.simulate(network, schedule, steps, dynamics=dynamics).loss[-1])

    at = {"weights": jnp.asarray(WEIGHTS), "rate": jnp.asarray(0.1)}
    slope = jax.jit(jax.grad(value), compiler_options=QUICK)(at)
    jitted = jax.jit(value, compiler_options=QUICK)
    move = {"weights": jnp.asarray(np.random.default_rng(0).normal(size=12)), "rate": jnp.asarray(0.3)}
    along = sum(float(jnp.sum(slope[name] * move[name])) for name in at)
    ends = [jitted(jax.tree.map(lambda x, d, h=h: x + h * d, at, move)) for h in (1e-5, -1e-5)]
    np.testing.assert_allclose(along, (ends[0] - ends[1]) / 2e-5, rtol=1e-6)
    assert abs(along) > 1e-3


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_a_rate_that_diverges_is_told_with_the_largest_stable_one(loss):
    """Against the largest eigenvalue of the whole curvature, by NumPy."""
    labels = np.random.default_rng(0).integers(0, 2, 12)
    network = tiny_network(loss=loss, **({"targets": labels} if loss == "cross_entropy" else {}))
    rate = 1e3 if loss == "squared" else 1e6
    run = ss.simulate(network, ss.uniform(), STEPS, dynamics=ss.NetworkTraining(rate), throw=False)
    assert ss.describe_status(run.status, run.faults) == "training diverges"
    jacobian = jax.jacrev(lambda params: network.outputs(params, network.inputs))(network.params)
    rows = np.concatenate([np.asarray(leaf).reshape(12, 2, -1) for leaf in jax.tree.leaves(jacobian)], axis=2)
    curved = rows
    if loss == "cross_entropy":
        share = np.asarray(jax.nn.softmax(network.outputs(network.params, network.inputs)))
        curvature = np.einsum("ic,cd->icd", share, np.eye(2)) - np.einsum("ic,id->icd", share, share)
        curved = np.einsum("icd,idp->icp", curvature, rows)
    largest = np.linalg.eigvals(np.einsum("icp,icq->pq", rows, curved) / 12).real.max()
    np.testing.assert_allclose(run.limit, 2 / largest, rtol=1e-3)
    with pytest.raises(ss.SimulationError, match=rf"stable up to a learning rate of {float(run.limit):.6g}"):
        run.raise_if_failed()
    stable = ss.simulate(network, ss.uniform(), STEPS, dynamics=ss.NetworkTraining(0.5 * float(run.limit)))
    assert stable.loss[-1] < stable.loss[0]


def test_time_is_how_far_a_gradient_of_one_moves_a_parameter(network):
    rate, momentum = 0.05, 0.8
    lengths = rate * (1 - momentum ** np.arange(1, 25)) / (1 - momentum)
    np.testing.assert_allclose(step_lengths(optax.sgd(rate, momentum=momentum), 24), lengths, rtol=1e-5)
    run = ss.simulate(network, ss.uniform(), STEPS, dynamics=ss.NetworkTraining(optax.sgd(rate, momentum=momentum)))
    np.testing.assert_allclose(run.times, np.append(0, np.cumsum(lengths))[STEPS], rtol=1e-5)
    assert is_adaptive(optax.adam(1e-3))
    assert not is_adaptive(optax.sgd(0.1, momentum=0.9))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"optimizer": -0.1}, ValueError, r"learning_rate is -0\.1: it must not be negative"),
        ({"optimizer": None}, ValueError, r"learning_rate is None"),
        ({"optimizer": 0.1, "batch_size": 2.5}, ValueError, r"batch_size is 2\.5"),
        ({"optimizer": 0.1, "draw": "greedy"}, ValueError, r"draw='greedy' is not known"),
        ({"optimizer": 0.1, "max_steps": 0}, ValueError, r"max_steps is 0"),
    ],
)
def test_bad_settings(options, error, message):
    with pytest.raises(error, match=message):
        ss.NetworkTraining(**options)


def test_files_keep_a_rate_and_no_code():
    for rate in (0.1, ss.PerRefresh([0.1, 0.2])):
        options, arrays = ss.NetworkTraining(rate, batch_size=4, draw="weighted").saved()
        again = ss.NetworkTraining.from_saved(options, arrays)
        assert (again.batch_size, again.draw, again.max_steps) == (4, "weighted", 1023)
        assert type(again.learning_rate) is type(ss.NetworkTraining(rate).learning_rate)
        np.testing.assert_array_equal(jax.tree.leaves(again.learning_rate), jax.tree.leaves(rate))
    with pytest.raises(ValueError, match=r"an optax optimiser or a function of the step cannot be saved"):
        ss.NetworkTraining(optax.adam(1e-3)).saved()


def outcome(devices):
    """A run on examples that are spread over devices."""
    rng = np.random.default_rng(0)
    rows = NamedSharding(Mesh(np.array(jax.devices()[:devices]), ("examples",)), PartitionSpec("examples"))
    inputs, targets = (jax.device_put(rng.normal(size=(16, n)), rows) for n in (3, 2))
    base = tiny_network()
    network = ss.NetworkProblem(base.apply, base.params, inputs, targets)
    run = lambda dynamics, key=None: ss.simulate(network, ss.proportional(), STEPS, dynamics=dynamics, key=key).loss
    drawn = run(ss.NetworkTraining(0.1, batch_size=4), jax.random.key(0))
    return {"whole": run(ss.NetworkTraining(0.1)).tolist(), "drawn": drawn.tolist()}


@pytest.mark.slow
def test_eight_devices_and_one():
    script = "import json, test_network_training as t; print(json.dumps(t.outcome(8)))"
    spread, alone = on_eight_devices(script, __file__), outcome(1)
    for name in alone:
        np.testing.assert_allclose(spread[name], alone[name], rtol=1e-12)
