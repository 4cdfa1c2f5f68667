"""The ideal oracle against independent solvers of the same convex problem, and against its own closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

import spectral_sim as ss
from spectral_sim.numerics import capped_water_level, water_level

TIMES = np.concatenate([[0.0], np.geomspace(1e-3, 30.0, 13)])


def small_problem(seed=0, modes=9):
    """Multiplicities that are not whole, energies in no order, one of them zero, and a mode never learnt."""
    rng = np.random.default_rng(seed)
    eigenvalues = np.append(np.sort(rng.uniform(0.02, 1.0, modes - 1))[::-1], 0.0)
    energies = rng.uniform(0.1, 2.0, modes) * np.arange(1.0, modes + 1) ** -0.7
    energies[3] = 0.0
    return eigenvalues, energies, rng.uniform(0.5, 4.0, modes)


def progress_by_root_finding(eigenvalues, energies, multiplicity, time, cap=np.inf):
    """Solve sum_k m_k clip(1/2 log(E_k / mu), 0, cap lam_k t) = kappa t for log mu with brentq."""
    alive = (energies > 0) & (eigenvalues > 0)  # a mode of zero eigenvalue makes no progress under any weights
    log_energy = np.log(energies[alive])
    limit = cap * eigenvalues[alive] * time if np.isfinite(cap) else np.inf
    budget = np.sum(multiplicity * eigenvalues) * time

    def progress(log_mu):
        return np.clip((log_energy - log_mu) / 2, 0, limit)

    def excess(log_mu):
        return np.sum(multiplicity[alive] * progress(log_mu)) - budget

    bottom, top = (
        log_energy.min() - 2 * budget - 2 * np.max(limit, initial=0, where=np.isfinite(limit)),
        log_energy.max(),
    )
    full = np.zeros_like(energies)
    if excess(bottom) < 0:  # modes without energy would take the rest of the budget
        full[alive] = limit
    else:
        full[alive] = progress(scipy.optimize.brentq(excess, bottom, top, xtol=1e-15, rtol=1e-15))
    return full


def loss_after(energies, multiplicity, progress):
    return 0.5 * np.sum(multiplicity * energies * np.exp(-2 * progress))


@pytest.mark.parametrize("cap", [None, 1.0, 1.7, 6.0, 1e4])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_optimum_agrees_with_root_finding(cap, seed):
    spectrum = small_problem(seed)
    oracle = ss.ideal_oracle(ss.ModalProblem(*spectrum), TIMES, cap)
    for n, time in enumerate(TIMES[1:], start=1):
        progress = progress_by_root_finding(*spectrum, time, np.inf if cap is None else cap)
        assert oracle.loss[n] == pytest.approx(loss_after(*spectrum[1:], progress), rel=1e-10)
        drained = spectrum[0] * time * np.exp(oracle.log_weights[n])
        np.testing.assert_allclose(drained, progress, rtol=1e-9, atol=1e-10)
        assert oracle.frontier[n] == pytest.approx(np.sum(spectrum[2][progress > 0]), rel=1e-10)


@pytest.mark.parametrize("cap", [None, 1.6])
def test_no_constrained_minimiser_finds_less(cap):
    """SLSQP knows nothing of water levels: it gets the loss, its gradient, a budget and bounds."""
    eigenvalues, energies, multiplicity = small_problem(4, 12)
    eigenvalues[-1] = 0.015
    times = np.array([0.05, 0.7, 4.0])
    oracle = ss.ideal_oracle(ss.ModalProblem(eigenvalues, energies, multiplicity), times, cap)
    for n, time in enumerate(times):
        budget = np.sum(multiplicity * eigenvalues) * time
        decay = lambda u: multiplicity * energies * np.exp(-2 * u)
        found = scipy.optimize.minimize(
            lambda u: 0.5 * np.sum(decay(u)),  # noqa: B023
            eigenvalues * time,
            jac=lambda u: -decay(u),  # noqa: B023
            bounds=[(0, None if cap is None else cap * lam * time) for lam in eigenvalues],
            constraints={"type": "ineq", "fun": lambda u: budget - multiplicity @ u, "jac": lambda u: -multiplicity},  # noqa: B023
            method="SLSQP",
            options={"ftol": 1e-15, "maxiter": 500},
        )
        assert multiplicity @ found.x <= budget * (1 + 1e-9)
        assert oracle.loss[n] == pytest.approx(found.fun, rel=1e-10)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.floats(1e-4, 1e3))
def test_water_levels_spend_the_budget(seed, budget):
    rng = np.random.default_rng(seed)
    energies = rng.choice([0.0, 1.0, 1e-9, 3.0], 8) * rng.uniform(0.5, 1.5, 8)
    energies[0] = 0.3
    multiplicity, limit = rng.uniform(0.1, 50.0, 8), rng.uniform(0.0, 4.0, 8)
    with np.errstate(divide="ignore"):
        log_energy = np.log(energies)
    level = float(water_level(log_energy, multiplicity, budget)) + log_energy.max()
    assert multiplicity @ np.maximum(log_energy - level, 0) / 2 == pytest.approx(budget, rel=1e-11)
    affordable = min(budget, multiplicity[energies > 0] @ limit[energies > 0])
    level = float(capped_water_level(log_energy, multiplicity, limit, affordable)) + log_energy.max()
    assert multiplicity @ np.clip((log_energy - level) / 2, 0, limit) == pytest.approx(affordable, rel=1e-9, abs=1e-11)


def test_allocations_are_nested_in_time():
    """What is optimal at one time is never taken back later, so one schedule attains the whole curve."""
    problem = ss.power_law(1.5, 2.0, num_modes=200)
    times = np.geomspace(1e-2, 1e4, 120)
    progress = np.exp(ss.ideal_oracle(problem, times).log_weights) * problem.eigenvalues * times[:, None]
    assert np.all(np.diff(progress, axis=0) >= -1e-12 * progress[:-1])
    np.testing.assert_allclose(progress.sum(axis=1), problem.trace * times, rtol=1e-12)


@pytest.mark.parametrize(("alpha", "beta"), [(1.25, 1.5), (1.5, 2.0), (2.0, 2.0), (3.0, 1.2)])
def test_frontier_grows_as_the_budget_over_half_beta(alpha, beta):
    """sum_{k <= k*} (beta / 2) log(k* / k) = beta k* / 2 - O(log k*) modes' worth of progress."""
    problem = ss.power_law(alpha, beta, num_modes=20_000)
    kappa = np.sum(np.arange(1.0, 20_001) ** -alpha)
    times = np.array([1e2, 1e3]) / kappa * beta
    ratio = np.asarray(ss.ideal_oracle(problem, times).frontier) / (2 * kappa * times / beta)
    assert abs(ratio[0] - 1) < 0.03
    assert abs(ratio[1] - 1) < 0.004
    # by Stirling the next term is (1/2) log(2 pi k*)
    assert (ratio - 1) * 2 * kappa * times / beta == pytest.approx(
        0.5 * np.log(2 * np.pi * ratio * [200, 2000]), abs=1.0
    )


@pytest.mark.parametrize("shells", [False, True], ids=["modes", "shells"])
@pytest.mark.parametrize("num", [3, 40, 113])
def test_water_filling_attains_the_curve_on_any_grid(shells, num):
    size = {"max_mode": 1e8, "nodes": 128} if shells else {"num_modes": 300}
    problem = ss.power_law(2.0, 2.0, **size)
    rng = np.random.default_rng(num)
    times = np.concatenate([[0.0], np.sort(10 ** rng.uniform(-2, 3, num - 1))])
    loss = ss.simulate(problem, ss.water_filling(), times).loss
    np.testing.assert_allclose(loss, ss.ideal_oracle(problem, times).loss, rtol=1e-12)


def test_water_filling_attains_the_curve_for_random_spectra():
    for seed in range(4):
        eigenvalues, energies, multiplicity = small_problem(seed, 12)
        eigenvalues[-1] = 0.01
        problem = ss.ModalProblem(eigenvalues, energies, multiplicity)
        loss = ss.simulate(problem, ss.water_filling(), TIMES).loss
        np.testing.assert_allclose(loss, ss.ideal_oracle(problem, TIMES).loss, rtol=1e-12)


def test_a_cap_lies_between_the_ideal_and_uniform_weights():
    problem = ss.power_law(2.0, 2.0, num_modes=500)
    times = ss.log_times(1e-2, 1e4, 50)
    free = np.asarray(ss.ideal_oracle(problem, times).loss)
    uniform = np.asarray(ss.simulate(problem, ss.uniform(), times).loss)
    before = uniform * (1 + 1e-12)
    for cap in (1.0, 1.5, 4.0, 30.0, 1e3, 1e9):
        capped = np.asarray(ss.ideal_oracle(problem, times, cap).loss)
        assert np.all(capped >= free * (1 - 1e-12))
        assert np.all(capped <= before)  # a looser cap never costs anything
        before = capped * (1 + 1e-12)
        held = ss.simulate(problem, ss.chain(ss.water_filling(), ss.clip(0.0, cap)), times).loss
        assert np.all(np.asarray(held) >= capped * (1 - 1e-12))
    np.testing.assert_allclose(ss.ideal_oracle(problem, times, 1.0).loss, uniform, rtol=1e-11)
    np.testing.assert_allclose(capped, free, rtol=1e-11)


def test_the_capped_envelope_is_not_nested():
    """Fast modes are full early and are drained less later: no one schedule follows the envelope."""
    problem = ss.power_law(2.0, 2.0, num_modes=100)
    times = np.geomspace(1.0, 1e3, 60)
    oracle = ss.ideal_oracle(problem, times, 5.0)
    uncapped = ss.ideal_oracle(problem, times)
    held = ss.simulate(problem, ss.chain(ss.water_filling(), ss.clip(0.0, 5.0)), np.append(0.0, times)).loss[1:]
    assert float(jnp.max(held / oracle.loss)) > 1.01
    assert float(jnp.max(oracle.loss / uncapped.loss)) > 1.5


def test_a_data_problem_gets_a_reference_and_no_bound():
    rng = np.random.default_rng(3)
    features, targets = rng.normal(size=(20, 6)), rng.normal(size=20)
    oracle = ss.ideal_oracle(ss.OperatorProblem(features, targets), TIMES)
    fit = np.linalg.lstsq(features, targets, rcond=None)[0]
    floor = 0.5 * np.mean((targets - features @ fit) ** 2)
    assert not oracle.is_bound
    assert float(oracle.floor) == pytest.approx(floor, rel=1e-10)
    assert float(oracle.loss[0]) == pytest.approx(0.5 * np.mean(targets**2), rel=1e-12)
    values, vectors = np.linalg.eigh(features.T @ features / 20)
    energies = (vectors.T @ features.T @ targets / 20) ** 2 / values
    for n, time in enumerate(TIMES[1:], start=1):
        progress = progress_by_root_finding(values, energies, np.ones(6), time)
        assert float(oracle.loss[n]) == pytest.approx(floor + loss_after(energies, np.ones(6), progress), rel=1e-9)
    assert ss.ideal_oracle(ss.ModalProblem([1.0], [1.0]), TIMES).is_bound


def test_works_under_transformations_and_in_float32():
    times = np.array([0.5, 20.0])
    losses = jax.jit(jax.vmap(lambda beta: ss.ideal_oracle(ss.power_law(2.0, beta, num_modes=50), times).loss))
    for beta, loss in zip([1.5, 2.5], losses(jnp.array([1.5, 2.5])), strict=True):
        np.testing.assert_allclose(loss, ss.ideal_oracle(ss.power_law(2.0, beta, num_modes=50), times).loss, rtol=1e-12)
    single = ss.ideal_oracle(ss.power_law(np.float32(2), np.float32(2), num_modes=50), times)
    assert single.loss.dtype == jnp.float32
    np.testing.assert_allclose(single.loss, ss.ideal_oracle(ss.power_law(2, 2, num_modes=50), times).loss, rtol=1e-5)


@pytest.mark.parametrize(
    ("times", "cap", "message"),
    [
        ([1.0], 0.9, r"cap is 0\.9: .* at least 1"),
        ([1.0], 0.0, r"cap is 0: it must be positive"),
        ([1.0], np.nan, r"cap is nan"),
        ([1.0, -2.0], None, r"times\[1\] is -2: it must not be negative"),
        ([1.0, np.inf], None, r"times\[1\] is inf"),
        (1.0, None, r"times must have shape \(times\), got shape \(\)"),
    ],
)
def test_refuses(times, cap, message):
    with pytest.raises(ValueError, match=message):
        ss.ideal_oracle(ss.power_law(2.0, 2.0, num_modes=5), times, cap)
