"""The water level by search agrees with the one by sorting, and solves its equation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spectral_sim.numerics import held_water_level, relative_log, water_level


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 2, 64, 300])
def test_level(size, dtype):
    rng = np.random.default_rng(size)
    depth = rng.exponential(size=(300, size)) * 10.0 ** rng.uniform(-3, 2, (300, 1))
    depth[rng.random((300, size)) < 0.1] = np.inf
    depth[:, 0] = 0
    count = 10.0 ** rng.uniform(0, rng.choice([0, 3, 6]), (300, size))
    budget = 10.0 ** rng.uniform(-6, 6, 300) * count.sum(axis=1)
    depth, count, budget = (x.astype(dtype) for x in (depth, count, budget))
    level = np.asarray(jax.jit(jax.vmap(held_water_level))(*map(jnp.asarray, (-depth, count, budget))), float)
    spent = np.sum(count.astype(float) * np.maximum(-level[:, None] - depth.astype(float), 0), axis=1) / 2
    size_of_level = np.sum(count.astype(float), axis=1) * np.abs(level)  # what its rounding spends
    assert np.all(np.abs(spent - budget) <= 20 * np.finfo(dtype).eps * (budget + size_of_level))
    wide = [jnp.asarray(x, float) for x in (-depth, count, budget)]
    np.testing.assert_allclose(level, jax.vmap(water_level)(*wide), rtol=20 * np.finfo(dtype).eps)


def test_derivatives_are_those_of_the_sort():
    rng = np.random.default_rng(0)
    energy, count, budget = jnp.asarray(rng.exponential(size=9)), jnp.asarray(1 + rng.random(9)), jnp.asarray(3.3)

    def through(level):
        return lambda *x: jnp.maximum(relative_log(x[0]) - level(relative_log(x[0]), *x[1:]), 0)

    for place in range(3):
        searched, by_sort = (
            jax.jacrev(through(level), place)(energy, count, budget) for level in (held_water_level, water_level)
        )
        np.testing.assert_allclose(searched, by_sort, rtol=1e-10, atol=1e-12)
