"""Sums over many examples in float32 keep six digits, and no result depends on how examples are grouped."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.numerics import group_sums, row_product, sum_rows, total


@pytest.mark.parametrize("size", [1, 255, 257, 1000, 5000, 300_000])
def test_a_total_is_that_of_float64(size):
    rng = np.random.default_rng(size)
    mass, values = rng.exponential(size=size).astype(np.float32), rng.exponential(size=size).astype(np.float32)
    expected = np.dot(mass.astype(float), values.astype(float))
    np.testing.assert_allclose(total(jnp.asarray(mass), jnp.asarray(values)), expected, rtol=1e-6)


@pytest.mark.parametrize("size", [3, 256, 300, 5000])
def test_a_total_is_linear_in_both(size):
    rng = np.random.default_rng(size)
    mass, values, mass_dot, values_dot = jnp.asarray(rng.standard_normal((4, size)))
    change = jax.jvp(total, (mass, values), (mass_dot, values_dot))[1]
    np.testing.assert_allclose(change, mass_dot @ values + mass @ values_dot, rtol=1e-12)
    np.testing.assert_array_equal(jax.jit(jax.grad(total, (0, 1)))(mass, values), (values, mass))
    transposed = str(jax.jit(jax.grad(total, 1)).lower(mass, values).compile().as_text())
    assert " pad(" not in transposed  # loops over padded arrays take numbers one by one


@pytest.mark.parametrize("sizes", [(990_000, 10_000), (3, 700_001, 44), (1,) * 50])
def test_masses_of_groups(sizes):
    """Equal terms are the worst case: every addition rounds the same way."""
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes)).astype(np.int32)
    values = np.full(len(groups), np.float32(1 / len(groups)))
    expected = np.bincount(groups, values.astype(float))
    np.testing.assert_allclose(group_sums(jnp.asarray(values), jnp.asarray(groups), len(sizes)), expected, rtol=1e-6)


@pytest.mark.parametrize("columns", [(1, 1), (3, 2), (20, 1)])
def test_products_over_rows(columns):
    rng = np.random.default_rng(1)
    left, right = (1 + rng.uniform(size=(150_001, count)).astype(np.float32) for count in columns)
    found = sum_rows(row_product, jnp.asarray(left), jnp.asarray(right))
    np.testing.assert_allclose(found, left.astype(float).T @ right.astype(float), rtol=1e-5)


def test_uniform_does_not_depend_on_grouping():
    rng = np.random.default_rng(2)
    features = (1 + rng.uniform(size=(200_000, 1))).astype(np.float32)
    targets = 2 * features[:, 0] + rng.normal(size=200_000).astype(np.float32)
    groups = (np.arange(200_000) >= 198_000).astype(np.int32)
    plain, grouped = (
        np.asarray(ss.simulate(ss.OperatorProblem(features, targets, groups=g), ss.uniform(), [0.0, 0.3]).loss)
        for g in (None, groups)
    )
    np.testing.assert_allclose(grouped, plain, rtol=2e-6)
    wide, target = features[:, 0].astype(float), targets.astype(float)
    rate, drive = np.mean(wide**2), np.mean(wide * target)
    parameter = drive / rate * -np.expm1(-0.3 * rate)
    expected = [0.5 * np.mean(target**2), 0.5 * np.mean((target - parameter * wide) ** 2)]
    np.testing.assert_allclose(plain, expected, rtol=1e-5)


def test_small_scores_have_mean_one():
    """Products of a score with a mass that underflow do not."""
    problem = ss.ModalProblem(np.float32([1, 1, 1]), np.float32([2e-38, 1e-37, 1e-37]), np.float32([100, 1, 1]))
    for rule in (ss.lag(0.0), ss.mix(0.0)):
        weights = ss.simulate(problem, rule, [0.0, 1.0], save=ss.save_weights).saved[0]
        energy = np.asarray(problem.energies, float)
        expected = energy / (np.asarray(problem.mass, float) @ energy)
        np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_gradients_pass_through_pieces():
    left = jnp.asarray(np.random.default_rng(3).normal(size=(600, 2)).astype(np.float32))
    grad = jax.grad(lambda x: jnp.sum(row_product(x, x) ** 2))(left)
    expected = jax.grad(lambda x: jnp.sum((x.T @ x) ** 2))(left)
    np.testing.assert_allclose(grad, expected, rtol=1e-4, atol=1e-2)
