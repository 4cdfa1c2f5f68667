"""Search for a schedule by gradients through the whole run."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from .._checks import check_choice, check_positive, check_times
from .._save import save_loss
from .._simulate import simulate
from .._types import ArrayLike, PRNGKeyArray
from ..problems import AbstractProblem
from ..schedules import AbstractStage
from ._checkpoint import Checkpoint, describe_optimizer
from ._gap import Gap, lower_bound, measure_gap, reachable_floor
from ._objectives import AbstractObjective, save_costs
from ._sampler import SamplerWeights, sampler_weights
from ._saved import Folder

_SAMPLER_ARRAYS = ("times", "weights", "mass")
_ACROSS = {
    "worst": lambda values, bounds: values.max(),
    "worst_gap": lambda values, bounds: (values - bounds).max(),
    "mean": lambda values, bounds: values.mean(),
}


class SearchError(RuntimeError):
    """Every start of a search failed."""


class Learned(eqx.Module):
    """The outcome of a search.

    Arguments:
        schedule: the best schedule found.
        value: its objective; on several problems the worst, the worst gap or the mean, as was asked for.
        history: objective of every start before each step, shape (steps, starts); NaN once a start has failed.
        failed_at: step at which a start's gradient became non-finite, -1 for the others, shape (starts,).
        best_start: which start the schedule came from.
        gap: how far from the optimum, or what certifies it; see `Gap`. One for each problem.
        steps: how many steps were done.
        samplers: the weights that the schedule asks for at each refresh. One for each problem.
    """

    schedule: AbstractStage
    value: float
    history: np.ndarray
    failed_at: np.ndarray
    best_start: int
    gap: tuple[Gap, ...]
    steps: int
    samplers: tuple[SamplerWeights, ...]

    def sampler_weights(self, times: ArrayLike | None = None, *, problem: int = 0) -> SamplerWeights:
        """Weights per example for a data loader, with a `save` to .npz or .parquet.

        Arguments:
            times: when they are wanted, shape (times,), within the run; the refreshes if None.
            problem: which problem, where the search was over several.
        """
        found = self.samplers[problem]
        return found if times is None else found.at(times)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to `path` (JSON) and the `.npz` file beside it, for `load_learned`.

        Raises:
            ValueError: a suffix other than .json, or a schedule with a stage that is not shipped.
        """
        facts = {
            "value": self.value,
            "best_start": self.best_start,
            "steps": self.steps,
            "gap": [vars(gap) for gap in self.gap],
            "last": [sampler.last for sampler in self.samplers],
        }
        arrays = {"history": self.history, "failed_at": self.failed_at}
        for n, sampler in enumerate(self.samplers):
            arrays |= {f"sampler{n}.{name}": getattr(sampler, name) for name in _SAMPLER_ARRAYS}
        Folder(path, "learned").write(facts, self.schedule, arrays)


def load_learned(path: str | os.PathLike[str]) -> Learned:
    """Read what `Learned.save` wrote, exactly.

    Arguments:
        path: the .json file; its arrays are looked for beside it.

    Raises:
        FileNotFoundError: either file is missing.
        ValueError: files of another version, or files that do not belong together.
    """
    facts, schedule, arrays = Folder(path, "learned").read()
    gaps = tuple(Gap(**{key: _restored(value) for key, value in gap.items()}) for gap in facts["gap"])
    samplers = []
    for n, last in enumerate(facts["last"]):
        times, weights, mass = (arrays[f"sampler{n}.{name}"] for name in _SAMPLER_ARRAYS)
        samplers.append(SamplerWeights(times, weights, mass, float(last)))
    history, failed_at = arrays["history"], arrays["failed_at"]
    value, best, steps = float(facts["value"]), facts["best_start"], facts["steps"]
    return Learned(schedule, value, history, failed_at, best, gaps, steps, tuple(samplers))


def learn(
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
    key: PRNGKeyArray | None = None,
    patience: int | None = None,
    checkpoint: Any = None,
    report: Callable[[int, float, float], None] | None = None,
    report_every: int = 50,
    **options: Any,
) -> Learned:
    """Minimise an objective over every inexact array leaf of a schedule.

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
        key: PRNG key of the starts, and of schedules with random stages (the same draws at every step).
        patience: stop once the best objective has not improved by 1e-6 in this many steps, looked at every
            `report_every` steps; never if None.
        checkpoint: path of a file that holds the state of the search, written every `report_every` steps. A search that
            finds one of its own resumes from it, to the same result bit for bit.
        report: called with the step, the best objective and its distance to the bound on it.
        report_every: steps between reports and checkpoints.
        **options: passed on to `simulate` (`dynamics`, `adjoint`).

    Returns:
        A `Learned`.

    Raises:
        ValueError: an objective that these times or problems cannot meet, a missing key, a checkpoint of another
            search.
        SearchError: every start failed.
    """
    problems = (problem,) if isinstance(problem, AbstractProblem) else tuple(problem)
    check_times(times)
    for name, number in (("steps", steps), ("num_starts", num_starts), ("report_every", report_every)):
        check_positive(name, number, "give a whole number, at least 1")
    if not problems:
        raise ValueError("problem is an empty sequence: give at least one problem.")
    check_choice("across", across, _ACROSS)
    grid = np.asarray(times, np.float64)
    for each in problems:
        objective.check(grid, reachable_floor(each))
    trainable, constant = eqx.partition(schedule, eqx.is_inexact_array)
    if not jax.tree.leaves(trainable):
        raise ValueError(
            "the schedule has no inexact array leaf: there is nothing to learn; try TableSchedule.create()."
        )
    if key is None and (num_starts > 1 or schedule.needs_key):
        raise ValueError("several starts and random stages draw random numbers: pass learn(key=jax.random.key(0)).")
    start_key, run_key = (None, None) if key is None else jax.random.split(key)
    if optimizer is None:
        optimizer = optax.adam(optax.cosine_decay_schedule(0.1, steps))
    save = save_costs if objective.needs_weights else save_loss
    dtype = jnp.result_type(*(p.dtype for p in problems))
    bounds = np.array([lower_bound(p, schedule, objective, grid, fixed=True)[0] for p in problems])
    if across == "worst_gap" and not np.isfinite(bounds).all():
        n = int(np.argmin(np.isfinite(bounds)))
        raise ValueError(f"across='worst_gap', but the bound on problem {n} is {bounds[n]}: use 'worst' or 'mean'.")
    optimum = float(_ACROSS[across](bounds, bounds))

    def value_of(trainable):
        built = eqx.combine(trainable, constant)
        run_key_ = run_key if built.needs_key else None
        runs = [simulate(p, built, grid, save=save, key=run_key_, throw=False, **options) for p in problems]
        return _ACROSS[across](jnp.stack([objective(run) for run in runs]), jnp.asarray(bounds, dtype)).astype(dtype)

    def step(carry, _):
        params, opt_state, best, best_params, failed_at, count = carry
        value, gradient = jax.value_and_grad(value_of)(params)
        finite = jnp.isfinite(value) & jnp.all(jnp.stack([jnp.all(jnp.isfinite(g)) for g in jax.tree.leaves(gradient)]))
        failed_at = jnp.where((failed_at < 0) & ~finite, count, failed_at)
        better = jnp.isfinite(value) & (value < best) & (failed_at < 0)
        best, best_params = _choose(better, (value, params), (best, best_params))
        updates, new_state = optimizer.update(gradient, opt_state, params)
        moved = optax.apply_updates(params, updates)
        params, opt_state = _choose(failed_at < 0, (moved, new_state), (params, opt_state))
        return (params, opt_state, best, best_params, failed_at, count + 1), jnp.where(failed_at < 0, value, jnp.nan)

    @eqx.filter_jit
    def advance(carry, length):
        return jax.vmap(lambda c: jax.lax.scan(step, c, None, length=length))(carry)

    def begin(noise):
        params = jax.tree.map(lambda x, y: x + y, trainable, noise)
        nothing = jnp.asarray(jnp.inf, dtype), params, jnp.asarray(-1, jnp.int32), jnp.asarray(0, jnp.int32)
        return params, optimizer.init(params), *nothing

    carry = jax.vmap(begin)(_noise(trainable, num_starts, spread, start_key))
    program = describe_optimizer(optimizer, trainable)
    draws = None if run_key is None else jax.random.key_data(run_key)
    told = schedule, problems, grid, objective, num_starts, spread, across, steps, program, draws, options
    store = Checkpoint.open(checkpoint, carry, told)
    carry, history, done = store.restore(carry)
    while done < steps and not _settled(history, patience):
        length = min(report_every, steps - done)
        carry, values = advance(carry, length)
        history = np.concatenate([history, np.asarray(values).T])
        done += length
        store.write(carry, history, done)
        best = float(np.min(np.asarray(carry[2])))
        if report is not None:
            report(done, best, best - optimum)
        if np.all(np.asarray(carry[4]) >= 0):
            break
    best = np.asarray(carry[2])
    if not np.isfinite(best).any():
        first = int(np.asarray(carry[4]).min())
        why = "lower the learning rate" if first else "the objective or its gradient is not finite where it begins"
        raise SearchError(f"every start failed, the first at step {first}: {why}.")
    winner = int(np.argmin(best))
    found = eqx.combine(jax.tree.map(lambda x: x[winner], carry[3]), constant)
    gaps = tuple(measure_gap(p, found, objective, grid, key=run_key, **options) for p in problems)
    samplers = tuple(sampler_weights(p, found, grid, key=run_key, **options) for p in problems)
    return Learned(found, float(best[winner]), history, np.asarray(carry[4]), winner, gaps, done, samplers)


def _settled(history: np.ndarray, patience: int | None) -> bool:
    """Whether the best objective has not improved by 1e-6 in the last `patience` steps.

    A function of the history alone, so that a search that was resumed stops where it would have stopped.
    """
    if patience is None or len(history) <= patience:
        return False
    earlier, all_of_it = (np.fmin.reduce(part, axis=None) for part in (history[:-patience], history))
    return bool(earlier - all_of_it < 1e-6)


def _restored(value: Any) -> Any:
    """Infinities and NaN are kept as words in JSON."""
    if isinstance(value, dict):
        return {key: _restored(item) for key, item in value.items()}
    return float(value) if value in ("inf", "-inf", "nan") else value


def _choose(condition, chosen, otherwise):
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), chosen, otherwise)


def _noise(trainable, num_starts, spread, key):
    """Noise on each leaf, none for the first start."""
    leaves, structure = jax.tree.flatten(trainable)
    if num_starts == 1:
        return jax.tree.unflatten(structure, [jnp.zeros((1, *x.shape), x.dtype) for x in leaves])
    keys = jax.random.split(key, len(leaves))
    noise = [
        (spread * jax.random.normal(k, (num_starts, *x.shape), x.dtype)).at[0].set(0)
        for k, x in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, noise)
