"""What a part remembers from one refresh to the next: pytrees of arrays whose structure and types stay."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ._types import PyTree


def as_state(owner: str, state: PyTree, dtype: Any) -> PyTree:
    """A state whose leaves are arrays: Python numbers are converted, and inexact leaves are cast to `dtype`.

    Arguments:
        owner: name of the part whose state it is, for messages.
        state: what its `init` or `__call__` returned.
        dtype: that of the problem.

    Raises:
        TypeError: a leaf that is no number and no array.
    """

    def convert(path, leaf):
        if not (eqx.is_array(leaf) or isinstance(leaf, bool | int | float | complex | np.ndarray | np.generic)):
            raise TypeError(
                f"the state of {owner} holds {leaf!r}{_at(path)}: a state is a pytree of numbers and arrays; keep "
                "anything else in static fields."
            )
        array = leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf)
        if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
            return array
        wanted = dtype if jnp.issubdtype(array.dtype, jnp.inexact) else array.dtype
        strong = array.dtype == wanted and not array.weak_type
        return array if strong else jax.lax.convert_element_type(array, wanted)

    return jax.tree_util.tree_map_with_path(convert, state)


def next_state(owner: str, before: PyTree, after: PyTree, dtype: Any) -> PyTree:
    """The state that a call returned, converted as `as_state` does; raises TypeError unless it is like the one before.

    Arguments:
        owner: name of the part, for messages.
        before: the state that it was given.
        after: the state that it returned.
        dtype: that of the problem.
    """
    after = as_state(owner, after, dtype)
    if _shapes(before) != _shapes(after):
        raise TypeError(
            f"the state of {owner} changes from one refresh to the next: it was\n    {_described(before)}\nand became\n"
            f"    {_described(after)}\nReturn the structure, shapes and dtypes that init returns."
        )
    return after


def check_constants(owner: str, constants: PyTree, before: PyTree, after: PyTree) -> None:
    """Raise unless what is declared constant has been handed back; see `AbstractStage.constants`.

    Arguments:
        owner: name of the part, for messages.
        constants: prefix of the state with True for what is constant.
        before: the state that it was given.
        after: the state that it returned.
    """
    for (path, old), new in zip(
        jax.tree_util.tree_leaves_with_path(eqx.filter(before, constants)),
        jax.tree.leaves(eqx.filter(after, constants)),
        strict=True,
    ):
        if old is not new:
            raise ValueError(
                f"{owner} declares its state{_at(path)} constant, but returns another array: hand back the one that it "
                "was given, or take it out of `constants`."
            )


def _shapes(state: PyTree) -> Any:
    leaves, structure = jax.tree.flatten(state)
    return structure, [(jnp.shape(leaf), leaf.dtype) for leaf in leaves]


def _described(state: PyTree) -> str:
    return str(eqx.tree_pformat(state, width=100_000))


def _at(path: Any) -> str:
    return f" at {jax.tree_util.keystr(path)}" if path else ""
