"""Feature maps that reproduce a kernel or approximate it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_choice, check_finite, check_ndim, is_concrete
from .._types import Array, ArrayLike, Float, PRNGKeyArray, as_inexact
from ._kernels import AbstractKernel, Linear, precise_product

_METHODS = ("exact", "nystrom", "random")


class Dropped(NamedTuple):
    """Directions of a kernel that rounding cannot tell from null ones, and are no features.

    Arguments:
        count: how many.
        share: the part of the trace that they hold.
    """

    count: int
    share: float


class FeatureMap(eqx.Module):
    """Features fitted to a kernel: a function (M, dimensions) -> (M, features). Build it with `feature_map`.

    Arguments:
        kernel: the kernel as fitted, its bandwidth known.
        transform: what is applied to valid inputs.
        dimensions: columns that inputs must have.
    """

    kernel: AbstractKernel
    transform: Callable
    dimensions: int = eqx.field(static=True)

    @property
    def dropped(self) -> Dropped:
        """How many directions of the kernel on the fitted inputs are not among the features, and their share of it."""
        return self.transform.dropped if isinstance(self.transform, _Landmarks) else Dropped(0, 0.0)

    def __call__(self, inputs: ArrayLike) -> Float[Array, "M K"]:
        """Features of `inputs`, shape (M, dimensions).

        Raises:
            ValueError: other dimensions than those fitted, NaN or infinity.
        """
        check_ndim("inputs", inputs, 2, "examples, dimensions")
        columns = np.shape(inputs)[1]
        if columns != self.dimensions:
            raise ValueError(f"inputs has {columns} columns but was fitted with {self.dimensions}: give the same ones.")
        check_finite("inputs", inputs)
        return self.transform(as_inexact(inputs))


def feature_map(
    kernel: AbstractKernel,
    inputs: ArrayLike,
    *,
    method: str = "exact",
    num_features: int | None = None,
    key: PRNGKeyArray | None = None,
) -> FeatureMap:
    """Fit features to a kernel, so that features(x) @ features(y).T is the kernel or an approximation of it.

    Arguments:
        kernel: `linear()`, `rbf()` or `arc_cosine()`.
        inputs: raw inputs to fit on, shape (examples, dimensions); their dtype is that of the features.
        method: "exact" reproduces the kernel on the fitted inputs (everywhere for `linear()`), with at most as many
            features as examples; "nystrom" projects on randomly drawn examples; "random" draws features of the kernel
            (not for `linear()`).
        num_features: examples drawn by "nystrom", at most all of them, or random features. Numerically null
            directions are dropped, so "nystrom" may return fewer.
        key: PRNG key for "nystrom" and "random".

    Returns:
        The fitted map; call it on inputs of shape (M, dimensions).

    Raises:
        ValueError: an unknown method, a missing or impossible num_features, a missing key, inputs that are not finite,
            or no bandwidth or no direction to be found in them.

    Source:
        Williams and Seeger (2001) for "nystrom".
    """
    if not isinstance(kernel, AbstractKernel):
        raise ValueError(f"kernel={kernel!r} is not a kernel: give problems.linear(), rbf() or arc_cosine(), called.")
    check_choice("method", method, _METHODS)
    if not is_concrete(inputs):
        raise ValueError("inputs are being traced: the number of features depends on values; call it outside jit.")
    check_ndim("inputs", inputs, 2, "examples, dimensions")
    if 0 in np.shape(inputs):
        raise ValueError(f"inputs has shape {np.shape(inputs)}: give at least one example and one dimension.")
    check_finite("inputs", inputs)
    points = as_inexact(inputs)
    num_examples, dimensions = points.shape
    if method == "exact":
        if num_features is not None:
            raise ValueError(f"num_features={num_features} is for 'nystrom' and 'random'; method='exact' finds it.")
        kernel = kernel.fit(points)
        transform = eqx.nn.Identity() if isinstance(kernel, Linear) else _Landmarks.create(kernel, points)
        return FeatureMap(kernel, transform, dimensions)
    num_features = _check_num_features(num_features, method, num_examples)
    if key is None:
        raise ValueError(f"key is None: method={method!r} draws at random; give key=jax.random.key(0).")
    kernel = kernel.fit(points)
    if method == "random":
        transform = kernel.random_features(key, dimensions, num_features, points.dtype)
    else:
        drawn = jax.random.choice(key, num_examples, (num_features,), replace=False)
        transform = _Landmarks.create(kernel, points[drawn])
    return FeatureMap(kernel, transform, dimensions)


class _Landmarks(eqx.Module):
    """The kernel to landmarks Z, whitened: k(x, Z) V Lam^(-1/2), where k(Z, Z) = V Lam V^T.

    Small eigenvalues are what drives the loss late, and float32 loses most of them. So everything is done in float64,
    whatever the precision of the inputs, and features are rounded to it at the end, each in its own scale. Inputs that
    are being traced are seen in their own precision.
    """

    kernel: AbstractKernel
    points: Float[np.ndarray, "P D"]
    whitening: Float[np.ndarray, "P K"]
    dropped: Dropped = eqx.field(static=True)

    @classmethod
    def create(cls, kernel: AbstractKernel, points: Float[Array, "P D"]) -> "_Landmarks":
        wide = np.asarray(points, np.float64)
        values, vectors, dropped = positive_part(_in_float64(kernel, wide, wide), np.finfo(np.float64).eps)
        return cls(kernel, wide, vectors / np.sqrt(values), dropped)

    def __call__(self, inputs: Float[Array, "M D"]) -> Float[Array, "M K"]:
        if is_concrete(inputs):
            seen = _in_float64(self.kernel, np.asarray(inputs, np.float64), self.points)
            return jnp.asarray(seen @ self.whitening, inputs.dtype)
        points, whitening = (jnp.asarray(part, inputs.dtype) for part in (self.points, self.whitening))
        return precise_product(self.kernel(inputs, points), whitening)


def positive_part(gram: np.ndarray, rounding: float) -> tuple[np.ndarray, np.ndarray, Dropped]:
    """Eigenvalues of a Gram matrix beyond its rounding, descending, with their eigenvectors, and what was dropped.

    Arguments:
        gram: symmetric, float64.
        rounding: of its entries, relative.

    Raises:
        ValueError: nothing is left.
    """
    values, vectors = np.linalg.eigh((gram + gram.T) / 2)
    # Rounding moves eigenvalues by up to this much: a direction below it is noise, which whitening would magnify.
    keep = values > len(gram) * rounding * values[-1]
    if not keep.any():
        raise ValueError("the kernel is zero on all inputs: none has a feature; give inputs that are not all zero.")
    lost = float(np.sum(np.maximum(values[~keep], 0)) / np.sum(np.maximum(values, 0)))
    return values[keep][::-1], vectors[:, keep][:, ::-1], Dropped(int(np.sum(~keep)), lost)


def _in_float64(kernel: AbstractKernel, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A kernel between inputs that are not being traced, in float64 whatever JAX is set to."""
    with jax.enable_x64(True):
        return np.asarray(kernel(jnp.asarray(x, jnp.float64), jnp.asarray(y, jnp.float64)))


def _check_num_features(num_features: Any, method: str, num_examples: int) -> int:
    if num_features is None:
        raise ValueError(f"num_features is None: method={method!r} needs a number of features.")
    if not isinstance(num_features, int | np.integer) or num_features < 1:
        raise ValueError(f"num_features={num_features!r} must be a whole number, at least 1.")
    if method == "nystrom" and num_features > num_examples:
        raise ValueError(
            f"num_features={num_features} is more than the {num_examples} examples that 'nystrom' draws from: "
            f"give at most {num_examples}."
        )
    return int(num_features)
