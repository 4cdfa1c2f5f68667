"""How mini-batches are drawn from a finite pool: the law of the draws, and what a drawn gradient is multiplied by."""

import jax.numpy as jnp

from .._checks import check_choice
from .._status import Status
from .._types import Array, Float
from ..problems import OperatorProblem
from ._base import Verdict
from ._sgd_settings import settings_code, whole_steps

__all__ = ["check_draw", "draw_law", "steps_verdict"]

_LAWS = {
    "sampled": lambda mass, weights: (mass * weights, jnp.ones_like(weights)),
    "weighted": lambda mass, weights: (mass, weights),
    "corrected": lambda mass, weights: (
        mass * weights,
        jnp.where(weights > 0, 1 / jnp.where(weights > 0, weights, 1), 0),
    ),
}


def check_draw(draw: str) -> None:
    """Raise unless the law is known."""
    check_choice("draw", draw, _LAWS)


def draw_law(
    draw: str, problem: OperatorProblem, weights: Float[Array, "weights"]
) -> tuple[Float[Array, "examples"], Float[Array, "examples"]]:
    """Probability of each example, and the factor on its gradient."""
    return _LAWS[draw](problem.example_mass, problem.per_example(weights))


def steps_verdict(
    duration: Array, learning_rate: Array, batch_size: Array, noise_variance: Array, max_steps: int
) -> Verdict:
    """Whether settings are sound and the interval is a whole number of steps, no more than allowed."""
    steps, partial = whole_steps(duration, learning_rate)
    code = settings_code(learning_rate, batch_size, noise_variance, partial)
    too_many = (code == Status.OK) & (steps > max_steps)
    limit = jnp.where(too_many, max_steps * learning_rate, partial)
    return Verdict(jnp.where(too_many, Status.TOO_MANY_STEPS, code), limit)
