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


@dataclasses.dataclass(frozen=True)
class Processes(AbstractEngine):
    """Every process of a `jax.distributed` program, each on the devices of its own; all of them call the sweep.

    The processes take chunks in turn and exchange the results, so that each of them ends with the whole table. A store
    belongs to one process: give each a folder of its own, or one of them alone. Chunks that one process has on disk
    and another has not are computed again. Without `jax.distributed` this is the engine "local" with more bookkeeping.
    """

    together: ClassVar[bool] = True

    def run(self, plan: Plan, chunks: Sequence[int], keep: Keep, stopping: Callable[[], bool]) -> None:
        from jax.experimental.multihost_utils import process_allgather

        gather = lambda tree: jax.tree.map(np.asarray, process_allgather(tree))
        own, count = jax.process_index(), jax.process_count()
        sizes = gather(np.array(plan.chunk)).ravel()
        if len(set(sizes)) > 1:
            raise ValueError(f"the processes have chunks of {sizes.tolist()} rows: pass the same chunk_size to all.")
        wanted = np.zeros(plan.num_chunks, bool)
        wanted[list(chunks)] = True
        todo = np.flatnonzero(gather(wanted).reshape(count, -1).any(axis=0))
        if not len(todo):
            return
        program = Program(plan, jax.local_devices())
        note = {"device_kind": jax.devices()[0].device_kind, "processes": count}
        for begin in range(0, len(todo), count):
            if gather(np.array(stopping())).any():
                break
            turn = todo[begin : begin + count]
            mine = int(turn[min(own, len(turn) - 1)])  # without a chunk of its own a process repeats the last one
            whole = {name: np.asarray(values) for name, values in program.start(mine).items()}
            found = {name: values.reshape(count, *whole[name].shape) for name, values in gather(whole).items()}
            for place, chunk in enumerate(map(int, turn)):
                rows = plan.rows(chunk)
                if wanted[chunk]:
                    keep(chunk, {name: values[place, : rows.stop - rows.start] for name, values in found.items()}, note)
