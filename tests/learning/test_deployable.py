"""Ceiling and deployable: what each search may see, and that they are not mixed up."""

import pickle

import equinox as eqx
import jax
import numpy as np
import optax
import pytest
from helpers import make_problem

import spectral_sim as ss
from spectral_sim.learning._deployable import search_problem

TIMES = ss.log_times(0.05, 5.0, 9)


def noisy_problem(groups=None):
    """Training targets with noise that the held-out ones do not share: the ceiling has something to see."""
    rng = np.random.default_rng(4)
    features, held_out = rng.normal(size=(40, 12)), rng.normal(size=(60, 12))
    truth = rng.normal(size=(12, 1))
    noise = np.where(np.arange(40) % 4 == 0, 4.0, 0.1)[:, None] * rng.normal(size=(40, 1))
    return ss.OperatorProblem(
        features, features @ truth + noise, eval_features=held_out, eval_targets=held_out @ truth, groups=groups
    )


RULES = {"uniform": ss.uniform(), "loss-proportional": ss.proportional(1.0)}


def search(problem, schedule, **options):
    defaults = {"objective": ss.terminal_log_loss(), "steps": 40, "optimizer": optax.adam(0.1), "by_hand": RULES}
    return ss.learning.ceiling_and_deployable(problem, schedule, TIMES, **{**defaults, **options})


@pytest.fixture(scope="module")
def found():
    problem = noisy_problem()
    return problem, search(problem, ss.TableSchedule.create(problem, TIMES), ceiling_optimizer=optax.adam(0.1))


def final(problem, schedule):
    return float(np.log(ss.simulate(problem, schedule, TIMES).loss[-1]))


def test_the_numbers_are_those_of_runs_on_all_examples(found):
    problem, both = found
    assert both.uniform == pytest.approx(final(problem, ss.uniform()), abs=1e-12)
    assert both.ceiling_value == pytest.approx(final(problem, both.ceiling.schedule), abs=1e-12)
    assert both.deployable_value == pytest.approx(final(problem, both.deployable.schedule), abs=1e-12)
    weights = ss.sampler_weights(problem, both.deployable.schedule, TIMES).weights
    np.testing.assert_array_equal(both.sampler.weights, weights)


def test_the_ceiling_sees_what_the_deployable_search_cannot(found):
    _, both = found
    assert both.ceiling_value < both.uniform - 0.2  # it learns to leave out the noisy examples
    assert both.ceiling_value < both.deployable_value
    assert both.deployable.value < both.deployable.gap[0].uniform  # on what it saw, the other has learned too
    noisy = np.asarray(both.ceiling.samplers[0].weights).mean(axis=0)[np.arange(40) % 4 == 0]
    assert noisy.mean() < 0.7
    assert "ceiling" in both.verdict()
    assert "data it never saw" in both.verdict()


def test_held_out_data_does_not_reach_the_deployable_search():
    """Other evaluation targets change the ceiling, and nothing of what is deployed."""
    problem = noisy_problem()
    other = ss.OperatorProblem(
        problem.features, problem.targets, eval_features=problem.eval_features, eval_targets=-problem.eval_targets
    )
    table = ss.TableSchedule.create(problem, TIMES, num_basis=5)
    runs = [search(p, table, searched_on="validation", steps=5) for p in (problem, other)]
    np.testing.assert_array_equal(runs[0].sampler.weights, runs[1].sampler.weights)
    assert runs[0].by_hand == runs[1].by_hand
    assert np.abs(runs[0].ceiling.samplers[0].weights - runs[1].ceiling.samplers[0].weights).max() > 1e-3


def test_what_is_set_aside_is_not_trained_on():
    problem = noisy_problem(groups=np.arange(40) % 4)
    inner = search_problem(problem, "validation", 0.25, seed=0)
    assert (len(inner.features), len(inner.eval_features)) == (32, 8)  # of each group of ten, 2.5 rounded to even
    assert set(np.asarray(inner.groups)) == {0, 1, 2, 3}
    rows = {tuple(row) for row in np.asarray(problem.features)}
    kept, aside = ({tuple(row) for row in np.asarray(x)} for x in (inner.features, inner.eval_features))
    assert not kept & aside
    assert kept | aside == rows
    training = search_problem(problem, "training", 0.25, seed=0)
    assert training.eval_features is None
    np.testing.assert_array_equal(training.features, problem.features)


def test_a_policy_is_carried_over_from_part_of_the_examples():
    problem = noisy_problem()
    policy = ss.PolicySchedule.create(jax.random.key(0), width=4, depth=1)
    said = []
    both = search(
        problem,
        policy,
        searched_on="validation",
        steps=3,
        report=said.append,
        report_every=3,
        key=jax.random.key(1),
    )
    assert both.sampler.weights.shape == (8, 40)
    assert [(told.name, told.step) for told in said] == [("deployable", 3), ("ceiling", 3)]


def test_bad_arguments_are_named():
    problem = noisy_problem()
    table = ss.TableSchedule.create(problem, TIMES)
    with pytest.raises(ValueError, match="40 columns, one for each example, but some examples are set aside"):
        search(problem, table, searched_on="validation")
    with pytest.raises(ValueError, match="problem has no evaluation set"):
        search(make_problem("operator"), ss.proportional())
    with pytest.raises(TypeError, match="on modes there is no data to overfit"):
        search(make_problem("modal"), ss.proportional())
    with pytest.raises(ValueError, match=r"searched_on='test' is not known"):
        search(problem, table, searched_on="test")
    with pytest.raises(ValueError, match="validation_fraction is 1"):
        search(problem, ss.proportional(), searched_on="validation", validation_fraction=1.0)
    with pytest.raises(ValueError, match="sets no example aside"):
        search(problem, ss.proportional(), searched_on="validation", validation_fraction=1e-3)


def test_numpy_draws_by_the_probabilities_of_a_float32_run():
    rng = np.random.default_rng(0)
    problem = ss.OperatorProblem(
        rng.normal(size=(3001, 2)).astype(np.float32), rng.normal(size=3001).astype(np.float32)
    )
    weights = ss.sampler_weights(problem, ss.proportional(1.0), [0.0, 0.3, 1.0])
    probabilities = weights.probabilities()
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=0, atol=1e-14)
    for row in probabilities:
        assert rng.choice(3001, size=5, p=row).shape == (5,)


def test_a_policy_can_be_pickled():
    policy = ss.PolicySchedule.create(jax.random.key(0), cap=(0.1, 3.0))
    again = pickle.loads(pickle.dumps(policy))
    assert eqx.tree_equal(policy, again)
