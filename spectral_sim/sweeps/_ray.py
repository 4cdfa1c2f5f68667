"""Chunks as tasks of a Ray cluster."""

import dataclasses
import os
import pickle
from collections.abc import Callable, Sequence
from typing import Any

from .._extras import require
from ._engines import AbstractEngine, Keep
from ._plan import Plan, Program

_INSTALL = "pip install 'spectral_sim[ray]'"
_programs: dict[tuple[str, int], Program] = {}  # of a worker: one sweep is compiled once in each


@dataclasses.dataclass(frozen=True)
class Ray(AbstractEngine):
    """The machines of a Ray cluster; each chunk is a task, and its rows are split over the devices that the task gets.

    Results come back to this process, which alone writes the store. A task whose worker or machine dies is run again
    somewhere else. Needs the same versions of spectral_sim and JAX everywhere.

    Arguments:
        address: of a running cluster, "auto" to find it; if None, the one this process is connected to, or a new one on
            this machine alone.
        num_cpus: cores that each task asks for.
        num_gpus: GPUs that each task asks for.
        retries: how often a chunk is tried again when its worker or machine dies.
        ahead: chunks in flight for each task that the cluster can run at once.
    """

    address: str | None = None
    num_cpus: float = 1
    num_gpus: float = 0
    retries: int = 3
    ahead: int = 2

    def check(self) -> None:
        require("ray", "engine='ray'", _INSTALL)

    @property
    def devices(self) -> int:
        return max(1, int(self.num_gpus))

    def run(self, plan: Plan, chunks: Sequence[int], keep: Keep, stopping: Callable[[], bool]) -> None:
        ray = self._connected()
        import jax

        task = ray.remote(
            num_cpus=self.num_cpus, num_gpus=self.num_gpus, max_retries=self.retries, retry_exceptions=False
        )(compute)
        # sent to every machine once, with its hash: a worker would find other names for code that came by value
        shared = ray.put(ray.cloudpickle.dumps((plan, (plan.hash, plan.chunk))))
        x64 = bool(jax.config.jax_enable_x64)  # pyright: ignore[reportAttributeAccessIssue]
        waiting, running = list(reversed(chunks)), {}
        while waiting or running:
            if stopping():
                waiting.clear()
            while waiting and len(running) < self._most_running(ray):
                chunk = waiting.pop()
                running[task.remote(shared, chunk, x64)] = chunk
            done, _ = ray.wait(list(running), timeout=0.5)  # now and then a look at stopping() and at new machines
            for reference in done:
                chunk = running.pop(reference)
                try:
                    columns, note = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise error.as_instanceof_cause() from error
                except ray.exceptions.RayError as error:
                    raise RuntimeError(
                        f"chunk {chunk} of the sweep was lost {self.retries + 1} times with its worker or machine; the "
                        "finished ones are kept. Out of memory? Give Ray(num_cpus=...) more, or a smaller chunk_size."
                    ) from error
                keep(chunk, columns, note)

    def _most_running(self, ray: Any) -> int:
        resources = ray.cluster_resources()
        fits = [resources.get("CPU", 0) / self.num_cpus] if self.num_cpus else []
        fits += [resources.get("GPU", 0) / self.num_gpus] if self.num_gpus else []
        return max(1, int(min(fits, default=1))) * self.ahead

    def _connected(self) -> Any:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a library does not report on its users
        ray = require("ray", "engine='ray'", _INSTALL)
        if not ray.is_initialized():
            own = {"_node_ip_address": "127.0.0.1", "include_dashboard": False} if self.address is None else {}
            ray.init(address=self.address or "local", log_to_driver=False, **own)
        return ray


def compute(packed: bytes, chunk: int, x64: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """One chunk, in a worker."""
    import jax

    jax.config.update("jax_enable_x64", x64)  # before the plan is unpacked: its arrays would lose half their digits
    plan: Plan
    plan, key = pickle.loads(packed)
    if key not in _programs:
        _programs.clear()
        _programs[key] = Program(plan, jax.local_devices())
    program = _programs[key]
    columns = program.finish(chunk, program.start(chunk))
    note = {"device_kind": jax.devices()[0].device_kind, "process": os.getpid(), "host": os.uname().nodename}
    return columns, note
