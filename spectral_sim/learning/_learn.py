"""Learning a schedule: the search, and how near to the best it came."""

from collections.abc import Sequence
from typing import Any

import optax

from .._simulate import simulate
from .._types import ArrayLike, PRNGKeyArray
from ..bounds import Certificate
from ..problems import AbstractProblem
from ..schedules import AbstractStage
from ._gap import gap_of
from ._learned import Learned, warn_of_small_samples
from ._objectives import AbstractObjective
from ._sampler import per_example, sampler_of
from ._search import as_problems, run_key, search


def learn(
    problem: AbstractProblem | Sequence[AbstractProblem],
    schedule: AbstractStage | None,
    times: ArrayLike,
    *,
    objective: AbstractObjective,
    start: Certificate | None = None,
    optimizer: optax.GradientTransformation | None = None,
    steps: int = 500,
    num_starts: int = 1,
    key: PRNGKeyArray | None = None,
    **options: Any,
) -> Learned:
    """Find a schedule by gradients, and say how far it is from the best conceivable one.

    This is `search`, and `measure_gap` on what it found. `compare_by_hand` evaluates schedules that need no search.

    Arguments:
        problem: one problem, or several; see `across` of `search`.
        schedule: where the search begins: a `TableSchedule`, a `PolicySchedule`, or any chain; None with `start`.
        times: refresh grid, shape (times,).
        objective: what to minimise, such as `anytime_log_loss()`.
        start: a certificate of the (first) problem, from `bounds.certificate`: the search begins at the weights that it
            points at, `Learned.certificate` keeps it, and the gap is measured to it.
        optimizer: optax optimiser; Adam with a cosine decay from 0.1 if None.
        steps: number of gradient steps.
        num_starts: number of starts; the first is `schedule` itself, the others add noise to its leaves.
        key: PRNG key of the starts, and of what draws random numbers in a run (the same draws at every step).
        **options: all that `search` takes, such as `dynamics`, `trainable`, `limits`, `across`, `patience`,
            `checkpoint` and `report`.

    Returns:
        A `Learned`.

    Raises:
        ValueError: as `search`; both or neither of `schedule` and `start`.
        SavedFileError: a checkpoint of another search, or a damaged one.
        SearchError: every start failed.

    Warns:
        UserWarning: the weights that were found leave little of the data: their effective sample size is small.
    """
    problems = as_problems(problem)
    begin = _beginning(schedule, start, times)
    settings = {"optimizer": optimizer, "steps": steps, "num_starts": num_starts, "key": key, **options}
    found = search(problems, begin, times, objective=objective, **settings)
    run_options = {"dynamics": found.dynamics, "key": run_key(key)}
    # nothing is differentiated: nothing is kept for it
    runs = [simulate(p, found.schedule, times, save=per_example, adjoint="direct", **run_options) for p in problems]
    learned = Learned(
        schedule=found.schedule,
        dynamics=found.dynamics,
        value=found.value,
        history=found.history,
        failed_at=found.failed_at,
        best_start=found.best_start,
        gap=tuple(
            gap_of(each, found.schedule, run, objective, times, proof=None if n else start, **run_options)
            for n, (each, run) in enumerate(zip(problems, runs, strict=True))
        ),
        steps=found.steps,
        samplers=tuple(sampler_of(each, run, times) for each, run in zip(problems, runs, strict=True)),
        certificate=start,
    )
    warn_of_small_samples(learned, problems)
    return learned


def _beginning(schedule: AbstractStage | None, start: Certificate | None, times: ArrayLike) -> AbstractStage:
    if schedule is not None and start is None:
        return schedule
    if schedule is None and start is not None:
        return start.schedule(times)
    given = "neither a schedule nor" if start is None else "a schedule and"
    raise ValueError(f"learn() was given {given} start=: give one of them, as the search begins in one place.")
