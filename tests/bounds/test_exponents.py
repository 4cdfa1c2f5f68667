"""Loss exponents of whole schedules: static, ideal and capped."""

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.bounds import uniform_loss

LAWS = [(1.25, 1.5), (1.5, 2.0), (2.0, 2.0), (3.0, 1.2)]
# A finite number of modes bends the curve by about K^(1 - beta) of its value: as many as float64 can number.
MAX_MODE = 9e15
TIMES = ss.log_times(1e-1, 1e8, 217)  # 24 refreshes per decade

BOUNDED = {
    "uniform": ss.uniform(),
    "cutoff": ss.chain(ss.power_tilt(0.3, cutoff=30.0), ss.mix(0.2)),
    "clipped": ss.chain(ss.power_tilt(0.5), ss.clip(0.2, 5.0)),
    "pruned": ss.chain(ss.hard_pruning(0.5), ss.mix(0.1)),
}


def power_law(alpha, beta):
    return ss.power_law(alpha, beta, max_mode=MAX_MODE, nodes=512)


@pytest.mark.parametrize("schedule", BOUNDED)
def test_bounded_static_weights_keep_the_static_exponent(schedule):
    for alpha, beta in LAWS:
        run = ss.simulate(power_law(alpha, beta), BOUNDED[schedule], TIMES, save=ss.save_summary)
        fit = ss.fit_exponent(run.times, run.loss, (1e5, 1e8))
        assert fit.value == pytest.approx((beta - 1) / alpha, rel=0.01)
        assert fit.stderr < 0.005 * fit.value
        assert schedule == "uniform" or run.saved["max_weight"][0] > 1.2


@pytest.mark.parametrize(("alpha", "beta"), LAWS)
def test_the_window_found_for_uniform_weights_has_the_static_exponent(alpha, beta):
    fit = ss.fit_exponent(TIMES, uniform_loss(power_law(alpha, beta), TIMES))
    assert fit.value == pytest.approx((beta - 1) / alpha, rel=0.01)
    assert fit.window[1] / fit.window[0] > 1e4


@pytest.mark.parametrize(("alpha", "beta"), LAWS)
def test_the_ideal_oracle_has_the_ideal_exponent(alpha, beta):
    loss = ss.ideal_oracle(power_law(alpha, beta), TIMES).loss
    assert ss.fit_exponent(TIMES, loss, (1e3, 1e5)).value == pytest.approx(beta - 1, rel=0.01)


def test_unbounded_tilts_change_the_exponent():
    """lam_k w_k ~ k^-(alpha (1 - s)): a static exponent of (beta - 1) / (alpha (1 - s)), at weights without bound."""
    for tilt in (0.1, 0.3):
        loss = ss.simulate(power_law(3.0, 1.5), ss.power_tilt(tilt), TIMES).loss
        fit = ss.fit_exponent(TIMES, loss, (1e3, 1e6))
        assert fit.value == pytest.approx(0.5 / (3.0 * (1 - tilt)), rel=0.01)


def capped_run(alpha, beta, cap):
    """A capped oracle over the decades about W^(1 / (alpha - 1)), where it leaves the ideal curve."""
    problem, unit = power_law(alpha, beta), cap ** (1 / (alpha - 1))
    bend = np.geomspace(1e-3, 1e4, 141)
    times = unit * np.concatenate([[0.0], bend, np.geomspace(1e4, 1e10, 91)[1:]])
    schedule = ss.chain(ss.water_filling(), ss.clip(0.0, cap))
    return problem, unit, ss.simulate(problem, schedule, times, save=ss.save_summary)


def crossover(problem, unit, run):
    ideal = ss.ideal_oracle(problem, run.times).loss
    early, late = (1e2 * unit, 1e4 * unit), (1e8 * unit, 1e10 * unit)
    return ss.analysis.crossover_time(run.times, run.loss, early, late, early_loss=ideal)


@pytest.mark.parametrize(("alpha", "beta"), [(1.5, 2.0), (2.0, 2.0), (2.0, 1.5), (3.0, 1.5)])
def test_a_cap_returns_the_oracle_to_the_static_exponent(alpha, beta):
    caps, meet = np.array([30.0, 300.0, 3000.0]), []
    for cap in caps:
        problem, unit, run = capped_run(alpha, beta, cap)
        assert float(run.saved["max_weight"].max()) <= cap  # no tolerance: a cap is a cap
        assert float(run.saved["max_weight"].max()) > 0.999 * cap
        floor = uniform_loss(problem, cap * run.times)
        assert np.all(run.loss >= floor * (1 - 1e-13))  # a cap of W is at most a speed-up by W, for ever
        crossing = crossover(problem, unit, run)
        assert crossing.early.value == pytest.approx(beta - 1, rel=0.01)
        assert crossing.late.value == pytest.approx((beta - 1) / alpha, rel=0.01)
        meet.append(crossing.value)
    slope = np.polyfit(np.log(caps), np.log(meet), 1)[0]
    assert slope == pytest.approx(1 / (alpha - 1), rel=0.05)


def test_asymptotes_meet_at_3_765_caps():
    """At alpha = beta = 2; measured 3.757 at W = 1000, late asymptote fitted from 1e8 to 1e10 W."""
    crossing = crossover(*capped_run(2.0, 2.0, 1000.0))
    assert crossing.value == pytest.approx(3.765 * 1000, rel=0.01)
