"""Chunks dealt out to the processes of `jax.distributed`."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import ClassVar

import jax
import numpy as np

from ._engines import AbstractEngine, Keep
from ._plan import Plan, Program


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
