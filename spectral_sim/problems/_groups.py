"""Examples in groups: weights are on groups, and each example belongs to one."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from .._checks import check_length, check_ndim, is_concrete
from .._types import Array, Float, Int, PerWeight
from ..numerics import group_sums


def mass_of(
    example_mass: Float[Array, "examples"], groups: Int[Array, "examples"] | None, num_groups: int | None
) -> PerWeight:
    """Base mass of what is weighted: groups, or examples where there are none."""
    if groups is None or num_groups is None:
        return example_mass
    return group_sums(example_mass, groups, num_groups)


def spread(weights: PerWeight, groups: Int[Array, "examples"] | None) -> Float[Array, "examples"]:
    """Weights on groups over their examples; weights on examples pass through."""
    return weights if groups is None else weights[groups]


def average(
    values: Float[Array, "examples"],
    example_mass: Float[Array, "examples"],
    groups: Int[Array, "examples"] | None,
    num_groups: int | None,
) -> PerWeight:
    """Means of values on examples over each group under the base mass; without groups they pass through."""
    if groups is None or num_groups is None:
        return values
    return group_sums(example_mass * values, groups, num_groups) / group_sums(example_mass, groups, num_groups)


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
