"""Exponents against closed forms and exact sums, the window against an exhaustive search, and every refusal."""

import math
import re

import numpy as np
import pytest
from scipy.special import gamma, gammaln, zeta

from spectral_sim.analysis import ExponentFit, NoPowerLawError, fit_exponent, local_exponent

TIMES = np.logspace(-1, 8, 257)
# theta0 of the last law is 1/15: its sum must go on to 1e13 for the tail left out to be below 1% of it at any time.
LAWS = [(1.25, 1.5, 1e7), (1.25, 1.5, 1e8), (1.5, 2.0, 1e7), (2.0, 2.0, 1e7), (3.0, 1.2, 1e13)]


def uniform_loss(alpha: float, beta: float, num_modes: float) -> np.ndarray:
    """Half of sum_k k^-beta exp(-2 k^-alpha t): the first modes one by one, the rest by Gauss-Legendre in log k."""
    first = np.arange(1.0, 129.0)
    points, weights = np.polynomial.legendre.leggauss(16)
    border = np.linspace(math.log(128.5), math.log(num_modes + 0.5), 241)
    half = np.diff(border)[:, None] / 2
    k = np.exp(border[:-1, None] + half * (points + 1)).ravel()
    k, count = np.append(first, k), np.append(np.ones(128), (half * weights).ravel() * k)
    return 0.5 * (count * k**-beta * np.exp(-2 * k**-alpha * TIMES[:, None])).sum(axis=1)


def ideal_loss(alpha: float, beta: float, num_modes: float = math.inf) -> np.ndarray:
    """Water-filling: n modes share the budget kappa t, sum_(k<=n) 1/2 log(E_k / mu) = kappa t."""
    beyond = [0.0 if math.isinf(num_modes) else zeta(s, num_modes + 1) for s in (alpha, beta)]
    budget = (zeta(alpha) - beyond[0]) * TIMES
    low, high = np.ones_like(TIMES), np.full_like(TIMES, 2.0**40)
    for _ in range(60):  # bisection for n, the last mode that has joined
        middle = np.floor((low + high) / 2)
        joined = 0.5 * beta * (middle * np.log(middle) - gammaln(middle + 1)) <= budget
        low, high = np.where(joined, middle, low), np.where(joined, high, middle)
    log_level = -(2 * budget + beta * gammaln(low + 1)) / low
    assert np.max(low) < num_modes
    return 0.5 * (low * np.exp(log_level) + zeta(beta, low + 1) - beyond[1])


@pytest.mark.parametrize("exponent", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_a_power_law_is_found_whole(exponent, unit):
    fit = fit_exponent(np.append(0.0, TIMES * unit), np.append(7.0, 3.0 * TIMES**-exponent))
    assert isinstance(fit, ExponentFit)
    assert fit.value == pytest.approx(exponent, rel=1e-10)
    assert fit.window == (TIMES[0] * unit, TIMES[-1] * unit)
    assert fit.stderr < 1e-10
    assert fit.r2 == pytest.approx(1.0, abs=1e-12)


def test_lists_and_single_precision_are_taken():
    fit = fit_exponent(TIMES.tolist(), (TIMES**-0.5).astype(np.float32))
    assert fit.value == pytest.approx(0.5, rel=1e-7)
    assert isinstance(fit.value, float)


@pytest.mark.parametrize(("alpha", "beta", "num_modes"), LAWS)
def test_static_exponent_of_the_exact_sum(alpha, beta, num_modes):
    fit = fit_exponent(TIMES, uniform_loss(alpha, beta, num_modes))
    theta = (beta - 1) / alpha
    assert fit.value == pytest.approx(theta, rel=0.01)
    # what the tail left out does over the whole window cannot be seen in the curve
    hidden = theta * (2 * num_modes**-alpha * math.sqrt(fit.window[0] * fit.window[1])) ** theta
    assert abs(fit.value - theta) < 3 * fit.stderr + hidden
    assert fit.stderr < 0.01 * theta
    assert fit.window[1] > 1e4 * fit.window[0]


def test_the_sums_used_as_truth_are_sums():
    k = np.arange(1.0, 1e5 + 1)
    direct = [0.5 * math.fsum(k**-1.5 * np.exp(-2 * k**-1.25 * t)) for t in TIMES[::32]]
    np.testing.assert_allclose(uniform_loss(1.25, 1.5, 1e5)[::32], direct, rtol=2e-6)


@pytest.mark.parametrize(("alpha", "beta"), [(1.25, 1.5), (1.5, 2.0), (2.0, 2.0), (3.0, 1.2)])
def test_ideal_exponent_of_water_filling(alpha, beta):
    fit = fit_exponent(TIMES, ideal_loss(alpha, beta))
    assert fit.value == pytest.approx(beta - 1, rel=0.01)
    assert abs(fit.value - (beta - 1)) < 3 * fit.stderr < 0.03 * (beta - 1)


def test_ideal_exponent_while_the_frontier_is_inside_the_modes():
    fit = fit_exponent(TIMES, ideal_loss(2.0, 2.0, 1e9))
    assert fit.value == pytest.approx(1.0, rel=0.01)
    assert fit.window[1] < 1e8  # what is left of the tail bends the end of the curve


def test_the_tail_left_out_steepens_a_finite_sum():
    """theta / (1 - r) with r the missing tail over the loss of all modes: at theta0 = 1/15 even 1e8 modes are few."""
    alpha, beta, num_modes = 3.0, 1.2, 1e8
    theta = (beta - 1) / alpha
    tail = (2 * num_modes**-alpha * TIMES) ** theta / gamma(1 + theta)
    late = slice(100, -1)  # where the first mode is long learnt
    expected = theta / (1 - tail[late])
    loss = uniform_loss(alpha, beta, num_modes)
    np.testing.assert_allclose(local_exponent(TIMES, loss)[late], expected, rtol=1e-4)
    assert expected.min() < fit_exponent(TIMES, loss).value < expected.max()


def test_the_longer_side_of_a_kink():
    loss = np.where(TIMES < 1e3, TIMES**-0.5, 1e1**1.5 * TIMES**-1.0)
    fit = fit_exponent(TIMES, loss)
    assert fit.value == pytest.approx(1.0, rel=0.01)
    assert 1e2 < fit.window[0] < 1e3
    assert fit.window[1] == TIMES[-1]
    early = fit_exponent(TIMES, loss, window=(0.1, 900.0))
    assert early.value == pytest.approx(0.5, rel=1e-12)


def longest_straight_window(times: np.ndarray, loss: np.ndarray) -> tuple[float, float] | None:
    """Every window by polynomial fits: at least a decade and 8 points, cubic slope within 2% of the linear one."""
    x, y = np.log(times), np.log(loss)
    found = []
    for i in range(x.size):
        for j in range(i + 7, x.size):
            u, v = x[i : j + 1] - x[i : j + 1].mean(), y[i : j + 1]
            slope = np.polyfit(u, v, 1)[0]
            if x[j] - x[i] < math.log(10) - 1e-9 or slope > -1e-3:
                continue
            local = np.polyval(np.polyder(np.polyfit(u, v, 3)), np.linspace(u[0], u[-1], 401))
            drift = np.ptp(local) / -slope
            if drift <= 0.02:
                found.append((-round(x[j] - x[i], 9), drift, times[i], times[j]))
    return min(found)[2:] if found else None


@pytest.mark.parametrize(
    "curve",
    [
        lambda t: t**-0.7,
        lambda t: (1 + t) ** -0.5,
        lambda t: (1 + t) ** -0.5 + 1e-3,
        lambda t: np.where(t < 10, t**-0.5, 10**0.5 * t**-1.0),
        lambda t: t**-0.5 * (1 + 0.01 * np.sin(2 * np.log(t))),
        lambda t: t**-0.5 * np.exp(0.01 * np.random.default_rng(3).standard_normal(t.size)),
        lambda t: (1 + t) ** -0.7 + 0.01,
    ],
)
@pytest.mark.parametrize("spacing", ["even", "uneven"])
def test_the_window_is_the_longest_straight_one(curve, spacing):
    t = np.logspace(-1, 4, 45)
    if spacing == "uneven":
        t = np.sort(10 ** np.random.default_rng(0).uniform(-1, 4, 45))
    expected = longest_straight_window(t, curve(t))
    if expected is None:
        with pytest.raises(NoPowerLawError):
            fit_exponent(t, curve(t))
    else:
        assert fit_exponent(t, curve(t)).window == expected


def test_a_long_curve_is_fitted_as_a_short_one():
    loss = 0.5 * (1 + TIMES) ** -0.5
    fine = np.logspace(-1, 8, 1000)
    fit = fit_exponent(fine, 0.5 * (1 + fine) ** -0.5)
    assert fit.value == pytest.approx(fit_exponent(TIMES, loss).value, rel=1e-4)
    assert fit.window == pytest.approx(fit_exponent(TIMES, loss).window, rel=0.1)


def test_entries_without_a_loss_are_left_out():
    loss = TIMES**-0.5
    loss[[5, 90, 256]] = np.nan
    fit = fit_exponent(TIMES, loss)
    assert fit.value == pytest.approx(0.5, rel=1e-10)
    assert fit.window == (TIMES[0], TIMES[255])
    loss[200:] = 0.0  # underflow
    assert fit_exponent(TIMES, loss).window == (TIMES[0], TIMES[199])


def test_a_window_holds_the_times_that_name_it():
    t = np.logspace(0, 4, 9) * (1 + 1e-15)
    assert fit_exponent(t, t**-0.5, window=(1e0, 1e4)).window == (t[0], t[-1])


def test_a_given_window_is_fitted_whatever_its_shape():
    """Rising, flat and bent curves have slopes too, if the caller asks for them."""
    assert fit_exponent(TIMES, TIMES**0.3, window=(1.0, 1e3)).value == pytest.approx(-0.3)
    flat = fit_exponent(TIMES, np.full_like(TIMES, 0.5), window=(1.0, 1e3))
    np.testing.assert_allclose([flat.value, flat.stderr, flat.r2], 0.0, atol=1e-12)
    # log L = -0.5 x - 0.02 x^2: over [0, X] the mean slope is 0.5 + 0.02 X, and the halves differ by 0.02 X
    t = np.logspace(0, 4, 401)
    x = np.log(t)
    fit = fit_exponent(t, np.exp(-0.5 * x - 0.02 * x**2), window=(1.0, 1e4))
    assert fit.value == pytest.approx(0.5 + 0.02 * x[-1], rel=1e-10)
    assert fit.stderr == pytest.approx(0.02 * x[-1] / 2, rel=0.02)
    assert 0.98 < fit.r2 < 1


@pytest.mark.parametrize(
    ("decades", "points", "noise", "automatic"),
    [
        (4, 129, 0.01, True),
        (4, 129, 0.05, True),
        (2, 65, 0.01, True),
        (4, 129, 0.05, False),
        (1, 33, 0.2, False),
        (1, 5, 0.05, False),
    ],
)
def test_the_standard_error_covers_independent_noise(decades, points, noise, automatic):
    t = np.logspace(0, decades, points)
    window = None if automatic else (t[0], t[-1])
    ratios = []
    for seed in range(300):
        loss = t**-0.5 * np.exp(noise * np.random.default_rng(seed).standard_normal(points))
        try:
            fit = fit_exponent(t, loss, window)
        except NoPowerLawError:
            continue
        ratios.append(abs(fit.value - 0.5) / fit.stderr)
    assert len(ratios) >= 295
    assert np.mean(np.array(ratios) <= 3) >= 0.97
    assert np.median(ratios) > 0.2  # an error bar that is merely huge would cover too


NOISE = 1 + 1e-15 * np.random.default_rng(0).standard_normal(TIMES.size)
STRAIGHTEST = (
    r"no power-law window: the straightest stretch of a decade or more, t = .* drifts by .*% of it, .* pass window="
)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (np.exp(-TIMES), STRAIGHTEST),
        (np.exp(-1e-8 * TIMES), STRAIGHTEST),
        (np.exp(-(TIMES**0.1)), STRAIGHTEST),
        (1 / np.log(10 + TIMES) ** 2, STRAIGHTEST),
        (np.exp(-0.5 * np.log(TIMES) - 0.01 * np.log(TIMES) ** 2), STRAIGHTEST),
        (0.4 * (1 + TIMES) ** -0.5 + 0.05, STRAIGHTEST),
        (0.4 * (1 + TIMES / 30) ** -1.0 + 0.01, STRAIGHTEST),
        (0.4 * (1 + TIMES) ** -0.3 + 0.02, STRAIGHTEST),  # drifts by 4% at its straightest, rising and falling
        (np.full_like(TIMES, 0.5), r"the loss does not fall; its largest exponent over a decade is -?0 "),
        (0.5 * NOISE, r"the loss does not fall; its largest exponent over a decade is .* and at least 0.001 is needed"),
        (TIMES**-5e-4, r"largest exponent over a decade is 0.0005 and at least 0.001 is needed. Simulate longer"),
        (TIMES**0.3, r"largest exponent over a decade is -0.3 and at least 0.001"),
        (np.full_like(TIMES, np.nan), r"0 usable times after 0 \(positive loss\) over 0 decades; record at least 8"),
        (np.zeros_like(TIMES), r"0 usable times after 0"),
    ],
)
def test_curves_without_an_exponent_are_refused(loss, message):
    with pytest.raises(NoPowerLawError, match=message):
        fit_exponent(TIMES, loss)


def test_the_refusal_names_the_straightest_stretch():
    loss = 0.4 * (1 + TIMES) ** -0.5 + 0.05
    with pytest.raises(NoPowerLawError) as error:
        fit_exponent(TIMES, loss)
    start, end, exponent, drift = (
        float(x)
        for x in re.search(r"t = (\S+) to (\S+), has exponent (\S+) .* by (\S+)% of", str(error.value)).groups()
    )
    slope = local_exponent(TIMES, loss)[np.searchsorted(TIMES, 0.99 * start) : np.searchsorted(TIMES, 1.01 * end)]
    assert exponent == pytest.approx(slope.mean(), rel=0.03)
    assert drift / 100 == pytest.approx(np.ptp(slope) / slope.mean(), rel=0.2)


@pytest.mark.parametrize(("decades", "points"), [(0.9, 100), (3, 7)])
def test_too_short_a_record_is_refused(decades, points):
    t = np.logspace(0, decades, points)
    with pytest.raises(NoPowerLawError, match=rf"{points} usable times .* over {decades} decades; record at least 8"):
        fit_exponent(t, t**-0.5)


def with_entry(index: int, value: float) -> np.ndarray:
    loss = TIMES**-0.5
    loss[index] = value
    return loss


@pytest.mark.parametrize(
    ("times", "loss", "window", "message"),
    [
        (TIMES, TIMES[:-1], None, r"loss has shape \(256,\) but times with 257 entries needs a leading axis of 257"),
        (TIMES, TIMES[:, None], None, r"loss must have shape \(times\), got shape \(257, 1\)"),
        (TIMES[:, None], TIMES, None, r"times must have shape \(times\), got shape \(257, 1\)"),
        ([1.0], [1.0], None, "times has length 1: give at least two times"),
        (
            [0.0, 2.0, 1.0],
            [3.0, 2.0, 1.0],
            None,
            r"times\[2\] is 1, not above times\[1\] = 2: times must increase; sort",
        ),
        ([-1.0, 2.0, 3.0], [3.0, 2.0, 1.0], None, r"times\[0\] is -1: it must not be negative; measure time from"),
        ([0.0, np.inf], [3.0, 2.0], None, r"times\[1\] is inf: every entry must be finite"),
        (
            TIMES,
            with_entry(40, -1.0),
            None,
            r"loss\[40\] is -1: its logarithm is needed.*mark it NaN, or pass a window",
        ),
        (TIMES, with_entry(40, 0.0), None, r"loss\[40\] is 0: its logarithm is needed"),
        (TIMES, with_entry(40, np.inf), None, r"loss\[40\] is inf: its logarithm is needed"),
        (TIMES, with_entry(40, 0.0), (1.0, 1e3), r"loss\[40\] is 0: .* end window before it, or start after it"),
        (TIMES, TIMES**-0.5, (1.0, 1.2), r"window=\(1, 1.2\) holds \d points with a loss: .* need 5; widen it"),
        (TIMES, TIMES**-0.5, (1e-3, 1.0), r"window=\(0.001, 1\) reaches outside times, which run from 0.1 to 1e\+08"),
        (TIMES, TIMES**-0.5, (1.0, 1e9), r"window=\(1, 1e\+09\) reaches outside times.* or simulate longer"),
        (TIMES, TIMES**-0.5, (10.0, 1.0), r"window=\(10, 1\) is no window: give 0 < t0 < t1"),
        (TIMES, TIMES**-0.5, (0.0, 1.0), r"window=\(0, 1\) is no window: give 0 < t0 < t1"),
        (TIMES, TIMES**-0.5, (1.0, np.nan), r"window\[1\] is nan: every entry must be finite; name a first"),
        (TIMES, TIMES**-0.5, 10.0, r"window=10.0 is not a pair; give window=\(t0, t1\)"),
    ],
)
def test_bad_input_is_named(times, loss, window, message):
    with pytest.raises(ValueError, match=message) as error:
        fit_exponent(times, loss, window)
    assert not isinstance(error.value, NoPowerLawError)


def test_an_entry_without_logarithm_outside_the_window_is_harmless():
    assert fit_exponent(TIMES, with_entry(0, -1.0), window=(1.0, 1e3)).value == pytest.approx(0.5)


def test_local_exponent_of_a_power_law_is_its_exponent_up_to_the_ends():
    local = local_exponent(np.append(0.0, TIMES), np.append(9.0, 2 * TIMES**-0.8))
    assert np.isnan(local[0])
    np.testing.assert_allclose(local[1:], 0.8, rtol=1e-12)


@pytest.mark.parametrize("uneven", [False, True])
def test_local_exponent_is_exact_for_a_parabola_inside(uneven):
    x = np.linspace(-2, 10, 60)
    if uneven:
        x = np.sort(np.random.default_rng(1).uniform(-2, 10, 60))
    local = local_exponent(np.exp(x), np.exp(-0.3 * x - 0.02 * x**2))
    np.testing.assert_allclose(local[1:-1], 0.3 + 0.04 * x[1:-1], rtol=1e-8)


def test_local_exponent_around_a_missing_loss():
    missing = np.isnan(local_exponent(TIMES, with_entry(40, np.nan)))
    assert np.flatnonzero(missing).tolist() == [39, 40, 41]


@pytest.mark.parametrize(
    ("times", "loss", "message"),
    [
        (TIMES, with_entry(3, 0.0), r"loss\[3\] is 0: its logarithm is needed, so it must be positive; cut the curve"),
        ([0.0, 1.0], [1.0, 0.5], "times has 1 entry after 0; give at least two for a slope"),
        (TIMES, TIMES[1:], r"loss has shape \(256,\)"),
    ],
)
def test_local_exponent_names_bad_input(times, loss, message):
    with pytest.raises(ValueError, match=message):
        local_exponent(times, loss)
