"""Where chunks are computed."""

import abc
import dataclasses
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from ._plan import Plan, Program

__all__ = ["AbstractEngine", "Keep", "Local"]

Keep = Callable[[int, dict[str, np.ndarray], dict[str, Any]], None]


class AbstractEngine(abc.ABC):
    """Computes chunks of a plan and hands each over once."""

    @abc.abstractmethod
    def run(self, plan: Plan, chunks: Sequence[int], keep: Keep, stopping: Callable[[], bool]) -> None:
        """Compute chunks; those begun when `stopping()` turns true are finished, no others are begun.

        Arguments:
            plan: what to compute.
            chunks: which chunks.
            keep: to be called with the number of a chunk, its columns, and a note on who computed it.
            stopping: whether to begin no more.
        """

    @property
    def devices(self) -> int:
        """Devices that share a chunk."""
        return jax.local_device_count()


@dataclasses.dataclass(frozen=True)
class Local(AbstractEngine):
    """All devices of this process.

    One chunk is computed while the one before it is brought to the host and written.
    """

    def run(self, plan, chunks, keep, stopping):
        program = Program(plan, jax.local_devices())
        note = {"device_kind": jax.devices()[0].device_kind}
        ahead: deque[tuple[int, dict[str, jax.Array]]] = deque()
        for chunk in chunks:
            if stopping():
                break
            ahead.append((chunk, program.start(chunk)))
            if len(ahead) > 1:
                done, columns = ahead.popleft()
                keep(done, program.finish(done, columns), note)
        while ahead:
            done, columns = ahead.popleft()
            keep(done, program.finish(done, columns), note)
