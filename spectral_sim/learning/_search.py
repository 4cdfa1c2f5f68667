"""The search: gradient steps of many starts at once, through whole runs."""

import functools
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from .._checks import check_choice, check_positive, check_times
from .._save import save_loss
from .._simulate import simulate
from .._types import Array, ArrayLike, PRNGKeyArray, PyTree
from .._where import where
from ..dynamics import AbstractDynamics
from ..problems import AbstractProblem
from ..schedules import AbstractStage
from ._checkpoint import Checkpoint, SearchState, Snapshot
from ._gap import bound_on, cap_of, evaluate
from ._objectives import AbstractObjective, save_costs
from ._parameters import Limits, Parameters

_ACROSS: dict[str, Callable[[Any, Any], Any]] = {
    "worst": lambda values, bounds: values.max(),
    "worst_gap": lambda values, bounds: (values - bounds).max(),
    "mean": lambda values, bounds: values.mean(),
}
_IMPROVEMENT = 1e-6


class SearchError(RuntimeError):
    """Every start of a search failed."""


class SearchProgress(eqx.Module):
    """How far a search has come.

    Arguments:
        step: steps done.
        steps: steps in all.
        best: the least objective so far.
        bound: what no schedule goes below, NaN where that is not known.
        name: which search it is, where there are several.
    """

    step: int
    steps: int
    best: float
    bound: float
    name: str = ""

    @property
    def gap(self) -> float:
        """Distance of the best objective to the bound, NaN without one."""
        return self.best - self.bound


class SearchResult(eqx.Module):
    """What a search found.

    Arguments:
        schedule: the best schedule.
        dynamics: the dynamics, with what was learned of it; None for the default of the problem.
        value: the objective; on several problems the worst, the worst gap or the mean, as was asked for.
        history: objective of every start before each step, shape (steps, starts); NaN once a start has failed.
        failed_at: step at which a start's gradient became non-finite, -1 for the others, shape (starts,).
        best_start: which start the schedule came from.
        steps: how many steps were done.
    """

    schedule: AbstractStage
    dynamics: AbstractDynamics | None
    value: float
    history: np.ndarray
    failed_at: np.ndarray
    best_start: int
    steps: int


def search(
    problem: AbstractProblem | Sequence[AbstractProblem],
    schedule: AbstractStage,
    times: ArrayLike,
    *,
    objective: AbstractObjective,
    optimizer: optax.GradientTransformation | None = None,
    steps: int = 500,
    num_starts: int = 1,
    spread: float = 0.3,
    across: str = "worst",
    dynamics: AbstractDynamics | None = None,
    trainable: str | Iterable[str] = ("schedule",),
    limits: Limits | None = None,
    samples: float | None = None,
    adjoint: str | None = None,
    key: PRNGKeyArray | None = None,
    patience: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    report: Callable[[SearchProgress], None] | None = None,
    report_every: int = 50,
) -> SearchResult:
    """Minimise an objective over leaves of a schedule, and of the dynamics, by gradients through whole runs.

    All starts advance together in one compiled program. The best iterate of each start is kept, whatever comes after.
    A start whose gradient becomes non-finite stops there and is marked; the others go on.

    Arguments:
        problem: one problem, or several; see `across`.
        schedule: where the search begins: a `TableSchedule`, a `PolicySchedule`, or any chain.
        times: refresh grid, shape (times,).
        objective: what to minimise, such as `anytime_log_loss()`. Objectives are gross of `curation_cost`: `penalised`
            prices weights, and none charges the training of second models, so that a search over a teacher's
            `training_time` finds it free. Compare what was found by net speed-ups.
        optimizer: optax optimiser; Adam with a cosine decay from 0.1 if None.
        steps: number of gradient steps.
        num_starts: number of starts; the first is `schedule` itself, the others add noise to its leaves.
        spread: standard deviation of that noise.
        across: what is minimised on several problems: "worst", the largest objective among them; "worst_gap", the
            largest distance of an objective to the bound on it, which is fair to problems of unequal loss; or "mean".
        dynamics: how the learner moves; the default of the problem if None.
        trainable: path or paths of the leaves that the search may change: "schedule" or "dynamics" for all of them, or
            a part, as in "schedule.clip.high" (in a chain by the name of the stage) and "dynamics.learning_rate".
        limits: by path (low, high), each a number, an array like the leaf, or None; a leaf stays strictly between them.
            A dynamics may state limits of its own fields; those given here win. A learning rate needs an upper one
            where it could become unstable, as a start that fails is given up: "stable" is the largest stable rate at
            the batch sizes in force, where the dynamics tells it.
        samples: how many examples all steps together draw. The batch sizes B are rescaled to 1 + c (B - 1), so that
            every run of the search draws as many; None for no such budget.
        adjoint: as for `simulate`.
        key: PRNG key of the starts, and of what draws random numbers in a run (the same draws at every step).
        patience: stop once the best objective has not improved by 1e-6 in this many steps, looked at every
            `report_every` steps; never if None.
        checkpoint: path of a file that holds the state of the search, written every `report_every` steps. A search that
            finds one of its own resumes from it, to the same result bit for bit.
        report: called with a `SearchProgress` every `report_every` steps.
        report_every: steps between reports and checkpoints.

    Returns:
        A `SearchResult`. `learn` adds how far it is from the best.

    Raises:
        ValueError: an objective that these times or problems cannot meet, a path or limits that do not fit, a missing
            key.
        TypeError: an objective that is none.
        SavedFileError: a checkpoint of another search, or a damaged one.
        SearchError: every start failed.
    """
    problems = as_problems(problem)
    if not isinstance(objective, AbstractObjective):
        raise TypeError(f"objective is {objective!r}: give an objective, such as terminal_log_loss().")
    check_times(times)
    for name, number in (("steps", steps), ("num_starts", num_starts), ("report_every", report_every)):
        check_positive(name, number, "give a whole number, at least 1")
    check_choice("across", across, _ACROSS)
    grid = np.asarray(times, np.float64)
    for each in problems:
        objective.check(grid, float(each.floor))
    parameters = Parameters.create(schedule, dynamics, trainable, limits, samples, grid, problems)
    draws = schedule.needs_key or (dynamics is not None and dynamics.needs_key)
    if key is None and (num_starts > 1 or draws):
        raise ValueError("several starts and random stages draw random numbers: pass learn(key=jax.random.key(0)).")
    cap = cap_of(schedule, fixed=True)
    proven = [bound_on(each, grid, cap, dynamics) for each in problems]
    found = [None if each is None else evaluate(objective, grid, each) for each in proven]
    bounds = [np.nan if each is None else each for each in found]  # NaN where it is not known
    if across == "worst_gap" and not np.isfinite(bounds).all():
        n = int(np.argmin(np.isfinite(bounds)))
        raise ValueError(f"across='worst_gap', but the bound on problem {n} is {bounds[n]}: use 'worst' or 'mean'.")
    optimizer = _adam(steps) if optimizer is None else optimizer
    held = jnp.asarray(bounds, jnp.result_type(*(each.dtype for each in problems)))
    task = _Task(parameters, problems, held, run_key(key), tuple(grid.tolist()), objective, optimizer, across, adjoint)
    start_key = None if key is None else jax.random.split(key)[0]
    state = task.begin(_noise(parameters.free(), num_starts, spread, start_key))
    # schedules of optax convert what they close over when they are first called: before they are told by it
    jax.eval_shape(task.optimizer.update, *jax.tree.map(lambda x: x[0], (state.params, state.opt_state, state.params)))
    store = Checkpoint(checkpoint, (task, num_starts, spread, start_key, steps), steps)
    snapshot = store.restore(state)
    bound = float(_ACROSS[across](np.asarray(bounds), np.asarray(bounds)))
    while snapshot.done < steps and not _settled(snapshot.history, patience) and not snapshot.state.failed.all():
        length = min(report_every, steps - snapshot.done)
        state, values = _advance(task, snapshot.state, jnp.asarray(length), min(report_every, steps))
        snapshot = Snapshot(state, np.concatenate([snapshot.history, np.asarray(values).T[:length]]))
        store.write(snapshot)
        if report is not None:
            report(SearchProgress(snapshot.done, steps, float(np.min(np.asarray(state.best))), bound))
    return _result(task, snapshot)


def as_problems(problem: AbstractProblem | Sequence[AbstractProblem]) -> tuple[AbstractProblem, ...]:
    """One problem or several, as several; raises ValueError for none."""
    problems = (problem,) if isinstance(problem, AbstractProblem) else tuple(problem)
    if not problems:
        raise ValueError("problem is an empty sequence: give at least one problem.")
    return problems


def run_key(key: PRNGKeyArray | None) -> PRNGKeyArray | None:
    """The key of the runs of a search, where it has one."""
    return None if key is None else jax.random.split(key)[1]


class _Task(eqx.Module):
    """What a search minimises, over what, and by which steps."""

    parameters: Parameters
    problems: tuple[AbstractProblem, ...]
    bounds: Array
    key: PRNGKeyArray | None
    grid: tuple[float, ...] = eqx.field(static=True)
    objective: AbstractObjective
    optimizer: optax.GradientTransformation = eqx.field(static=True)
    across: str = eqx.field(static=True)
    adjoint: str | None = eqx.field(static=True)

    def value(self, free: PyTree) -> Array:
        """The objective of what free numbers stand for."""
        grid = np.asarray(self.grid)
        schedule, dynamics = self.parameters.build(free, grid)
        save = save_costs if self.objective.needs_weights else save_loss
        options: dict[str, Any] = {"dynamics": dynamics, "adjoint": self.adjoint, "key": self.key}
        runs = [simulate(each, schedule, grid, save=save, throw=False, **options) for each in self.problems]
        values = jnp.stack([self.objective(run) for run in runs])
        return _ACROSS[self.across](values, self.bounds).astype(self.bounds.dtype)

    def begin(self, noise: PyTree) -> SearchState:
        """Every start, noise added to the leaves."""

        def one(noise):
            params = jax.tree.map(lambda x, y: x + y, self.parameters.free(), noise)
            worst = jnp.asarray(jnp.inf, self.bounds.dtype)
            never, none = jnp.asarray(-1, jnp.int32), jnp.asarray(0, jnp.int32)
            return SearchState(params, self.optimizer.init(params), worst, params, never, none)

        return jax.vmap(one)(noise)

    def step(self, state: SearchState) -> tuple[SearchState, Array]:
        """One gradient step of one start, and the objective before it."""
        value, gradient = jax.value_and_grad(self.value)(state.params)
        finite = jnp.isfinite(value) & jnp.all(jnp.stack([jnp.all(jnp.isfinite(g)) for g in jax.tree.leaves(gradient)]))
        failed_at = where((state.failed_at < 0) & ~finite, state.count, state.failed_at)
        better = jnp.isfinite(value) & (value < state.best) & (failed_at < 0)
        best, best_params = _choose(better, (value, state.params), (state.best, state.best_params))
        updates, opt_state = self.optimizer.update(gradient, state.opt_state, state.params)
        moved = optax.apply_updates(state.params, updates), opt_state
        params, opt_state = _choose(failed_at < 0, moved, (state.params, state.opt_state))
        state = SearchState(params, opt_state, best, best_params, failed_at, state.count + 1)
        return state, where(failed_at < 0, value, jnp.nan)


@eqx.filter_jit
def _advance(task: _Task, state: SearchState, length: Array, most: int) -> tuple[SearchState, Array]:
    """Several steps of every start, and the objectives before each, shape (starts, most).

    One program for every length up to `most`: what a search has left at its end is not compiled anew.
    """

    def step(n, before):
        state, values = before
        state, value = task.step(state)
        return state, values.at[n].set(value)

    def one(state):
        return jax.lax.fori_loop(0, length, step, (state, jnp.zeros(most, task.bounds.dtype)))

    return jax.vmap(one)(state)


@functools.cache  # the same optimiser is the same program
def _adam(steps: int) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(0.1, steps))


def _result(task: _Task, snapshot: Snapshot) -> SearchResult:
    best, failed_at = np.asarray(snapshot.state.best), np.asarray(snapshot.state.failed_at)
    if not np.isfinite(best).any():
        first = int(failed_at.min())
        why = "lower the learning rate" if first else "the objective or its gradient is not finite where it begins"
        raise SearchError(f"every start failed, the first at step {first}: {why}.")
    winner = int(np.argmin(best))
    params = jax.tree.map(lambda x: x[winner], snapshot.state.best_params)
    schedule, dynamics = task.parameters.build(params, np.asarray(task.grid))
    return SearchResult(schedule, dynamics, float(best[winner]), snapshot.history, failed_at, winner, snapshot.done)


def _settled(history: np.ndarray, patience: int | None) -> bool:
    """Whether the best objective has not improved in the last `patience` steps.

    A function of the history alone, so that a search that was resumed stops where it would have stopped.
    """
    if patience is None or len(history) <= patience:
        return False
    earlier, all_of_it = (np.fmin.reduce(part, axis=None) for part in (history[:-patience], history))
    return bool(earlier - all_of_it < _IMPROVEMENT)


def _choose(condition, chosen, otherwise):
    return jax.tree.map(lambda x, y: where(condition, x, y), chosen, otherwise)


def _noise(free: list[Array], num_starts: int, spread: float, key: PRNGKeyArray | None) -> list[Array]:
    """Noise on each leaf, none for the first start."""
    if key is None or num_starts == 1:
        return [jnp.zeros((num_starts, *x.shape), x.dtype) for x in free]
    keys = jax.random.split(key, len(free))
    drawn = zip(keys, free, strict=True)
    return [(spread * jax.random.normal(k, (num_starts, *x.shape), x.dtype)).at[0].set(0) for k, x in drawn]
