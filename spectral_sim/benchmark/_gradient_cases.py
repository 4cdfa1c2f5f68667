"""What a gradient and a capped projection cost in forward runs."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._simulate import simulate
from .._times import log_times
from .._types import PerRefresh
from ..learning import anytime_log_loss
from ..problems import power_law, torus
from ..schedules import TableSchedule, chain, clip, proportional
from ._case import Case, Settings, ratio, timed
from ._program import Compiled
from ._result import CaseResult


def _objective(times: np.ndarray, problem: Any, tables: Any) -> Any:
    """Sum over schedules of the anytime log loss under a table each."""
    one = lambda table: anytime_log_loss()(simulate(problem, TableSchedule(PerRefresh(table)), times, throw=False))
    return jnp.sum(jax.vmap(one)(tables))


def _over_forward(
    settings: Settings, result: CaseResult, problem: Any, times: np.ndarray, shape: tuple[int, ...], target: str
) -> None:
    tables = 0.1 * jax.random.normal(jax.random.key(0), shape, problem.dtype)
    objective = partial(_objective, times)
    forward = Compiled("forward", objective, problem, tables, dtype=problem.dtype)
    gradient = Compiled("gradient", jax.value_and_grad(objective, 1), problem, tables, dtype=problem.dtype)
    seconds = timed(settings, result, {"forward": forward, "gradient": gradient})
    note = "value and gradient over the value alone, anytime log loss"
    result.figures.append(
        ratio(
            "gradient over forward",
            *(seconds["gradient"], seconds["forward"]),
            note=note,
            target=target,
            less_is_better=True,
        )
    )


def _modal(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    problem = power_law(np.float32(2), np.float32(2), num_modes=sizes["modes"])
    times = log_times(1e-1, 1e4, sizes["times"])
    shape = sizes["schedules"], sizes["times"], sizes["columns"]
    _over_forward(settings, result, problem, times, shape, "gradient/modal")


def _operator(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    problem = torus(2.0, 2.0, sizes["examples"])
    times = log_times(0.5, 3000.0, sizes["times"])
    shape = sizes["schedules"], sizes["times"], sizes["examples"]
    _over_forward(settings, result, problem, times, shape, "gradient/operator")


def _capped(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    problem = power_law(np.float32(2), np.float32(2), num_modes=sizes["modes"])
    times = log_times(1e-1, 1e4, sizes["times"])
    powers = jnp.linspace(0.5, 1.5, sizes["schedules"], dtype=jnp.float32)

    def losses(build, problem, powers):
        return jax.vmap(lambda power: simulate(problem, build(power), times, throw=False).loss)(powers)

    build = lambda name, schedule: Compiled(name, partial(losses, schedule), problem, powers, dtype=np.float32)
    plain = build("plain loop", proportional)
    capped = build("capped loop", lambda power: chain(proportional(power), clip(0.1, 100.0)))
    seconds = timed(settings, result, {"plain": plain, "capped": capped})
    note = "chain(proportional, clip(0.1, 100)) over proportional alone"
    result.figures.append(
        ratio(
            "capped over plain",
            *(seconds["capped"], seconds["plain"]),
            note=note,
            target="capped",
            less_is_better=True,
        )
    )


def _modal_bytes(sizes: dict[str, int]) -> int:
    # states at the borders of segments and inside one: about 2 sqrt(times) rows, some arrays each; tables
    rows = 2 * sizes["times"] ** 0.5 * 8
    return int(4 * sizes["schedules"] * (rows * sizes["modes"] + 3 * sizes["times"] * sizes.get("columns", 1)))


def _operator_bytes(sizes: dict[str, int]) -> int:
    examples, times = sizes["examples"], sizes["times"]
    return 8 * sizes["schedules"] * (8 * examples**2 + 12 * times * examples)


CASES = (
    Case(
        "gradient-modal",
        "Gradient of a table of 16 columns, modal, float32",
        {"schedules": 512, "modes": 512, "times": 256, "columns": 16},
        {"schedules": 64, "modes": 256, "times": 128, "columns": 16},
        _modal_bytes,
        _modal,
    ),
    Case(
        "gradient-operator",
        "Gradient of a weight for each example and refresh, operator, float64",
        {"schedules": 1, "examples": 256, "times": 40},
        {"schedules": 1, "examples": 128, "times": 20},
        _operator_bytes,
        _operator,
        scaled="examples",
    ),
    Case(
        "capped",
        "Capped projection, modal, float32",
        {"schedules": 256, "modes": 512, "times": 256},
        {"schedules": 64, "modes": 256, "times": 64},
        _modal_bytes,
        _capped,
    ),
)
