"""Spectra under static weights, and the modal sandwich, on known spectra and against bad input."""

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.bounds import uniform_loss


def halves(size, low=0.5, seed=0):
    """Weights of mean one that take two values in random order."""
    weights = np.repeat([low, 2.0 - low], size // 2)
    return np.random.default_rng(seed).permutation(weights)


@pytest.mark.parametrize("alpha", [1.25, 2.0, 3.0])
def test_exponents_of_a_power_law_do_not_change(alpha):
    problem = ss.power_law(alpha, 2.0, num_modes=2000)
    weights = np.random.default_rng(1).uniform(0.4, 1.6, 2000)
    bounds = ss.bounds.spectral_bounds(problem, weights)
    mean = np.sum(weights * np.arange(1.0, 2001) ** -alpha) / np.sum(np.arange(1.0, 2001) ** -alpha)
    assert bounds.exponent == pytest.approx(alpha, abs=1e-10)
    assert bounds.exponent_stderr < 1e-10
    assert bounds.weighted_exponent == pytest.approx(alpha, abs=0.05)  # the weights are random: so is the slope
    assert bounds.low == pytest.approx(weights.min() / mean, rel=1e-12)
    assert bounds.high == pytest.approx(weights.max() / mean, rel=1e-12)
    expected = np.sort(np.arange(1.0, 2001) ** -alpha * weights / mean)[::-1]
    np.testing.assert_allclose(bounds.weighted_eigenvalues, expected, rtol=1e-12)
    assert bounds.ratio_min == pytest.approx(np.min(expected * np.arange(1.0, 2001) ** alpha), rel=1e-10)
    assert bounds.ratio_max == pytest.approx(np.max(expected * np.arange(1.0, 2001) ** alpha), rel=1e-10)
    assert bounds.window == (7, 299)  # 2000^(1/4) = 6.7 and 2000^(3/4) = 299.07


def test_unbounded_weights_do_change_the_exponent():
    problem = ss.power_law(2.0, 2.0, num_modes=2000)
    bounds = ss.bounds.spectral_bounds(problem, np.arange(1.0, 2001) ** 0.6)
    assert bounds.weighted_exponent == pytest.approx(1.4, abs=1e-10)
    # weights that reverse the order of the modes: the spectrum is sorted again
    rising = ss.bounds.spectral_bounds(problem, np.arange(1.0, 2001) ** 2.5, window=(1, 40))
    assert np.all(np.diff(rising.weighted_eigenvalues) <= 0)


@pytest.mark.parametrize("basis", ["fourier", "haar", "random"])
def test_exponents_on_the_torus(basis):
    problem = ss.torus(2.0, 2.0, 256, basis)
    weights = halves(256)
    bounds = ss.bounds.spectral_bounds(problem, weights)
    np.testing.assert_allclose(bounds.eigenvalues, np.arange(1.0, 257) ** -2.0, rtol=1e-9)
    assert bounds.exponent == pytest.approx(2.0, abs=1e-8)
    assert bounds.weighted_exponent == pytest.approx(2.0, abs=0.1)
    features = np.asarray(problem.features)
    direct = np.linalg.eigvalsh(features.T @ (weights[:, None] / 256 * features))[::-1]
    np.testing.assert_allclose(bounds.weighted_eigenvalues[:50], direct[:50], rtol=1e-9)
    assert 0.5 * (1 - 1e-9) <= bounds.ratio_min < 1 < bounds.ratio_max <= 1.5 * (1 + 1e-9)


def test_hard_pruning_keeps_only_the_upper_half():
    """Without a lower bound weights can cut the spectrum off; they cannot raise it beyond `high`."""
    problem = ss.torus(2.0, 2.0, 64)
    weights = np.where(np.arange(64) < 16, 4.0, 0.0)
    bounds = ss.bounds.spectral_bounds(problem, weights, window=(2, 10))
    assert bounds.low == 0
    assert bounds.high == 4
    assert np.linalg.matrix_rank(np.diag(bounds.weighted_eigenvalues), tol=1e-14) == 16
    assert bounds.ratio_max <= 4 * (1 + 1e-9)


def test_groups_and_mass_enter_the_operator():
    rng = np.random.default_rng(8)
    features, mass, groups = rng.normal(size=(15, 5)), rng.uniform(0.2, 1.0, 15), np.arange(15) % 3
    problem = ss.OperatorProblem(features, rng.normal(size=15), mass=mass, groups=groups)
    weights = np.array([0.2, 1.0, 3.0])
    mass = mass / mass.sum()
    per_example = weights[groups] / np.sum(mass * weights[groups])
    bounds = ss.bounds.spectral_bounds(problem, weights, window=(1, 5))
    for values, scale in ((bounds.eigenvalues, mass), (bounds.weighted_eigenvalues, mass * per_example)):
        expected = np.linalg.eigvalsh(features.T @ (scale[:, None] * features))[::-1]
        np.testing.assert_allclose(values, expected, rtol=1e-10)
    assert (bounds.low, bounds.high) == pytest.approx((per_example.min(), per_example.max()), rel=1e-12)


def test_shells_are_read_at_the_same_mode_numbers():
    """Weights on shells that turn the order round are compared with the spectrum of every mode by itself."""
    shells, plain = (ss.power_law(2.0, 2.0, **size) for size in ({"max_mode": 4000, "nodes": 256}, {"num_modes": 4000}))
    tilt = lambda problem: np.exp(np.sin(2 * np.log(np.asarray(problem.index))))
    from_shells, exact = (ss.bounds.spectral_bounds(p, tilt(p), window=(10, 1000)) for p in (shells, plain))
    at = np.asarray(shells.index)
    between = np.exp(np.interp(np.log(at), np.log(np.arange(1.0, 4001)), np.log(exact.weighted_eigenvalues)))
    middle = (at > 100) & (at < 3000)
    np.testing.assert_allclose(from_shells.weighted_eigenvalues[middle], between[middle], rtol=0.05)


def test_uniform_loss_is_the_sum_over_modes_in_the_shape_of_the_times():
    k = np.arange(1.0, 31)
    problem = ss.ModalProblem(k**-1.5, np.where(k == 4, 0.0, k**-2.0), 1 + k / 7)
    times = np.array([[0.0, 0.3, 2.0], [10.0, 300.0, 1e4]])
    energies = np.where(k == 4, 0.0, k**-2.0)
    expected = 0.5 * np.sum((1 + k / 7) * energies * np.exp(-2 * times[..., None] * k**-1.5), axis=-1)
    np.testing.assert_allclose(uniform_loss(problem, times), expected, rtol=1e-12)
    np.testing.assert_allclose(uniform_loss(problem, 0.3), expected[0, 1], rtol=1e-12)


def test_static_sandwich_is_uniform_learning_at_two_speeds():
    problem = ss.power_law(2.0, 2.0, num_modes=100)
    times = np.array([0.0, 1.0, 50.0])
    sandwich = ss.bounds.static_sandwich(problem, times, 0.25, 3.0)
    np.testing.assert_allclose(sandwich.lower, ss.simulate(problem, ss.uniform(), 3 * times).loss, rtol=1e-12)
    np.testing.assert_allclose(sandwich.upper, ss.simulate(problem, ss.uniform(), times / 4).loss, rtol=1e-12)
    flat = ss.bounds.static_sandwich(problem, times, 0.0, 1.0)
    np.testing.assert_allclose(flat.upper, problem.initial_loss(), rtol=1e-12)


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (1.2, 3.0, r"low=1\.2 and high=3 admit no weights of mean one: choose low <= 1 <= high"),
        (0.1, 0.9, r"low=0\.1 and high=0\.9 admit no weights"),
        (-0.1, 2.0, r"low is -0\.1: it must not be negative"),
        (0.1, np.inf, r"high is inf"),
        (0.1, 0.0, r"high is 0: it must be positive"),
    ],
)
def test_static_sandwich_refuses_bounds(low, high, message):
    with pytest.raises(ValueError, match=message):
        ss.bounds.static_sandwich(ss.power_law(2.0, 2.0, num_modes=5), [1.0], low, high)


def test_static_sandwich_refuses_data_problems_and_times():
    with pytest.raises(TypeError, match=r"holds for modal problems, not for OperatorProblem: try speed_limit"):
        ss.bounds.static_sandwich(ss.torus(2.0, 2.0, 4), [1.0], 0.5, 2.0)
    with pytest.raises(ValueError, match=r"times\[1\] is -3"):
        ss.bounds.static_sandwich(ss.power_law(2.0, 2.0, num_modes=5), [1.0, -3.0], 0.5, 2.0)


@pytest.mark.parametrize(
    ("weights", "window", "message"),
    [
        (np.ones(9), None, r"weights has shape \(9,\) but the problem needs a leading axis of 10"),
        (np.ones((10, 1)), None, r"weights must have shape \(weights\), got shape \(10, 1\)"),
        (np.array([1.0] * 9 + [-2.0]), None, r"weights\[9\] is -2: .*density ratios"),
        (np.array([1.0] * 8 + [np.nan, 1.0]), None, r"weights\[8\] is nan"),
        (np.zeros(10), None, r"weights are zero wherever the problem has mass"),
        (np.ones(10), (4, 5), r"window=\(4, 5\) holds 2 positive eigenvalues of 10: widen it"),
        (np.ones(10), (50, 90), r"window=\(50, 90\) holds 0 positive eigenvalues"),
    ],
)
def test_spectral_bounds_refuses(weights, window, message):
    with pytest.raises(ValueError, match=message):
        ss.bounds.spectral_bounds(ss.power_law(2.0, 2.0, num_modes=10), weights, window)
