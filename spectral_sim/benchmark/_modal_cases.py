"""The modal loop against its limit and its peers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._case import Case, Settings, ratio
from ._limits import exp_pass
from ._modal_task import ModalTask, bare_losses, diffrax_losses, numpy_loop, numpy_losses, our_losses, torch_losses
from ._program import Body, Compiled
from ._result import CaseResult
from ._rivals import Rival, added_rivals, against

_TSIT5_TOLERANCE = 3e-7  # its steps are as long as stability allows, so this costs it nothing
_CACHED = 2**19  # bytes of scratch that NumPy works on at a time
_ACCURACY = 1e-4  # of losses in float32, over e-folds by the dozen; what both sides of a ratio have to reach


def modal_program(task: ModalTask) -> Compiled:
    """`simulate` on the task, compiled; its inner loop is one time: static weights need no state from the last one."""

    def refresh(energies, rates, time):
        return jnp.sum(energies * jnp.exp(time * rates), axis=-1)

    body = Body(refresh, (task.problem.energies, task.rates, jnp.float32(1)), task.sizes["times"])
    return Compiled("modal", our_losses(task), task.problem, jnp.asarray(task.exponents), body=body, dtype=np.float32)


def _forward(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    task = ModalTask(sizes["schedules"], sizes["modes"], sizes["times"])
    bare = Compiled(
        "bare", lambda p, s: bare_losses(p, task.times, s), task.problem, jnp.asarray(task.exponents), dtype=np.float32
    )
    where = "" if settings.platform == "cpu" else "the peer runs on the CPU"
    blocks = "times NumPy, by blocks that stay in the cache"
    rivals = [
        Rival("times NumPy", partial(_vectorised, task, None), "modal/numpy", where),
        Rival(blocks, partial(_vectorised, task, _CACHED), None, where),
        Rival("times PyTorch", partial(torch_losses, task), None, where),
        Rival("times diffrax, told the closed form", partial(_diffrax, task, "Euler", None)),
        *added_rivals("modal", task, settings),
    ]
    beside = {"limit": _limit(task), "bare": bare}
    ours, exact = modal_program(task), _exact(task)
    seconds, figures = against(settings, result, ours, rivals, exact, _ACCURACY, beside=beside)
    target = "modal/limit" if settings.platform == "cpu" else "accelerator/modal"
    note = "one fused pass of the same exps and row sums"
    result.figures += [
        ratio("share of the limit", seconds["limit"], seconds["ours"], unit="share", note=note, target=target),
        ratio("share of the bare compiled loop", seconds["bare"], seconds["ours"], unit="share"),
        *figures,
    ]


def _adaptive(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    """diffrax has to resolve the fastest mode; so it is given fewer schedules, and so are we."""
    task = ModalTask(sizes["schedules"], sizes["modes"], sizes["times"])
    note = f"{sizes['schedules']} schedules; loss: {{errors}} (rtol {_TSIT5_TOLERANCE:g})"
    peer = Rival("times diffrax Tsit5", partial(_diffrax, task, "Tsit5", _TSIT5_TOLERANCE), "modal/diffrax", note)
    result.figures += against(settings, result, modal_program(task), [peer], _exact(task), _ACCURACY)[1]


def _exact(task: ModalTask) -> np.ndarray:
    """Losses in float64."""
    problem = jax.tree.map(lambda x: np.asarray(x, np.float64), task.problem)
    return numpy_losses(problem, task.times, task.exponents.astype(np.float64))


def _limit(task: ModalTask) -> Callable[[], Any]:
    return exp_pass(jnp.log(task.problem.energies), task.rates, jnp.asarray(task.times, jnp.float32))


def _vectorised(task: ModalTask, cached: int | None) -> Callable[[], np.ndarray]:
    rates = np.asarray(task.rates)
    rows = None if cached is None else max(1, cached // (rates.itemsize * rates.shape[1]))
    return partial(numpy_loop, task.coefficient, rates, task.times, rows)


def _diffrax(task: ModalTask, solver: str, tolerance: float | None) -> Compiled:
    losses = diffrax_losses(task, solver, tolerance)
    return Compiled(f"diffrax {solver}", losses, task.problem, jnp.asarray(task.exponents), dtype=np.float32)


def _bytes(sizes: dict[str, int]) -> int:
    wide, losses = sizes["schedules"] * sizes["modes"], sizes["schedules"] * sizes["times"]
    return 4 * (12 * wide + 8 * losses)


CASES = (
    Case(
        "modal",
        "Modal forward, float32, power tilts: jit(vmap(simulate))",
        {"schedules": 1024, "modes": 512, "times": 256},
        {"schedules": 256, "modes": 256, "times": 128},
        _bytes,
        _forward,
    ),
    Case(
        "modal-adaptive",
        "Modal forward against an adaptive solver of differential equations, float32",
        {"schedules": 16, "modes": 512, "times": 256},
        {"schedules": 4, "modes": 128, "times": 64},
        _bytes,
        _adaptive,
    ),
)
