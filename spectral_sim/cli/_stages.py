"""Stages and schedules from a configuration, and the features of second models that some stages look through."""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from .._checks import nearest
from ..dynamics import SelfGenerated
from ..problems import AbstractProblem, torus
from ..schedules import STAGES, AbstractStage, chain
from ._config import ScheduleConfig, TorusProblem
from ._data import LearningTask
from ._errors import UserError, check_type, explained
from ._features import Features

SecondModel = Callable[[dict[str, Any], str], Any]
"""(options of the stage, place for messages) -> features of the second model, None for those of the learner.

What it reads is taken out of the options."""

_KERNEL_OPTIONS = {"kernel": str, "features": int, "method": str, "bandwidth": float}


def second_model_of(source: Any, task: LearningTask | None, precision: str) -> SecondModel:
    """What a second model may be beside a problem: on data another kernel, on a torus or on modes another spectrum.

    Arguments:
        source: the problem as it is configured.
        task: the data of it, None for a problem that is given by its spectrum.
        precision: "float32" or "float64".
    """
    if task is not None:
        return _second_kernel(task)
    return _second_torus(source, precision) if isinstance(source, TorusProblem) else second_on_modes


def _second_kernel(task: LearningTask) -> SecondModel:
    """Another kernel of the same inputs: kernel, and where it leaves them open features, method and bandwidth."""

    def build(options: dict[str, Any], where: str) -> Any:
        for spectrum in ("exponent", "eigenvalues"):
            if spectrum in options:
                raise UserError(f'{where}.{spectrum} is for modes: on data name a kernel, such as kernel = "linear".')
        given = {name: options.pop(name) for name in _KERNEL_OPTIONS if name in options}
        for name, value in given.items():
            check_type(value, _KERNEL_OPTIONS[name], f"{where}.{name}")
        if not given:
            return None
        with explained(where):
            return task.second_features(
                Features(given.get("kernel", "rbf"), given.get("method"), given.get("features"), given.get("bandwidth"))
            )

    return build


def _second_torus(source: TorusProblem, precision: str) -> SecondModel:
    """Another power law on the same points and in the same basis: exponent."""

    def build(options: dict[str, Any], where: str) -> Any:
        for name in (*_KERNEL_OPTIONS, "eigenvalues"):
            if name in options:
                raise UserError(
                    f"{where}.{name} is not for a torus: give exponent, of the second kernel's eigenvalues."
                )
        if "exponent" not in options:
            return None
        exponent = options.pop("exponent")
        check_type(exponent, float, f"{where}.exponent")
        number = np.dtype(precision).type
        with explained(f"{where}.exponent"):
            return torus(
                number(exponent), number(source.beta), source.num_examples, source.basis, seed=source.seed
            ).features

    return build


def second_on_modes(options: dict[str, Any], where: str) -> Any:
    """Modes have no inputs: exponent and eigenvalues are options of the stages themselves."""
    for name in _KERNEL_OPTIONS:
        if name in options:
            raise UserError(f"{where}.{name} needs a data set with inputs; on modes give exponent or eigenvalues.")
    return None


def build_schedule(config: ScheduleConfig, where: str, second: SecondModel = second_on_modes) -> AbstractStage:
    """The schedule that a configuration describes.

    Arguments:
        config: its stages and their options.
        where: file and key, for messages.
        second: the features of a second model from its options.

    Raises:
        UserError: an unknown stage or option, a value that does not fit, or stages in an impossible order.
    """
    stages = [_stage(dict(options), f"{where}.stages[{n}]", second) for n, options in enumerate(config.stages)]
    with explained(f"{where}.stages"):
        return chain(*stages)


def build_dynamics(config: ScheduleConfig) -> SelfGenerated | None:
    """How the learner moves under a schedule; None for the default of the problem."""
    options = config.self_generated
    return None if options is None else SelfGenerated(options.fraction, options.period, options.ratio)


def check_suits(schedule: AbstractStage, problem: AbstractProblem, where: str) -> None:
    """Raise `UserError` if a schedule cannot run on a problem; nothing is computed."""
    # a stage whose start depends on values says what is wrong with them when it runs
    with explained(where), contextlib.suppress(jax.errors.JAXTypeError):
        jax.eval_shape(lambda: schedule.init(problem))


def _stage(options: dict[str, Any], where: str, second: SecondModel) -> AbstractStage:
    name = options.pop("stage", None)
    if name is None:
        raise UserError(f"{where}: the key 'stage' is missing; write {{ stage = \"uniform\" }}.{nearest('', STAGES)}")
    if name not in STAGES:
        raise UserError(f"{where}.stage = {name!r} is not known.{nearest(str(name), STAGES)}")
    fields = {field.name: field for field in dataclasses.fields(STAGES[name]) if field.init}
    given: dict[str, Any] = {}
    if "features" in fields:
        features = second(options, where)
        given |= {} if features is None else {"features": features}
    for option, value in options.items():
        if option not in fields:
            fix = nearest(option, fields) if fields else f" {name} has no options; leave it out."
            raise UserError(f"{where}.{option}: {name} has no such option.{fix}")
        check_type(value, fields[option].type, f"{where}.{option}")
    missing = [n for n, field in fields.items() if field.default is dataclasses.MISSING and n not in options]
    if missing:
        example = ", ".join(f"{n} = ..." for n in missing)
        raise UserError(f'{where}: {name} needs {", ".join(missing)}; write {{ stage = "{name}", {example} }}.')
    with explained(where):
        return STAGES[name](**options, **given)
