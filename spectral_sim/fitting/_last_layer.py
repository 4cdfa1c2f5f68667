"""The last layer of a network: the parameters that its outputs are linear in."""

import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._types import PyTree
from ..problems import NetworkProblem

__all__ = ["last_layer"]

_TRIED = 8  # examples


def last_layer(network: NetworkProblem, params: PyTree) -> PyTree:
    """True for the parameters of the last layer and False for the others, like `params`.

    A layer is what lies in one branch of the tree of parameters. Branches are tried from the last one on, numbers in
    their names counting as numbers, until the outputs turn out to be linear in one.

    Raises:
        ValueError: the outputs are linear in no branch.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(params)
    branches = sorted({path[:-1] for path, _ in leaves}, key=_order)
    for branch in reversed(branches):
        chosen = [path[:-1] == branch for path, _ in leaves]
        mask = jax.tree.unflatten(structure, chosen)
        if _is_linear(network, params, mask):
            return mask
    raise ValueError(
        "kernel='last_layer', but the outputs are linear in no layer of the parameters: use kernel='trace', or let the "
        "network end in a linear layer whose parameters lie in a branch of their own."
    )


def _order(path: Any) -> list[Any]:
    text = jax.tree_util.keystr(path)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text) if part]


def _is_linear(network: NetworkProblem, params: PyTree, mask: PyTree) -> bool:
    """Whether outputs move in proportion to a large change of some parameters, and move at all."""
    moving, held = eqx.partition(params, mask)
    keys = iter(jax.random.split(jax.random.key(1), len(jax.tree.leaves(moving))))
    change = jax.tree.map(lambda x: jax.random.normal(next(keys), x.shape, x.dtype) * (1 + jnp.std(x)), moving)
    inputs = network.inputs[:_TRIED]

    def at(size):
        moved = jax.tree.map(lambda x, d: x + size * d, moving, change)
        return np.asarray(network.outputs(eqx.combine(moved, held), inputs), np.float64)

    start, one, two = at(0.0), at(2.0), at(-4.0)
    moved = np.abs(one - start).max()
    return bool(moved > 1e-6 and np.abs((two - start) + 2 * (one - start)).max() < 1e-3 * moved)
