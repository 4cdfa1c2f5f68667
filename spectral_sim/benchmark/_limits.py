"""What the machine can do, measured by the same compiler in the same process: exponentials, products, copies."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._timing import seconds_of

__all__ = ["OPERATIONS_PER_EXP", "copy_pass", "exp_pass", "gemm"]

OPERATIONS_PER_EXP = 4  # of the fused pass: multiply, add, exponential, add to the row sum

_LONG_ENOUGH = 0.05  # seconds of one product, so that starting it does not show
_LARGEST = 16384
_COPY_BYTES = 2**28


def exp_pass(log_energy: Any, rate: Any, times: Any) -> Callable[[], Any]:
    """One fused elementwise pass: sum over modes of exp(log_energy + time * rate), shape (schedules, times).

    No loop over times and nothing stored between them: of the forms tried (one pass, a loop over times, either with
    modes or schedules innermost), the one that XLA compiles best.

    Arguments:
        log_energy: shape (modes,).
        rate: shape (schedules, modes).
        times: shape (times,).
    """

    def run(log_energy, rate, times):
        return jnp.sum(jnp.exp(log_energy + times[None, :, None] * rate[:, None, :]), axis=-1)

    arrays = [jnp.asarray(x) for x in (log_energy, rate, times)]
    executable = jax.jit(run).lower(*arrays).compile()
    return lambda: executable(*arrays)


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
