"""Complementarity beats uniform sampling exactly where the second model is ahead."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import QUICK, quickly

import spectral_sim as ss

MODES = 1000
INDEX = np.arange(1.0, MODES + 1)
TIMES = ss.log_times(1e-1, 1e4, 5 * 24 + 2)


def energies(observation, weights):
    return observation.log_energy


def test_it_beats_uniform_where_the_second_spectrum_is_ahead_and_nowhere_else():
    """Ahead in a band of modes, behind in the others: over five decades, in the modes and in the loss."""
    problem = ss.power_law(2.0, 2.0, num_modes=MODES)
    eigenvalues = INDEX**-2.0
    band = (INDEX >= 3) & (INDEX <= 30)
    second = np.where(band, 20 * eigenvalues, eigenvalues / 10)
    rule = ss.chain(ss.complement(eigenvalues=second), ss.proportional(1.0), ss.mix(0.3))
    run = ss.simulate(problem, rule, TIMES, save=energies)
    log_energy = np.asarray(run.saved)
    uniform = np.log(INDEX**-2.0) - 2 * TIMES[:, None] * eigenvalues
    lead = uniform - log_energy
    assert np.all(lead[:, ~band] <= 1e-12)  # nowhere else, at no time
    # the mode that uniform sampling is about to learn, and with it the loss: ahead exactly while it is in the band
    frontier = np.sqrt(2 * TIMES)
    inside = (frontier > 3.7) & (frontier < 30)
    assert np.all(lead[inside, np.round(frontier[inside]).astype(int) - 1] > 0.1)
    below = np.asarray(run.loss) < 0.5 * np.sum(np.exp(uniform), axis=1) * (1 - 1e-12)
    np.testing.assert_array_equal(below[inside], True)
    np.testing.assert_array_equal(below[(frontier < 3.3) | (frontier > 31)], False)


def test_a_second_model_that_is_behind_everywhere_changes_nothing():
    problem = ss.power_law(2.0, 2.0, num_modes=MODES)
    rule = ss.chain(ss.complement(exponent=2.5), ss.proportional(1.0))
    run = ss.simulate(problem, rule, TIMES, save=ss.save_weights)
    np.testing.assert_array_equal(run.saved, 1)


@pytest.mark.parametrize("exponent", [1.25, 1.5])
def test_the_tail_is_extended_as_far_as_the_second_spectrum_is_heavier(exponent):
    """Over four decades it stays beside the second model on its own, whose exponent is (beta - 1) / exponent.

    Static is 1/2, ideal 1. The excess has kinks, so nodes are many: with 512 the exponent comes out 0.03 too high.
    """
    times = ss.log_times(1e-1, 1e6, 7 * 24 + 2)
    problem = ss.power_law(2.0, 2.0, max_mode=1e7, nodes=4096)
    rule = ss.chain(ss.complement(exponent=exponent), ss.proportional(1.0))
    own, second = (
        np.asarray(quickly(lambda r=r, p=p: ss.simulate(p, r, times).loss))
        for r, p in ((rule, problem), (ss.uniform(), ss.power_law(exponent, 2.0, max_mode=1e9, nodes=512)))
    )
    late = times >= 0.99e2
    slope = -np.polyfit(np.log(times[late]), np.log(own[late]), 1)[0]
    assert 0.98 / exponent <= slope <= 1 / exponent + 0.06
    assert np.all((0.5 * second < own) & (own < 1.2 * second) | ~late)
    assert np.all(own[late] > ss.ideal_oracle(problem, times).loss[late])


def test_weight_goes_where_the_second_model_is_ahead_and_nowhere_else():
    """Mode by mode, refresh by refresh: above the uniform share exactly where the excess is positive."""
    problem = ss.power_law(2.0, 2.0, num_modes=MODES)
    ahead_in_band = np.where((INDEX >= 3) & (INDEX <= 30), 20.0, 0.1) * INDEX**-2.0
    rule = ss.chain(ss.complement(eigenvalues=ahead_in_band), ss.proportional(1.0), ss.mix(0.3))
    energy, weights = ss.simulate(problem, rule, TIMES, save=lambda o, w: (o.energy, w)).saved
    second = INDEX**-2.0 * np.exp(-2 * ahead_in_band * TIMES[:, None])
    excess = np.asarray(energy) - second
    # beyond rounding, of the excess itself and of the weight that it adds to the share
    clear = (np.abs(excess) > 1e-12 * second + 1e-12 * np.max(excess, axis=1, keepdims=True))[1:-1]
    np.testing.assert_array_equal((np.asarray(weights) > 0.3)[1:-1][clear], (excess > 0)[1:-1][clear])
    assert 0.01 < np.mean((excess > 0)[1:-1][clear]) < 0.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_in_excess_stays_so_after_it_has_underflowed(dtype):
    """As long as the second model is ahead the budget stays there; then weights are uniform."""
    problem = ss.ModalProblem(np.array([1.0, 1e-3], dtype), np.array([1.0, 1.0], dtype))
    times = ss.log_times(0.1, 2e3, 60)
    for age, until in ((None, np.inf), (10.0, 200.0)):  # 20 x 10, which the learner passes at about 200
        second = ss.complement(age, eigenvalues=np.array([20.0, 1e-6], dtype))
        rule = ss.chain(second, ss.proportional(1.0), ss.mix(0.01))
        weights = np.asarray(ss.simulate(problem, rule, times, save=ss.save_weights).saved)[:-1]
        start = times[:-1]
        np.testing.assert_allclose(weights[(start > 2) & (start < 0.9 * until), 1], 0.01, rtol=1e-4)
        np.testing.assert_allclose(weights[start > 1.3 * until], 1, rtol=1e-6)


def test_on_examples_it_scores_the_excess_loss():
    """A second kernel that has another half of the target: the learner is sent to what it can still get right."""
    rng = np.random.default_rng(1)
    features, second = rng.normal(size=(12, 5)), rng.normal(size=(12, 3))
    targets = rng.normal(size=(12, 2))
    problem = ss.OperatorProblem(features, targets)
    values, vectors = np.linalg.eigh(second.T @ second / 12)

    def residual(time):
        shrink = (1 - np.exp(-values * time)) / values
        return targets - second @ vectors @ (shrink[:, None] * (vectors.T @ second.T @ targets / 12))

    times = np.array([0.0, 0.7, 2.0, 5.0])
    save = lambda observation, weights: (observation.energy, weights)
    for age in (None, 1.3):
        run = ss.simulate(problem, ss.complement(age, features=second), times, save=save)
        energy, weights = (np.asarray(x) for x in run.saved)
        for n, time in enumerate(times[:-1]):
            other = np.sum(residual(time if age is None else age) ** 2, axis=1)
            score = np.maximum(energy[n] - other, 0)
            if n == 0 and age is None:  # both start the same
                score = np.ones(12)
            np.testing.assert_allclose(weights[n], score / score.mean(), rtol=1e-9, atol=1e-12)


def test_gradients_through_the_second_model():
    """In its spectrum and its features, against central differences."""
    problem = ss.power_law(2.0, 2.0, num_modes=12)
    rng = np.random.default_rng(2)
    data = ss.OperatorProblem(rng.normal(size=(9, 4)), rng.normal(size=9))
    times = ss.log_times(0.2, 5.0, 6)
    spectrum, features = 1.3 * jnp.arange(1.0, 13) ** -1.4, jnp.asarray(rng.normal(size=(9, 3)))
    rule = ss.proportional(0.7)

    def on_modes(x):
        return jnp.log(ss.simulate(problem, ss.chain(ss.complement(eigenvalues=x), rule, ss.mix(0.2)), times).loss[-1])

    def on_data(x):
        stage = ss.teacher(2.0, features=x, shows="distance")
        return jnp.log(ss.simulate(data, ss.chain(stage, rule), times).loss[-1])

    def alongside(x):
        return jnp.log(ss.simulate(data, ss.chain(ss.complement(features=x), rule, ss.mix(0.2)), times).loss[-1])

    for objective, at in ((on_modes, spectrum), (on_data, features), (alongside, features)):
        direction = jnp.asarray(np.random.default_rng(3).normal(size=at.shape)) * jnp.abs(at)
        both = jax.jit(jax.value_and_grad(objective), compiler_options=QUICK)
        reverse = jnp.sum(both(at)[1] * direction)
        step = 1e-5
        difference = (both(at + step * direction)[0] - both(at - step * direction)[0]) / (2 * step)
        np.testing.assert_allclose(reverse, difference, rtol=1e-6)
        assert abs(float(reverse)) > 1e-4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["modes", "data"])
def test_a_second_model_that_is_the_learner_is_warned_of_and_changes_nothing(kind, dtype):
    rng = np.random.default_rng(4)
    if kind == "modes":
        problem, times = ss.power_law(dtype(2.0), dtype(2.0), max_mode=1e4, nodes=48), ss.log_times(0.1, 1e4, 24)
        twins = [ss.complement(), ss.complement(eigenvalues=problem.eigenvalues)]
    else:
        features = rng.normal(size=(70, 6)).astype(dtype)
        problem = ss.OperatorProblem(features, (features @ rng.normal(size=6) + rng.normal(size=70)).astype(dtype))
        times = ss.log_times(0.01, 100.0, 12)
        twins = [ss.complement(), ss.complement(features=features)]
    for twin in twins:
        with pytest.warns(UserWarning, match="second model is the learner itself"):
            weights = ss.simulate(problem, ss.chain(twin, ss.proportional(1.0)), times, save=ss.save_weights).saved
        np.testing.assert_array_equal(weights, 1)
