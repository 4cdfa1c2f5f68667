"""Self-generated data: what a fraction of one's own predictions does to learning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from helpers import QUICK, make_problem, quickly

import spectral_sim as ss

PER_DECADE = 16
TIMES = ss.log_times(1e-1, 1e6, 7 * PER_DECADE + 2)


def factors(dynamics, problem, times=TIMES):
    return np.asarray(quickly(lambda: ss.simulate(problem, ss.uniform(), times, dynamics=dynamics).loss))


def by_hand(problem, amplitude):
    """Loss of residuals e_k = amplitude_k e_k(0)."""
    return 0.5 * np.sum(np.asarray(problem.multiplicity * problem.energies) * amplitude**2, axis=-1)


@pytest.mark.parametrize("fraction", [0.3, 0.8])
def test_always_fresh_is_uniform_sampling_slowed_down(fraction):
    problem = ss.power_law(2.0, 2.0, max_mode=1e7, nodes=256)
    decay = np.asarray(problem.eigenvalues) * TIMES[:, None]
    loss = factors(ss.SelfGenerated(fraction), problem)
    np.testing.assert_allclose(loss, by_hand(problem, np.exp(-(1 - fraction) * decay)), rtol=1e-12)
    uniform = by_hand(problem, np.exp(-decay))
    gain = ss.speedup(TIMES, loss, uniform, window=(1e1, 1e4))
    assert gain.value == pytest.approx(1 - fraction, rel=0.01)
    # frequent snapshots come to the same: within 2% once their period is short beside the time
    often = factors(ss.SelfGenerated(fraction, period=1.0), problem, np.arange(0.0, 301.0))
    expected = by_hand(problem, np.exp(-(1 - fraction) * np.asarray(problem.eigenvalues) * 300.0))
    assert often[-1] == pytest.approx(expected, rel=0.02)


def test_traced_settings_out_of_range_are_a_status():
    problem = ss.power_law(2.0, 2.0, num_modes=12)
    members = [
        (0.5, 1.0, 1.0),
        (-0.5, 1.0, 1.0),
        (1.0, 1.0, 1.0),
        (0.5, -1.0, 1.0),
        (0.5, 0.0, 0.5),
        (np.nan, 1.0, 1.0),
    ]

    def run(fraction, period, ratio):
        dynamics = ss.SelfGenerated(fraction, period, ratio)
        return ss.simulate(problem, ss.uniform(), [0.0, 1.0, 2.0], dynamics=dynamics, throw=False)

    runs = jax.vmap(run)(*jnp.array(members).T)
    words = [ss.describe_status(status, runs.faults) for status in runs.status]
    assert words == ["ok", "bad fraction", "bad fraction", "bad period", "bad ratio", "bad fraction"]
    np.testing.assert_array_equal(runs.limit[1:5], [-0.5, 1.0, -1.0, 0.5])
    assert np.isfinite(runs.loss[0]).all()
    assert np.isnan(runs.loss[1:]).all()


def test_flows_and_shapes_that_do_not_fit():
    with pytest.raises(TypeError, match=r"flow is a SGDMoments: give ModalFlow\(\), OperatorFlow\(\) or None"):
        ss.SelfGenerated(0.5, flow=ss.SGDMoments(0.1))
    with pytest.raises(ValueError, match=r"fraction has shape \(2,\) at a refresh: give one number, or a PerRefresh"):
        ss.simulate(make_problem("modal"), ss.uniform(), [0.0, 1.0], dynamics=ss.SelfGenerated([0.5, 0.5]))


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.7])
def test_never_renewed_it_stops(fraction):
    problem = ss.power_law(2.0, 3.0, max_mode=1e7, nodes=256)
    loss = factors(ss.SelfGenerated(fraction, period=np.inf), problem)
    decay = np.asarray(problem.eigenvalues) * TIMES[:, None]
    np.testing.assert_allclose(loss, by_hand(problem, fraction + (1 - fraction) * np.exp(-decay)), rtol=1e-12)
    assert loss[-1] == pytest.approx(fraction**2 * loss[0], rel=0.01)


@pytest.mark.parametrize(
    ("alpha", "beta", "fraction", "ratio"),
    [(1.5, 3.0, 0.5, 10.0), (1.5, 3.0, 0.7, 10.0), (1.5, 3.0, 0.6, 10**0.5), (2.0, 2.0, 0.2, 10**0.5)],
)
def test_stale_snapshots_set_the_exponent(alpha, beta, fraction, ratio):
    """min(theta0, 2 log(1/g) / log R), between snapshots of the last four decades."""
    problem = ss.power_law(alpha, beta, max_mode=1e8, nodes=256)
    loss = factors(ss.SelfGenerated(fraction, ratio=ratio), problem)
    at = np.arange(1, len(TIMES), round(np.log10(ratio) * PER_DECADE))
    at = at[TIMES[at] >= 0.99e2]
    slope = -np.polyfit(np.log(TIMES[at]), np.log(loss[at]), 1)[0]
    assert slope == pytest.approx(min((beta - 1) / alpha, 2 * np.log(1 / fraction) / np.log(ratio)), rel=0.02)


def test_no_staleness_beats_uniform_sampling():
    problem = ss.power_law(2.0, 2.0, max_mode=1e7, nodes=128)
    uniform = np.asarray(ss.simulate(problem, ss.uniform(), TIMES).loss)
    options = jnp.array([[0.0, 1.0], [30.0, 1.0], [0.0, 3.0], [0.0, 1000.0], [np.inf, 1.0]])

    def run(option):
        dynamics = ss.SelfGenerated(0.5, option[0], option[1])
        return ss.simulate(problem, ss.uniform(), TIMES, dynamics=dynamics).loss

    losses = np.asarray(quickly(lambda: jax.vmap(run)(options)))
    assert np.all(losses[:, 1:] > uniform[1:])
    assert np.all(np.diff(losses[:, -1]) > 0)  # the staler the worse


@pytest.mark.parametrize("options", [{}, {"period": 2.0}, {"ratio": 4.0}, {"period": np.inf}])
def test_on_data_against_an_adaptive_solver(options):
    problem = ss.torus(2.0, 2.0, 12, seed=3)
    times = ss.log_times(0.3, 20.0, 7)
    fraction = 0.4
    dynamics = ss.SelfGenerated(fraction, **options)
    run = ss.simulate(
        problem, ss.proportional(1.0), times, dynamics=dynamics, save=lambda o, w: (w, o.state.parameters)
    )
    weights, parameters = (np.asarray(x) for x in run.saved)
    features, targets, mass = (np.asarray(x) for x in (problem.features, problem.targets, problem.example_mass))
    theta = snapshot = np.zeros(12)
    taken, period, ratio = 0.0, options.get("period", 0.0), options.get("ratio", 1.0)
    for n in range(len(times) - 1):
        if times[n] - taken >= period and times[n] >= ratio * taken:
            theta_s, taken = theta, times[n]
            snapshot = theta_s

        def velocity(_, x, n=n, snapshot=snapshot):
            labels = features @ (snapshot if options else x)
            mixed = (1 - fraction) * targets[:, 0] + fraction * labels
            return features.T @ (mass * weights[n] * (mixed - features @ x))

        solved = scipy.integrate.solve_ivp(velocity, times[n : n + 2], theta, rtol=1e-11, atol=1e-13)
        theta = solved.y[:, -1]
        np.testing.assert_allclose(parameters[n + 1][:, 0], theta, rtol=1e-8, atol=1e-10)


def test_no_own_data_is_plain_gradient_flow():
    for kind, flow in (("modal", ss.ModalFlow()), ("operator", ss.OperatorFlow())):
        problem = make_problem(kind)
        times = ss.log_times(0.1, 300.0, 12)
        for options in ({}, {"ratio": 3.0}, {"period": np.inf}):
            own = ss.simulate(problem, ss.proportional(0.7), times, dynamics=ss.SelfGenerated(0.0, **options))
            plain = ss.simulate(problem, ss.proportional(0.7), times, dynamics=flow)
            np.testing.assert_allclose(own.loss, plain.loss, rtol=1e-12)


# The contract of a dynamics ---------------------------------------------------------------------------

# period and ratio: always fresh, once per period, at growing times, never
SETTINGS = jnp.array([[0.0, 1.0], [1.1, 1.0], [0.0, 2.3], [np.inf, 1.0]])


@pytest.mark.parametrize("kind", ["modal", "grouped"])
def test_contract(kind):
    """Gradients in both modes and by differences, in the schedule and in the fraction; one trace; dtypes."""
    problem = make_problem(kind)
    times = ss.log_times(0.2, 8.0, 6)
    traces = []

    def losses(fraction, power):
        def loss(setting):
            traces.append(None)
            dynamics = ss.SelfGenerated(fraction, *setting)
            return jnp.log(ss.simulate(problem, ss.proportional(power), times, dynamics=dynamics).loss[-1])

        return jax.vmap(loss)(SETTINGS)

    at = jnp.asarray(0.4), jnp.asarray(0.8)
    value, reverse, forward = (
        jax.jit(f, compiler_options=QUICK) for f in (losses, jax.jacrev(losses, (0, 1)), jax.jacfwd(losses, (0, 1)))
    )
    reverse, forward = reverse(*at), forward(*at)
    for argument in (0, 1):
        moved = [tuple(x + step * (n == argument) for n, x in enumerate(at)) for step in (-1e-5, 1e-5)]
        difference = (value(*moved[1]) - value(*moved[0])) / 2e-5
        np.testing.assert_allclose(reverse[argument], difference, rtol=1e-6, atol=1e-10)
        np.testing.assert_allclose(forward[argument], reverse[argument], rtol=1e-11)
        assert np.all(np.abs(reverse[argument]) > 1e-4)
    before = len(traces)
    assert np.all(np.isfinite(value(jnp.asarray(0.1), jnp.asarray(1.0))))
    assert len(traces) == before, "a changed value traced the run again"
    short = make_problem(kind, np.float32)
    run = ss.simulate(short, ss.proportional(0.8), times, dynamics=ss.SelfGenerated(0.4, 1.1))
    assert run.loss.dtype == np.float32
    np.testing.assert_allclose(run.loss[-1], np.exp(value(*at)[1]), rtol=1e-4)


def test_a_table_of_fractions():
    """The fraction may change from refresh to refresh: none at first is plain flow, then it slows down."""
    problem = make_problem("modal")
    times = np.array([0.0, 1.0, 2.0])
    table = ss.PerRefresh(jnp.array([0.0, 0.5, 0.5]))
    run = ss.simulate(problem, ss.uniform(), times, dynamics=ss.SelfGenerated(table))
    plain = ss.simulate(problem, ss.uniform(), np.array([0.0, 1.0, 1.5]))
    np.testing.assert_allclose(run.loss, plain.loss, rtol=1e-13)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 1.0}, r"fraction is 1: with no real data nothing new is learnt; give a fraction in \[0, 1\)"),
        ({"fraction": -0.1}, r"fraction is -0\.1: it must not be negative; give a fraction in \[0, 1\)"),
        ({"fraction": np.nan}, r"fraction is nan: every entry must be finite"),
        ({"fraction": 0.5, "period": -1.0}, r"period is -1: give a time of 0 or above, or inf"),
        ({"fraction": 0.5, "ratio": 0.5}, r"ratio is 0\.5: time only grows; give a factor of 1 or above"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        ss.SelfGenerated(**options)
