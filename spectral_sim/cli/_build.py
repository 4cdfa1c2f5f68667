"""From a configuration to the job that it describes; everything that can be wrong is found here."""

import contextlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .._checks import check_times
from .._times import log_times
from ..analysis import step_charge
from ..assessment import QUICK, REFRESHES_PER_DECADE, Entry, chosen_entries, default_entries, default_times
from ..problems import (
    AbstractProblem,
    Dataset,
    OperatorProblem,
    diabetes,
    digits,
    image_patches,
    load_table,
)
from ._config import (
    PICKING,
    Config,
    DataProblem,
    DatasetProblem,
    ScheduleConfig,
    TimesConfig,
)
from ._data import LearningTask, known_noise, learning_task
from ._data_options import named_as_keys
from ._data_part import data_part, first_task
from ._errors import UserError, explained
from ._export import exporter, rows_of_file
from ._features import Features
from ._job_part import Part
from ._second_features import second_model_of
from ._spectra import spectral_problem
from ._splits import DataSplits
from ._stages import build_dynamics, build_schedule, check_suits

__all__ = ["build_part", "data_task", "data_times", "how_split", "standard_entries"]

# what a configuration and `load_table` call by the same name
_DATA_OPTIONS = sorted(
    set(DataProblem.model_fields) & set(inspect.signature(load_table).parameters) - {"path", "target"}
)
_DATASETS = {"digits": digits, "image_patches": image_patches, "diabetes": diabetes}


def build_part(config: Config, path: Path, precision: str) -> Part:
    """Everything that `spectral-sim simulate` runs.

    Arguments:
        config: the configuration.
        path: its file; other files that it names are looked for beside it.
        precision: "float32" or "float64".

    Raises:
        UserError: something that the file names does not exist or does not fit.
    """
    names = [schedule.name for schedule in config.schedules]
    for n, name in enumerate(names):
        if name in names[:n]:
            raise UserError(f"{path}: schedules[{n}].name = {name!r} is taken by another schedule: give each its own.")
    shown: dict[str, Any] = {"title": config.title or path.stem, "subject": path.name}
    if isinstance(config.problem, DataProblem | DatasetProblem):
        return _build_data_part(config, path, precision, shown)
    with explained(f"{path}: problem"):
        problem, description = spectral_problem(config.problem, path.parent, precision)
    with explained(f"{path}: times"):
        times = _times(config, problem, None)
    price = config.cost
    if price is None:
        known = problem.num_examples is not None
        price = float(step_charge(problem.num_examples, problem.trace, config.examples_per_step)) if known else 0.0
    return Part(
        name=path.stem,
        problem=problem,
        entries=_entries(config, path, problem, None, precision),
        times=times,
        description=description,
        cost=price,
        seed=config.seed,
        settings={
            "problem": config.problem.model_dump(exclude_none=True),
            "dtype": precision,
            "seed": config.seed,
            "schedules": [own.model_dump(exclude_none=True) for own in config.schedules],
        },
        **shown,
    )


def _build_data_part(config: Config, path: Path, precision: str, shown: dict[str, Any]) -> Part:
    source = config.problem
    assert isinstance(source, DataProblem | DatasetProblem)
    made: dict[str, Any] = {
        "precision": precision,
        "batch_size": config.examples_per_step,
        "learning_rate": None if config.dynamics.learning_rate == "auto" else config.dynamics.learning_rate,
        "by_group": source.by_group,
    }
    with explained(f"{path}: problem"):
        splits = data_splits(source, path.parent, config.splits, config.max_examples, config.picking)
        features = features_of(source)
        first = first_task(splits, features, **made)
    with explained(f"{path}: times"):
        times = _times(config, first.problem, first)

    def entries(task: LearningTask, compare: Any = config.compare) -> list[Entry]:
        own = _entries(config, path, task.problem, task, precision)
        taken = {entry.name for entry in own}
        with explained(f"{path}: compare"):
            standard = [] if compare is None else standard_entries(task, times, None if compare == "all" else compare)
        return [*(entry for entry in standard if entry.name not in taken), *own, *known_noise(task)]

    written = {schedule.name for schedule in config.schedules}

    def again(task: LearningTask, name: str) -> list[Entry]:
        standard = name in {entry.name for entry in entries(first)} - written
        return entries(task, [name] if standard else None)

    settings = {**first.settings, "schedules": [own.model_dump(exclude_none=True) for own in config.schedules]}
    own_price: dict[str, Any] = {} if config.cost is None else {"cost": config.cost}
    part = data_part(
        path.stem,
        splits,
        features,
        task=first,
        entries=entries,
        times=times,
        seed=config.seed,
        settings=settings,
        **made,
        **shown,
        **own_price,
    )
    if isinstance(source, DataProblem):
        rows_of = rows_of_file(path.parent / source.path, source.target, source.encoding)
        part.export = exporter(splits, features, again, times, made, rows_of)
    return part


def standard_entries(task: LearningTask, times: np.ndarray, names: Any) -> list[Entry]:
    """The schedules that `assess` compares by default.

    Arguments:
        task: the data.
        times: refresh grid.
        names: of the schedules; "quick" for five of them, None for all.
    """
    names = QUICK if names == "quick" else names
    groups = None if task.problem.groups is not None else task.groups

    def made(reference: tuple[str, np.ndarray] | None) -> list[Entry]:
        return default_entries(task.problem, times, reference=reference, groups=groups, epoch=task.epoch)

    if names is not None:
        with contextlib.suppress(ValueError):  # a second model is mapped and kept only where it is asked for
            return chosen_entries(made(None), names)
    return chosen_entries(made(task.reference_model), names)


def data_times(task: LearningTask, steps: int | None, horizon: float | None) -> np.ndarray:
    """The refresh grid on data: up to a number of steps, or a time; chosen by the spectrum if both are None."""
    rate = task.steps.learning_rate
    last = horizon or (task.default_last() if steps is None else steps * rate)
    return default_times(task.modal, REFRESHES_PER_DECADE, last, rate)


def data_task(source: DataProblem | DatasetProblem, folder: Path, precision: str, batch_size: int) -> LearningTask:
    """The learning task of a data set that comes with the library or of a file, without further splits."""
    data = _reader(source, folder)(source.seed)
    options: dict[str, Any] = {"precision": precision, "batch_size": batch_size, "by_group": source.by_group}
    return learning_task(data, features_of(source), seed=source.seed, **options)


def features_of(source: DataProblem | DatasetProblem) -> Features:
    """How the inputs of a data problem become features."""
    return Features(source.kernel, source.method, source.features, source.bandwidth)


def data_splits(
    source: DataProblem | DatasetProblem, folder: Path, count: int, most: int, picking: float = PICKING
) -> DataSplits:
    """The data of a configuration and its splits."""
    load = _reader(source, folder)
    if isinstance(source, DatasetProblem):
        how = "again" if source.name == "image_patches" else "random"
    else:
        how = how_split(source.split, source.eval, source.eval_where, source.gram)
    return DataSplits(load(source.seed), how, load, count, most, source.seed, picking)


def how_split(split: str, eval: Any, eval_where: Any, gram: Any) -> Literal["random", "again", "fixed"]:
    """How further splits of a table are made."""
    if split == "time" or eval is not None or eval_where is not None:
        return "fixed"
    return "again" if split == "group" or gram is not None else "random"


def _reader(source: DataProblem | DatasetProblem, folder: Path) -> Callable[[int], Dataset]:
    if isinstance(source, DataProblem):
        return lambda seed: _load(source, folder, seed)
    options: dict[str, Any] = {} if source.num_train is None else {"num_train": source.num_train}
    return lambda seed: _DATASETS[source.name](seed=seed, **options)


def _load(source: DataProblem, folder: Path, seed: int) -> Dataset:
    file = folder / source.path
    options: dict[str, Any] = {name: getattr(source, name) for name in _DATA_OPTIONS} | {"seed": seed}
    for name in ("eval", "features_from", "gram"):
        if options[name] is not None:
            options[name] = folder / options[name]
    target: list[str] = source.target
    if file.suffix == ".npy":  # it has no columns: targets and groups are files as well, beside the first one
        target = [str(folder / name) for name in target]
        options["group"] = None if source.group is None else folder / source.group
    if file.suffix == ".npz" and options["inputs"] is not None and len(options["inputs"]) == 1:
        options["inputs"] = options["inputs"][0]
    with named_as_keys():
        return load_table(file, target, **options)


def _entries(
    config: Config, path: Path, problem: AbstractProblem, task: LearningTask | None, precision: str
) -> list[Entry]:
    """The schedules that the file describes, on a problem."""
    second = second_model_of(config.problem, task, precision)
    schedules = [build_schedule(s, f"{path}: schedules[{n}]", second) for n, s in enumerate(config.schedules)]
    entries = []
    for n, (own, schedule) in enumerate(zip(config.schedules, schedules, strict=True)):
        where = f"{path}: schedules[{n}]"
        grouped = _grouped(own, problem, task, where)
        check_suits(schedule, problem if grouped is None else grouped, f"{where} ({own.name})")
        dynamics = build_dynamics(own)
        seeds = own.seeds or [config.seed]
        for seed in seeds:
            name = own.name if len(seeds) == 1 else f"{own.name}, seed {seed}"
            entries.append(Entry(name, schedule, grouped, own.cost, seed, dynamics))
    return entries


def _times(config: Config, problem: AbstractProblem, task: LearningTask | None) -> np.ndarray:
    if config.times is None:
        if task is None:
            return default_times(problem)
        return data_times(task, config.dynamics.steps, config.dynamics.horizon)
    if isinstance(config.times, TimesConfig):
        return log_times(config.times.first, config.times.last, config.times.num)
    times = np.array(config.times)
    check_times(times)
    return times


def _grouped(
    schedule: ScheduleConfig, problem: AbstractProblem, task: LearningTask | None, where: str
) -> OperatorProblem | None:
    """The problem with weights per group, for a schedule that asks for it."""
    if not schedule.by_group:
        return None
    data = problem.as_operator()
    if task is None or task.groups is None or data is None:
        raise UserError(f"{where}.by_group = true needs groups: give problem.group the column that holds them.")
    return None if data.groups is not None else data.with_groups(task.groups)
