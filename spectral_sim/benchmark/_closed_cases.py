"""Closed loops against a plain scan and a loop in C, and every kind of them against the simplest."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ._case import PEERS, Case, PeerUnavailable, Settings, absent, apart, ratio
from ._closed_task import KINDS, ClosedTask, closed_losses, plain_losses
from ._program import Compiled
from ._result import CaseResult
from ._timing import interleaved

__all__ = ["CASES"]

_ACCURACY = 1e-4  # of losses in float32, over e-folds


def _closed(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    task = ClosedTask(sizes["schedules"], sizes["modes"], sizes["refreshes"])
    build = lambda name, losses, numbers: Compiled(name, losses, task.problem, numbers, dtype=np.float32)
    names = list(KINDS)[: sizes["kinds"]]
    calls: dict[str, Callable[[], Any]] = {
        name: build(name, closed_losses(task, KINDS[name]), task.numbers(KINDS[name])) for name in names
    }
    first = names[0]
    powers = task.numbers(KINDS[first])
    calls["plain scan"] = build("plain scan", plain_losses(task), powers)
    results, missing = {"plain scan": calls["plain scan"]()}, {}
    peers = {name: peer for name, peer in PEERS.items() if peer.case == "closed"}
    for name, peer in peers.items():
        try:
            if settings.platform != "cpu":
                raise PeerUnavailable("a program on the CPU is no peer of an accelerator")
            calls[name] = peer.build((task, np.asarray(powers)))
            results[name] = calls[name]()
        except PeerUnavailable as error:
            missing[name] = error
    seconds = interleaved(calls, settings.rounds)
    result.programs += [call.measured(seconds[n]) for n, call in calls.items() if isinstance(call, Compiled)]
    exact = _exact(task, powers)
    error = apart(calls[first](), exact)
    for name, target, note in (
        ("plain scan", "closed/scan", "exp, power, normalise and step, in one compiled scan"),
        *((name, peer.target, peer.note) for name, peer in peers.items()),
    ):
        title = f"{first}, share of the plain scan" if name == "plain scan" else name
        if name in missing:
            result.figures.append(absent(title, missing[name], target))
            continue
        result.figures.append(
            ratio(
                *(title, seconds[name], seconds[first]),
                unit="share",
                difference=apart(results[name], calls[first]()),
                errors=(error, apart(results[name], exact)),
                tolerance=_ACCURACY,
                note=note,
                target=target,
            )
        )
    for name in names[1:]:
        title = f"{name}, share of {first}"
        result.figures.append(ratio(title, seconds[first], seconds[name], unit="share", target=KINDS[name].target))


def _exact(task: ClosedTask, powers: Any) -> np.ndarray:
    """Losses in float64 by NumPy."""
    energies, eigenvalues, mass, multiplicity = (
        np.asarray(getattr(task.problem, name), np.float64)
        for name in ("energies", "eigenvalues", "mass", "multiplicity")
    )
    powers = np.asarray(powers, np.float64)[:, None]
    log_energy, losses = np.broadcast_to(np.log(energies), (len(powers), len(energies))), []
    for duration in [*np.diff(task.times), 0.0]:
        losses.append(0.5 * np.exp(log_energy) @ multiplicity)
        score = np.exp(powers * log_energy)
        log_energy = log_energy - 2 * duration * eigenvalues * score / (score @ mass)[:, None]
    return np.stack(losses, axis=1)


CASES = (
    Case(
        "closed",
        "Closed loops on modes, float32: jit(vmap(simulate))",
        {"schedules": 512, "modes": 256, "refreshes": 256, "kinds": len(KINDS)},
        {"schedules": 64, "modes": 128, "refreshes": 64, "kinds": len(KINDS)},
        lambda sizes: 4 * sizes["schedules"] * (40 * sizes["modes"] + 8 * sizes["refreshes"]),
        _closed,
    ),
)
