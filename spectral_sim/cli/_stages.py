"""Stages and schedules from a configuration."""

import contextlib
import dataclasses
from typing import Any

import jax

from .._checks import nearest
from ..dynamics import SelfGenerated
from ..problems import AbstractProblem
from ..schedules import STAGES, AbstractStage, chain
from ._config import ScheduleConfig
from ._errors import UserError, check_type, explained
from ._second_features import SecondModel, second_on_modes

__all__ = ["build_dynamics", "build_schedule", "check_suits"]


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
