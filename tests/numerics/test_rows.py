"""Tall features in several blocks of rows: the same numbers as in one, in less memory."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import QUICK

import spectral_sim as ss
from spectral_sim.numerics import weighted_phi1
from spectral_sim.numerics._eigen_step import gram, spectrum
from spectral_sim.numerics._phi_routes import ADVANCE, CHANGE, PULL
from spectral_sim.numerics._rows import fold_rows, map_rows, sum_rows

FEATURES, BLOCK = 5, 6  # a block of six rows


@pytest.fixture
def small_blocks(monkeypatch):
    return lambda: monkeypatch.setattr("spectral_sim.numerics._rows._BLOCK_BYTES", BLOCK * FEATURES * 8)


def data(rows):
    rng = np.random.default_rng(rows)
    features, scale = rng.standard_normal((rows, FEATURES)), rng.exponential(size=rows)
    return jnp.asarray(features), jnp.asarray(scale / rows), jnp.asarray(rng.standard_normal((FEATURES, 2)))


@pytest.mark.parametrize("rows", [24, 23, 6, 1], ids=["whole blocks", "a ragged last one", "one block", "one row"])
def test_sums_and_maps(rows, small_blocks):
    features, scale, _ = data(rows)
    small_blocks()
    total = sum_rows(lambda x, s: (s[:, None] * x).T @ x, features, scale)
    np.testing.assert_allclose(total, (features.T * scale) @ features, rtol=1e-12, atol=1e-14)
    longest = fold_rows(lambda most, x: jnp.maximum(most, jnp.max(x)), jnp.zeros(()), features)
    assert longest == jnp.max(features)
    each = map_rows(lambda x, s: s * jnp.sum(x**2, axis=1), features, scale)
    np.testing.assert_allclose(each, scale * jnp.sum(features**2, axis=1), rtol=1e-14)


def test_singular_values_of_features_in_blocks(small_blocks):
    features, scale, _ = (np.float32(x) for x in data(50))
    small_blocks()
    found = spectrum(jnp.asarray(features), jnp.asarray(1e7 * scale))  # beyond what the matrix is precise for
    _, values, vectors = np.linalg.svd(np.sqrt(1e7 * scale)[:, None] * features, full_matrices=False)
    np.testing.assert_allclose(found.values, values**2, rtol=1e-5)
    np.testing.assert_allclose(np.abs(np.sum(found.vectors.T * vectors, axis=1)), 1, rtol=1e-5)
    assert 0 < found.null < 1e-8 * values[0] ** 2


def test_matrices_of_a_batch_and_their_derivatives(small_blocks):
    """By eigenvectors: every other route forms its matrices in the same way, or none."""
    features, scale, drive = data(23)
    scales = jnp.stack([scale, 3 * scale[::-1]])
    rng = np.random.default_rng(1)
    moved = [jnp.asarray(rng.standard_normal(x.shape)) for x in (scale, drive.T, features)]

    def everything(scale):
        terms, _ = ADVANCE[0](features, scale, drive.T, tolerance=1e-12)
        given = features, scale, drive.T, terms.term, terms.step
        found = [terms.value]
        for dense, operands in ((False, moved[:2]), (True, moved)):
            found.append(CHANGE[0](dense, *given, operands, tolerance=1e-12))
            found.append(PULL[0](dense, *given, [terms.value], tolerance=1e-12))
        value = lambda scale, features: jnp.sum(weighted_phi1(features, scale, drive, "eigh", 1e-12)[0] ** 2)
        return found, jax.grad(value, (0, 1))(scale, features)

    def compiled():
        return jax.jit(jax.vmap(lambda scale: everything(scale)), compiler_options=QUICK)(scales)

    whole = compiled()
    small_blocks()
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12), compiled(), whole)


def test_memory_does_not_grow_with_rows_times_members(small_blocks):
    features, scales = jnp.zeros((4000, 32)), jnp.zeros((8, 4000))

    def temporary():
        run = jax.jit(jax.vmap(lambda features, scale: gram(features, scale), in_axes=(None, 0)))
        return run.lower(features, scales).compile().memory_analysis().temp_size_in_bytes

    assert temporary() >= 8 * features.nbytes
    small_blocks()
    assert temporary() < features.nbytes


@pytest.mark.parametrize("method", ["auto", "eigh", "chebyshev"])
def test_a_run_and_its_gradient_make_no_copy_of_the_features(method, monkeypatch):
    """Neither squares of them, nor their transpose, nor blocks that are kept for reverse mode."""
    monkeypatch.setattr("spectral_sim.numerics._rows._BLOCK_BYTES", 2**18)
    rng = np.random.default_rng(0)
    features = rng.standard_normal((20_000, 64), np.float32)
    problem = ss.OperatorProblem(features, features[:, 0])
    times, dynamics = np.array([0.0, 0.3, 1.0, 3.0]), ss.OperatorFlow(method=method)

    def value(power, problem):
        run = ss.simulate(problem, ss.proportional(power), times, dynamics=dynamics, throw=False)
        return jnp.log(run.loss[-1])

    for function in (value, jax.value_and_grad(value)):
        memory = jax.jit(function).lower(jnp.float32(0.5), problem).compile().memory_analysis()
        assert memory.temp_size_in_bytes < features.nbytes
