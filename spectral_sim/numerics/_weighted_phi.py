"""phi_1(-Phi^T diag(s) Phi) g by the cheapest of three routes, with derivatives in both modes."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from .._types import Array, Float, Int
from ._chebyshev import MOST_TERMS, degree, expansion, reach
from ._phi import phi1, phi1_eigh
from ._phi_routes import ADVANCE, CHANGE, PULL, gram, trace_bound
from ._repeat import batch_size
from ._segmented import INTERVAL
from ._transposable import transposable

__all__ = ["ROUTES", "chebyshev_terms", "weighted_phi1"]

ROUTES = ("auto", "chebyshev", "eigh")

# Times on two cores of a server with AVX-512, in float64; only ratios matter. Measured at 64 x 32 to 2048 x 512, for 1
# to 32 members and 1 to 10 outputs. They choose among routes on CPUs alone: accelerators go by `_operations`.
_FLOPS = 75e9  # a second, of a product
_GRAM_FLOPS = 60e9
_PASSED = 1e9  # numbers a second, of what is done to each of them
_EIGH_SQUARE, _EIGH_CUBE = 6.7e-8, 8.5e-11  # seconds
_EIGH_SINGLE = 1.25  # in float32 products take half the time, an eigendecomposition more than that
_CACHE, _MEMORY = 24e6, 4.5e9  # bytes that stay in reach from one term to the next; numbers a second where they do not
_CALL = 1.5e-6  # seconds, of one step of a compiled loop
_MOST_ROUNDING = 0.1  # of the shortest step that there may be, before eigenvectors are taken whatever they cost
_FEW_FEATURES = 16  # their eigenvectors take about as long as any loop: no other route is compiled


def weighted_phi1(
    features: Float[Array, "examples features"],
    scale: Float[Array, "examples"],
    drive: Float[Array, "features outputs"],
    method: str,
    tolerance: float,
) -> Float[Array, "features outputs"]:
    """phi_1(-A) g for A = Phi^T diag(s) Phi: the change of the parameters over an interval of held weights.

    Routes: the eigenvectors of A; a Chebyshev expansion with A as a matrix; the same with A as two products with Phi,
    which the members of a batch share as one matrix-matrix product each. All members take the same route and the same
    number of terms, chosen anew for every call from the largest trace among them and measured costs: a batch runs one
    route, never all.

    Arguments:
        features: Phi.
        scale: s, non-negative: duration times base mass times weight.
        drive: g: duration times the slope of the parameters.
        method: "auto", in which eigenvectors are taken too where the rounding of an expansion could reach a tenth of
            the result; "chebyshev", which gives way to "eigh" only where it would need more than 8192 terms; or "eigh".
        tolerance: error relative to the result, as far as rounding allows; "eigh" is exact to rounding.
    """

    if method == "eigh" or (method == "auto" and features.shape[1] <= _FEW_FEATURES):
        return phi1_eigh(gram(features, scale), drive, jnp.ones((), drive.dtype))
    switch = _Switch(method, tolerance)

    @jax.custom_jvp
    def run(features, scale, drive):
        return switch(ADVANCE, features, scale, drive.T).value.T

    def run_jvp(primals, tangents):
        features, scale, drive = primals[0], primals[1], primals[2].T
        none = [isinstance(t, jax.custom_derivatives.SymbolicZero) for t in tangents]
        dots = [jnp.zeros_like(x) if no else t for x, t, no in zip(primals, tangents, none, strict=True)]
        terms = jax.tree.map(lambda x: checkpoint_name(x, INTERVAL), switch(ADVANCE, features, scale, drive))
        residuals = features, scale, drive, terms.term, terms.step
        # most often Phi is constant, and then no change of the whole matrix is ever formed
        operands = (dots[1], dots[2].T) if none[0] else (dots[1], dots[2].T, dots[0])
        dense = not none[0]
        (change,) = transposable(_Rule(switch, CHANGE, dense), _Rule(switch, PULL, dense), residuals, operands)
        return terms.value.T, change.T

    run.defjvp(run_jvp, symbolic_zeros=True)
    return run(features, scale, drive)


def chebyshev_terms(
    features: Float[Array, "examples features"], scales: Float[Array, "schedules examples"], tolerance: float
) -> int:
    """Terms of the expansion that the members of a batch share: products of A with a vector, for counts of work."""
    bound = jax.vmap(trace_bound, (None, 0), None)(features, scales)
    return int(expansion(bound, tolerance).terms)


@dataclass(frozen=True)
class _Switch:
    """Takes one of three routes, the same for a whole batch."""

    method: str
    tolerance: float

    def __call__(self, routes, features, scale, drive, *operands):
        index = _choose(features, scale, drive, self.method, self.tolerance)
        branches = [partial(each, tolerance=self.tolerance) for each in routes]
        return jax.lax.switch(index, branches, features, scale, drive, *operands)


@dataclass(frozen=True)
class _Rule:
    """A linear function with one implementation for each route."""

    switch: _Switch
    routes: tuple
    dense: bool

    def __call__(self, residuals, operands):
        routes = [partial(each, self.dense) for each in self.routes]
        return self.switch(routes, *residuals, tuple(operands))


def _operations(terms, examples, size, outputs, matrices, columns) -> tuple[Array, Array, Array]:
    """Floating-point operations of each route, for machines on which the times above were not measured.

    Eigenvectors of a symmetric matrix take about 9 size^3, most of them not in products.
    """
    forming = matrices * (2.0 * examples * size**2)
    by_gram = forming + terms * (matrices * (2.0 * size**2 * outputs))
    return forming + matrices * (9.0 * size**3), by_gram, terms * (columns * (4.0 * examples * size))


def _choose(features, scale, drive, method, tolerance) -> Int[Array, ""]:
    """Position of the route in `ADVANCE` and `_CHANGE`, the same for every member of a batch."""
    bound = trace_bound(features, scale)
    terms = degree(bound, reach(bound, tolerance))
    examples, size = features.shape
    outputs = drive.shape[0]
    matrices = batch_size(scale[0])  # each with its own Gram matrix
    columns = jnp.maximum(batch_size(drive[0, 0]), matrices) * outputs
    itemsize = features.dtype.itemsize
    forming = matrices * (2 * examples * size**2 / _GRAM_FLOPS)
    decomposing = (_EIGH_SQUARE * size**2 + _EIGH_CUBE * size**3) * (_EIGH_SINGLE if itemsize == 4 else 1)
    numbers = matrices * float(size**2)  # beyond what int32 holds
    reading = jnp.where(numbers * itemsize > _CACHE, numbers / _MEMORY, 0)
    eigh = forming + matrices * decomposing
    by_gram = forming + terms * (_CALL + reading + numbers * (2 * (outputs + 3) / _FLOPS))
    passing = columns * ((2 * examples + 6 * size) / _PASSED)
    by_features = terms * (_CALL + passing + (columns + 2) * (4 * examples * size / _FLOPS))
    if jax.default_backend() != "cpu":
        eigh, by_gram, by_features = _operations(terms, examples, size, outputs, matrices, columns)
    if method == "chebyshev":
        eigh = jnp.inf
    costs = jnp.stack([jnp.asarray(x, bound.dtype) for x in (eigh, by_gram, by_features)])
    # as far as a step may be shorter than the drive, rounding may be larger beside it
    rounding = terms * jnp.finfo(bound.dtype).eps / phi1(-bound)
    lost = (method == "auto") & (rounding > _MOST_ROUNDING)
    return jnp.where((terms > MOST_TERMS) | lost, 0, jnp.argmin(costs))
