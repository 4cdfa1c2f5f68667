"""The loop: at each refresh the schedule is shown the learner and answers with weights; the dynamics hold them."""

from collections.abc import Callable, Iterable

import jax

from ._checks import check_choice, check_measure, is_concrete
from ._clock import run_clock
from ._loop import run_loop
from ._observation import Observation
from ._save import save_loss
from ._trajectory import Trajectory
from ._types import ArrayLike, PerWeight, PRNGKeyArray, PyTree
from .dynamics import AbstractDynamics
from .problems import AbstractProblem
from .schedules import AbstractStage

ADJOINTS = ("direct", "stored", "checkpointed")
Save = Callable[[Observation, PerWeight], PyTree]


def simulate(
    problem: AbstractProblem,
    schedule: AbstractStage,
    times: ArrayLike,
    *,
    dynamics: AbstractDynamics | None = None,
    save: Save = save_loss,
    adjoint: str | None = None,
    key: PRNGKeyArray | None = None,
    throw: bool = True,
) -> Trajectory:
    """Train under a schedule of weights that is refreshed at `times` and held in between.

    Each interval is solved exactly. Works under `jit`, `grad`, and `vmap` over any array leaf of the schedule, the
    problem or the dynamics; a changed leaf never retraces.

    Arguments:
        problem: what is to be learnt.
        schedule: a stage, or a `chain` of stages.
        times: refresh grid, shape (times,), starting at 0 and increasing; see `log_times`. For dynamics with steps
            (`clock` "steps") whole numbers of steps; see `log_steps`. Not differentiable.
        dynamics: how the learner moves; the default of the problem if None.
        save: `save(observation, weights) -> pytree`, called at every refresh; the last entry has the last weights.
        adjoint: what reverse mode keeps. "direct": everything inside every interval. "stored": the state at every
            refresh, the inside of an interval being computed again. "checkpointed": the state at about sqrt(times)
            refreshes. The default of the dynamics if None. Forward mode works with each.
        key: PRNG key, for schedules with random stages and for dynamics that draw mini-batches.
        throw: raise `SimulationError` when a run fails; otherwise its status says so, and it runs on with uniform
            weights, so that no member of a batch affects another's result or gradient. Under `jit` or `vmap` nothing
            can be raised: call `raise_if_failed` on the trajectory that they return.

    Returns:
        A `Trajectory`.

    Raises:
        ValueError: bad times, a problem whose mass does not sum to one, a schedule that does not suit the problem, a
            missing key.
        TypeError: dynamics of another kind of problem, or a schedule that is not a stage.
        SimulationError: weights that are negative, all zero or not finite, or a loss that is not; if `throw`.
    """
    dynamics, adjoint = checked_arguments(problem, [schedule], dynamics, adjoint, key)
    dynamics, clock = run_clock(dynamics, times, problem.dtype)
    # accelerators would round float32 products to ten bits
    with jax.default_matmul_precision("highest"):
        trajectory = run_loop(problem, schedule, clock, dynamics, save, adjoint, key)
    if throw:
        trajectory.raise_if_failed()
    return trajectory


def checked_arguments(
    problem: AbstractProblem,
    schedules: Iterable[AbstractStage],
    dynamics: AbstractDynamics | None,
    adjoint: str | None,
    key: PRNGKeyArray | None,
) -> tuple[AbstractDynamics, str]:
    """The dynamics and the adjoint of runs; raises where the arguments do not suit each other."""
    if not isinstance(problem, AbstractProblem):
        raise TypeError(f"problem is a {type(problem).__name__}: give a problem, such as power_law(...).")
    if is_concrete(problem):
        check_measure(f"{type(problem).__name__}.mass", problem.mass)
    if adjoint is not None:
        check_choice("adjoint", adjoint, ADJOINTS)
    if dynamics is None:
        dynamics = problem.default_dynamics()
    dynamics.validate(problem)
    for schedule in schedules:
        if not isinstance(schedule, AbstractStage):
            raise TypeError(f"schedule is {schedule!r}: give a stage or a chain of stages, such as uniform().")
        if schedule.needs_key and key is None:
            raise ValueError("the schedule draws random numbers: pass simulate(key=jax.random.key(0)).")
        schedule.validate(problem)
    if dynamics.needs_key and key is None:
        raise ValueError(f"{type(dynamics).__name__} draws random numbers: pass simulate(key=jax.random.key(0)).")
    check_choice(f"{type(dynamics).__name__}.adjoint", dynamics.adjoint, ADJOINTS)
    return dynamics, adjoint or dynamics.adjoint
