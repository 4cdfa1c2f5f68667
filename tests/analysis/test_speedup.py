"""Speed-ups between curves whose ratio of times is known in closed form."""

import math

import numpy as np
import pytest

from spectral_sim.analysis import Speedup, speedup

TIMES = np.logspace(-2, 6, 33)  # 4 refreshes a decade; power laws are exact in between
GRID = np.append(0.0, TIMES)
SLOW = np.append(20.0, TIMES**-0.5)
FAST = np.append(20.0, (3 * TIMES) ** -0.5)


@pytest.mark.parametrize("horizon", [1.0, 37.0, 1e6])
def test_a_rate_is_recovered_at_one_horizon(horizon):
    result = speedup(GRID, FAST, SLOW, horizon=horizon)
    assert result.value == pytest.approx(3.0, rel=1e-12)
    assert (result.kind, result.net, result.horizon, result.window, result.bound) == (
        "one horizon",
        False,
        horizon,
        None,
        "=",
    )


def test_the_default_is_the_last_horizon():
    assert speedup(GRID, FAST, SLOW) == speedup(GRID, FAST, SLOW, horizon=1e6)


def test_a_rate_is_recovered_at_any_time():
    result = speedup(GRID, FAST, SLOW, window=(1.0, 1e4))
    assert result.value == pytest.approx(3.0, rel=1e-12)
    assert (result.kind, result.horizon, result.window) == ("anytime", None, (1.0, 1e4))


def test_anytime_is_the_geometric_mean_over_log_time():
    """t^-1 reaches H^-1/2 at sqrt(H): the ratio is sqrt(H), its geometric mean over [a, b] is (a b)^(1/4)."""
    loss = np.append(200.0, TIMES**-1.0)
    result = speedup(GRID, loss, SLOW, window=(1e1, 1e5))
    assert result.value == pytest.approx(10 ** (6 / 4), rel=1e-10)
    assert speedup(GRID, loss, SLOW, horizon=1e5).value == pytest.approx(10**2.5, rel=1e-12)


@pytest.mark.parametrize("curve", [SLOW, np.maximum(SLOW, 0.05), SLOW * (1 + 0.5 * np.sin(np.arange(34.0)))])
@pytest.mark.parametrize("window", [None, (1.0, 1e6)])
def test_a_curve_is_as_fast_as_itself_even_where_it_stalls_or_rises(curve, window):
    result = speedup(GRID, curve, curve, window=window)
    assert result.value == pytest.approx(1.0, rel=1e-12)
    assert result.bound == "="


def test_the_target_is_the_best_loss_so_far():
    times, reference = [0.0, 1.0, 2.0, 4.0], [1.0, 0.5, 0.25, 0.75]
    loss = [1.0, 0.25, 0.125, 0.125]
    assert speedup(times, loss, reference).value == 2.0  # best 0.25 at t = 2, against t = 1


def test_a_first_crossing_is_enough():
    """The schedule reaches the target at t = 1 and loses it again."""
    assert speedup([0.0, 1.0, 2.0, 4.0], [1.0, 0.25, 0.9, 0.9], [1.0, 0.8, 0.5, 0.25]).value == 4.0


def test_costs_are_charged_for_every_refresh_before_the_crossing():
    times, reference = np.arange(5.0), np.array([16.0, 8.0, 4.0, 2.0, 1.0])
    loss = np.array([16.0, 4.0, 1.0, 0.5, 0.25])  # at t = 2 after the refreshes at 0 and 1
    gross = speedup(times, loss, reference)
    assert (gross.value, gross.net) == (2.0, False)
    net = speedup(times, loss, reference, cost_per_refresh=0.25)
    assert (net.value, net.net) == (4 / 2.5, True)
    both = speedup(times, loss, reference, cost_per_refresh=0.25, fixed_cost=1.5)
    assert (both.value, both.net) == (1.0, True)
    assert speedup(times, loss, reference, fixed_cost=2.0).net
    # between refreshes: L = 2 at H = 3 is reached inside (1, 2], log-log, still after two refreshes
    inside = 2 ** (math.log(4 / 2) / math.log(4 / 1))
    net = speedup(times, loss, reference, horizon=3.0, cost_per_refresh=0.25)
    assert net.value == pytest.approx(3 / (inside + 0.5), rel=1e-12)


def test_a_target_never_reached_gives_an_upper_bound():
    result = speedup(GRID, 2 * SLOW, SLOW)  # would need 4e6
    assert (result.value, result.bound) == (1.0, "<=")
    charged = speedup(GRID, 2 * SLOW, SLOW, cost_per_refresh=1e5)
    assert charged.value == pytest.approx(1e6 / (1e6 + 33e5), rel=1e-12)
    anytime = speedup(GRID, 2 * SLOW, SLOW, window=(1e5, 1e6))
    horizons = np.geomspace(1e5, 1e6, 4001)
    bound = np.exp(np.mean(np.log(np.maximum(horizons / 1e6, 0.25))))
    assert anytime.value == pytest.approx(bound, rel=0.01)
    assert anytime.bound == "<="


def test_a_schedule_that_failed_is_bounded_by_its_last_known_time():
    loss = FAST.copy()
    loss[20:] = np.nan
    result = speedup(GRID, loss, SLOW)
    assert (result.value, result.bound) == (pytest.approx(1e6 / GRID[19], rel=1e-12), "<=")


def test_a_target_met_before_the_first_recorded_time_gives_a_lower_bound():
    result = speedup(TIMES, TIMES**-0.5 / 100, TIMES**-0.5, horizon=1.0)  # there at 1e-4
    assert (result.value, result.bound) == (pytest.approx(1.0 / 1e-2, rel=1e-12), ">=")


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (Speedup(2.3, "anytime", True, None, (1.0, 1e4), "="), "2.3x (anytime 1e0-1e4, net)"),
        (Speedup(0.25, "one horizon", False, 2500.0, None, "<="), "<=0.25x (one horizon 2.5e3, gross)"),
        (Speedup(36.04, "one horizon", True, 0.1, None, ">="), ">=36x (one horizon 1e-1, net)"),
    ],
)
def test_the_text_says_which_speedup_it_is(result, text):
    assert str(result) == text


FLAT = np.append(20.0, np.full(33, 20.0))


@pytest.mark.parametrize(
    ("loss", "reference", "options", "message"),
    [
        (FAST[1:], SLOW, {}, r"loss has shape \(33,\) but times with 34 entries needs a leading axis of 34"),
        (FAST, SLOW[1:], {}, r"reference has shape \(33,\) but times with 34 entries"),
        (
            FAST,
            np.where(GRID > 10, np.nan, SLOW),
            {},
            r"reference\[14\] is nan: .* compare with a run that did not fail",
        ),
        (
            np.where(GRID > 0, np.nan, SLOW),
            SLOW,
            {},
            r"loss is NaN at every time after times\[0\]: the schedule failed",
        ),
        (FAST, SLOW, {"horizon": 2e6}, r"horizon asks .* time 2e\+06, but times run from 0 to 1e\+06: choose"),
        (FAST, SLOW, {"horizon": 0.0}, "horizon asks for the speed-up at time 0, but times run from 0"),
        (FAST, SLOW, {"horizon": np.nan}, "horizon asks for the speed-up at time nan"),
        (FAST, SLOW, {"window": (1.0, 1e7)}, r"window=\(1, 1e\+07\) reaches outside times"),
        (FAST, SLOW, {"window": (1e4, 1.0)}, r"window=\(10000, 1\) is no window"),
        (FAST, SLOW, {"window": (1.0, 1e4), "horizon": 1e2}, r"horizon=100 and window=\(1.0, 10000.0\) are both given"),
        (
            FAST,
            SLOW,
            {"cost_per_refresh": -1.0},
            "cost_per_refresh is -1: it must not be negative; give the cost in units",
        ),
        (FAST, SLOW, {"fixed_cost": -2.0}, "fixed_cost is -2: it must not be negative"),
        (FAST, FLAT, {}, r"reference has not fallen below its first loss 20 by time 1e\+06: choose a later"),
        (FAST, np.where(GRID > 10, 0.0, SLOW), {}, r"reference\[14\] is 0: a target lies above zero; end the horizon"),
        (FAST / 100, SLOW, {"horizon": 1.0}, r"loss\[0\] is 0.2, at or below the target 1 before any training"),
    ],
)
def test_bad_input_is_named(loss, reference, options, message):
    with pytest.raises(ValueError, match=message):
        speedup(GRID, loss, reference, **options)


def test_bad_input_on_a_grid_that_starts_late_is_named():
    slow = TIMES**-0.5
    with pytest.raises(ValueError, match=r"times\[0\] is 0.01: cost_per_refresh counts refreshes, so prepend"):
        speedup(TIMES, slow, slow, cost_per_refresh=1.0)
    with pytest.raises(ValueError, match=r"window asks for the speed-up at time 0.01, but times run from 0.01"):
        speedup(TIMES, slow, slow, window=(0.01, 1.0))
    with pytest.raises(ValueError, match=r"targets that loss meets before .* and targets it never reaches.*narrow"):
        speedup(TIMES, np.full(33, 1.0), slow, window=(0.1, 1e4))
