"""Schedules that are written by hand and need no search: what a learned one has to beat."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .._simulate_many import simulate_many
from .._types import ArrayLike
from ..problems import AbstractProblem
from ..schedules import (
    AbstractStage,
    chain,
    clip,
    frontier_band,
    hard_pruning,
    leverage_sampling,
    mix,
    proportional,
    softmax,
    stages_of,
    top_fraction,
    uniform,
)
from ._objectives import AbstractObjective


class ByHand(eqx.Module):
    """Objectives of schedules written by hand.

    Arguments:
        values: the objective of each, by name; NaN for one that failed.
    """

    values: dict[str, float]

    @property
    def best(self) -> str:
        """Name of the best of those that finished."""
        return min(self.values, key=lambda name: self.values[name] if np.isfinite(self.values[name]) else np.inf)

    @property
    def best_value(self) -> float:
        """Its objective."""
        return self.values[self.best]


def compare_by_hand(
    problem: AbstractProblem,
    objective: AbstractObjective,
    times: ArrayLike,
    *,
    schedules: Mapping[str, AbstractStage] | None = None,
    cap: tuple[float, float] | None = None,
    **options: Any,
) -> ByHand:
    """Evaluate an objective, without penalties, for schedules that need no search.

    They run side by side in one compiled program.

    Arguments:
        problem: what they run on.
        objective: what is compared.
        times: refresh grid, shape (times,).
        schedules: by name; `hand_written(problem, cap)` if None.
        cap: bounds (low, high) on the weights of those; `cap_of` tells those of a learned schedule.
        **options: passed on to `simulate_many` (`dynamics`, `key`).

    Raises:
        ValueError: no schedules, or as `simulate`.
    """
    schedules = hand_written(problem, cap) if schedules is None else schedules
    if not schedules:
        raise ValueError("schedules is empty: give at least one, such as {'uniform': uniform()}.")
    options = {**options, "adjoint": "direct", "throw": False}  # nothing is differentiated: nothing is kept for it
    together = simulate_many(problem, schedules, times, **options)
    each = {name: jax.tree.map(lambda x, row=row: x[row], together) for row, name in enumerate(schedules)}
    return ByHand({name: float(objective.plain(run)) for name, run in each.items()})


def hand_written(problem: AbstractProblem, cap: tuple[float, float] | None = None) -> dict[str, AbstractStage]:
    """Practical schedules by name, under a cap; the ideal oracle is not among them, "uniform" is no curation.

    Arguments:
        problem: those that do not suit it are left out.
        cap: bounds (low, high) on the weights; none if None.
    """
    rules: dict[str, AbstractStage] = {
        "loss-proportional": proportional(1.0),
        "root of loss": proportional(0.5),
        "top half by loss": top_fraction(0.5),
        "softmax of loss": softmax(1.0),
        "loss-proportional, quarter uniform": chain(proportional(1.0), mix(0.25)),
    }
    if problem.difficulty() is not None:
        rules["keep the hard half"] = hard_pruning(0.5)
        rules["keep the easy half"] = hard_pruning(0.5, keep="easy")
    if problem.as_modal() is not None:
        rules["frontier, one e-fold"] = frontier_band(1.0)
    if problem.as_operator() is not None:
        rules["leverage"] = leverage_sampling()
    if cap is not None:
        free = lambda rule: [stage for stage in stages_of(rule) if stage.kind != "constrain"]
        rules = {name: chain(*free(rule), clip(*cap)) for name, rule in rules.items()}
    return {"uniform": uniform(), **rules}
