"""The modal loop against its limit and its peers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._case import PEERS, Case, PeerUnavailable, Settings, absent, apart, ratio
from ._limits import exp_pass
from ._modal_task import ModalTask, bare_losses, diffrax_losses, numpy_loop, numpy_losses, our_losses, torch_losses
from ._program import Body, Compiled
from ._result import CaseResult
from ._timing import interleaved

__all__ = ["CASES", "modal_program"]

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
    ours = modal_program(task)
    calls: dict[str, Callable[[], Any]] = {"ours": ours, "limit": _limit(task)}
    bare = Compiled(
        "bare", lambda p, s: bare_losses(p, task.times, s), task.problem, jnp.asarray(task.exponents), dtype=np.float32
    )
    calls["bare"] = bare
    peers: dict[str, tuple[str, str | None, Callable[[], Any]]] = {
        "numpy": ("times NumPy", "modal/numpy", partial(_vectorised, task, None)),
        "numpy-blocked": ("times NumPy, by blocks that stay in the cache", None, partial(_vectorised, task, _CACHED)),
        "torch": ("times PyTorch", None, partial(torch_losses, task)),
        "euler": ("times diffrax, told the closed form", None, partial(_diffrax, task, "Euler", None)),
    }
    others = {name: peer for name, peer in PEERS.items() if peer.case == "modal"}
    peers |= {name: (name, peer.target, partial(peer.build, task)) for name, peer in others.items()}
    missing, results = {}, {}
    for key, (_, _, build) in peers.items():
        if key in others and settings.platform != "cpu":
            missing[key] = PeerUnavailable("a program on the CPU is no peer of an accelerator")
            continue
        try:
            calls[key] = build()
            results[key] = calls[key]()
        except (ImportError, PeerUnavailable) as error:
            missing[key] = error
    seconds = interleaved(calls, settings.rounds)
    compiled = {name: call for name, call in calls.items() if isinstance(call, Compiled)}
    result.programs += [call.measured(seconds[name]) for name, call in compiled.items()]
    exact = _exact(task)
    error = apart(ours.result, exact)
    target = "modal/limit" if settings.platform == "cpu" else "accelerator/modal"
    note = "one fused pass of the same exps and row sums"
    result.figures += [
        ratio("share of the limit", seconds["limit"], seconds["ours"], unit="share", note=note, target=target),
        ratio("share of the bare compiled loop", seconds["bare"], seconds["ours"], unit="share"),
    ]
    for key, (name, target, _) in peers.items():
        if key in missing:
            result.figures.append(absent(name, missing[key], target))
            continue
        on_cpu = key in ("numpy", "numpy-blocked", "torch") and settings.platform != "cpu"
        note = others[key].note if key in others else "the peer runs on the CPU" if on_cpu else ""
        result.figures.append(
            ratio(
                name,
                seconds[key],
                seconds["ours"],
                unit="share" if key in others else "times",
                difference=apart(results[key], ours.result),
                errors=(error, apart(results[key], exact)),
                tolerance=_ACCURACY,
                note=note,
                target=target,
            )
        )


def _adaptive(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    """diffrax has to resolve the fastest mode; so it is given fewer schedules, and so are we."""
    task = ModalTask(sizes["schedules"], sizes["modes"], sizes["times"])
    name, target = "times diffrax Tsit5", "modal/diffrax"
    try:
        peer = _diffrax(task, "Tsit5", _TSIT5_TOLERANCE)
    except ImportError as error:
        result.figures.append(absent(name, error, target))
        return
    ours = modal_program(task)
    seconds = interleaved({"ours": ours, "peer": peer}, settings.rounds)
    result.programs += [ours.measured(seconds["ours"]), peer.measured(seconds["peer"])]
    exact = _exact(task)
    errors = apart(ours.result, exact), apart(peer.result, exact)
    note = (
        f"{sizes['schedules']} schedules; largest error of the loss {errors[1]:.1e} (rtol {_TSIT5_TOLERANCE:g}), "
        f"ours {errors[0]:.1e}"
    )
    result.figures.append(
        ratio(
            name,
            seconds["peer"],
            seconds["ours"],
            difference=apart(peer.result, ours.result),
            errors=errors,
            tolerance=_ACCURACY,
            note=note,
            target=target,
        )
    )


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
