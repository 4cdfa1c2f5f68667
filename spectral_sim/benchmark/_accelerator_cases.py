"""What only an accelerator is asked for."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from ._case import Case, Settings, timed
from ._limits import gemm
from ._modal_cases import modal_program
from ._modal_task import ModalTask
from ._operator_cases import gemm_share, operator_program
from ._operator_task import OperatorTask
from ._result import CaseResult, Figure
from ._timing import spread

_ACCELERATORS = ("gpu", "tpu")
_TOLERANCE = 1e-6


def _million(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    ours = modal_program(ModalTask(sizes["schedules"], sizes["modes"], sizes["times"]))
    seconds = timed(settings, result, {"ours": ours})["ours"]
    result.figures.append(Figure("seconds", spread(seconds), "s", target="accelerator/million"))


def _operator(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    task = OperatorTask(sizes["schedules"], sizes["examples"], sizes["features"], np.float32)
    duration: Any = task.duration(100.0)
    work, (product, product_flops) = task.work(duration, _TOLERANCE), gemm(jnp.float32)
    ours = operator_program(task, duration, _TOLERANCE, work=work)
    seconds = timed(settings, result, {"ours": ours, "gemm": product})
    pair, name = (seconds["gemm"], seconds["ours"]), "share of the float32 GEMM peak"
    result.figures.append(gemm_share(name, work, "hR = 100", *pair, product_flops, "accelerator/operator"))


def _operator_bytes(sizes: dict[str, int]) -> int:
    # rows on examples and features; the members share the products with Phi, and none has a matrix of its own
    schedules, examples, features = (sizes[name] for name in ("schedules", "examples", "features"))
    return 4 * (8 * schedules * (examples + features) + 4 * examples * features)


CASES = (
    Case(
        "million",
        "A million schedules, modal forward, float32",
        {"schedules": 1_000_000, "modes": 256, "times": 256},
        {"schedules": 100_000, "modes": 256, "times": 64},
        lambda sizes: 4 * sizes["schedules"] * (6 * sizes["modes"] + 2 * sizes["times"]),
        _million,
        _ACCELERATORS,
    ),
    Case(
        "operator-float32",
        "Operator, one interval, float32, tolerance 1e-6",
        {"schedules": 1024, "examples": 16384, "features": 2048},
        {"schedules": 256, "examples": 4096, "features": 1024},
        _operator_bytes,
        _operator,
        _ACCELERATORS,
    ),
)
