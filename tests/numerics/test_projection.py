"""The projection onto bounds: optimal, and its derivative exact, where an active set does not change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from spectral_sim.numerics import project_to_bounds

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
