"""How the inputs of a data set become features."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from .._checks import check_choice
from ..problems import Dataset, arc_cosine, feature_map, from_kernel, linear, rbf

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
class MadeFeatures:
    """Features in double precision: of both parts, what they were made of and how."""

    inputs: np.ndarray
    training: np.ndarray
    held_out: np.ndarray | None
    kernel: str
    method: str
    intercept: bool


def made_features(data: Dataset, features: Features, seed: int) -> MadeFeatures:
    """Features of both parts of a data set, in double precision."""
    inputs = data.inputs.astype(np.float64)
    held_out = None if data.eval_inputs is None else data.eval_inputs.astype(np.float64)
    if data.inputs_are == "inputs":
        to_features, method = mapped(inputs, features, seed)
        made = np.asarray(to_features(inputs)), None if held_out is None else np.asarray(to_features(held_out))
        return MadeFeatures(inputs, *made, f"{features.kernel} kernel", method, features.kernel not in _CONSTANT)
    if data.inputs_are == "gram":
        problem = from_kernel(
            inputs, data.targets, eval_kernel=held_out, eval_targets=None if held_out is None else data.eval_targets
        )
        inputs = np.asarray(problem.features)
        held_out = None if problem.eval_features is None else np.asarray(problem.eval_features)
    constant = _constant(inputs, inputs.shape[1])
    made = _with_constant(inputs, constant), None if held_out is None else _with_constant(held_out, constant)
    return MadeFeatures(inputs, *made, "own kernel" if data.inputs_are == "gram" else "own features", "exact", True)


def _constant(features: np.ndarray, dimensions: int) -> float:
    """The value of the intercept's feature: as large as a typical input, so that it is learnt about as fast."""
    return float(np.sqrt(np.mean(np.sum(features**2, axis=1)) / dimensions))


def _with_constant(features: Any, constant: float) -> np.ndarray:
    return np.hstack([np.asarray(features), np.full((len(features), 1), constant)])


def mapped(inputs: np.ndarray, features: Features, seed: int) -> tuple[Any, str]:
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
    to_features = feature_map(kernel, inputs, method=method, num_features=number, key=jax.random.key(seed))
    if features.kernel in _CONSTANT:
        return to_features, method
    constant = _constant(np.asarray(to_features(inputs)), inputs.shape[1])
    return lambda points: _with_constant(to_features(points), constant), method
