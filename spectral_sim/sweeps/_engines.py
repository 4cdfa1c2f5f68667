"""Where chunks are computed."""

import abc
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
import numpy as np

from ._plan import Plan, Program

Keep = Callable[[int, dict[str, np.ndarray], dict[str, Any]], None]


class AbstractEngine(abc.ABC):
    """Computes chunks of a plan and hands each over once.

    Class attributes to override:
        together: whether several processes run the sweep at once, so that each has to take part even where it lacks
            nothing.
    """

    together: ClassVar[bool] = False

    @abc.abstractmethod
    def run(self, plan: Plan, chunks: Sequence[int], keep: Keep, stopping: Callable[[], bool]) -> None:
        """Compute chunks; those begun when `stopping()` turns true are finished, no others are begun.

        Arguments:
            plan: what to compute.
            chunks: which chunks.
            keep: to be called with the number of a chunk, its columns, and a note on who computed it.
            stopping: whether to begin no more.
        """

    def check(self) -> None:  # noqa: B027 - most engines need nothing
        """Raise ImportError unless the packages that the engine needs are installed."""

    @property
    def devices(self) -> int:
        """Devices that share a chunk."""
        return jax.local_device_count()


@dataclasses.dataclass(frozen=True)
class Local(AbstractEngine):
    """All devices of this process.

    One chunk is computed while the one before it is written.

    Arguments:
        compiler_options: for XLA; with other options the last digits may differ.
    """

    compiler_options: dict[str, Any] | None = None

    def run(self, plan: Plan, chunks: Sequence[int], keep: Keep, stopping: Callable[[], bool]) -> None:
        program = Program(plan, jax.local_devices(), self.compiler_options)
        note = {"device_kind": jax.devices()[0].device_kind}
        for chunk in chunks:
            if stopping():
                break
            keep(chunk, program.finish(chunk, program.start(chunk)), note)
