"""Refresh grids."""

import jax
import jax.numpy as jnp
import numpy as np

from ._checks import check_positive
from ._types import PyTree


def log_times(first: float, last: float, num: int) -> np.ndarray:
    """A refresh grid: 0, then num - 1 times equally spaced in the logarithm.

    Arguments:
        first: first refresh after the start, in units of time.
        last: end of the run.
        num: length of the grid, the start included; at least 3.

    Returns:
        Shape (num,), float64 whatever JAX's precision, so that interval lengths keep their digits.
    """
    check_positive("first", first)
    check_positive("last", last)
    if last <= first:
        raise ValueError(f"last={last:.6g} is not above first={first:.6g}: give an increasing range.")
    if num < 3:
        raise ValueError(f"num={num}: give at least 3 times (the start, the first and the last).")
    return np.concatenate([[0.0], np.geomspace(first, last, num - 1)])


def log_steps(first: float, last: float, num: int) -> np.ndarray:
    """A refresh grid of whole steps: 0, then steps that are spaced equally in the logarithm as far as they can be.

    Arguments:
        first: first refresh after the start, in steps; at least 1.
        last: end of the run, in steps.
        num: length of the grid before repeats are dropped, the start included; at least 3.

    Returns:
        Distinct whole numbers in increasing order, shape (at most num,), as small neighbours may round to the same one.
    """
    if first < 1:
        raise ValueError(f"first={first:.6g}: a grid of steps is refreshed after whole steps; give at least 1.")
    return np.unique(np.rint(log_times(first, last, num)).astype(np.int64))


@jax.custom_jvp
def constant_times(times: PyTree) -> PyTree:
    """Times that raise TypeError when they are differentiated."""
    return times


def _refuse_tangent(primals, tangents):
    if any(not isinstance(t, jax.custom_derivatives.SymbolicZero) for t in jax.tree.leaves(tangents)):
        raise TypeError(
            "times are constants of a run and cannot be differentiated; differentiate leaves of the schedule."
        )
    return primals[0], jax.tree.map(jnp.zeros_like, primals[0])


constant_times.defjvp(_refuse_tangent, symbolic_zeros=True)
