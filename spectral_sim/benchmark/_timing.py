"""Interleaved timing: ours, peer, ours, peer, so that what else runs on the machine meets all of them alike."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np

Clock = Callable[[], float]

_SHORTEST = 0.01  # seconds of one sample: shorter calls are repeated, as clocks and schedulers have a grain
_MOST_REPEATS = 200


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of a number that was measured several times.

    Arguments:
        median: half of the measurements are below it.
        low: the lower quartile, a quarter is below it.
        high: the upper quartile, a quarter is above it.
        rounds: how many measurements there were.
    """

    median: float
    low: float
    high: float
    rounds: int


def spread(values: Any) -> Spread:
    """Median and quartiles of measurements.

    Arguments:
        values: one number for each round, shape (rounds,).
    """
    low, median, high = np.quantile(np.asarray(values, np.float64), (0.25, 0.5, 0.75))
    return Spread(float(median), float(low), float(high), len(values))


def interleaved(
    calls: Mapping[str, Callable[[], Any]], rounds: int, clock: Clock = time.perf_counter
) -> dict[str, np.ndarray]:
    """Seconds of every call in every round, each round running all of them once in turn.

    Each round begins with another call than the last, so that none always follows the same one. A round before the
    first is not counted; short calls are repeated as it tells. Ratios are to be taken within rounds.

    Arguments:
        calls: functions by name, compiled already; arrays they return are waited for.
        rounds: how many samples of each.
        clock: seconds from any fixed moment on.

    Returns:
        Seconds of one call, shape (rounds,), by name.
    """
    repeats = {}
    for name, call in calls.items():
        once = seconds_of(call, 1, clock)
        repeats[name] = int(np.clip(np.ceil(_SHORTEST / max(once, 1e-9)), 1, _MOST_REPEATS))
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(rounds):
        first = turn % max(len(names), 1)
        for name in names[first:] + names[:first]:
            seconds[name].append(seconds_of(calls[name], repeats[name], clock) / repeats[name])
    return {name: np.array(values) for name, values in seconds.items()}


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Inside the block LAPACK, which eigenvectors and implicit solvers call, runs on one thread of its own.

    Its threads wait for each other by spinning. Where anything else wants a core, also our own programs, an
    eigendecomposition then takes fifty times as long, and at these sizes more threads gain it nothing. JAX's own
    products do not go through it. Without threadpoolctl, which scikit-learn brings along, nothing is changed.
    """
    if find_spec("threadpoolctl") is None:
        yield
        return
    import scipy.linalg  # noqa: F401  only a library that is loaded can be limited; JAX loads this one when it is used
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def seconds_of(call: Callable[[], Any], repeats: int = 1, clock: Clock = time.perf_counter) -> float:
    """Measure the seconds that some calls take, and wait for what they return.

    Arguments:
        call: what to measure.
        repeats: how often it is called.
        clock: gives seconds.
    """
    begin = clock()
    for _ in range(repeats):
        jax.block_until_ready(call())
    return clock() - begin
