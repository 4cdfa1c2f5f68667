"""What each kind of curation costs."""

import numpy as np
import pytest

import spectral_sim as ss

TIMES = np.array([0.0, 1.0, 3.0, 7.0])


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return ss.OperatorProblem(rng.normal(size=(30, 4)), rng.normal(size=30))


def test_passes_over_data_are_forward_passes(data):
    """At every refresh but the last: a third of the training compute on all examples, at learning rate 1 / kappa."""
    kappa = float(np.mean(np.sum(np.asarray(data.features) ** 2, axis=1)))
    one = 30 / (3 * 8 * kappa)
    cost = ss.curation_cost(data, ss.proportional(), TIMES, batch_size=8)
    np.testing.assert_allclose(cost.per_refresh, [one, one, one, 0])
    assert cost.fixed == 0
    cost = ss.curation_cost(data, ss.proportional(), TIMES, cost_per_example=0.02, cost_per_refresh=0.5)
    np.testing.assert_allclose(cost.per_refresh, [1.1, 1.1, 1.1, 0])
    assert not ss.curation_cost(data, ss.uniform(), TIMES).per_refresh.any()


@pytest.mark.parametrize("kind", [ss.teacher, ss.complement])
def test_a_second_model_is_paid_for_once(data, kind):
    """Its training before the start, and one pass to know its outputs."""
    schedule = ss.chain(kind(20.0, cost=1.5), ss.proportional())
    cost = ss.curation_cost(data, schedule, TIMES, cost_per_example=0.1)
    np.testing.assert_allclose(cost.per_refresh, [6.0, 3.0, 3.0, 0])
    assert cost.fixed == 30.0


def test_a_model_that_trains_alongside_is_paid_for_all_along(data):
    schedule = ss.chain(ss.complement(cost=0.5), ss.stale(2.0), ss.proportional())
    cost = ss.curation_cost(data, schedule, TIMES, cost_per_example=0.1)
    np.testing.assert_allclose(cost.per_refresh, [6.5, 1.0, 8.0, 0])  # twice the passes, when due; half the time
    assert cost.fixed == 0


def test_own_labels_cost_a_forward_pass(data):
    cost = ss.curation_cost(data, ss.uniform(), TIMES, dynamics=ss.SelfGenerated(0.6))
    np.testing.assert_allclose(cost.per_refresh, [0.2, 0.4, 0.8, 0])


def test_on_modes_passes_cost_what_one_says():
    problem = ss.power_law(2.0, 2.0, num_modes=9)
    schedule = ss.chain(ss.teacher(5.0), ss.proportional())
    cost = ss.curation_cost(problem, schedule, TIMES)
    assert not cost.per_refresh.any()
    assert cost.fixed == 5.0
    np.testing.assert_allclose(
        ss.curation_cost(problem, schedule, TIMES, cost_per_refresh=0.5).per_refresh[:2], [1, 0.5]
    )
    with pytest.raises(ValueError, match="cost_per_example is given, but modes have no examples: use cost_per_refresh"):
        ss.curation_cost(problem, schedule, TIMES, cost_per_example=0.1)
    with pytest.raises(ValueError, match=r"cost_per_refresh is -1: it must not be negative"):
        ss.curation_cost(problem, schedule, TIMES, cost_per_refresh=-1.0)


def test_a_teacher_of_the_learners_own_kind_does_not_earn_its_training():
    """It knows what uniform sampling would have taught in the same time; one that learns faster or costs less does."""
    problem = ss.power_law(2.0, 2.0, num_modes=400)
    times = ss.log_times(0.1, 1e3, 50)
    uniform = ss.simulate(problem, ss.uniform(), times).loss

    def gains(**options):
        schedule = ss.chain(ss.teacher(**options), ss.proportional(), ss.mix(0.1))
        loss = ss.simulate(problem, schedule, times).loss
        fixed = ss.curation_cost(problem, schedule, times).fixed
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
