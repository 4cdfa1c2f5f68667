"""Sums over weights and examples whose rounding does not grow with their number."""

import functools

import jax
import jax.numpy as jnp

from .._types import Array, Float, Int, PerWeight

_SHORT = 256  # a product of vectors may add up one after the other; beyond this many its rounding would show
_PIECES = 8
_BINS = 2**20


def total(mass: PerWeight, values: PerWeight) -> Float[Array, ""]:
    """Sum mass * values over the weights.

    A product with the whole batch of values takes a fraction of the time of a sum over each of them. Long sums are
    left to the compiler's own reduction, which adds pairwise.

    Arguments:
        mass: p, shape (weights,).
        values: shape (weights,).
    """
    return _total(mass, values.astype(mass.dtype))


@jax.custom_jvp
def _total(mass: Array, values: Array) -> Array:
    size = mass.shape[0]
    if size > _PIECES * _SHORT:
        return jnp.sum(mass * values)
    pieces = [slice(first, first + _SHORT) for first in range(0, max(size, 1), _SHORT)]
    parts = [jnp.dot(values[each], mass[each], precision=jax.lax.Precision.HIGHEST) for each in pieces]
    return functools.reduce(jnp.add, parts)


def _total_jvp(primals, tangents):
    """By plain sums: transposed, pieces become arrays with zeros around them, which compile to slow loops."""
    mass, values = primals
    change = jnp.zeros((), mass.dtype)
    for still, other in zip(tangents, (values, mass), strict=True):
        if not isinstance(still, jax.custom_derivatives.SymbolicZero):
            change = change + jnp.sum(other * still)
    return _total(mass, values), change


_total.defjvp(_total_jvp, symbolic_zeros=True)


def group_sums(
    values: Float[Array, "examples"], groups: Int[Array, "examples"], num_groups: int
) -> Float[Array, "groups"]:
    """The sum of the values in each group.

    Added up one after the other in float32, the sum of 2e7 values is off by percents. Here the rows of a group are
    dealt out to many bins, so that few are added one after the other, and the bins are added pairwise.

    Arguments:
        values: one for each example.
        groups: group number of each example.
        num_groups: number of groups.
    """
    size = values.shape[0]
    share = max(1, min(size, _BINS) // num_groups)  # bins for each group
    bins = groups * share + jnp.arange(size, dtype=groups.dtype) % share
    return jnp.sum(jax.ops.segment_sum(values, bins, num_groups * share).reshape(num_groups, share), axis=1)
