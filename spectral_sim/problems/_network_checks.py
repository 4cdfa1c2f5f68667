"""What a network and its data have to be, said before anything is compiled."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_finite, check_length, is_concrete
from .._types import Array, PyTree

_PARTITION = "params, rest = eqx.partition(model, eqx.is_inexact_array), and put them together inside apply"
_TRIED = 8  # examples that the network is tried on


def check_params(params: PyTree) -> Any:
    """The dtype of parameters; raises unless they are floating-point arrays without NaN."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    if not leaves:
        raise ValueError("params holds no arrays: give the parameters that are trained.")
    for path, leaf in leaves:
        name = f"params{jax.tree_util.keystr(path)}"
        if not (eqx.is_array(leaf) or isinstance(leaf, np.ndarray | np.generic | float)):
            raise TypeError(f"{name} is a {type(leaf).__name__}: params are arrays alone; use {_PARTITION}.")
        dtype = jnp.result_type(leaf)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(f"{name} has dtype {dtype}, which cannot be trained: use {_PARTITION}.")
        check_finite(name, leaf, "initialise it anew")
    return jnp.result_type(*(leaf for _, leaf in leaves))


def check_rows(name: str, value: Any, dtype: Any) -> Array:
    """Examples along the first axis; floating-point ones in the dtype of the network."""
    array = jnp.asarray(value)
    if array.ndim == 0 or array.shape[0] < 1:
        raise ValueError(f"{name} has shape {array.shape}: give at least one example along the first axis.")
    if jnp.issubdtype(array.dtype, jnp.inexact):
        check_finite(name, array, "remove or impute the example")
        return array.astype(dtype)
    return array


def check_apply(apply: Callable[[PyTree, Array], Any], params: PyTree, inputs: Array) -> int:
    """How many outputs a network has; raises where it is no function of its parameters and of one example."""
    if not callable(apply):
        raise TypeError(f"apply is {apply!r}: give a function apply(params, inputs) -> outputs.")
    if any(eqx.is_array(leaf) for leaf in jax.tree.leaves(apply)):
        raise TypeError(
            f"apply is a {type(apply).__name__} that holds arrays, which nothing would train: {_PARTITION}."
        )
    try:
        found = jax.eval_shape(apply, params, inputs)
    except Exception as error:
        raise ValueError(
            f"apply(params, inputs) failed for inputs of shape {inputs.shape}: {type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else ''} Layers that draw random numbers or keep a state, such "
            "as dropout and batch norm, run in inference mode here (equinox.nn.inference_mode, or train=False)."
        ) from error
    if not isinstance(found, jax.ShapeDtypeStruct):
        raise TypeError(
            f"apply(params, inputs) returned a {type(found).__name__}, not an array: return the outputs alone; a layer "
            "that returns a new state (batch norm) runs in inference mode."
        )
    if found.ndim not in (1, 2) or found.shape[0] != inputs.shape[0]:
        raise ValueError(
            f"apply(params, inputs) returned shape {found.shape} for {inputs.shape[0]} examples: return (examples, "
            "outputs); apply takes a whole batch, so wrap a network of one example in jax.vmap."
        )
    if not jnp.issubdtype(found.dtype, jnp.floating):
        raise ValueError(f"apply(params, inputs) returned {found.dtype}: return floating-point outputs, not classes.")
    if is_concrete(params, inputs):
        _check_pure(apply, params, inputs[:_TRIED])
    return found.shape[1] if found.ndim == 2 else 1


def _check_pure(apply: Callable, params: PyTree, inputs: Array) -> None:
    """The same outputs for an example at every call, whatever else is in its batch."""
    once = np.asarray(apply(params, inputs))
    if not np.array_equal(once, np.asarray(apply(params, inputs)), equal_nan=True):
        raise ValueError(
            "apply(params, inputs) returned other outputs when it was called again: a layer draws random numbers by "
            "itself (dropout) or keeps a state; run it in inference mode."
        )
    if not np.isfinite(once).all():
        raise ValueError("apply(params, inputs) is NaN or infinite at the initial parameters: initialise them anew.")
    alone = np.concatenate([np.asarray(apply(params, inputs[n : n + 1])) for n in range(inputs.shape[0])])
    slack = 1e-3 * (np.abs(once).max() + np.abs(alone).max()) if once.size else 0.0
    if np.abs(once - alone).max() > slack:
        raise ValueError(
            "the output of apply(params, inputs) for an example depends on the other examples of its batch: batch norm "
            "in training mode does that; run it in inference mode."
        )


def checked_targets(name: str, targets: Any, examples: int, outputs: int, loss: str, dtype: Any) -> Array:
    """Targets of shape (examples, outputs); classes become one-hot rows for the cross-entropy."""
    array = jnp.asarray(targets)
    check_finite(name, array, "remove or impute the example")
    check_length(name, array, examples, f"inputs with {examples} examples")
    if loss == "cross_entropy" and array.ndim == 1:
        if not jnp.issubdtype(array.dtype, jnp.integer):
            raise ValueError(
                f"{name} has dtype {array.dtype}: give classes as whole numbers, or rows of probabilities."
            )
        if is_concrete(array) and not bool(((array >= 0) & (array < outputs)).all()):
            raise ValueError(
                f"{name} holds classes from {int(array.min())} to {int(array.max())}, and the network has {outputs} "
                "outputs: number classes from 0, and give the network an output for each."
            )
        return jax.nn.one_hot(array, outputs, dtype=dtype)
    if array.ndim == 1:
        array = array[:, None]
    if array.shape != (examples, outputs):
        raise ValueError(
            f"{name} has shape {array.shape}, and the outputs of the network have {(examples, outputs)}: give targets "
            "of that shape, or a network with as many outputs."
        )
    if loss == "cross_entropy" and is_concrete(array):
        sums = np.asarray(array, np.float64).sum(axis=1)
        if (np.asarray(array) < 0).any() or np.abs(sums - 1).max() > 1e-3:
            raise ValueError(
                f"{name} has rows that are no probabilities (one sums to {sums[np.argmax(np.abs(sums - 1))]:.6g})."
            )
    return array.astype(dtype)
