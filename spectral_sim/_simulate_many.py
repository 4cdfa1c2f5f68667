"""Schedules of different kinds on one problem, in one compiled program."""

from collections.abc import Mapping

import jax

from ._clock import run_clock
from ._loop_many import run_loop_many
from ._save import save_loss
from ._simulate import Save, checked_arguments
from ._trajectory import SimulationError, Trajectory, first_failure
from ._types import ArrayLike, PRNGKeyArray
from .dynamics import AbstractDynamics
from .problems import AbstractProblem
from .schedules import AbstractStage


def simulate_many(
    problem: AbstractProblem,
    schedules: Mapping[str, AbstractStage],
    times: ArrayLike,
    *,
    dynamics: AbstractDynamics | None = None,
    save: Save = save_loss,
    adjoint: str | None = None,
    key: PRNGKeyArray | None = None,
    throw: bool = True,
) -> Trajectory:
    """Train under several schedules, which may be of different kinds, side by side in one program.

    Each schedule has its own stages, memory and status, as if it ran alone with the same key; at each refresh all
    learners advance in one batch. One program is compiled where `simulate` in a loop would compile one for each kind.
    For many values of one schedule's leaves use `vmap` or `sweep`.

    Arguments:
        problem: what is to be learnt.
        schedules: stages or chains by name; the order is that of the leading axis.
        times: as for `simulate`.
        dynamics: as for `simulate`, the same for all.
        save: as for `simulate`.
        adjoint: as for `simulate`.
        key: as for `simulate`; every schedule draws from the same one.
        throw: raise for the first schedule that failed, by its name; otherwise statuses say so.

    Returns:
        A `Trajectory` whose arrays have a leading axis `schedules`. Results agree with those of `simulate` to rounding.

    Raises:
        ValueError: no schedules, or as `simulate`.
        TypeError: as `simulate`.
        SimulationError: a run that failed; if `throw`.
    """
    if not isinstance(schedules, Mapping) or not schedules:
        raise ValueError(f"schedules is {schedules!r}: give a dict of at least one schedule by its name.")
    moved_by, adjoint = checked_arguments(problem, schedules.values(), dynamics, adjoint, key)
    moved_by, clock = run_clock(moved_by, times, problem.dtype)
    with jax.default_matmul_precision("highest"):
        trajectory = run_loop_many(problem, tuple(schedules.values()), clock, moved_by, save, adjoint, key)
    if throw and (failure := first_failure(trajectory, numbered=False)) is not None:
        member, said = failure
        raise SimulationError(f"schedule {list(schedules)[member]!r}: {said}")
    return trajectory
