"""Leaves by path: which numbers of a run a sweep may vary, and how one run gets its own."""

import contextlib
import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .._checks import nearest
from ..problems import AbstractProblem
from ..schedules import AbstractStage, stage_name, stages_of

SEED = "run.seed"
_OTHERS = ("problem.", "dynamics.", "run.")  # anything else is a leaf of the schedule


def is_schedule_path(path: str) -> bool:
    """Whether a path names a leaf of the schedule, and not of the problem, the dynamics or the run."""
    return not path.startswith(_OTHERS)


def full_path(schedule: AbstractStage, path: str) -> str:
    """A path with the name of its stage, which may be left out where there is one; raises ValueError if unknown."""
    if not is_schedule_path(path):
        return path
    _locate(schedule, path)
    return path if "." in path else f"{stage_name(stages_of(schedule)[0])}.{path}"


def check_schedule_values(schedule: AbstractStage, values: dict[str, np.ndarray]) -> None:
    """Let every stage check its own values, all of an axis at once, as its constructor would.

    Raises:
        ValueError: what the stage says of them, with the paths.
    """
    by_stage: dict[int, dict[str, str]] = {}
    for path in values:
        position, field = _locate(schedule, path)
        by_stage.setdefault(position, {})[field] = path
    for position, fields in by_stage.items():
        stage = stages_of(schedule)[position]
        paths = ", ".join(fields.values())
        for field, path in fields.items():
            _check_shape(path, values[path], getattr(stage, field))
        try:
            with contextlib.suppress(TypeError):  # a stage with a constructor of its own checks what it is given there
                dataclasses.replace(stage, **{field: values[path] for field, path in fields.items()})
        except ValueError as error:
            raise ValueError(f"{paths}: {error}") from error


def check_values(path: str, values: np.ndarray, problem: Any, dynamics: Any) -> None:
    """Raise ValueError unless a path outside the schedule exists and its values fit."""
    owner, name = path.split(".", 1)
    if owner == "run":
        if path != SEED:
            raise ValueError(f"{path!r} is not known.{nearest(path, [SEED])}")
        if not np.issubdtype(values.dtype, np.integer) or values.ndim != 1:
            raise ValueError(f"{path} needs whole numbers, got {values.dtype} of shape {values.shape}.")
        return
    root = {"problem": problem, "dynamics": dynamics}[owner]
    if root is None:
        raise ValueError(f"{path} is swept, but no dynamics are given: pass sweep(dynamics=...).")
    valid = _numbers(root)
    if name not in valid:
        options = [f"{owner}.{field}" for field in valid]
        _refuse_python_number(path, root, name)
        raise ValueError(f"{path!r} is no array of this {type(root).__name__}.{nearest(path, options)}")
    _check_shape(path, values, valid[name])
    if owner == "problem":
        try:
            problem.check_number(name, values)
        except ValueError as error:
            raise ValueError(f"{path} {error}") from error


def placed(values: dict[str, Any], schedule: AbstractStage, problem: Any, dynamics: Any, key: Any) -> tuple:
    """The schedule, problem, dynamics and key of one run; works under a trace."""
    numbers = {}
    for path, value in values.items():
        if path == SEED:
            key = jax.random.key(value)
        elif is_schedule_path(path):
            position, field = _locate(schedule, path)
            schedule = eqx.tree_at(lambda s, p=position, f=field: getattr(stages_of(s)[p], f), schedule, value)
        else:
            owner, name = path.split(".", 1)
            if owner == "dynamics":
                dynamics = eqx.tree_at(lambda d, n=name: getattr(d, n), dynamics, value)
            else:
                numbers[name] = value
    if numbers:
        problem = problem.with_numbers(numbers)
    return schedule, problem, dynamics, key


def leaf_of(path: str, schedule: AbstractStage, problem: Any, dynamics: Any) -> Any:
    """The array that a path stands for in the template; its dtype is that of the swept values."""
    if path == SEED:
        return np.zeros((), np.int32)
    if is_schedule_path(path):
        position, field = _locate(schedule, path)
        return getattr(stages_of(schedule)[position], field)
    owner, name = path.split(".", 1)
    return _numbers(problem if owner == "problem" else dynamics)[name]


def _numbers(root: Any) -> dict[str, Any]:
    """What may vary of a problem or a dynamics, by name."""
    return root.numbers() if isinstance(root, AbstractProblem) else _array_fields(root)


def _array_fields(module: Any) -> dict[str, Any]:
    fields = {field.name: getattr(module, field.name) for field in dataclasses.fields(module)}
    return {name: value for name, value in fields.items() if eqx.is_array(value)}


def _refuse_python_number(path: str, root: Any, name: str) -> None:
    """Raise for a field that would be an array if its class converted what it is given."""
    static = {field.name: field.metadata.get("static", False) for field in dataclasses.fields(root)}
    if not static.get(name, True) and isinstance(getattr(root, name), float):
        raise ValueError(
            f"{path!r} is a Python number, and a sweep varies arrays: declare {name} in {type(root).__name__} with "
            "eqx.field(converter=jnp.asarray)."
        )


def _locate(schedule: AbstractStage, path: str) -> tuple[int, str]:
    """Position of the stage and name of the field; a stage is called by its name or, if that is taken twice, number."""
    stages = stages_of(schedule)
    valid: dict[str, tuple[int, str]] = {}
    names = [stage_name(stage) for stage in stages]
    for position, (name, stage) in enumerate(zip(names, stages, strict=True)):
        for field in _array_fields(stage):
            called = name if names.count(name) == 1 else str(position)
            valid[f"{called}.{field}"] = position, field
            if len(stages) == 1:
                valid[field] = position, field
    if path not in valid:
        owner, _, field = path.rpartition(".")
        for name, stage in zip(names, stages, strict=True):
            if owner == name or (not owner and len(stages) == 1):
                _refuse_python_number(path, stage, field)
        if not valid:
            raise ValueError(f"{path!r} is not known: no stage of the schedule has an array hyperparameter.")
        unset = [
            f"{name}.{field.name}"
            for name, stage in zip(names, stages, strict=True)
            for field in dataclasses.fields(stage)
            if getattr(stage, field.name) is None
        ]
        hint = f" Not set in the template, so they cannot vary: {', '.join(unset)}." if unset else ""
        raise ValueError(f"{path!r} is no array hyperparameter of the schedule.{nearest(path, valid)}{hint}")
    return valid[path]


def _check_shape(path: str, values: np.ndarray, leaf: Any) -> None:
    if values.shape[1:] != np.shape(leaf):
        raise ValueError(
            f"{path} has values of shape {values.shape}: give one of shape {np.shape(leaf)} for each row, "
            f"so that only the leading axis is the sweep's."
        )
