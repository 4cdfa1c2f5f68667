"""How far an optimiser moves: the intrinsic time of its steps."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from .._types import Array, Float


def step_lengths(optimizer: optax.GradientTransformation, steps: int) -> Float[np.ndarray, "steps"]:
    """Compute how far each of the first steps moves a parameter whose gradient is one throughout.

    For gradient descent that is the learning rate; momentum makes it grow to rate / (1 - momentum).

    Arguments:
        optimizer: of optax.
        steps: how many.
    """
    with jax.ensure_compile_time_eval():
        return np.asarray(_moves(optimizer, steps, jnp.ones(())), np.float64)


def is_adaptive(optimizer: optax.GradientTransformation) -> bool:
    """Whether steps are no multiples of the gradients, as those of Adam.

    Arguments:
        optimizer: of optax.
    """
    with jax.ensure_compile_time_eval():
        one, two = (np.asarray(_moves(optimizer, 8, jnp.asarray(size))) for size in (1.0, 2.0))
    return not np.allclose(two, 2 * one, rtol=1e-3)


@eqx.filter_jit
def _moves(optimizer: Any, steps: int, gradient: Array) -> Array:
    def step(state, _):
        move, state = optimizer.update(gradient, state, jnp.zeros_like(gradient))
        return state, -move

    return jax.lax.scan(step, optimizer.init(jnp.zeros_like(gradient)), None, steps)[1]
