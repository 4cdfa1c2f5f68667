"""What a run gains over uniform sampling: gross, and net of what curating cost, with intervals over splits."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from ..analysis import Speedup, interpolated, race, speedup, time_to_loss
from ._interval import Interval, interval
from ._run import Run

_FROM, _TO = 0.1, 0.95


@dataclass(frozen=True)
class Window:
    """The times that speed-ups are measured over.

    Arguments:
        start: when uniform sampling has made 10% of its progress in log loss.
        end: when it has made 95% of it; also the one horizon. The last 5% are left out: where the loss flattens they
            take most of the time, and weights that shift the floor by a little never get there, or at once.
    """

    start: float
    end: float


@dataclass(frozen=True)
class Gains:
    """What one run gains. None where there is none.

    Arguments:
        anytime_gross, anytime_net: speed-ups over the window.
        horizon_gross, horizon_net: speed-ups to the loss that uniform sampling has at the end of the window.
        gross, net: the latter two with 90% intervals.
        change: lowest loss within the compute of the whole run, costs included, over that of uniform sampling.
    """

    anytime_gross: Speedup | None = None
    anytime_net: Speedup | None = None
    horizon_gross: Speedup | None = None
    horizon_net: Speedup | None = None
    gross: Interval | None = None
    net: Interval | None = None
    change: Interval | None = None


def gain_window(times: np.ndarray, reference: np.ndarray) -> Window | None:
    """When uniform sampling learns; None where it does not, or only within a factor of 2 in time."""
    if not np.isfinite(reference).all():
        return None
    lowest = reference.min()
    if lowest >= reference[0] or lowest <= 0:
        return None
    targets = reference[0] * (lowest / reference[0]) ** np.array([_FROM, _TO])
    start, end = (float(time) for time in np.asarray(time_to_loss(times, reference, targets)))
    start = max(start, float(times[1]))
    return Window(start, end) if end > 2 * start else None


def gains(times: np.ndarray, run: Run, reference: Run, window: Window | None, overlap: float = 0.0) -> Gains:
    """What `run` gains; nothing for a run that failed at the start, or without a window.

    Arguments:
        times: refresh grid.
        run: the run.
        reference: uniform sampling.
        window: what speed-ups are measured over.
        overlap: of the rows of different splits; see `interval`.
    """
    if window is None or not np.isfinite(run.loss[1:2]).all():
        return Gains()
    edges, charged = (window.start, window.end), run.cost_per_refresh
    ours = run.split_losses
    theirs = reference.split_losses[: len(ours)]  # a schedule that was made for the first split ran there alone
    uniform = theirs.mean(axis=0)
    try:
        anytime, anytime_net = (
            speedup(times, run.loss, uniform, window=edges, cost_per_refresh=cost) for cost in (0, charged)
        )
        horizon, horizon_net = (
            speedup(times, run.loss, uniform, horizon=window.end, cost_per_refresh=cost) for cost in (0, charged)
        )
    except ValueError:  # curves that cannot be compared, such as an evaluation set that is fitted from the start
        return Gains()

    def over_splits(statistic) -> Interval:
        count = len(ours)
        return interval(lambda each: statistic(ours[each].mean(axis=0), theirs[each].mean(axis=0)), count, overlap)

    free = np.zeros_like(times)
    horizon_time = window.end
    gross = over_splits(lambda loss, uniform: log_gain(times, loss, uniform, horizon_time, free))
    net = over_splits(lambda loss, uniform: log_gain(times, loss, uniform, horizon_time, charged))
    change = over_splits(lambda loss, uniform: _log_change(times, loss, uniform, charged))
    return Gains(
        anytime_gross=anytime,
        anytime_net=dataclasses.replace(anytime_net, net=True),  # also where nothing was charged
        horizon_gross=horizon,
        horizon_net=dataclasses.replace(horizon_net, net=True),
        gross=_unless_censored(gross.map(math.exp), horizon),
        net=_unless_censored(net.map(math.exp), horizon_net),
        change=change.map(math.exp),
    )


def _unless_censored(found: Interval, speedup: Speedup) -> Interval:
    """No interval where the loss was never reached: the number is a bound then."""
    return found if speedup.bound == "=" else Interval(found.value)


def log_gain(times: np.ndarray, loss: np.ndarray, reference: np.ndarray, horizon: float, costs: np.ndarray) -> float:
    """Log of how many times sooner a curve reaches the loss that a reference has at a horizon; NaN if incomparable.

    A curve that never reaches it counts as reaching it at its last time, which is more than it has earned.
    """
    if not (np.isfinite(loss[:2]).all() and np.isfinite(reference).all() and (reference > 0).all()):
        return math.nan
    found = race(times, loss, reference, np.array([horizon]))
    if found.before[0] or found.target[0] >= reference[0]:
        return math.nan
    return float(np.log(found.speedup(found.paid(times, costs))))


def _log_change(times: np.ndarray, loss: np.ndarray, reference: np.ndarray, costs: np.ndarray) -> float:
    """Log of the lowest loss that the compute of the whole run reaches, costs included, over the reference's."""
    if not (np.isfinite(loss).all() and (loss > 0).all() and (reference > 0).all()):
        return math.nan
    spent = times + np.append(0, np.cumsum(costs[:-1]))
    best = np.minimum.accumulate(loss)
    if spent[1] > times[-1]:  # nothing is left to train with
        reached = float(loss[0])
    else:
        reached = float(interpolated(spent, best, np.array([times[-1]]))[0])
    return math.log(reached / reference.min())


def first_ahead(times: np.ndarray, run: Run, reference: Run, horizon: float) -> float | None:
    """The time from which on a run, costs included, is ahead of uniform sampling up to a horizon; None for never."""
    spent = times + np.append(0, np.cumsum(run.cost_per_refresh[:-1]))
    shown = times[(times > 0) & (times <= horizon)]
    ours = np.interp(shown, spent, run.loss)
    behind = np.flatnonzero(~(ours < np.interp(shown, times, reference.loss)))
    if behind.size == 0:
        return float(shown[0])
    return None if behind[-1] + 1 == len(shown) else float(shown[behind[-1] + 1])
