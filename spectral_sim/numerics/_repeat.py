"""A step applied a number of times that is known only when the program runs, differentiable in both modes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .._types import Array, Int, PyTree
from ._segmented import segmented_scan

__all__ = ["repeat"]


def repeat(step: Callable[[Any], Any], carry: PyTree, count: Int[Array, ""], bits: int) -> PyTree:
    """Apply `step` `count` times, for `count` below 2^bits.

    A loop with a count that is traced cannot be differentiated in reverse. Here every binary digit of the count decides
    about a run of a power of two, whose length is fixed; a run keeps its carry at about the root of its length.
    In a batch whose members have different counts every run is computed for every member: 2^bits steps in all. Where
    they share the count only the steps asked for are computed.

    Arguments:
        step: carry -> carry.
        carry: pytree of arrays.
        count: whole number, non-negative.
        bits: how many binary digits the count may have.
    """

    def run(length):
        if length == 1:
            return step
        once = lambda carry, _: (step(carry), None)

        def many(carry):
            segment = 1 << (length.bit_length() // 2)  # a power of two, so that no segment is padded
            return segmented_scan(once, carry, jnp.zeros(length, jnp.int8), segment)[0]

        return many

    for bit in range(bits):
        carry = jax.lax.cond((count >> bit) & 1 == 1, run(1 << bit), lambda carry: carry, carry)
    return carry
