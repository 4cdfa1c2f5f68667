"""Training of a linearised network: gradient descent on fixed features, step for step, and on several of them."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from .._checks import check_scalar
from .._types import Array, Float, Int, PerWeight, PRNGKeyArray, PyTree, as_inexact
from ..numerics import repeat
from ..problems import AbstractProblem, NetworkProblem
from ._base import require
from ._descent import AbstractNetworkDescent, diverged, linear_maps, stable_rate
from ._sgd_settings import Setting, no_steps


class KernelState(eqx.Module):
    """A linearised network in training.

    Arguments:
        outputs: its outputs on the training set, shape (examples, outputs).
        eval_outputs: those on the evaluation set, shape (held_out, outputs), or None.
        start: training loss at step 0, scalar.
        steps: steps taken, scalar.
    """

    outputs: Float[Array, "examples outputs"]
    eval_outputs: Float[Array, "held_out outputs"] | None
    start: Float[Array, ""]
    steps: Int[Array, ""]


class _KernelDescent(AbstractNetworkDescent):
    """Descent on fixed features, from the outputs of the network itself on."""

    def init(self, problem: Any) -> PyTree:
        require(problem, NetworkProblem, self)
        outputs = problem.outputs(problem.params, problem.inputs)
        held_out = None if problem.eval_inputs is None else problem.outputs(problem.params, problem.eval_inputs)
        return KernelState(outputs, held_out, problem.training_loss(problem.energy(outputs)), no_steps())


class KernelTraining(_KernelDescent):
    """What training of a `NetworkProblem` would do if its kernel stayed as it is.

    With features Phi of the kernel K = Phi Phi^T a step of full gradient descent at rate eta moves the outputs by

        f <- f + eta K P W (y - g(f)) ,   g(f) = f for the squared loss, softmax(f) for the cross-entropy,

    from the outputs of the network itself on. The problem, its loss, the grid of steps and the intrinsic time are those
    of `NetworkTraining`, so that a schedule runs in both unchanged. For the squared loss and small steps this is
    `OperatorFlow` on the linearised problem.

    Arguments:
        features: a data problem from `fitting.linearise` on the same network, or its features, shape (rows, features):
            a row for each example, which all outputs share, or, for a full kernel, for each output of each example.
        learning_rate: eta: a number, a `PerRefresh` table, an array with one number for each step, or a function of the
            step.
        eval_features: held-out features where the features are given as an array.
        max_steps: the most steps that an interval may take.

    Raises:
        ValueError: a negative learning rate; at the start of a run, features that do not belong to the network.
    """

    features: Float[Array, "rows features"]
    learning_rate: Setting
    eval_features: Float[Array, "held_out features"] | None
    max_steps: int = eqx.field(static=True)

    def __init__(self, features: Any, learning_rate: Any, eval_features: Any = None, max_steps: int = 1023):
        if isinstance(features, AbstractProblem):
            features, eval_features = _both_sets(features)
        self.features, self.eval_features = as_inexact(features), as_inexact(eval_features)
        self._take(learning_rate, max_steps)

    def validate(self, problem: Any) -> None:
        require(problem, NetworkProblem, self)
        _check_features(problem, self.features, self.eval_features)

    def advance(
        self, problem: Any, state: PyTree, weights: PerWeight, duration: Array, key: PRNGKeyArray | None
    ) -> PyTree:
        return _descend(problem, self, self.features, self.eval_features, state, weights, duration)

    def verify(self, problem: Any, before: PyTree, after: PyTree, weights: PerWeight) -> Sequence[tuple[Array, Any]]:
        return _check_growth(problem, self.features, after, weights)


class Relinearised(_KernelDescent):
    """`KernelTraining` with a kernel that is taken anew at a few steps, between which it stays.

    At each of them the outputs go on from where they are. The kernels are those of one run of reference, such as
    uniform training: what a schedule does to the kernel itself is not seen.

    Arguments:
        features: data problems from `fitting.linearise` at parameters of several checkpoints, or their features,
            shape (checkpoints, rows, features), padded by zeros.
        starts: the step from which on each kernel is in force; the first is 0. An interval uses the kernel of its
            start.
        learning_rate, max_steps: as for `KernelTraining`.
        eval_features: held-out features where features are given as an array, shape (checkpoints, held_out, features).

    Raises:
        ValueError: as for `KernelTraining`, or starts that do not increase from 0, one for each kernel.
    """

    features: Float[Array, "checkpoints rows features"]
    starts: tuple[int, ...] = eqx.field(static=True)
    learning_rate: Setting
    eval_features: Float[Array, "checkpoints held_out features"] | None
    max_steps: int = eqx.field(static=True)

    def __init__(
        self, features: Any, starts: Sequence[int], learning_rate: Any, eval_features: Any = None, max_steps: int = 1023
    ):
        if isinstance(features, Sequence) and all(isinstance(each, AbstractProblem) for each in features):
            trained, held_out = zip(*map(_both_sets, features), strict=True)
            features, eval_features = _padded(trained), None if held_out[0] is None else _padded(held_out)
        self.features = as_inexact(jnp.asarray(features))
        self.eval_features = as_inexact(eval_features)
        self.starts = tuple(int(start) for start in starts)
        if len(self.starts) != self.features.shape[0] or self.starts[0] != 0 or sorted(set(self.starts)) != [*starts]:
            raise ValueError(
                f"starts is {self.starts} for {self.features.shape[0]} kernels: give increasing steps from 0, one each."
            )
        self._take(learning_rate, max_steps)

    def validate(self, problem: Any) -> None:
        require(problem, NetworkProblem, self)
        _check_features(problem, self.features[0], None if self.eval_features is None else self.eval_features[0])

    def advance(
        self, problem: Any, state: PyTree, weights: PerWeight, duration: Array, key: PRNGKeyArray | None
    ) -> PyTree:
        now = self._in_force(state)
        held_out = None if self.eval_features is None else self.eval_features[now]
        return _descend(problem, self, self.features[now], held_out, state, weights, duration)

    def verify(self, problem: Any, before: PyTree, after: PyTree, weights: PerWeight) -> Sequence[tuple[Array, Any]]:
        return _check_growth(problem, self.features[self._in_force(before)], after, weights)

    def _in_force(self, state: KernelState) -> Int[Array, ""]:
        return jnp.sum(state.steps >= jnp.asarray(self.starts)) - 1


def _both_sets(kernel: AbstractProblem) -> tuple[Array, Array | None]:
    """Features of the training and of the held-out set."""
    data = kernel.as_operator()
    if data is None:
        raise TypeError(f"features is a {type(kernel).__name__}, which has none: give what `linearise` returns.")
    return data.features, data.eval_features


def _padded(features: Sequence[Array]) -> Array:
    """Features of several kernels as one array, with columns of zeros where one has fewer than another."""
    width = max(each.shape[1] for each in features)
    return jnp.stack([jnp.pad(each, ((0, 0), (0, width - each.shape[1]))) for each in features])


def _check_features(problem: NetworkProblem, features: Array, eval_features: Array | None) -> None:
    sets: list[tuple[str, Array | None, int]] = [("features", features, problem.num_examples)]
    if problem.eval_inputs is not None:
        sets.append(("eval_features", eval_features, problem.eval_inputs.shape[0]))
    for name, found, examples in sets:
        rows = None if found is None else found.shape[0]
        wanted = {examples, examples * problem.num_outputs}
        if rows not in wanted or (found is not None and found.shape[1] != features.shape[1]):
            shape = "None" if found is None else f"of shape {found.shape}"
            raise ValueError(
                f"{name} is {shape}, and the network has {examples} such examples and {problem.num_outputs} outputs: "
                "linearise this very network."
            )


def _descend(
    problem: NetworkProblem,
    dynamics: Any,
    features: Array,
    eval_features: Array | None,
    state: KernelState,
    weights: Array,
    duration: Array,
) -> KernelState:
    """So many steps on one kernel, from the outputs of a state on."""
    check_scalar("learning_rate", dynamics.learning_rate)
    law = problem.example_mass * problem.per_example(weights)
    push, pull, shape = linear_maps(features, problem.num_examples, problem.num_outputs)

    def one_step(theta):
        force = problem.descent(state.outputs + push(theta), problem.targets)
        return theta + dynamics.learning_rate * pull(law[:, None] * force)

    count = jnp.minimum(duration, dynamics.max_steps).astype(jnp.int32)
    theta = repeat(one_step, jnp.zeros(shape, problem.dtype), count, dynamics.max_steps)
    held_out = state.eval_outputs
    if held_out is not None and eval_features is not None:
        held_out = held_out + linear_maps(eval_features, held_out.shape[0], problem.num_outputs)[0](theta)
    return KernelState(state.outputs + push(theta), held_out, state.start, state.steps + duration)


def _check_growth(problem: NetworkProblem, features: Array, after: KernelState, weights: Array) -> Any:
    law = problem.example_mass * problem.per_example(weights)
    return diverged(problem, after, lambda: stable_rate(problem, law, features))
