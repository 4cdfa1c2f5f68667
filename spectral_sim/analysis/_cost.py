"""What curating costs, in the unit of training time: scoring, second models, generated labels.

Charges are JAX arrays that work under a trace, since periods, fractions and training times may vary in a sweep.
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .._checks import check_non_negative, check_positive
from .._types import Array, ArrayLike
from ..dynamics import AbstractDynamics
from ..problems import AbstractProblem
from ..schedules import AbstractStage, no_scoring, scored_once, stages_of

FORWARD = 1 / 3  # of the compute of a training step on the same examples: two more thirds go backwards


@dataclass(frozen=True)
class CurationCost:
    """Costs of one schedule; pass both to `speedup` for a net speed-up.

    Arguments:
        per_refresh: time units paid at each refresh, shape (times,); the last serves no interval and is 0.
        fixed: time units paid before training, for a teacher or another second model.
    """

    per_refresh: Float[np.ndarray, "times"]
    fixed: float


def curation_cost(
    problem: AbstractProblem,
    schedule: AbstractStage,
    times: ArrayLike,
    *,
    dynamics: AbstractDynamics | None = None,
    cost_per_example: float | None = None,
    cost_per_refresh: float = 0.0,
    batch_size: int = 64,
) -> CurationCost:
    """What a schedule costs beside training itself.

    Charged are the passes over the data that score it (see `scoring_charges`), the training of second models (see
    `training_charges`), and a forward pass for each label that the learner generates itself.

    Compute goes as time x trace of the operator, since a step at learning rate 1 / trace advances time by 1 / trace. So
    a second model that trains for T takes cost x T x (its trace over the problem's), whatever units its eigenvalues are
    in.

    Arguments:
        problem: what is to be learnt. Modes do not say how many examples there are: on them passes cost what
            `cost_per_refresh` says, by default nothing.
        schedule: the schedule.
        times: refresh grid, shape (times,).
        dynamics: of the run, if not the default.
        cost_per_example: time units that scoring one example takes; on data that of a forward pass if None.
        cost_per_refresh: time units of anything else that a refresh with a full pass takes.
        batch_size: examples per training step, which says how much of a time unit a forward pass takes.

    Returns:
        Costs at each refresh and before training.

    Raises:
        ValueError: negative costs, a batch without examples, or a cost per example on modes.
    """
    check_prices(cost_per_example, cost_per_refresh, batch_size)
    per_refresh, fixed = refresh_costs(
        problem,
        schedule,
        times,
        dynamics,
        cost_per_example=cost_per_example,
        cost_per_refresh=cost_per_refresh,
        batch_size=batch_size,
    )
    return CurationCost(np.asarray(per_refresh, np.float64), float(fixed))


def check_prices(cost_per_example: float | None, cost_per_refresh: float, batch_size: int) -> None:
    """Raise ValueError for prices that `curation_cost` cannot take.

    Arguments:
        cost_per_example: time units for scoring one example, or None.
        cost_per_refresh: time units of anything else at a refresh.
        batch_size: examples per training step.
    """
    check_non_negative("cost_per_example", cost_per_example or 0.0, "give the cost in units of time")
    check_non_negative("cost_per_refresh", cost_per_refresh, "give the cost in units of time")
    check_positive("batch_size", batch_size, "give the number of examples per training step")


def refresh_costs(
    problem: AbstractProblem,
    schedule: AbstractStage,
    times: ArrayLike,
    dynamics: AbstractDynamics | None,
    *,
    cost_per_example: float | None,
    cost_per_refresh: float,
    batch_size: int,
) -> tuple[Float[Array, "times"], Float[Array, ""]]:
    """Compute costs at each refresh and before training, as `curation_cost`; works under a trace, `times` apart.

    Arguments:
        problem, schedule, times, dynamics: as in `curation_cost`.
        cost_per_example, cost_per_refresh, batch_size: as in `curation_cost`.
    """
    price = cost_per_refresh
    if problem.num_examples is not None:
        each = step_charge(1, problem.trace, batch_size) if cost_per_example is None else cost_per_example
        price += problem.num_examples * each
    elif cost_per_example is not None:
        raise ValueError("cost_per_example is given, but modes have no examples: use cost_per_refresh.")
    grid = np.asarray(times, np.float64)
    fixed, running = training_charges(problem, schedule, grid, dynamics)
    passes = scoring_charges(schedule, jnp.asarray(grid, problem.dtype))
    return (price * passes + running).astype(problem.dtype), fixed


def step_charge(num_examples: int, trace: Any, batch_size: int) -> Any:
    """Time units that scoring every example once takes.

    A forward pass is a third of the compute of a training step, for each example. A step on `batch_size` examples at
    learning rate 1 / trace advances time by 1 / trace.

    Arguments:
        num_examples: how many there are.
        trace: sum of the eigenvalues of the operator.
        batch_size: examples per training step.
    """
    return FORWARD * num_examples / (batch_size * trace)


def scoring_charges(schedule: AbstractStage, times: ArrayLike) -> Float[Array, "times"]:
    """How many times all data is scored at each refresh; the last entry serves no interval and is 0.

    A stage says by its `scoring` at which refreshes it needs a score of the data. By default that is every refresh at
    which the next stage needs one. Four rules make a charge of this:

    - A stage that remembers scores, such as `stale`, decides for the stages before it: behind `stale` the data is
      scored once per period; behind `subsample` all of it at first, and then a part.
    - A stage that looks at the learner itself, such as `self_scoring`, is charged at every refresh at which it is used,
      even if stages before it remember.
    - A stage that scores the data with a model of its own, such as `teacher`, is charged for that in addition.
    - Stages before one that reads no signal, such as a curriculum, are never used and cost nothing.

    Arguments:
        schedule: the schedule; its hyperparameters may be traced.
        times: refresh grid, shape (times,), in the precision of the run: that in which `stale` compares them with its
            period.
    """
    grid = jnp.asarray(times)[:-1]
    stages = _asked_stages(schedule)
    asked = scored_once(grid) if schedule.static else jnp.ones_like(grid)
    past, models = no_scoring(grid), no_scoring(grid)
    for stage in reversed(stages):
        if stage.looks_past:
            past = jnp.maximum(past, asked)
        models = models + stage.model_scoring(grid, asked)
        own = stage.scoring(grid)
        asked = asked if own is None else own
    return jnp.append(jnp.maximum(asked, past) + models, 0)


def _asked_stages(schedule: AbstractStage) -> tuple[AbstractStage, ...]:
    """The last stage that reads no signal, and the stages behind it: the only ones whose scores are used."""
    stages = stages_of(schedule)
    deaf = [n for n, stage in enumerate(stages) if not (stage.closed_loop and stage.reads_signal)]
    return stages[deaf[-1] if deaf else 0 :]


def training_charges(
    problem: AbstractProblem, schedule: AbstractStage, times: ArrayLike, dynamics: AbstractDynamics | None = None
) -> tuple[Float[Array, ""], Float[Array, "times"]]:
    """Time that second models train for before the run, and that they and own labels take at each refresh.

    Arguments:
        problem: what is to be learnt; a second model's time counts by its trace over that of the problem.
        schedule: the schedule; its hyperparameters may be traced.
        times: refresh grid, shape (times,), constants.
        dynamics: of the run, if not the default.
    """
    durations = jnp.asarray(np.diff(np.asarray(times, np.float64)), problem.dtype)
    fixed, running = jnp.zeros((), problem.dtype), jnp.zeros_like(durations)
    for stage in stages_of(schedule):
        cost = stage.training_cost(problem)
        fixed, running = fixed + cost.before, running + cost.rate * durations
    made = None if dynamics is None else dynamics.own_labels(durations)
    if made is not None:
        running = running + FORWARD * made * durations
    return jnp.asarray(fixed, problem.dtype), jnp.append(running, 0).astype(problem.dtype)
