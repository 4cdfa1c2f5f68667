"""What the main pictures show, worked out once for PNG files and for the page: few curves, their labels, their axes."""

from dataclasses import dataclass

import numpy as np

from ..assessment import Assessment, Interval, Run, Table, interval, table

MOST_CURVES = 8


@dataclass(frozen=True)
class TimeAxis:
    """How time is shown: as steps and epochs where steps are known.

    Arguments:
        scale: shown numbers for a unit of time.
        title: of the axis.
        per_epoch: shown numbers for an epoch; None where there are no epochs.
    """

    scale: float
    title: str
    per_epoch: float | None

    def label(self, value: float) -> tuple[str, str]:
        """Text of a tick: the number, and the epochs below it."""
        shown = f"{value:,.0f}" if 1 <= value < 1e5 else f"{value:.3g}"
        return shown, "" if self.per_epoch is None else f"{value / self.per_epoch:.2g} ep"


def time_axis(assessment: Assessment) -> TimeAxis:
    """The time axis of a comparison."""
    steps = assessment.steps
    if steps is None:
        return TimeAxis(1.0, "time (log scale)", None)
    return TimeAxis(1 / steps.learning_rate, "training steps, epochs below (log scale)", steps.per_epoch)


def shown_runs(assessment: Assessment, numbers: Table | None = None) -> list[Run]:
    """At most eight runs that a reader wants to see first: uniform, what was picked or learned, then by net gain."""
    numbers = table(assessment) if numbers is None else numbers
    by_name = {run.name: run for run in assessment.runs if run.ok or run is assessment.reference}
    first = [row.name for row in numbers.rows if row.is_uniform or row.picked or row.is_ceiling]
    names = dict.fromkeys([*first, *(row.name for row in numbers.rows)])
    return [by_name[name] for name in names if name in by_name][:MOST_CURVES]


@dataclass(frozen=True)
class Difference:
    """Loss of a run over that of uniform sampling at the same compute, minus one, in percent, with 90% bounds.

    Arguments:
        run: the run.
        value: shape (times - 1,).
        low, high: shape (times - 1,); None without splits.
    """

    run: Run
    value: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None


def differences(assessment: Assessment, runs: list[Run]) -> list[Difference]:
    """How each run differs from uniform sampling that has trained for as much compute, costs included."""
    times, reference = assessment.times, assessment.reference
    found = []
    for run in runs:
        if run is reference:
            continue
        spent = times + np.append(0, np.cumsum(run.cost_per_refresh[:-1]))
        theirs = reference.split_losses[: len(run.split_losses)]

        def ratio(each: np.ndarray, run=run, spent=spent, theirs=theirs) -> np.ndarray:
            ours = np.interp(times[1:], spent, run.split_losses[each].mean(axis=0))
            return 100 * (ours / theirs[each].mean(axis=0)[1:] - 1)

        count = len(run.split_losses)
        value, low, high = ratio(np.arange(count)), None, None
        if count >= 3 and np.isfinite(value).all():
            without = {n: ratio(np.delete(np.arange(count), n)) for n in range(count)}
            ends = [_at(value, without, place, assessment.overlap) for place in range(len(value))]
            low, high = np.array([end.low for end in ends]), np.array([end.high for end in ends])
        found.append(Difference(run, value, low, high))
    return found


def _at(value: np.ndarray, without: dict[int, np.ndarray], place: int, overlap: float) -> Interval:
    count = len(without)

    def statistic(each: np.ndarray) -> float:
        if len(each) == count:
            return float(value[place])
        left_out = next(iter(set(range(count)) - set(each.tolist())))
        return float(without[left_out][place])

    return interval(statistic, count, overlap)


def spread_labels(heights: list[float], low: float, high: float, least: float) -> list[float]:
    """Places for labels near heights, at least so far apart and, if there is room, between two ends."""
    order = sorted(range(len(heights)), key=lambda n: heights[n])
    places = [min(max(heights[n], low), high) for n in order]
    for k in range(1, len(places)):
        places[k] = max(places[k], places[k - 1] + least)
    over = places[-1] - high if places else 0.0
    if over > 0:
        places[-1] = high
        for k in range(len(places) - 2, -1, -1):
            places[k] = min(places[k], places[k + 1] - least)
    result = [0.0] * len(heights)
    for place, n in zip(places, order, strict=True):
        result[n] = place
    return result
