"""ModalFlow against exact sums and their asymptote."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

import spectral_sim as ss

LAWS = [(1.25, 1.5), (1.5, 2.0), (2.0, 2.0), (3.0, 1.2)]


def exact_loss(alpha, beta, modes, times):
    """1/2 sum k^-beta exp(-2 k^-alpha t), mode by mode."""
    k = np.arange(1.0, modes + 1)
    return np.array([0.5 * np.sum(k**-beta * np.exp(-2 * k**-alpha * t)) for t in times])


@pytest.mark.parametrize(("alpha", "beta"), LAWS)
def test_uniform_weights_give_the_exact_sum(alpha, beta):
    times = ss.log_times(1e-1, 1e6, 29)
    plain = ss.simulate(ss.power_law(alpha, beta, num_modes=3000), ss.uniform(), times).loss
    np.testing.assert_allclose(plain, exact_loss(alpha, beta, 3000, times), rtol=1e-12)


@pytest.mark.parametrize(("alpha", "beta"), LAWS)
def test_shells_stand_for_ten_million_modes(alpha, beta):
    times = ss.log_times(1e-1, 1e8, 10)
    shells = ss.power_law(alpha, beta, max_mode=1e7, nodes=256)
    assert shells.eigenvalues.shape == (256,)
    loss = ss.simulate(shells, ss.uniform(), times).loss
    np.testing.assert_allclose(loss, exact_loss(alpha, beta, 10_000_000, times), rtol=1e-11)


@pytest.mark.parametrize(("alpha", "beta"), LAWS[:3])
def test_uniform_weights_reach_the_gamma_function_asymptote(alpha, beta):
    """L -> Gamma(theta0) (2t)^-theta0 / (2 alpha), plus what a finite number of modes lacks of it."""
    theta0 = (beta - 1) / alpha
    max_mode = 1e12
    time = 1e6
    missing = 0.5 * scipy.special.zeta(beta, max_mode + 1)
    problem = ss.power_law(alpha, beta, max_mode=max_mode, nodes=512)
    loss = float(ss.simulate(problem, ss.uniform(), [0.0, time]).loss[-1])
    asymptote = scipy.special.gamma(theta0) * (2 * time) ** -theta0 / (2 * alpha)
    assert loss + missing == pytest.approx(asymptote, rel=1e-4)


def test_the_tail_beyond_the_last_mode_is_a_zeta_series():
    alpha, beta, modes, time = 2.0, 2.0, 50, 300.0
    lacking = exact_loss(alpha, beta, 4_000_000, [time])[0] - exact_loss(alpha, beta, modes, [time])[0]
    lacking += 0.5 * scipy.special.zeta(beta, 4_000_001)
    order = np.arange(40)
    series = (-2 * time) ** order / scipy.special.factorial(order) * scipy.special.zeta(beta + order * alpha, modes + 1)
    assert lacking == pytest.approx(0.5 * np.sum(series), rel=1e-6)


@pytest.mark.parametrize(
    "schedule", [ss.uniform(), ss.water_filling(), ss.proportional(1.0)], ids=["uniform", "ideal", "E"]
)
def test_float32_survives_eight_decades(schedule):
    times = ss.log_times(1.0, 1e8, 257)
    single = ss.power_law(np.float32(2), np.float32(2), max_mode=1e7)
    double = ss.power_law(2.0, 2.0, max_mode=1e7)
    run = ss.simulate(single, schedule, times, save=lambda o, w: o.log_energy)
    exact = ss.simulate(double, schedule, times).loss
    assert run.loss.dtype == np.float32
    assert np.isfinite(run.saved).all()
    before_all_is_learnt = exact > 1e-20
    np.testing.assert_allclose(run.loss[before_all_is_learnt], exact[before_all_is_learnt], rtol=1e-4)


def test_progress_is_the_integral_of_eigenvalue_times_weight():
    problem = ss.ModalProblem([3.0, 1.0, 0.5, 0.0], [1.0, 2.0, 0.0, 1.0], [1.0, 2.0, 1.0, 1.0])
    times = np.array([0.0, 0.4, 1.1])
    run = ss.simulate(problem, ss.static_weights([0.5, 1.0, 2.0, 1.0]), times, save=lambda o, w: (o.energy, w))
    weights = np.array([0.5, 1.0, 2.0, 1.0]) / np.sum([0.5 * 3, 2.0, 2.0 * 0.5]) * (3 + 2 + 0.5)
    np.testing.assert_allclose(run.saved[1][0], weights, rtol=1e-14)
    exact = np.array([1.0, 2.0, 0.0, 1.0]) * np.exp(-2 * np.outer(times, [3.0, 1.0, 0.5, 0.0] * weights))
    np.testing.assert_allclose(run.saved[0], exact, rtol=1e-13)
    np.testing.assert_allclose(run.loss, 0.5 * exact @ [1.0, 2.0, 1.0, 1.0], rtol=1e-13)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_weights_held_from_the_start_are_weights_held_interval_by_interval(dtype, rtol):
    """A static schedule is advanced from time 0; the same weights in a table are advanced from refresh to refresh."""
    problem = ss.power_law(dtype(2.0), dtype(1.7), num_modes=40)
    times = ss.log_times(0.1, 1e5, 200)
    weights = jnp.asarray(np.random.default_rng(0).exponential(size=40), dtype)

    def run(weights, table):
        held = ss.PerRefresh(jnp.broadcast_to(weights, (len(times), 40))) if table else weights
        return ss.simulate(problem, ss.static_weights(held), times, save=lambda o, w: (o.log_energy, w), throw=False)

    def loss(weights, table):
        return jnp.sum(jnp.log(run(weights, table).loss))

    chex.assert_trees_all_close(run(weights, False), run(weights, True), rtol=rtol, atol=1e-30)
    derivatives = (jax.grad(loss)(weights, table) for table in (False, True))
    np.testing.assert_allclose(*derivatives, rtol=100 * rtol, atol=float(jnp.finfo(dtype).eps))
    spoilt = weights.at[3].set(jnp.nan)
    statuses = [(int(run(spoilt, table).status), int(run(spoilt, table).refresh)) for table in (False, True)]
    assert statuses == [(ss.Status.NON_FINITE_WEIGHTS, 0)] * 2
