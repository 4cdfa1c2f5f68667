"""Numbers reduced inside the compiled program against the functions of `analysis` on the host, row by row."""

import functools

import jax
import numpy as np
import pytest
from helpers import QUICK, make_problem

import spectral_sim as ss
from spectral_sim.sweeps import AnytimeSpeedup, Crossover, Exponent, GainKept, Local, LossAt, NetSpeedup, TimeToLoss
from spectral_sim.sweeps._paths import placed

PROBLEM = ss.power_law(2.0, 2.0, max_mode=1e6, nodes=64)
TIMES = ss.log_times(1e-1, 1e4, 61)
SPEC = ss.grid(ss.chain(ss.proportional(1.0), ss.clip(0.0, 100.0)), **{"clip.high": [1.0, 3.0, 30.0, 1e4]})
WINDOW, EARLY, LATE = (10.0, 1e3), (1.0, 50.0), (1e3, 1e4)
TARGETS, AT = (0.4, 0.05, 1e-3, 1e-12), (0.0, 0.03, 0.1, 7.0, 1e4)


@functools.cache
def table():
    metrics = [
        *("final_loss", "loss", "max_weight", Exponent(WINDOW), AnytimeSpeedup(WINDOW), TimeToLoss(TARGETS)),
        *(LossAt(AT), GainKept(WINDOW), Crossover(EARLY, LATE), NetSpeedup(WINDOW, cost_per_refresh=0.5)),
    ]
    return ss.sweep(PROBLEM, SPEC, TIMES, metrics=metrics, engine=Local(QUICK))


@functools.cache
def runs():
    return [ss.simulate(PROBLEM, SPEC.schedule_at(n), TIMES, save=ss.save_summary) for n in range(4)]


@functools.cache
def uniform_loss():
    return ss.simulate(PROBLEM, ss.uniform(), TIMES).loss


def test_curves_and_largest_weights():
    for row, run in enumerate(runs()):
        np.testing.assert_allclose(table().loss[row], run.loss, rtol=1e-12)
        np.testing.assert_allclose(table().max_weight[row], np.max(run.saved["max_weight"]), rtol=1e-12)
    np.testing.assert_array_equal(table().final_loss, table().loss[:, -1])
    np.testing.assert_array_equal(table().status, 0)
    np.testing.assert_array_equal(table().refresh, -1)


def test_exponents():
    for row in range(4):
        fit = ss.fit_exponent(TIMES, table().loss[row], WINDOW)
        np.testing.assert_allclose(table().exponent[row], fit.value, rtol=1e-10)
        np.testing.assert_allclose(table().exponent_stderr[row], fit.stderr, rtol=1e-7)


def test_a_power_law_does_not_drift_and_a_bend_does():
    drift = np.asarray(table().exponent_drift)
    assert drift[0] < 0.05 < drift[2]  # uniform sampling; a cap of 30, whose crossover lies in the window


def test_times_to_a_loss():
    for row in range(4):
        expected = ss.time_to_loss(TIMES, table().loss[row], np.array(TARGETS))
        np.testing.assert_allclose(table().time_to_loss[row], expected, rtol=1e-10)
    assert np.isinf(table().time_to_loss[0, -1])  # never reached: some is, or the comparison would be empty
    np.testing.assert_array_equal(table().target, TARGETS)


def test_speedups():
    for row in range(1, 4):
        expected = ss.speedup(TIMES, table().loss[row], uniform_loss(), window=WINDOW)
        np.testing.assert_allclose(table().speedup[row], expected.value, rtol=1e-10)
        assert expected.bound == "="
    np.testing.assert_allclose(table().speedup[0], 1, rtol=1e-10)
    np.testing.assert_array_equal(table().speedup_bound, 0)


def test_a_speedup_that_is_only_a_bound():
    """Late modes alone: the losses of uniform sampling are never reached."""
    spec = ss.grid(ss.power_tilt(1.0), exponent=[2.0, 0.0])
    found = ss.sweep(PROBLEM, spec, TIMES, metrics=[AnytimeSpeedup(WINDOW), NetSpeedup(WINDOW)], engine=Local(QUICK))
    run = ss.simulate(PROBLEM, spec.schedule_at(0), TIMES)
    expected = ss.speedup(TIMES, run.loss, uniform_loss(), window=WINDOW)
    assert expected.bound == "<="
    np.testing.assert_array_equal(found.speedup_bound, [-1, 0])
    np.testing.assert_array_equal(found.speedup_net_bound, [-1, 0])
    np.testing.assert_allclose(found.speedup[0], expected.value, rtol=1e-10)


def check_net_speedups(problem, spec, window, dynamics=None, **prices):
    """Every row against `curation_cost` and `speedup` on the host; returns the table."""
    metrics = [AnytimeSpeedup(window), NetSpeedup(window, **prices)]
    key = jax.random.key(3)
    found = ss.sweep(problem, spec, TIMES, metrics=metrics, engine=Local(QUICK), dynamics=dynamics, key=key)
    for row in range(len(spec)):
        point = {path: values[0] for path, values in spec.points(row, row + 1).items()}
        schedule, own, moving, _ = placed(point, spec.schedule, problem, dynamics, None)
        loss = ss.simulate(own, schedule, TIMES, dynamics=moving, key=key).loss
        reference = ss.simulate(own, ss.uniform(), TIMES).loss
        cost = ss.analysis.curation_cost(own, schedule, TIMES, dynamics=moving, **prices)
        expected = ss.speedup(
            TIMES, loss, reference, window=window, cost_per_refresh=cost.per_refresh, fixed_cost=cost.fixed
        )
        np.testing.assert_allclose(found.speedup_net[row], expected.value, rtol=1e-8)
        assert int(found.speedup_net_bound[row]) == int(found.speedup_bound[row]) == -(expected.bound == "<=")
        np.testing.assert_allclose(
            found.speedup[row], ss.speedup(TIMES, loss, reference, window=window).value, rtol=1e-8
        )
    return found


def test_net_speedups_where_what_is_charged_is_swept():
    """Periods, parts and training times on modes, where a pass costs what one says; by default nothing."""
    stale = ss.chain(ss.complement(exponent=1.6), ss.stale(1.0), ss.proportional())
    spec = ss.grid(stale, **{"stale.period": [0.0, 7.0, 100.0], "problem.alpha": [1.7, 2.0]})
    found = check_net_speedups(PROBLEM, spec, WINDOW, cost_per_refresh=0.5)
    assert np.all(found.speedup_net < found.speedup)
    assert found.speedup_net[0] < found.speedup_net[2]  # the same at a hundredth of the passes
    parts = ss.chain(ss.schedules.subsample(0.5), ss.proportional())
    spec = ss.grid(parts, **{"subsample.fraction": [0.1, 1.0]})
    check_net_speedups(PROBLEM, spec, WINDOW, cost_per_refresh=0.5)
    taught = ss.chain(ss.teacher(1.0, exponent=1.5, cost=0.3), ss.proportional(), ss.mix(0.3))
    spec = ss.grid(taught, **{"teacher.training_time": [1.0, 300.0]})
    found = check_net_speedups(PROBLEM, spec, WINDOW)
    ratio = np.asarray(found.speedup / found.speedup_net)
    assert 1.001 < ratio[0] < 1.2
    assert ratio[1] > 2
    free = check_net_speedups(PROBLEM, SPEC, WINDOW)
    np.testing.assert_allclose(free.speedup_net, free.speedup, rtol=1e-12)


def test_net_speedups_on_data():
    """A pass costs a forward pass on each example unless told otherwise."""
    data = ss.torus(2.0, 2.0, 32)
    spec = ss.grid(ss.chain(ss.stale(1.0), ss.proportional(0.5)), **{"stale.period": [0.0, 30.0]})
    window = (2.0, 50.0)
    found = check_net_speedups(data, spec, window, batch_size=8)
    assert np.all(found.speedup_net < found.speedup)
    check_net_speedups(data, spec, window, cost_per_example=0.01, cost_per_refresh=0.1)
    with pytest.raises(ValueError, match="modes have no examples"):
        check_net_speedups(PROBLEM, SPEC, WINDOW, cost_per_example=0.1)
    with pytest.raises(ValueError, match="cost_per_refresh is -1: it must not be negative"):
        NetSpeedup(cost_per_refresh=-1.0)


def test_own_data_is_compared_with_real_data():
    """Always fresh, uniform sampling is slowed by 1 / (1 - g); the labels cost a forward pass each."""
    spec = ss.grid(ss.power_tilt(0.0), **{"dynamics.fraction": [0.0, 0.5]})
    found = check_net_speedups(PROBLEM, spec, WINDOW, dynamics=ss.SelfGenerated(0.2))
    np.testing.assert_allclose(found.speedup, [1, 0.5], rtol=2e-3)
    np.testing.assert_allclose(found.speedup_net[1] / found.speedup[1], 1 / (1 + 0.5 / 3), rtol=0.1)
    other = ss.sweep(
        PROBLEM,
        spec,
        TIMES,
        metrics=[AnytimeSpeedup(WINDOW)],
        engine=Local(QUICK),
        dynamics=ss.SelfGenerated(0.2, flow=ss.ModalFlow()),
    )
    np.testing.assert_allclose(other.speedup, found.speedup, rtol=1e-12)


def test_losses_at_chosen_times_lie_on_the_curve_that_times_to_a_loss_are_read_from():
    for row in range(4):
        between = table().loss_at[row]
        np.testing.assert_allclose(between[0], table().loss[row, 0], rtol=1e-12)
        np.testing.assert_allclose(between[2], table().loss[row, 1], rtol=1e-12)
        np.testing.assert_allclose(between[-1], table().loss[row, -1], rtol=1e-12)
        np.testing.assert_allclose(ss.time_to_loss(TIMES, table().loss[row], between[[1, 3]]), [0.03, 7.0], rtol=1e-9)


def test_the_share_of_the_ideal_gain():
    inside = (WINDOW[0] * (1 - 1e-9) <= TIMES) & (WINDOW[1] * (1 + 1e-9) >= TIMES)
    ideal = np.asarray(ss.ideal_oracle(PROBLEM, TIMES).loss)
    gain = lambda loss: np.mean(np.log(uniform_loss()[inside] / np.asarray(loss)[inside]))
    for row in range(4):
        np.testing.assert_allclose(table().gain_kept[row], gain(table().loss[row]) / gain(ideal), atol=1e-12)
    assert 0 <= table().gain_kept[0] + 1e-12 < table().gain_kept[1] < table().gain_kept[2] < 1


def test_crossovers():
    ideal = ss.ideal_oracle(PROBLEM, TIMES).loss
    for row in range(3):
        expected = ss.analysis.crossover_time(TIMES, table().loss[row], EARLY, LATE, early_loss=ideal)
        np.testing.assert_allclose(table().crossover[row], expected.value, rtol=1e-8)
        np.testing.assert_allclose(table().crossover_stderr[row], expected.stderr, rtol=1e-6)


def test_float32_keeps_what_the_errors_promise():
    dtype = np.float32
    problem = ss.power_law(dtype(2.0), dtype(2.0), max_mode=1e6, nodes=64)
    metrics = ["final_loss", Exponent(WINDOW), AnytimeSpeedup(WINDOW), TimeToLoss(TARGETS[:3])]
    metrics.append(NetSpeedup(WINDOW, cost_per_refresh=0.5))
    found = ss.sweep(problem, SPEC, TIMES, metrics=metrics, engine=Local(QUICK))
    assert found.final_loss.dtype == found.speedup_net.dtype == dtype
    for name in ("final_loss", "exponent", "speedup", "speedup_net", "time_to_loss"):
        exact = table()[name][..., :3] if name == "time_to_loss" else table()[name]
        np.testing.assert_allclose(found[name], exact, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        ("final_los", ValueError, r"'final_los' is not known. Did you mean 'final_loss'\?"),
        (["final_loss", "final_loss"], ValueError, "'final_loss' is given twice"),
        ([], ValueError, "metrics is empty"),
        ([3], TypeError, "3 is no metric"),
        (["time_to_loss"], ValueError, r"needs options: pass sweeps.TimeToLoss"),
        ([Exponent((1.0, 1e9))], ValueError, "give 0 < t0 < t1"),
        ([Exponent((1.0, 1.1))], ValueError, "holds 1 times and needs 5"),
        ([LossAt((1e9,))], ValueError, "give times between 0 and 10000"),
        ([TimeToLoss((0.0,))], ValueError, "must be positive"),
    ],
)
def test_what_is_refused(metrics, error, message):
    with pytest.raises(error, match=message):
        ss.sweep(
            make_problem("modal"),
            ss.grid(ss.power_tilt(0.0), exponent=[0.0, 0.5]),
            TIMES,
            metrics=metrics,
            engine=Local(QUICK),
        )
