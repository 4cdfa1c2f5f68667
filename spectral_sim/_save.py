"""What to keep of a run: functions of the observation and the weights at each refresh."""

import jax.numpy as jnp

from ._observation import Observation
from ._types import PerWeight, PyTree


def save_loss(observation: Observation, weights: PerWeight) -> PyTree:
    """Record nothing beyond the loss, which is always recorded.

    Arguments:
        observation: what there is to see of the learner at a refresh.
        weights: those in force from then on, shape (weights,).
    """
    return None


def save_weights(observation: Observation, weights: PerWeight) -> PyTree:
    """Record the weights in force from each refresh on, shape (times, weights); the last entry repeats the one before.

    Arguments:
        observation: what there is to see of the learner at a refresh.
        weights: those in force from then on, shape (weights,).
    """
    return weights


def save_summary(observation: Observation, weights: PerWeight) -> PyTree:
    """Record three scalars at each refresh.

    `train_loss` (under the base mass), `max_weight`, and `effective_sample_size`: the fraction 1 / E[w^2] of the base
    sample that draws with these weights are worth.

    Arguments:
        observation: what there is to see of the learner at a refresh.
        weights: those in force from then on, shape (weights,).
    """
    return {
        "train_loss": observation.problem.training_loss(observation.energy),
        "max_weight": jnp.max(weights),
        "effective_sample_size": 1 / jnp.sum(observation.mass * weights**2),
    }


def save_accuracy(observation: Observation, weights: PerWeight) -> PyTree:
    """Record three scalars at each refresh of a network in training, real or linearised.

    `accuracy` and `train_accuracy` are shares of the evaluation set and of the training set whose largest output is
    right (NaN for a single output), and `train_loss` is the training loss under the base mass.

    Arguments:
        observation: what there is to see of the learner at a refresh.
        weights: those in force from then on, shape (weights,).
    """
    problem, state = observation.problem, observation.state
    return {
        "accuracy": problem.accuracy(state.outputs, state.eval_outputs),
        "train_accuracy": problem.accuracy(state.outputs),
        "train_loss": problem.training_loss(observation.energy),
    }
