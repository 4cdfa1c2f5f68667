"""Runs schedules on a problem, one after the other, and keeps what every renderer needs."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from .._simulate import simulate
from .._status import Status, describe_status
from ..analysis import scoring_charges, training_charges
from ..bounds import Certificate
from ..problems import AbstractProblem
from ..schedules import uniform
from ._curves import Curve, bounds_of, certified
from ._entry import Entry, Family, family
from ._record import Record, Rows, Spectrum, recorder
from ._search import Search
from ._teachers import Taught, taught_by

__all__ = ["Assessment", "Run", "run_assessment"]


@dataclass(frozen=True)
class Run:
    """One schedule's run, as NumPy arrays; NaN from the refresh at which it failed.

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
        seconds: how long it took, compilation included.
        is_ceiling: whether it was found by looking at the loss that it is judged by.
        taught: how far its second model can see, if one was trained beforehand.
        faults: what its dynamics says of each of its faults.
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
    seconds: float
    is_ceiling: bool
    taught: Taught | None = None
    faults: tuple[str, ...] = ()

    @property
    def is_weighted(self) -> bool:
        """Whether its weights are anything but uniform."""
        return self.family not in ("uniform", "own labels")

    @property
    def teacher_frontier(self) -> float | None:
        """Modes, or share of the examples, that its second model knows; None without one trained beforehand."""
        return None if self.taught is None else self.taught.frontier

    @property
    def cost_per_refresh(self) -> np.ndarray:
        """Time units that curation costs at each refresh, shape (times,)."""
        return self.cost * self.charges + self.training_charges

    @property
    def ok(self) -> bool:
        return self.status == Status.OK

    def describe(self, times: np.ndarray) -> str:
        """ "ok", or what went wrong and when."""
        return "ok" if self.ok else f"{describe_status(self.status, self.faults)} at t = {times[self.refresh]:.3g}"


@dataclass(frozen=True)
class Assessment:
    """Schedules compared on one problem.

    Arguments:
        name: short, used for folders.
        title: for readers.
        subject: what was learnt, as in "curation helps on digits".
        description: what the problem is.
        measure: what `loss` is: "held-out loss", "training loss" (nothing held out) or "loss" (modes).
        is_modal: whether weights act on modes.
        times: refresh grid, shape (times,).
        refreshes_per_decade: of the grid after its start.
        runs: those finished so far, uniform first.
        bounds: what to draw beside them.
        rows: rows of the heat maps.
        spectrum: eigenvalues under uniform sampling.
        planned: how many runs there will be.
        settings: whatever else was chosen, as plain values.
        warnings: what could not be done.
        search: how the learned schedules among them were found, if any were.
    """

    name: str
    title: str
    subject: str
    description: str
    measure: str
    is_modal: bool
    times: np.ndarray
    refreshes_per_decade: float
    runs: tuple[Run, ...]
    bounds: tuple[Curve, ...]
    rows: Rows
    spectrum: Spectrum
    planned: int
    settings: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    search: Search | None = None

    @property
    def reference(self) -> Run:
        """The uniform run."""
        return self.runs[0]

    @property
    def is_data(self) -> bool:
        return not self.is_modal


def run_assessment(
    name: str,
    problem: AbstractProblem,
    entries: Sequence[Entry],
    times: np.ndarray,
    *,
    title: str | None = None,
    subject: str | None = None,
    description: str = "",
    cost: float = 0.0,
    seed: int = 0,
    settings: dict[str, Any] | None = None,
    group_names: tuple[str, ...] = (),
    search: Search | None = None,
    certificate: Certificate | None = None,
    started: Callable[[int, int, str], None] = lambda index, total, name: None,
    finished: Callable[[Assessment], None] = lambda assessment: None,
) -> Assessment:
    """Simulate every schedule and collect the results; at no time is more than one in memory.

    Arguments:
        name: short name of the comparison.
        problem: what is to be learnt.
        entries: schedules; uniform sampling, the reference, is moved to the front and added where it is missing.
        times: refresh grid, from 0.
        title: for readers; the name if None.
        subject: what was learnt, for the verdict; the title if None.
        description: what the problem is.
        cost: time units for scoring all data once, for entries that say nothing else.
        seed: seed of random stages, for entries that say nothing else.
        settings: kept with the results.
        group_names: names of the groups, where the problem is reweighted by group.
        search: how learned schedules among the entries were found.
        certificate: of the problem at the last time, to be drawn and to bound what is left to gain.
        started: called with (index, total, name) before each run.
        finished: called after each run with everything so far.

    Returns:
        The comparison, with every run.

    Raises:
        ValueError: a schedule that does not suit the problem.
    """
    entries = _uniform_first(entries)
    started(0, len(entries), "bounds")
    record, rows, spectrum = recorder(problem, group_names)
    curves, warnings = bounds_of(problem, [entry.schedule for entry in entries], times)
    if certificate is not None:
        curves = (*curves, certified(certificate, np.asarray(times, np.float64)))
    assessment = Assessment(
        name=name,
        title=title or name,
        subject=subject or title or name,
        description=description,
        measure=problem.measure,
        is_modal=problem.as_modal() is not None,
        times=np.asarray(times, np.float64),
        refreshes_per_decade=(len(times) - 2) / np.log10(times[-1] / times[1]),
        runs=(),
        bounds=curves,
        rows=rows,
        spectrum=spectrum,
        planned=len(entries),
        settings=dict(settings or {}),
        warnings=warnings,
        search=search,
    )
    for index, entry in enumerate(entries):
        started(index, len(entries), entry.name)
        run = _run(problem, entry, times, record, cost, seed)
        assessment = dataclasses.replace(assessment, runs=(*assessment.runs, run))
        finished(assessment)
    return assessment


def _run(problem: AbstractProblem, entry: Entry, times: np.ndarray, record: Record, cost: float, seed: int) -> Run:
    begin = time.perf_counter()
    options: dict[str, Any] = {
        "key": jax.random.key(seed if entry.seed is None else entry.seed),
        "dynamics": entry.dynamics,
        "throw": False,
    }
    own = problem if entry.problem is None else entry.problem
    # nothing is differentiated here, so nothing is to be kept for it
    trajectory = simulate(own, entry.schedule, times, save=record, adjoint="direct", **options)
    saved = {name: np.asarray(values, np.float64) for name, values in trajectory.saved.items()}
    loss = np.asarray(trajectory.loss, np.float64)
    fixed, running = training_charges(own, entry.schedule, times, entry.dynamics)
    return Run(
        name=entry.name,
        family=family(entry.schedule, entry.dynamics),
        loss=loss,
        train_loss=saved["train_loss"],
        max_weight=saved["max_weight"],
        effective_sample_size=saved["effective_sample_size"],
        drive=saved["drive"],
        rows=saved["rows"],
        row_energy=saved["row_energy"],
        mode_energy=saved["mode_energy"][-1],
        initial_mode_energy=saved["mode_energy"][0],
        charges=np.asarray(scoring_charges(entry.schedule, np.asarray(times, own.dtype)), np.float64),
        cost=cost if entry.cost is None else entry.cost,
        training_charges=np.asarray(running.at[0].add(fixed), np.float64),
        status=int(trajectory.status),
        refresh=int(trajectory.refresh),
        quadrature_error=_quadrature_error(own, entry, times, options, loss),
        seconds=time.perf_counter() - begin,
        is_ceiling=entry.is_ceiling,
        taught=taught_by(own, entry.schedule),
        faults=trajectory.faults,
    )


def _quadrature_error(
    problem: AbstractProblem, entry: Entry, times: np.ndarray, options: dict[str, Any], loss: np.ndarray
) -> float | None:
    """As `bounds.quadrature_error`, for a loss that is known; NaN for a schedule made for this number of nodes only."""
    finer = problem.refined()
    if finer is None:
        return None
    try:
        doubled = simulate(finer, entry.schedule, times, adjoint="direct", **options).loss
    except ValueError:
        return float("nan")
    return float(np.max(np.abs(np.asarray(doubled, np.float64) / loss - 1)))


def _uniform_first(entries: Sequence[Entry]) -> list[Entry]:
    plain = [
        entry for entry in entries if family(entry.schedule, entry.dynamics) == "uniform" and entry.problem is None
    ]
    first = plain[0] if plain else Entry("uniform", uniform())
    return [first, *(entry for entry in entries if entry is not first)]
