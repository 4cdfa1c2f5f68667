"""A scan whose reverse pass keeps the state at segment borders only."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._types import PyTree

SCALAR = "scalar"
"""Name of what reverse mode always keeps of a step, rather than compute it again."""

INTERVAL = "interval"
"""Name of what reverse mode keeps where single steps are stored, so that the inside of a step is not run twice."""


def segment_length(steps: int) -> int:
    """The length near sqrt(steps) whose last segment needs the least padding.

    Arguments:
        steps: how many steps are cut into segments, at least 1.
    """
    root = math.isqrt(steps)
    return min(range(max(1, root - root // 4), root + root // 4 + 1), key=lambda n: (-steps % n, abs(n - root)))


def segmented_scan(
    step: Callable[[Any, Any], tuple[Any, Any]], carry: PyTree, xs: PyTree, length: int
) -> tuple[PyTree, PyTree]:
    """Do `jax.lax.scan(step, carry, xs)`, in segments of `length` steps where it is differentiated.

    In reverse mode the carry is kept, exactly, at the borders of segments; one segment at a time is run again, keeping
    the carry at each of its steps, and the inside of a step is computed a third time: memory grows as
    steps / length + length carries, traffic stays small, and nothing is ever rebuilt backwards. Works in forward mode
    too.

    The last segment is padded by repeating the last entry of `xs`; the returned carry may be that after the padding, so
    steps on that entry must not change what is used of it.

    Arguments:
        step: from (carry, entry) to (carry, output).
        carry: what to begin with.
        xs: entries, with a leading axis.
        length: steps of a segment.

    Source:
        Griewank, Achieving logarithmic growth of temporal and spatial complexity in reverse automatic differentiation
        (1992), with one level of checkpoints.
    """
    # with everything that the step closes over in sight, for the derivative is taken later
    step = eqx.filter_closure_convert(step, carry, jax.tree.map(lambda x: x[0], xs))
    arrays, static = eqx.partition((step, carry, xs), eqx.is_array)

    @jax.custom_jvp
    def run(arrays):
        step, carry, xs = eqx.combine(arrays, static)
        carry, records = jax.lax.scan(lambda carry, x: step(carry, x), carry, xs)
        # through a reshape, as in segments: a batch must come out along the same axis in both
        return carry, jax.tree.map(lambda x: x[None].reshape(x.shape), records)

    def run_jvp(primals, tangents):
        # What is not being differentiated stays out of the derivative. Not so the carry: after a step all of it moves,
        # and a scan that has to find that out differentiates its step twice, in every scan around it.
        step_dot, carry_dot, xs_dot = tangents[0]
        tangents = ((step_dot, jax.tree.map(_materialised, carry_dot), xs_dot),)
        touched = jax.tree.map(lambda t: not isinstance(t, jax.custom_derivatives.SymbolicZero), tangents)
        moving, still = eqx.partition(primals, touched)

        def in_segments(moving):
            step, carry, xs = eqx.combine(*moving, *still, static)
            return _in_segments(lambda carry, x: step(carry, x), carry, xs, length)

        return jax.jvp(in_segments, (moving,), (eqx.filter(tangents, touched),))

    run.defjvp(run_jvp, symbolic_zeros=True)
    return run(arrays)


def _in_segments(step, carry, xs, length):
    steps = jax.tree.leaves(xs)[0].shape[0]
    segments = -(-steps // length)
    padded = jax.tree.map(lambda x: _pad(x, segments * length).reshape((segments, length, *x.shape[1:])), xs)

    # inside a scan nothing can be merged with the first computation, so no barrier against it is needed
    kept = (SCALAR,) if length > 1 else (SCALAR, INTERVAL)
    policy = jax.checkpoint_policies.save_only_these_names(*kept)
    checkpoint = partial(jax.checkpoint, prevent_cse=False, policy=policy)

    def segment(carry, xs):
        return jax.lax.scan(checkpoint(step) if length > 1 else step, carry, xs)

    carry, records = jax.lax.scan(checkpoint(segment), carry, padded)
    return carry, jax.tree.map(lambda x: x.reshape((segments * length, *x.shape[2:]))[:steps], records)


def _materialised(tangent):
    shape, dtype = tangent.shape, tangent.dtype
    zero = isinstance(tangent, jax.custom_derivatives.SymbolicZero) and dtype != jax.dtypes.float0
    return jnp.zeros(shape, dtype) if zero else tangent


def _pad(values: jax.Array, size: int) -> jax.Array:
    repeats = (size - values.shape[0],) + (1,) * (values.ndim - 1)
    return jnp.concatenate([values, jnp.tile(values[-1:], repeats)]) if repeats[0] else values
