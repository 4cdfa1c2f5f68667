"""A step applied a number of times that is known only when the program runs, differentiable in both modes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .._types import Array, Int, PyTree
from ._segmented import segmented_scan

__all__ = ["batch_max", "batch_size", "repeat"]


@jax.custom_batching.custom_vmap
def batch_max(value: Array) -> Array:
    """The largest value in the batch, the same for every member; the value itself outside a batch.

    A branch that depends on it stays a branch in a batch, where one that depends on a member's own value computes both
    sides for every member (and cannot be differentiated in reverse inside a custom derivative).
    """
    return value


@batch_max.def_vmap
def _batch_max(axis_size, in_batched, value):
    return batch_max(jnp.max(value, axis=0) if in_batched[0] else value), False  # again: batches may be nested


@jax.custom_batching.custom_vmap
def batch_size(value: Array) -> Array:
    """1; under `vmap`, how many members of the batch have a `value` of their own."""
    return jnp.ones((), jnp.int32)


@batch_size.def_vmap
def _batch_size(axis_size, in_batched, value):
    return axis_size * batch_size(value[0] if in_batched[0] else value), False


def repeat(step: Callable[[Any], Any], carry: PyTree, count: Int[Array, ""], bits: int) -> PyTree:
    """Apply `step` `count` times, for `count` below 2^bits.

    A loop with a count that is traced cannot be differentiated in reverse. Here every binary digit of the count decides
    about a run of a power of two, whose length is fixed; a run keeps its carry at about the root of its length. In a
    batch, the runs that the largest count needs are computed, and each member stops at its own count.

    Arguments:
        step: carry -> carry.
        carry: pytree of arrays.
        count: whole number, non-negative.
        bits: how many binary digits the count may have.
    """

    def masked(state):
        done, carry = state
        live = done < count
        return done + 1, jax.tree.map(lambda new, old: jnp.where(live, new, old), step(carry), carry)

    def run(length):
        if length == 1:
            return masked
        segment = 1 << (length.bit_length() // 2)  # a power of two, so that no segment is padded
        ticks = jnp.zeros(length, jnp.int8)
        return lambda state: segmented_scan(lambda state, _: (masked(state), None), state, ticks, segment)[0]

    longest, state = batch_max(count), (jnp.zeros_like(count), carry)
    for bit in range(bits):
        state = jax.lax.cond((longest >> bit) & 1 == 1, run(1 << bit), lambda state: state, state)
    return state[1]
