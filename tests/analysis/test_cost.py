"""What each kind of curation costs."""

import jax
import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.analysis import refresh_costs, scoring_charges

TIMES = np.array([0.0, 1.0, 3.0, 7.0])


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return ss.OperatorProblem(rng.normal(size=(30, 4)), rng.normal(size=30))


def test_passes_over_data_are_forward_passes(data):
    """At every refresh but the last: a third of the training compute on all examples, at learning rate 1 / kappa."""
    kappa = float(np.mean(np.sum(np.asarray(data.features) ** 2, axis=1)))
    one = 30 / (3 * 8 * kappa)
    cost = ss.analysis.curation_cost(data, ss.proportional(), TIMES, batch_size=8)
    np.testing.assert_allclose(cost.per_refresh, [one, one, one, 0])
    assert cost.fixed == 0
    cost = ss.analysis.curation_cost(data, ss.proportional(), TIMES, cost_per_example=0.02, cost_per_refresh=0.5)
    np.testing.assert_allclose(cost.per_refresh, [1.1, 1.1, 1.1, 0])
    assert not ss.analysis.curation_cost(data, ss.uniform(), TIMES).per_refresh.any()


@pytest.mark.parametrize("kind", [ss.teacher, ss.complement])
def test_a_second_model_is_paid_for_once(data, kind):
    """Its training before the start, and one pass to know its outputs."""
    schedule = ss.chain(kind(20.0, cost=1.5), ss.proportional())
    cost = ss.analysis.curation_cost(data, schedule, TIMES, cost_per_example=0.1)
    np.testing.assert_allclose(cost.per_refresh, [6.0, 3.0, 3.0, 0])
    assert cost.fixed == 30.0


def test_a_model_that_trains_alongside_is_paid_for_all_along(data):
    schedule = ss.chain(ss.complement(cost=0.5), ss.stale(2.0), ss.proportional())
    cost = ss.analysis.curation_cost(data, schedule, TIMES, cost_per_example=0.1)
    np.testing.assert_allclose(cost.per_refresh, [6.5, 1.0, 8.0, 0])  # twice the passes, when due; half the time
    assert cost.fixed == 0


@pytest.mark.parametrize("kind", [ss.teacher, ss.complement])
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_a_second_model_costs_the_same_in_any_units_of_its_time(data, kind, scale):
    """Features or eigenvalues larger by a factor, trained for less time by it: the same model after the same steps."""
    rng = np.random.default_rng(1)
    modes, features = np.arange(1.0, 10.0) ** -1.5, rng.normal(size=(30, 6))
    shells = ss.power_law(2.0, 2.0, max_mode=1e4, nodes=40)
    for problem, one, other in (
        (ss.power_law(2.0, 2.0, num_modes=9), {"eigenvalues": modes}, {"eigenvalues": scale * modes}),
        (shells, {"eigenvalues": shells.eigenvalues}, {"eigenvalues": scale * shells.eigenvalues}),
        (data, {"features": features}, {"features": np.sqrt(scale) * features}),
    ):
        costs = [
            ss.analysis.curation_cost(problem, ss.chain(kind(time, cost=0.7, **model), ss.proportional()), TIMES).fixed
            for time, model in ((20.0, one), (20.0 / scale, other))
        ]
        np.testing.assert_allclose(costs[0], costs[1], rtol=1e-12)


def test_compute_goes_as_time_times_trace(data):
    """On modes and on data, with multiplicities, masses and groups; beforehand and alongside."""
    shells = ss.power_law(2.0, 2.0, max_mode=1e4, nodes=40)
    heavier = np.asarray(shells.index) ** -1.4
    number = np.asarray(shells.multiplicity)
    ratio = (number @ heavier) / (number @ np.asarray(shells.eigenvalues))
    cost = ss.analysis.curation_cost(
        shells, ss.chain(ss.teacher(8.0, exponent=1.4, cost=0.5), ss.proportional()), TIMES
    )
    np.testing.assert_allclose(cost.fixed, 4 * ratio, rtol=1e-12)
    cost = ss.analysis.curation_cost(shells, ss.chain(ss.complement(exponent=1.4, cost=0.5), ss.proportional()), TIMES)
    np.testing.assert_allclose(cost.per_refresh[:-1], np.diff(TIMES) / 2 * ratio, rtol=1e-12)
    rng = np.random.default_rng(2)
    mass, second = rng.uniform(0.5, 2.0, 30), rng.normal(size=(30, 7))
    weighted = ss.OperatorProblem(data.features, data.targets, mass=mass, groups=np.arange(30) % 4)
    norms = [mass @ np.sum(np.asarray(x) ** 2, axis=1) for x in (second, data.features)]
    cost = ss.analysis.curation_cost(weighted, ss.chain(ss.teacher(8.0, features=second), ss.proportional()), TIMES)
    np.testing.assert_allclose(cost.fixed, 8 * norms[0] / norms[1], rtol=1e-12)
    assert ss.analysis.curation_cost(weighted, ss.chain(ss.teacher(8.0), ss.proportional()), TIMES).fixed == 8


def charged(*stages, times=TIMES):
    return scoring_charges(ss.chain(*stages, ss.proportional()), times).tolist()


def test_a_part_is_scored_only_once_all_has_been():
    """The first refresh has nothing to remember: `subsample` looks at everything there."""
    problem = ss.torus(2.0, 2.0, 64)
    seen = ss.simulate(problem, ss.schedules.subsample(0.1), TIMES, save=ss.save_weights, key=jax.random.key(0)).saved
    energy = np.asarray(problem.targets)[:, 0] ** 2
    np.testing.assert_allclose(seen[0], energy / np.mean(energy))
    assert charged(ss.schedules.subsample(0.1)) == [1, 0.1, 0.1, 0]


def test_what_stands_behind_a_memory_lives_on_it():
    assert charged(ss.stale(3.0), ss.schedules.subsample(0.5)) == [1, 0, 1, 0]
    assert charged(ss.schedules.subsample(0.5), ss.stale(3.0)) == [1, 0.5, 0.5, 0]
    assert charged(ss.schedules.add_noise(0.1), ss.stale(3.0)) == [1, 0, 1, 0]
    assert charged(ss.stale(3.0), ss.lag(1.0)) == [1, 0, 1, 0]
    assert charged(ss.lag(1.0), ss.stale(3.0)) == charged(ss.delay(1.0), ss.stale(3.0)) == [1, 1, 1, 0]


def weights(problem, *stages, times):
    return np.asarray(
        ss.simulate(problem, ss.chain(*stages, ss.proportional()), times, save=ss.save_weights).saved[:-1]
    )


@pytest.mark.parametrize("stage", [ss.self_scoring(), ss.complement(exponent=1.3)])
def test_stages_that_look_past_a_memory_are_charged_for_it(stage):
    """Behind `stale` both follow the learner or the second model at every refresh; before it they wait."""
    problem, times = ss.power_law(2.0, 2.0, num_modes=9), np.arange(7.0)
    for stages, due in (((ss.stale(3.0), stage), range(6)), ((stage, ss.stale(3.0)), (0, 3))):
        rows = weights(problem, *stages, times=times)
        moved = np.flatnonzero(np.any(np.diff(rows, axis=0) != 0, axis=1)) + 1
        assert np.isin(moved, due).all()
        assert moved[-1] == list(due)[-1]
        assert set(due) <= {0, *np.flatnonzero(charged(*stages, times=times))}
    models = 1 + isinstance(stage, ss.complement)
    assert charged(stage, ss.stale(3.0), times=times) == [models, 0, 0, models, 0, 0, 0]
    behind = [2, 1, 1, 2, 1, 1, 0] if models == 2 else [1] * 6 + [0]
    assert charged(ss.stale(3.0), stage, times=times) == behind


@pytest.mark.parametrize("before", [ss.stale(1e9), ss.schedules.subsample(0.1), ss.self_scoring()])
def test_nothing_stands_before_a_teacher_that_looks_at_the_learner(before):
    """It would lower the bill and change nothing."""
    with pytest.raises(ValueError, match=r"teacher stands after .*looks at the learner itself.* put teacher first"):
        ss.chain(before, ss.teacher(10.0, shows="distance"), ss.proportional())
    assert ss.chain(before, ss.teacher(10.0), ss.proportional())
    assert charged(ss.teacher(10.0, shows="distance"), ss.stale(3.0)) == [2, 0, 1, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_charges_have_the_precision_of_the_problem(dtype):
    """Hyperparameters are wider than a float32 problem; a warning would be an error here."""
    problem = ss.power_law(dtype(2.0), dtype(2.0), num_modes=9)
    schedule = ss.chain(ss.teacher(8.0), ss.complement(), ss.stale(3.0), ss.proportional())
    options = {"cost_per_example": None, "cost_per_refresh": 0.5, "batch_size": 8}
    charges, fixed = refresh_costs(problem, schedule, TIMES, ss.SelfGenerated(0.5), **options)
    assert charges.dtype == fixed.dtype == dtype
    np.testing.assert_allclose(charges, 0.5 * np.array([3, 0, 2, 0]) + np.append(7 / 6 * np.diff(TIMES), 0), rtol=1e-6)


def test_charges_can_be_traced_and_batched():
    schedule = lambda period: ss.chain(ss.stale(period), ss.proportional())
    found = jax.vmap(lambda period: scoring_charges(schedule(period), TIMES))(np.array([0.0, 3.0, np.inf]))
    assert found.tolist() == [[1, 1, 1, 0], [1, 0, 1, 0], [1, 0, 0, 0]]
    periods = ss.PerRefresh(np.array([0.0, 5.0, 2.0, 0.0]))
    assert scoring_charges(schedule(periods), TIMES).tolist() == [1, 0, 1, 0]


def test_own_labels_cost_a_forward_pass(data):
    cost = ss.analysis.curation_cost(data, ss.uniform(), TIMES, dynamics=ss.SelfGenerated(0.6))
    np.testing.assert_allclose(cost.per_refresh, [0.2, 0.4, 0.8, 0])


def test_on_modes_passes_cost_what_one_says():
    problem = ss.power_law(2.0, 2.0, num_modes=9)
    schedule = ss.chain(ss.teacher(5.0), ss.proportional())
    cost = ss.analysis.curation_cost(problem, schedule, TIMES)
    assert not cost.per_refresh.any()
    assert cost.fixed == 5.0
    np.testing.assert_allclose(
        ss.analysis.curation_cost(problem, schedule, TIMES, cost_per_refresh=0.5).per_refresh[:2], [1, 0.5]
    )
    with pytest.raises(ValueError, match="cost_per_example is given, but modes have no examples: use cost_per_refresh"):
        ss.analysis.curation_cost(problem, schedule, TIMES, cost_per_example=0.1)
    with pytest.raises(ValueError, match=r"cost_per_refresh is -1: it must not be negative"):
        ss.analysis.curation_cost(problem, schedule, TIMES, cost_per_refresh=-1.0)


def test_a_teacher_of_the_learners_own_kind_does_not_earn_its_training():
    """It knows what uniform sampling would have taught in the same time; one that learns faster or costs less does."""
    problem = ss.power_law(2.0, 2.0, num_modes=400)
    times = ss.log_times(0.1, 1e3, 50)
    uniform = ss.simulate(problem, ss.uniform(), times).loss

    def gains(**options):
        schedule = ss.chain(ss.teacher(**options), ss.proportional(), ss.mix(0.1))
        loss = ss.simulate(problem, schedule, times).loss
        fixed = ss.analysis.curation_cost(problem, schedule, times).fixed
        return [
            ss.speedup(times, loss, uniform, horizon=horizon, fixed_cost=cost).value
            for cost in (0.0, fixed)
            for horizon in (30.0, 100.0, 150.0)
        ]

    same = gains(training_time=200.0)
    assert min(same[:3]) > 1 > max(same[3:])
    cheap = gains(training_time=200.0, cost=0.05)
    assert cheap[:3] == same[:3]
    assert max(cheap[3:]) > 1
    heavier = gains(training_time=50.0, exponent=1.4)
    assert heavier[-1] > 1
