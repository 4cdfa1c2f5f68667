import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.fitting import MixtureFlow
from spectral_sim.fitting._mixture_problem import power_modes

TIMES = np.linspace(0, 1, 5)


@pytest.fixture(scope="module")
def problem(mixture_fit):
    return mixture_fit.problem()


@pytest.mark.parametrize("exponent", [0.1, 0.5, 1.7])
def test_modes_sum_to_the_power(exponent):
    rates, weights = power_modes(exponent, 0.05, 300.0)
    for x in (0.05, 1.0, 17.0, 300.0):
        assert np.sum(weights * np.exp(-rates * x)) == pytest.approx(x**-exponent, rel=1e-8)


def test_static_mixtures_have_the_predicted_loss(mixture_fit, problem):
    for shares in (*np.random.default_rng(0).dirichlet(np.ones(4), 3), np.array([1.0, 0, 0, 0])):
        run = ss.simulate(problem, ss.static_weights(shares / np.asarray(problem.mass)), TIMES)
        predicted = mixture_fit.predict(shares, boosted=False)
        assert float(run.loss[-1]) == pytest.approx(predicted.mean(), abs=1e-6)
    only = mixture_fit.problem(weights={"code": 1.0})
    run = ss.simulate(only, ss.uniform(), TIMES)
    assert float(run.loss[-1]) == pytest.approx(mixture_fit.predict(np.asarray(only.mass), boosted=False)[1], abs=1e-6)


def test_rescaled_fits_have_problems_of_their_scale(mixture_fit):
    ratios = np.random.default_rng(0).dirichlet(np.ones(4), 6)
    large = mixture_fit.rescale(ratios, 0.7 * mixture_fit.predict(ratios))
    run = ss.simulate(large.problem(mass=np.ones(4)), ss.uniform(), TIMES)
    assert float(run.loss[-1]) == pytest.approx(large.predict(np.full(4, 0.25)).mean(), abs=1e-6)


def test_every_schedule_has_the_loss_of_its_totals(mixture_fit, problem):
    shares = np.random.default_rng(1).dirichlet(np.ones(4), len(TIMES) - 1)
    run = ss.simulate(problem, ss.static_weights(ss.PerRefresh(shares / np.asarray(problem.mass))), TIMES)
    static = mixture_fit.predict(shares.mean(axis=0), boosted=False).mean()
    assert float(run.loss[-1]) == pytest.approx(static, abs=1e-9)


def test_energies_make_up_the_loss(problem):
    flow = MixtureFlow()
    state = flow.advance(problem, flow.init(problem), jnp.ones(4), jnp.asarray(0.7), None)
    seen = flow.observe(problem, state, jnp.asarray(0.7))
    totals = 0.7 * problem.mass
    assert float(seen.loss) == pytest.approx(float(problem.importance @ problem.losses(totals)), rel=1e-12)
    assert float(problem.training_loss(seen.energy)) == pytest.approx(float(seen.loss), rel=1e-12)
    assert (np.asarray(seen.energy) >= 0).all()
    assert float(problem.initial_loss()) > float(seen.loss) > float(problem.floor)


def test_no_schedule_goes_below_the_bound_and_the_best_mixture_reaches_it(mixture_fit, problem):
    bound = problem.lower_bound(TIMES)
    best = mixture_fit.optimum().shares
    run = ss.simulate(problem, ss.static_weights(best / np.asarray(problem.mass)), TIMES)
    assert float(run.loss[-1]) == pytest.approx(float(bound.loss[-1]), abs=1e-5)
    for schedule in (ss.uniform(), ss.proportional(1.0), ss.static_weights(best / np.asarray(problem.mass))):
        loss = ss.simulate(problem, schedule, TIMES).loss
        assert (np.asarray(loss) >= np.asarray(bound.loss) - 1e-9).all()


def test_runs_in_sweeps(problem):
    shares = np.random.default_rng(0).dirichlet(np.ones(4), 3)
    spec = ss.grid(ss.static_weights(jnp.ones(4)), values=shares)
    table = ss.sweep(problem, spec, TIMES, metrics=("final_loss",))
    assert (np.asarray(table.status) == 0).all()
    expected = [float(ss.simulate(problem, ss.static_weights(row), TIMES).loss[-1]) for row in shares]
    np.testing.assert_allclose(np.sort(table.final_loss), np.sort(expected), rtol=1e-9)


def test_can_be_learnt_on(problem, mixture_fit):
    start = ss.TableSchedule.create(problem, TIMES)
    found = ss.learn(problem, start, TIMES, objective=ss.terminal_log_loss(), steps=40)
    assert found.gap[0].kind == "best static mixture"
    assert -1e-6 < found.gap[0].gap < found.gap[0].uniform - found.gap[0].optimum
    gradient = jax.grad(lambda tilt: ss.simulate(problem, ss.static_weights(tilt), TIMES).loss[-1])(jnp.ones(4))
    assert np.isfinite(np.asarray(gradient)).all()


def test_float32_and_wrong_problems(mixture_fit):
    with jax.enable_x64(False):
        small = mixture_fit.problem()
        assert small.dtype == jnp.float32
        loss = ss.simulate(small, ss.uniform(), TIMES).loss[-1]
    assert float(loss) == pytest.approx(mixture_fit.predict(np.asarray(small.mass, float)).mean(), rel=1e-5)
    with pytest.raises(TypeError, match="MixtureFlow advances a MixtureProblem"):
        ss.simulate(ss.power_law(2.0, 2.0, num_modes=4), ss.uniform(), TIMES, dynamics=MixtureFlow())
    with pytest.raises(ValueError, match="mass"):
        mixture_fit.problem(mass=[1, 1, 1, 0])
