"""phi_1(-Phi^T diag(s) Phi) g by the cheapest of three routes, with derivatives in both modes."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from .._types import Array, Float, Int
from ._repeat import batch_max, batch_size
from ._chebyshev import MOST_TERMS, Expansion, Terms, apply, degree, expansion, reach, tangent, transposed
from ._phi import phi1_eigh
from ._transposable import transposable

__all__ = ["INTERVAL", "ROUTES", "weighted_phi1"]

ROUTES = ("auto", "chebyshev", "eigh")
INTERVAL = "interval"  # the name of what reverse mode should keep of an interval rather than compute again

# Seconds on two cores of a server with AVX-512, in float64; only ratios matter. Measured at 400 x 128, 256 x 256 and
# 2048 x 512 for 1 to 64 members.
_FLOPS = 70e9
_GRAM_FLOPS = 40e9
_EIGH_SQUARE, _EIGH_CUBE = 6.7e-8, 8.5e-11
_CALL = 4e-6  # of one step of a compiled loop


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
        method: "auto"; "chebyshev", which gives way to "eigh" only where it would need more than 8192 terms; or "eigh".
        tolerance: error relative to the result, as far as rounding allows; "eigh" is exact to rounding.
    """

    def advance(features, scale, drive):
        return _switch(_ADVANCE, features, scale, drive, drive.T)

    def _switch(routes, features, scale, drive, *operands):
        branches = [partial(each, tolerance) for each in routes]
        if method == "eigh":
            return branches[0](features, scale, *operands)
        return jax.lax.switch(_choose(features, scale, drive, method, tolerance), branches, features, scale, *operands)

    @jax.custom_jvp
    def run(features, scale, drive):
        return advance(features, scale, drive).value.T

    def run_jvp(primals, tangents):
        none = [isinstance(t, jax.custom_derivatives.SymbolicZero) for t in tangents]
        dots = [jnp.zeros_like(x) if no else t for x, t, no in zip(primals, tangents, none, strict=True)]
        terms = jax.tree.map(lambda x: checkpoint_name(x, INTERVAL), advance(*primals))
        features_dot = None if none[0] else dots[0]
        change = _switch(_CHANGE, *primals, primals[2].T, terms, features_dot, dots[1], dots[2].T)
        return terms.value.T, change.T

    run.defjvp(run_jvp, symbolic_zeros=True)
    return run(features, scale, drive)


def _choose(features, scale, drive, method, tolerance) -> Int[Array, ""]:
    """Position of the route in `_ADVANCE` and `_CHANGE`, the same for every member of a batch."""
    bound = _trace(features, scale)
    terms = degree(bound, reach(bound, tolerance))
    examples, size = features.shape
    outputs = drive.shape[1]
    matrices = batch_size(scale[0])  # each with its own Gram matrix
    columns = jnp.maximum(batch_size(drive[0, 0]), matrices) * outputs
    gram = matrices * (2 * examples * size**2 / _GRAM_FLOPS)
    eigh = gram + matrices * (_EIGH_SQUARE * size**2 + _EIGH_CUBE * size**3)
    by_gram = gram + terms * (_CALL + matrices * (2 * size**2 * (outputs + 2) / _FLOPS))
    by_features = terms * (_CALL + (columns + 4) * (4 * examples * size / _FLOPS))
    if method == "chebyshev":
        eigh = jnp.inf
    costs = jnp.stack([jnp.asarray(x, bound.dtype) for x in (eigh, by_gram, by_features)])
    return jnp.where(terms > MOST_TERMS, 0, jnp.argmin(costs))


def _trace(features, scale):
    """Upper bound on the eigenvalues of every member's A; a lost member must not decide for the others."""
    trace = jnp.sum(scale * jnp.sum(features**2, axis=1))
    return batch_max(jnp.where(jnp.isfinite(trace), trace, 0))


def _gram(features, scale):
    return features.T @ (scale[:, None] * features)


def _gram_expansion(tolerance, features, scale) -> tuple[Array, Expansion]:
    """A, and the series up to its Frobenius norm: no larger than the trace, and free once A is there."""
    matrix = _gram(features, scale)
    norm = jnp.sqrt(jnp.sum(matrix**2))
    return matrix, expansion(batch_max(jnp.where(jnp.isfinite(norm), norm, 0)), tolerance)


def _eigh_advance(tolerance, features, scale, drive):
    value = phi1_eigh(_gram(features, scale), drive.T, jnp.ones((), drive.dtype)).T
    return Terms(value, jnp.zeros_like(value), jnp.zeros_like(value))


def _gram_advance(tolerance, features, scale, drive):
    matrix, series = _gram_expansion(tolerance, features, scale)
    return apply(lambda rows: rows @ matrix, drive, series)


def _features_advance(tolerance, features, scale, drive):
    series = expansion(_trace(features, scale), tolerance)
    return apply(lambda rows: ((rows @ features.T) * scale) @ features, drive, series)


def _gram_change(features, scale, features_dot, scale_dot):
    if features_dot is None:
        return _gram(features, scale_dot)
    half = features_dot.T @ (scale[:, None] * features)
    return half + half.T + _gram(features, scale_dot)


def _eigh_dot(tolerance, features, scale, drive, terms, features_dot, scale_dot, drive_dot):
    matrix, matrix_dot = _gram(features, scale), _gram_change(features, scale, features_dot, scale_dot)
    unit = lambda matrix, drive: phi1_eigh(matrix, drive, jnp.ones((), drive.dtype))
    return jax.jvp(unit, (matrix, drive.T), (matrix_dot, drive_dot.T))[1].T


def _gram_dot(tolerance, features, scale, drive, terms, features_dot, scale_dot, drive_dot):
    matrix, series = _gram_expansion(tolerance, features, scale)
    matrix_dot = _gram_change(features, scale, features_dot, scale_dot)
    residuals = matrix, drive, terms.term, terms.step, *series
    return transposable(_gram_tangent, _gram_transposed, residuals, (matrix_dot, drive_dot))[0]


def _gram_tangent(residuals, operands):
    (matrix, drive, _, _, *series), (matrix_dot, drive_dot) = residuals, operands

    def bilinear(rows, rows_dot):
        return rows @ matrix, rows_dot @ matrix + rows @ matrix_dot

    return (tangent(bilinear, drive, drive_dot, Expansion(*series)),)


def _gram_transposed(residuals, cotangents):
    matrix, drive, term, step, *series = residuals

    def pull(rows, bar):
        both = jnp.concatenate([rows, bar]) @ matrix
        return *jnp.split(both, 2), rows.T @ bar

    return transposed(pull, term, step, drive, cotangents[0], Expansion(*series))


def _features_dot(tolerance, features, scale, drive, terms, features_dot, scale_dot, drive_dot):
    if features_dot is not None:  # a change of Phi is no change of s: the way through the matrix carries both
        series = expansion(_trace(features, scale), tolerance)
        matrix_dot = _gram_change(features, scale, features_dot, scale_dot)
        residuals = _gram(features, scale), drive, terms.term, terms.step, *series
        return transposable(_gram_tangent, _gram_transposed, residuals, (matrix_dot, drive_dot))[0]
    series = expansion(_trace(features, scale), tolerance)
    residuals = features, scale, drive, terms.term, terms.step, *series
    return transposable(_features_tangent, _features_transposed, residuals, (scale_dot, drive_dot))[0]


def _features_tangent(residuals, operands):
    (features, scale, drive, _, _, *series), (scale_dot, drive_dot) = residuals, operands

    def bilinear(rows, rows_dot):
        seen, seen_dot = jnp.split(jnp.concatenate([rows, rows_dot]) @ features.T, 2)
        both = jnp.concatenate([seen * scale, seen_dot * scale + seen * scale_dot]) @ features
        return tuple(jnp.split(both, 2))

    return (tangent(bilinear, drive, drive_dot, Expansion(*series)),)


def _features_transposed(residuals, cotangents):
    features, scale, drive, term, step, *series = residuals

    def pull(rows, bar):
        seen = jnp.concatenate([rows, bar]) @ features.T
        both = (seen * scale) @ features
        return *jnp.split(both, 2), jnp.sum(jnp.multiply(*jnp.split(seen, 2)), axis=0)

    return transposed(pull, term, step, drive, cotangents[0], Expansion(*series))


_ADVANCE = (_eigh_advance, _gram_advance, _features_advance)
_CHANGE = (_eigh_dot, _gram_dot, _features_dot)
