"""How near to the optimum a learned schedule is, and how that is known."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._identity import identity
from .._simulate import simulate
from .._trajectory import Trajectory
from .._types import ArrayLike
from ..bounds import Certificate
from ..dynamics import AbstractDynamics
from ..problems import AbstractProblem, Bound
from ..schedules import AbstractStage, stages_of, uniform
from ._objectives import AbstractObjective

_FORWARD: dict[str, Any] = {"adjoint": "direct", "throw": False}  # nothing is differentiated: nothing is kept for it


class Gap(eqx.Module):
    """The objective of a schedule between that of no curation and what no schedule can beat.

    Arguments:
        value: the objective reached, without penalties.
        uniform: the objective of no curation, under the same dynamics.
        optimum: no schedule has a smaller objective; None where nothing of the kind is known.
        kind: how that is known, as the problem names it: "water-filling" (attained by a schedule), "capped envelope"
            (attained at one horizon), "speed limit" (proven, and loose), "certificate" (proven, nearly tight for one
            horizon); None without a bound.
        valid_until: time up to which the bound says anything; infinite if it always does.
    """

    value: float
    uniform: float
    optimum: float | None
    kind: str | None
    valid_until: float = float("inf")

    @property
    def gap(self) -> float | None:
        """How far the value is above the optimum, in units of the objective (e-folds of loss); None without a bound."""
        return None if self.optimum is None else self.value - self.optimum


def measure_gap(
    problem: AbstractProblem,
    schedule: AbstractStage,
    objective: AbstractObjective,
    times: ArrayLike,
    *,
    proof: Certificate | None = None,
    **options: Any,
) -> Gap:
    """Compare a schedule with no curation, and with what the problem says that no schedule can beat.

    Arguments:
        problem: what it runs on; its `lower_bound` is the bound, under the cap of the schedule if it has one.
        schedule: any schedule.
        objective: what is compared, without penalties.
        times: refresh grid, shape (times,).
        proof: a certificate of the problem, which tightens the bound where it holds for the schedule.
        **options: passed on to `simulate` (`dynamics`, `key`).
    """
    run = simulate(problem, schedule, times, **{**options, **_FORWARD})
    return gap_of(problem, schedule, run, objective, times, proof=proof, **options)


def gap_of(
    problem: AbstractProblem,
    schedule: AbstractStage,
    run: Trajectory,
    objective: AbstractObjective,
    times: ArrayLike,
    *,
    proof: Certificate | None = None,
    **options: Any,
) -> Gap:
    """The same from a run of the schedule."""
    plain = objective.plain
    reference = float(plain(simulate(problem, uniform(), times, **{**options, **_FORWARD})))
    value, cap = float(plain(run)), cap_of(schedule)
    bound = bound_on(problem, times, cap, options.get("dynamics"))
    if bound is not None and proof is not None and (proof.cap is None or (cap is not None and cap[1] <= proof.cap)):
        loss = np.maximum(np.asarray(bound.loss, np.float64), proof.bound(times))
        bound = Bound(jnp.asarray(loss), "certificate", max(bound.valid_until, float(proof.horizon.max())))
    optimum = None if bound is None else evaluate(objective, times, bound)
    if bound is None or optimum is None:
        return Gap(value, reference, None, None)
    return Gap(value, reference, optimum, bound.name, float(bound.valid_until))


def bound_on(
    problem: AbstractProblem,
    times: ArrayLike,
    cap: tuple[float, float] | None,
    dynamics: AbstractDynamics | None = None,
) -> Bound | None:
    """What no schedule with such a cap can beat; None where the problem does not say, or for a dynamics not its own.

    A bound is proven for the dynamics that the problem takes by default, with the settings that they have there: steps
    of SGD may be faster than gradient flow, and so may a larger rate be.
    """
    if dynamics is not None and not _is_own(problem, dynamics):
        return None
    grid = np.asarray(times, np.float64)
    return problem.lower_bound(grid) if cap is None else problem.capped_bound(grid, cap[1])


def _is_own(problem: AbstractProblem, dynamics: AbstractDynamics) -> bool:
    """Whether a dynamics and its settings are those that the problem takes by default."""
    try:
        return identity(dynamics) == identity(problem.default_dynamics())
    except TypeError:  # no default, or settings that cannot be told: nothing is known to be proven for them
        return False


def evaluate(objective: AbstractObjective, times: ArrayLike, bound: Bound) -> float | None:
    """The objective of a curve that is a bound; None for an objective that needs the weights of a run."""
    plain = objective.plain
    if plain.needs_weights:
        return None
    zero = jnp.zeros((), jnp.int32)
    loss = jnp.asarray(bound.loss)
    return float(plain(Trajectory(jnp.asarray(times, loss.dtype), loss, None, zero, zero - 1)))


def cap_of(schedule: AbstractStage, *, fixed: bool = False) -> tuple[float, float] | None:
    """The bounds on the weights that a schedule has by construction, None if it has none.

    Arguments:
        schedule: any schedule.
        fixed: only those that a search leaves alone; the bounds of a `clip` are hyperparameters, and it moves them.
    """
    bounds = [stage.weight_bounds(fixed=fixed) for stage in stages_of(schedule)]
    caps = [cap for cap in bounds if cap is not None]
    return (max(low for low, _ in caps), min(high for _, high in caps)) if caps else None
