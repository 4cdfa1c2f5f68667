"""The ideal oracle: the least loss that any weights of mean one per mode can reach."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_entries, check_ndim, check_non_negative, check_positive
from .._types import Array, ArrayLike, Float
from .._where import where
from ..numerics import capped_water_level, log_or_minus_inf, water_level
from ..problems import AbstractProblem, ModalProblem, modal_view


class IdealOracle(eqx.Module):
    """Water-filling at every time; see `ideal_oracle`.

    Arguments:
        times: shape (times,).
        loss: training loss, shape (times,).
        frontier: number of modes being learnt at each time, shape (times,).
        log_weights: log of the mean weight on each mode from time 0 on, log(u_k / (lam_k t)), shape (times, modes).
        quadrature_error: relative change of the loss on a rule with twice the nodes, shape (times,); 0 for plain modes.
        floor: the part of the loss that no training removes, included in `loss`.
        is_bound: whether no schedule of the problem can do better. True for modal problems. False for data problems:
            weights on examples align the operator with the residual, and may beat the per-mode ideal early on.
    """

    times: Float[Array, "times"]
    loss: Float[Array, "times"]
    frontier: Float[Array, "times"]
    log_weights: Float[Array, "times modes"]
    quadrature_error: Float[Array, "times"]
    floor: Float[Array, ""]
    is_bound: bool = eqx.field(static=True)


def ideal_oracle(problem: AbstractProblem, times: ArrayLike, cap: Any = None) -> IdealOracle:
    """Minimise the loss at each time over all progress that the budget allows.

    u_k = 1/2 log(E_k(0) / mu)_+ with sum_k m_k u_k = kappa t, exact by one sort. Allocations are nested in time, so one
    schedule (`water_filling`) attains the curve at every time at once. With a cap u_k = clip(1/2 log(E_k(0) / mu), 0,
    cap lam_k t): a pointwise envelope that no single capped schedule attains at all times, but none beats.

    Arguments:
        problem: modal, or a data problem (its modal view; then the curve is a reference and not a bound).
        times: shape (times,), not negative.
        cap: largest weight, scalar, at least 1; none if None.

    Returns:
        An `IdealOracle`.

    Raises:
        ValueError: a cap below 1, which admits no weights of mean one; negative times.
        TypeError: a problem that has neither modes nor features.

    Source:
        Boyd and Vandenberghe, Convex Optimization (2004), example 5.2, with log energies for noise levels.
    """
    check_ndim("times", times, 1, "times")
    check_non_negative("times", times)
    if cap is not None:
        check_positive("cap", cap)
        check_entries("cap", cap, lambda x: x >= 1, "weights of mean one need a cap of at least 1")
    modal, data = problem.as_modal(), problem.as_operator()
    is_bound, floor = modal is not None, None
    if data is not None:
        modal, floor = modal_view(data)
    if modal is None:
        raise TypeError(
            f"ideal_oracle needs modes, and {type(problem).__name__} has none: define as_modal() or as_operator()."
        )
    floor = modal.floor if floor is None else floor
    times = jnp.asarray(times, problem.dtype)
    loss, frontier, log_weights = _water_fill(modal, times, cap)
    error = jnp.zeros_like(loss)
    finer = modal.refined()
    if finer is not None:
        error = jnp.abs(_water_fill(finer, times, cap)[0] - loss) / (loss + floor)
    return IdealOracle(times, loss + floor, frontier, log_weights, error, floor, is_bound)


@eqx.filter_jit
def _water_fill(problem: ModalProblem, times: Array, cap: Any) -> tuple[Array, Array, Array]:
    # modes of zero eigenvalue are never learnt: they take no part, and their energy stays
    log_energy = log_or_minus_inf(where(problem.eigenvalues > 0, problem.energies, 0))
    budget = problem.trace * times
    if cap is None:
        level = water_level(log_energy, problem.multiplicity, budget)
        limit = jnp.inf
    else:
        limit = cap * problem.eigenvalues * times[:, None]
        solve = jax.vmap(lambda most, total: capped_water_level(log_energy, problem.multiplicity, most, total))
        level = solve(limit, budget)
    relative = log_energy - jnp.max(log_energy)
    progress = jnp.clip((relative - level[:, None]) / 2, 0, limit)
    loss = 0.5 * jnp.sum(problem.multiplicity * problem.energies * jnp.exp(-2 * progress), axis=1)
    frontier = jnp.sum(where(progress > 0, problem.multiplicity, 0), axis=1)
    # before any time has passed the mean weight is that of the first instant: water-filling of nothing is uniform here
    drained = problem.eigenvalues * times[:, None]
    return loss, frontier, where(drained > 0, log_or_minus_inf(progress / where(drained > 0, drained, 1)), 0)
