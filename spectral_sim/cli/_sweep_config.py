"""The configuration of `spectral-sim sweep`, and the sweep that it describes."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import numpy as np
from pydantic import Field

from .._checks import check_times, nearest
from .._times import log_times
from ..assessment import THEORIES
from ..dynamics import AbstractDynamics
from ..problems import AbstractProblem
from ..sweeps import METRICS, AbstractMetric, Range, SweepSpec, grid, random_search, sobol
from ._build import data_task
from ._config import AnyProblem, DataProblem, DatasetProblem, Model, ScheduleConfig, TimesConfig, TimesOption
from ._errors import UserError, explained
from ._read_config import parsed
from ._spectra import spectral_problem
from ._stages import build_dynamics, build_schedule, check_suits, second_model_of

_FOLDER = resources.files(__package__ or "").joinpath("sweeps")
SHIPPED = tuple(sorted(file.name.removesuffix(".toml") for file in _FOLDER.iterdir() if file.name.endswith(".toml")))
"""Sweeps that come with the library, by name."""


class Span(Model):
    """An interval: `num` values of it for a grid, or draws."""

    start: float = Field(alias="from")
    stop: float = Field(alias="to")
    num: Annotated[int, Field(ge=1)] | None = None
    scale: Literal["linear", "log"] = "linear"


class Rows(Model):
    """How the rows are chosen."""

    kind: Literal["grid", "sobol", "random"] = "grid"
    num: Annotated[int, Field(ge=1)] | None = None
    seed: int = 0
    axes: dict[str, Span | list[float] | list[int]]


class SweepConfig(Model):
    """The whole file."""

    title: str = ""
    description: str = ""
    theory: str | None = None
    precision: Literal["float64", "float32"] = "float64"
    seed: int = 0
    chunk_size: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=1)] = 64
    problem: AnyProblem
    times: TimesOption
    schedule: ScheduleConfig
    rows: Rows
    metrics: dict[str, dict[str, Any]] = Field({"final_loss": {}, "exponent": {}, "speedup": {}, "max_weight": {}})


@dataclass(frozen=True)
class SweepJob:
    """Its name, and what to pass to `sweep`."""

    name: str
    problem: AbstractProblem
    schedules: SweepSpec
    times: np.ndarray
    dynamics: AbstractDynamics | None
    metrics: list[AbstractMetric]
    key: Any
    chunk_size: int | None
    title: str
    attributes: dict[str, Any]


def read_sweep(name: str) -> SweepJob:
    """The sweep of a TOML file, or a shipped one by its name.

    Raises:
        UserError: no such file, or something in it that is not understood or does not fit.
    """
    path = Path(name)
    if name in SHIPPED:
        text = _FOLDER.joinpath(f"{name}.toml").read_text(encoding="utf-8")
    elif path.is_file():
        text = path.read_text(encoding="utf-8")
    else:
        raise UserError(f"{name} is neither a file nor a sweep that comes with the library.{nearest(name, SHIPPED)}")
    return _job(parsed(text, SweepConfig, name), path)


def _job(config: SweepConfig, path: Path) -> SweepJob:
    name = path.stem
    source, task = config.problem, None
    with explained(f"{name}: problem"):
        if isinstance(source, DataProblem | DatasetProblem):
            task = data_task(source, path.parent, config.precision, config.batch_size)
            problem, description = task.problem, task.description
        else:
            problem, description = spectral_problem(source, path.parent, config.precision)
    with explained(f"{name}: times"):
        grid_ = config.times
        is_table = isinstance(grid_, TimesConfig)
        times = log_times(grid_.first, grid_.last, grid_.num) if is_table else np.array(grid_, np.float64)
        check_times(times)
    _refuse_runs(config.schedule, f"{name}: schedule")
    second = second_model_of(source, task, config.precision)
    schedule = build_schedule(config.schedule, f"{name}: schedule", second)
    check_suits(schedule, problem, f"{name}: schedule")
    with explained(f"{name}: rows"):
        spec = _spec(schedule, config.rows)
    if config.theory is not None and config.theory not in THEORIES:
        raise UserError(f"{name}: theory = {config.theory!r} is not known.{nearest(config.theory, THEORIES)}")
    laws = {law: getattr(source, law) for law in ("alpha", "beta") if hasattr(source, law)}
    text = {"description": f"{config.description} {description}".strip(), "theory": config.theory or ""}
    return SweepJob(
        name=name,
        problem=problem,
        schedules=spec,
        times=times,
        dynamics=build_dynamics(config.schedule),
        metrics=[_metric(metric, options, name) for metric, options in _metrics(config, problem, name).items()],
        key=jax.random.key(config.seed) if schedule.needs_key else None,
        chunk_size=config.chunk_size,
        title=config.title or name,
        attributes={**text, **laws},
    )


def _refuse_runs(schedule: ScheduleConfig, where: str) -> None:
    """What a schedule of `simulate` may say of its runs, and a sweep says elsewhere."""
    if schedule.seeds is not None:
        raise UserError(
            f'{where}.seeds: a sweep varies them as rows; write "run.seed" = {schedule.seeds} in rows.axes.'
        )
    if schedule.by_group:
        raise UserError(f"{where}.by_group: all rows of a sweep share one problem; write by_group = true in problem.")


def _metrics(config: SweepConfig, problem: AbstractProblem, name: str) -> dict[str, dict[str, Any]]:
    """Options of every metric: none is gross without being net as well, at the prices that the file names."""
    metrics: dict[str, dict[str, Any]] = {}
    for metric, options in config.metrics.items():
        metrics[metric] = options
        if metric == "speedup" and "speedup_net" not in config.metrics:
            metrics["speedup_net"] = options
    cost = config.schedule.cost
    if "speedup_net" not in metrics:
        if cost is not None:
            raise UserError(f"{name}: schedule.cost: no metric counts it; add speedup_net to metrics.")
        return metrics
    prices: dict[str, Any] = {"batch_size": config.batch_size}
    if cost is not None:  # for scoring everything once, whatever that takes
        prices |= {"cost_per_refresh": cost}
        prices |= {} if problem.num_examples is None else {"cost_per_example": 0.0}
    return metrics | {"speedup_net": prices | metrics["speedup_net"]}


def _spec(schedule: Any, rows: Rows) -> SweepSpec:
    if rows.kind == "grid":
        return grid(schedule, **{path: _values(path, axis) for path, axis in rows.axes.items()})
    if rows.num is None:
        raise ValueError(f"num is missing: a {rows.kind} sweep draws as many points as it says.")
    drawn = {
        path: Range(axis.start, axis.stop, axis.scale)
        if isinstance(axis, Span) and axis.num is None
        else _values(path, axis)
        for path, axis in rows.axes.items()
    }
    return {"sobol": sobol, "random": random_search}[rows.kind](schedule, rows.num, rows.seed, **drawn)


def _values(path: str, axis: Span | list[float] | list[int]) -> Any:
    if not isinstance(axis, Span):
        return axis
    if axis.num is None:
        raise ValueError(f"{path}: num is missing: say how many values from {axis.start:g} to {axis.stop:g}.")
    return Range(axis.start, axis.stop, axis.scale).at(np.linspace(0, 1, axis.num))


def _metric(metric: str, options: dict[str, Any], name: str) -> AbstractMetric:
    if metric not in METRICS:
        raise UserError(f"{name}: metrics.{metric} is not known.{nearest(metric, METRICS)}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    with explained(f"{name}: metrics.{metric}"):
        return METRICS[metric](**values)
