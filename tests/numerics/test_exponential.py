"""The exponential and the logarithm of arrays against those of a wider type, and at the ends of the range."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spectral_sim.numerics import exponential, log_or_minus_inf

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_exponential_is_right_to_one_unit_of_rounding(dtype):
    limits = np.finfo(dtype)
    x = np.linspace(np.log(limits.tiny) * 0.999, np.log(limits.max) * 0.995, 300_001).astype(dtype)
    exact = np.exp(x.astype(np.longdouble))
    assert np.max(np.abs(np.asarray(jax.jit(exponential)(x)) / exact - 1)) < limits.eps


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_exponential_at_the_ends_of_its_range(dtype):
    far = 2 * np.log(np.finfo(dtype).max)
    given = jnp.asarray([np.nan, np.inf, -np.inf, far, -far, 0.0, -0.0], dtype)
    np.testing.assert_array_equal(jax.jit(exponential)(given), np.array([np.nan, np.inf, 0, np.inf, 0, 1, 1], dtype))


def test_derivatives_of_the_exponential_are_itself():
    x = jnp.linspace(-3.0, 3.0, 7)
    once, twice = jax.vmap(jax.grad(exponential))(x), jax.vmap(jax.grad(jax.grad(exponential)))(x)
    np.testing.assert_allclose(once, np.exp(x), rtol=1e-15)
    np.testing.assert_allclose(twice, np.exp(x), rtol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_logarithm_of_what_is_no_positive_number_is_minus_infinity_without_derivative(dtype):
    tiny = np.finfo(dtype).tiny
    given = jnp.asarray([np.nan, -1.0, 0.0, tiny / 4, tiny, 2.0, np.inf], dtype)
    expected = np.array([-np.inf, -np.inf, -np.inf, -np.inf, np.log(tiny), np.log(2.0), np.inf])
    np.testing.assert_allclose(jax.jit(log_or_minus_inf)(given), expected, rtol=4 * np.finfo(dtype).eps)
    slope = jax.vmap(jax.grad(log_or_minus_inf))(given[:6])
    np.testing.assert_allclose(slope, np.array([0, 0, 0, 0, 1 / tiny, 0.5]), rtol=4 * np.finfo(dtype).eps)


@pytest.mark.skipif(jax.__version_info__ >= (0, 11), reason="later compilers compute both")
@pytest.mark.parametrize("dtype", DTYPES)
def test_of_the_exponential_of_a_logarithm_the_compiler_computes_neither(dtype):
    x = jnp.linspace(-3, 3, 7, dtype=dtype)
    compiled = str(jax.jit(lambda x: log_or_minus_inf(jnp.exp(x))).lower(x).compile().as_text())
    assert "exponential(" not in compiled
    assert " log(" not in compiled
