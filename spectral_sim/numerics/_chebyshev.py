"""phi_1 of minus a positive semidefinite operator by its Chebyshev expansion: products only, nothing stored.

On [0, R] phi_1(-x) = sum_k c_k T_k(1 - 2x/R) with every c_k > 0, z = R/2 and

    c_k = (4/z) sum_(j>k) (j - k) e^(-z) I_j(z),   half of it at k = 0.

No cancellation: at x = 0 every term is positive. T_k g is advanced by its differences d_k = T_k g - T_(k-1) g,

    d_(k+1) = d_k - (4/R) A T_k g,   T_(k+1) g = T_k g + d_(k+1),   d_1 = -(2/R) A g,

which keeps slow directions (A small) to rounding and runs backwards as exactly as forwards.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Float, Int
from .._where import where
from ._phi import phi1

Bilinear = Callable[[Array, Array], tuple[Array, Array]]
Pull = Callable[[Array, Array], tuple[Array, Array, Array, Array]]
Gather = Callable[[Array, Array], Array]

MOST_TERMS = 8192  # enough for R = 1e6 to 1e-12
_BLOCK = 32  # coefficients found in one pass of the loop; XLA makes one function of a loop over so little on CPU
_FIRST_ORDER = 0.05  # the smallest R/2: below, a larger R costs nothing and keeps the recurrence in range
_NEWTON_STEPS = 6


class Expansion(NamedTuple):
    """The coefficients c_k of phi_1(-x) on [0, bound].

    Arguments:
        coefficients: c_k, zero beyond the degree.
        terms: degree n.
        bound: R, the smallest usable at least.
    """

    coefficients: Float[Array, "terms"]
    terms: Int[Array, ""]
    bound: Float[Array, ""]


class Terms(NamedTuple):
    """phi_1(-A) g on rows, and the last two terms behind it.

    Arguments:
        value: phi_1(-A) g.
        term: T_n g.
        step: d_n, its difference to the term before.
    """

    value: Float[Array, "outputs features"]
    term: Float[Array, "outputs features"]
    step: Float[Array, "outputs features"]


def degree(bound: Float[Array, ""], tolerance: Float[Array, ""]) -> Float[Array, ""]:
    """A degree n, a tenth too high, with sum_(k>n) c_k <= tolerance.

    e^(-z) I_j(z) is the distribution of the difference of two Poisson variables of mean z/2, whose exponential moments
    give sum_(k>n) c_k <= (4 / (z s^2)) exp(-z (s sinh s - cosh s + 1)) with n = z sinh s. Newton's method on the
    exponent, convex, comes down to the root from above, so every iterate is safe.
    """
    z = jnp.maximum(bound / 2, _FIRST_ORDER)
    wanted = jnp.log1p(4 / z) - jnp.log(tolerance)
    s = jnp.minimum(jnp.sqrt(2 * wanted / z), 2 + jnp.log1p(2 * wanted / z))

    def newton(_, s):
        excess = z * (s * jnp.sinh(s) - 2 * jnp.sinh(s / 2) ** 2) - wanted
        return s - excess / (z * s * jnp.cosh(s))

    return jnp.ceil(z * jnp.sinh(jax.lax.fori_loop(0, _NEWTON_STEPS, newton, s))) + 1


def reach(bound: Float[Array, ""], tolerance: float) -> Float[Array, ""]:
    """The part of phi_1(0) = 1 that may be neglected: `tolerance` of phi_1(-R), the smallest value.

    So a step is right to `tolerance` of its own length, whatever its direction, until rounding stops it.
    """
    smallest = phi1(-jnp.maximum(bound, 2 * _FIRST_ORDER))
    return jnp.maximum(tolerance * smallest, jnp.finfo(bound.dtype).eps)


def expansion(bound: Float[Array, ""], tolerance: float) -> Expansion:
    """Coefficients of as many terms as `tolerance` asks for, at most `MOST_TERMS`."""
    bound = jnp.maximum(bound, 2 * _FIRST_ORDER)
    z, neglected = bound / 2, reach(bound, tolerance)
    sums = _bessel_sums(z, jnp.minimum(degree(bound, neglected), MOST_TERMS).astype(jnp.int32) + 4)
    scale, order = 4 / (z * sums.all_orders), jnp.arange(MOST_TERMS)
    terms = jnp.maximum(1, jnp.sum(scale * sums.beyond > neglected)).astype(jnp.int32)
    coefficients = where(order == 0, 0.5, 1) * scale * sums.weighted
    return Expansion(where(order <= terms, coefficients, 0).astype(bound.dtype), terms, bound)


class _BesselSums(NamedTuple):
    """Sums of Bessel functions I_j(z), all of them times one unknown factor.

    Arguments:
        all_orders: I_0 + 2 sum_(j>0) I_j, which is e^z times the factor.
        weighted: sum_(j>k) (j - k) I_j for each k.
        beyond: sum_(l>=k) weighted_l for each k: what the coefficients from k on add up to.
    """

    all_orders: Float[Array, ""]
    weighted: Float[Array, "terms"]
    beyond: Float[Array, "terms"]


class _Recurrence(NamedTuple):
    """Where the recurrence stands at an order j: I_(j+1), I_j, and the sums of what has been passed."""

    above: Float[Array, ""]
    here: Float[Array, ""]
    total: Float[Array, ""]
    weighted: Float[Array, ""]
    beyond: Float[Array, ""]


def _bessel_sums(z: Float[Array, ""], start: Int[Array, ""]) -> _BesselSums:
    """Bessel functions by their recurrence downwards from beyond the degree, where the wanted solution grows.

    All of them are positive there, so nothing cancels. What begins with a small number at `start` is normalised by
    the sum of all orders.

    Source:
        Gil, Segura and Temme, Numerical Methods for Special Functions (SIAM, 2007), section 4.6 (Miller's algorithm).
    """
    dtype = z.dtype
    seed = jnp.sqrt(jnp.finfo(dtype).tiny)

    def one_order(order: Array, at: _Recurrence) -> _Recurrence:
        here = where(order == start, seed, at.here)
        weighted = at.weighted + at.total
        below = at.above + 2 * order.astype(dtype) / z * here
        return _Recurrence(here, below, at.total + here, weighted, at.beyond + weighted)

    def one_block(carry):
        first, at, found = carry

        def one_place(place, carry):
            at, batch = carry
            column = jnp.stack([at.weighted + at.total, at.beyond])[:, None]
            batch = jax.lax.dynamic_update_slice(batch, column, (0 * place, _BLOCK - 1 - place))
            return one_order(first + _BLOCK - 1 - place, at), batch

        at, batch = jax.lax.fori_loop(0, _BLOCK, one_place, (at, jnp.zeros((2, _BLOCK), dtype)))
        return first - _BLOCK, at, jax.lax.dynamic_update_slice(found, batch, (0 * first, first))

    found = jnp.zeros((2, MOST_TERMS + 2 * _BLOCK), dtype)
    begin = start // _BLOCK * _BLOCK, _Recurrence(*(jnp.zeros((), dtype),) * 5), found
    _, at, (weighted, beyond) = jax.lax.while_loop(lambda carry: carry[0] >= 0, one_block, begin)
    # the last order passed is 0, which counts once
    return _BesselSums(2 * at.total - at.above, weighted[:MOST_TERMS], beyond[:MOST_TERMS])


def apply(product: Callable[[Array], Array], drive: Float[Array, "outputs features"], series: Expansion) -> Terms:
    """phi_1(-A) g for x -> `product(x)` = A x on rows, and the last term, from which the recurrence runs backwards."""
    half = 2 / series.bound
    step = -half * product(drive)
    start = jnp.ones((), jnp.int32), drive + step, step, series.coefficients[0] * drive

    def advance(carry):
        order, term, step, total = carry
        total = total + series.coefficients[order] * term
        step = step - 2 * half * product(term)
        return order + 1, term + step, step, total

    order, term, step, total = jax.lax.while_loop(lambda carry: carry[0] < series.terms, advance, start)
    return Terms(total + series.coefficients[order] * term, term, step)


def tangent(bilinear: Bilinear, drive: Array, drive_dot: Array, series: Expansion) -> Array:
    """The change of phi_1(-A) g with g and A, all at once by one recurrence over (term, its change).

    Arguments:
        bilinear: (x, x_dot) -> (A x, A x_dot + A_dot x).
    """
    half = 2 / series.bound

    def halfway(term, term_dot):
        change, change_dot = bilinear(term, term_dot)
        return half * change, half * change_dot

    change, change_dot = halfway(drive, drive_dot)
    start = jnp.ones((), jnp.int32), drive - change, -change, drive_dot - change_dot, -change_dot
    start = *start, series.coefficients[0] * drive_dot

    def advance(carry):
        order, term, step, term_dot, step_dot, total = carry
        total = total + series.coefficients[order] * term_dot
        change, change_dot = halfway(term, term_dot)
        step, step_dot = step - 2 * change, step_dot - 2 * change_dot
        return order + 1, term + step, step, term_dot + step_dot, step_dot, total

    order, _, _, term_dot, _, total = jax.lax.while_loop(lambda carry: carry[0] < series.terms, advance, start)
    return total + series.coefficients[order] * term_dot


def transposed(
    pull: Pull, gather: Gather, term: Array, step: Array, drive: Array, cotangent: Array, series: Expansion, block: int
) -> tuple[Array, Array]:
    """The transpose of `tangent`: both recurrences run backwards, the terms from the last one, so nothing is stored.

    Arguments:
        pull: (term, adjoint) -> (A term, A adjoint, left, right).
        gather: of a block of lefts and rights, along a new first axis, the sum of adjoint . A_dot term as a covector of
            A_dot.
        term, step: the last ones, as `apply` returned them.
        cotangent: of the result.
        block: how many are gathered at a time.

    Returns:
        Cotangents of the operator, as `gather` gives them, and of the drive.
    """
    half = 2 / series.bound
    order = series.terms - 1
    state = order, term - step, step, series.coefficients[order + 1] * cotangent, jnp.zeros_like(cotangent)
    empty = jax.tree.map(lambda x: jnp.zeros((block, *x.shape), x.dtype), jax.eval_shape(pull, drive, cotangent)[2:])

    def retreat(carry):
        slot, (order, term, step, term_bar, step_bar), gathered = carry
        step_bar = step_bar + term_bar
        change, change_bar, *pair = pull(term, step_bar)
        step = step + 2 * half * change
        term_bar = term_bar - 2 * half * change_bar + series.coefficients[order] * cotangent
        put = lambda all, one: jax.lax.dynamic_update_index_in_dim(all, one, slot, 0)
        gathered = jax.tree.map(put, gathered, tuple(pair))
        return slot + 1, (order - 1, term - step, step, term_bar, step_bar), gathered

    def retreat_block(carry):
        state, total = carry
        going_on = lambda carry: (carry[0] < block) & (carry[1][0] > 0)
        _, state, gathered = jax.lax.while_loop(going_on, retreat, (jnp.zeros((), jnp.int32), state, empty))
        return state, total - 2 * half * gather(*gathered)

    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(gather, *empty))
    state, total = jax.lax.while_loop(lambda carry: carry[0][0] > 0, retreat_block, (state, nothing))
    *_, term_bar, step_bar = state
    step_bar = step_bar + term_bar
    _, change_bar, *pair = pull(drive, step_bar)
    total = total - half * gather(*(x[None] for x in pair))
    return total, term_bar - half * change_bar + series.coefficients[0] * cotangent
