"""phi_1(-Phi^T diag(s) Phi) g by the cheapest of three routes, with derivatives in both modes."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from .._types import Array, Float
from ._chebyshev import expansion
from ._eigen_step import phi1_eigen, trace_bound
from ._phi_routes import ADVANCE, CHANGE, PULL
from ._route_costs import chosen_route
from ._segmented import INTERVAL
from ._transposable import transposable

ROUTES = ("auto", "chebyshev", "eigh")
"""Names of the ways to compute `weighted_phi1`."""

_FEW_FEATURES = 16  # their eigenvectors take about as long as any loop: no other route is compiled


def weighted_phi1(
    features: Float[Array, "examples features"],
    scale: Float[Array, "examples"],
    drive: Float[Array, "features outputs"],
    method: str,
    tolerance: float,
) -> tuple[Float[Array, "features outputs"], Float[Array, ""]]:
    """Compute phi_1(-A) g, A = Phi^T diag(s) Phi: the change of the parameters over an interval of held weights.

    Routes: the eigenvectors of A; a Chebyshev expansion with A as a matrix; the same with A as two products with Phi,
    which the members of a batch share as one matrix-matrix product each. All members take the same route and the same
    number of terms, chosen anew for every call from the largest trace among them and measured costs: a batch runs one
    route, never all.

    Arguments:
        features: Phi.
        scale: s, non-negative: duration times base mass times weight.
        drive: g: duration times the slope of the parameters.
        method: "auto"; "chebyshev", which gives way to "eigh" only where it would need more than 8192 terms or where
            its rounding could reach a tenth of the result; or "eigh".
        tolerance: error relative to the result, as far as rounding allows; "eigh" is exact to rounding.

    Returns:
        phi_1(-A) g, and its gain of rounding. One unit of rounding of the residual behind g moves the residual that is
        left by about as many. The gain has no derivative.
    """

    if method == "eigh" or (method == "auto" and features.shape[1] <= _FEW_FEATURES):
        return phi1_eigen(features, scale, drive)
    switch = _Switch(method, tolerance)

    @jax.custom_jvp
    def run(features, scale, drive):
        terms, gain = switch(ADVANCE, features, scale, drive.T)
        return terms.value.T, gain

    def run_jvp(primals, tangents):
        features, scale, drive = primals[0], primals[1], primals[2].T
        none = [isinstance(t, jax.custom_derivatives.SymbolicZero) for t in tangents]
        dots = [jnp.zeros_like(x) if no else t for x, t, no in zip(primals, tangents, none, strict=True)]
        terms, gain = jax.tree.map(lambda x: checkpoint_name(x, INTERVAL), switch(ADVANCE, features, scale, drive))
        residuals = features, scale, drive, terms.term, terms.step
        # most often Phi is constant, and then no change of the whole matrix is ever formed
        operands = (dots[1], dots[2].T) if none[0] else (dots[1], dots[2].T, dots[0])
        dense = not none[0]
        (change,) = transposable(_Rule(switch, CHANGE, dense), _Rule(switch, PULL, dense), residuals, operands)
        return (terms.value.T, gain), (change.T, jnp.zeros_like(gain))

    run.defjvp(run_jvp, symbolic_zeros=True)
    return run(features, scale, drive)


def chebyshev_terms(
    features: Float[Array, "examples features"], scales: Float[Array, "schedules examples"], tolerance: float
) -> int:
    """Count the terms of the expansion that the members of a batch share: products of A with a vector.

    Arguments:
        features: Phi, shape (examples, features).
        scales: s of each member, shape (schedules, examples).
        tolerance: relative error of phi_1(-A) g.
    """
    bound = jax.vmap(trace_bound, (None, 0), None)(features, scales)
    return int(expansion(bound, tolerance).terms)


@dataclass(frozen=True)
class _Switch:
    """Takes one of three routes, the same for a whole batch."""

    method: str
    tolerance: float

    def __call__(self, routes, features, scale, drive, *operands):
        index = chosen_route(features, scale, drive, self.method, self.tolerance)
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
