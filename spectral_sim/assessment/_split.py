"""One division of the data into what trains and what is held out, and what is tried on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..problems import AbstractProblem
from ._entry import Entry

__all__ = ["Split", "Steps"]


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
