"""What training says of the examples of a data set: scores that pruning and curricula go by, losses of a reference."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_steps
from .._simulate import simulate
from .._types import Array, ArrayLike, Float, PRNGKeyArray, PyTree
from ..analysis import step_charge
from ..dynamics import NetworkTraining
from ..problems import NetworkProblem
from ..schedules import AbstractStage, uniform

_FORWARD, _BACKWARD = 1, 3  # compute of a pass for losses and of one for gradients, in units of a forward pass
_BLOCK_BYTES = 2**27  # of gradients that are held at once


class ExampleScores(NamedTuple):
    """Scores, and what they took to compute.

    Arguments:
        values: one for each example, or its mean over each group where the network has groups, shape (weights,).
        cost: training and passes over the data, in units of the learner's training time.
    """

    values: Float[np.ndarray, "weights"]
    cost: float


def error_norm_scores(
    network: NetworkProblem,
    steps: int = 0,
    *,
    dynamics: NetworkTraining | None = None,
    starts: Sequence[PyTree] | None = None,
    key: PRNGKeyArray | None = None,
) -> ExampleScores:
    """The norm of each example's error early in training, a mean over starts (EL2N).

    The error is minus the derivative of the loss in the outputs: y - f for the squared loss, the class probabilities
    minus the targets for the cross-entropy.

    Arguments:
        network: a network and its data.
        steps: steps of uniform training before the errors are taken; none for networks that are trained already.
        dynamics: how it is trained; needed for steps above 0.
        starts: initial parameters, one for each seed; those of the network alone if None.
        key: PRNG key of mini-batches, another for each start.

    Returns:
        Scores for `hard_pruning(score=, score_cost=)` and `curriculum(score=, score_cost=)`.

    Raises:
        TypeError: no network.
        ValueError: steps without dynamics, or bad steps.

    Source:
        Paul et al., Deep Learning on a Data Diet (2021).
    """

    def norms(params: PyTree) -> Array:
        outputs = network.outputs(params, network.inputs)
        return jnp.linalg.norm(network.descent(outputs, network.targets), axis=1)

    return _early(network, norms, _FORWARD, steps, dynamics, starts, key)


def gradient_norm_scores(
    network: NetworkProblem,
    steps: int = 0,
    *,
    dynamics: NetworkTraining | None = None,
    starts: Sequence[PyTree] | None = None,
    key: PRNGKeyArray | None = None,
) -> ExampleScores:
    """The norm of the gradient of each example's loss in the parameters, a mean over starts (GraNd).

    Its pass over the data costs three times as much as that of `error_norm_scores`.

    Arguments:
        network: a network and its data.
        steps: steps of uniform training before the gradients are taken; none for networks that are trained already.
        dynamics: how it is trained; needed for steps above 0.
        starts: initial parameters, one for each seed; those of the network alone if None.
        key: PRNG key of mini-batches, another for each start.

    Returns:
        Scores for `hard_pruning(score=, score_cost=)` and `curriculum(score=, score_cost=)`.

    Raises:
        TypeError: no network.
        ValueError: steps without dynamics, or bad steps.

    Source:
        Paul et al., Deep Learning on a Data Diet (2021).
    """

    def norms(params: PyTree) -> Array:
        def norm(example: tuple[Array, Array]) -> Array:
            inputs, targets = (part[None] for part in example)
            loss = lambda params: network.example_losses(network.outputs(params, inputs), targets)[0]
            return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(jax.grad(loss)(params))))

        size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))
        block = min(network.num_examples, max(1, _BLOCK_BYTES // size))
        return jax.lax.map(norm, (network.inputs, network.targets), batch_size=block)

    return _early(network, norms, _BACKWARD, steps, dynamics, starts, key)


def forgetting_scores(
    network: NetworkProblem,
    steps: ArrayLike,
    *,
    dynamics: NetworkTraining,
    schedule: AbstractStage | None = None,
    starts: Sequence[PyTree] | None = None,
    key: PRNGKeyArray | None = None,
) -> ExampleScores:
    """How often each example goes from right to wrong in a run, a mean over starts; infinite where it is never right.

    The stage `forgetting` counts the same while its own run goes on.

    Arguments:
        network: a classifier and its data.
        steps: the steps at which it is looked at, whole numbers from 0, shape (times,): once an epoch, say.
        dynamics, starts, key: as for `error_norm_scores`.
        schedule: under which it is trained; uniform if None.

    Returns:
        Scores, as for `error_norm_scores`. The cost is that of the whole runs, and of a pass at each look.

    Raises:
        TypeError: no network.
        ValueError: a network with one output, of which nothing is right or wrong.

    Source:
        Toneva et al., An Empirical Study of Example Forgetting during Deep Neural Network Learning (2019).
    """
    check_network(network)
    if network.num_outputs == 1:
        raise ValueError("forgetting counts right and wrong classes, and the network has one output: score its errors.")
    counts, duration = [], 0.0
    for start, own in _runs(network, starts, key):
        rule = uniform() if schedule is None else schedule
        run = simulate(start, rule, steps, dynamics=dynamics, save=lambda seen, weights: seen.correct, key=own)
        right = np.asarray(run.saved)
        lost = np.sum(np.maximum(right[:-1] - right[1:], 0), axis=0)
        counts.append(np.where(right.max(axis=0) > 0, lost, np.inf))
        duration += float(run.times[-1])
    passes = len(counts) * len(np.asarray(steps))
    return ExampleScores(np.mean(counts, axis=0), duration + passes * _pass_charge(network, dynamics, _FORWARD))


def check_network(network: Any) -> None:
    """Raise TypeError for anything but a network and its data."""
    if not isinstance(network, NetworkProblem):
        raise TypeError(f"network is a {type(network).__name__}: give a NetworkProblem.")


class Reference(NamedTuple):
    """A trained reference, for `excess(reference.losses, reference.cost)`.

    Arguments:
        losses: its loss on each training example of the learner, or the mean over each group, shape (weights,).
        params: its parameters.
        step: the step at which they were taken.
        cost: time that its training took, in units of the learner's training time.
    """

    losses: Float[np.ndarray, "weights"]
    params: PyTree
    step: int
    cost: float


def reference_losses(network: NetworkProblem, params: PyTree) -> Float[np.ndarray, "weights"]:
    """The loss of each training example under parameters that were trained on other data, for `excess`.

    Arguments:
        network: the learner and its data.
        params: parameters of the same network.

    Raises:
        TypeError: no network.
    """
    check_network(network)
    outputs = network.outputs(params, network.inputs)
    return np.asarray(network.per_weight(network.example_losses(outputs, network.targets)))


def train_reference(
    network: NetworkProblem,
    inputs: ArrayLike,
    targets: ArrayLike,
    steps: ArrayLike,
    *,
    dynamics: NetworkTraining,
    start: PyTree | None = None,
    key: PRNGKeyArray | None = None,
) -> Reference:
    """Train a reference on held-out data, and keep it where its loss on the examples of the learner is least.

    Arguments:
        network: the learner and its data; its evaluation set is not looked at.
        inputs, targets: the held-out data, as for `NetworkProblem`.
        steps: steps at which the reference is looked at, whole numbers from 0, shape (times,).
        dynamics: how it is trained.
        start: its initial parameters; those of the learner if None.
        key: PRNG key of mini-batches.

    Raises:
        TypeError: no network.
        ValueError: data that do not suit the network.

    Source:
        Mindermann et al., Prioritized Training on Points that are Learnable, Worth Learning, and Not Yet Learnt (2022).
    """
    check_network(network)
    params = network.params if start is None else start
    problem = NetworkProblem(network.apply, params, inputs, targets, loss=network.loss)
    saved, cost = _trained(problem, steps, dynamics, key)
    outputs = jax.lax.map(lambda params: network.outputs(params, network.inputs), saved)
    losses = jax.vmap(lambda outputs: network.example_losses(outputs, network.targets))(outputs)
    best = int(jnp.argmin(losses @ network.example_mass))
    kept = jax.tree.map(lambda leaf: leaf[best], saved)
    values = np.asarray(network.per_weight(losses[best]))
    return Reference(values, kept, int(np.asarray(steps)[best]), cost)


def _trained(network: NetworkProblem, steps: ArrayLike, dynamics: NetworkTraining, key: Any) -> tuple[PyTree, float]:
    """Parameters at each step of uniform training, with a leading axis of times, and the time that it took."""
    save = lambda seen, weights: seen.state.params
    run = simulate(network, uniform(), steps, dynamics=dynamics, save=save, key=key)
    return run.saved, float(run.times[-1])


def _early(
    network: NetworkProblem,
    score: Callable[[PyTree], Array],
    passes: int,
    steps: int,
    dynamics: NetworkTraining | None,
    starts: Sequence[PyTree] | None,
    key: PRNGKeyArray | None,
) -> ExampleScores:
    """The mean of a score over starts, each trained for so many steps."""
    check_network(network)
    if steps and dynamics is None:
        raise ValueError(f"steps is {steps}, and nothing says how to train: give dynamics=NetworkTraining(...).")
    check_steps([0, steps], np.iinfo(np.int32).max)
    score, values, duration = jax.jit(score), [], 0.0
    for start, own in _runs(network, starts, key):
        params = start.params
        if steps and dynamics is not None:
            saved, time = _trained(start, np.array([0, steps]), dynamics, own)
            params, duration = jax.tree.map(lambda leaf: leaf[-1], saved), duration + time
        values.append(np.asarray(network.per_weight(score(params))))
    return ExampleScores(np.mean(values, axis=0), duration + len(values) * _pass_charge(network, dynamics, passes))


def _runs(network: NetworkProblem, starts: Sequence[PyTree] | None, key: Any) -> list[tuple[NetworkProblem, Any]]:
    """The network from each start, with a key of its own."""
    problems = [network] if starts is None else [network.with_params(params) for params in starts]
    if not problems:
        raise ValueError("starts is empty: give the initial parameters of at least one seed.")
    return [(each, None if key is None else jax.random.fold_in(key, n)) for n, each in enumerate(problems)]


def _pass_charge(network: NetworkProblem, dynamics: NetworkTraining | None, passes: int) -> float:
    """What a pass over the data costs in units of time: its share of the compute of a step of the dynamics."""
    examples = network.num_examples
    if dynamics is None:
        return passes * float(step_charge(examples, network.trace, examples))
    step = float(dynamics.on_steps(np.array([0, 1]))[1][0])
    return passes * float(step_charge(examples, 1 / step, dynamics.batch_size or examples))
