"""How time grows along each axis, everything else held."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ._case import Case, Settings, ratio
from ._modal_cases import modal_program
from ._modal_task import ModalTask, our_losses
from ._operator_cases import TOLERANCE, operator_program
from ._operator_task import OperatorTask
from ._program import Compiled
from ._result import CaseResult, Point
from ._timing import interleaved, spread

_HR = 100.0
_HALVINGS = 3  # four sizes along an axis, each half the next


def _scaling(
    settings: Settings,
    sizes: dict[str, int],
    result: CaseResult,
    build: Callable[[dict[str, int]], tuple[Callable[[], Any], float | None]],
    axes: tuple[str, ...],
) -> None:
    """Halve each of `axes` in turn; `build(sizes)` gives a call and the work that it does, None if not known."""
    for axis in axes:
        calls, works = {}, {}
        for size in (sizes[axis] >> n for n in reversed(range(_HALVINGS + 1))):
            calls[str(size)], works[str(size)] = build({**sizes, axis: size})
        for size, seconds in interleaved(calls, settings.rounds).items():
            run = spread(seconds)
            work = works[size]
            result.points.append(Point(axis, int(size), run, None if work is None else work / run.median))


def _modal(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    def build(sizes):
        task = ModalTask(sizes["schedules"], sizes["modes"], sizes["times"])
        return modal_program(task), task.steps

    _scaling(settings, sizes, result, build, ("schedules", "modes", "times"))


def _operator(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    def build(sizes):
        task = OperatorTask(sizes["schedules"], sizes["examples"], sizes["features"])
        duration = task.duration(_HR)
        work = task.work(duration, TOLERANCE)
        return operator_program(task, duration, TOLERANCE), None if work is None else work.flops

    _scaling(settings, sizes, result, build, ("examples", "features"))


def _devices(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    """The same schedules on 1, 2, 4, ... devices."""
    task = ModalTask(sizes["schedules"], sizes["modes"], sizes["times"])
    devices = jax.devices(settings.platform)
    counts = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= len(devices)]
    calls = {}
    for count in counts:
        rows = NamedSharding(Mesh(np.array(devices[:count]), ("schedules",)), PartitionSpec("schedules"))
        whole = NamedSharding(rows.mesh, PartitionSpec())
        exponents = jax.device_put(jnp.asarray(task.exponents), rows)
        problem = jax.device_put(task.problem, whole)
        calls[str(count)] = Compiled(f"{count} devices", our_losses(task), problem, exponents, dtype=np.float32)
    seconds = interleaved(calls, settings.rounds)
    for count, values in seconds.items():
        run = spread(values)
        result.points.append(Point("devices", int(count), run, task.steps / run.median))
    note = "devices of one CPU share its cores: no more hardware, only another way to use it"
    note = note if settings.platform == "cpu" else ""
    if len(counts) > 1:
        most = str(counts[-1])
        result.figures.append(ratio(f"{most} devices, times one", seconds["1"], seconds[most], note=note))
    else:
        result.reason = "only one device is there"


def _modal_bytes(sizes: dict[str, int]) -> int:
    return 8 * 4 * 12 * sizes["schedules"] * sizes["modes"]


_MODAL = {"schedules": 1024, "modes": 512, "times": 256}
_QUICK_MODAL = {"schedules": 256, "modes": 256, "times": 128}
CASES = (
    Case(
        "scaling-modal",
        "Modal forward in schedules, modes and times, float32",
        _MODAL,
        _QUICK_MODAL,
        _modal_bytes,
        _modal,
    ),
    Case(
        "scaling-operator",
        "Operator at hR = 100 in examples and features, float64",
        {"schedules": 32, "examples": 2048, "features": 512},
        {"schedules": 16, "examples": 1024, "features": 256},
        lambda sizes: 8 * 8 * sizes["schedules"] * sizes["examples"] * sizes["features"],
        _operator,
    ),
    Case(
        "scaling-devices",
        "Modal forward on several devices, float32",
        _MODAL,
        _QUICK_MODAL,
        _modal_bytes,
        _devices,
    ),
)
