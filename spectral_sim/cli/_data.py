"""Data sets as problems, and the parts of a job that are made of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .._checks import check_choice
from .._types import cast_inexact
from ..analysis import step_charge
from ..assessment import Entry
from ..problems import (
    Dataset,
    ModalProblem,
    OperatorProblem,
    arc_cosine,
    feature_map,
    from_kernel,
    linear,
    modal_view,
    rbf,
)
from ..schedules import static_weights

__all__ = ["KERNELS", "METHODS", "Features", "LearningTask", "known_noise", "learning_task"]

KERNELS = {"rbf": rbf, "linear": linear, "arc_cosine": arc_cosine}
METHODS = ("exact", "nystrom", "random")
DEFAULT_FEATURES = 128
_CONSTANT = ("rbf",)  # kernels whose features can nearly sum to a constant; others cannot fit a mean by themselves


@dataclass(frozen=True)
class Features:
    """How inputs become features.

    Arguments:
        kernel: "rbf", "linear" or "arc_cosine".
        method: "exact", "nystrom" or "random"; if None, "exact" for a linear kernel and "nystrom" for others.
        number: how many features for "nystrom" and "random"; 128, or as many as there are examples, if None.
        bandwidth: of the rbf kernel; the median distance if None.
    """

    kernel: str = "rbf"
    method: str | None = None
    number: int | None = None
    bandwidth: float | None = None


@dataclass(frozen=True)
class LearningTask:
    """A data problem and what follows from it.

    Arguments:
        problem: the problem.
        modal: its spectrum.
        charge: time units for scoring every example once.
        groups: group number of each training example, or None.
        group_names: names of the groups.
        description: of the data and the features.
        settings: for the results.
        second_features: training inputs mapped in another way, shape (examples, features).
        mislabelled: which training examples have a label known to be wrong, or None.
    """

    problem: OperatorProblem
    modal: ModalProblem
    charge: float
    groups: np.ndarray | None
    group_names: tuple[str, ...]
    description: str
    settings: dict[str, Any]
    second_features: Callable[[Features], np.ndarray]
    mislabelled: np.ndarray | None = None

    def reference_model(self) -> tuple[str, np.ndarray]:
        """A model of another kind, by name and features: arc-cosine ones, or RBF ones where the learner has those."""
        kernel = "rbf" if self.settings["kernel"] == "arc_cosine" else "arc_cosine"
        number = None if self.settings["method"] == "exact" else self.settings["features"]
        return {"rbf": "an RBF model", "arc_cosine": "an arc-cosine model"}[kernel], self.second_features(
            Features(kernel, None, number)
        )

    @property
    def epoch(self) -> float:
        """Time units that one pass of training over the data takes."""
        return 3 * self.charge


def learning_task(
    data: Dataset, features: Features, *, precision: str, batch_size: int, seed: int, by_group: bool = False
) -> LearningTask:
    """Map the inputs of a data set to features.

    Arguments:
        data: the data.
        features: how to map them.
        precision: "float32" or "float64".
        batch_size: examples per training step, for the price of scoring.
        seed: seed of landmarks and random features.
        by_group: whether weights are on groups.

    Raises:
        ValueError: features that do not fit the data, or weights on groups that there are none of.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: give at least 1.")
    if by_group and data.groups is None:
        raise ValueError("weights by group need groups: name the column that holds them.")
    # features and spectrum in float64 whatever the precision of the run: whitening divides by small eigenvalues
    made = _made_features(data, features, seed)

    def second_features(other: Features) -> np.ndarray:
        return np.asarray(_mapped(made.inputs, other, seed)[0](made.inputs)).astype(precision)

    held_out: dict[str, Any] = {}
    if made.held_out is not None and data.eval_targets is not None:
        held_out = {
            "eval_features": made.held_out.astype(precision),
            "eval_targets": data.eval_targets.astype(precision),
        }
    groups = data.groups if by_group else None
    problem = OperatorProblem(
        made.training.astype(precision), data.targets.astype(precision), groups=groups, **held_out
    )
    modal, _ = eqx.filter_jit(modal_view)(cast_inexact(problem, np.float64))
    kappa = float(modal.trace)
    charge = step_charge(len(made.inputs), kappa, batch_size)
    count = problem.features.shape[1] - made.intercept
    num_held_out = 0 if data.eval_inputs is None else len(data.eval_inputs)
    intercept = " and an intercept" if made.intercept else ""
    description = (
        f"{data.description} Trained on {len(made.inputs):,} examples, {num_held_out:,} held out; {made.kernel}, "
        f"{count} features ({made.method}){intercept}, kappa = {kappa:.4g}. Scoring all training examples once is "
        f"charged {charge:.3g} time units (batches of {batch_size})."
    )
    settings = {
        "data": data.name,
        "training_examples": len(made.inputs),
        "held_out_examples": num_held_out,
        "outputs": list(data.target_names),
        "kernel": made.kernel.removesuffix(" kernel"),
        "bandwidth": features.bandwidth,
        "method": made.method,
        "features": count,
        "kappa": kappa,
        "batch_size": batch_size,
        "time_per_scoring": charge,
        "dtype": precision,
        "seed": seed,
        "by_group": by_group,
    }
    if data.warnings:
        description += f" To be looked at: {'; '.join(data.warnings)}."
    return LearningTask(
        problem,
        modal,
        charge,
        data.groups,
        data.group_names,
        description,
        settings,
        second_features,
        data.mislabelled,
    )


def known_noise(task: LearningTask) -> list[Entry]:
    """Pruning that knows which labels are wrong, to compare with; nobody could run it. None where nothing is known."""
    if task.mislabelled is None:
        return []
    if task.problem.groups is not None:
        raise ValueError("labels known to be wrong are pruned by example: leave out weights by group, or that column.")
    kept = static_weights((~task.mislabelled).astype(np.float64))
    return [Entry("known wrong labels pruned", kept, is_ceiling=True)]


@dataclass(frozen=True)
class _MadeFeatures:
    """Features in double precision: of both parts, what they were made of and how."""

    inputs: np.ndarray
    training: np.ndarray
    held_out: np.ndarray | None
    kernel: str
    method: str
    intercept: bool


def _made_features(data: Dataset, features: Features, seed: int) -> _MadeFeatures:
    inputs = data.inputs.astype(np.float64)
    held_out = None if data.eval_inputs is None else data.eval_inputs.astype(np.float64)
    if data.inputs_are == "inputs":
        mapped, method = _mapped(inputs, features, seed)
        made = np.asarray(mapped(inputs)), None if held_out is None else np.asarray(mapped(held_out))
        return _MadeFeatures(inputs, *made, f"{features.kernel} kernel", method, features.kernel not in _CONSTANT)
    if data.inputs_are == "gram":
        problem = from_kernel(
            inputs, data.targets, eval_kernel=held_out, eval_targets=None if held_out is None else data.eval_targets
        )
        inputs = np.asarray(problem.features)
        held_out = None if problem.eval_features is None else np.asarray(problem.eval_features)
    constant = _constant(inputs, inputs.shape[1])
    made = _with_constant(inputs, constant), None if held_out is None else _with_constant(held_out, constant)
    return _MadeFeatures(inputs, *made, "own kernel" if data.inputs_are == "gram" else "own features", "exact", True)


def _constant(features: np.ndarray, dimensions: int) -> float:
    """The value of the intercept's feature: as large as a typical input, so that it is learnt about as fast."""
    return float(np.sqrt(np.mean(np.sum(features**2, axis=1)) / dimensions))


def _with_constant(features: Any, constant: float) -> np.ndarray:
    return np.hstack([np.asarray(features), np.full((len(features), 1), constant)])


def _mapped(inputs: np.ndarray, features: Features, seed: int) -> tuple[Any, str]:
    """The feature map, with an intercept where the kernel has none of its own, and the method that it uses."""
    check_choice("kernel", features.kernel, KERNELS)
    method = features.method or ("exact" if features.kernel == "linear" else "nystrom")
    check_choice("method", method, METHODS)
    if features.bandwidth is not None and features.kernel != "rbf":
        raise ValueError(f"bandwidth={features.bandwidth:g} is for kernel='rbf' only; leave it out.")
    number = None
    if method != "exact":
        number = min(DEFAULT_FEATURES, len(inputs)) if features.number is None else features.number
    elif features.number is not None:
        raise ValueError(f"features={features.number} is for 'nystrom' and 'random'; method='exact' finds its number.")
    kernel = rbf(features.bandwidth) if features.kernel == "rbf" else KERNELS[features.kernel]()
    mapped = feature_map(kernel, inputs, method=method, num_features=number, key=jax.random.key(seed))
    if features.kernel in _CONSTANT:
        return mapped, method
    constant = _constant(np.asarray(mapped(inputs)), inputs.shape[1])
    return lambda points: _with_constant(mapped(points), constant), method
