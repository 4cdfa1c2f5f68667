"""What each route to phi_1(-A) g costs, and which one to take.

On CPUs a cost is a time, from rates that were measured on two cores of a server with AVX-512, in float64, at 64 x 32 to
2048 x 512, for 1 to 32 members and 1 to 10 outputs; only ratios matter, and `spectral-sim bench` holds the choice
against eigenvectors (case "operator"). No such table fits an accelerator: there a cost counts operations of products,
and what eigenvectors cost in these is measured once in each process.
"""

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Float, Int
from .._where import where
from ._chebyshev import MOST_TERMS, degree, reach
from ._eigen_step import trace_bound
from ._phi import phi1
from ._repeat import batch_size

EIGH = 0  # position of the eigenvectors among the routes; the Gram matrix and the features follow

_PRODUCT, _FORMING = 75e9, 60e9  # operations a second, of a product with vectors and of forming A
_PASSED = 1e9  # numbers a second, of what is done to each of them
_EIGH_SQUARE, _EIGH_CUBE = 6.7e-8, 8.5e-11  # seconds, times the size squared and cubed
_EIGH_SINGLE = 1.25  # in float32 products take half the time, an eigendecomposition more than that
_CACHE, _MEMORY = 24e6, 4.5e9  # bytes that stay in reach from one term to the next; numbers a second where they do not
_CALL = 1.5e-6  # seconds, of one step of a compiled loop
_FEW_TERMS = 8.0  # of the shortest expansion
_PROBE_SIZE, _PROBE_ROUNDS = 256, 3  # of the matrix whose eigenvectors are timed
_MOST_ROUNDING = 0.1  # of the shortest step that there may be, before eigenvectors are taken whatever they cost


class _Work(NamedTuple):
    """The sizes of one call: terms of the series, members with a matrix of their own, and columns of all of them."""

    terms: Array | float
    examples: int
    size: int
    outputs: int
    matrices: Array | int
    columns: Array | int
    itemsize: int


def chosen_route(
    features: Float[Array, "examples features"],
    scale: Float[Array, "examples"],
    drive: Float[Array, "outputs features"],
    method: str,
    tolerance: float,
) -> Int[Array, ""]:
    """Position of the cheapest route in `ADVANCE`, `CHANGE` and `PULL`, the same for every member of a batch.

    Eigenvectors are taken whatever they cost where the series would be too long, or where its rounding could reach a
    tenth of the step: the step may be as much shorter than the drive as phi_1(-bound) says.
    """
    bound = trace_bound(features, scale)
    terms = degree(bound, reach(bound, tolerance))
    matrices, outputs = batch_size(scale[0]), drive.shape[0]
    columns = jnp.maximum(batch_size(drive[0, 0]), matrices) * outputs
    examples, size = features.shape
    work = _Work(terms, examples, size, outputs, matrices, columns, features.dtype.itemsize)
    eigh, by_gram, by_features = _costs(work)
    if method == "chebyshev":
        eigh = jnp.inf
    costs = jnp.stack([jnp.asarray(cost, bound.dtype) for cost in (eigh, by_gram, by_features)])
    rounding = terms * jnp.finfo(bound.dtype).eps / phi1(-bound)
    lost = rounding > _MOST_ROUNDING
    return where((terms > MOST_TERMS) | lost, EIGH, jnp.argmin(costs))


def once_pays(features: Float[Array, "examples features"], outputs: int, intervals: int) -> bool:
    """Say whether eigenvectors that serve all intervals of a run cost less than an expansion in each, however short.

    Arguments:
        features: Phi, shape (examples, features).
        outputs: number of outputs.
        intervals: of the run.
    """
    examples, size = features.shape
    eigh, by_gram, by_features = _costs(_Work(_FEW_TERMS, examples, size, outputs, 1, outputs, features.dtype.itemsize))
    return eigh <= intervals * min(by_gram, by_features)


def _costs(work: _Work) -> tuple:
    return (_seconds if jax.default_backend() == "cpu" else _operations)(work)


def _seconds(work: _Work) -> tuple:
    """Seconds of each route on the CPU of the table above."""
    size, square = work.size, float(work.size**2)
    forming = work.matrices * (2 * work.examples * square / _FORMING)
    decomposing = (_EIGH_SQUARE * square + _EIGH_CUBE * square * size) * (_EIGH_SINGLE if work.itemsize == 4 else 1)
    numbers = work.matrices * square  # beyond what int32 holds
    reading = (numbers * work.itemsize > _CACHE) * (numbers / _MEMORY)
    gram_term = _CALL + reading + numbers * (2 * (work.outputs + 3) / _PRODUCT)
    passing = work.columns * ((2 * work.examples + 6 * size) / _PASSED)
    features_term = _CALL + passing + (work.columns + 2) * (4 * work.examples * size / _PRODUCT)
    return forming + work.matrices * decomposing, forming + work.terms * gram_term, work.terms * features_term


def _operations(work: _Work) -> tuple:
    """Floating-point operations of each route, at the speed of products."""
    square = float(work.size**2)
    forming = work.matrices * (2.0 * work.examples * square)
    gram_term = work.matrices * (2.0 * square * work.outputs)
    features_term = work.columns * (4.0 * work.examples * work.size)
    decomposing = work.matrices * (_eigh_operations(work.itemsize) * square * work.size)
    return forming + decomposing, forming + work.terms * gram_term, work.terms * features_term


@functools.cache
def _eigh_operations(itemsize: int) -> float:
    """How many operations of a product take as long as eigenvectors do on this machine, over the size cubed.

    Measured while a program is being traced, so what is timed is kept out of it. Where programs must be the same in
    several processes, name the method of `OperatorFlow`.
    """
    dtype, size = jnp.float64 if itemsize > 4 else jnp.float32, _PROBE_SIZE
    with jax.ensure_compile_time_eval():
        matrix = jnp.eye(size, dtype=dtype) + jnp.ones((size, size), dtype)
        tall = jnp.ones((16 * size, size), dtype)
        product = _shortest(jax.jit(lambda rows: rows @ matrix), tall) / (2 * 16 * float(size) ** 3)
        return _shortest(jax.jit(lambda x: jnp.linalg.eigh(x)[1]), matrix) / (product * float(size) ** 3)


def _shortest(function: Callable[[Array], Array], argument: Array) -> float:
    """Seconds of the quickest of a few calls."""
    jax.block_until_ready(function(argument))
    seconds = []
    for _ in range(_PROBE_ROUNDS):
        start = time.perf_counter()
        jax.block_until_ready(function(argument))
        seconds.append(time.perf_counter() - start)
    return min(seconds)
