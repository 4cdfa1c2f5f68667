"""A linear function together with its transpose, each written by hand, that `vmap`, forward and reverse mode accept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from .._types import Array

Rule = Callable[[Sequence[Array], Sequence[Array]], Sequence[Array]]


def transposable(
    function: Rule, transpose: Rule, residuals: Sequence[Array], operands: Sequence[Array]
) -> tuple[Array, ...]:
    """`function(residuals, operands)`, linear in `operands`, whose transpose is `transpose(residuals, cotangents)`.

    JAX derives the transpose of a linear program step by step, which needs a loop of fixed length and the state of the
    nonlinear part at each of its steps. Where a better one is known it is given here.

    Arguments:
        function: hashable; the same object for the same computation, since compiled programs are kept by it.
        transpose: hashable; cotangents have the shapes of the results, what it returns those of `operands`.
        residuals: arrays that are not differentiated: a second derivative raises NotImplementedError.
        operands: arrays.
    """
    return tuple(
        _primitive.bind(*residuals, *operands, function=function, transpose=transpose, num_residuals=len(residuals))
    )


_primitive = Primitive("transposable")
_primitive.multiple_results = True


@_primitive.def_impl
def _run(*arguments, function, transpose, num_residuals):
    return list(function(arguments[:num_residuals], arguments[num_residuals:]))


@_primitive.def_abstract_eval
def _shapes(*arguments, **parameters):
    given = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arguments]
    shapes = jax.eval_shape(partial(_run, **parameters), *given)
    return [ShapedArray(x.shape, x.dtype) for x in shapes]


def _differentiate(primals, tangents, *, function, transpose, num_residuals):
    if any(not isinstance(t, ad.Zero) for t in tangents[:num_residuals]):
        raise NotImplementedError("second derivatives through a matrix function are not supported.")
    bind = partial(_primitive.bind, function=function, transpose=transpose, num_residuals=num_residuals)
    moved = [ad.instantiate_zeros(t) for t in tangents[num_residuals:]]
    return bind(*primals), bind(*primals[:num_residuals], *moved)


def _transpose(cotangents, *arguments, function, transpose, num_residuals):
    given = [ad.instantiate_zeros(ct) for ct in cotangents]
    back = _primitive.bind(
        *arguments[:num_residuals], *given, function=transpose, transpose=function, num_residuals=num_residuals
    )
    return [None] * num_residuals + list(back)


@dataclass(frozen=True)
class _Batched:
    """A rule over a batch: residuals with their own axes, everything linear with the batch in front."""

    rule: Rule
    axes: tuple[int | None, ...]
    size: int

    def __call__(self, residuals, operands):
        return jax.vmap(self.rule, in_axes=(self.axes, 0), axis_size=self.size)(tuple(residuals), tuple(operands))


def _batch(arguments, axes, *, function, transpose, num_residuals):
    size = next(x.shape[axis] for x, axis in zip(arguments, axes, strict=True) if axis is not None)
    residual_axes = tuple(None if axis is None else axis for axis in axes[:num_residuals])

    def in_front(x, axis):
        # a cotangent is due to every member, so what is linear has the batch axis even where members agree
        return jnp.broadcast_to(x, (size, *x.shape)) if axis is None else jnp.moveaxis(x, axis, 0)

    operands = [in_front(x, axis) for x, axis in zip(arguments[num_residuals:], axes[num_residuals:], strict=True)]
    wrap = lambda rule: _Batched(rule, residual_axes, size)
    results = _primitive.bind(
        *arguments[:num_residuals],
        *operands,
        function=wrap(function),
        transpose=wrap(transpose),
        num_residuals=num_residuals,
    )
    return results, [0] * len(results)


_rules: Any = (_differentiate, _transpose, _batch)
ad.primitive_jvps[_primitive], ad.primitive_transposes[_primitive], batching.primitive_batchers[_primitive] = _rules
mlir.register_lowering(_primitive, mlir.lower_fun(_run, multiple_results=True))
