"""When a loss curve reaches a target, and how many times sooner a schedule reaches the losses of a reference."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import ArrayLike, Float

from .._checks import check_finite, check_non_negative, check_positive
from ._curve import as_curve, as_window
from ._readings import Race, crossing_times, race

_HORIZONS = 129  # of an anytime speed-up; the ratio is smooth between refreshes


def time_to_loss(times: ArrayLike, loss: ArrayLike, target: ArrayLike) -> float | Float[np.ndarray, "..."]:
    """First time at which the loss is at or below a target.

    Between two refreshes the curve is taken to be straight in log-log, and log L linear in t on a first interval that
    starts at time 0. The loss may rise and fall: the first crossing counts.

    Arguments:
        times: refresh grid, shape (times,), increasing, in units of time.
        loss: loss at each time, shape (times,). A NaN entry reaches no target; where the curve enters an interval from
            NaN or infinity, or leaves it at zero, the crossing is put at the end of the interval.
        target: one or several positive losses, any shape.

    Returns:
        Times in the shape of `target` (a float for a single one), infinite where the target is never reached, 0 where
        loss[0] is already there.

    Raises:
        ValueError: bad curve (see the message), or a target that is not positive.
    """
    grid, values = as_curve(times, loss=loss)
    if np.size(target):
        check_positive("target", target, "a loss target lies above zero; subtract no floor from it")
    reached = crossing_times(grid, values, np.asarray(target, dtype=np.float64))
    return reached if np.ndim(target) else float(reached)


@dataclass(frozen=True)
class Speedup:
    """A speed-up over a reference, with all that its number depends on; `str()` reads "2.3x (anytime 1e0-1e4, net)".

    Arguments:
        value: time of the reference over time of the schedule; above 1 the schedule is faster.
        kind: "one horizon" (the loss that the reference has at one time) or "anytime" (geometric mean over a window of
            times). A schedule tuned to a horizon can win there and lose everywhere else.
        net: whether the cost of curating was added to the schedule's time; a gross speed-up is false here.
        horizon: the one time, or None.
        window: first and last time of an anytime speed-up, or None.
        bound: "=" for a number, "<=" where the schedule had not got there by the end of its times, ">=" where it was
            there before the first of them.
    """

    value: float
    kind: Literal["one horizon", "anytime"]
    net: bool
    horizon: float | None
    window: tuple[float, float] | None
    bound: Literal["=", "<=", ">="]

    def __str__(self) -> str:
        edges = (self.horizon,) if self.horizon is not None else self.window or ()
        where = "-".join(_short(edge) for edge in edges)
        bound = "" if self.bound == "=" else self.bound
        return f"{bound}{self.value:.3g}x ({self.kind} {where}, {'net' if self.net else 'gross'})"


def speedup(
    times: ArrayLike,
    loss: ArrayLike,
    reference: ArrayLike,
    *,
    horizon: float | None = None,
    window: tuple[float, float] | None = None,
    cost_per_refresh: ArrayLike = 0.0,
    fixed_cost: float = 0.0,
) -> Speedup:
    """How many times sooner a schedule reaches the loss of a reference.

    At a horizon H the target is the best loss that the reference has had by then. The speed-up is t_r / t_s, with t_r
    and t_s the first times at which reference and schedule reach it. Where the reference still falls at H, t_r = H;
    where it has stalled, H itself would reward a schedule for the reference's idle time. By default this is done for
    *one horizon*, the last time; with `window` it is the *anytime* speed-up, the geometric mean over horizons spaced
    evenly in log time.

    The speed-up is *gross* unless a cost is given. A *net* one adds to t_s the `fixed_cost` and `cost_per_refresh` for
    every refresh before t_s, one at the start of each interval (see `curation_cost`); the reference is charged nothing.

    Arguments:
        times: refresh grid of both curves, shape (times,), increasing, in units of time.
        loss: the schedule's loss, shape (times,); NaN from where it failed.
        reference: the loss to compare with, shape (times,), finite, and positive up to the last horizon.
        horizon: the one time H to compare at, after times[0]; the last time if None.
        window: (t0, t1) for an anytime speed-up instead.
        cost_per_refresh: cost of each refresh, in units of time: one number, or one for each of the times.
        fixed_cost: cost paid once (a teacher's training), in units of time.

    Returns:
        The speed-up, its kind, and whether it is a bound; a schedule that never reaches a target counts as reaching it
        at its last time ("<="), one that starts below it as reaching it at times[0] > 0 (">=").

    Raises:
        ValueError: bad curves, horizon, window or costs (see the message), a reference that has not fallen by a
            horizon, a schedule that starts below a target at time 0, or a window censored at both ends.
    """
    grid, values, baseline = as_curve(times, loss=loss, reference=reference)
    check_finite("reference", baseline, "compare with a run that did not fail")
    if np.isnan(values[1:]).all():
        raise ValueError(
            "loss is NaN at every time after times[0]: the schedule failed at once and has no speed-up; drop it."
        )
    for name, cost in (("cost_per_refresh", cost_per_refresh), ("fixed_cost", fixed_cost)):
        check_non_negative(name, cost, "give the cost in units of time")
    charges = np.asarray(cost_per_refresh, np.float64)
    if charges.ndim and charges.shape != grid.shape:
        raise ValueError(
            f"cost_per_refresh has shape {charges.shape}, but there are {grid.size} times: give one, or one each."
        )
    if charges.any() and grid[0] > 0:
        raise ValueError(f"times[0] is {grid[0]:.6g}: cost_per_refresh counts refreshes, so prepend the start, time 0.")
    if window is not None:
        if horizon is not None:
            raise ValueError(f"horizon={horizon:.6g} and window={window} are both given: a speed-up has one; drop one.")
        window = as_window("window", window, grid)
        horizons = np.minimum(np.geomspace(*window, _HORIZONS), grid[-1])
    else:
        horizon = float(grid[-1] if horizon is None else horizon)
        horizons = np.array([horizon])
    if not np.all((horizons > grid[0]) & (horizons <= grid[-1])):
        name, bad = ("horizon", horizons[0]) if window is None else ("window", horizons.min())
        raise ValueError(
            f"{name} asks for the speed-up at time {bad:.6g}, but times run from {grid[0]:.6g} to {grid[-1]:.6g}: "
            "choose a time after the first and up to the last."
        )
    _check_reference(grid, baseline, horizons)
    found = race(grid, values, baseline, horizons)
    _check_comparable(grid, values, baseline, horizons, found)
    paid = found.paid(grid, np.broadcast_to(charges, grid.shape)) + fixed_cost
    return Speedup(
        value=float(found.speedup(paid)),
        kind="one horizon" if window is None else "anytime",
        net=bool(charges.any() or fixed_cost),
        horizon=horizon,
        window=window,
        bound="<=" if found.never.any() else ">=" if found.before.any() else "=",
    )


def _check_reference(times: np.ndarray, reference: np.ndarray, horizons: np.ndarray) -> None:
    used = reference[: np.searchsorted(times, horizons.max()) + 1]
    if (used <= 0).any():
        n = int(np.argmax(used <= 0))
        raise ValueError(
            f"reference[{n}] is {used[n]:.6g}: a target lies above zero; end the horizon or window earlier."
        )


def _check_comparable(
    times: np.ndarray, loss: np.ndarray, reference: np.ndarray, horizons: np.ndarray, found: Race
) -> None:
    stuck = found.target >= reference[0]
    if stuck.any():
        raise ValueError(
            f"reference has not fallen below its first loss {reference[0]:.6g} by time {horizons[stuck][-1]:.6g}: "
            "choose a later horizon or window."
        )
    if found.before.any() and times[0] == 0:
        raise ValueError(
            f"loss[0] is {loss[0]:.6g}, at or below the target {found.target[found.before][0]:.6g} before any "
            "training: compare curves of the same problem from the same start."
        )
    if found.before.any() and found.never.any():
        raise ValueError(
            "window holds targets that loss meets before times[0] and targets it never reaches, so that the mean is no "
            "bound; narrow the window."
        )


def _short(time: float) -> str:
    """1e0, 2.5e3: a time in as few characters as tell it."""
    mantissa, exponent = f"{time:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
