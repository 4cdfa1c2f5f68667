"""One schedule's runs over all splits, what they cost, and how far a model can see that was trained for them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._status import Status, describe_status
from .._types import Array
from ..analysis import scoring_charges, teacher_frontier, training_charges
from ..problems import AbstractProblem
from ..schedules import AbstractStage, stages_of
from ._entry import Entry, Family, Split, Steps, family
from ._runs import Recorded

_FORWARD = 1 / 3  # of the compute of a training step on the same examples


@dataclass(frozen=True)
class Taught:
    """What a schedule's second model had learnt when the run began.

    Arguments:
        model: "teacher" or "second model".
        training_time: that it had trained for.
        cost: time units that its training is charged with.
        frontier: number of leading modes that it knows; on data the share of the examples (or groups) that it does.
        gain_until: time near which its gain is expected to stop, frontier / trace; None on data, and for a model that
            knows no leading modes but perhaps others.
        known: what the frontier counts: "modes", "examples" or "groups".
    """

    model: str
    training_time: float
    cost: float
    frontier: float
    gain_until: float | None
    known: str


@dataclass(frozen=True)
class Run:
    """One schedule's runs, as NumPy arrays; NaN from the refresh at which it failed.

    Losses, weights and shares of samples are means over splits; rows and energies are those of the first split.

    Arguments:
        name: of the schedule.
        family: how it comes by its weights.
        loss: on the evaluation set, shape (times,).
        train_loss: on the training set, shape (times,).
        max_weight: largest weight, shape (times,).
        effective_sample_size: fraction of the base sample that the draws are worth, shape (times,).
        drive: tr M_w over tr M, shape (times,): how much of the speed is scale; 1 on modes.
        rows: mean weight in each row of the heat map, shape (times, rows).
        row_energy: mean residual energy in each row, shape (times, rows).
        mode_energy: residual energy per mode at the end, shape (modes,).
        initial_mode_energy: the same at time 0.
        charges: how many times all data is scored at each refresh, shape (times,).
        cost: time units for scoring all data once.
        training_charges: time units that second models train for and own labels take, at each refresh, shape (times,);
            what is paid before training is part of the first.
        status: a `Status` code.
        refresh: index of the first bad refresh, -1 if none.
        quadrature_error: largest relative change of the loss on a rule with twice the nodes; None without quadrature.
        is_ceiling: whether it was found by looking at the loss that it is judged by.
        taught: how far its second model can see, if one was trained beforehand.
        faults: what its dynamics says of each of its faults.
        variant: of the entry: how often it scores, where several were tried.
        meaning: of the entry: one sentence on how it chooses weights.
        on_the_fly: time units that scoring by rejection takes, shape (times,); None where that cannot be.
        split_losses: loss of each split, shape (splits, times).
        picking_losses: loss of each split on the rows that a schedule is picked on, shape (splits, times).
    """

    name: str
    family: Family
    loss: np.ndarray
    train_loss: np.ndarray
    max_weight: np.ndarray
    effective_sample_size: np.ndarray
    drive: np.ndarray
    rows: np.ndarray
    row_energy: np.ndarray
    mode_energy: np.ndarray
    initial_mode_energy: np.ndarray
    charges: np.ndarray
    cost: float
    training_charges: np.ndarray
    status: int
    refresh: int
    quadrature_error: float | None
    is_ceiling: bool
    split_losses: np.ndarray
    picking_losses: np.ndarray
    taught: Taught | None = None
    faults: tuple[str, ...] = ()
    variant: str = ""
    meaning: str = ""
    on_the_fly: np.ndarray | None = None

    @property
    def is_weighted(self) -> bool:
        """Whether its weights are anything but uniform."""
        return self.family not in ("uniform", "own labels")

    @property
    def teacher_frontier(self) -> float | None:
        """Modes, or share of the examples, that its second model knows; None without one trained beforehand."""
        return None if self.taught is None else self.taught.frontier

    @property
    def passes(self) -> np.ndarray:
        """Time units that full passes over the data take at each refresh, shape (times,)."""
        return self.cost * self.charges

    @property
    def is_scored_on_the_fly(self) -> bool:
        """Whether rejection is the cheaper way to score."""
        return self.on_the_fly is not None and float(self.on_the_fly.sum()) < float(self.passes.sum())

    @property
    def cost_per_refresh(self) -> np.ndarray:
        """Time units that curation costs at each refresh by the cheaper way to score, shape (times,)."""
        scoring = self.on_the_fly if self.on_the_fly is not None and self.is_scored_on_the_fly else self.passes
        return scoring + self.training_charges

    @property
    def ok(self) -> bool:
        return self.status == Status.OK

    def describe(self, times: np.ndarray) -> str:
        """ "ok", or what went wrong and when.

        Arguments:
            times: refresh grid, shape (times,).
        """
        return "ok" if self.ok else f"{describe_status(self.status, self.faults)} at t = {times[self.refresh]:.3g}"


@dataclass(frozen=True)
class Charges:
    """What one schedule pays for, at each refresh; see `Run`."""

    passes: np.ndarray
    training: np.ndarray


def charges_of(split: Split, times: np.ndarray) -> list[Charges]:
    """The charges of every schedule of a split, found by one program for each problem."""
    together: dict[int, list[int]] = {}
    for number, entry in enumerate(split.entries):
        together.setdefault(id(entry.problem), []).append(number)
    found: dict[int, Charges] = {}
    for numbers in together.values():
        entries = [split.entries[number] for number in numbers]
        problem = split.problem if entries[0].problem is None else entries[0].problem
        rules = [(entry.schedule, entry.dynamics) for entry in entries]
        for number, parts in zip(numbers, _charged_together(problem, rules, tuple(times.tolist())), strict=True):
            found[number] = Charges(*(np.asarray(part, np.float64) for part in parts))
    return [found[number] for number in range(len(split.entries))]


@eqx.filter_jit
def _charged_together(problem, rules, times: tuple[float, ...]) -> list[tuple[Array, Array]]:
    charges = []
    for schedule, moved_by in rules:
        fixed, running = training_charges(problem, schedule, np.array(times), moved_by)
        passes = scoring_charges(schedule, jnp.asarray(times, problem.dtype))
        charges.append((passes, running.at[0].add(fixed)))
    return charges


def run_of(
    entry: Entry,
    charges: Charges,
    taught: Taught | None,
    recorded: Sequence[Recorded],
    times: np.ndarray,
    cost: float,
    steps: Steps | None,
) -> Run:
    """Put the runs of one schedule on all splits together."""
    first = recorded[0]
    failed = next((each for each in recorded if each.status != Status.OK), first)
    mean = {
        name: np.mean([each.saved[name] for each in recorded], axis=0)
        for name in ("train_loss", "max_weight", "effective_sample_size", "drive")
    }
    on_the_fly = None
    scored = float(charges.passes.max())
    if steps is not None and entry.cost is None and entry.schedule.closed_loop and scored > 0:
        # as many candidates are scored for each example kept as the largest weight says, by each model that scores
        durations = np.append(np.diff(times), 0)
        on_the_fly = _FORWARD * math.ceil(scored) * np.nan_to_num(mean["max_weight"], nan=1.0) * durations
    return Run(
        name=entry.name,
        family=family(entry.schedule, entry.dynamics),
        loss=np.mean([each.loss for each in recorded], axis=0),
        **mean,
        rows=first.saved["rows"],
        row_energy=first.saved["row_energy"],
        mode_energy=first.saved["mode_energy"][-1],
        initial_mode_energy=first.saved["mode_energy"][0],
        charges=charges.passes,
        cost=cost if entry.cost is None else entry.cost,
        training_charges=charges.training,
        status=failed.status,
        refresh=failed.refresh,
        quadrature_error=first.quadrature_error,
        is_ceiling=entry.is_ceiling,
        split_losses=np.stack([each.loss for each in recorded]),
        picking_losses=np.stack([each.saved["picking_loss"] for each in recorded]),
        taught=taught,
        faults=first.faults,
        variant=entry.variant,
        meaning=entry.meaning,
        on_the_fly=on_the_fly,
    )


def taught_by(problem: AbstractProblem, schedule: AbstractStage) -> Taught | None:
    """What the first model of a schedule that is trained beforehand knows; None if there is no such model.

    Arguments:
        problem: what is to be learnt.
        schedule: the schedule. A teacher with a table of thresholds or training times has no frontier: None.
    """
    for stage in stages_of(schedule):
        model = stage.second_model(problem)
        if model is None or model.varies or model.training_time is None:
            continue
        frontier, data = teacher_frontier(problem, schedule), problem.as_operator()
        until, known = None, "examples"
        if problem.as_modal() is not None:
            until, known = frontier / float(problem.trace) if frontier else None, "modes"
        elif data is not None and data.groups is not None:
            known = "groups"
        cost = float(stage.training_cost(problem).before)
        return Taught(model.name, float(np.asarray(model.training_time)), cost, frontier, until, known)
    return None
