"""What real training of a network and its prediction share: their faults, and the largest stable rate of a kernel."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_whole
from .._observation import Observation
from .._types import Array, Float, PerWeight, PyTree, Ranges
from ..numerics import batch_max
from ..problems import NetworkProblem
from ._base import AbstractDynamics, shown
from ._sgd_settings import SETTING_FAULTS, TOO_MANY, Setting, as_setting, check_settings, over_intervals

_POWER_STEPS = 128
_FACTOR = 1e3  # of the training loss over its start: more than any training that converges makes of it

DIVERGED = (
    "training diverges: the training loss became infinite or a thousand times what it was at the start; gradient "
    "descent on the kernel of this network is stable up to a learning rate of {limit}: give a smaller one"
)


def linear_maps(
    features: Array, examples: int, outputs: int
) -> tuple[Callable[[Array], Array], Callable[[Array], Array], tuple[int, int]]:
    """Parameters to outputs and back, and the shape of parameters; `linearise` says how the rows are scaled."""
    if features.shape[0] == examples:
        return lambda theta: features @ theta, lambda pull: (pull.T @ features).T, (features.shape[1], outputs)
    scaled = features / jnp.sqrt(jnp.asarray(outputs, features.dtype))
    push = lambda theta: (scaled @ theta).reshape(examples, outputs)
    return push, lambda pull: (pull.reshape(1, -1) @ scaled).T, (features.shape[1], 1)


class AbstractNetworkDescent(AbstractDynamics):
    """Steps of descent on the loss of a network, real or linearised, whose state has `outputs` and `eval_outputs`."""

    adjoint: ClassVar[str] = "stored"  # an interval holds many steps
    clock: ClassVar[str] = "steps"
    faults: ClassVar[tuple[str, ...]] = (SETTING_FAULTS[0], TOO_MANY, DIVERGED)
    ranges: ClassVar[Ranges] = {"learning_rate": (0.0, None)}
    learning_rate: eqx.AbstractVar[Setting]
    max_steps: eqx.AbstractVar[int]

    def _take(self, learning_rate: Any, max_steps: int) -> None:
        """Check and keep what every one is given."""
        self.learning_rate = as_setting(learning_rate)
        check_settings(self.learning_rate, 1.0, 0.0, 0.0)
        check_whole("max_steps", max_steps, "allow at least one step in an interval")
        self.max_steps = int(max_steps)

    def on_steps(self, steps: Any) -> tuple["AbstractDynamics", Float[Array, "intervals"]]:
        return over_intervals(self, steps, batch=False)

    def observe(self, problem: Any, state: PyTree, time: Float[Array, ""]) -> Observation:
        loss = problem.measured_loss(state.outputs, state.eval_outputs)
        seen = shown(time, problem.energy(state.outputs), loss, state)
        return seen.replace(correct=problem.correct(state.outputs))

    def check(self, problem: Any, state: PyTree, weights: PerWeight, duration: Array) -> Sequence[tuple[Array, Any]]:
        rate = jnp.zeros((), problem.dtype) if self.learning_rate is None else jnp.asarray(self.learning_rate)
        return (~((rate >= 0) & jnp.isfinite(rate)), rate), (duration > self.max_steps, self.max_steps)


def diverged(problem: NetworkProblem, state: Any, limit: Callable[[], Array]) -> tuple[tuple[Array, Float[Array, ""]]]:
    """Whether training has diverged, and the largest rate at which it would not have, computed only then."""
    loss = problem.training_loss(problem.energy(state.outputs))
    at_hand = ~(loss <= _FACTOR * state.start)
    nothing = jnp.full((), jnp.inf, problem.dtype)
    return ((at_hand, jax.lax.cond(batch_max(at_hand), limit, lambda: nothing)),)


@eqx.filter_custom_jvp
def stable_rate(
    problem: NetworkProblem, law: Float[Array, "examples"], features: Float[Array, "rows features"] | None = None
) -> Float[Array, ""]:
    """2 / the largest eigenvalue of the curvature of the loss in the linearised network, at the initial parameters.

    Arguments:
        problem: the network and its data.
        law: what the loss of each example counts, shape (examples,).
        features: features of the kernel, as for `linear_maps`; the kernel of the network itself if None.
    """
    start = problem.outputs(problem.params, problem.inputs)
    if features is None:
        forward = lambda params: problem.outputs(params, problem.inputs)
        push = jax.linearize(forward, problem.params)[1]
        pull = lambda cotangent: jax.vjp(forward, problem.params)[1](cotangent)[0]
        moved = problem.params
    else:
        push, pull, shape = linear_maps(features, problem.num_examples, problem.num_outputs)
        moved = jnp.zeros(shape, problem.dtype)

    def curvature(change):
        """Of the loss of each example, in its outputs."""
        return -jax.jvp(lambda outputs: problem.descent(outputs, problem.targets), (start,), (change,))[1]

    def norm(tree):
        return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))

    def power(_, carry):
        direction, _ = carry
        image = pull(law[:, None] * curvature(push(direction)))
        size = norm(image)
        return jax.tree.map(lambda leaf: leaf / jnp.maximum(size, jnp.finfo(leaf.dtype).tiny), image), size

    keys = jax.random.split(jax.random.key(0), len(jax.tree.leaves(moved)))
    keys = jax.tree.unflatten(jax.tree.structure(moved), list(keys))
    first = jax.tree.map(lambda leaf, key: jax.random.normal(key, leaf.shape, leaf.dtype), moved, keys)
    size = norm(first)
    first = jax.tree.map(lambda leaf: leaf / size, first)
    return 2 / jax.lax.fori_loop(0, _POWER_STEPS, power, (first, size))[1]


@stable_rate.def_jvp
def _no_slope(primals, tangents):
    rate = stable_rate(*primals)
    return rate, jnp.zeros_like(rate)
