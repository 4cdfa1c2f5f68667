"""Several stages as one."""

import itertools
from typing import Any

import jax

from .._checks import check_choice, nearest
from .._observation import Observation
from .._types import PerWeight, PyTree
from ._base import KINDS, AbstractStage, advance_state, answer_of, begin_state, stage_name


class Chain(AbstractStage):
    """Stages applied one after the other; see `chain`."""

    stages: tuple[AbstractStage, ...]

    @property
    def kind(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.stages[-1].kind

    @property
    def closed_loop(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        rules = self._rules
        return not rules or any(stage.closed_loop for stage in rules)

    @property
    def static(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        rules = self._rules
        after = [stage for stage in self.stages if stage.kind == "constrain"]
        return bool(rules) and all(rule.static for rule in rules) and all(stage.memoryless for stage in after)

    @property
    def _rules(self) -> list[AbstractStage]:
        """Allocate stages; without any, the weights are the observed energies themselves."""
        return [stage for stage in self.stages if stage.kind == "allocate"]

    @property
    def needs_key(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return any(stage.needs_key for stage in self.stages)

    @property
    def curates(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return any(stage.curates for stage in self.stages)

    @property
    def constants(self) -> PyTree:  # pyright: ignore[reportIncompatibleVariableOverride]
        return tuple(stage.constants for stage in self.stages)

    def validate(self, problem: Any) -> None:
        for stage in self.stages:
            stage.validate(problem)

    def init(self, problem: Any) -> PyTree:
        return tuple(begin_state(stage, problem) for stage in self.stages)

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        new_state = []
        for position, (stage, own) in enumerate(zip(self.stages, state, strict=True)):
            seen = observation
            if observation.key is not None:
                seen = observation.replace(key=jax.random.fold_in(observation.key, position))
            signal, returned = answer_of(stage, signal, seen, own)
            new_state.append(advance_state(stage, own, returned, observation.mass.dtype))
        return signal, tuple(new_state)


def chain(*stages: AbstractStage) -> AbstractStage:
    """Apply stages one after the other: observe ..., allocate ..., constrain ...

    Arguments:
        stages: at least one; chains among them are flattened.

    Returns:
        A schedule; its stages are reached by name, as in "clip.high".

    Raises:
        TypeError: something that is not a stage.
        ValueError: no stages, an order in which a later stage would undo what an earlier one ensured, or a stage
            before one that looks at the learner itself.
    """
    flat: list[AbstractStage] = []
    for position, stage in enumerate(stages):
        if not isinstance(stage, AbstractStage):
            raise TypeError(f"chain() argument {position} is {stage!r}: give stages, such as proportional(1.0).")
        check_choice(f"{stage_name(stage)}.kind", stage.kind, KINDS)
        flat.extend(stage.stages if isinstance(stage, Chain) else [stage])
    if not flat:
        raise ValueError("chain() needs at least one stage; uniform() is the schedule that changes nothing.")
    for before, after in itertools.pairwise(flat):
        if KINDS.index(after.kind) < KINDS.index(before.kind):
            raise ValueError(
                f"{stage_name(after)} ({after.kind}) stands after {stage_name(before)} ({before.kind}), whose effect "
                "it would undo: put stages in the order observe, allocate, constrain."
            )
        if after.kind == "observe" and not after.reads_signal:
            raise ValueError(
                f"{stage_name(after)} stands after {stage_name(before)}, but looks at the learner itself, so that what "
                f"stands before it has no effect: put {stage_name(after)} first."
            )
    return flat[0] if len(flat) == 1 else Chain(tuple(flat))


def stages_of(schedule: AbstractStage) -> tuple[AbstractStage, ...]:
    """The stages of a schedule, in order; a single stage is its own schedule.

    Arguments:
        schedule: a stage, or a chain of them.
    """
    return schedule.stages if isinstance(schedule, Chain) else (schedule,)


def stage_at(schedule: AbstractStage, name: str) -> AbstractStage:
    """Find the stage of a schedule by its name.

    Arguments:
        schedule: a stage or a chain.
        name: such as "lag".

    Raises:
        KeyError: no stage of that name, or several.
    """
    stages = stages_of(schedule)
    found = [stage for stage in stages if stage_name(stage) == name]
    if len(found) != 1:
        count = "no stage" if not found else f"{len(found)} stages"
        raise KeyError(f"the schedule has {count} named {name!r}.{nearest(name, map(stage_name, stages))}")
    return found[0]
