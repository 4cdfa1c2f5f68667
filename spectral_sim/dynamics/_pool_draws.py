"""How mini-batches are drawn from a finite pool: the law of the draws, and what a drawn gradient is multiplied by."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_choice
from .._types import Array, Float, Int, PerWeight
from .._where import where
from ..problems import OperatorProblem

_LAWS = {
    "sampled": lambda mass, weights: (mass * weights, jnp.ones_like(weights)),
    "weighted": lambda mass, weights: (mass, weights),
    "corrected": lambda mass, weights: (
        mass * weights,
        where(weights > 0, 1 / where(weights > 0, weights, 1), 0),
    ),
}


def check_draw(draw: str) -> None:
    """Raise unless the law is known."""
    check_choice("draw", draw, _LAWS)


def draw_law(
    draw: str, problem: OperatorProblem, weights: PerWeight
) -> tuple[Float[Array, "examples"], Float[Array, "examples"]]:
    """Probability of each example, and the factor on its gradient."""
    return _LAWS[draw](problem.example_mass, problem.per_example(weights))


class DrawTable(eqx.Module):
    """Running sums of a law over about sqrt(examples) blocks, and within each.

    One running sum over all examples would leave each of a million, in float32, a dozen different numbers: chances
    would be off by as many percent. Here a block is drawn first and then one of its examples.
    """

    blocks: Float[Array, "blocks"]
    within: Float[Array, "blocks block"]

    def draw(self, key: Array, count: int) -> Int[Array, "count"]:
        """Indices of `count` examples, drawn with replacement; none whose chance is zero."""
        first, second = jax.random.uniform(key, (2, count), self.blocks.dtype)
        height, width = self.within.shape
        block = _first_above(self.blocks, jnp.zeros(count, jnp.int32), height, first)
        return _first_above(self.within.ravel(), block * width, width, second)


def draw_table(law: Float[Array, "examples"]) -> DrawTable:
    """What draws from a law, in O(log examples) each."""
    width = max(1, math.isqrt(law.shape[0]))
    blocks = jnp.pad(law, (0, -law.shape[0] % width)).reshape(-1, width)
    return DrawTable(_edges(jnp.sum(blocks, axis=1)), _edges(blocks))


def key_of_step(key: Array) -> Callable[[Array], Array]:
    """step -> a key of its own, from that of an interval."""
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    bits = jax.random.key_data(key) if typed else key  # a branch of a loop cannot keep a key for its derivative
    restored = lambda: jax.random.wrap_key_data(bits, impl=jax.random.key_impl(key)) if typed else bits
    return lambda step: jax.random.fold_in(restored(), step)


def _edges(law: Array) -> Array:
    """Running sums along the last axis that grow at entries above zero only, whatever rounding does."""
    return jax.lax.cummax(where(law > 0, jnp.cumsum(law, axis=-1), 0), axis=law.ndim - 1)


def _first_above(edges: Array, start: Array, length: int, share: Array) -> Int[Array, "count"]:
    """The first of `length` entries from `start` on that is above `share` of the last of them, by bisection."""
    total = edges[start + length - 1]
    value = jnp.minimum(share * total, total * (1 - jnp.finfo(total.dtype).eps))

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) // 2
        above = edges[middle] > value
        return where(above, low, middle + 1), where(above, middle, high)

    return jax.lax.fori_loop(0, length.bit_length(), halve, (start, start + length - 1))[0]
