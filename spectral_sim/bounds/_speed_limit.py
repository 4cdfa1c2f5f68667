"""A speed limit for data problems: how low no schedule of weights on examples can bring the loss."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_ndim, check_non_negative, is_concrete
from .._types import Array, ArrayLike, Float, cast_inexact
from .._where import where
from ..problems import AbstractProblem, OperatorProblem

_RIDGES = 10.0 ** np.arange(-12, 3)  # penalties of the reference solutions, in units of the largest eigenvalue


class SpeedLimit(eqx.Module):
    """A lower bound on the loss of every schedule; see `speed_limit`.

    Arguments:
        times: shape (times,).
        loss: no schedule has a lower loss on the evaluation set at that time, shape (times,).
        floor: the least loss of any parameters that training can reach; the bound is never below it.
        vacuous_from: the time from which on the bound says no more than the floor; infinite if it always does.
    """

    times: Float[Array, "times"]
    loss: Float[Array, "times"]
    floor: Float[Array, ""]
    vacuous_from: Float[Array, ""]


def speed_limit(problem: AbstractProblem, times: ArrayLike) -> SpeedLimit:
    """Bound the loss from below for any weights on examples (or groups), static or dynamic. Rigorous, and loose.

    Let theta* be any parameters, a = theta* - theta, and eps_i = y_i - phi_i theta* what they miss. From
    d/dt 1/2 |a|^2 = -E_q[|r|^2] + E_q[eps . r] and |r| = residual, S = int E_q[|r|^2] obeys
    S <= 1/2 |a(0)|^2 + max|eps| sqrt(t S), so sqrt(S) <= (m sqrt(t) + sqrt(m^2 t + 2 |a(0)|^2)) / 2 with
    m = max|eps|. A direction v moves by |v . (theta(t) - theta(0))| <= B_v sqrt(t S), B_v = max_x |v . phi(x)|. Along
    the eigenvectors of the evaluation loss, and along sets of them, this keeps the loss up. Realisable targets (m = 0)
    give B_v |a(0)| sqrt(t / 2). The best over ridge solutions theta* of many penalties is returned.

    Arguments:
        problem: a data problem; targets need not be realisable.
        times: shape (times,), not negative.

    Returns:
        A `SpeedLimit` for the loss that `simulate` reports, held-out where the problem has an evaluation set.

    Raises:
        TypeError: a problem that is not a data problem.
    """
    data = problem.as_operator()
    if data is None:
        raise TypeError(f"speed_limit is for data problems, not a {type(problem).__name__}: use ideal_oracle there.")
    check_ndim("times", times, 1, "times")
    check_non_negative("times", times)
    loss, floor = _in_float64(data, times)
    times = jnp.asarray(times, problem.dtype)
    bites = loss > floor * (1 + 64 * jnp.finfo(problem.dtype).eps)
    # the bound falls with time, so it bites on an initial stretch of the grid
    first_idle = jnp.sum(bites)
    vacuous_from = where(first_idle < times.size, times[jnp.minimum(first_idle, times.size - 1)], jnp.inf)
    return SpeedLimit(times, loss, floor, vacuous_from)


def _in_float64(problem: OperatorProblem, times: ArrayLike) -> tuple[Array, Array]:
    """The bound in float64 where values are known: in float32 rounding hides directions that training does reach."""
    if not is_concrete(problem, times):
        return _bound(problem, jnp.asarray(times, problem.dtype))
    with jax.enable_x64(True):
        bound = _bound(cast_inexact(problem, jnp.float64), jnp.asarray(np.asarray(times), jnp.float64))
        loss, floor = (np.asarray(x) for x in bound)
    return jnp.asarray(loss, problem.dtype), jnp.asarray(floor, problem.dtype)


@eqx.filter_jit
def _bound(problem: OperatorProblem, times: Array) -> tuple[Array, Array]:
    budget = _displacement(problem, times)[:, None]
    features, targets, mass = problem.evaluation
    # only directions that some training example excites can move: work in their span
    basis = _span(problem.features)
    reached, sources = features @ basis, problem.features @ basis
    residual = targets - features @ problem.initial_parameters
    curvature, directions = jnp.linalg.eigh(reached.T @ (mass[:, None] * reached))
    curvature, directions = jnp.maximum(curvature[::-1], 0), directions[:, ::-1]
    null = curvature <= curvature[0] * jnp.finfo(problem.dtype).eps * features.shape[1]
    drive = jnp.sqrt(jnp.sum((directions.T @ (reached.T @ (mass[:, None] * residual))) ** 2, axis=1))
    distance = where(null, 0, drive / where(null, 1, curvature))  # |v . (theta_best - theta(0))|
    energy = curvature * distance**2
    floor = jnp.maximum(0.5 * (jnp.sum(mass[:, None] * residual**2) - jnp.sum(energy)), 0)

    excitation = (sources @ directions) ** 2
    single = jnp.maximum(distance - jnp.sqrt(jnp.max(excitation, axis=0)) * budget, 0)
    by_mode = 0.5 * jnp.sum(curvature * single**2, axis=1)
    # nested sets: the leading modes, and the trailing ones
    heads = jnp.cumsum(curvature * excitation, axis=1)
    tails = heads[:, -1:] - heads + curvature * excitation
    joint = jnp.concatenate([jnp.max(heads, axis=0), jnp.max(tails, axis=0)])
    total = jnp.concatenate([jnp.cumsum(energy), jnp.cumsum(energy[::-1])[::-1]])
    sets = jnp.maximum(jnp.sqrt(total) - jnp.sqrt(jnp.maximum(joint, 0)) * budget, 0)
    by_set = 0.5 * jnp.max(sets, axis=1) ** 2
    return floor + jnp.maximum(by_mode, by_set), floor


def _displacement(problem: OperatorProblem, times: Array) -> Float[Array, "times"]:
    """The least proven bound on int sqrt(E_q[|r|^2]) up to each time: how far a unit-sensitive direction can move."""
    weighted = problem.features.T * problem.example_mass
    values, vectors = jnp.linalg.eigh(weighted @ problem.features)
    residual = problem.targets - problem.features @ problem.initial_parameters
    rotated = vectors.T @ (weighted @ residual)
    penalties = jnp.asarray(_RIDGES, problem.dtype) * values[-1]
    limits = []
    for penalty in penalties:  # a few penalties, one residual at a time: never penalties x examples x outputs
        move = vectors @ (rotated / (jnp.maximum(values, 0) + penalty)[:, None])
        missed = jnp.sqrt(jnp.max(jnp.sum((residual - problem.features @ move) ** 2, axis=1)))
        limits.append((missed * jnp.sqrt(times) + jnp.sqrt(missed**2 * times + 2 * jnp.sum(move**2))) / 2)
    return jnp.sqrt(times) * jnp.min(jnp.stack(limits), axis=0)


def _span(features: Array) -> Array:
    """An orthonormal basis of the row space of the training features."""
    values, vectors = jnp.linalg.eigh(features.T @ features)
    return where(values > values[-1] * jnp.finfo(features.dtype).eps * features.shape[1], vectors, 0)
