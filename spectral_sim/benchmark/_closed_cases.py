"""Closed loops against a plain scan and a loop in C, and every kind of them against the simplest."""

from typing import Any

import numpy as np

from ._case import Case, Settings, ratio
from ._closed_task import KINDS, ClosedTask, closed_losses, plain_losses
from ._program import Compiled
from ._result import CaseResult
from ._rivals import Rival, added_rivals, against

__all__ = ["CASES"]

_ACCURACY = 1e-4  # of losses in float32, over e-folds


def _closed(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    task = ClosedTask(sizes["schedules"], sizes["modes"], sizes["refreshes"])
    build = lambda name, losses, numbers: Compiled(name, losses, task.problem, numbers, dtype=np.float32)
    first, *names = list(KINDS)[: sizes["kinds"]]
    kinds = {name: build(name, closed_losses(task, KINDS[name]), task.numbers(KINDS[name])) for name in names}
    powers = task.numbers(KINDS[first])
    scan, note = f"{first}, share of the plain scan", "exp, power, normalise and step, in one compiled scan"
    rivals = [
        Rival(scan, lambda: build("plain scan", plain_losses(task), powers), "closed/scan", note, "share"),
        *added_rivals("closed", (task, np.asarray(powers)), settings),
    ]
    ours = build(first, closed_losses(task, KINDS[first]), powers)
    seconds, figures = against(settings, result, ours, rivals, _exact(task, powers), _ACCURACY, beside=kinds)
    result.figures += figures
    for name in names:
        title = f"{name}, share of {first}"
        result.figures.append(ratio(title, seconds["ours"], seconds[name], unit="share", target=KINDS[name].target))


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
