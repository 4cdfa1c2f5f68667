"""What weights on examples, or on groups of them, are to a problem: data seen through features, or a network."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._checks import check_length, check_ndim, is_concrete
from .._types import Array, Float, Int, PerWeight
from ..numerics import group_sums
from ._base import AbstractProblem


class AbstractExampleProblem(AbstractProblem):
    """Examples with a base mass, in groups or not, and a loss that half the mean of their energies is.

    Arguments:
        example_mass: base mass of examples, shape (examples,), sums to one.
        groups: group number of each example, shape (examples,), whole numbers from 0; None without groups.
        num_groups: how many groups there are, or None.
        eval_targets: held-out targets, or None.
    """

    example_mass: Float[Array, "examples"]
    groups: Int[Array, "examples"] | None
    num_groups: int | None = eqx.field(static=True)
    eval_targets: Float[Array, "held_out outputs"] | None

    def _take(self, mass: Array, groups: Any, eval_targets: Array | None, examples: str) -> None:
        """Keep these fields, once checked; `examples` is what the examples are called in messages."""
        self.example_mass, self.eval_targets = mass, eval_targets
        self.groups, self.num_groups = check_groups(groups, mass, examples)

    @property
    def mass(self) -> PerWeight:
        """Base mass of examples, or of groups where the problem has them."""
        return self._group_sums(self.example_mass)

    @property
    def num_examples(self) -> int:
        return self.example_mass.shape[0]

    @property
    def has_evaluation(self) -> bool:
        """Whether the loss is measured on data that training does not see."""
        return self.eval_targets is not None

    @property
    def measure(self) -> str:
        return "held-out loss" if self.has_evaluation else "training loss"

    def per_example(self, weights: PerWeight) -> Float[Array, "examples"]:
        """Spread weights on groups over their examples; weights on examples pass through.

        Arguments:
            weights: on groups, or on examples where there are none.
        """
        return weights if self.groups is None else weights[self.groups]

    def per_weight(self, values: Float[Array, "examples"]) -> PerWeight:
        """Average values on examples over each group under the base mass; without groups they pass through.

        Arguments:
            values: one for each training example, shape (examples,).
        """
        if self.groups is None:
            return values
        return self._group_sums(self.example_mass * values) / self._group_sums(self.example_mass)

    def training_loss(self, energy: PerWeight) -> Float[Array, ""]:
        return 0.5 * jnp.sum(self.mass * energy)

    def _group_sums(self, values: Float[Array, "examples"]) -> PerWeight:
        if self.groups is None or self.num_groups is None:
            return values
        return group_sums(values, self.groups, self.num_groups)


def check_groups(groups: Any, mass: Array, examples: str) -> tuple[Array | None, int | None]:
    """Group numbers as an array, and how many groups there are; raises ValueError unless they number groups from 0.

    Arguments:
        groups: whole numbers, shape (examples,), or None.
        mass: base mass of examples, shape (examples,).
        examples: what the examples are called in messages, as in "features".
    """
    if groups is None:
        return None, None
    if not is_concrete(groups):
        raise ValueError("groups must be concrete: their number fixes array shapes; pass them as NumPy integers.")
    values = np.asarray(groups)
    check_ndim("groups", values, 1, "examples")
    check_length("groups", values, mass.shape[0], f"{examples} with {mass.shape[0]} examples")
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"groups has dtype {values.dtype}: number the groups with whole numbers from 0.")
    present = np.unique(values)
    if present[0] < 0 or not np.array_equal(present, np.arange(len(present))):
        raise ValueError(f"groups holds the numbers {present[:8].tolist()}...: use 0 ... G-1, each at least once.")
    if is_concrete(mass):
        total = np.bincount(values, weights=np.asarray(mass, np.float64))
        if (total <= 0).any():
            raise ValueError(f"group {int(np.argmax(total <= 0))} has zero mass: merge or drop it.")
    return jnp.asarray(values, jnp.int32), len(present)
