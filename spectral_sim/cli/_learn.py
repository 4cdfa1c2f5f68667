"""The search behind `spectral-sim learn` and `assess --learn`, and the comparison that its outcome belongs in."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from rich.console import Console

from .._trajectory import SimulationError
from ..assessment import Entry, Search, search_of_data, search_of_modes
from ..learning import (
    AbstractObjective,
    CeilingAndDeployable,
    Learned,
    SearchError,
    SearchProgress,
    anytime_log_loss,
    cap_of,
    ceiling_and_deployable,
    compare_by_hand,
    learn,
    load_schedule,
    penalised,
    soft_time_to_target,
    terminal_log_loss,
)
from ..problems import AbstractProblem, OperatorProblem
from ..schedules import AbstractStage, PolicySchedule, TableSchedule, chain, clip, stages_of, uniform, water_filling
from ._config import LearnConfig, ScheduleConfig
from ._errors import UserError, explained
from ._output import OutputFolder
from ._part import Part
from ._progress import Steps, steps
from ._stages import build_schedule, check_suits
from ._validation import on_picking_rows

CHECKPOINT = "search.npz"
_QUANTILES = 16
_RATES = {"table": 0.1, "policy": 0.01}
_RATE_OF_STAGES = 0.03
_WIDTH, _DEPTH = 32, 2
_CEILING = "learned (ceiling: saw the held-out loss)"
_REPORTS = 20


def learn_part(
    part: Part, settings: LearnConfig, output: OutputFolder, where: str, progress: Console, base: Path = Path()
) -> Part:
    """Search, write what was found into the output folder, and add it to a comparison.

    Files: `learned.json` with `learned.npz`, the same for the ceiling where there is one, and on data `sampler.npz` and
    `sampler.parquet`, the weights for a data loader. An interrupted search goes on from its checkpoint.

    Arguments:
        part: the comparison without the search.
        settings: what to look for, and how.
        output: folder for results, opened.
        where: file and key, for messages.
        progress: for the live gap.
        base: folder that file names in the settings are relative to.

    Raises:
        UserError: a search that cannot be made.
    """
    problem, folder = part.problem, output.part(part.name)
    with explained(where):
        objective, words = _objective(settings)
        schedule = _start(settings, part, where, base)
        objective.check(part.times, 0.0)
    check_suits(schedule, problem, where)
    taken = {"learned", "learned (deployable)", _CEILING} & {entry.name for entry in part.entries}
    if taken:
        raise UserError(f"{where}: the name {min(taken)!r} is for what is learned: give your schedule another.")
    rate = settings.learning_rate or _rate(settings)
    options: dict[str, Any] = {
        "objective": objective,
        "optimizer": optax.adam(optax.cosine_decay_schedule(rate, settings.steps)),
        "steps": settings.steps,
        "num_starts": settings.starts,
        "spread": settings.spread,
        "patience": settings.patience,
        "key": jax.random.key(part.seed),
        "checkpoint": folder / CHECKPOINT,
        "report_every": max(1, settings.steps // _REPORTS),
    }
    data = problem.as_operator()
    trusted = _trusted(part, settings)
    with _searching(part.name, where, progress) as step:
        if data is not None and data.has_evaluation:
            found: Learned | CeilingAndDeployable = ceiling_and_deployable(
                data,
                schedule,
                part.times,
                searched_on=settings.searched_on,
                validation_fraction=settings.validation_fraction,
                seed=part.seed,
                validation=trusted,
                ceiling_optimizer=options["optimizer"] if _is_table(schedule) else None,
                by_hand=None if settings.compare else {"uniform": uniform()},
                report=lambda progress: _tell(step, progress),
                **options,
            )
        else:
            found = learn(problem, schedule, part.times, report=lambda progress: _tell(step, progress), **options)
    with explained(f"--output {folder}"):
        _write(found, problem, folder, progress)
    compared = None
    if settings.compare and isinstance(found, Learned):
        compared = compare_by_hand(problem, objective, part.times, cap=cap_of(found.schedule))
    if isinstance(found, CeilingAndDeployable):
        names = "learned (deployable)", _CEILING
        entries = [
            Entry(names[0], found.deployable.schedule, first_only=_is_of_examples(found.deployable.schedule, problem)),
            Entry(names[1], found.ceiling.schedule, is_ceiling=True, first_only=True),
        ]
        search: Search = search_of_data(found, names, objective, words, compared)
    elif problem.as_modal() is not None:
        name, ideal = "learned", _ideal(schedule)
        entries = [Entry(name, found.schedule), ideal]
        search = search_of_modes(found, name, ideal.name, objective, words, compared)
    else:
        entries = [Entry("learned", found.schedule, first_only=True)]
        search = search_of_data(found, ("learned",), objective, words, compared)
    kept = [entry for entry in part.entries if entry.name not in {entry.name for entry in entries}]
    all_settings = {**part.settings, "learn": settings.model_dump(exclude_none=True)}
    return dataclasses.replace(part, entries=[*kept, *entries], search=search, settings=all_settings)


@contextmanager
def _searching(name: str, where: str, progress: Console) -> Iterator[Steps]:
    """Progress of the search; what the library refuses, and a search that fails, are told in one line."""
    try:
        with steps(progress, f"search on {name}") as step, explained(where):
            yield step
    except (SearchError, SimulationError) as error:
        raise UserError(f"{where}: {error}") from error
    except KeyboardInterrupt:
        progress.print("the search goes on where it was with --resume")
        raise


def _objective(settings: LearnConfig) -> tuple[AbstractObjective, str]:
    """What is minimised, and the same in words."""
    if settings.objective == "anytime":
        window = None if settings.window is None else (settings.window[0], settings.window[1])
        between = "all times" if window is None else f"t = {window[0]:g} to {window[1]:g}"
        objective: AbstractObjective = anytime_log_loss(window)
        words = f"mean log loss over log time, {between}"
    elif settings.objective == "terminal":
        objective, words = terminal_log_loss(), "log loss at the last time"
    else:
        objective = soft_time_to_target(settings.target, settings.softness)
        words = f"log time to the loss {settings.target:g}"
    prices = {name: getattr(settings, name) for name in ("divergence", "smoothness", "sample_size", "scoring")}
    if not any(prices.values()):
        return objective, words
    priced = ", ".join(name for name, price in prices.items() if price)
    return penalised(objective, **prices), f"{words}, with penalties on {priced}"


def _start(settings: LearnConfig, part: Part, where: str, base: Path) -> AbstractStage:
    """Where the search begins."""
    problem = part.problem
    data = problem.as_operator()
    held_out = data is not None and data.has_evaluation
    trusted = _trusted(part, settings) is not None
    if not held_out and {"searched_on", "validation_fraction"} & settings.model_fields_set:
        raise ValueError("searched_on and validation_fraction are for data with a held-out set: leave them out.")
    if settings.start is not None:
        return load_schedule(base / settings.start)
    if settings.stages is not None:
        return build_schedule(ScheduleConfig(name="learned", stages=settings.stages), where)
    cap = None if settings.cap is None else (settings.cap[0], settings.cap[1])
    if settings.schedule == "policy":
        width, depth = settings.width or _WIDTH, settings.depth or _DEPTH
        return PolicySchedule.create(jax.random.key(part.seed), cap=cap, width=width, depth=depth)
    columns = settings.columns
    if columns is None and data is not None and data.groups is None:
        # a column for each example could not be carried over to examples that the search does not see
        overfits = trusted or (held_out and settings.searched_on == "validation")
        columns = min(_QUANTILES, len(problem.mass) // 4) if overfits else None
    return TableSchedule.create(problem, part.times, num_basis=columns, cap=cap, min_spacing=settings.min_spacing)


def _trusted(part: Part, settings: LearnConfig) -> OperatorProblem | None:
    """The problem as a search sees it that goes by the rows for picking; they never score what is found."""
    data = part.problem.as_operator()
    if data is None or part.picking is None or "searched_on" in settings.model_fields_set:
        return None
    return on_picking_rows(data, part.picking)


def _is_of_examples(schedule: AbstractStage, problem: AbstractProblem) -> bool:
    """Whether a schedule has a column for each example, so that it cannot be carried over to others."""
    return any(stage.num_columns == len(problem.mass) for stage in stages_of(schedule))


def _is_table(schedule: AbstractStage) -> bool:
    return any(stage.num_columns is not None for stage in stages_of(schedule))


def _rate(settings: LearnConfig) -> float:
    if settings.stages is not None or settings.start is not None:
        return _RATE_OF_STAGES
    return _RATES[settings.schedule or "table"]


def _ideal(schedule: AbstractStage) -> Entry:
    """The ideal oracle, under the cap of what is learned if it has one."""
    cap = cap_of(schedule)
    if cap is None:
        return Entry("water-filling (ideal)", water_filling())
    return Entry(f"water-filling up to weight {cap[1]:g}", chain(water_filling(), clip(*cap)))


def _write(found: Learned | CeilingAndDeployable, problem: Any, folder: Path, progress: Console) -> None:
    """What was found, so that it can be used: to simulate with, and to sample with."""
    if isinstance(found, CeilingAndDeployable):
        found.deployable.save(folder / "learned.json")
        found.ceiling.save(folder / "learned-ceiling.json")
        sampler = found.sampler
    else:
        found.save(folder / "learned.json")
        sampler = found.sampler_weights()
    if problem.num_examples is not None:
        sampler.save(folder / "sampler.npz")
        try:
            sampler.save(folder / "sampler.parquet")
        except ImportError as error:  # the same weights are in sampler.npz
            progress.print(f"warning: {error}", style="yellow")


def _tell(step: Steps, progress: SearchProgress) -> None:
    above = f", {progress.gap:.3g} above the bound" if np.isfinite(progress.gap) else ""
    which = progress.name or "learned"
    step.start(progress.step - 1, progress.steps, f"{which}, objective {progress.best:.4g}{above}")
