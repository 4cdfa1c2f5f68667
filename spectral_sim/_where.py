"""`jnp.where` without a program of its own inside the program that asks."""

from functools import partial

import jax
import jax.numpy as jnp

from ._types import Array, ArrayLike


@partial(jax.jit, inline=True)
def where(condition: ArrayLike, x: ArrayLike, y: ArrayLike) -> Array:
    """`jnp.where(condition, x, y)`, for x and y of which one at least is no Python number.

    `jnp.where` is a compiled function that stays one where it is called while another is traced. There are some hundred
    calls in a run, each differentiated and lowered by itself: without them tracing and lowering the derivative of a run
    takes about a fifth less processor time.
    """
    dtype, weak = jax.dtypes.result_type(x, y, return_weak_type_flag=True)
    if weak:
        return jnp.where(condition, x, y)
    shape = jnp.broadcast_shapes(jnp.shape(condition), jnp.shape(x), jnp.shape(y))
    x, y = (jnp.broadcast_to(jax.lax.convert_element_type(value, dtype), shape) for value in (x, y))
    # as a number it would be one for each member of a batch, and the compiler would not fuse the choice
    return jax.lax.select(jnp.broadcast_to(condition, shape), x, y)
