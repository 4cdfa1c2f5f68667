"""From a configuration to the job that it describes; everything that can be wrong is found here."""

import contextlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from ._config import Config, DataProblem, DatasetProblem, ScheduleConfig, TimesConfig
from ._data import LearningTask, known_noise, learning_task
from ._errors import UserError, explained
from ._export import exporter, rows_of_file
from ._features import Features
from ._options import named_as_keys
from ._part import Part, data_part, first_task
from ._spectra import spectral_problem
from ._splits import DataSplits
from ._stages import build_dynamics, build_schedule, check_suits, second_model_of

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
    where = lambda place: f"{path}: {place}"
    shown: dict[str, Any] = {"name": path.stem, "title": config.title or path.stem, "subject": path.name}
    described = {"schedules": [own.model_dump(exclude_none=True) for own in config.schedules]}
    if isinstance(config.problem, DataProblem | DatasetProblem):
        with explained(where("problem")):
            splits = data_splits(config.problem, path.parent, config.splits, config.max_examples, config.picking)
        return build_data_part(config, splits, path.parent, precision, where, described, **shown)
    with explained(where("problem")):
        problem, description = spectral_problem(config.problem, path.parent, precision)
    with explained(where("times")):
        times = _times(config, problem, None)
    price = config.cost
    if price is None:
        known = problem.num_examples is not None
        price = float(step_charge(problem.num_examples, problem.trace, config.examples_per_step)) if known else 0.0
    about = {"problem": config.problem.model_dump(exclude_none=True), "dtype": precision, "seed": config.seed}
    return Part(
        problem=problem,
        entries=_entries(config, where, problem, None, precision),
        times=times,
        description=description,
        cost=price,
        seed=config.seed,
        settings=about | described,
        **shown,
    )


def build_data_part(
    config: Config,
    splits: DataSplits,
    folder: Path,
    precision: str,
    where: Callable[[str], str],
    described: dict[str, Any],
    **shown: Any,
) -> Part:
    """The comparison that a configuration describes, on a data set that has been read.

    Arguments:
        config: the configuration.
        splits: of its data.
        folder: what file names in it are relative to.
        precision: "float32" or "float64".
        where: the words that messages about a key begin with.
        described: kept with the results, beside the settings of the data.
        **shown: name, title and subject.
    """
    source = config.problem
    assert isinstance(source, DataProblem | DatasetProblem)
    features = features_of(source)
    made: dict[str, Any] = {
        "precision": precision,
        "batch_size": config.examples_per_step,
        "learning_rate": None if config.dynamics.learning_rate == "auto" else config.dynamics.learning_rate,
        "by_group": source.by_group,
    }
    with explained(where("problem")):
        first = first_task(splits, features, **made)
    with explained(where("times")):
        times = _times(config, first.problem, first)

    def entries(task: LearningTask, compare: Any = config.compare) -> list[Entry]:
        own = _entries(config, where, task.problem, task, precision)
        taken = {entry.name for entry in own}
        with explained(where("compare")):
            standard = [] if compare is None else standard_entries(task, times, None if compare == "all" else compare)
        return [*(entry for entry in standard if entry.name not in taken), *own, *known_noise(task)]

    written = {schedule.name for schedule in config.schedules}

    def again(task: LearningTask, name: str) -> list[Entry]:
        standard = name in {entry.name for entry in entries(first)} - written
        return entries(task, [name] if standard else None)

    own_price: dict[str, Any] = {} if config.cost is None else {"cost": config.cost}
    part = data_part(
        splits=splits,
        features=features,
        task=first,
        entries=entries,
        times=times,
        seed=config.seed,
        settings=first.settings | described,
        **made,
        **shown,
        **own_price,
    )
    if isinstance(source, DataProblem):
        rows_of = rows_of_file(folder / source.path, source.target, source.encoding)
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
    source: DataProblem | DatasetProblem,
    folder: Path,
    count: int,
    most: int,
    picking: float,
    named: Any = named_as_keys,
) -> DataSplits:
    """The data of a configuration and its splits; `named` says how messages name its keys."""
    load = _reader(source, folder, named)
    if isinstance(source, DatasetProblem):
        how = "again" if source.name == "image_patches" else "random"
    else:
        fixed = source.split == "time" or source.eval is not None or source.eval_where is not None
        how = "fixed" if fixed else "again" if source.split == "group" or source.gram is not None else "random"
    return DataSplits(load(source.seed), how, load, count, most, source.seed, picking)


def _reader(source: DataProblem | DatasetProblem, folder: Path, named: Any = named_as_keys) -> Callable[[int], Dataset]:
    if isinstance(source, DataProblem):
        return lambda seed: _load(source, folder, seed, named)
    options: dict[str, Any] = {} if source.num_train is None else {"num_train": source.num_train}
    return lambda seed: _DATASETS[source.name](seed=seed, **options)


def _load(source: DataProblem, folder: Path, seed: int, named: Any) -> Dataset:
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
    with named():
        return load_table(file, target, **options)


def _entries(
    config: Config, where: Callable[[str], str], problem: AbstractProblem, task: LearningTask | None, precision: str
) -> list[Entry]:
    """The schedules that the file describes, on a problem."""
    second = second_model_of(config.problem, task, precision)
    places = [where(f"schedules[{n}]") for n in range(len(config.schedules))]
    schedules = [build_schedule(own, place, second) for own, place in zip(config.schedules, places, strict=True)]
    entries = []
    for own, schedule, place in zip(config.schedules, schedules, places, strict=True):
        grouped = _grouped(own, problem, task, place)
        check_suits(schedule, problem if grouped is None else grouped, f"{place} ({own.name})")
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
