"""Closed loops on modes: every stage that follows the learner, a plain scan of the simplest of them, a loop in C."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._simulate import simulate
from .._times import log_times
from .._types import Array, Float
from ..problems import ModalProblem, power_law
from ..schedules import (
    AbstractStage,
    add_noise,
    band_limit,
    chain,
    clip,
    delay,
    frontier_band,
    lag,
    mix,
    proportional,
    shell_average,
    smooth,
    softmax,
    stale,
    subsample,
    top_fraction,
    water_filling,
)
from ._case import Case, Settings, ratio
from ._program import Compiled
from ._result import CaseResult
from ._rivals import Rival, added_rivals, against

_ACCURACY = 1e-4  # of losses in float32, over e-folds
_FIRST, _LAST_PER_MODE = 1e-1, 2.0  # until a mode has lost some three e-folds: far from where float32 underflows


class Kind(NamedTuple):
    """A schedule of one number, the range of that number, and the target for its share of `proportional`, if any.

    Where the schedule has no number, the energies at the start are tilted by it.
    """

    build: Callable[[Any], AbstractStage]
    low: float
    high: float
    target: str | None = None
    tilts: bool = False


def _before(stage: Callable[..., AbstractStage], *numbers: float) -> Callable[[Any], AbstractStage]:
    return lambda power: chain(stage(*numbers), proportional(power))


def _after(stage: Callable[..., AbstractStage], *numbers: float) -> Callable[[Any], AbstractStage]:
    return lambda power: chain(proportional(power), stage(*numbers))


# stages are made when they are asked for: their numbers are arrays, and no device is touched by an import
KINDS: dict[str, Kind] = {
    "proportional": Kind(proportional, 0.5, 1.5),
    "delay": Kind(_before(delay, 10.0), 0.5, 1.5, "closed/delay"),
    "top_fraction": Kind(top_fraction, 0.05, 0.5, "closed/top"),
    "water_filling": Kind(lambda tilt: water_filling(), 0.0, 0.2, "closed/water", tilts=True),
    "lag and clip": Kind(
        lambda power: chain(lag(10.0), proportional(power), clip(0.1, 100.0)), 0.5, 1.5, "closed/lag-clip"
    ),
    "lag": Kind(_before(lag, 10.0), 0.5, 1.5),
    "stale": Kind(_before(stale, 10.0), 0.5, 1.5),
    "add_noise": Kind(_before(add_noise, 0.3), 0.5, 1.5),
    "shell_average": Kind(_before(shell_average, 16), 0.5, 1.5),
    "band_limit": Kind(_before(band_limit, 100.0), 0.5, 1.5),
    "subsample": Kind(_before(subsample, 0.5), 0.5, 1.5),
    "softmax": Kind(softmax, 0.5, 2.0),
    "frontier_band": Kind(frontier_band, 0.5, 2.0),
    "clip": Kind(_after(clip, 0.1, 100.0), 0.5, 1.5),
    "mix": Kind(_after(mix, 0.1), 0.5, 1.5),
    "smooth": Kind(_after(smooth, 10.0), 0.5, 1.5),
}
"""Every kind of closed loop by its name, those with targets first."""


class ClosedTask:
    """A power law with alpha = beta = 2 on plain modes, in float32.

    Arguments:
        schedules, modes, refreshes: sizes.
    """

    def __init__(self, schedules: int, modes: int, refreshes: int):
        self.problem = power_law(np.float32(2), np.float32(2), num_modes=modes)
        self.times = log_times(_FIRST, _LAST_PER_MODE * modes, refreshes + 1)
        self.schedules = schedules

    def numbers(self, kind: Kind) -> Float[Array, "schedules"]:
        """The number of every schedule of a kind."""
        return jnp.linspace(kind.low, kind.high, self.schedules, dtype=jnp.float32)


def closed_losses(task: ClosedTask, kind: Kind) -> Callable[[Any, Any], Array]:
    """(problem, numbers) -> losses of `simulate`, shape (schedules, times)."""

    def one(problem, number):
        if kind.tilts:
            tilted = problem.energies * problem.index**-number
            problem = eqx.tree_at(lambda p: p.energies, problem, tilted)
        return simulate(problem, kind.build(number), task.times, key=jax.random.key(0), throw=False).loss

    return lambda problem, numbers: jax.vmap(lambda number: one(problem, number))(numbers)


def plain_losses(task: ClosedTask) -> Callable[[ModalProblem, Any], Array]:
    """(problem, powers) -> losses of w ~ E^power by one scan that does nothing else, shape (schedules, times)."""
    durations = jnp.asarray(np.diff(task.times), jnp.float32)
    durations = jnp.concatenate([durations, durations[-1:]])  # the last entry only records

    def one(problem, power):
        def step(log_energy, duration):
            energy = jnp.exp(log_energy)
            score = energy**power
            weights = score / (problem.mass @ score)
            moved = log_energy - 2 * duration * problem.eigenvalues * weights
            return moved, 0.5 * problem.multiplicity @ energy

        return jax.lax.scan(step, jnp.log(problem.energies), durations)[1]

    return lambda problem, powers: jax.vmap(lambda power: one(problem, power))(powers)


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
