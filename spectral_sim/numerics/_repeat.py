"""A step applied a number of times that is known only when the program runs, differentiable in both modes."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._types import Array, Int, PyTree

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


def repeat(step: Callable[[Any], Any], carry: PyTree, count: Int[Array, ""], most: int) -> PyTree:
    """Apply `step` `count` times, for `count` of at most `most`; a member of a batch stops at its own count.

    A loop with a count that is traced cannot be differentiated in reverse. Where it is differentiated, blocks of about
    sqrt(most) steps are run as long as a whole block is left, then single steps; what is not needed by any member of a
    batch is skipped. Reverse mode keeps the carry before every block and, of one block at a time, before every step.

    Arguments:
        step: carry -> carry.
        carry: pytree of arrays.
        count: whole number, non-negative.
        most: the largest `count` there can be.
    """
    step = eqx.filter_closure_convert(step, carry)
    arrays, static = eqx.partition((step, carry), eqx.is_array)

    @jax.custom_jvp
    def run(arrays, count):
        step, carry = eqx.combine(arrays, static)
        counted = jax.lax.while_loop(
            lambda state: state[0] < count,
            lambda state: (state[0] + 1, step(state[1])),
            (jnp.zeros_like(count), carry),
        )
        return counted[1]

    def run_jvp(primals, tangents):
        arrays, count = primals
        # what is not being differentiated stays out of the derivative
        touched = jax.tree.map(lambda t: not isinstance(t, jax.custom_derivatives.SymbolicZero), tangents[0])
        moving, still = eqx.partition(arrays, touched)

        def in_blocks(moving):
            step, carry = eqx.combine(moving, still, static)
            return _in_blocks(step, carry, count, most)

        return jax.jvp(in_blocks, (moving,), (eqx.filter(tangents[0], touched),))

    run.defjvp(run_jvp, symbolic_zeros=True)
    return run(arrays, count)


def _in_blocks(step, carry, count, most):
    length = max(1, math.isqrt(most))
    # inside a scan nothing can be merged with the first computation, so no barrier against it is needed
    checkpoint = partial(jax.checkpoint, prevent_cse=False)

    def masked(state, _=None):
        done, carry = state
        new = jax.tree.map(lambda new, old: jnp.where(done < count, new, old), step(carry), carry)
        return (done + 1, new), None

    def block(state):
        return jax.lax.scan(checkpoint(masked), state, None, length)[0]

    def ticks(state, run, number, needed):
        """`run` for the first `needed` of `number` ticks."""

        def tick(state, index):
            return jax.lax.cond(index < needed, run, lambda state: state, state), None

        return jax.lax.scan(checkpoint(tick), state, jnp.arange(number, dtype=count.dtype))[0]

    longest = batch_max(count)
    state = ticks((jnp.zeros_like(count), carry), block, most // length, longest // length)
    return ticks(state, lambda state: masked(state)[0], min(length - 1, most), longest % length)[1]
