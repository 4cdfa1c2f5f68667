"""Windows and net speed-ups of known curves."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.assessment import Interval, interval
from spectral_sim.assessment._gains import first_ahead, gain_window, gains

TIMES = ss.log_times(0.1, 1e4, 81)


def run(speed, charges=0.0, cost=0.0, floor=0.0):
    loss = (1 - floor) / (1 + speed * TIMES) + floor
    each = np.append(np.full(len(TIMES) - 1, charges), 0.0)
    return SimpleNamespace(loss=loss, split_losses=loss[None], cost_per_refresh=cost * each)


def test_gross_speedup_of_a_sped_up_curve_is_its_factor():
    uniform = run(1.0)
    window = gain_window(TIMES, uniform.loss)
    found = gains(TIMES, run(3.0), uniform, window)
    for value in (found.anytime_gross, found.anytime_net, found.horizon_gross, found.horizon_net):
        assert value is not None
        assert value.value == pytest.approx(3.0, rel=1e-2)
        assert value.bound == "="


def test_net_speedup_agrees_with_analysis_where_every_refresh_is_charged():
    uniform, fast = run(1.0), run(3.0, charges=1.0, cost=0.7)
    window = gain_window(TIMES, uniform.loss)
    found = gains(TIMES, fast, uniform, window)
    for kind, value in (
        ({"window": (window.start, window.end)}, found.anytime_net),
        ({"horizon": window.end}, found.horizon_net),
    ):
        expected = ss.speedup(TIMES, fast.loss, uniform.loss, cost_per_refresh=0.7, **kind)
        assert value.value == pytest.approx(expected.value, rel=1e-9)
        assert value.net


def test_scoring_once_costs_once():
    uniform, fast = run(1.0), run(3.0)
    fast.cost_per_refresh[0] = 0.7
    window = gain_window(TIMES, uniform.loss)
    expected = ss.speedup(TIMES, fast.loss, uniform.loss, horizon=window.end, fixed_cost=0.7)
    assert gains(TIMES, fast, uniform, window).horizon_net.value == pytest.approx(expected.value, rel=1e-9)


def test_a_loss_that_is_never_reached_gives_a_bound():
    uniform = run(1.0)
    window = gain_window(TIMES, uniform.loss)
    found = gains(TIMES, run(3.0, floor=0.01), uniform, window)
    assert found.anytime_gross.bound == found.anytime_net.bound == "<="


def test_no_window_where_uniform_sampling_does_not_learn():
    assert gain_window(TIMES, np.ones(len(TIMES))) is None
    assert gain_window(TIMES, np.linspace(1, 2, len(TIMES))) is None
    assert gains(TIMES, run(2.0), run(1.0), None).anytime_gross is None
    failed = run(2.0)
    failed.loss[1:] = np.nan
    window = gain_window(TIMES, run(1.0).loss)
    assert set(dataclasses.astuple(gains(TIMES, failed, run(1.0), window))) == {None}


def test_each_refresh_may_have_its_own_cost():
    """A teacher before training, a second model beside it, and one pass at every other refresh."""
    uniform, fast = run(1.0), run(3.0)
    costs = np.append(np.where(np.arange(len(TIMES) - 1) % 2, 0.3, 0.0) + 0.1 * np.diff(TIMES), 0.0)
    horizon = float(TIMES[64])
    value = ss.speedup(TIMES, fast.loss, uniform.loss, horizon=horizon, cost_per_refresh=costs, fixed_cost=7.0)
    reached = ss.time_to_loss(TIMES, fast.loss, uniform.loss[64])
    spent = reached + costs[reached > TIMES].sum() + 7.0
    assert value.value == pytest.approx(horizon / spent, rel=1e-9)
    assert value.net
    with pytest.raises(
        ValueError, match=r"cost_per_refresh has shape \(3,\), but there are 81 times: give one, or one each"
    ):
        ss.speedup(TIMES, fast.loss, uniform.loss, cost_per_refresh=np.ones(3))
    with pytest.raises(ValueError, match=r"cost_per_refresh\[1\] is -1: it must not be negative"):
        ss.speedup(TIMES, fast.loss, uniform.loss, cost_per_refresh=-np.eye(1, 81, 1)[0])


def test_intervals_are_those_of_a_mean():
    """Of a linear statistic the jackknife gives back the values themselves: Student's t of a mean, by hand."""
    values = np.array([1.0, 3.0, 4.0, 7.0, 5.0])
    found = interval(lambda each: float(values[each].mean()), 5, 0.25)
    half = 2.1318 * np.sqrt((1 / 5 + 0.25) * values.var(ddof=1))
    np.testing.assert_allclose([found.value, found.low, found.high], [4.0, 4 - half, 4 + half], rtol=1e-12)
    assert not interval(lambda each: 1.0, 2, 0.0).is_known  # two splits say nothing of the scatter
    assert not interval(lambda each: float("nan"), 5, 0.0).is_known
    assert Interval(0.0, -1.0, 1.0).map(np.exp).high == pytest.approx(np.e)


def test_splits_that_agree_leave_no_doubt_and_others_do():
    uniform, fast = run(1.0), run(3.0)
    window = gain_window(TIMES, uniform.loss)
    rng = np.random.default_rng(0)
    common = rng.lognormal(0, 0.05, (5, 1))
    uniform.split_losses, fast.split_losses = uniform.loss * common, fast.loss * common
    found = gains(TIMES, fast, uniform, window, 0.3).net
    assert found.value == pytest.approx(3.0, rel=1e-2)
    assert found.high / found.low < 1.02  # what moves both alike cancels
    fast.split_losses = fast.loss * rng.lognormal(0, 0.05, (5, 1))
    assert gains(TIMES, fast, uniform, window, 0.3).net.high > found.high * 1.02


def test_when_a_schedule_is_first_ahead_counts_its_cost():
    assert first_ahead(TIMES, run(3.0), run(1.0), 1e3) == TIMES[1]
    late = run(3.0)
    late.cost_per_refresh[0] = 10.0  # ahead once 3 (t - 10) exceeds t
    assert first_ahead(TIMES, late, run(1.0), 1e3) == pytest.approx(15.0, rel=0.2)
    assert first_ahead(TIMES, run(0.5), run(1.0), 1e3) is None
