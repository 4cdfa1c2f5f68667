"""Sums and maps over the rows of tall arrays, by blocks where intermediate results for all rows would be large."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from .._types import Array

_BLOCK_BYTES = 2**24  # of the first array; a batch holds one such block for each member
_NARROW = 16  # columns; wider products add in blocks of their own
_PIECE = 256  # rows that are added one after the other


def row_product(left: Array, right: Array) -> Array:
    """Compute left^T right, whose rounding does not grow with the number of rows; a function for `sum_rows`.

    A product of narrow matrices adds row after row: over a million rows float32 is off by a percent.

    Arguments:
        left: shape (rows, n).
        right: shape (rows, m), the narrower of the two if any is.
    """
    rows, columns = left.shape[0], right.shape[1]
    pieces = rows // _PIECE
    if min(left.shape[1], columns) >= _NARROW:
        return jnp.einsum("ik,ic->kc", left, right)  # not left.T @ ..., which reverse mode would keep as a copy
    # the narrow one first: that takes a third of the time of the other order on CPUs
    if pieces < 2 or left.dtype.itemsize > 4:
        return jnp.einsum("ic,ik->ck", right, left).T
    cut = lambda x: x[: pieces * _PIECE].reshape(pieces, _PIECE, -1)
    product = jnp.sum(jnp.einsum("pic,pik->pck", cut(right), cut(left)), axis=0)
    rest = slice(pieces * _PIECE, rows)
    return (product if rest.start == rows else product + jnp.einsum("ic,ik->ck", right[rest], left[rest])).T


def squared_norms(rows: Array) -> Array:
    """Compute |row|^2 of each row, in the form for which the compiler does not write down all squares.

    Arguments:
        rows: shape (rows, n).

    Returns:
        Shape (rows,).
    """
    if jax.__version_info__ < (0, 11):
        return jnp.square(rows) @ jnp.ones(rows.shape[1:], rows.dtype)
    return jnp.sum(jnp.square(rows), axis=1)


def sum_rows(function: Callable[..., Array], *tall: Array, after: Array | None = None) -> Array:
    """Sum `function(*tall)` over blocks of rows; what rounding loses from one block to the next is carried along.

    Arguments:
        function: of arrays with the same rows; a sum over them.
        *tall: arrays with a leading axis of rows.
        after: any array, not a tangent, that is new in each step of a loop around the sum. Reverse mode would else cut
            the blocks of arrays that stay the same once, before that loop: all of them, a copy of the whole array.
    """
    blocks = _Blocks(tall)
    if blocks.count == 0:
        return function(*tall)
    part = jax.checkpoint(lambda index: function(*blocks.at(index)), prevent_cse=False)  # or each block would be kept
    rest = blocks.rest()
    shape = jax.eval_shape(part, 0)
    total = jnp.zeros(shape.shape, shape.dtype) if rest is None else function(*rest)

    def add(carry, index):
        total, lost = carry
        wanted = part(index) - lost
        reached = total + wanted
        return (reached, (reached - total) - wanted), None

    indices = jnp.arange(blocks.count)
    if after is not None:
        indices = _known_after(after, indices)
    return jax.lax.scan(add, (total, jnp.zeros_like(total)), indices)[0][0]


@jax.custom_jvp  # what a barrier lets through is no function of anything for the derivative
def _known_after(value: Array, indices: Array) -> Array:
    return jax.lax.optimization_barrier((value, indices))[1]


@_known_after.defjvp
def _indices_stand_still(primals, tangents):
    return _known_after(*primals), tangents[1]


def map_rows(function: Callable[..., Array], *tall: Array) -> Array:
    """`function(*tall)`, one number for each row."""
    blocks = _Blocks(tall)
    if blocks.count == 0:
        return function(*tall)
    found = jax.lax.map(lambda index: blocks.apart(function(*blocks.at(index))), jnp.arange(blocks.count))
    parts = [jnp.moveaxis(found, 0, 1).reshape(blocks.shards, -1)]
    rest = blocks.rest()
    if rest is not None:
        parts.append(blocks.apart(function(*rest)))
    return jnp.concatenate(parts, axis=1).reshape(-1)


def fold_rows(function: Callable[..., Array], start: Array, *tall: Array) -> Array:
    """`function(start, *tall)` block after block, each with what came of the block before in the place of `start`."""
    blocks = _Blocks(tall)
    if blocks.count == 0:
        return function(start, *tall)
    rest = blocks.rest()
    start = start if rest is None else function(start, *rest)
    step = lambda carry, index: (function(carry, *blocks.at(index)), None)
    return jax.lax.scan(step, start, jnp.arange(blocks.count))[0]


class _Blocks:
    """Whole blocks of rows, and the rows left over; none where a single block holds everything.

    A block takes the next rows of every device that the rows may be spread over, so that each streams its own.
    """

    def __init__(self, tall: tuple[Array, ...]):
        rows = tall[0].shape[0]
        devices = jax.device_count()
        self.shards = devices if rows % devices == 0 else 1
        self._own = rows // self.shards
        wanted = -(-tall[0].size * tall[0].dtype.itemsize // _BLOCK_BYTES)
        self._size = -(-self._own // max(1, wanted))  # rows of each device in a block
        self.count = self._own // self._size if wanted > 1 else 0
        self._split = [self.apart(x) for x in tall]

    def apart(self, x: Array) -> Array:
        return x.reshape(self.shards, -1, *x.shape[1:])

    def at(self, index: Array) -> list[Array]:
        cut = lambda x: jax.lax.dynamic_slice_in_dim(x, index * self._size, self._size, axis=1)
        return [self._together(cut(x)) for x in self._split]

    def rest(self) -> list[Array] | None:
        done = self.count * self._size
        return None if done == self._own else [self._together(x[:, done:]) for x in self._split]

    def _together(self, x: Array) -> Array:
        return x.reshape(-1, *x.shape[2:])
