"""What is called a limit does the work that it is said to do."""

import jax.numpy as jnp
import numpy as np
import pytest

from spectral_sim.benchmark import _limits


def test_the_fused_pass_is_the_sum_of_exponentials():
    rng = np.random.default_rng(0)
    log_energy, rate, times = rng.normal(size=5), -rng.uniform(size=(3, 5)), np.array([0.0, 0.5, 2.0, 7.0])
    exact = np.exp(log_energy + times[None, :, None] * rate[:, None, :]).sum(-1)
    np.testing.assert_allclose(_limits.exp_pass(log_energy, rate, times)(), exact, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_are_counted_at_the_size_they_have(dtype, monkeypatch):
    monkeypatch.setattr(_limits, "_LONG_ENOUGH", 0.0)
    call, flops = _limits.gemm(dtype, least=48)
    product = call()
    assert product.dtype == dtype
    assert flops == 2 * 48**3 == 2 * product.shape[0] ** 3


def test_products_grow_until_they_take_long_enough(monkeypatch):
    monkeypatch.setattr(_limits, "_LARGEST", 64)
    monkeypatch.setattr(_limits, "_LONG_ENOUGH", float("inf"))
    assert _limits.gemm(np.float32, least=16)[1] == 2 * 64**3


def test_the_copy_changes_every_entry_in_place(monkeypatch):
    monkeypatch.setattr(_limits, "_COPY_BYTES", 4096)
    call, moved = _limits.copy_pass(jnp.float32)
    assert moved == 8192
    np.testing.assert_array_equal(call(), -np.ones(1024))
    np.testing.assert_array_equal(call(), np.ones(1024))
