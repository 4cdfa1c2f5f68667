"""What is compared: named schedules and what scoring costs them, splits of the data, and how steps become time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np

from ..dynamics import AbstractDynamics
from ..problems import AbstractProblem
from ..schedules import AbstractStage

Family = Literal["uniform", "own labels", "static", "open loop", "closed loop"]


@dataclass(frozen=True)
class Entry:
    """A schedule to be assessed.

    Arguments:
        name: shown in tables, legends and files.
        schedule: the schedule.
        problem: what it runs on where that is not the problem of the comparison: the same data with weights per group.
        cost: time units that scoring all data once takes; that of the comparison if None.
        seed: seed of its random stages; that of the comparison if None.
        dynamics: how the learner moves, if not by the default of the problem.
        is_ceiling: whether it was found by looking at the loss that it is judged by: shown, and never recommended.
        variant: what tells it apart from other entries of the same name, such as how often it scores the data. One of
            them is kept, the one that is best after its cost.
        meaning: one sentence for readers on how it chooses weights.
        first_only: whether it was made for the rows of the first split, and is not run on others.
    """

    name: str
    schedule: AbstractStage
    problem: AbstractProblem | None = None
    cost: float | None = None
    seed: int | None = None
    dynamics: AbstractDynamics | None = None
    is_ceiling: bool = False
    variant: str = ""
    first_only: bool = False
    meaning: str = ""


def family(schedule: AbstractStage, dynamics: AbstractDynamics | None = None) -> Family:
    """How a schedule comes by its weights; lines of a plot are styled by it.

    Uniform sampling is the reference under the default dynamics, and of its own family where part of the samples carry
    labels of the learner's own making.
    """
    if not schedule.curates and dynamics is not None and dynamics.own_labels(jnp.ones(1)) is not None:
        return "own labels"
    if not schedule.curates:
        return "uniform" if dynamics is None else "static"
    if schedule.closed_loop:
        return "closed loop"
    return "static" if schedule.static else "open loop"


@dataclass(frozen=True)
class Split:
    """A problem with its schedules; where there are several, the schedules are the same and the rows differ.

    Arguments:
        problem: what is to be learnt; its loss is the one that schedules are scored by.
        entries: the schedules, in the same order for all splits.
        picking: mass of the held-out rows that the best schedule is picked on, shape (held_out,); None where it is
            picked on the loss that scores it.
    """

    problem: AbstractProblem
    entries: Sequence[Entry]
    picking: np.ndarray | None = None


@dataclass(frozen=True)
class Steps:
    """How steps of SGD become time: each advances gradient flow by the learning rate.

    Arguments:
        learning_rate: of each step.
        batch_size: examples per step.
        examples: examples that are there to train on, which say how many steps an epoch has.
    """

    learning_rate: float
    batch_size: int
    examples: int

    @property
    def per_epoch(self) -> float:
        """Steps in a pass over the data."""
        return self.examples / self.batch_size

    def at(self, time: float) -> float:
        """Steps taken by a time.

        Arguments:
            time: intrinsic time, in units of learning rate times steps.
        """
        return time / self.learning_rate

    def describe(self, time: float) -> str:
        """Like "step 1,200 (3.8 epochs)".

        Arguments:
            time: intrinsic time, in units of learning rate times steps.
        """
        steps = self.at(time)
        epochs = steps / self.per_epoch
        return f"step {_rounded(steps)} ({_rounded(epochs)} epochs)"


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.0f}"
