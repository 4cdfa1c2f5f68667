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
from ..problems import Dataset, ModalProblem, OperatorProblem, arc_cosine, feature_map, linear, modal_view, rbf

__all__ = ["KERNELS", "METHODS", "Features", "LearningTask", "learning_task"]

KERNELS = {"rbf": rbf, "linear": linear, "arc_cosine": arc_cosine}
METHODS = ("exact", "nystrom", "random")
DEFAULT_FEATURES = 128


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
    """

    problem: OperatorProblem
    modal: ModalProblem
    charge: float
    groups: np.ndarray | None
    group_names: tuple[str, ...]
    description: str
    settings: dict[str, Any]
    second_features: Callable[[Features], np.ndarray]

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
    inputs = data.inputs.astype(np.float64)
    mapped, method = _mapped(inputs, features, seed)

    def second_features(other: Features) -> np.ndarray:
        return np.asarray(_mapped(inputs, other, seed)[0](inputs)).astype(precision)

    held_out: dict[str, Any] = {}
    if data.eval_inputs is not None and data.eval_targets is not None:
        held_out = {
            "eval_features": mapped(data.eval_inputs.astype(np.float64)).astype(precision),
            "eval_targets": data.eval_targets.astype(precision),
        }
    groups = data.groups if by_group else None
    problem = OperatorProblem(
        mapped(inputs).astype(precision), data.targets.astype(precision), groups=groups, **held_out
    )
    modal, _ = eqx.filter_jit(modal_view)(cast_inexact(problem, np.float64))
    kappa = float(modal.trace)
    charge = step_charge(len(inputs), kappa, batch_size)
    count = problem.features.shape[1]
    num_held_out = 0 if data.eval_inputs is None else len(data.eval_inputs)
    description = (
        f"{data.description} Trained on {len(inputs):,} examples, {num_held_out:,} held out; {features.kernel} kernel, "
        f"{count} features ({method}), kappa = {kappa:.4g}. Scoring all training examples once is charged "
        f"{charge:.3g} time units (batches of {batch_size})."
    )
    settings = {
        "data": data.name,
        "training_examples": len(inputs),
        "held_out_examples": num_held_out,
        "outputs": list(data.target_names),
        "kernel": features.kernel,
        "bandwidth": features.bandwidth,
        "method": method,
        "features": count,
        "kappa": kappa,
        "batch_size": batch_size,
        "time_per_scoring": charge,
        "dtype": precision,
        "seed": seed,
        "by_group": by_group,
    }
    return LearningTask(problem, modal, charge, data.groups, data.group_names, description, settings, second_features)


def _mapped(inputs: np.ndarray, features: Features, seed: int) -> tuple[Any, str]:
    """The feature map, and the method that it uses."""
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
    return feature_map(kernel, inputs, method=method, num_features=number, key=jax.random.key(seed)), method
