"""What a metric is, and what it is shown of one run."""

import abc
import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from .._observation import Observation
from .._registry import family
from .._simulate import simulate
from .._types import Array, PyTree
from ..analysis import inside
from ..bounds import ideal_oracle
from ..schedules import AbstractStage, uniform

_FEWEST = 5  # points of a line and its error
_DECADES = 2.0  # of the window that a metric takes if none is given: the last ones


@dataclasses.dataclass(frozen=True)
class Variable:
    """One array of the table; its first axis is `schedules`.

    Arguments:
        description: for readers.
        dims: further axes.
        coords: values along them.
    """

    description: str
    dims: tuple[str, ...] = ()
    coords: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(eq=False)
class MemberRun:
    """One finished run under a trace, as metrics see it; references are computed once, and only if asked for.

    A reference of a problem that does not vary in the sweep is computed once per chunk.

    Arguments:
        problem: what was learnt.
        schedule: how it was curated.
        dynamics: how the learner moved.
        times: refresh grid, shape (times,): constants, the same for every row. Intrinsic times, or steps where
            `counts_steps`.
        loss: at each of them, shape (times,).
        recorded: what `AbstractMetric.record` returned at each refresh, with a leading axis of refreshes.
        counts_steps: whether the grid counts steps, where dynamics give each row intrinsic times of its own.
        key: PRNG key of the run; None where nothing is random.
    """

    problem: Any
    schedule: AbstractStage
    dynamics: Any
    key: Any
    times: np.ndarray
    loss: Array
    recorded: PyTree
    counts_steps: bool = dataclasses.field(default=False, init=False)

    def __post_init__(self) -> None:
        self._grid, self._intrinsic = self.times, self.times

    def on_steps(self, grid: np.ndarray, intrinsic: Array, counts_steps: bool) -> "MemberRun":
        """The same run where the dynamics take steps.

        Arguments:
            grid: number of steps at each refresh, shape (times,).
            intrinsic: intrinsic time at each refresh, which may differ from row to row, shape (times,).
            counts_steps: whether `times` are the steps, and not the intrinsic time.
        """
        self._grid, self._intrinsic, self.counts_steps = grid, intrinsic, counts_steps
        return self

    @functools.cached_property
    def uniform_loss(self) -> Array:
        """Loss of uniform sampling on the same problem, shape (times,); on real data, whatever the learner makes."""
        plain = None if self.dynamics is None else self.dynamics.reference(self.problem)
        options = {"dynamics": plain, "key": self.key, "adjoint": "direct", "throw": False}
        return simulate(self.problem, uniform(), self._grid, **options).loss

    @functools.cached_property
    def ideal_loss(self) -> Array:
        """Loss of the ideal oracle on the same problem at the same intrinsic times, shape (times,)."""
        return ideal_oracle(self.problem, self._intrinsic).loss


class AbstractMetric(abc.ABC):
    """Reduces one run to a few numbers. Metrics are frozen dataclasses of plain values: they are part of the hash.

    Class attributes to override:
        records: whether `record` is to be called at each refresh.
        weights_alone: whether `record` reads the weights and nothing else; a static schedule is then asked once.
    """

    records: ClassVar[bool] = False
    weights_alone: ClassVar[bool] = False

    @abc.abstractmethod
    def variables(self, times: np.ndarray) -> dict[str, Variable]:
        """The arrays that this metric adds to the table; raises ValueError where the times do not allow it.

        Arguments:
            times: refresh grid, shape (times,).
        """

    @abc.abstractmethod
    def __call__(self, run: MemberRun) -> dict[str, Array]:
        """Their values for one run; NaN where there is none.

        Arguments:
            run: one run, under a trace.
        """

    def record(self, observation: Observation, weights: Array) -> PyTree:
        """What to record at every refresh, to be found in `run.recorded`.

        Arguments:
            observation: of the learner at the refresh.
            weights: that the schedule returned there, shape (weights,).
        """
        return None


family("metric", AbstractMetric)


def check_announced(metric: AbstractMetric, values: Any, times: np.ndarray) -> None:
    """Raise unless what a metric returns for one run is what it announces; shapes are known under a trace."""
    name, announced = type(metric).__name__, metric.variables(times)
    returned = sorted(values) if isinstance(values, dict) else type(values).__name__
    if returned != sorted(announced):
        raise ValueError(
            f"{name} announces {sorted(announced)} and returns {returned}: return a dict of what variables() announces."
        )
    for key, variable in announced.items():
        shape = np.shape(values[key])
        lengths = [len(variable.coords[dim]) if dim in variable.coords else None for dim in variable.dims]
        fits = len(shape) == len(lengths) and all(n is None or n == m for n, m in zip(lengths, shape, strict=True))
        if not fits:
            dims = ", ".join(
                dim if length is None else f"{dim}={length}" for dim, length in zip(variable.dims, lengths, strict=True)
            )
            raise ValueError(
                f"{name}: {key!r} has shape {tuple(shape)} and was announced with the axes ({dims}): return that shape "
                "for one run, or change dims and coords in variables()."
            )


def chosen_window(window: tuple[float, float] | None, times: np.ndarray) -> tuple[float, float]:
    return (max(times[1], times[-1] / 10**_DECADES), times[-1]) if window is None else window


def chosen_rows(name: str, window: tuple[float, float] | None, times: np.ndarray) -> np.ndarray:
    """The times of a window; raises ValueError where it does not lie in them or holds too few."""
    window = chosen_window(window, times)
    if len(window) != 2 or not 0 < window[0] < window[1] <= times[-1] * (1 + 1e-9):
        raise ValueError(f"{name}: window = {window}: give 0 < t0 < t1 with t1 up to {times[-1]:.6g}.")
    rows = np.flatnonzero(inside(times, window))
    if rows.size < _FEWEST:
        raise ValueError(
            f"{name}: the window {window[0]:.6g} to {window[1]:.6g} holds {rows.size} times and needs {_FEWEST}: "
            "widen it, or record more."
        )
    return rows
