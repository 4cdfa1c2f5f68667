"""The projection onto bounds: optimal, and its derivative exact, where an active set does not change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from spectral_sim.numerics import project_to_bounds, where_one

SCORES = {
    "spread": np.geomspace(1e-3, 10.0, 9),
    "some zeros, the cap leaves mass over": np.array([0.0, 0.0, 1.0, 2.0, 0.0, 3.0, 0.0, 0.0, 0.0]),
}
BOUNDS = [(0.1, 2.0), (0.0, 2.0), (0.0, 1e3), (0.5, 1.0)]
MASS = np.arange(1.0, 10) / 45


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("name", SCORES)
def test_mean_and_bounds(name, bounds):
    weights = np.asarray(project_to_bounds(jnp.asarray(SCORES[name]), jnp.asarray(MASS), *map(jnp.asarray, bounds)))
    np.testing.assert_allclose(weights @ MASS, 1, rtol=1e-13)
    assert bounds[0] <= weights.min() <= weights.max() <= bounds[1]


@pytest.mark.parametrize("bounds", BOUNDS)
def test_it_is_the_scaled_score_clipped(bounds):
    score = SCORES["spread"]
    mean = lambda log_scale: np.clip(np.exp(log_scale) * score, *bounds) @ MASS - 1
    scale = np.exp(scipy.optimize.brentq(mean, -20, 20, xtol=1e-14)) if bounds[1] > 1 else 1e9
    weights = project_to_bounds(jnp.asarray(score), jnp.asarray(MASS), *map(jnp.asarray, bounds))
    np.testing.assert_allclose(weights, np.clip(scale * score, *bounds), rtol=1e-10)


@pytest.mark.parametrize("bounds", [(0.1, 2.0), (0.0, 2.0), (0.0, 1e3)])
@pytest.mark.parametrize("name", SCORES)
def test_its_derivative_is_that_of_central_differences(name, bounds):
    score, mass, bounds = jnp.asarray(SCORES[name]), jnp.asarray(MASS), tuple(map(jnp.asarray, bounds))
    rng = np.random.default_rng(1)
    moved = (score * rng.standard_normal(9), tuple(0.1 * bound * rng.standard_normal() for bound in bounds))

    def projected(step):
        moved_bounds = (bound + step * move for bound, move in zip(bounds, moved[1], strict=True))
        return project_to_bounds(score + step * moved[0], mass, *moved_bounds)

    step = 1e-6
    difference = (projected(step) - projected(-step)) / (2 * step)
    forward = jax.jvp(projected, (0.0,), (1.0,))[1]
    np.testing.assert_allclose(forward, difference, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(jax.jacrev(projected)(0.0), forward, rtol=1e-12, atol=1e-14)


def random_cases(rng, batch, size, dtype):
    """Scores over up to the whole range of the dtype, masses over decades, zeros in both, and bounds near one."""
    decades = 37 if dtype == np.float32 else 300
    span = rng.choice([0.01, 1, 5, 20, decades], (batch, 1))
    score = 10.0 ** (span * rng.uniform(-1, 1, (batch, size)))
    score[rng.random((batch, size)) < rng.choice([0, 0.2, 0.9], (batch, 1))] = 0
    mass = 10.0 ** rng.uniform(-rng.choice([0, 0.1, 3, 12], (batch, 1)), 0, (batch, size))
    mass[rng.random((batch, size)) < rng.choice([0, 0.2], (batch, 1))] = 0
    mass[mass.sum(axis=1) == 0] = 1
    low = rng.choice([0, 1e-3, 0.5, 0.9, 0.999, 1], batch)
    high = rng.choice([1, 1 + 1e-6, 1.001, 1.01, 1.1, 3, 100, 1e6], batch)
    return [x.astype(dtype) for x in (score, mass / mass.sum(axis=1, keepdims=True), low, high)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("size", "batch"), [(1, 500), (3, 2500), (40, 2500), (500, 500), pytest.param(133, 100_000, marks=pytest.mark.slow)]
)
def test_no_weight_leaves_the_bounds_and_the_mean_is_one(size, batch, dtype):
    score, mass, low, high = random_cases(np.random.default_rng(size), batch, size, dtype)
    weights = np.asarray(jax.jit(jax.vmap(project_to_bounds))(*map(jnp.asarray, (score, mass, low, high))))
    assert np.all(weights >= low[:, None])
    assert np.all(weights <= high[:, None])
    off = np.abs(np.sum(weights.astype(float) * mass.astype(float), axis=1) - 1)
    assert np.max(off) <= 100 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_crossing_is_found_whatever_the_function_does(dtype):
    """Stairs, cliffs and plateaus, over the range of the dtype."""
    places = np.asarray(10.0 ** np.random.default_rng(0).uniform(-30, 30, 200), dtype)

    def found(place, kind):
        def function(x):
            depth = jnp.log(x) - jnp.log(place)
            stairs = 1 + 0.3 * (jnp.floor(depth) + jnp.clip(1e3 * (depth - jnp.floor(depth)), 0, 1)) / 50
            cliff = 0.5 + jnp.clip(1e4 * depth + 0.5, 0, 100)
            power = jnp.exp(jnp.clip(9 * depth, -80, 80))
            return jnp.stack([stairs - 0.006 * (1 - 1e-3), cliff, power])[kind]

        limits = jnp.finfo(place.dtype)
        ends = jnp.full_like(place, limits.tiny), jnp.full_like(place, 1 / (4 * limits.tiny))
        with_slope = lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))
        x = where_one(with_slope, jnp.ones_like(place), *ends, 8 * float(limits.eps), jnp.asarray(True)).x
        nudge = 8 * limits.eps
        return function(x * (1 - nudge)) <= 1 + nudge, function(x * (1 + nudge)) >= 1 - nudge

    for kind in range(3):
        below, above = jax.jit(jax.vmap(lambda place, kind=kind: found(place, kind)))(jnp.asarray(places))
        assert np.all(below)
        assert np.all(above)
