"""Training sets that curation could mend, for `transfer.py`: wrong labels, another domain, near-duplicates."""

import functools
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np

import spectral_sim as ss

TRAIN, VALIDATION = 800, 40  # validation is 5% of training
SYNTHETIC = 320  # examples of each set of a synthetic problem
WRONG = 0.3
_OWN = 0.2  # of the training set: examples from the domain that is tested
_SOURCES, _COPIED = 16, 0.6  # images that near-duplicates are made of, and which part of the training set those are


class Task(NamedTuple):
    """A network and three sets: one to train on, a small clean one to validate on, and a test set."""

    apply: object
    params: object
    inputs: np.ndarray
    targets: np.ndarray
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    marked: np.ndarray  # the examples that are wrong, foreign, or near-duplicates, for the report alone

    def network(self, held_out: tuple[np.ndarray, np.ndarray], more=None) -> ss.NetworkProblem:
        """Training with losses measured on `held_out`; `more` examples are trained on as well."""
        inputs, targets = self.inputs, self.targets
        if more is not None:
            inputs, targets = np.concatenate([inputs, more[0]]), np.concatenate([targets, more[1]])
        evaluation = {"eval_inputs": held_out[0], "eval_targets": held_out[1]}
        return ss.NetworkProblem(self.apply, self.params, inputs, targets, **evaluation)


def mlp(seed: int):
    """A network of one hidden layer: a function, the same for every seed so that it compiles once, and parameters."""
    return _apply(), eqx.filter(_model(seed), eqx.is_inexact_array)


@functools.cache
def _apply():
    rest = eqx.filter(_model(0), eqx.is_inexact_array, inverse=True)
    return lambda params, inputs: jax.vmap(eqx.combine(params, rest))(inputs)


def _model(seed: int) -> eqx.nn.MLP:
    return eqx.nn.MLP(64, 10, 64, 1, activation=jax.nn.tanh, key=jax.random.key(seed))


def digits_task(kind: str, seed: int) -> Task:
    """Handwritten digits of which some of the training set is spoilt; validation and test are as they should be."""
    data, rng = ss.problems.digits(TRAIN + VALIDATION, seed), np.random.default_rng(seed)
    own = [np.asarray(each, np.float32) for each in (data.inputs, data.targets, data.eval_inputs, data.eval_targets)]
    inputs, targets, test = own[0][:TRAIN], own[1][:TRAIN], (own[2], own[3])
    validation = own[0][TRAIN:], own[1][TRAIN:]
    if kind == "label noise":
        inputs, targets, marked = with_wrong_labels(inputs, targets, WRONG, rng)
    elif kind == "domain shift":
        marked = rng.random(TRAIN) >= _OWN
        inputs = np.where(marked[:, None], inputs, turned(inputs))
        validation, test = (turned(validation[0]), validation[1]), (turned(test[0]), test[1])
    else:
        marked = rng.random(TRAIN) < _COPIED
        source = rng.integers(0, _SOURCES, TRAIN)
        copies = inputs[source] + 0.02 * rng.normal(size=inputs.shape).astype(np.float32)
        inputs = np.where(marked[:, None], copies, inputs)
        targets = np.where(marked[:, None], targets[source], targets)
    return Task(*mlp(seed), inputs, targets, validation, test, marked)


def synthetic_task(seed: int, wrong: float) -> Task:
    """Ten classes of Gaussian clusters with wrong labels, which share nothing with the digits but that."""
    rng = np.random.default_rng(1000 + seed)
    centres = 0.35 * rng.normal(size=(10, 3, 64))

    def examples(number: int):
        classes, cluster = rng.integers(0, 10, number), rng.integers(0, 3, number)
        inputs = centres[classes, cluster] + 0.3 * rng.normal(size=(number, 64))
        return inputs.astype(np.float32), np.eye(10, dtype=np.float32)[classes]

    inputs, targets, marked = with_wrong_labels(*examples(SYNTHETIC), wrong, rng)
    return Task(*mlp(seed), inputs, targets, examples(SYNTHETIC), examples(1), marked)


def with_wrong_labels(inputs: np.ndarray, targets: np.ndarray, share: float, rng: np.random.Generator):
    """A share of the labels replaced by another class, and which they are."""
    wrong, classes = rng.random(len(targets)) < share, targets.argmax(axis=1)
    other = (classes + rng.integers(1, 10, len(targets))) % 10
    return inputs, np.eye(10, dtype=np.float32)[np.where(wrong, other, classes)], wrong


def turned(images: np.ndarray) -> np.ndarray:
    """Images of 8 x 8 pixels turned by a quarter."""
    return np.rot90(images.reshape(-1, 8, 8), axes=(1, 2)).reshape(-1, 64)
