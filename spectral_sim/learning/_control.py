"""Joint control: learning rate, batch size and weights of a run with steps, learned together at a fixed horizon."""

from collections.abc import Iterable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_choice, check_whole
from .._simulate import simulate
from .._types import Array, ArrayLike, Float, Int, PerRefresh
from ..problems import AbstractProblem
from ..schedules import AbstractStage, TableSchedule, uniform
from ._learn import learn
from ._learned import Learned
from ._objectives import TerminalLogLoss
from ._parameters import STABLE
from ._rate_families import RateFamily, RatesByHand, rate_families, tune_families

_PATHS = {"learning_rate": "dynamics.learning_rate", "batch_size": "dynamics.batch_size", "weights": "schedule"}
_BELOW = 0.99  # of the largest stable rate, at which second moments would never fall
_EDGE = 1e-3  # of the range: how near to its ends the search begins
_SEARCH_STEPS = 300


class Control(eqx.Module):
    """What `learn_control` found.

    Arguments:
        grid: whole steps at which rate, batch and weights may change, shape (times,).
        learning_rate: rate of each interval, shape (intervals,).
        batch_size: batch of each interval, shape (intervals,).
        loss: at the end of the run.
        by_hand: the best member of each family of learning rates, at the batch size where the search began; none where
            the rate was not learned.
        learned: the search, with the schedule of weights and the dynamics; `learned.save` writes both.
    """

    grid: Int[np.ndarray, "times"]
    learning_rate: Float[np.ndarray, "intervals"]
    batch_size: Float[np.ndarray, "intervals"]
    loss: float
    by_hand: dict[str, RatesByHand]
    learned: Learned

    @property
    def best_by_hand(self) -> str | None:
        """Name of the family with the smallest loss; None where the rate was not learned."""
        return min(self.by_hand, key=lambda name: self.by_hand[name].loss, default=None)

    def each_step(self) -> tuple[Float[np.ndarray, "steps"], Float[np.ndarray, "steps"]]:
        """Learning rate and batch size of every step, each of shape (steps,)."""
        lengths = np.diff(self.grid)
        return np.repeat(self.learning_rate, lengths), np.repeat(self.batch_size, lengths)


def control_grid(steps: int, intervals: int = 96) -> Int[np.ndarray, "times"]:
    """Whole steps from 0 to `steps`, dense at both ends, where rates change fastest; their number does not grow.

    Arguments:
        steps: length of the run.
        intervals: about how many intervals; fewer for a short run.
    """
    check_whole("steps", steps, "give the length of the run in steps")
    step = np.concatenate([[0.0], steps / (1 + np.exp(-np.linspace(-25, 25, 20_001))), [steps]])
    head, tail = max(1.0, steps / 500), max(1.0, steps / 3000)
    place = np.log1p(step / head) - np.log1p((steps - step) / tail) + 8 * step / steps
    wanted = np.linspace(place[0], place[-1], intervals + 1)
    return np.unique(np.rint(np.interp(wanted, place, step)).astype(np.int64))


def learn_control(
    problem: AbstractProblem,
    steps: int,
    *,
    dynamics: Any,
    control: str | Iterable[str] = "learning_rate",
    samples: float | None = None,
    highest: ArrayLike | None = None,
    lowest: ArrayLike = 0.0,
    schedule: AbstractStage | None = None,
    families: Mapping[str, RateFamily] | None = None,
    grid: ArrayLike | None = None,
    search_steps: int = _SEARCH_STEPS,
    **options: Any,
) -> Control:
    """Learn how to train for a given number of steps: the learning rate, batch sizes and weights of the data.

    What is learned is held over intervals of `control_grid`, so that the cost does not grow with the number of steps.
    The search minimises the loss at the end. It begins at the best member of common families of learning rates, each
    tuned, which also tells what a search is worth. Rates stay below the limit of stability: under uniform weights where
    those are held, under any weights where they are learned.

    Arguments:
        problem: what is learned.
        steps: length of the run.
        dynamics: with steps, such as `SGDMoments(0.1, batch_size=1, noise_variance=1)`. What is not controlled stays as
            it is there; a learning rate that is controlled is replaced.
        control: "learning_rate", "batch_size", "weights", or several of them.
        samples: how many examples all steps together draw, where the batch size is controlled; the search begins at
            batches of samples / steps, and none has less than one example.
        highest: largest rate, a number or one for each interval; the largest stable one if None, and always where batch
            sizes change with it.
        lowest: least rate, a number or one for each interval.
        schedule: weights, or where the search for them begins; uniform, or a `TableSchedule`, if None.
        families: of learning rates by hand; `rate_families()` if None.
        grid: where the control may change, whole steps from 0 to `steps`; `control_grid(steps)` if None.
        search_steps: number of gradient steps.
        **options: passed on to `learn`, such as `optimizer`, `num_starts`, `key`, `checkpoint` and `report`.

    Returns:
        A `Control`.

    Raises:
        ValueError: dynamics without steps, an unknown control, batch sizes without a budget or a budget without batch
            sizes, or rates that hold nothing.
        SearchError: every start failed.
    """
    control = (control,) if isinstance(control, str) else tuple(control)
    for name in control:
        check_choice("control", name, tuple(_PATHS))
    if not control:
        raise ValueError(f"control is empty: name at least one of {', '.join(_PATHS)}.")
    if dynamics.clock != "steps":
        raise ValueError(f"dynamics is {type(dynamics).__name__}, which takes no steps: give SGDMoments, for example.")
    if ("batch_size" in control) != (samples is not None):
        raise ValueError(
            f"control is {control} and samples is {samples}: batch sizes are learned within a budget of samples, and a "
            "budget is for batch sizes; give both or neither."
        )
    if samples is not None and not samples > steps:
        raise ValueError(f"samples is {samples:g}, not above the {steps} steps, each of which draws an example.")
    grid = control_grid(steps) if grid is None else np.asarray(grid)
    if grid.ndim != 1 or grid[0] != 0 or grid[-1] != steps:
        raise ValueError(f"grid goes from {grid.flat[0]:g} to {grid.flat[-1]:g}: give whole steps from 0 to {steps}.")
    count = len(grid) - 1
    if schedule is None:
        schedule = TableSchedule.create(problem, grid) if "weights" in control else uniform()
    held = None if schedule.curates else jnp.ones_like(problem.mass)
    if samples is not None:
        even = PerRefresh(jnp.full(count, samples / steps))
        dynamics = eqx.tree_at(lambda d: d.batch_size, dynamics, even)
    limits, by_hand = {}, {}
    if "learning_rate" in control:
        lowest, ceiling, below = _range(problem, dynamics, highest, lowest, count, samples is not None, held)
        families = rate_families() if families is None else families
        by_hand = tune_families(_runs(problem, schedule, dynamics, grid), families, grid, lowest, below)
        start = min(by_hand.values(), key=lambda each: each.loss)
        if not np.isfinite(start.loss):
            raise ValueError("every learning rate by hand fails: give a smaller highest=, or check the problem.")
        edge = _EDGE * (ceiling - lowest)
        table = np.clip(start.learning_rate, lowest + np.minimum(edge, start.learning_rate), ceiling - edge)
        dynamics = _with_rates(dynamics, jnp.asarray(table))
        bound = STABLE if samples is not None else ceiling
        limits["dynamics.learning_rate"] = (lowest, bound)
    elif samples is not None and not isinstance(dynamics.learning_rate, PerRefresh):
        dynamics = _with_rates(dynamics, jnp.broadcast_to(dynamics.learning_rate, (count,)))
    found = learn(
        problem,
        schedule,
        grid,
        objective=TerminalLogLoss(),
        dynamics=dynamics,
        trainable=tuple(_PATHS[name] for name in control),
        limits=limits,
        samples=samples,
        steps=search_steps,
        **options,
    )
    ran: Any = found.dynamics
    rates, batches = _table(ran.learning_rate, count), _table(ran.batch_size, count)
    return Control(grid, rates, batches, float(np.exp(found.value)), by_hand, found)


def _range(
    problem: AbstractProblem,
    dynamics: Any,
    highest: Any,
    lowest: Any,
    count: int,
    batches: bool,
    weights: Array | None,
) -> tuple[Float[np.ndarray, "intervals"], ...]:
    """The least and the largest rate of each interval, and the largest of rates by hand: safely below instability."""
    stable = np.inf
    if hasattr(dynamics, "largest_rate"):
        stable = np.asarray(dynamics.largest_rate(problem, weights), np.float64)
    elif highest is None:
        raise ValueError(f"{type(dynamics).__name__} does not tell its largest stable rate: give highest=.")
    if batches and highest is not None:
        raise ValueError(
            f"highest is {highest}: where batch sizes are learned, the largest stable rate moves with them."
        )
    given = np.inf if highest is None else np.asarray(highest, np.float64)
    for name, value in (("highest", given), ("lowest", lowest)):
        if np.ndim(value) and np.shape(value) != (count,):
            raise ValueError(
                f"{name} has shape {np.shape(value)}: give a number, or one for each of {count} intervals."
            )
    ceiling = np.broadcast_to(np.minimum(stable, given), (count,))
    least = np.broadcast_to(np.asarray(lowest, np.float64), (count,))
    bad = ~((least >= 0) & (least < ceiling))
    if bad.any():
        n = int(np.argmax(bad))
        raise ValueError(f"lowest is {least[n]:.6g}, not from 0 to below the largest rate, {ceiling[n]:.6g}.")
    return least, ceiling, np.maximum(np.minimum(ceiling, _BELOW * stable), least)


def _runs(problem: AbstractProblem, schedule: AbstractStage, dynamics: Any, grid: np.ndarray) -> Any:
    """Rates of shape (members, intervals) -> log loss of each at the end."""
    objective, options = TerminalLogLoss(), {"adjoint": "direct", "throw": False}

    def one(rates):
        return objective(simulate(problem, schedule, grid, dynamics=_with_rates(dynamics, rates), **options))

    return jax.jit(jax.vmap(one))


def _with_rates(dynamics: Any, rates: Array) -> Any:
    return eqx.tree_at(lambda d: d.learning_rate, dynamics, PerRefresh(rates), is_leaf=lambda x: x is None)


def _table(setting: Any, count: int) -> Float[np.ndarray, "intervals"]:
    """A setting at each interval."""
    values = setting.over(count) if isinstance(setting, PerRefresh) else setting
    return np.broadcast_to(np.asarray(values, np.float64), (count,))
