"""From a configuration to the job that it describes; everything that can be wrong is found here."""

import inspect
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .._checks import check_times, nearest
from .._times import log_times
from ..analysis import step_charge
from ..assessment import Entry, default_times
from ..problems import (
    AbstractProblem,
    Dataset,
    ModalProblem,
    OperatorProblem,
    diabetes,
    digits,
    image_patches,
    load_table,
    power_law,
    random_features,
    torus,
)
from ._config import (
    Config,
    DataProblem,
    DatasetProblem,
    ModalFile,
    PowerLawProblem,
    RandomFeaturesProblem,
    ScheduleConfig,
    TimesConfig,
    TorusProblem,
)
from ._data import Features, LearningTask, known_noise, learning_task
from ._data_options import named_as_keys
from ._errors import UserError, explained
from ._job import Part
from ._second import second_model_of
from ._stages import build_dynamics, build_schedule, check_suits

__all__ = ["build_part", "data_task", "spectral_problem"]

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
    task = None
    with explained(f"{path}: problem"):
        if isinstance(config.problem, DataProblem | DatasetProblem):
            task = data_task(config.problem, path.parent, precision, config.batch_size)
            problem, description, settings = task.problem, task.description, task.settings
        else:
            problem, description = spectral_problem(config.problem, path.parent, precision)
            settings = {
                "problem": config.problem.model_dump(exclude_none=True),
                "dtype": precision,
                "seed": config.seed,
            }
    second = second_model_of(config.problem, task, precision)
    schedules = [build_schedule(s, f"{path}: schedules[{n}]", second) for n, s in enumerate(config.schedules)]
    with explained(f"{path}: times"):
        times = _times(config, problem)
    charge = _charge(config, problem, task)
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
    if task is not None:
        entries += known_noise(task)
    return Part(
        name=path.stem,
        problem=problem,
        entries=entries,
        times=times,
        title=config.title or path.stem,
        subject=path.name,
        description=description,
        cost=charge,
        seed=config.seed,
        settings={**settings, "schedules": [own.model_dump(exclude_none=True) for own in config.schedules]},
        group_names=task.group_names if task is not None and task.problem.groups is not None else (),
    )


def data_task(source: DataProblem | DatasetProblem, folder: Path, precision: str, batch_size: int) -> LearningTask:
    """The learning task of a data set that comes with the library or of a file."""
    if isinstance(source, DataProblem):
        data = _load(source, folder)
    else:
        options: dict[str, Any] = {} if source.num_train is None else {"num_train": source.num_train}
        data = _DATASETS[source.name](seed=source.seed, **options)
    features = Features(source.kernel, source.method, source.features, source.bandwidth)
    return learning_task(
        data, features, precision=precision, batch_size=batch_size, seed=source.seed, by_group=source.by_group
    )


def _load(source: DataProblem, folder: Path) -> Dataset:
    file = folder / source.path
    options = {name: getattr(source, name) for name in _DATA_OPTIONS}
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


def spectral_problem(source: Any, folder: Path, precision: str) -> tuple[AbstractProblem, str]:
    """A problem given by its spectrum, and a sentence about it."""
    number = np.dtype(precision).type
    if isinstance(source, PowerLawProblem):
        law = power_law(
            number(source.alpha),
            number(source.beta),
            num_modes=source.num_modes,
            max_mode=source.max_mode,
            nodes=source.nodes,
        )
        nodes = f", {len(law.index)} nodes for {source.max_mode:,.0f} modes" if source.max_mode else ""
        count = f"{source.num_modes} modes" if source.num_modes else nodes.removeprefix(", ")
        return law, f"Power law: eigenvalues k^-{source.alpha:g}, initial energies k^-{source.beta:g}; {count}."
    if isinstance(source, RandomFeaturesProblem):
        problem = random_features(
            number(source.alpha),
            number(source.beta),
            num_modes=source.num_modes,
            width=number(source.width),
            nodes=source.nodes,
            method=source.method,
            key=jax.random.key(source.seed),
        )
        kind = "one draw" if source.method == "draw" else "their mean, by the deterministic equivalent"
        return problem, (
            f"{source.width:g} random features of {source.num_modes:,} modes with eigenvalues k^-{source.alpha:g} and "
            f"initial energies k^-{source.beta:g}; {kind}."
        )
    if isinstance(source, TorusProblem):
        problem = torus(
            number(source.alpha),
            number(source.beta),
            source.num_examples,
            source.basis,
            signs=source.signs,
            seed=source.seed,
        )
        return problem, f"Torus kernel on {source.num_examples} points, {source.basis} basis, {source.signs} signs."
    assert isinstance(source, ModalFile)
    return _spectrum_file(folder / source.path, precision), f"Spectrum from {source.path}."


def _spectrum_file(path: Path, precision: str) -> ModalProblem:
    """Eigenvalues, energies and, if there are any, multiplicities by name."""
    if not path.is_file():
        raise FileNotFoundError(f"path = {str(path)!r} is not a file: check the name; it is relative to the TOML file.")
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            columns = {name: archive[name] for name in archive.files}
    elif path.suffix in (".csv", ".parquet"):
        import pandas

        frame = pandas.read_csv(path) if path.suffix == ".csv" else pandas.read_parquet(path)
        columns = {str(name): frame[name].to_numpy() for name in frame.columns}
    else:
        fix = nearest(path.suffix, (".npz", ".csv", ".parquet"))
        raise ValueError(f"path = {str(path)!r} has an unknown suffix.{fix}")
    for name in ("eigenvalues", "energies"):
        if name not in columns:
            raise ValueError(f"{path.name} has no {name!r}.{nearest(name, columns)}")
    multiplicity = columns.get("multiplicity")
    return ModalProblem(
        columns["eigenvalues"].astype(precision),
        columns["energies"].astype(precision),
        None if multiplicity is None else multiplicity.astype(precision),
    )


def _times(config: Config, problem: AbstractProblem) -> np.ndarray:
    if config.times is None:
        return default_times(problem)
    if isinstance(config.times, TimesConfig):
        return log_times(config.times.first, config.times.last, config.times.num)
    times = np.array(config.times)
    check_times(times)
    return times


def _charge(config: Config, problem: AbstractProblem, task: LearningTask | None) -> float:
    """Time units for scoring everything once: as given, by the size of the data, or nothing on modes."""
    if config.cost is not None:
        return config.cost
    if task is not None:
        return task.charge
    if problem.num_examples is None:
        return 0.0
    return float(step_charge(problem.num_examples, problem.trace, config.batch_size))


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
