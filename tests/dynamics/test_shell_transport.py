"""ShellTransport against characteristics, gradient flow and conservation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import QUICK, quickly

import spectral_sim as ss
from spectral_sim import analysis
from spectral_sim.numerics import limited_slope

TOP, BOTTOM, PEAK, SPREAD = 0.5, -4.5, -1.5, 0.5
NODE, WEIGHT = np.polynomial.legendre.leggauss(5)
EXPONENTS = np.array([0.5, 1.0, 1.2, 1.5, 2.0, 2.5])


def density(log_eigenvalue):
    """lam g at time 0: a smooth bump that the ends of the grid do not see."""
    return np.exp(-(((log_eigenvalue - PEAK) / SPREAD) ** 2))


def averages(function, shells):
    """Cell averages by Gauss quadrature on equal shells, the largest eigenvalue first."""
    width = (TOP - BOTTOM) / shells
    middle = TOP - width * (np.arange(shells) + 0.5)
    return function(middle[:, None] + width / 2 * NODE) @ WEIGHT / 2


def bump(shells):
    return ss.dynamics.log_shells(averages(density, shells), np.exp(TOP), np.exp(BOTTOM))


def characteristics(exponent, shift, time, gamma=2.0, shift_since=None):
    """lam g at `time`; `shift` is int c dt, and `shift_since(s)` that from s on (constant drift if None)."""

    def at(log_eigenvalue):
        eigenvalue, power = np.exp(log_eigenvalue), 1 - exponent
        when, part = np.polynomial.legendre.leggauss(24)
        when, part = time * (1 + when) / 2, time * part / 2
        since = [shift * (1 - s / time) if shift_since is None else shift_since(s) for s in when]
        back = lambda moved: (
            eigenvalue * np.exp(moved)
            if power == 0
            else np.maximum(eigenvalue**power + power * moved, 0) ** (1 / power)
        )
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            start = back(shift)
            damping = gamma * sum(w * back(moved) for w, moved in zip(part, since, strict=True))
            value = density(np.log(start)) * (start / eigenvalue) ** (exponent - 1) * np.exp(-damping)
        return np.where(np.isfinite(start), value, 0.0)

    return at


def test_the_reference_solves_the_equation():
    """Differences of the characteristics' solution satisfy d_t G = -d_x(a G) - gamma lam G, x = log lam."""
    x, t, h = np.linspace(-3, -0.5, 9), 0.3, 1e-4
    for b in EXPONENTS:
        solution = lambda x, t, b=b: characteristics(b, 1.1 * t, t)(x)
        flux = lambda x, t, b=b, solution=solution: -1.1 * np.exp((b - 1) * x) * solution(x, t)
        left = (solution(x, t + h) - solution(x, t - h)) / (2 * h)
        right = -(flux(x + h, t) - flux(x - h, t)) / (2 * h) - 2 * np.exp(x) * solution(x, t)
        np.testing.assert_allclose(left, right, atol=1e-6)


def final_contents(problem, grids, dynamics):
    """Energy in each shell at the end, for each exponent on its own refresh grid, as one batch."""

    def run(exponent, times):
        return ss.simulate(
            problem, ss.uniform(), times, dynamics=dynamics(exponent), throw=False, save=lambda o, w: o.state.content
        )

    runs = jax.jit(jax.vmap(run), compiler_options=QUICK)(EXPONENTS, grids)
    assert np.all(runs.status == ss.Status.OK)
    return np.asarray(runs.saved[:, -1])


def error(contents, ends, shells):
    width = (TOP - BOTTOM) / shells
    exact = [width * averages(characteristics(b, t, t), shells) for b, t in zip(EXPONENTS, ends, strict=True)]
    return np.array([np.sum(np.abs(c - e)) / np.sum(e) for c, e in zip(contents, exact, strict=True)])


@pytest.mark.parametrize("chosen", ["one step a refresh", "steps from the CFL limit"])
def test_second_order_for_every_drift_exponent(chosen):
    """Refined by two, twice. At the largest Courant number the leading error nearly vanishes for b = 1 and 1.2."""
    one = chosen == "one step a refresh"
    fastest = np.maximum(np.exp((EXPONENTS - 1) * TOP), np.exp((EXPONENTS - 1) * BOTTOM))
    ends = np.minimum(0.4 * (TOP - BOTTOM) / fastest, 0.6)
    dynamics = lambda b: ss.ShellTransport(b, 1.0, max_substeps=1 if one else 63)
    errors = []
    for shells in (128, 256, 512):
        refreshes = 2 * shells if one else shells // 16
        grids = ends[:, None] * np.linspace(0, 1, refreshes + 1)
        errors.append(error(final_contents(bump(shells), grids, dynamics), ends, shells))
    orders = np.log2(np.array(errors)[:-1] / np.array(errors)[1:])
    assert np.all(orders[-1] > 1.9), orders
    assert np.all(errors[-1] < 3e-4)
    if one:
        assert np.all(np.abs(orders[-1] - 2) < 0.1), orders


def test_second_order_for_a_drift_that_depends_on_time():
    drift = lambda t: 1 + 0.8 * jnp.sin(4 * t)
    shifted = lambda t: t + 0.2 * (1 - np.cos(4 * t))
    end, errors = 0.7, []
    for shells in (128, 256, 512):
        exact = averages(
            characteristics(1.5, shifted(end), end, shift_since=lambda s: shifted(end) - shifted(s)), shells
        )
        exact *= (TOP - BOTTOM) / shells
        run = quickly(
            lambda shells=shells: ss.simulate(
                bump(shells),
                ss.uniform(),
                np.linspace(0, end, shells // 4 + 1),
                dynamics=ss.ShellTransport(1.5, drift, max_substeps=15),
                save=lambda o, w: o.state.content,
            )
        )
        assert run.status == ss.Status.OK
        errors.append(np.sum(np.abs(run.saved[-1] - exact)) / np.sum(exact))
    orders = np.log2(np.array(errors)[:-1] / np.array(errors)[1:])
    assert abs(orders[-1] - 2) < 0.1, (errors, orders)


@pytest.mark.parametrize("gamma", [1.0, 2.0])
@pytest.mark.parametrize("drift", [1.0, -1.0])
def test_second_order_whatever_the_sign_of_the_drift_under_weights(drift, gamma):
    """Weights that vary over the spectrum, against a run on sixteen times as many shells: 128, 256 and 512."""

    def totals(shells):
        run = ss.simulate(
            bump(shells),
            ss.power_tilt(0.4),
            np.linspace(0, 0.5, shells // 4 + 1),
            dynamics=ss.ShellTransport(1.5, drift, gamma, max_substeps=15),
            save=lambda o, w: o.state.content,
        )
        assert run.status == ss.Status.OK
        return np.asarray(run.saved[-1]).reshape(128, -1).sum(axis=1)

    fine = totals(2048)
    errors = np.array([np.sum(np.abs(totals(shells) - fine)) for shells in (128, 256, 512)])
    orders = np.log2(errors[:-1] / errors[1:])
    assert 1.9 < orders[-1] < 2.1, (orders, errors)


@pytest.mark.parametrize("drift", [1.0, -1.0])
def test_nothing_overshoots_beside_a_jump(drift):
    """A box that moves to and fro along the spectrum without dissipation stays within its levels."""
    position = np.arange(100)
    box = np.where((position > 30) & (position < 60), 1.0, 0.1)
    problem = ss.dynamics.log_shells(box, 1.0, np.exp(-2.0))
    run = ss.simulate(
        problem,
        ss.uniform(),
        0.007 * np.arange(21),  # a third of a shell at a time
        dynamics=ss.ShellTransport(1.0, drift, gamma=0.0),
        save=lambda o, w: o.state.content,
    )
    inner = np.asarray(run.saved)[:, 12:-12] / 0.02
    assert inner.max() <= 1 + 1e-12
    assert inner.min() >= 0.1 * (1 - 1e-12)


def rough(seed=3):
    """Shells of unequal width, some of them empty beside full ones."""
    rng = np.random.default_rng(seed)
    eigenvalues = np.exp(-np.cumsum(rng.uniform(0.02, 0.2, 60)))
    energies = rng.exponential(size=60) ** 3 * (rng.uniform(size=60) > 0.3)
    return ss.ModalProblem(eigenvalues, energies, rng.uniform(0.5, 3, 60))


@pytest.mark.parametrize("drift", [1.0, -1.0])
def test_energy_is_kept_and_never_negative(drift):
    """No dissipation: what is in the shells and what has left through eigenvalue zero is what there was."""
    problem, times = rough(), np.linspace(0, 2, 31)

    def run(exponent):
        dynamics = ss.ShellTransport(exponent, drift, gamma=0.0, max_substeps=255)
        return ss.simulate(problem, ss.uniform(), times, dynamics=dynamics, save=lambda o, w: o.state, throw=False)

    runs = jax.jit(jax.vmap(run), compiler_options=QUICK)(EXPONENTS)
    assert np.all(runs.status == ss.Status.OK)
    total = np.sum(runs.saved.content, axis=-1) + runs.saved.lost
    np.testing.assert_allclose(total / total[:, :1], 1, rtol=0, atol=1e-12)
    assert np.all(np.asarray(runs.saved.content) >= 0)
    below_one = EXPONENTS < 1
    np.testing.assert_array_equal(runs.saved.lost[~below_one], 0)
    assert np.all(runs.saved.lost[below_one, -1] > 0.1) == (drift > 0)
    assert np.all(np.abs(runs.saved.content[:, -1] - runs.saved.content[:, 0]).sum(axis=1) > 0.1)


def test_dissipation_and_source_keep_it_positive():
    problem = rough()
    dynamics = ss.ShellTransport(1.5, lambda t: jnp.cos(t), source=0.1, max_substeps=255)
    run = quickly(
        lambda: ss.simulate(
            problem, ss.proportional(1.0), np.linspace(0, 9, 40), dynamics=dynamics, save=lambda o, w: o.energy
        )
    )
    assert np.all(np.asarray(run.saved) >= 0)
    assert run.status == ss.Status.OK


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_without_drift_it_is_gradient_flow(dtype):
    problem = ss.power_law(dtype(2), dtype(2), max_mode=1e6, nodes=96)
    times = ss.log_times(0.1, 1e4, 41)
    schedule = ss.chain(ss.proportional(0.5), ss.clip(0.1, 30.0))
    flow, still = quickly(
        lambda: [
            ss.simulate(problem, schedule, times, dynamics=dynamics, save=lambda o, w: o.energy)
            for dynamics in (ss.ModalFlow(), ss.ShellTransport(1.5, 0.0, max_substeps=1))
        ]
    )
    tolerance, floor = (1e-10, 1e-30) if dtype is np.float64 else (1e-4, 1e-12)
    np.testing.assert_allclose(still.loss, flow.loss, rtol=tolerance)
    np.testing.assert_allclose(still.saved, flow.saved, rtol=tolerance, atol=floor)


def test_a_source_against_dissipation_settles_where_they_balance():
    problem = rough()
    source = np.linspace(0.5, 1.5, 60)
    run = quickly(
        lambda: ss.simulate(
            problem,
            ss.uniform(),
            [0.0, 0.3, 4e4],
            dynamics=ss.ShellTransport(1.0, 0.0, source=source, max_substeps=1),
            save=lambda o, w: o.state.content,
        )
    )
    rate = 2 * np.asarray(problem.eigenvalues)
    start = np.asarray(problem.multiplicity * problem.energies)
    early = start * np.exp(-0.3 * rate) + source * -np.expm1(-0.3 * rate) / rate
    np.testing.assert_allclose(run.saved[1], early, rtol=1e-12)
    np.testing.assert_allclose(run.saved[2], source / rate, rtol=1e-9)


def test_the_frontier_follows_the_drift():
    """For b > 1 nothing is left above ((b - 1) c t)^(-1 / (b - 1)), and `analysis.frontier` sees it."""
    shells, exponent, drift = 200, 2.0, 0.5
    middle = np.geomspace(1, 1e-4, 2 * shells + 1)[1::2]
    problem = ss.dynamics.log_shells(middle**0.1, 1.0, 1e-4)
    times = ss.log_times(0.1, 300, 120)
    run = quickly(
        lambda: ss.simulate(
            problem,
            ss.uniform(),
            times,
            dynamics=ss.ShellTransport(exponent, drift, gamma=0.0, max_substeps=255),
            save=lambda o, w: o.log_energy,
        )
    )
    assert run.status == ss.Status.OK
    learnt = analysis.frontier(problem, run.saved, threshold=1.0)
    edge = 1 / (1 + drift * times)  # what was at eigenvalue 1
    seen = np.interp(learnt, np.asarray(problem.index), np.log(middle))
    later = times > 1
    np.testing.assert_allclose(seen[later], np.log(edge[later]), atol=4 * np.log(1e4) / shells)


def test_too_fast_a_drift_is_a_status_that_names_the_longest_interval():
    problem, times = bump(64), np.array([0.0, 0.1, 3.0])
    dynamics = ss.ShellTransport(1.5, 1.0, max_substeps=16)
    run = ss.simulate(problem, ss.uniform(), times, dynamics=dynamics, throw=False)
    assert (ss.describe_status(run.status, run.faults), run.refresh) == ("too many steps", 1)
    assert 0.3 < float(run.limit) < 3
    with pytest.raises(
        ss.SimulationError, match=r"the longest that it can run is [\d.]+: refresh more often.*refresh 1"
    ):
        run.raise_if_failed()
    allowed = np.array([0.0, 0.1, 0.1 + 0.99 * float(run.limit)])
    assert ss.simulate(problem, ss.uniform(), allowed, dynamics=dynamics).status == ss.Status.OK


def test_slopes_are_exact_on_lines_limited_at_jumps_and_never_negative():
    rng = np.random.default_rng(0)
    width = rng.uniform(0.5, 2, 9)
    spacing, middle = (width[1:] + width[:-1]) / 2, np.cumsum(width) - width / 2
    line = np.asarray(limited_slope(jnp.asarray(5 + 0.3 * middle), width, spacing))
    np.testing.assert_allclose(line, [0] + [0.3] * 7 + [0], rtol=1e-12)
    even, gaps = np.ones(7), np.ones(6)
    np.testing.assert_array_equal(limited_slope(jnp.array([0.0, 0, 0, 1, 1, 1, 1]), even, gaps), 0)
    np.testing.assert_array_equal(limited_slope(jnp.array([0.0, 0, 0, 1, 0, 0, 0]), even, gaps), 0)
    resolved = np.asarray(
        limited_slope(jnp.asarray(9.0 - np.array([-3.2, -2.2, -1.2, -0.2, 0.8, 1.8, 2.8]) ** 2), even, gaps)
    )
    assert resolved[3] == pytest.approx(0.4)  # the top of a parabola keeps its slope
    values = rng.exponential(size=9) ** 4
    assert np.all(np.abs(limited_slope(jnp.asarray(values), width, spacing)) * width / 2 <= values * (1 + 1e-12))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ss.ShellTransport(np.nan, 1.0), r"drift_exponent is nan: every entry must be finite"),
        (lambda: ss.ShellTransport(1.0, np.inf), r"drift is inf: every entry must be finite; give a finite drift c"),
        (lambda: ss.ShellTransport(1.0, 1.0, -1.0), r"gamma is -1: it must not be negative; give 2 for energies"),
        (lambda: ss.ShellTransport(1.0, 1.0, source=[0.0, -2.0]), r"source\[1\] is -2: it must not be negative"),
        (lambda: ss.ShellTransport(1.0, 1.0, max_substeps=0), r"max_substeps is 0: it must be positive"),
        (lambda: ss.dynamics.log_shells(np.ones(4), 1.0, 2.0), r"largest=1\.0 is not above smallest=2\.0"),
        (lambda: ss.dynamics.log_shells(np.ones(4), 1.0, 0.0), r"smallest is 0: it must be positive"),
    ],
)
def test_bad_settings(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_source_of_another_size():
    dynamics = ss.ShellTransport(1.0, 1.0, source=np.ones(3))
    with pytest.raises(ValueError, match=r"source has shape \(3,\), but the problem has 64 shells"):
        ss.simulate(bump(64), ss.uniform(), [0.0, 0.1], dynamics=dynamics)


@pytest.mark.parametrize(
    ("eigenvalues", "message"),
    [
        ([1.0, 0.5], r"has 2 entries: transport needs 3 shells or more"),
        ([1.0, 0.5, 0.0], r"eigenvalues\[2\] is 0: it must be positive; .*drop modes that are never learnt"),
        ([1.0, 0.5, 0.5, 0.1], r"eigenvalues\[1\] and eigenvalues\[2\] are both 0\.5: shells of no width"),
    ],
)
def test_spectra_that_are_no_shells(eigenvalues, message):
    problem = ss.ModalProblem(eigenvalues, np.ones(len(eigenvalues)))
    with pytest.raises(ValueError, match=message):
        ss.simulate(problem, ss.uniform(), [0.0, 1.0], dynamics=ss.ShellTransport(1.0, 1.0))
