"""A step applied as often as turns out to be needed when the program runs, differentiable in both modes."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._types import Array, Bool, Int, PyTree
from .._where import where


@jax.custom_batching.custom_vmap
def batch_max(value: Array) -> Array:
    """The largest value in the batch, the same for every member; the value itself outside a batch.

    A branch that depends on it stays a branch in a batch, where one that depends on a member's own value computes both
    sides for every member (and cannot be differentiated in reverse inside a custom derivative).

    Arguments:
        value: scalar, an own one for each member of a batch.
    """
    return value


@batch_max.def_vmap
def _batch_max(axis_size, in_batched, value):
    return batch_max(jnp.max(value, axis=0) if in_batched[0] else value), False  # again: batches may be nested


@jax.custom_batching.custom_vmap
def batch_size(value: Array) -> Array:
    """1; under `vmap`, how many members of the batch have a `value` of their own.

    Arguments:
        value: any array.
    """
    return jnp.ones((), jnp.int32)


@batch_size.def_vmap
def _batch_size(axis_size, in_batched, value):
    return axis_size * batch_size(value[0] if in_batched[0] else value), False


def repeat(step: Callable[[Any], Any], carry: PyTree, count: Int[Array, ""], most: int) -> PyTree:
    """Apply a step `count` times, for a count of at most `most`; see `repeat_while`.

    Arguments:
        step: from carry to carry.
        carry: what to begin with.
        count: scalar; may be traced.
        most: the largest count there can be.
    """
    counted = jnp.zeros_like(count), carry
    return repeat_while(lambda state: state[0] < count, lambda state: (state[0] + 1, step(state[1])), counted, most)[1]


def repeat_while(
    live: Callable[[Any], Bool[Array, ""]], step: Callable[[Any], Any], carry: PyTree, most: int
) -> PyTree:
    """Apply `step` while `live(carry)`, at most `most` times; a member of a batch stops by itself.

    A loop of a length that is traced cannot be differentiated in reverse. Where it is differentiated, the first step is
    followed by the others in about sqrt(most) blocks, of which those, and within them the steps, that no member of a
    batch needs are skipped. Reverse mode keeps the carry before every block and, of one block at a time, before every
    step.

    Arguments:
        live: carry -> whether another step is needed.
        step: carry -> carry.
        carry: pytree of arrays.
        most: the most steps there can be.
    """
    step = eqx.filter_closure_convert(step, carry)
    live = eqx.filter_closure_convert(live, carry)
    arrays, static = eqx.partition((live, step, carry), eqx.is_array)

    @jax.custom_jvp
    def run(arrays):
        live, step, carry = eqx.combine(arrays, static)
        _, end = jax.lax.while_loop(
            lambda state: (state[0] < most) & live(state[1]),
            lambda state: (state[0] + 1, step(state[1])),
            (jnp.zeros((), jnp.int32), carry),
        )
        return end

    def run_jvp(primals, tangents):
        # what is not being differentiated stays out of the derivative
        touched = jax.tree.map(lambda t: not isinstance(t, jax.custom_derivatives.SymbolicZero), tangents)
        moving, still = eqx.partition(primals, touched)

        def in_blocks(moving):
            live, step, carry = eqx.combine(*moving, *still, static)
            return _in_blocks(live, step, carry, most)

        return jax.jvp(in_blocks, (moving,), (eqx.filter(tangents, touched),))

    run.defjvp(run_jvp, symbolic_zeros=True)
    return run(arrays)


def _in_blocks(live, step, carry, most):
    length = max(1, math.isqrt(most))

    def where_needed(run):
        """`run` as the step of a scan that is skipped once no member of the batch is live."""

        def tick(state, index):
            needed = live(state) & (index < most)
            return jax.lax.cond(batch_max(needed), run, lambda state, *_: state, state, index, needed), None

        # inside a scan nothing can be merged with the first computation, so no barrier against it is needed
        return jax.checkpoint(tick, prevent_cse=False)

    def masked(state, index, needed):
        return jax.tree.map(lambda new, old: where(needed, new, old), step(state), state)

    def block(state, first, needed):
        return jax.lax.scan(where_needed(masked), state, first + jnp.arange(length, dtype=jnp.int32))[0]

    def rest(state, _, needed):
        return jax.lax.scan(where_needed(block), state, jnp.arange(1, most, length, dtype=jnp.int32))[0]

    # often one step is all, and every step that is skipped costs as much as adding zeros to what is differentiated
    first, _ = where_needed(masked)(carry, jnp.zeros((), jnp.int32))
    return where_needed(rest)(first, jnp.ones((), jnp.int32))[0]
