"""Frontiers with a closed form, and crossings of known power laws."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import gamma, zeta

from spectral_sim.analysis import CrossoverTime, crossover_time, frontier

TIMES = np.logspace(-1, 8, 257)


def power_law(index: np.ndarray, beta: float) -> SimpleNamespace:
    return SimpleNamespace(index=index, energies=index**-beta)


@pytest.mark.parametrize("threshold", [0.6, 1.0, 3.0])
def test_water_filling_is_exact_between_modes(threshold):
    """log E_k = min(-beta log k, log mu): the fall is linear in log k, so k* = (e^-threshold / mu)^(1/beta)."""
    problem = power_law(np.geomspace(1.0, 1e7, 64), 2.0)
    expected = np.array([3.7, 2e2, 5e6])
    level = -threshold - 2.0 * np.log(expected)
    log_energy = np.minimum(np.log(problem.energies), level[:, None])
    np.testing.assert_allclose(frontier(problem, log_energy, threshold), expected, rtol=1e-12)


def test_uniform_weights_learn_the_modes_above_half_over_time():
    problem = power_law(np.geomspace(1.0, 1e5, 512), 1.5)
    t = np.logspace(0, 8, 9)
    log_energy = np.log(problem.energies) - 2 * problem.index**-2.0 * t[:, None]
    np.testing.assert_allclose(frontier(problem, log_energy), (2 * t) ** 0.5, rtol=1e-3)


def test_leading_axes_are_kept():
    problem = power_law(np.arange(1.0, 9.0), 2.0)
    start = np.log(problem.energies)
    assert frontier(problem, np.broadcast_to(start, (2, 3, 8))).shape == (2, 3)
    assert isinstance(frontier(problem, start), float)


def test_before_the_first_mode_and_after_the_last():
    problem = power_law(np.arange(1.0, 9.0), 2.0)
    start = np.log(problem.energies)
    np.testing.assert_array_equal(frontier(problem, np.stack([start, start - 0.9, start - 1, start - 9])), [0, 0, 8, 8])
    single = power_law(np.array([1.0]), 2.0)
    np.testing.assert_array_equal(frontier(single, [[0.0], [-2.0]]), [0, 1])


def test_only_leading_modes_count():
    problem = power_law(np.arange(1.0, 7.0), 2.0)
    fall = np.array([5.0, 1.5, 0.5, 9.0, 9.0, 0.0])
    assert frontier(problem, np.log(problem.energies) - fall) == pytest.approx(np.sqrt(2 * 3))


def test_modes_without_energy_are_skipped():
    problem = SimpleNamespace(index=np.arange(1.0, 6.0), energies=np.array([1.0, 0.0, 1.0, 1.0, 0.0]))
    log_energy = np.array([-4.0, -np.inf, -1.5, -0.5, -np.inf])
    assert frontier(problem, log_energy) == pytest.approx(np.sqrt(3 * 4))
    assert frontier(problem, log_energy - 4) == 4.0


def test_an_energy_that_underflowed_and_one_that_failed():
    problem = power_law(np.arange(1.0, 4.0), 2.0)
    start = np.log(problem.energies)
    assert frontier(problem, start - np.array([np.inf, 0.5, 0.0])) == pytest.approx(2.0)
    assert np.isnan(frontier(problem, start - np.array([5.0, 5.0, np.nan])))


@pytest.mark.parametrize(
    ("problem", "log_energy", "threshold", "message"),
    [
        (
            SimpleNamespace(),
            [0.0],
            1.0,
            "problem is SimpleNamespace, which has no modes: the frontier needs a ModalProblem",
        ),
        (power_law(np.arange(1.0, 4.0), 2.0), [0.0, 0.0], 1.0, r"log_energy has shape \(2,\) but problem has 3 modes"),
        (power_law(np.arange(1.0, 3.0), 2.0), 0.0, 1.0, r"log_energy has shape \(\) but problem has 2 modes"),
        (power_law(np.arange(1.0, 3.0), 2.0), [0.0, 0.0], 0.0, "threshold is 0: it must be positive; 1 means a fall"),
    ],
)
def test_bad_frontier_input_is_named(problem, log_energy, threshold, message):
    with pytest.raises(ValueError, match=message):
        frontier(problem, log_energy, threshold)


def test_power_laws_of_one_curve_cross_at_the_kink():
    loss = np.where(TIMES < 300.0, TIMES**-1.0, 300.0**-0.6 * TIMES**-0.4)
    result = crossover_time(TIMES, loss, (0.1, 100.0), (1e3, 1e7))
    assert isinstance(result, CrossoverTime)
    assert result.value == pytest.approx(300.0, rel=1e-9)
    assert result.stderr < 1e-6
    assert result.early.value == pytest.approx(1.0)
    assert result.late.value == pytest.approx(0.4)


@pytest.mark.parametrize("cap", [30.0, 1e4])
def test_a_cap_is_left_at_a_time_proportional_to_it(cap):
    """alpha = beta = 2: ideal 1 / (kappa t) and uniform at W t, (1/4) Gamma(1/2) (2 W t)^-1/2, cross at 3.765 W."""
    ideal = 1 / (zeta(2.0) * TIMES)
    capped = np.maximum(ideal, gamma(0.5) / 4 * (2 * cap * TIMES) ** -0.5)
    result = crossover_time(TIMES, capped, (1.0, 1e7), (1e6, 1e8), early_loss=ideal)
    assert result.value == pytest.approx(32 / (np.pi * zeta(2.0) ** 2) * cap, rel=1e-9)
    assert result.value == pytest.approx(3.765 * cap, rel=1e-3)


def test_the_standard_error_covers_independent_noise():
    ratios = []
    for seed in range(300):
        noise = np.exp(0.02 * np.random.default_rng(seed).standard_normal(TIMES.size))
        loss = np.where(TIMES < 300.0, TIMES**-1.0, 300.0**-0.6 * TIMES**-0.4) * noise
        result = crossover_time(TIMES, loss, (0.1, 100.0), (1e3, 1e7))
        ratios.append(abs(result.value - 300.0) / result.stderr)
    assert np.mean(np.array(ratios) <= 3) >= 0.97
    assert np.median(ratios) > 0.2


def test_equal_exponents_have_no_crossing():
    message = "early and late have exponents 0.5 .* and 0.5 .*: equal within error.* choose windows on either side"
    with pytest.raises(ValueError, match=message):
        crossover_time(TIMES, TIMES**-0.5, (0.1, 10.0), (1e3, 1e5))
    noise = np.exp(0.05 * np.random.default_rng(0).standard_normal(TIMES.size))
    with pytest.raises(ValueError, match="equal within error"):
        crossover_time(TIMES, TIMES**-0.5 * noise, (0.1, 10.0), (1e3, 1e5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"early": (1.0, 1e9)}, r"early=\(1, 1e\+09\) reaches outside times"),
        ({"late": (1.0, 1.1)}, r"late=\(1, 1.1\) holds \d points with a loss"),
        ({"early_loss": TIMES[1:]}, r"early_loss has shape \(256,\) but times with 257 entries"),
        ({"early_loss": np.zeros(257)}, r"early_loss\[29\] is 0: its logarithm is needed.* end early before it"),
    ],
)
def test_bad_crossover_input_is_named(options, message):
    arguments = {"early": (1.0, 10.0), "late": (1e3, 1e5)} | options
    with pytest.raises(ValueError, match=message):
        crossover_time(TIMES, TIMES**-0.5, **arguments)
