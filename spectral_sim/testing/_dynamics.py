"""What every dynamics owes the loop."""

from collections.abc import Mapping, Sequence
from typing import Any

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._simulate import ADJOINTS
from .._trajectory import Trajectory
from .._types import ArrayLike
from .._where import where
from ..dynamics import AbstractDynamics
from ..problems import AbstractProblem
from ..schedules import chain, clip, proportional, static_weights
from ._common import QUICK, check_gradient, check_run, default_problems, nudged, simulated, times_for

PARTS = ("run", "batches", "intervals", "failures", "gradients", "adjoints")


def check_dynamics(
    dynamics: AbstractDynamics,
    problem: AbstractProblem | None = None,
    times: ArrayLike | None = None,
    *,
    variants: Sequence[AbstractDynamics] | None = None,
    parts: Sequence[str] = PARTS,
    exact: bool = True,
    smooth: bool = True,
    sloped: Mapping[str, bool] | None = None,
) -> None:
    """Hold a dynamics to what the loop relies on.

    * "run": the loss at the start is the problem's, energies are not negative and have the logarithm and the loss that
      go with them, dtypes are the problem's; a changed setting does not retrace; only what says so draws random
      numbers; looking twice shows the same.
    * "batches": jit, vmap over all settings, and a run without jit agree.
    * "intervals": an interval may be cut in two under weights that are held.
    * "failures": a member of a batch whose schedule fails changes no other member.
    * "gradients": reverse mode agrees with forward mode and with finite differences, in the settings and in the
      schedule.
    * "adjoints": so does every adjoint that a run may ask for.

    Arguments:
        dynamics: the dynamics.
        problem: what it advances; if None, those of a problem with modes and one with examples that it does not refuse.
        times: refresh grid; a grid of steps for dynamics that take steps. A short one if None.
        variants: the same dynamics with other settings, each of which changes the loss; moved a little if None.
        parts: which of these groups to check.
        exact: whether an interval may be cut in two without a change of the result.
        smooth: whether the loss is smooth in the settings where they are; otherwise no finite differences.
        sloped: by name of a setting, whether the loss has a slope there or depends on it in steps.

    Raises:
        AssertionError: an invariant does not hold; the message says which.
    """
    if problem is None:
        admitted = [each for each in default_problems() if _admits(dynamics, each)]
        assert admitted, "the dynamics refuses problems with modes and problems with examples: pass the problem"
        options = {"variants": variants, "parts": parts, "exact": exact, "smooth": smooth, "sloped": sloped}
        for each in admitted:
            check_dynamics(dynamics, each, times, **options)
        return
    if times is None:
        times = times_for(dynamics)
    check = _DynamicsCheck(dynamics, problem, np.asarray(times), variants)
    if "run" in parts:
        check.run()
    if "batches" in parts:
        check.batches()
    if "intervals" in parts and exact:
        check.intervals()
    if "failures" in parts:
        check.failures()
    if "gradients" in parts or "adjoints" in parts:
        check.gradients(smooth, sloped, ADJOINTS if "adjoints" in parts else (None,))


def _admits(dynamics: AbstractDynamics, problem: AbstractProblem) -> bool:
    try:
        dynamics.validate(problem)
        dynamics.init(problem)
    except (TypeError, ValueError, AttributeError):
        return False
    return True


class _DynamicsCheck:
    """One dynamics on one problem, under a closed loop, so that weights depend on what it shows."""

    def __init__(self, dynamics: AbstractDynamics, problem: AbstractProblem, times: np.ndarray, variants: Any):
        self.dynamics, self.problem, self.times = dynamics, problem, times
        self.variants = nudged(dynamics) if variants is None else list(variants)
        self.chosen = variants is not None
        self.traces = 0

    def trajectory(self, dynamics: Any, power: Any = 0.6, times: Any = None, **options: Any) -> Trajectory:
        options = {"key": jax.random.key(3) if self.dynamics.needs_key else None} | options
        schedule = chain(proportional(power), clip(0.1, 4.0))
        grid = self.times if times is None else times
        return simulated(self.problem, schedule, grid, dynamics=dynamics, **options)

    def run(self) -> None:
        def save(observation, weights):
            self.traces += 1
            return weights, observation.energy, observation.log_energy

        base = self.trajectory(self.dynamics, save=save)
        traced = self.traces
        weights, energy, log_energy = (np.asarray(x) for x in base.saved)
        check_run(self.problem, base, weights, energy, flow=False)
        assert base.limit is None or np.isnan(base.limit), "a run that succeeded names a limit"
        there = np.asarray(self.problem.mass) > 0
        told = np.exp(log_energy)[..., there]
        np.testing.assert_allclose(told, energy[..., there], rtol=1e-12, atol=1e-300, err_msg="log_energy")
        assert np.abs(np.diff(base.loss)).min() > 1e-6, "nothing is learnt in some interval"
        for variant in self.variants:
            other = self.trajectory(variant, save=save)
            check_run(self.problem, other, *other.saved[:2], flow=False)
            if self.chosen:
                assert np.abs(other.loss / base.loss - 1).max() > 1e-4, f"{variant} changes nothing"
        assert self.traces == traced, "a changed setting traced the run again: make it an inexact array leaf"
        again = self.trajectory(self.dynamics, save=save, key=jax.random.key(4))
        drawn = not np.array_equal(again.loss, base.loss)
        assert drawn == self.dynamics.needs_key, f"needs_key is {self.dynamics.needs_key}: another key says otherwise"
        self.looks()

    def looks(self) -> None:
        """Looking is no act: what is seen of a state is the same the second time."""

        def twice():
            state, time = self.dynamics.init(self.problem), jnp.zeros((), self.problem.dtype)
            first = self.dynamics.observe(self.problem, state, time)
            return state, first, self.dynamics.observe(self.problem, first.state, time)

        state, first, second = jax.jit(twice, compiler_options=QUICK)()
        chex.assert_trees_all_equal(first.state, state)
        chex.assert_trees_all_equal(first, second)

    def batches(self) -> None:
        """jit, vmap, and neither of them."""
        members = [self.dynamics, *self.variants]
        power = jnp.linspace(0.4, 0.8, len(members))
        arrays, rest = eqx.partition(self.dynamics, eqx.is_array)
        loss = lambda arrays, power: self.trajectory(eqx.combine(arrays, rest), power).loss
        alone = jax.jit(loss, compiler_options=QUICK)
        inputs = [eqx.filter(member, eqx.is_array) for member in members]
        looped = [alone(*each) for each in zip(inputs, power, strict=True)]
        together = jax.jit(jax.vmap(loss), compiler_options=QUICK)(
            jax.tree.map(lambda *x: jnp.stack(x), *inputs) if jax.tree.leaves(arrays) else arrays, power
        )
        np.testing.assert_allclose(together, np.stack(looped), rtol=1e-9, err_msg="vmap and single runs")
        with jax.disable_jit():
            eager = self.trajectory(self.dynamics, 0.4, self.times[:3]).loss
        np.testing.assert_allclose(eager, looped[0][:3], rtol=1e-9, err_msg="with and without jit")

    def intervals(self) -> None:
        """Advancing twice with the weights held is advancing once."""
        schedule = static_weights(np.random.default_rng(0).exponential(size=self.problem.mass.shape))
        key = jax.random.key(3) if self.dynamics.needs_key else None

        def energy(times):
            save = lambda observation, weights: observation.energy
            return simulated(self.problem, schedule, times, dynamics=self.dynamics, save=save, key=key).saved[-1]

        parts, whole = energy(self.times[[0, 1, -1]]), energy(self.times[[0, -1]])
        np.testing.assert_allclose(parts, whole, rtol=1e-9, atol=1e-14, err_msg="an interval cut in two")

    def failures(self) -> None:
        """A schedule that turns negative for one member: its gradient is zero, the others are as they would be."""
        static = jnp.linspace(0.5, 1.5, self.problem.mass.shape[0])
        key = jax.random.key(3) if self.dynamics.needs_key else None

        def loss(scale):
            weights = jnp.append(static[:-1] * scale, static[-1] * where(scale > 1.5, -1, 1))
            schedule = static_weights(weights)
            return simulated(self.problem, schedule, self.times, dynamics=self.dynamics, key=key).loss[-1]

        slope = jax.jit(jax.vmap(jax.value_and_grad(loss)), compiler_options=QUICK)
        value, gradient = slope(jnp.array([1.0, 1.2, 2.0]))
        good_value, good_gradient = slope(jnp.array([1.0, 1.2, 1.1]))
        assert np.isnan(value[2])
        assert gradient[2] == 0
        np.testing.assert_allclose(value[:2], good_value[:2], rtol=1e-12)
        np.testing.assert_allclose(gradient[:2], good_gradient[:2], rtol=1e-9, atol=1e-14)

    def gradients(self, smooth: bool, sloped: Mapping[str, bool] | None, adjoints: Sequence[str | None]) -> None:
        """Through a whole run, in the settings and in the schedule; an adjoint of None is the one of the dynamics."""
        settings, rest = eqx.partition(self.dynamics, eqx.is_inexact_array)
        score = np.random.default_rng(1).normal(size=len(self.times) - 1)

        def objective(leaves, adjoint=None):
            run = self.trajectory(eqx.combine(leaves["dynamics"], rest), leaves["power"], adjoint=adjoint)
            return score @ jnp.log(run.loss[1:])

        routes = [lambda leaves, adjoint=adjoint: objective(leaves, adjoint) for adjoint in adjoints]
        leaves = {"dynamics": settings, "power": jnp.asarray(0.6, self.problem.dtype)}
        accuracy = 1e-9, 1e-6
        check_gradient(objective, leaves, differences=smooth, sloped=sloped, adjoints=routes, accuracy=accuracy)
