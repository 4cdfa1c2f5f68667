"""What the plots show, worked out once for PNG files and for the interactive report."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..analysis import Speedup
from ..analysis import frontier as resolution_frontier
from ..assessment import Assessment, Curve, Run, Table, format_short
from ..problems import ModalProblem

COLOUR_TICKS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)

END_OF_GAIN = "expected end of a teacher's gain"

_MODE_POINTS = 32
_TIME_COLUMNS = 160


@dataclass(frozen=True)
class LossView:
    """One way to look at the loss curves; times start after 0, for the log axis.

    Arguments:
        title: short.
        axis: label of the vertical axis.
        times: shape (times - 1,).
        lines: (run, values) for each run.
        curves: (curve, values) for each bound and reference that belongs here.
    """

    title: str
    axis: str
    times: np.ndarray
    lines: list[tuple[Run, np.ndarray]]
    curves: list[tuple[Curve, np.ndarray]]

    @property
    def ends(self) -> list[tuple[Run, float, float]]:
        """(run, time, value) where the gain from a run's teacher should stop, on the curve of the run; on modes."""
        found = []
        for run, values in self.lines:
            until = None if run.taught is None else run.taught.gain_until
            if until is not None and self.times[0] <= until <= self.times[-1]:
                value = np.exp(np.interp(np.log(until), np.log(self.times), np.log(values)))
                if np.isfinite(value):
                    found.append((run, until, float(value)))
        return found

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest value of the runs, and of what lies beside them unless it is far away, with a margin."""
        low, high = _extremes([y for _, y in self.lines])
        if self.curves:  # a floor at rounding level must not squeeze the runs together
            lowest, highest = _extremes([y for _, y in self.curves])
            low, high = max(min(low, lowest), low / 10), min(max(high, highest), high * 10)
        margin = max((high / low) ** 0.05, 1.02)
        return float(low / margin), float(high * margin)


def _extremes(curves: list[np.ndarray]) -> tuple[float, float]:
    values = np.concatenate(curves)
    values = values[np.isfinite(values) & (values > 0)]
    return (float(values.min()), float(values.max())) if values.size else (0.5, 2.0)


def loss_views(assessment: Assessment, runs: Sequence[Run] | None = None) -> list[LossView]:
    """The loss, the loss relative to uniform sampling, and on data with a held-out set the training loss.

    Arguments:
        assessment: the comparison.
        runs: which of its runs to show; all if None.
    """
    times, runs = assessment.times[1:], assessment.runs if runs is None else tuple(runs)
    held_out = assessment.measure == "held-out loss"
    shown = "evaluation" if held_out else None
    reference, measure = assessment.reference.loss[1:], assessment.measure
    beside = [(c, c.loss[1:]) for c in assessment.bounds if shown is None or c.measure == shown]
    ideal = [c for c in assessment.bounds if assessment.is_modal and c.kind == "bound"]
    relative = LossView(
        f"{measure} over that of uniform",
        f"{measure} / uniform's",
        times,
        [(run, run.loss[1:] / reference) for run in runs],
        [(c, c.loss[1:] / reference) for c in ideal],
    )
    views = [LossView(measure, measure, times, [(run, run.loss[1:]) for run in runs], beside), relative]
    if held_out:
        views.append(LossView("training loss", "training loss", times, [(run, run.train_loss[1:]) for run in runs], []))
    return views


def mode_curves(assessment: Assessment, energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mode numbers and energies, averaged over neighbours where there are many; zeros become NaN."""
    index = assessment.spectrum.index
    bins = np.floor(np.log(index) / max(np.log(index[-1]), 1e-300) * (_MODE_POINTS - 1)).astype(int)
    number = np.unique(bins, return_inverse=True)[1]
    count = np.bincount(number)
    mean = np.bincount(number, energy) / count
    return np.exp(np.bincount(number, np.log(index)) / count), np.where(mean > 0, mean, np.nan)


def energy_span(assessment: Assessment) -> tuple[float, float]:
    """Range of energies worth showing: ten decades, or all of those at the start; far below them rounding begins."""
    start = assessment.reference.initial_mode_energy
    known = [run.mode_energy[np.isfinite(run.mode_energy)] for run in assessment.runs]
    values = np.concatenate([start, *known])
    high = values.max(initial=1e-300)
    lowest = min(high * 1e-10, start[start > high * 1e-30].min(initial=high))
    return float(max(values[values > 0].min(initial=high), lowest) / 2), float(high * 2)


@dataclass(frozen=True)
class HeatMap:
    """Edges of the columns (times) and rows, and the mean weight in each cell, shape (rows, columns).

    A column is an interval between refreshes, over which the weights are held; the first, from time 0, has no place on
    a log axis.
    """

    times: np.ndarray
    rows: np.ndarray
    weights: np.ndarray


def heat_map(assessment: Assessment, run: Run) -> HeatMap:
    """The weights of one run; on long grids every so many refreshes."""
    step = max(1, -(-len(assessment.times) // _TIME_COLUMNS))
    shown = np.arange(1, len(assessment.times) - 1, step)
    edges = np.append(assessment.times[shown], assessment.times[-1])
    return HeatMap(edges, _edges(assessment.rows.position, assessment.rows.log), run.rows[shown].T)


def _edges(position: np.ndarray, log: bool) -> np.ndarray:
    """Edges half way between neighbours, and as far beyond the ends."""
    if len(position) == 1:
        return position[0] * np.array([0.5, 1.5]) if log else position[0] + np.array([-0.5, 0.5])
    x = np.log(position) if log else position
    middle = (x[1:] + x[:-1]) / 2
    edges = np.concatenate([[2 * x[0] - middle[0]], middle, [2 * x[-1] - middle[-1]]])
    return np.exp(edges) if log else edges


def frontier_line(assessment: Assessment, run: Run) -> np.ndarray:
    """Up to which row the residual energy has fallen by a factor e, at each time, in the units of the rows; NaN before.

    On modes the resolution frontier; on data the same read off the rows of the heat map, by which examples are ordered.
    """
    rows = assessment.rows
    if rows.named:  # groups have no order
        return np.full(len(assessment.times), np.nan)
    # rows of the heat map serve as the modes of a spectrum: increasing positions, the easiest first
    shown = ModalProblem(np.arange(len(rows.position), 0.0, -1.0), run.row_energy[0], index=rows.position)
    with np.errstate(divide="ignore"):
        edge = np.asarray(resolution_frontier(shown, np.log(run.row_energy)))
    return np.where(edge > 0, edge, np.nan)


def shown_beside(assessment: Assessment) -> list[Run]:
    """What was learned and what is ideal, to be looked at side by side; those that finished."""
    if assessment.search is None:
        return []
    by_name = {run.name: run for run in assessment.runs}
    return [by_name[name] for name in assessment.search.beside if name in by_name and by_name[name].ok]


@dataclass(frozen=True)
class SearchView:
    """The progress of one search: the gap to an optimum that can be attained, otherwise the objective itself.

    Arguments:
        title: what was searched for, and on what.
        axis: label of the vertical axis.
        log: whether that axis is logarithmic.
        starts: shape (steps, starts).
        best: the best so far, shape (steps,).
        levels: (name, value) of what it is compared with.
    """

    title: str
    axis: str
    log: bool
    starts: np.ndarray
    best: np.ndarray
    levels: list[tuple[str, float]]


def search_views(assessment: Assessment) -> list[SearchView]:
    """One view for each schedule that was learned."""
    views = []
    for curve in () if assessment.search is None else assessment.search.curves:
        attained = curve.is_attained and not curve.is_penalised
        zero = curve.optimum if attained else 0.0
        levels = [("uniform", curve.uniform), (f"best by hand: {curve.by_hand}", curve.by_hand_value)]
        span = np.nanmax(curve.values) - np.nanmin(curve.best)
        if not attained and np.isfinite(curve.optimum) and curve.best[-1] - curve.optimum < 3 * span:
            levels.append((curve.kind, curve.optimum))
        measures = assessment.search.measures if assessment.search else "loss"
        axis = f"gap to {curve.kind} (e-folds of {measures})" if attained else f"objective (log {measures})"
        if curve.is_penalised:
            axis, levels = f"objective with penalties (log {measures})", []
        title = f"{curve.name}, searched on {curve.measured_on}" if curve.measured_on else curve.name
        levels = [(name, value - zero) for name, value in levels if np.isfinite(value)]
        views.append(SearchView(title, axis, attained, curve.values - zero, curve.best - zero, levels))
    return views


def colour_limit(assessment: Assessment) -> float:
    """m of a colour scale from 1/m over 1 to m: the largest weight of any row, from 2 to 30."""
    largest = [run.rows[np.isfinite(run.rows)].max(initial=1.0) for run in assessment.runs]
    return float(np.clip(max(largest), 2.0, 30.0))


def log_ticks(span: tuple[float, float]) -> list[float]:
    """Places for numbers on a log axis: powers of ten, or finer where there are few of those, from 5 to about 14."""
    low, high = span
    if high / low < 3:  # hardly curved: round steps, as on a linear axis
        step = min(
            (digit * 10.0**power for power in range(-12, 12) for digit in (1, 2, 5)), key=lambda s: _misfit(span, s)
        )
        return [n * step for n in range(int(np.ceil(low / step)), int(high / step) + 1)]
    decades = np.log10(high / low)
    digits = (1,) if decades > 3 else (1, 2, 5) if decades > 1.2 else (1, 1.5, 2, 3, 4, 5, 7)
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    powers = powers[:: -(-len(powers) // 10)] if len(powers) > 14 else powers
    ticks = [digit * 10.0**power for power in powers for digit in digits]
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]


def _misfit(span: tuple[float, float], step: float) -> float:
    """How far a step is from giving seven ticks."""
    return abs(np.log((span[1] - span[0]) / step / 7))


@dataclass(frozen=True)
class BarGroup:
    """Speed-ups of one kind: (name, gross, net) for each schedule but the reference."""

    title: str
    bars: list[tuple[str, Speedup | None, Speedup | None]]


def speedup_bars(table: Table) -> list[BarGroup]:
    """One-horizon and anytime speed-ups."""
    if table.window is None:
        return []
    start = format_short(table.window.start)
    rows = [row for row in table.rows if not row.is_uniform]
    return [
        BarGroup(
            f"to the loss at {table.end}",
            [(row.name, row.gains.horizon_gross, row.gains.horizon_net) for row in rows],
        ),
        BarGroup(
            f"anytime, from t = {start} to there",
            [(row.name, row.gains.anytime_gross, row.gains.anytime_net) for row in rows],
        ),
    ]
