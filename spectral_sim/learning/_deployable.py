"""On data: what the best conceivable curation would reach, beside what can be had without looking at the answer."""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
import optax

from .._checks import check_choice, check_times
from .._simulate import simulate
from .._types import ArrayLike, PRNGKeyArray
from ..problems import OperatorProblem
from ..schedules import AbstractStage, TableSchedule, stages_of
from ._by_hand import ByHand, compare_by_hand, hand_written
from ._gap import cap_of
from ._learn import learn
from ._learned import Learned
from ._objectives import AbstractObjective
from ._sampler import SamplerWeights, per_example, sampler_of
from ._search import SearchProgress

SEARCHED_ON = ("validation", "training")
_LITTLE = 0.1
_NOTHING = 0.0005  # rounds to 0.0% or 0.1%


class CeilingAndDeployable(eqx.Module):
    """Two learned schedules that must not be mixed up, and what they are compared with.

    Objectives are those of runs on all training examples, measured on the evaluation set.

    Arguments:
        ceiling: its search saw the evaluation loss. No result of practice: what the best conceivable curation of these
            examples would reach, as far as the search found it.
        deployable: its search saw the training examples only; `deployable.gap` is that of the search.
        searched_on: what the deployable search minimised, "validation" or "training" loss.
        uniform: objective of no curation.
        ceiling_value: objective of the ceiling.
        deployable_value: objective of the deployable schedule, on data that its search never saw.
        compared: hand-written schedules on what the deployable search saw.
        by_hand_value: objective of the best of them, on the evaluation set.
        sampler: weights of the deployable schedule for all training examples.
        measures: what the objectives are logarithms of, "loss" or "time".
    """

    ceiling: Learned
    deployable: Learned
    searched_on: str
    uniform: float
    ceiling_value: float
    deployable_value: float
    compared: ByHand
    by_hand_value: float
    sampler: SamplerWeights
    measures: str = "loss"

    @property
    def by_hand(self) -> str:
        """Name of the hand-written schedule that does best on what the deployable search saw."""
        return self.compared.best

    def verdict(self) -> str:
        """In plain words how much there is to gain and how much of it can be had."""
        values = self.ceiling_value, self.deployable_value, self.by_hand_value
        best, real, hand = (-np.expm1(value - self.uniform) for value in values)
        said = "the loss" if self.measures == "loss" else "the time to the target"
        head = "Curation buys little here: even" if best < _LITTLE else "There is something to gain:"
        return (
            f"{head} the ceiling, a schedule learned on the evaluation loss itself, {_change(best, said)}. The "
            f"deployable schedule, learned on {self.searched_on} loss and scored on data it never saw, "
            f"{_change(real, said)}; the hand-written rule picked in the same way ({self.by_hand}) "
            f"{_change(hand, said)}."
        )


def ceiling_and_deployable(
    problem: OperatorProblem,
    schedule: AbstractStage,
    times: ArrayLike,
    *,
    objective: AbstractObjective,
    ceiling_schedule: AbstractStage | None = None,
    searched_on: str = "training",
    ceiling_optimizer: optax.GradientTransformation | None = None,
    validation_fraction: float = 0.25,
    seed: int = 0,
    key: PRNGKeyArray | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    by_hand: Mapping[str, AbstractStage] | None = None,
    report: Callable[[SearchProgress], None] | None = None,
    validation: OperatorProblem | None = None,
    **options: Any,
) -> CeilingAndDeployable:
    """Learn a schedule twice: once seeing the evaluation loss, once without.

    Arguments:
        problem: a data problem with an evaluation set.
        schedule: where the deployable search begins. For "validation" one that runs on any number of examples: a
            policy, a chain, or a table over quantiles of difficulty or over groups.
        times: refresh grid, shape (times,).
        objective: what to minimise, the same for both.
        ceiling_schedule: where the search for the ceiling begins; a table with a column for each weight, under the same
            cap, if None.
        searched_on: "training", the loss on all training examples, or "validation", the loss on a part of them that is
            set aside during the search.
        ceiling_optimizer: optax optimiser of the search for the ceiling; the default of `learn` if None.
        validation_fraction: part of the training examples that is set aside.
        seed: seed of that split.
        key: PRNG key of the starts and of random stages.
        checkpoint: path of the state of the searches; "-ceiling" and "-deployable" are added to its stem.
        by_hand: schedules that need no search, by name, of which the best on what the deployable search saw is
            compared; `hand_written` for the problem, under the same cap, if None.
        validation: what the deployable search sees, where rows that are trusted were set aside beforehand: the same
            training examples, with those rows as the evaluation set. It takes the place of a part of the training
            examples.
        report: as for `search`; the name of the progress is "ceiling" or "deployable".
        **options: passed on to `learn`.

    Raises:
        ValueError: a problem without an evaluation set, a table with a column for each example where examples are set
            aside, or as for `learn`.
        TypeError: a problem that is not a data problem.
    """
    data = problem.as_operator()
    if data is None:
        raise TypeError(f"problem is a {type(problem).__name__}: on modes there is no data to overfit; use learn().")
    if not data.has_evaluation:
        raise ValueError("problem has no evaluation set: give eval_features and eval_targets, data no search may see.")
    check_choice("searched_on", searched_on, SEARCHED_ON)
    check_times(times)
    grid = np.asarray(times, np.float64)
    if validation is not None:
        searched_on = "validation"
    made = validation is None
    inner = search_problem(problem, searched_on, validation_fraction, seed) if validation is None else validation
    for own in (inner, problem):  # both, before the first of two long searches
        objective.check(grid, float(own.floor))
    columns_of = [stage.num_columns for stage in stages_of(schedule)]
    for columns in columns_of if made and searched_on == "validation" and problem.groups is None else ():
        if columns in (len(problem.mass), len(inner.mass)):
            raise ValueError(
                f"the table has {columns} columns, one for each example, but some examples are set aside for "
                "validation: use fewer columns (quantiles of difficulty), a policy, or searched_on='training'."
            )
    if ceiling_schedule is None:
        ceiling_schedule = TableSchedule.create(problem, grid, cap=cap_of(schedule))

    def search(which: str, where: OperatorProblem, start: AbstractStage, **own: Any) -> Learned:
        path = None if checkpoint is None else Path(checkpoint).with_stem(f"{Path(checkpoint).stem}-{which}")
        tell = None if report is None else functools.partial(_tell, report, which)
        return learn(where, start, grid, objective=objective, key=key, checkpoint=path, report=tell, **own)

    deployable = search("deployable", inner, schedule, **options)
    ceiling = search("ceiling", problem, ceiling_schedule, **{**options, "optimizer": ceiling_optimizer})

    run_options = {"dynamics": deployable.dynamics, "key": key}
    rules = hand_written(problem, cap_of(deployable.schedule)) if by_hand is None else by_hand
    compared = compare_by_hand(inner, objective, grid, schedules=rules, **run_options)
    run = simulate(problem, deployable.schedule, grid, save=per_example, **run_options)
    by_hand_run = simulate(problem, rules[compared.best], grid, throw=False, **run_options)
    return CeilingAndDeployable(
        ceiling=ceiling,
        deployable=deployable,
        searched_on=searched_on,
        uniform=ceiling.gap[0].uniform,
        ceiling_value=ceiling.gap[0].value,
        deployable_value=float(objective.plain(run)),
        compared=compared,
        by_hand_value=float(objective.plain(by_hand_run)),
        sampler=sampler_of(problem, run, grid),
        measures=objective.measures,
    )


def search_problem(problem: OperatorProblem, searched_on: str, fraction: float, seed: int) -> OperatorProblem:
    """What a search may see: the training examples, some of them set aside to measure the loss on, or none.

    Arguments:
        problem: the whole problem; its evaluation set is left out.
        searched_on: "validation" or "training".
        fraction: part that is set aside, between 0 and 1; of each group, where there are any.
        seed: seed of the split.

    Raises:
        ValueError: a fraction that leaves nothing on one side.
    """
    everything = np.arange(len(problem.features))
    if searched_on == "training":
        return _subset(problem, everything, None)
    if not 0 < fraction < 1:
        raise ValueError(f"validation_fraction is {fraction:g}: give a part between 0 and 1.")
    rng = np.random.default_rng(seed)
    groups = np.zeros(len(everything), int) if problem.groups is None else np.asarray(problem.groups)
    aside = np.zeros(len(everything), bool)
    for group in np.unique(groups):
        members = rng.permutation(everything[groups == group])
        aside[members[: round(fraction * len(members))]] = True
        if aside[members].all():
            raise ValueError(
                f"validation_fraction={fraction:g} sets aside all of group {group} ({len(members)} examples): lower it."
            )
    if not aside.any():
        raise ValueError(f"validation_fraction={fraction:g} sets no example aside: raise it.")
    return _subset(problem, everything[~aside], everything[aside])


def _subset(problem: OperatorProblem, kept: np.ndarray, aside: np.ndarray | None) -> OperatorProblem:
    held_out: dict[str, Any] = {}
    if aside is not None:
        held_out = {
            "eval_features": problem.features[aside],
            "eval_targets": problem.targets[aside],
            "eval_mass": problem.example_mass[aside],
        }
    return OperatorProblem(
        problem.features[kept],
        problem.targets[kept],
        mass=problem.example_mass[kept],
        groups=None if problem.groups is None else problem.groups[kept],
        initial_parameters=problem.initial_parameters,
        **held_out,
    )


def _tell(report: Callable[[SearchProgress], None], name: str, progress: SearchProgress) -> None:
    report(dataclasses.replace(progress, name=name))


def _change(part: float, said: str) -> str:
    if abs(part) < _NOTHING:
        return f"leaves {said} as it is"
    return f"lowers {said} by {part:.1%}" if part >= 0 else f"raises {said} by {-part:.1%}"
