"""The kernel of a network from its Jacobian, a block of examples at a time: the whole Jacobian is never held."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._types import Array, Float, PyTree
from ..problems import NetworkProblem

KERNELS = ("trace", "full", "last_layer")
_TRIED = 8  # examples on which outputs are tried to be linear
_BLOCK_BYTES = 2**28  # of Jacobian rows, or of directions in parameter space, that are held at once


class NetworkJacobian(eqx.Module):
    """The derivative of a network in some of its parameters, in units of their own.

    Arguments:
        network: the problem whose network it is.
        moving: the parameters that it is taken in; None in place of the others.
        held: the other parameters.
        scale: what each parameter is measured in, like `moving`; None for units of one.
        full: whether every output has rows of its own; otherwise the kernel is the mean over outputs.
    """

    network: NetworkProblem
    moving: PyTree
    held: PyTree
    scale: PyTree
    full: bool = eqx.field(static=True)

    def outputs(self, change: PyTree, inputs: Array) -> Array:
        """Outputs after a change of parameters, in their units."""
        if self.scale is not None:
            change = jax.tree.map(jnp.multiply, change, self.scale)
        moved = jax.tree.map(jnp.add, self.moving, change)
        return self.network.outputs(eqx.combine(moved, self.held), inputs)

    @property
    def zero(self) -> PyTree:
        """No change."""
        return jax.tree.map(jnp.zeros_like, self.moving)

    @property
    def size(self) -> int:
        """How many parameters there are."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.moving))

    @property
    def block(self) -> int:
        """How many examples have their rows within the memory of a block."""
        return max(1, _BLOCK_BYTES // (self.size * self.network.num_outputs * self.network.dtype.itemsize))

    @property
    def rows(self) -> int:
        """How many rows of the kernel an example has."""
        return self.network.num_outputs if self.full else 1


def gram(jacobian: NetworkJacobian, inputs: Array, others: Array | None = None) -> Float[np.ndarray, "rows columns"]:
    """The kernel between two sets of inputs, or of one set with itself; rows are grouped by example."""
    rows, symmetric = jacobian.rows, others is None
    others = inputs if others is None else others
    found = np.zeros((inputs.shape[0] * rows, others.shape[0] * rows), jacobian.network.dtype)
    size = min(jacobian.block, max(inputs.shape[0], others.shape[0]))
    for first, left in _blocks(inputs, size):
        here = _jacobian_rows(jacobian, left)
        for second, right in _blocks(others, size):
            if symmetric and second.start < first.start:
                continue
            there = here if symmetric and second == first else _jacobian_rows(jacobian, right)
            part = np.asarray(_products(jacobian, here, there))
            height, width = (first.stop - first.start) * rows, (second.stop - second.start) * rows
            at = slice(first.start * rows, first.stop * rows), slice(second.start * rows, second.stop * rows)
            found[at] = part[:height, :width]
            if symmetric:
                found[at[1], at[0]] = part[:height, :width].T
    return found


def kernel_trace(jacobian: NetworkJacobian, inputs: Array) -> float:
    """The sum of the diagonal of the kernel."""
    total = 0.0
    for place, block in _blocks(inputs, min(jacobian.block, inputs.shape[0])):
        squares = np.asarray(_squares(_jacobian_rows(jacobian, block)), np.float64)
        total += squares[: place.stop - place.start].sum()
    return total if jacobian.full else total / jacobian.network.num_outputs


def kernel_product(
    jacobian: NetworkJacobian, inputs: Array, others: Array, vectors: Float[np.ndarray, "columns many"]
) -> Float[np.ndarray, "rows many"]:
    """The kernel between two sets of inputs times vectors, by products with the Jacobian and its transpose alone.

    A block of vectors costs a pass backward over `others` and a pass forward over `inputs` (for a kernel that outputs
    share one of each for each output).
    """
    outputs = jacobian.network.num_outputs
    many = max(1, _BLOCK_BYTES // (jacobian.size * jacobian.network.dtype.itemsize))
    examples = max(1, 4096 // outputs)
    parts = []
    for start in range(0, vectors.shape[1], many):
        some = vectors[:, start : start + many]
        if jacobian.full:
            parts.append(_one_product(jacobian, inputs, others, some.reshape(-1, outputs, some.shape[1]), examples))
            continue
        found = 0.0
        for output in range(outputs):
            alone = np.zeros((others.shape[0], outputs, some.shape[1]), some.dtype)
            alone[:, output] = some
            there = _one_product(jacobian, inputs, others, alone, examples)
            found = found + there.reshape(-1, outputs, some.shape[1])[:, output] / outputs
        parts.append(found)
    return np.concatenate(parts, axis=1)


def _one_product(
    jacobian: NetworkJacobian, inputs: Array, others: Array, cotangents: np.ndarray, examples: int
) -> np.ndarray:
    """J(inputs) J(others)^T times cotangents of shape (columns, outputs, many), as (rows x outputs, many)."""
    pulled = None
    for place, block in _blocks(others, min(examples, others.shape[0])):
        held = np.zeros((block.shape[0], *cotangents.shape[1:]), cotangents.dtype)
        held[: place.stop - place.start] = cotangents[place]
        step = _pull(jacobian, block, jnp.asarray(held))
        pulled = step if pulled is None else jax.tree.map(jnp.add, pulled, step)
    rows = []
    for place, block in _blocks(inputs, min(examples, inputs.shape[0])):
        rows.append(np.asarray(_push(jacobian, block, pulled))[: place.stop - place.start])
    return np.concatenate(rows).reshape(-1, cotangents.shape[2])


def _blocks(inputs: Array, size: int) -> Iterator[tuple[slice, Array]]:
    """Parts of one length; the last is filled up by repeating its first example, so that one program serves all."""
    for start in range(0, inputs.shape[0], size):
        part = inputs[start : start + size]
        place = slice(start, start + part.shape[0])
        if part.shape[0] < size:
            part = jnp.concatenate([part, jnp.repeat(part[:1], size - part.shape[0], axis=0)])
        yield place, part


@eqx.filter_jit
def _jacobian_rows(jacobian: NetworkJacobian, inputs: Array) -> list[Array]:
    """The derivative of every output of every example, as a matrix (examples, outputs, parameters) for each leaf."""
    one = lambda example: jax.jacrev(lambda change: jacobian.outputs(change, example[None])[0])(jacobian.zero)
    with jax.default_matmul_precision("highest"):
        leaves = jax.tree.leaves(jax.vmap(one)(inputs))
    return [leaf.reshape(*leaf.shape[:2], -1) for leaf in leaves]


@eqx.filter_jit
def _products(jacobian: NetworkJacobian, left: list[Array], right: list[Array]) -> Array:
    pattern = "icp,jdp->icjd" if jacobian.full else "icp,jcp->ij"
    product: Callable[..., Any] = lambda one, other: jnp.einsum(pattern, one, other, precision="highest")
    total = sum(product(one, other) for one, other in zip(left, right, strict=True))
    if jacobian.full:
        return jnp.reshape(total, (left[0].shape[0] * jacobian.rows, -1))
    return jnp.asarray(total) / jacobian.network.num_outputs


@jax.jit
def _squares(rows: list[Array]) -> Array:
    return sum((jnp.sum(leaf**2, axis=(1, 2)) for leaf in rows), jnp.zeros(()))


@eqx.filter_jit
def _pull(jacobian: NetworkJacobian, inputs: Array, cotangents: Array) -> PyTree:
    with jax.default_matmul_precision("highest"):
        back = jax.vjp(lambda change: jacobian.outputs(change, inputs), jacobian.zero)[1]
        return jax.vmap(lambda cotangent: back(cotangent)[0], in_axes=2)(cotangents)


@eqx.filter_jit
def _push(jacobian: NetworkJacobian, inputs: Array, changes: PyTree) -> Array:
    forward = lambda change: jacobian.outputs(change, inputs)
    with jax.default_matmul_precision("highest"):
        one = lambda change: jax.jvp(forward, (jacobian.zero,), (change,))[1]
        return jax.vmap(one, out_axes=2)(changes)


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
