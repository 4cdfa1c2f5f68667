"""A step as often as is needed: forward, in both modes of derivatives, alone and in batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import QUICK

from spectral_sim.numerics import repeat, repeat_while


def stepped(x, count, most=70):
    return repeat(lambda y: jnp.sin(y) * 1.1 + x, jnp.ones_like(x), count, most)


def by_hand(x, count):
    y = 1.0
    for _ in range(count):
        y = np.sin(y) * 1.1 + x
    return y


@pytest.mark.parametrize("most", [1, 2, 70])
def test_counts_from_nothing_to_the_most(most):
    both = jax.jit(jax.value_and_grad(stepped), static_argnums=2, compiler_options=QUICK)
    forward = jax.jit(jax.jacfwd(stepped), static_argnums=2, compiler_options=QUICK)
    for count in sorted({0, 1, 7, 8, 63, 70, most}):
        if count > most:
            continue
        value, slope = both(0.3, jnp.asarray(count), most)
        assert value == pytest.approx(by_hand(0.3, count), rel=1e-14)
        assert slope == pytest.approx((by_hand(0.3 + 1e-6, count) - by_hand(0.3 - 1e-6, count)) / 2e-6, abs=1e-8)
        assert forward(0.3, jnp.asarray(count), most) == pytest.approx(float(slope), rel=1e-12, abs=1e-15)


def test_it_never_takes_more_than_the_most():
    assert float(stepped(jnp.asarray(0.3), jnp.asarray(99), 7)) == pytest.approx(by_hand(0.3, 7))
    slope = jax.jit(jax.grad(lambda x: stepped(x, jnp.asarray(99), 7)), compiler_options=QUICK)(0.3)
    assert slope == pytest.approx((by_hand(0.3 + 1e-6, 7) - by_hand(0.3 - 1e-6, 7)) / 2e-6, abs=1e-8)


def test_members_of_nested_batches_stop_by_themselves():
    x, counts = jnp.linspace(0.1, 0.4, 6).reshape(2, 3), jnp.array([[0, 1, 70], [9, 8, 33]])
    batch = lambda function: jax.jit(jax.vmap(jax.vmap(function)), compiler_options=QUICK)
    expected = np.vectorize(by_hand)(np.asarray(x), np.asarray(counts))
    np.testing.assert_allclose(batch(stepped)(x, counts), expected, rtol=1e-14)
    forward = batch(jax.jacfwd(stepped))(x, counts)
    np.testing.assert_allclose(batch(jax.grad(stepped))(x, counts), forward, rtol=1e-12)
    total = jax.jit(jax.grad(lambda x: jnp.sum(jax.vmap(jax.vmap(stepped))(x, counts))), compiler_options=QUICK)
    np.testing.assert_allclose(total(x), forward, rtol=1e-12)


def test_a_condition_on_the_state():
    """Newton's method until it has converged: the derivative is that of the steps that were taken."""

    def root(x):
        step = lambda state: ((state[0] + x / state[0]) / 2, state[0])
        live = lambda state: jnp.abs(state[0] - state[1]) > 1e-14 * state[0]
        return repeat_while(live, step, (x, 2 * x), 60)[0]

    x = jnp.array([0.04, 1.0, 9.0, 1e6])
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(root)), compiler_options=QUICK)(x)
    np.testing.assert_allclose(value, np.sqrt(x), rtol=1e-14)
    np.testing.assert_allclose(slope, 0.5 / np.sqrt(x), rtol=1e-10)
