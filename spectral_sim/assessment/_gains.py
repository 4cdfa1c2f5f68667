"""Speed-ups of a run over uniform sampling: gross, and net of what curating cost."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from ..analysis import Speedup, speedup, time_to_loss
from ._assessment import Run

__all__ = ["Gains", "Window", "gain_window", "gains"]

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
    """Speed-ups of one run: over the window and at its end, gross and net. None where there is none."""

    anytime_gross: Speedup | None = None
    anytime_net: Speedup | None = None
    horizon_gross: Speedup | None = None
    horizon_net: Speedup | None = None


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


def gains(times: np.ndarray, run: Run, reference: Run, window: Window | None) -> Gains:
    """Speed-ups of `run`; none for a run that failed at the start, or without a window."""
    if window is None or not np.isfinite(run.loss[1:2]).all():
        return Gains()
    edges, charged = (window.start, window.end), run.cost_per_refresh
    try:
        anytime, anytime_net = (
            speedup(times, run.loss, reference.loss, window=edges, cost_per_refresh=cost) for cost in (0, charged)
        )
        horizon, horizon_net = (
            speedup(times, run.loss, reference.loss, horizon=window.end, cost_per_refresh=cost) for cost in (0, charged)
        )
    except ValueError:  # curves that cannot be compared, such as an evaluation set that is fitted from the start
        return Gains()
    return Gains(
        anytime_gross=anytime,
        anytime_net=dataclasses.replace(anytime_net, net=True),  # also where nothing was charged
        horizon_gross=horizon,
        horizon_net=dataclasses.replace(horizon_net, net=True),
    )
