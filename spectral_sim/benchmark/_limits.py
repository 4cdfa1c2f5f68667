"""What the machine can do, measured by the same compiler in the same process: exponentials, products, copies."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..numerics import exponential
from ._timing import seconds_of

OPERATIONS_PER_EXP = 4  # of the fused pass: multiply, add, exponential, add to the row sum

_LONG_ENOUGH = 0.05  # seconds of one product, so that starting it does not show
_LARGEST = 16384
_COPY_BYTES = 2**28


def exp_pass(log_energy: Any, rate: Any, times: Any) -> Callable[[], Any]:
    """Sum over modes of exp(log_energy + time * rate), shape (schedules, times), in the form that runs fastest here.

    Which of them the compiler makes the most of changes from version to version: all at once, a time or a schedule at a
    time, the sum as it stands or as a product, the compiler's exponential or that of the library.

    Arguments:
        log_energy: shape (modes,).
        rate: shape (schedules, modes).
        times: shape (times,).
    """

    def at_once(exp, log_energy, rate, times):
        return jnp.sum(exp(log_energy + times[None, :, None] * rate[:, None, :]), axis=-1)

    def by_time(exp, log_energy, rate, times):
        return jax.lax.map(lambda time: jnp.sum(exp(log_energy + time * rate), axis=-1), times).T

    def by_product(exp, log_energy, rate, times):
        ones = jnp.ones_like(log_energy)
        return jax.lax.map(lambda time: exp(log_energy + time * rate) @ ones, times).T

    def by_schedule(exp, log_energy, rate, times):
        return jax.lax.map(lambda row: jnp.sum(exp(log_energy + times[:, None] * row), axis=-1), rate)

    arrays = [jnp.asarray(x) for x in (log_energy, rate, times)]
    every = itertools.product((at_once, by_time, by_product, by_schedule), (jnp.exp, exponential))
    forms = [jax.jit(partial(form, exp)).lower(*arrays).compile() for form, exp in every]
    calls = [lambda form=form: form(*arrays) for form in forms]
    return min(calls, key=lambda call: min(seconds_of(call) for _ in range(4)))


def gemm(dtype: Any, least: int = 1024) -> tuple[Callable[[], Any], float]:
    """A square product, as precise as those of the library, so large that it runs at the machine's peak; its flops."""
    size = least
    while True:
        left = jnp.asarray(np.random.default_rng(0).standard_normal((size, size)), dtype)
        product = jax.jit(lambda a, b: a @ b).lower(left, left).compile()
        call = lambda product=product, left=left: product(left, left)
        if size >= _LARGEST or min(seconds_of(call) for _ in range(3)) >= _LONG_ENOUGH:
            return call, 2.0 * size**3
        size *= 2


def copy_pass(dtype: Any = jnp.float32) -> tuple[Callable[[], Any], float]:
    """Read and write back a buffer far larger than any cache, in place, and the bytes moved."""
    held = [jnp.ones(_COPY_BYTES // jnp.dtype(dtype).itemsize, dtype)]
    executable = jax.jit(lambda x: -x, donate_argnums=0).lower(held[0]).compile()

    def call():
        held[0] = executable(held[0])
        return held[0]

    return call, 2.0 * _COPY_BYTES
