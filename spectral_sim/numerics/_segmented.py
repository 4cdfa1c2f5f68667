"""A scan whose reverse pass keeps the state at segment borders only."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .._types import PyTree

__all__ = ["INTERVAL", "segment_length", "segmented_scan"]

INTERVAL = "interval"  # the name of what reverse mode should keep of a step rather than compute again


def segment_length(steps: int) -> int:
    """The length near sqrt(steps) whose last segment needs the least padding."""
    root = math.isqrt(steps)
    return min(range(max(1, root - root // 4), root + root // 4 + 1), key=lambda n: (-steps % n, abs(n - root)))


def segmented_scan(
    step: Callable[[Any, Any], tuple[Any, Any]], carry: PyTree, xs: PyTree, length: int
) -> tuple[PyTree, PyTree]:
    """`jax.lax.scan(step, carry, xs)` in segments of `length` steps.

    In reverse mode the carry is kept, exactly, at the borders of segments; one segment at a time is run again, keeping
    the carry at each of its steps, and the inside of a step is computed a third time: memory grows as
    steps / length + length carries, traffic stays small, and nothing is ever rebuilt backwards. Works in forward mode
    too.

    The last segment is padded by repeating the last entry of `xs`; the returned carry is that after the padding, so use
    what the steps return.

    Source:
        Griewank, Achieving logarithmic growth of temporal and spatial complexity in reverse automatic differentiation
        (1992), with one level of checkpoints.
    """
    steps = jax.tree.leaves(xs)[0].shape[0]
    segments = -(-steps // length)
    padded = jax.tree.map(lambda x: _pad(x, segments * length).reshape((segments, length, *x.shape[1:])), xs)

    def segment(carry, xs):
        return jax.lax.scan(jax.checkpoint(step, prevent_cse=False) if length > 1 else step, carry, xs)

    # what a step names is kept where single steps are stored: little, for not running the inside of the step twice
    policy = None if length > 1 else jax.checkpoint_policies.save_only_these_names(INTERVAL)
    # inside a scan nothing can be merged with the first computation, so no barrier against it is needed
    carry, records = jax.lax.scan(jax.checkpoint(segment, prevent_cse=False, policy=policy), carry, padded)
    return carry, jax.tree.map(lambda x: x.reshape((segments * length, *x.shape[2:]))[:steps], records)


def _pad(values: jax.Array, size: int) -> jax.Array:
    repeats = (size - values.shape[0],) + (1,) * (values.ndim - 1)
    return jnp.concatenate([values, jnp.tile(values[-1:], repeats)]) if repeats[0] else values
