"""Scores from networks against NumPy, and stages that go by them in real training and in its prediction."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.analysis import curation_cost
from spectral_sim.fitting import (
    error_norm_scores,
    forgetting_scores,
    gradient_norm_scores,
    linearise,
    reference_losses,
    train_reference,
)
from spectral_sim.learning import load_schedule, save_schedule
from spectral_sim.testing import check_stage

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(24, 5))
CLASSES = np.argmax(INPUTS @ RNG.normal(size=(5, 3)) + 0.8 * RNG.normal(size=(24, 3)), axis=1)
STEPS = [0, 4, 8, 16, 32]
TRAINING = ss.NetworkTraining(0.3, batch_size=6, max_steps=32)
KEY = jax.random.key(2)


def start(seed):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(5, 3)))


def linear(params, inputs):
    return inputs @ params


def network(loss="cross_entropy", **more):
    targets = CLASSES if loss == "cross_entropy" else np.eye(3)[CLASSES]
    return ss.NetworkProblem(linear, start(0), INPUTS, targets, loss=loss, **more)


def errors(params, loss):
    outputs = INPUTS @ np.asarray(params)
    if loss == "cross_entropy":
        outputs = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    return np.eye(3)[CLASSES] - outputs


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_error_and_gradient_norms(loss):
    """The gradient of a linear network is the outer product of input and error."""
    starts = [start(1), start(2)]
    norms = [np.linalg.norm(errors(params, loss), axis=1) for params in starts]
    found = error_norm_scores(network(loss), starts=starts)
    np.testing.assert_allclose(found.values, np.mean(norms, axis=0), rtol=1e-12)
    gradients = gradient_norm_scores(network(loss), starts=starts)
    expected = np.mean(norms, axis=0) * np.linalg.norm(INPUTS, axis=1)
    np.testing.assert_allclose(gradients.values, expected, rtol=1e-12)
    assert gradients.cost == pytest.approx(3 * found.cost)
    groups = np.arange(24) % 4
    grouped = error_norm_scores(network(loss, groups=groups), starts=starts)
    np.testing.assert_allclose(grouped.values, np.bincount(groups, np.mean(norms, axis=0)) / 6, rtol=1e-12)


def test_scores_after_training_are_those_of_the_trained_network():
    starts = [start(1), start(2)]
    found = error_norm_scores(network(), 8, dynamics=TRAINING, starts=starts, key=KEY)
    norms = []
    for n, params in enumerate(starts):
        run = ss.simulate(
            network().with_params(params),
            ss.uniform(),
            [0, 8],
            dynamics=TRAINING,
            save=lambda seen, weights: seen.state.params,
            key=jax.random.fold_in(KEY, n),
        )
        norms.append(np.linalg.norm(errors(run.saved[-1], "cross_entropy"), axis=1))
    np.testing.assert_allclose(found.values, np.mean(norms, axis=0), rtol=1e-9)
    # two trainings of 8 steps at 0.3, and two forward passes, each a third of the compute of 4 steps
    assert found.cost == pytest.approx(2 * 8 * 0.3 + 2 * 24 / 6 * 0.3 / 3)


def test_forgetting_is_counted_as_the_run_goes():
    """By the function, by the stage, and in NumPy from the parameters."""
    found = forgetting_scores(network(), STEPS, dynamics=TRAINING, key=KEY)
    save = lambda seen, weights: (seen.state.params, seen.correct)
    run = ss.simulate(network(), ss.uniform(), STEPS, dynamics=TRAINING, save=save, key=jax.random.fold_in(KEY, 0))
    params, correct = (np.asarray(each) for each in run.saved)
    right = np.argmax(INPUTS @ params, axis=2) == CLASSES
    np.testing.assert_array_equal(correct, right)
    count = np.sum(right[:-1] & ~right[1:], axis=0)
    np.testing.assert_array_equal(found.values, np.where(right.any(axis=0), count, np.inf))
    assert 0 < np.sum(count > 0) < 24
    rule = ss.chain(ss.schedules.forgetting(), ss.proportional(1.0), ss.mix(0.5))
    run = ss.simulate(network(), rule, STEPS, dynamics=TRAINING, save=lambda seen, w: (seen.correct, w), key=KEY)
    right, weights = (np.asarray(each) for each in run.saved)
    for n in range(len(STEPS) - 1):
        before = right[: n + 1] > 0
        score = np.where(before.any(axis=0), np.sum(before[:-1] & ~before[1:], axis=0), n + 1)
        expected = 0.5 + 0.5 * (score / score.mean() if score.any() else np.ones(24))
        np.testing.assert_allclose(weights[n], expected, rtol=1e-9)


def test_a_reference_is_kept_where_it_does_best_on_the_examples_of_the_learner():
    held_out = RNG.normal(size=(6, 5)), RNG.integers(0, 3, 6)
    learner = network()
    found = train_reference(learner, *held_out, STEPS, dynamics=TRAINING, start=start(3), key=KEY)
    np.testing.assert_allclose(found.losses, reference_losses(learner, found.params), rtol=1e-12)
    expected = -np.log(
        1e-300 + (np.eye(3)[CLASSES] * (np.eye(3)[CLASSES] - errors(found.params, "cross_entropy"))).sum(1)
    )
    np.testing.assert_allclose(found.losses, expected, rtol=1e-9)
    problem = ss.NetworkProblem(linear, start(3), *held_out, loss="cross_entropy")
    save = lambda seen, weights: seen.state.params
    saved = ss.simulate(problem, ss.uniform(), STEPS, dynamics=TRAINING, save=save, key=KEY).saved
    means = [reference_losses(learner, params).mean() for params in saved]
    assert STEPS[int(np.argmin(means))] == found.step
    assert found.losses.mean() == pytest.approx(min(means))
    assert found.cost == pytest.approx(32 * 0.3)


def test_stages_keep_their_contracts_in_both_worlds(tmp_path):
    """In real training and in its prediction; saved and loaded; the price is what was paid before the run."""
    problem = network("squared", eval_inputs=INPUTS[:8] + 0.1, eval_targets=np.eye(3)[CLASSES[:8]])
    scores = error_norm_scores(problem)
    schedules = {
        "pruning": ss.hard_pruning(0.5, keep="easy", score=scores.values, score_cost=scores.cost),
        "curriculum": ss.curriculum(6.0, score=scores.values, score_cost=scores.cost),
        "excess": ss.chain(ss.excess(reference_losses(problem, start(1)), 1.5), ss.top_fraction(0.4)),
        "forgetting": ss.chain(ss.schedules.forgetting(), ss.proportional(0.5)),
    }
    kernel = ss.KernelTraining(linearise(problem), 0.3, max_steps=32)
    for dynamics in (ss.NetworkTraining(0.3, max_steps=32), kernel):
        runs = ss.simulate_many(problem, schedules, STEPS, dynamics=dynamics, save=ss.save_weights)
        np.testing.assert_allclose(np.mean(runs.saved, axis=2), 1, rtol=1e-6)
        assert len(np.unique(np.round(np.asarray(runs.loss)[:, -1], 9))) == 4
    for name, schedule in schedules.items():
        save_schedule(schedule, tmp_path / f"{name}.json")
        again = load_schedule(tmp_path / f"{name}.json")
        options = {"dynamics": kernel, "save": ss.save_weights}
        np.testing.assert_array_equal(
            ss.simulate(problem, again, STEPS, **options).saved, ss.simulate(problem, schedule, STEPS, **options).saved
        )
    check_stage(
        schedules["forgetting"], problem, STEPS, dynamics=kernel, other=problem.with_params(start(4)), parts=["run"]
    )
    before = {name: curation_cost(problem, schedule, STEPS).fixed for name, schedule in schedules.items()}
    assert before == pytest.approx({"pruning": scores.cost, "curriculum": scores.cost, "excess": 1.5, "forgetting": 0})
    passes = {
        name: np.sign(curation_cost(problem, schedule, STEPS).per_refresh) for name, schedule in schedules.items()
    }
    np.testing.assert_array_equal(passes["pruning"], 0)  # the score was there before
    np.testing.assert_array_equal(passes["forgetting"], [1, 1, 1, 1, 0])


def test_a_policy_without_drive_answers_alike_in_the_simulator_and_in_real_training():
    """At the start a network and its linearisation show the same energies; leverages only the latter has."""
    problem = network("squared")
    data = linearise(problem)
    for drive, same in ((False, True), (True, False)):
        policy = ss.PolicySchedule.create(jax.random.key(0), width=4, depth=1, drive=drive)
        save = lambda seen, weights: (seen.energy, weights)
        real = ss.simulate(problem, policy, [0, 1], dynamics=ss.NetworkTraining(0.1), save=save).saved
        told = ss.simulate(data, policy, [0.0, 0.1], save=save).saved
        np.testing.assert_allclose(real[0][0], told[0][0], rtol=1e-9)
        assert np.allclose(real[1][0], told[1][0], rtol=1e-9) == same


def test_scores_are_swept_as_other_leaves():
    problem, scores = network("squared"), RNG.permutation(24 * 2).reshape(2, 24).astype(float)
    template = ss.hard_pruning(0.5, score=scores[0])
    many = ss.grid(template, score=scores)
    dynamics = ss.NetworkTraining(0.3, max_steps=32)
    table = ss.sweep(problem, many, STEPS, dynamics=dynamics, metrics=["final_loss"])
    for n, score in enumerate(scores):
        alone = ss.simulate(problem, ss.hard_pruning(0.5, score=score), STEPS, dynamics=dynamics).loss[-1]
        np.testing.assert_allclose(np.ravel(table["final_loss"])[n], alone, rtol=1e-9)


def test_refusals():
    with pytest.raises(TypeError, match=r"network is a OperatorProblem: give a NetworkProblem"):
        error_norm_scores(ss.OperatorProblem(INPUTS, INPUTS))
    with pytest.raises(ValueError, match=r"steps is 5, and nothing says how to train: give dynamics="):
        error_norm_scores(network(), 5)
    with pytest.raises(ValueError, match=r"starts is empty"):
        gradient_norm_scores(network(), starts=[])
    single = ss.NetworkProblem(lambda params, inputs: inputs @ params, jnp.ones(5), INPUTS, INPUTS[:, 0])
    with pytest.raises(ValueError, match=r"the network has one output: score its errors"):
        forgetting_scores(single, STEPS, dynamics=TRAINING)
    with pytest.raises(ValueError, match=r"give the stage a score=, one number for each weight"):
        ss.simulate(network(), ss.hard_pruning(0.5), STEPS, dynamics=TRAINING, key=KEY)
