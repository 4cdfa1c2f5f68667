"""The one table of a comparison: numbers by row, and each of them as text."""

import math
from dataclasses import dataclass

import numpy as np

from ..analysis import ExponentFit, NoPowerLawError, Speedup, fit_exponent
from ._assessment import Assessment, Run
from ._gains import Gains, Window, gain_window, gains
from ._teachers import Taught

__all__ = ["SCALED", "Row", "Table", "format_speedup", "format_short", "table"]

_NONE = "-"
_SIGN = {"=": "", "<=": "≤", ">=": "≥"}
SCALED = 0.1


@dataclass(frozen=True)
class Row:
    """One schedule's numbers.

    Arguments:
        name: of the schedule.
        final_loss: at the last time.
        best_loss: lowest over all times.
        gains: speed-ups over uniform sampling.
        max_weight: largest weight at any time.
        drive: tr M_w over tr M, the average over refreshes: what a larger learning rate would do too.
        exponent: of the loss; None where the curve is no power law.
        quadrature_error: largest relative error of the shell rule; None without quadrature.
        status: "ok", or what went wrong and when.
        ok: whether the run finished.
        is_uniform: whether this is the reference.
        is_ceiling: whether it was found by looking at the loss that it is judged by.
    """

    name: str
    final_loss: float
    best_loss: float
    gains: Gains
    max_weight: float
    drive: float
    exponent: ExponentFit | None
    quadrature_error: float | None
    status: str
    ok: bool
    is_uniform: bool
    is_ceiling: bool = False


@dataclass(frozen=True)
class Table:
    """All rows, and what their speed-ups are measured over.

    Arguments:
        rows: uniform first.
        window: times of the speed-ups; None where uniform sampling does not learn.
        measure: what the losses are.
        is_modal: whether weights act on modes.
        priced: whether any schedule is charged for curation: passes over the data, second models, own labels.
        paid_passes: whether any schedule is charged for passes over the data.
        free_passes: whether any scores the data and is not charged for it.
        taught: name of each schedule whose second model was trained beforehand, and how far that can see.
    """

    rows: tuple[Row, ...]
    window: Window | None
    measure: str
    is_modal: bool
    priced: bool
    paid_passes: bool = False
    free_passes: bool = False
    taught: tuple[tuple[str, Taught], ...] = ()

    @property
    def header(self) -> list[str]:
        """Column titles; a line break separates the parts of a long one."""
        columns = ["schedule", f"{self.measure}\nfinal", *([] if self.is_modal else ["\nbest"])]
        horizon = "one horizon" if self.window is None else f"t = {format_short(self.window.end)}"
        columns += ["anytime\ngross", "anytime\nnet", f"{horizon}\ngross", f"{horizon}\nnet"]
        columns += ["largest\nweight", "loss\nexponent"]
        columns += ["quadrature\nerror"] if self._has_quadrature else []
        columns += ["\nscale"] if self.is_scaled else []
        return [*columns, "status"]

    @property
    def cells(self) -> list[list[str]]:
        """Every row as text, in the order of `header`."""
        return [self._cells(row) for row in self.rows]

    @property
    def footer(self) -> list[str]:
        """What a reader needs to know about the numbers."""
        if self.window is None:
            return ["Uniform sampling does not learn over these times, so there is nothing to be faster than."]
        start, end = format_short(self.window.start), format_short(self.window.end)
        lines = [
            f"Speed-ups: time of uniform sampling over time of the schedule to the same {self.measure}; above 1 is "
            f"faster. Anytime: geometric mean over uniform's times {start} to {end}. t = {end}: that one horizon only. "
            "≤: some of those losses were never reached.",
        ]
        if self.is_scaled:
            lines.append(
                "Scale: mean squared feature norm under the weights, over that under uniform sampling (tr M_w / tr M). "
                "Where it is above 1, a larger learning rate would give that part of a speed-up too."
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
                else ("a third of the training compute on as many examples, unless `cost` says otherwise")
            )
            added.insert(0, f"passes over the data ({price}, each)")
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

    @property
    def _has_quadrature(self) -> bool:
        return any(row.quadrature_error is not None for row in self.rows)

    def _cells(self, row: Row) -> list[str]:
        cells = [row.name, _number(row.final_loss)]
        cells += [] if self.is_modal else [_number(row.best_loss)]
        cells += [format_speedup(value) for value in (row.gains.anytime_gross, row.gains.anytime_net)]
        cells += [format_speedup(value) for value in (row.gains.horizon_gross, row.gains.horizon_net)]
        cells.append(format_short(row.max_weight) if math.isfinite(row.max_weight) else _NONE)
        cells.append(
            "no power law" if row.exponent is None else f"{row.exponent.value:.3f} ± {row.exponent.stderr:.3f}"
        )
        if self._has_quadrature:
            error = row.quadrature_error
            cells.append(_NONE if error is None else "unknown" if math.isnan(error) else f"{error:.0e}")
        cells += [_number(row.drive, 3)] if self.is_scaled else []
        return [*cells, row.status]


def table(assessment: Assessment) -> Table:
    """The table of a comparison; it needs the uniform run at least."""
    window = gain_window(assessment.times, assessment.reference.loss)
    return Table(
        rows=tuple(_row(assessment, run, window) for run in assessment.runs),
        window=window,
        measure=assessment.measure,
        is_modal=assessment.is_modal,
        priced=any(run.cost_per_refresh.any() for run in assessment.runs),
        paid_passes=any(run.cost > 0 and run.charges.any() for run in assessment.runs),
        free_passes=any(run.cost == 0 and run.charges.any() for run in assessment.runs),
        taught=tuple((run.name, run.taught) for run in assessment.runs if run.taught is not None),
    )


def format_speedup(value: Speedup | None) -> str:
    """Like 1.42x or ≤0.31x; a dash where there is none."""
    if value is None:
        return _NONE
    size = value.value
    number = (
        f"{size:.2g}" if size < 0.1 or size >= 1e5 else f"{size:.2f}" if size < 10 else f"{size:.{int(size < 100)}f}"
    )
    return f"{_SIGN[value.bound]}{number}x"


def format_short(value: float) -> str:
    """Three digits, without an exponent where that is no longer."""
    return f"{float(f'{value:.3g}'):.10g}" if 1e-3 <= value < 1e5 else f"{value:.3g}"


def _row(assessment: Assessment, run: Run, window: Window | None) -> Row:
    known = run.loss[np.isfinite(run.loss)]
    try:
        exponent = fit_exponent(assessment.times, run.loss)
    except (NoPowerLawError, ValueError):
        exponent = None
    return Row(
        name=run.name,
        final_loss=float(run.loss[-1]),
        best_loss=float(known.min()) if known.size else math.nan,
        gains=gains(assessment.times, run, assessment.reference, window),
        max_weight=float(np.nanmax(run.max_weight)) if np.isfinite(run.max_weight).any() else math.nan,
        drive=float(np.nanmean(run.drive[1:])) if np.isfinite(run.drive[1:]).any() else math.nan,
        exponent=exponent if run.ok else None,
        quadrature_error=run.quadrature_error,
        status=run.describe(assessment.times),
        ok=run.ok,
        is_uniform=run is assessment.reference,
        is_ceiling=run.is_ceiling,
    )


def _what_it_knows(name: str, taught: Taught) -> str:
    amount = format_short(taught.frontier) if taught.known == "modes" else f"{taught.frontier:.0%} of the"
    stops = "" if taught.gain_until is None else f"; its gain should stop near t = {format_short(taught.gain_until)}"
    return (
        f"{name[:1].upper()}{name[1:]}: the {taught.model} knows {amount} {taught.known} after "
        f"{format_short(taught.training_time)} time units{stops}; its training costs {format_short(taught.cost)}."
    )


def _number(value: float, digits: int = 4) -> str:
    return f"{value:.{digits}g}" if math.isfinite(value) else _NONE
