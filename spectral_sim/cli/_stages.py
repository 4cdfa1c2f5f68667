"""Stages and schedules from a configuration."""

import contextlib
import dataclasses
import types
import typing
from collections.abc import Callable
from typing import Any

import jax

from .._checks import nearest
from ..problems import AbstractProblem
from ..schedules import STAGES, AbstractStage, chain, complement, teacher
from ._config import ScheduleConfig
from ._errors import UserError, explained

__all__ = ["build_schedule", "check_suits"]

_SECOND_MODELS = (teacher, complement)
SecondFeatures = Callable[[str, int | None], Any]


def build_schedule(config: ScheduleConfig, where: str, second: SecondFeatures | None = None) -> AbstractStage:
    """The schedule that a configuration describes.

    Arguments:
        config: its stages and their options.
        where: file and key, for messages.
        second: features of a second model from a kernel and their number, where there are inputs to compute them from.

    Raises:
        UserError: an unknown stage or option, a value that does not fit, or stages in an impossible order.
    """
    stages = [_stage(dict(options), f"{where}.stages[{n}]", second) for n, options in enumerate(config.stages)]
    with explained(f"{where}.stages"):
        return chain(*stages)


def check_suits(schedule: AbstractStage, problem: AbstractProblem, where: str) -> None:
    """Raise `UserError` if a schedule cannot run on a problem; nothing is computed."""
    # a stage whose start depends on values says what is wrong with them when it runs
    with explained(where), contextlib.suppress(jax.errors.JAXTypeError):
        jax.eval_shape(lambda: schedule.init(problem))


def _stage(options: dict[str, Any], where: str, second: SecondFeatures | None) -> AbstractStage:
    name = options.pop("stage", None)
    if name is None:
        raise UserError(f"{where}: the key 'stage' is missing; write {{ stage = \"uniform\" }}.{nearest('', STAGES)}")
    if name not in STAGES:
        raise UserError(f"{where}.stage = {name!r} is not known.{nearest(str(name), STAGES)}")
    fields = {field.name: field for field in dataclasses.fields(STAGES[name]) if field.init}
    given: dict[str, Any] = {}
    if STAGES[name] in _SECOND_MODELS and ("kernel" in options or "features" in options):
        given["features"] = _second_features(options, where, second)
    for option, value in options.items():
        if option not in fields:
            fix = nearest(option, fields) if fields else f" {name} has no options; leave it out."
            raise UserError(f"{where}.{option}: {name} has no such option.{fix}")
        _check_type(value, fields[option].type, f"{where}.{option}")
    missing = [n for n, field in fields.items() if field.default is dataclasses.MISSING and n not in options]
    if missing:
        example = ", ".join(f"{n} = ..." for n in missing)
        raise UserError(f'{where}: {name} needs {", ".join(missing)}; write {{ stage = "{name}", {example} }}.')
    with explained(where):
        return STAGES[name](**options, **given)


def _second_features(options: dict[str, Any], where: str, second: SecondFeatures | None) -> Any:
    """A second model is written as a kernel, and the number of its features where the kernel leaves that open."""
    kernel, number = options.pop("kernel", "rbf"), options.pop("features", None)
    if second is None:
        raise UserError(f"{where}.kernel needs a data set with inputs; on modes give exponent or eigenvalues.")
    _check_type(kernel, str, f"{where}.kernel")
    if number is not None:
        _check_type(number, int, f"{where}.features")
    with explained(where):
        return second(kernel, number)


def _check_type(value: Any, annotation: Any, where: str) -> None:
    """Options are single numbers, words, or (with a named axis) lists of numbers."""
    if isinstance(annotation, types.UnionType):
        annotation = next(part for part in typing.get_args(annotation) if part is not type(None))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is str:
        fits, wanted = isinstance(value, str), "a word in quotes"
    elif annotation is int or ("int32" in getattr(annotation, "dtypes", ()) and "float32" not in annotation.dtypes):
        fits, wanted = is_number and isinstance(value, int), "a whole number"
    elif getattr(annotation, "dim_str", ""):
        fits = isinstance(value, list) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
        wanted = "a list of numbers"
    else:
        fits, wanted = is_number, "a number"
    if not fits:
        raise UserError(f"{where} = {value!r}: give {wanted}.")
