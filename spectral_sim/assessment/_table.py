"""The one table of a comparison: numbers by row, and each of them as text."""

import functools
import math
from dataclasses import dataclass

import numpy as np

from ..analysis import NoPowerLawError, fit_exponent
from ._assessment import Assessment
from ._columns import NONE, Column, Row, columns_of, format_short
from ._entry import Steps
from ._gains import Window, first_ahead, gain_window, gains, log_gain
from ._run import Run, Taught

SCALED = 0.1
FEWEST_ROWS, FEWEST_SPLITS = 30, 3


@dataclass(frozen=True)
class Table:
    """All rows, and what their gains are measured over.

    Arguments:
        rows: uniform first, then by net gain.
        window: times of the speed-ups; None where uniform sampling does not learn.
        measure: what the losses are.
        is_modal: whether weights act on modes.
        priced: whether any schedule is charged for curation: passes over the data, second models, own labels.
        paid_passes: whether any schedule is charged for passes over the data.
        free_passes: whether any scores the data and is not charged for it.
        taught: name of each schedule whose second model was trained beforehand, and how far that can see.
        splits: how many splits of the data the numbers are means over.
        scored_rows: held-out rows that score in each.
        picks_apart: whether the best is picked on other rows than those that score it.
        steps: how steps become time.
    """

    rows: tuple[Row, ...]
    window: Window | None
    measure: str
    is_modal: bool
    priced: bool
    paid_passes: bool = False
    free_passes: bool = False
    taught: tuple[tuple[str, Taught], ...] = ()
    splits: int = 1
    scored_rows: int = 0
    picks_apart: bool = False
    steps: Steps | None = None

    @property
    def columns(self) -> list[Column]:
        """The columns that say something: those that say the same of every schedule are left out."""
        shown = [column for column in self._all_columns() if self._says_something(column)]
        return [Column("schedule", "What chooses the weights.", lambda row: row.name), *shown]

    @property
    def header(self) -> list[str]:
        """Column titles; a line break separates the parts of a long one."""
        return [column.title for column in self.columns]

    @property
    def cells(self) -> list[list[str]]:
        """Every row as text, in the order of `header`."""
        return [[column.cell(row) for column in self.columns] for row in self.rows]

    @property
    def picked(self) -> Row | None:
        """The schedule that the verdict is about."""
        return next((row for row in self.rows if row.picked), None)

    @property
    def end(self) -> str:
        """Where gains are measured, in words."""
        assert self.window is not None
        return f"t = {format_short(self.window.end)}" if self.steps is None else self.steps.describe(self.window.end)

    def _all_columns(self) -> list[Column]:
        start = None if self.window is None else self.window.start
        end = "" if self.window is None else self.end
        options = {"splits": self.splits, "is_modal": self.is_modal, "is_scaled": self.is_scaled}
        return columns_of(self.measure, end, start, **options)

    def _says_something(self, column: Column) -> bool:
        cells = {column.cell(row) for row in self.rows if not row.is_uniform} or {NONE}
        return not cells <= {NONE, "ok", "no power law"}

    @property
    def footer(self) -> list[str]:
        """What a reader needs to know about the numbers."""
        if self.window is None:
            return ["Uniform sampling does not learn over these times, so there is nothing to be faster than."]
        lines = [
            f"Gain: how many times sooner a schedule reaches the {self.measure} that uniform sampling has at "
            f"{self.end}; above 1 is sooner. Anytime: the geometric mean over the losses on the way there, from "
            f"t = {format_short(self.window.start)} on. ≤: some of those losses were never reached."
        ]
        if self.splits > 1:
            lines.append(
                f"Losses are means over {self.splits} splits of the data and seeds; intervals are 90%, paired with "
                "uniform sampling, and allow for the rows that splits share."
            )
        if self.is_scaled:
            lines.append(
                "Scale: mean squared feature norm under the weights, over that under uniform sampling (tr M_w / tr M). "
                "Where it is above 1, a larger learning rate would give that part of a gain too."
            )
        if self.taught:
            models = dict.fromkeys(taught for _, taught in self.taught)  # several schedules may look through one
            named = [([name for name, own in self.taught if own == taught], taught) for taught in models]
            known = " ".join(_what_it_knows(", ".join(names), taught) for names, taught in named)
            lines.append(f"{known} Known: energy has fallen by a factor e, or as far as the stage's threshold says.")
        return [*lines, self._costs]

    @property
    def _costs(self) -> str:
        """What net adds to gross."""
        if not self.priced:
            return " ".join(["No cost of curation is charged, so net equals gross.", *self.gifts])
        added = ["teachers and other second models", "labels of the learner's own making"]
        if self.paid_passes:
            price = (
                "as much as `cost` says"
                if self.is_modal
                else "a third of the training compute on as many examples, unless a cost is given"
            )
            either = "" if self.steps is None else ", or scoring on the fly by rejection where that is cheaper"
            added.insert(0, f"passes over the data ({price}, each){either}")
        return " ".join([f"Net adds the time that curation takes: {', '.join(added)}.", *self.gifts])

    @property
    def gifts(self) -> list[str]:
        """What is not charged although it takes time."""
        if not self.free_passes:
            return []
        if self.paid_passes or not self.is_modal:
            return [f"{'Some passes' if self.paid_passes else 'Passes'} over the data are free: their `cost` is 0."]
        return ["Passes over the data are free unless `cost` is given: modes do not say how many examples there are."]

    @property
    def is_scaled(self) -> bool:
        """Whether some schedule trains on examples whose features are visibly larger or smaller than average."""
        return any(abs(row.drive - 1) > SCALED for row in self.rows)


@functools.lru_cache(maxsize=8)  # the table, the pictures and the page of a comparison are of the same numbers
def table(assessment: Assessment) -> Table:
    """The table of a comparison; it needs the uniform run at least.

    Arguments:
        assessment: a comparison whose first run is of uniform sampling.
    """
    window = gain_window(assessment.times, assessment.reference.loss)
    picked = _picked(assessment, window)
    rows = [_row(assessment, run, window, picked) for run in assessment.runs]
    rows[1:] = sorted(rows[1:], key=_order)
    return Table(
        rows=tuple(rows),
        window=window,
        measure=assessment.measure,
        is_modal=assessment.is_modal,
        priced=any(run.cost_per_refresh.any() for run in assessment.runs),
        paid_passes=any(run.cost > 0 and run.charges.any() for run in assessment.runs),
        free_passes=any(run.cost == 0 and run.charges.any() for run in assessment.runs),
        taught=tuple((run.name, run.taught) for run in assessment.runs if run.taught is not None),
        splits=assessment.splits,
        scored_rows=assessment.scored_rows,
        picks_apart=assessment.has_picking_rows,
        steps=assessment.steps,
    )


def _order(row: Row) -> tuple[bool, float]:
    """By net gain; what has none comes last."""
    net = row.gains.horizon_net
    return (net is None, 0.0 if net is None else -net.value)


def _picked(assessment: Assessment, window: Window | None) -> str | None:
    """The name of the schedule that is best after its cost, on the rows that serve for picking."""
    if window is None:
        return None
    uniform = assessment.reference.picking_losses.mean(axis=0)
    values = {}
    for run in assessment.runs[1:]:
        everywhere = len(run.picking_losses) == assessment.splits
        if run.ok and everywhere and not run.is_ceiling:
            loss = run.picking_losses.mean(axis=0)
            values[run.name] = log_gain(assessment.times, loss, uniform, window.end, run.cost_per_refresh)
    known = {name: value for name, value in values.items() if math.isfinite(value)}
    return max(known, key=lambda name: known[name]) if known else None


def _row(assessment: Assessment, run: Run, window: Window | None, picked: str | None) -> Row:
    known = run.loss[np.isfinite(run.loss)]
    try:
        exponent = fit_exponent(assessment.times, run.loss)
    except (NoPowerLawError, ValueError):
        exponent = None
    times, is_uniform = assessment.times, run is assessment.reference
    end = times[-1] if window is None else window.end
    before = times[:-1] < end
    share = lambda cost: float(cost[:-1][before].sum() / end)
    scores = bool(run.charges.any())
    return Row(
        name=run.name,
        final_loss=float(run.loss[-1]),
        best_loss=float(known.min()) if known.size else math.nan,
        gains=gains(times, run, assessment.reference, window, assessment.overlap),
        max_weight=float(np.nanmax(run.max_weight)) if np.isfinite(run.max_weight).any() else math.nan,
        drive=float(np.nanmean(run.drive[1:])) if np.isfinite(run.drive[1:]).any() else math.nan,
        exponent=exponent if run.ok else None,
        quadrature_error=run.quadrature_error,
        status=run.describe(times),
        ok=run.ok,
        is_uniform=is_uniform,
        is_ceiling=run.is_ceiling,
        scoring=_scoring(run) if scores and assessment.steps is not None else "",
        passes=share(run.passes) if scores and run.cost > 0 else math.nan,
        on_the_fly=math.nan if run.on_the_fly is None else share(run.on_the_fly),
        ahead_from=None if window is None or is_uniform else first_ahead(times, run, assessment.reference, end),
        picked=run.name == picked,
        meaning=run.meaning,
    )


def _scoring(run: Run) -> str:
    if run.is_scored_on_the_fly:
        return "on the fly"
    times = int(np.sum(run.charges > 0))
    often = "once" if times == 1 else f"{times} passes"
    return f"{often}, {run.variant}" if run.variant else often


def _what_it_knows(name: str, taught: Taught) -> str:
    amount = format_short(taught.frontier) if taught.known == "modes" else f"{taught.frontier:.0%} of the"
    stops = "" if taught.gain_until is None else f"; its gain should stop near t = {format_short(taught.gain_until)}"
    return (
        f"{name[:1].upper()}{name[1:]}: the {taught.model} knows {amount} {taught.known} after "
        f"{format_short(taught.training_time)} time units{stops}; its training costs {format_short(taught.cost)}."
    )
