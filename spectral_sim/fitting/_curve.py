"""What a training run recorded: losses at steps, and the learning rate of every step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._wording import option

_FEWEST = 8  # points of a curve that is fitted


@dataclass(frozen=True, eq=False)
class Curve:
    """A loss curve and the learning rate that led to it.

    Arguments:
        steps: optimiser steps taken before each loss was measured, whole numbers, increasing, shape (points,).
        loss: positive losses, shape (points,).
        learning_rate: rate of every step from the first, shape (at least steps[-1],); one number for all of them; or a
            function of the number of steps taken, such as an optax schedule. Rates may be zero, as at the start of a
            warm-up. Rates that were recorded with the losses become rates of steps by `interpolate_rates`.
        batch_size: examples (or tokens) in a step; None if unknown. Only its changes between curves matter.

    Raises:
        ValueError: steps that repeat or fall, losses that are not positive numbers, rates that do not reach the last
            step, negative rates, or a loss that only rises.
    """

    steps: Any
    loss: Any
    learning_rate: Any
    batch_size: float | None = None

    def __post_init__(self) -> None:
        steps, loss = np.asarray(self.steps, np.float64), np.asarray(self.loss, np.float64)
        if steps.ndim != 1 or steps.shape != loss.shape:
            raise ValueError(f"steps has shape {steps.shape} and loss {loss.shape}: give as many losses as steps.")
        if steps.size < _FEWEST:
            raise ValueError(f"steps has {steps.size} entries: a curve needs at least {_FEWEST}; log more often.")
        bad = ~np.isfinite(steps) | (steps < 0) | (np.rint(steps) != steps)
        if bad.any():
            n = int(np.argmax(bad))
            raise ValueError(f"steps[{n}] is {steps[n]:.6g}: give whole numbers of steps, 0 or more.")
        falls = np.diff(steps) <= 0
        if falls.any():
            n = int(np.argmax(falls)) + 1
            what = "repeats the one before" if steps[n] == steps[n - 1] else f"comes after {steps[n - 1]:.0f}"
            raise ValueError(f"steps[{n}] is {steps[n]:.0f}, which {what}: sort the curve and drop what repeats.")
        bad = ~(np.isfinite(loss) & (loss > 0))
        if bad.any():
            n = int(np.argmax(bad))
            raise ValueError(f"loss[{n}] is {loss[n]:.6g}: give positive, finite losses; drop those of a failed run.")
        tenth = max(2, loss.size // 10)
        if np.median(loss[-tenth:]) > np.max(loss[:tenth]):
            raise ValueError(
                f"loss rises from {loss[0]:.6g} to {loss[-1]:.6g}: a run that learns nothing has no curve to fit; "
                "drop it, or cut it before it diverges."
            )
        whole = steps.astype(np.int64)
        rates = rates_of_steps(self.learning_rate, int(whole[-1]))
        if not np.any(rates[: whole[-1]] > 0):
            raise ValueError("learning_rate is zero at every step: give the rates that the run used.")
        if self.batch_size is not None and not (np.isfinite(self.batch_size) and self.batch_size > 0):
            raise ValueError(f"batch_size is {self.batch_size!r}: give a positive number, or None if unknown.")
        object.__setattr__(self, "steps", whole)
        object.__setattr__(self, "loss", loss)
        object.__setattr__(self, "learning_rate", rates)
        if self.batch_size is not None:
            object.__setattr__(self, "batch_size", float(self.batch_size))


def rates_of_steps(learning_rate: Any, count: int) -> np.ndarray:
    """The learning rate of each step as an array, shape (at least count,).

    Arguments:
        learning_rate: one number, an array with a rate for each step, or a function of the number of steps taken.
        count: how many steps are needed.

    Raises:
        ValueError: too few rates, or rates that are negative or not finite.
    """
    if isinstance(learning_rate, Callable):
        rates = np.asarray(_called(learning_rate, count), np.float64)
    else:
        rates = np.asarray(learning_rate, np.float64)
    if rates.ndim == 0:
        rates = np.full(count, float(rates))
    if rates.ndim != 1:
        raise ValueError(f"learning_rate has shape {rates.shape}: give one rate for each step, shape (steps,).")
    if rates.size < count:
        raise ValueError(
            f"learning_rate has {rates.size} entries, but step {count} needs {count}: give the rate of every step from "
            "the first; interpolate_rates makes them from rates recorded now and then."
        )
    bad = ~(np.isfinite(rates) & (rates >= 0))
    if bad.any():
        n = int(np.argmax(bad))
        raise ValueError(f"learning_rate[{n}] is {rates[n]:.6g}: give finite rates of zero or above.")
    return rates


def interpolate_rates(steps: Any, rates: Any) -> np.ndarray:
    """The rate of every step from rates recorded now and then, straight lines between them.

    Arguments:
        steps: number of steps taken when each rate was recorded, increasing, shape (records,).
        rates: rate of the step before the record, shape (records,). Before the first record its own rate is taken.

    Returns:
        Rates of the steps 1 to steps[-1], shape (steps[-1],).
    """
    steps, rates = np.asarray(steps, np.float64), np.asarray(rates, np.float64)
    if steps.shape != rates.shape or steps.ndim != 1 or steps.size == 0:
        raise ValueError(f"steps has shape {steps.shape} and rates {rates.shape}: give one rate for each record.")
    if np.any(np.diff(steps) <= 0):
        raise ValueError("steps of the recorded rates do not increase: sort them and drop what repeats.")
    return np.interp(np.arange(1, int(steps[-1]) + 1), steps, rates)


def check_curves(curves: Any) -> dict[str, Curve]:
    """The curves as a dictionary, or an error that says what is wrong with them."""
    if not isinstance(curves, Mapping) or not curves:
        raise ValueError(f"curves is {type(curves).__name__}: give a dictionary of at least one name and its Curve.")
    seen: dict[str, str] = {}
    for name, curve in curves.items():
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"curves has the name {name!r}: give each curve a text that is not empty.")
        if not isinstance(curve, Curve):
            raise TypeError(f"curves[{name!r}] is a {type(curve).__name__}: give a Curve(steps, loss, learning_rate).")
        if name.strip() in seen:
            raise ValueError(f"curves has {seen[name.strip()]!r} and {name!r}, which read the same: rename one.")
        seen[name.strip()] = name
    known = [curve.batch_size is not None for curve in curves.values()]
    if any(known) and not all(known):
        name = list(curves)[known.index(False)]
        raise ValueError(f"curves[{name!r}] has no batch_size, and others have: give all of them, or none.")
    return dict(curves)


def check_hold_out(hold_out: Any, curves: Mapping[str, Curve]) -> tuple[str, ...]:
    """Names of the curves that are not fitted."""
    names = (hold_out,) if isinstance(hold_out, str) else tuple(hold_out)
    for name in names:
        if name not in curves:
            raise ValueError(
                f"{option('hold_out')} names {name!r}, which is no curve: give some of {', '.join(curves)}."
            )
    if len(set(names)) < len(names):
        raise ValueError(f"{option('hold_out')} is {names}: give each name once.")
    if len(names) == len(curves):
        raise ValueError(f"{option('hold_out')} names every curve: leave at least one to fit.")
    return names


def _called(schedule: Callable, count: int) -> np.ndarray:
    """A function of the step at every step; one that takes no arrays is called step by step."""
    steps = np.arange(count)
    try:
        values = np.asarray(schedule(steps), np.float64)
        if values.shape == steps.shape:
            return values
    except Exception:  # a function of one number: whatever it says of an array
        pass
    return np.array([float(schedule(int(step))) for step in steps])
