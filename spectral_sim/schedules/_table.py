"""An open-loop schedule to be learned: log weights on refreshes x a basis."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_non_negative, check_positive, check_times
from .._observation import Observation
from .._types import Array, ArrayLike, Float, PerRefresh, PerWeight, PRNGKeyArray, PyTree, Refreshes
from ..numerics import mass_rank, project_to_bounds, score_of
from ..problems import AbstractProblem
from ._base import AbstractStage, Kind, no_scoring
from ._score import difficulty

_MODE_KNOTS = 64  # the edge of water-filling is sharp: 32 over seven decades of modes cost 0.01 e-folds of loss


class TableSchedule(AbstractStage):
    """Log weights from a table with one row for each refresh; make one with `TableSchedule.create`.

    On modes a row holds the values of log w at knots equally spaced in the logarithm of the mode number, with straight
    lines between. Groups, and examples where there is a column for each, have entries of their own; otherwise a row
    holds values at quantiles of `difficulty`.

    Arguments:
        log_weights: the table, `PerRefresh` of shape (rows, columns); only differences within a row matter.
        cap: bounds (low, high) on the weights, constants; None for none.
    """

    kind: ClassVar[Kind] = "allocate"
    closed_loop: ClassVar[bool] = False
    constants: ClassVar[bool] = True
    log_weights: PerRefresh
    cap: tuple[float, float] | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        check_cap(self.cap)
        if not isinstance(self.log_weights, PerRefresh | jax.Array | np.ndarray):
            raise TypeError(f"log_weights is {self.log_weights!r}: give a PerRefresh table of shape (rows, columns).")

    @classmethod
    def create(
        cls,
        problem: AbstractProblem,
        times: ArrayLike,
        *,
        num_basis: int | None = None,
        cap: tuple[float, float] | None = None,
        min_spacing: float = 0.0,
        scale: float = 0.0,
        key: PRNGKeyArray | None = None,
    ) -> "TableSchedule":
        """A table for a problem and a refresh grid, uniform or random.

        Arguments:
            problem: the problem to be curated.
            times: refresh grid, shape (times,).
            num_basis: number of columns; 64 for modes and one for each group or example if None.
            cap: bounds (low, high) on the weights, low <= 1 <= high; none if None.
            min_spacing: least time between changes of the weights, in units of time; refreshes closer than it share a
                row.
            scale: standard deviation of random log weights; 0 starts from uniform weights.
            key: PRNG key, needed for a positive scale.

        Raises:
            ValueError: a cap that admits no weights of mean one, or a missing key.
        """
        check_times(times)
        check_non_negative("min_spacing", min_spacing)
        check_non_negative("scale", scale)
        check_cap(cap)
        if num_basis is None:
            num_basis = problem.mass.shape[0] if problem.as_modal() is None else _MODE_KNOTS
        check_positive("num_basis", num_basis)
        rows = _rows(np.asarray(times, np.float64), float(min_spacing))
        values = jnp.zeros((int(rows[-1]) + 1, num_basis), problem.dtype)
        if scale > 0:
            if key is None:
                raise ValueError(f"scale={scale} draws random numbers: pass create(key=jax.random.key(0)).")
            values = scale * jax.random.normal(key, values.shape, values.dtype)
        shared = None if len(values) == len(rows) else jnp.asarray(rows, jnp.int32)
        return cls(PerRefresh(values, shared), cap)

    def init(self, problem: Any) -> Array | None:
        columns, modal, data = self.num_columns, problem.as_modal(), problem.as_operator()
        if modal is not None:
            return hats(jnp.log(modal.index) / jnp.log(modal.index[-1]), columns)
        if columns == problem.mass.shape[0]:
            return None
        if data is not None and data.groups is not None:
            raise ValueError(f"the table has {columns} columns for {problem.mass.shape[0]} groups: give one for each.")
        rank = mass_rank(difficulty(problem), problem.mass)
        return hats(rank.below + rank.tied, columns)

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        row: Any = self.log_weights  # the driver has put the row of this refresh in place of the table
        log_weight = row if state is None else row @ state
        score = score_of(log_weight)
        return within(score, observation.mass, self.cap), state

    def scoring(self, times: Refreshes) -> Refreshes | None:
        return no_scoring(times)

    def weight_bounds(self, *, fixed: bool = False) -> tuple[float, float] | None:
        return self.cap

    @property
    def num_columns(self) -> int:
        return self.log_weights.values.shape[-1] if isinstance(self.log_weights, PerRefresh) else len(self.log_weights)


def check_cap(cap: tuple[float, float] | None) -> None:
    """Raise unless there are weights of mean one between the bounds."""
    if cap is not None and not 0 <= cap[0] <= 1 <= cap[1]:
        raise ValueError(f"cap={cap} admits no weights of mean one: choose low <= 1 <= high, low not negative.")


def within(score: PerWeight, mass: PerWeight, cap: tuple[float, float] | None) -> PerWeight:
    """A score projected onto the density ratios between constant bounds, if there are any."""
    if cap is None:
        return score
    low, high = (jnp.asarray(bound, score.dtype) for bound in cap)
    return project_to_bounds(score, mass, low, high)


def hats(position: PerWeight, count: int) -> Float[Array, "basis weights"]:
    """Piecewise linear functions, one at each of `count` knots equally spaced on [0, 1]; they sum to one."""
    knots = jnp.linspace(0, 1, count, dtype=position.dtype)
    return jnp.maximum(1 - jnp.abs(position - knots[:, None]) * (count - 1), 0)


def _rows(times: np.ndarray, spacing: float) -> np.ndarray:
    """The row in force at each refresh: a new one whenever `spacing` has passed since the last new one."""
    rows, last, row = np.zeros(len(times), int), times[0], 0
    for n, time in enumerate(times[1:], start=1):
        if time - last >= spacing * (1 - 1e-12):
            last, row = time, row + 1
        rows[n] = row
    return rows
