"""What every stage owes the loop."""

from collections.abc import Mapping, Sequence
from typing import Any

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._trajectory import Trajectory
from .._types import ArrayLike
from .._where import where
from ..dynamics import AbstractDynamics
from ..problems import AbstractProblem
from ..schedules import AbstractStage, begin_state, chain, proportional, stages_of
from ._common import QUICK, check_gradient, check_run, default_problems, nudged, simulated, stacked, times_for

PARTS = ("run", "batches", "eager", "gradients")


def check_stage(
    stage: AbstractStage,
    problem: AbstractProblem | None = None,
    times: ArrayLike | None = None,
    *,
    dynamics: AbstractDynamics | None = None,
    variants: Sequence[AbstractStage] | None = None,
    other: AbstractProblem | None = None,
    parts: Sequence[str] = PARTS,
    smooth: bool = True,
    sloped: Mapping[str, bool] | None = None,
) -> None:
    """Hold a stage, or a schedule, to what the loop and the learning of schedules rely on.

    * "run": weights are density ratios at every refresh, in the dtype of the problem, and no loss is below the
      problem's bound; a changed hyperparameter does not retrace; what the class says of itself (`static`,
      `closed_loop`, `needs_key`, `constants`) is true; scoring and training costs have the right form.
    * "batches": vmap over all hyperparameters under jit agrees with single runs, each traced once; "eager": so does a
      run without jit.
    * "gradients": reverse mode agrees with forward mode and with finite differences, in every hyperparameter.

    Arguments:
        stage: a stage or a chain of them; an observe stage is followed by `proportional`.
        problem: what to run it on; if None, a problem with modes and one with examples, of which it may refuse one.
        times: refresh grid, of steps for dynamics that take steps; a short one if None.
        dynamics: how the learner moves; the default of the problem if None. The bound of the problem is held against
            runs under the default alone.
        variants: the same stage with other values of its hyperparameters; each of them moved a little if None.
        other: the same problem with another learner at the start, which a closed loop answers otherwise; if None the
            energies that are shown are disturbed.
        parts: which of these groups to check.
        smooth: whether the loss is smooth in the hyperparameters where they are; otherwise no finite differences.
        sloped: by name of a hyperparameter, whether the loss has a slope there or depends on it in steps.

    Raises:
        AssertionError: an invariant does not hold; the message says which.
    """
    if problem is None:
        admitted = [each for each in default_problems() if _admits(stage, each)]
        assert admitted, "the stage refuses problems with modes and problems with examples: pass the problem"
        options = {"dynamics": dynamics, "variants": variants, "parts": parts, "smooth": smooth, "sloped": sloped}
        for each in admitted:
            check_stage(stage, each, times, **options)
        return
    check = _StageCheck(stage, problem, times, dynamics, variants, other)
    if "run" in parts:
        check.run()
        check.claims()
        check.costs()
    if "batches" in parts:
        check.batches()
    if "eager" in parts:
        check.eager()
    if "gradients" in parts:
        check.gradients(smooth, sloped)


def _admits(stage: AbstractStage, problem: AbstractProblem) -> bool:
    try:
        begin_state(stage, problem)
    except ValueError:
        return False
    return True


class _StageCheck:
    """One stage on one problem; runs that several checks need are made once."""

    def __init__(
        self, stage: AbstractStage, problem: AbstractProblem, times: Any, dynamics: Any, variants: Any, other: Any
    ):
        self.schedule = _runnable(stage)
        self.variants = nudged(self.schedule) if variants is None else [_runnable(each) for each in variants]
        self.problem, self.other, self.own = problem, other, dynamics is None
        self.dynamics = problem.default_dynamics() if dynamics is None else dynamics
        self.times = np.asarray(times_for(self.dynamics) if times is None else times, np.float64)
        self.traces = 0

    def trajectory(
        self, schedule: AbstractStage, problem: Any = None, dynamics: Any = None, key: int = 5
    ) -> Trajectory:
        return simulated(
            self.problem if problem is None else problem,
            schedule,
            self.times,
            dynamics=self.dynamics if dynamics is None else dynamics,
            save=self.record,
            key=jax.random.key(key),
        )

    def record(self, observation: Any, weights: Any) -> Any:
        self.traces += 1
        return weights, observation.energy

    def run(self) -> None:
        self.base = self.trajectory(self.schedule)
        traced = self.traces
        weights, energy = self.base.saved
        check_run(self.problem, self.base, weights, energy, flow=self.own)
        np.testing.assert_array_equal(weights[-1], weights[-2], err_msg="the last entry repeats the one before")
        for variant in self.variants:
            other = self.trajectory(variant)
            check_run(self.problem, other, *other.saved, flow=self.own)
        assert self.traces == traced, "a changed hyperparameter traced the run again: make it an inexact array leaf"

    def claims(self) -> None:
        """What the class says of itself."""
        schedule, weights = self.schedule, np.asarray(self.base.saved[0])
        if schedule.static:
            assert not schedule.closed_loop, "static weights do not depend on the learner: set closed_loop = False"
            np.testing.assert_array_equal(weights, np.broadcast_to(weights[0], weights.shape), "static weights change")
        if self.other is None:
            seen = self.trajectory(schedule, dynamics=_Disturbed(self.dynamics))
        else:
            seen = self.trajectory(schedule, problem=self.other)
        change = np.abs(np.asarray(seen.saved[0]) - weights).max()
        if schedule.closed_loop:
            assert change > 1e-3, "closed_loop is True, but the weights do not depend on the learner"
        else:
            assert change < 1e-14, "closed_loop is False, but the weights depend on the learner"
        redrawn = np.abs(np.asarray(self.trajectory(schedule, key=6).saved[0]) - weights).max()
        if schedule.needs_key or not (schedule.closed_loop and self.dynamics.needs_key):  # which answers other draws
            drawn = redrawn > 1e-3
            assert drawn == schedule.needs_key, f"needs_key is {schedule.needs_key}: another key says otherwise"
        again = self.trajectory(schedule)
        np.testing.assert_array_equal(again.loss, self.base.loss, "the same key gave another run")
        if not schedule.curates:
            np.testing.assert_array_equal(weights, np.ones_like(weights), "curates is False")

    def costs(self) -> None:
        """Shapes and signs of what curation costs."""
        grid = jnp.asarray(self.times[:-1], self.problem.dtype)
        for stage in stages_of(self.schedule):
            scored = stage.scoring(grid)
            asked = jnp.ones_like(grid)
            for passes in ([] if scored is None else [scored]) + [stage.model_scoring(grid, asked)]:
                chex.assert_shape(passes, grid.shape)
                assert np.all(np.asarray(passes) >= 0), "a negative number of passes over the data"
            before, rate = stage.training_cost(self.problem)
            assert float(before) >= 0, "a negative cost before training"
            assert float(rate) >= 0, "a negative cost of training alongside"

    def batches(self) -> None:
        """jit of vmap over the hyperparameters, or of the run where there are none to vary."""
        arrays, rest = eqx.partition(self.schedule, eqx.is_array)
        members = [self.schedule, *self.variants]
        looped = [self.trajectory(self.schedule)]
        traced = self.traces
        looped += [self.trajectory(variant) for variant in self.variants]
        assert self.traces == traced, "a changed hyperparameter traced the run again: make it an inexact array leaf"
        chex.clear_trace_counter()
        call = chex.assert_max_traces(lambda arrays: self.trajectory(eqx.combine(arrays, rest)), n=1)
        if len(members) > 1 and jax.tree.leaves(arrays):
            inputs = stacked([eqx.filter(member, eqx.is_array) for member in members])
            together = jax.jit(jax.vmap(call), compiler_options=QUICK)(inputs)
            expected = jax.tree.map(lambda *x: np.stack(x), *looped)
        else:
            together, expected = jax.jit(call, compiler_options=QUICK)(arrays), looped[0]
        chex.assert_trees_all_close(together, expected, rtol=1e-11, atol=1e-14)

    def eager(self) -> None:
        """The run with and without jit."""
        compiled = self.trajectory(self.schedule)
        with jax.disable_jit():
            alone = self.trajectory(self.schedule)
        chex.assert_trees_all_close(alone, compiled, rtol=1e-11, atol=1e-14)

    def gradients(self, smooth: bool, sloped: Mapping[str, bool] | None) -> None:
        """Through a whole run, in every inexact leaf."""
        leaves, rest = eqx.partition(self.schedule, eqx.is_inexact_array)
        if not jax.tree.leaves(leaves):
            return
        score = np.random.default_rng(3).normal(size=len(self.times) - 1)
        key = jax.random.key(5)

        def objective(leaves):
            run = simulated(self.problem, eqx.combine(leaves, rest), self.times, dynamics=self.dynamics, key=key)
            return score @ jnp.log(run.loss[1:])

        check_gradient(objective, leaves, differences=smooth, sloped=sloped)


def _runnable(stage: AbstractStage) -> AbstractStage:
    """A schedule that gives weights: what only observes is followed by a rule."""
    return chain(stage, proportional(0.7)) if stage.kind == "observe" else stage


class _Disturbed(AbstractDynamics):
    """The same learner, seen with other energies."""

    dynamics: AbstractDynamics

    @property
    def clock(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.dynamics.clock

    @property
    def needs_key(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.dynamics.needs_key

    def on_steps(self, steps):
        dynamics, durations = self.dynamics.on_steps(steps)
        return _Disturbed(dynamics), durations

    def init(self, problem):
        return self.dynamics.init(problem)

    def advance(self, problem, state, weights, duration, key):
        return self.dynamics.advance(problem, state, weights, duration, key)

    def observe(self, problem, state, time):
        seen = self.dynamics.observe(problem, state, time)
        factor = jnp.linspace(0.3, 3.0, seen.energy.size, dtype=seen.energy.dtype)
        later = where(time > 0, factor, jnp.sqrt(factor))  # a fall of the energies, for stages that go by it
        return seen.replace(energy=seen.energy * later, log_energy=seen.log_energy + jnp.log(later))
