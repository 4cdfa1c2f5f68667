"""Random features: the equivalent against draws, a contour integral and all modes; gradients; SGD; refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

import spectral_sim as ss
from spectral_sim.problems import random_features


def contour_losses(alpha, beta, k, width, times, points=600, count=1.0):
    """Losses of the equivalent flow, mode by mode, by a hyperbola around the spectrum, the pole at zero outside."""
    modes, energies = k**-alpha, count * k**-beta
    slope = lambda x: np.sum(count * (modes / (modes + x)) ** 2) - width
    kappa = brentq(lambda x: np.sum(count * modes / (modes + x)) - width, 1e-12 * modes[-1], 1e4, xtol=1e-24)
    edge = brentq(slope, 1e-12 * modes[-1], kappa, xtol=1e-24)
    losses = []
    for time in times:
        # a hyperbola crosses the real axis between the edge of the support and the pole at zero
        c, reach = (edge * kappa) ** 0.5, 1.1 * modes[0] + 40 / time
        u = np.arccosh(1 + reach / c) * (2 * (np.arange(points) + 0.5) / points - 1)
        omega = c * (np.cosh(u) - 2 + 0.8j * np.sinh(u))
        step = c * (np.sinh(u) + 0.8j * np.cosh(u)) * (u[1] - u[0])
        inverse = 1 / (modes - omega[:, None])
        m = 1 - np.sum(count * modes * inverse, axis=1) / width
        dz = 1 - np.sum(count * (modes * inverse) ** 2, axis=1) / width
        target = np.sum(energies * inverse, axis=1) / m
        losses.append(0.5 * np.sum(np.exp(-2 * time * omega * m) * target * dz * step / (2j * np.pi)).real)
    return np.array(losses) + 0.5 * np.sum(energies * kappa / (modes + kappa))


def flow_losses(problem, times):
    return np.asarray(ss.simulate(problem, ss.uniform(), times).loss)


def drawn_losses(alpha, beta, num_modes, width, times, draws, seed=0):
    """Losses of gradient flow on drawn features, mean and standard error, in NumPy."""
    rng, k = np.random.default_rng(seed), np.arange(1.0, num_modes + 1)
    found = []
    for _ in range(draws):
        features = k[:, None] ** (-alpha / 2) * rng.standard_normal((num_modes, width)) / width**0.5
        target = k ** (-beta / 2) * rng.choice([-1, 1], num_modes)
        values, vectors = np.linalg.eigh(features.T @ features)
        along = (vectors.T @ (features.T @ target)) / np.sqrt(values)
        decayed = np.exp(-2 * values * np.asarray(times)[:, None]) @ along**2
        found.append(0.5 * (decayed + target @ target - along @ along))
    return np.mean(found, axis=0), np.std(found, axis=0) / draws**0.5


@pytest.fixture(scope="module")
def equivalent():
    return random_features(1.4, 2.0, num_modes=2000, width=200.0)


def test_it_has_the_moments_of_the_kernel(equivalent):
    k = np.arange(1.0, 2001)
    assert float(jnp.sum(equivalent.multiplicity)) == pytest.approx(200, rel=1e-8)
    assert float(equivalent.trace) == pytest.approx(np.sum(k**-1.4), rel=1e-8)
    assert float(equivalent.initial_loss()) == pytest.approx(0.5 * np.sum(k**-2.0), rel=1e-8)
    assert float(equivalent.noise_variance) == pytest.approx(2 * float(equivalent.floor), rel=1e-14)


@pytest.mark.parametrize(
    ("alpha", "beta", "num_modes", "width"),
    [
        (1.4, 2.0, 2000, 200.0),
        (2.0, 3.6, 2000, 50.0),
        (1.2, 1.8, 3000, 700.5),
        (2.0, 2.0, 500, 3.0),
        (0.8, 1.5, 900, 80.0),
    ],
)
def test_the_flow_is_that_of_the_contour_integral(alpha, beta, num_modes, width):
    times = np.concatenate([[0.0], np.geomspace(0.1, 1e5, 13)])
    problem = random_features(alpha, beta, num_modes=num_modes, width=width)
    np.testing.assert_allclose(
        flow_losses(problem, times)[1:],
        contour_losses(alpha, beta, np.arange(1.0, num_modes + 1), width, times[1:]),
        rtol=1e-8,
    )


@pytest.mark.parametrize(("alpha", "beta", "width"), [(2.0, 3.2, 5000.0), (1.4, 2.6, 1600.0), (1.4, 2.6, 25600.0)])
def test_wide_models_are_as_exact(alpha, beta, width):
    """Dozens of eigenvalues stand apart, and hundreds more show as ripples."""
    times = np.concatenate([[0.0], np.geomspace(0.1, 1e7, 9)])
    problem = random_features(alpha, beta, num_modes=10**8, width=width, nodes=384)
    law = ss.power_law(alpha, beta, max_mode=1e8, nodes=1024)
    expected = contour_losses(alpha, beta, np.asarray(law.index), width, times[1:], count=np.asarray(law.multiplicity))
    np.testing.assert_allclose(flow_losses(problem, times)[1:], expected, rtol=1e-8)


@pytest.mark.parametrize(
    ("alpha", "beta", "width", "accuracy"), [(1.4, 2.0, 200, 0.015), pytest.param(2.0, 3.6, 50, 0.06)]
)
def test_it_is_near_the_mean_of_draws(alpha, beta, width, accuracy):
    times = np.concatenate([[0.0], np.geomspace(0.1, 1e4, 9)])
    mean, error = drawn_losses(alpha, beta, 600, width, times, 200)
    problem = random_features(alpha, beta, num_modes=600, width=float(width))
    assert np.all(np.abs(flow_losses(problem, times) - mean) < accuracy * mean + 2 * error)


def test_nodes_stand_for_many_modes():
    """The result on quadrature of the modes agrees with that on every mode."""
    from spectral_sim.numerics import feature_spectrum
    from spectral_sim.numerics._feature_spectrum import _laid_out

    assert len(_laid_out(1.4, 60.0, 3000, 128)[0].index) < 1000
    found = random_features(1.4, 2.0, num_modes=3000, width=60.0, nodes=128)
    times = np.concatenate([[0.0], np.geomspace(0.1, 1e5, 13)])
    np.testing.assert_allclose(
        flow_losses(found, times)[1:], contour_losses(1.4, 2.0, np.arange(1.0, 3001), 60.0, times[1:]), rtol=1e-8
    )
    assert feature_spectrum(1.5, 2.0, 300.0, 10**8, 256).eigenvalues.shape == (256,)


def test_where_newtons_method_takes_too_long_roots_are_bracketed(monkeypatch):
    from spectral_sim.numerics import _feature_curve, _feature_gaps
    from spectral_sim.numerics import _feature_spectrum as kernel

    exact = kernel.feature_spectrum(1.6, 2.0, 50.0, 1000, 64)
    kernel._laid_out.cache_clear()
    monkeypatch.setattr(_feature_curve, "_MOST_STEPS", 2)
    crossing = _feature_gaps._crossing

    def unpolished(*arguments):
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(_feature_gaps, "_POLISH", -1)
            return crossing(*arguments)

    monkeypatch.setattr(_feature_gaps, "_crossing", unpolished)
    found = kernel.feature_spectrum(1.6, 2.0, 50.0, 1000, 64)
    np.testing.assert_allclose(found.eigenvalues, exact.eigenvalues, rtol=1e-8)
    np.testing.assert_allclose(found.energies, exact.energies, rtol=1e-6)
    kernel._laid_out.cache_clear()


@pytest.mark.parametrize("name", ["alpha", "beta", "width"])
def test_gradients_are_those_of_central_differences(name):
    start, times = {"alpha": 1.5, "beta": 2.2, "width": 40.0}, np.array([0.0, 3.0, 300.0])

    @jax.jit
    def loss(value):
        problem = random_features(**{**start, name: value}, num_modes=400, nodes=64)
        return jnp.log(ss.simulate(problem, ss.proportional(0.5), times).loss[-1])

    step = 1e-4 * start[name]
    difference = (loss(start[name] + step) - loss(start[name] - step)) / (2 * step)
    assert float(jax.grad(loss)(start[name])) == pytest.approx(float(difference), rel=1e-5)
    assert float(jax.jacfwd(loss)(start[name])) == pytest.approx(float(difference), rel=1e-5)


def test_widths_run_as_a_batch_and_as_a_sweep():
    widths, times = np.array([20.0, 45.5, 90.0]), ss.log_times(0.1, 1e3, 9)
    one = lambda width: ss.simulate(
        random_features(1.5, 2.0, num_modes=300, width=width, nodes=64), ss.uniform(), times
    )
    batch = jax.vmap(one)(widths)
    problem = random_features(1.5, 2.0, num_modes=300, width=30.0, nodes=64)
    table = ss.sweep(problem, ss.grid(ss.uniform(), **{"problem.width": widths}), times, metrics=["final_loss"])
    for row, width in enumerate(widths):
        alone = one(width).loss
        np.testing.assert_allclose(batch.loss[row], alone, rtol=1e-12)
        assert float(table["final_loss"][row]) == pytest.approx(float(alone[-1]), rel=1e-12)


def test_a_draw_follows_the_recursion_of_its_own_features():
    """Steps of SGD on drawn features, in NumPy: what the features cannot express is label noise."""
    problem = random_features(1.4, 2.0, num_modes=60, width=12, method="draw", key=jax.random.key(1))
    steps, rate, batch = np.array([0, 1, 7, 40, 300]), 0.1, 2.0
    run = ss.simulate(problem, ss.uniform(), steps, dynamics=ss.SGDMoments(rate, batch))
    modes, energy = np.asarray(problem.eigenvalues), np.asarray(problem.energies)
    unlearnable, losses = 2 * float(problem.floor), []
    k = np.arange(1.0, 61)
    assert 2 * float(problem.initial_loss()) == pytest.approx(np.sum(k**-2.0), rel=1e-12)
    for step in range(steps[-1] + 1):
        if step in steps:
            losses.append(0.5 * (energy.sum() + unlearnable))
        factor = 1 - 2 * rate * modes + (1 + 1 / batch) * (rate * modes) ** 2
        energy = factor * energy + rate**2 / batch * modes**2 * (energy.sum() + unlearnable)
    np.testing.assert_allclose(run.loss, losses, rtol=1e-11)


@pytest.fixture(scope="module")
def draws():
    """Instances with 100 features on 400 modes."""
    make = lambda seed: random_features(1.4, 2.0, num_modes=400, width=100, method="draw", key=jax.random.key(seed))
    return [make(seed) for seed in range(24)]


@pytest.mark.parametrize("batch", [1.0, 4.0, 64.0])
def test_sgd_on_the_equivalent_is_near_the_mean_of_draws(draws, batch):
    steps, dynamics = np.array([0, 3, 30, 300, 3000]), ss.SGDMoments(0.15, batch)
    run = lambda problem: np.asarray(ss.simulate(problem, ss.uniform(), steps, dynamics=dynamics).loss)
    losses = [run(draw) for draw in draws]
    mean, error = np.mean(losses, axis=0), np.std(losses, axis=0) / len(draws) ** 0.5
    assert np.all(error < 0.05 * mean)
    assert np.all(np.abs(run(random_features(1.4, 2.0, num_modes=400, width=100.0)) - mean) < 0.03 * mean + 2 * error)


def test_single_precision():
    problem = random_features(np.float32(1.5), np.float32(2), num_modes=400, width=np.float32(40), nodes=64)
    assert problem.dtype == jnp.float32
    exact = random_features(1.5, 2.0, num_modes=400, width=40.0, nodes=64)
    times = np.array([0.0, 1.0, 100.0])
    np.testing.assert_allclose(flow_losses(problem, times), flow_losses(exact, times), rtol=1e-5)


def test_a_sweep_beyond_what_the_nodes_resolve_is_refused():
    problem = random_features(3.0, 4.0, num_modes=10**4, width=20.0, nodes=64)
    for widths, message in (([10.0, 5000.0], "up to 5000, where nodes=64 is too few"), ([0.5], "from 1 to 9999")):
        with pytest.raises(ValueError, match=rf"problem\.width ranges .*{message}"):
            ss.sweep(problem, ss.grid(ss.uniform(), **{"problem.width": widths}), ss.log_times(0.1, 10, 5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 100}, "width is 100 and num_modes=100: features are fewer than the modes"),
        ({"width": 0.5}, "width is 0.5 and num_modes=100"),
        ({"width": -3}, "width is -3: it must be positive"),
        ({"nodes": 8}, "nodes=8 is too few for the leading eigenvalues at width 10 and alpha 1.5: give at least 32"),
        ({"alpha": 3.0, "width": 2000, "num_modes": 10**4, "nodes": 64}, "nodes=64 is too few .* give at least 69"),
        ({"method": "drawn"}, "method='drawn' is not known. Did you mean 'draw'"),
        ({"method": "draw"}, r"random_features\(key=jax.random.key\(0\)\)"),
        ({"method": "draw", "key": 0, "nodes": 64}, "nodes=64 is used by the equivalent only"),
        ({"method": "draw", "key": 0, "width": 4.5}, "width is 4.5: it must be one whole number"),
        ({"alpha": 0.0}, "alpha is 0: it must be positive"),
        ({"num_modes": 10.5}, "num_modes is 10.5: it must be one whole number"),
    ],
)
def test_refusals(options, message):
    if "key" in options:
        options["key"] = jax.random.key(options["key"])
    arguments = {"alpha": 1.5, "beta": 2.0, "num_modes": 100, "width": 10, **options}
    with pytest.raises(ValueError, match=message):
        random_features(**arguments)
