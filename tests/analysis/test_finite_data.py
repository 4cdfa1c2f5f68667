"""Flow and ridge regression on finitely many samples: against drawn samples, data problems and limits."""

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.analysis import finite_data, ridge_regression

MODES, SAMPLES, NOISE = 240, 80, 0.02
TIMES, RIDGES = np.geomspace(0.3, 1e4, 7), np.array([1e-4, 1e-3, 1e-2])


@pytest.fixture(scope="module")
def problem():
    return ss.power_law(1.4, 2.0, num_modes=MODES)


def draw(rng):
    """Features of samples and coefficients of the target: covariance diag(k^-1.4), energies k^-2."""
    k = np.arange(1.0, MODES + 1)
    return k**-0.7 * rng.standard_normal((SAMPLES, MODES)), rng.choice([-1, 1], MODES) * k**-0.3


@pytest.fixture(scope="module")
def drawn():
    """Losses of 200 drawn sample sets, by eigenvectors, in NumPy: without noise, its part, and ridge regression."""
    rng, modes = np.random.default_rng(0), np.arange(1.0, MODES + 1) ** -1.4
    found = []
    for _ in range(200):
        inputs, target = draw(rng)
        values, vectors = np.linalg.eigh(inputs @ inputs.T / SAMPLES)
        basis = inputs.T @ vectors / np.sqrt(values * SAMPLES)
        spread, along = modes @ basis**2, basis.T @ target
        learnt = -np.expm1(-np.outer(TIMES, values))
        bias = [0.5 * modes @ (target - basis @ (part * along)) ** 2 for part in learnt]
        variance = 0.5 * NOISE / SAMPLES * (learnt**2 / values) @ spread
        ridge = []
        for penalty in RIDGES:
            left = target - basis @ (values / (values + penalty) * along)
            ridge.append(
                0.5 * modes @ left**2 + 0.5 * NOISE / SAMPLES * np.sum(values / (values + penalty) ** 2 * spread)
            )
        found.append((bias, variance, ridge))
    return [np.array(part) for part in zip(*found, strict=True)]


def assert_near(value, draws, accuracy):
    mean, error = draws.mean(axis=0), draws.std(axis=0) / len(draws) ** 0.5
    assert np.all(np.abs(value - mean) < accuracy * mean + 2.5 * error), value / mean - 1


def test_flow_on_drawn_samples(problem, drawn):
    found = finite_data(problem, SAMPLES, TIMES, noise_variance=NOISE)
    assert_near(found.bias, drawn[0], 0.01)
    assert_near(found.variance, drawn[1], 0.03)
    np.testing.assert_allclose(found.loss, found.bias + found.variance, rtol=1e-14)


def test_ridge_regression_on_drawn_samples(problem, drawn):
    assert_near(ridge_regression(problem, SAMPLES, RIDGES, noise_variance=NOISE), drawn[2], 0.02)


def test_a_data_problem_made_of_samples_is_near(problem):
    """`simulate` on drawn samples, held out on the population."""
    rng, times = np.random.default_rng(1), np.array([0.0, 3.0, 100.0])
    held_out = np.diag(np.arange(1.0, MODES + 1) ** -0.7) * MODES**0.5
    losses = []
    for _ in range(12):
        inputs, target = draw(rng)
        data = ss.OperatorProblem(inputs, inputs @ target, eval_features=held_out, eval_targets=held_out @ target)
        losses.append(ss.simulate(data, ss.uniform(), times).loss[1:])
    assert_near(finite_data(problem, SAMPLES, times[1:]).loss, np.array(losses), 0.02)


def test_many_samples_are_as_good_as_fresh_ones(problem):
    found = finite_data(problem, 10**9, TIMES[:4], noise_variance=NOISE)
    np.testing.assert_allclose(found.loss, found.fresh, rtol=1e-5)
    np.testing.assert_allclose(found.fresh, ss.simulate(problem, ss.uniform(), [0, *TIMES[:4]]).loss[1:], rtol=1e-12)


def test_late_times_with_more_samples_than_modes(problem):
    """All is learnt but what noise adds, and a contour that is too wide loses that."""
    found = finite_data(problem, 800, [1e6], noise_variance=NOISE)
    np.testing.assert_allclose(found.loss, 0.5 * NOISE * MODES / (800 - MODES), rtol=1e-9)
    assert abs(found.bias[0]) < 1e-15
    many = finite_data(problem, 10**13, TIMES)
    np.testing.assert_allclose(many.bias, many.fresh, rtol=1e-6)


def test_the_end_of_the_flow_is_ridge_regression_without_a_penalty(problem):
    late = finite_data(problem, SAMPLES, [1e9], noise_variance=NOISE).loss
    np.testing.assert_allclose(late, ridge_regression(problem, SAMPLES, [1e-13], noise_variance=NOISE), rtol=1e-6)


def test_noise_calls_for_stopping_early_and_repeats_cost(problem):
    found = finite_data(problem, SAMPLES, np.geomspace(0.1, 1e6, 40), noise_variance=0.3)
    when, least = found.stopping
    assert 0.1 < when < 1e6
    assert least < found.loss[-1]
    few, many = (finite_data(problem, n, np.geomspace(0.1, 1e4, 30)).repeats_cost() for n in (40, 160))
    assert few < many


def test_nodes_stand_for_modes():
    every = finite_data(ss.power_law(1.4, 2.0, num_modes=3000), 50, TIMES).loss
    nodes = finite_data(ss.power_law(1.4, 2.0, max_mode=3000, nodes=128), 50, TIMES).loss
    np.testing.assert_allclose(nodes, every, rtol=1e-8)


def test_epochs_over_the_samples_against_one_pass_over_fresh_ones(problem):
    found = finite_data(problem, SAMPLES, np.geomspace(1.0, 1e4, 41), noise_variance=NOISE)
    epochs, rate, batch = 37.0, 0.4, 4
    exact = finite_data(problem, SAMPLES, [epochs * SAMPLES / batch * rate], noise_variance=NOISE)
    repeated, fresh = found.after_epochs(epochs, rate, batch_size=batch)
    np.testing.assert_allclose([repeated, fresh], [exact.loss[0], exact.fresh[0]], rtol=1e-3)
    assert repeated > fresh
    end = found.after_epochs(1e4 / (rate * SAMPLES), rate)
    np.testing.assert_allclose(end, (found.loss[-1], found.fresh[-1]), rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1e3, 0.4), r"epochs=1000.0: .* 80 samples.* a time of 32000.* from 1 to 10000: give 0.03125 to 312.5 epochs"),
        ((0.01, 0.4), "epochs=0.01: .* a time of 0.32"),
        ((0.0, 0.4), "epochs is 0"),
        ((1.0, -0.4), "learning_rate is -0.4"),
        ((float("nan"), 0.4), "epochs is nan"),
    ],
)
def test_refused_epochs(problem, arguments, message):
    found = finite_data(problem, SAMPLES, np.geomspace(1.0, 1e4, 5))
    with pytest.raises(ValueError, match=message):
        found.after_epochs(*arguments)
    with pytest.raises(ValueError, match=r"batch_size is 2.5"):
        found.after_epochs(1.0, 0.4, batch_size=2.5)
    with pytest.raises(ValueError, match="times before and after"):
        finite_data(problem, SAMPLES, [10.0]).after_epochs(1.0, 0.4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: finite_data(ss.torus(2.0, 2.0, 8), 10, [1.0]), "problem is a OperatorProblem, whose samples"),
        (lambda p: finite_data(p, 2.5, [1.0]), "samples is 2.5: it must be one whole number"),
        (lambda p: finite_data(p, 10, [0.0, 1.0]), r"times\[0\] is 0.* leave out the start"),
        (lambda p: finite_data(p, 10, [1.0], noise_variance=-1.0), "noise_variance is -1"),
        (lambda p: ridge_regression(p, 10, [0.0]), r"ridge\[0\] is 0.* give a penalty above zero"),
    ],
)
def test_refusals(problem, call, message):
    with pytest.raises(ValueError, match=message):
        call(problem)
