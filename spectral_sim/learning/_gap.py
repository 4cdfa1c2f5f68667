"""How near to the optimum a learned schedule is, and how that is known."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._simulate import simulate
from .._trajectory import Trajectory
from ..problems import AbstractProblem
from ..schedules import (
    AbstractStage,
    chain,
    clip,
    frontier,
    hard_pruning,
    leverage_sampling,
    mix,
    proportional,
    softmax,
    stages_of,
    top_fraction,
    uniform,
)
from ._objectives import AbstractObjective, Penalised


class Gap(eqx.Module):
    """The objective of a learned schedule beside what bounds it and what it has to beat.

    Arguments:
        value: the objective reached, without penalties.
        optimum: no schedule has a smaller objective.
        kind: how that is known: "water-filling" (attained by a schedule), "capped envelope" (attained at one horizon),
            or "speed limit" (a certificate, loose); "unknown" where the problem has no bound, and `optimum` is NaN.
        valid_until: time up to which the bound says anything; infinite for the first two.
        by_hand: objectives of schedules written by hand, by name; "uniform" is no curation.
    """

    value: float
    optimum: float
    kind: str
    valid_until: float
    by_hand: dict[str, float]

    @property
    def uniform(self) -> float:
        """The objective of no curation."""
        return self.by_hand["uniform"]

    @property
    def best_by_hand(self) -> str:
        """Name of the best schedule written by hand, of those that finished."""
        return min(self.by_hand, key=lambda name: self.by_hand[name] if np.isfinite(self.by_hand[name]) else np.inf)

    @property
    def best_by_hand_value(self) -> float:
        """Its objective."""
        return self.by_hand[self.best_by_hand]

    @property
    def gap(self) -> float:
        """value - optimum, in units of the objective (e-folds of loss for log losses)."""
        return self.value - self.optimum


def lower_bound(
    problem: AbstractProblem,
    schedule: AbstractStage,
    objective: AbstractObjective,
    times: np.ndarray,
    *,
    fixed: bool = False,
) -> tuple[float, str, float]:
    """The least objective that any schedule (with the same cap, on modes) can have; how it is known; until when.

    `fixed` leaves out caps that a search may move; see `cap_of`.
    """
    bounds = cap_of(schedule, fixed=fixed)
    bound = problem.lower_bound(times) if bounds is None else problem.capped_bound(times, bounds[1])
    if bound is None:
        return float("nan"), "unknown", 0.0
    return _evaluate(objective, times, bound.loss), bound.name, float(bound.valid_until)


def reachable_floor(problem: AbstractProblem) -> float:
    """The least loss of any parameters that training can reach."""
    return float(problem.floor)


def measure_gap(
    problem: AbstractProblem, schedule: AbstractStage, objective: AbstractObjective, times: np.ndarray, **options: Any
) -> Gap:
    """Compare a schedule with its bound, with no curation and with the best hand-written schedule."""
    optimum, kind, valid_until = lower_bound(problem, schedule, objective, times)
    plain = plain_objective(objective)
    options = {**options, "adjoint": "direct"}  # nothing is differentiated here, so nothing is to be kept for it

    def value(candidate):
        return float(plain(simulate(problem, candidate, times, throw=False, **options)))

    cap = cap_of(schedule)
    by_hand = {name: value(candidate) for name, candidate in hand_written(problem, cap).items()}
    return Gap(value(schedule), optimum, kind, valid_until, by_hand)


def hand_written(problem: AbstractProblem, cap: tuple[float, float] | None = None) -> dict[str, AbstractStage]:
    """Practical schedules that need no search, under the same cap; the ideal oracle is not among them."""
    rules: dict[str, AbstractStage] = {
        "loss-proportional": proportional(1.0),
        "root of loss": proportional(0.5),
        "top half by loss": top_fraction(0.5),
        "softmax of loss": softmax(1.0),
        "loss-proportional, quarter uniform": chain(proportional(1.0), mix(0.25)),
    }
    if problem.difficulty() is not None:
        rules["keep the hard half"] = hard_pruning(0.5)
        rules["keep the easy half"] = hard_pruning(0.5, keep="easy")
    if problem.as_modal() is not None:
        rules["frontier, one e-fold"] = frontier(1.0)
    if problem.as_operator() is not None:
        rules["leverage"] = leverage_sampling()
    if cap is not None:
        rules = {name: chain(*_rules_of(rule), clip(*cap)) for name, rule in rules.items()}
    return {"uniform": uniform(), **rules}


def cap_of(schedule: AbstractStage, *, fixed: bool = False) -> tuple[float, float] | None:
    """The bounds on the weights that a schedule has by construction, None if it has none.

    Arguments:
        schedule: any schedule.
        fixed: only those that a search leaves alone; the bounds of a `clip` are hyperparameters, and it moves them.
    """
    bounds = [stage.weight_bounds(fixed=fixed) for stage in stages_of(schedule)]
    caps = [cap for cap in bounds if cap is not None]
    return (max(low for low, _ in caps), min(high for _, high in caps)) if caps else None


def _rules_of(schedule: AbstractStage) -> tuple[AbstractStage, ...]:
    """A schedule without its constraints."""
    return tuple(stage for stage in stages_of(schedule) if stage.kind != "constrain")


def plain_objective(objective: AbstractObjective) -> AbstractObjective:
    return objective.objective if isinstance(objective, Penalised) else objective


def _evaluate(objective: AbstractObjective, times: np.ndarray, loss: jax.Array) -> float:
    zero = jnp.zeros((), jnp.int32)
    return float(plain_objective(objective)(Trajectory(jnp.asarray(times, loss.dtype), loss, None, zero, zero - 1)))
