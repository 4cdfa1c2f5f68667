"""Attempts that may fail inside jit without spoiling anything around them."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._types import Array, PyTree
from .._where import where


def attempt(
    function: Callable[[Any], tuple[PyTree, Any]], operands: PyTree, fallback: PyTree = None
) -> tuple[PyTree, Any]:
    """Call `function(operands) -> (result, code)`; where the code is not 0, stop derivatives and return `fallback`.

    A plain `where` is not enough: the derivative of the branch not taken is multiplied by zero, and zero times NaN is
    NaN, which a sum over a batch would spread to every member. Here tangents are masked on their way *into* the
    function, so that the transposed program masks cotangents on their way out of it, in reverse and in forward mode.

    Several members that fail by themselves go through one call where `code` has one entry for each. Operands, result
    and fallback are then tuples, of which every entry is a tuple with a part for each member, or arrays with a leading
    axis for the members. A part of the result may have a derivative with respect to its own member's operands only.

    Arguments:
        function: must depend on traced values through `operands` alone.
        operands: pytree; its inexact arrays are differentiated.
        fallback: prefix of the result, constant under differentiation; None in the place of a part lets that part
            through where it fails, which saves a pass over it.

    Returns:
        The result or the fallback, and the code.
    """
    moving, fixed = eqx.partition(operands, eqx.is_inexact_array)
    fixed_arrays, static = eqx.partition(fixed, eqx.is_array)

    def call(moving, fixed_arrays):
        return function(eqx.combine(moving, fixed_arrays, static))

    def choose(code, result, otherwise):
        # with nothing to choose from the compiler drops the `where`; what is left is that in a batch every part of the
        # result has the batch axis that its tangent has, which scan needs
        pick = lambda y, x: jax.tree.map(lambda x, y: where(_along(code == 0, x), x, y), x, x if y is None else y)
        return jax.tree.map(pick, otherwise, result, is_leaf=lambda y: y is None)

    def mask(code, tangents):
        still = lambda x: x.dtype == jax.dtypes.float0
        return jax.tree.map(lambda x: x if still(x) else where(_along(code == 0, x), x, 0), tangents)

    @jax.custom_jvp
    def run(moving, fixed_arrays, fallback):
        result, code = call(moving, fixed_arrays)
        return _by_member(choose, code, result, fallback), code

    def run_jvp(primals, tangents):
        moving, fixed_arrays, fallback = primals
        # what is not being differentiated stays out of the derivative: a constant basis costs it nothing
        touched = jax.tree.map(lambda t: not isinstance(t, jax.custom_derivatives.SymbolicZero), tangents[0])
        moved, still = eqx.partition(moving, touched)
        (result, code), derivative = jax.linearize(lambda x: call(eqx.combine(x, still), fixed_arrays), moved)

        result_dot, code_dot = derivative(_by_member(mask, code, eqx.filter(tangents[0], touched)))
        chosen = _by_member(choose, code, result, fallback)
        return (chosen, code), (_by_member(mask, code, result_dot), code_dot)

    run.defjvp(run_jvp, symbolic_zeros=True)
    return run(moving, fixed_arrays, fallback)


def _by_member(function: Callable[..., PyTree], code: Array, *trees: Any) -> PyTree:
    """`function(code, *trees)`; where there are several codes on every entry, each part with its member's code."""
    if jnp.ndim(code) == 0:
        return function(code, *trees)

    def entry(*parts):
        if isinstance(parts[0], tuple):
            parts = [each if isinstance(each, tuple) else (each,) * len(parts[0]) for each in parts]
            return tuple(function(code[member], *each) for member, each in enumerate(zip(*parts, strict=True)))
        return function(code, *parts)

    return tuple(map(entry, *trees))


def _along(code: Array, values: Array) -> Array:
    """Codes with further axes of length one, to go with values."""
    return code.reshape(code.shape + (1,) * (jnp.ndim(values) - code.ndim))


@jax.custom_jvp
def without_derivative(value: Array) -> Array:
    """As `stop_gradient`, which cannot be transposed inside `attempt` in a batch.

    Arguments:
        value: any array.
    """
    return value


@without_derivative.defjvp
def _no_tangent(primals, tangents):
    return primals[0], jnp.zeros_like(primals[0])
