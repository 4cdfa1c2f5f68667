"""Runs schedules on one or several splits of a problem, and keeps what every renderer needs."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from .._shown import Shown, View
from ..bounds import Certificate
from ..problems import AbstractProblem
from ..schedules import uniform
from ._curves import CERTIFICATE, Curve, bounds_of, certified
from ._entry import Entry, Split, Steps, family
from ._gains import gain_window, log_gain
from ._record import Rows, Spectrum, recorder
from ._run import Run, charges_of, run_of, taught_by
from ._runs import Recorded, run_split
from ._search import Search


class Store(Protocol):
    """Keeps what was recorded on each split, so that an interrupted comparison goes on where it was."""

    def load(self, number: int, split: Split) -> dict[int, Recorded]:
        """What is known of a split, by the number of the entry; empty if nothing is, or it was of other data.

        Arguments:
            number: of the split, from 0.
            split: what is about to be run.
        """
        ...

    def save(self, number: int, split: Split, recorded: dict[int, Recorded]) -> None:
        """Keep what is known of a split so far.

        Arguments:
            number: of the split, from 0.
            split: what was run.
            recorded: by the number of the entry.
        """
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Assessment(Shown):
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
        planned: how many schedules there will be.
        splits: how many splits of the data each run is a mean over.
        planned_splits: how many there will be.
        overlap: what the rows that splits share add to the variance of a mean over them; see `interval`.
        scored_rows: held-out rows in a split that gains are measured on; 0 on modes and where nothing is held out.
        steps: how steps become time; None where time is all there is.
        settings: whatever else was chosen, as plain values.
        warnings: what could not be done.
        search: how the learned schedules among them were found, if any were.
        facts: further sentences for the verdict.
        exports: whether the weights of the best schedule are written beside the results.
        examples: rows of the data with the most and the least weight, as titles and values.
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
    splits: int = 1
    planned_splits: int = 1
    overlap: float = 0.0
    scored_rows: int = 0
    steps: Steps | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    search: Search | None = None
    facts: tuple[str, ...] = ()
    exports: bool = False
    examples: tuple[dict[str, Any], ...] = ()

    @property
    def reference(self) -> Run:
        """The uniform run."""
        return self.runs[0]

    @property
    def is_data(self) -> bool:
        return not self.is_modal

    @property
    def is_complete(self) -> bool:
        """Whether every schedule has run on every split."""
        return len(self.runs) == self.planned and self.splits == self.planned_splits

    @property
    def has_picking_rows(self) -> bool:
        """Whether the best schedule is picked on other rows than those that score it."""
        return any(not np.array_equal(run.picking_losses, run.split_losses) for run in self.runs)

    def _view(self) -> View:
        from ._views import assessment_view  # reads the table, which is one of these

        return assessment_view(self)


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
    picking: np.ndarray | None = None,
    more_splits: Sequence[Callable[[], Split]] = (),
    overlap: float = 0.0,
    steps: Steps | None = None,
    store: Store | None = None,
    facts: tuple[str, ...] = (),
    exports: bool = False,
    started: Callable[[int, int, str], None] = lambda index, total, name: None,
    finished: Callable[[Assessment], None] = lambda assessment: None,
) -> Assessment:
    """Simulate every schedule on every split, side by side in one program that all splits share.

    Arguments:
        name: short name of the comparison.
        problem: what is to be learnt.
        entries: schedules; uniform sampling, the reference, is moved to the front and added where it is missing. Of
            entries with the same name, which differ in their variant, the one that is best after its cost is kept.
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
        picking: mass of the held-out rows that the best schedule is picked on, shape (held_out,); if None it is picked
            on the loss itself.
        more_splits: makers of further splits, with the same entries in the same order.
        overlap: of the rows of different splits; see `interval`.
        steps: how steps become time.
        store: keeps what was recorded on each split.
        facts: further sentences for the verdict.
        exports: whether the weights of the best schedule will be written beside the results.
        started: called with (index, total, what) before each part of the work.
        finished: called with everything so far after each part: each set of schedules on the first split, then each
            split.

    Returns:
        The comparison, with every run.

    Raises:
        ValueError: a schedule that does not suit the problem.
    """
    first = Split(problem, _uniform_first(entries), picking)
    total = 1 + len(more_splits)
    times = np.asarray(times, np.float64)
    started(0, total, f"{len(first.entries)} schedules")
    record, rows, spectrum = recorder(problem, group_names, picking)
    names = list(dict.fromkeys(entry.name for entry in first.entries))
    data = problem.as_operator()
    held_out = 0 if data is None or data.eval_mass is None else int(np.sum(np.asarray(data.eval_mass) > 0))
    empty = Assessment(
        name=name,
        title=title or name,
        subject=subject or title or name,
        description=description,
        measure=problem.measure,
        is_modal=problem.as_modal() is not None,
        times=times,
        refreshes_per_decade=(len(times) - 2) / np.log10(times[-1] / times[1]),
        runs=(),
        bounds=(),
        rows=rows,
        spectrum=spectrum,
        planned=len(names),
        planned_splits=total,
        overlap=overlap,
        scored_rows=held_out,
        steps=steps,
        settings=dict(settings or {}),
        search=search,
        facts=facts,
        exports=exports,
    )
    charges = charges_of(first, times)
    taught = [taught_by(problem if entry.problem is None else entry.problem, entry.schedule) for entry in first.entries]
    known: list[dict[int, Recorded]] = []

    def so_far() -> Assessment:
        runs = [
            run_of(entry, charges[n], taught[n], [split[n] for split in known if n in split], times, cost, steps)
            for n, entry in enumerate(first.entries)
            if all(n in split for split in known[: 1 if entry.first_only else None])
        ]
        return dataclasses.replace(empty, runs=_kept(runs, times), splits=len(known))

    assessment = empty
    for number in range(total):
        split = first
        if number:
            started(number, total, f"split {number + 1} of {total}")
            split = _like(first, more_splits[number - 1]())
        recorded = {} if store is None else store.load(number, split)
        wanted = [n for n, entry in enumerate(first.entries) if number == 0 or not entry.first_only]
        if not recorded.keys() >= set(wanted):
            if number:
                record = recorder(split.problem, group_names, split.picking)[0]
            for found in run_split(split, wanted, times, record, seed, number):
                recorded = recorded | found
                if number == 0:
                    known = [recorded]
                    assessment = so_far()
                    finished(assessment)
            if store is not None:
                store.save(number, split, recorded)
        if number == 0:  # after the first rows are known
            curves, warnings = bounds_of(problem, [entry.schedule for entry in first.entries], times)
            if certificate is not None:
                curves = (*(curve for curve in curves if curve.name != CERTIFICATE), certified(certificate, times))
            empty = dataclasses.replace(empty, bounds=curves, warnings=warnings)
        known = [*known[:number], recorded]
        assessment = so_far()
        if number or total == 1:
            finished(assessment)
    return assessment


def _kept(runs: list[Run], times: np.ndarray) -> tuple[Run, ...]:
    """One run of each name: of several variants the one that is best net of its cost, on the rows for picking."""
    reference = runs[0]
    window = gain_window(times, reference.loss)
    best: dict[str, tuple[float, Run]] = {}
    for run in runs:
        value = -np.inf
        if window is not None and run.ok:
            losses = run.picking_losses.mean(axis=0), reference.picking_losses.mean(axis=0)
            value = log_gain(times, *losses, window.end, run.cost_per_refresh)
        value = -np.inf if np.isnan(value) else value
        if run.name not in best or value > best[run.name][0]:
            best[run.name] = value, run
    return tuple(run for _, run in best.values())


def _like(first: Split, other: Split) -> Split:
    """Another split with the entries of the first, made for it where it has its own of that name."""
    made = {(entry.name, entry.variant): entry for entry in _uniform_first(other.entries)}
    entries = [made.get((entry.name, entry.variant), entry) for entry in first.entries]
    return dataclasses.replace(other, entries=entries)


def _uniform_first(entries: Sequence[Entry]) -> list[Entry]:
    plain = [
        entry for entry in entries if family(entry.schedule, entry.dynamics) == "uniform" and entry.problem is None
    ]
    first = plain[0] if plain else Entry("uniform", uniform())
    return [first, *(entry for entry in entries if entry is not first)]
