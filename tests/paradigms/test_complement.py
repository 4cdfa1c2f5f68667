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
    """No slower than the second model on its own, whose exponent is (beta - 1) / exponent; static is 1/2, ideal 1."""
    problem = ss.power_law(2.0, 2.0, max_mode=1e7, nodes=256)
    rule = ss.chain(ss.complement(exponent=exponent), ss.proportional(1.0))
    own, second = (
        np.asarray(quickly(lambda r=r, p=p: ss.simulate(p, r, TIMES).loss))
        for r, p in (
            (rule, problem),
            (ss.uniform(), ss.power_law(exponent, 2.0, max_mode=1e7, nodes=256)),
        )
    )
    ideal = np.asarray(ss.ideal_oracle(problem, TIMES).loss)
    late = (TIMES >= 1e2) & (TIMES <= 1e4)
    slope = -np.polyfit(np.log(TIMES[late]), np.log(own[late]), 1)[0]
    assert slope >= 0.98 * min(1 / exponent, 1)
    assert np.all(own[late] < 1.3 * np.maximum(second, ideal)[late])


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
        value = jax.jit(objective, compiler_options=QUICK)
        reverse = jnp.sum(jax.jit(jax.grad(objective), compiler_options=QUICK)(at) * direction)
        step = 1e-5
        difference = (value(at + step * direction) - value(at - step * direction)) / (2 * step)
        np.testing.assert_allclose(reverse, difference, rtol=1e-6)
        assert abs(float(reverse)) > 1e-4
