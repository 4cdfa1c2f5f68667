"""One comparison of a job, and how one is made of a data set: its splits, schedules, steps and prices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..assessment import Assessment, Entry, Search, Split, Steps
from ..bounds import Certificate
from ..problems import AbstractProblem
from ._data import LearningTask, learning_task
from ._features import Features
from ._splits import DataSplits

Export = Callable[[Assessment, Path, Sequence[Entry]], Assessment]
"""Writes more of a comparison, given its folder and its schedules, and gives back what is shown of it."""


@dataclass
class Part:
    """One comparison to be made: what `run_assessment` takes, and what is written of its outcome."""

    name: str
    problem: AbstractProblem
    entries: Sequence[Entry]
    times: np.ndarray
    title: str
    description: str
    subject: str | None = None
    cost: float = 0.0
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    group_names: tuple[str, ...] = ()
    search: Search | None = None
    certificate: Certificate | None = None
    picking: np.ndarray | None = None
    more_splits: Sequence[Callable[[], Split]] = ()
    overlap: float = 0.0
    steps: Steps | None = None
    facts: tuple[str, ...] = ()
    export: Export | None = None


def data_part(
    name: str,
    splits: DataSplits,
    features: Features,
    *,
    task: LearningTask | None = None,
    entries: Callable[[LearningTask], list[Entry]],
    times: np.ndarray,
    precision: str,
    batch_size: int,
    learning_rate: float | None = None,
    by_group: bool = False,
    title: str,
    **options: Any,
) -> Part:
    """The part of a job that compares schedules on all splits of a data set.

    Arguments:
        name: of the part.
        splits: of the data.
        features: how inputs become features.
        task: the first split; made if None.
        entries: the schedules for a split; called for each of them.
        times: refresh grid.
        precision, batch_size, learning_rate, by_group: as for `learning_task`.
        title: for readers.
        **options: further fields of `Part`.
    """
    made = {"precision": precision, "batch_size": batch_size, "learning_rate": learning_rate, "by_group": by_group}
    first = first_task(splits, features, **made) if task is None else task

    def maker(number: int) -> Callable[[], Split]:
        def make() -> Split:
            data = splits.dataset(number)
            own = learning_task(
                data, features, seed=splits.seed + number, picking=splits.picking(data), like=first, **made
            )
            return Split(own.problem, entries(own), own.picking)

        return make

    held_out = first.problem.has_evaluation
    fields: dict[str, Any] = {"cost": first.charge, "description": first.description, "settings": first.settings}
    fields["seed"] = splits.seed
    return Part(
        name=name,
        problem=first.problem,
        entries=entries(first),
        times=times,
        title=title,
        group_names=first.group_names if by_group else (),
        picking=first.picking,
        more_splits=tuple(maker(number) for number in range(1, splits.count if held_out else 1)),
        overlap=splits.overlap,
        steps=first.steps,
        **fields | options,
    )


def first_task(splits: DataSplits, features: Features, **options: Any) -> LearningTask:
    """The task of the first split, which says what the steps and the price of all of them are."""
    data = splits.dataset(0)
    total = len(splits.data.inputs)
    return learning_task(data, features, seed=splits.seed, picking=splits.picking(data), examples=total, **options)
