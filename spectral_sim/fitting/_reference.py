"""A reference network that is trained on held-out data, for what no training of the learner gets right."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._types import ArrayLike, Float, PRNGKeyArray, PyTree
from ..dynamics import NetworkTraining
from ..problems import NetworkProblem
from ._example_scores import check_network, trained

__all__ = ["Reference", "reference_losses", "train_reference"]


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
    saved, cost = trained(problem, steps, dynamics, key)
    outputs = jax.lax.map(lambda params: network.outputs(params, network.inputs), saved)
    losses = jax.vmap(lambda outputs: network.example_losses(outputs, network.targets))(outputs)
    best = int(jnp.argmin(losses @ network.example_mass))
    kept = jax.tree.map(lambda leaf: leaf[best], saved)
    values = np.asarray(network.per_weight(losses[best]))
    return Reference(values, kept, int(np.asarray(steps)[best]), cost)
