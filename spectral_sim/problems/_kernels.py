"""Kernels on raw inputs, and feature maps that reproduce or approximate them."""

import abc
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_choice, check_finite, check_ndim, check_positive, is_concrete
from .._types import Array, ArrayLike, Float, PRNGKeyArray, as_inexact
from ._whitening import Dropped, positive_part

__all__ = ["RBF", "AbstractKernel", "ArcCosine", "FeatureMap", "Linear", "feature_map"]

_METHODS = ("exact", "nystrom", "random")
_MEDIAN_ROWS = 1000  # half a million pairs: the median distance to about 0.1%

# Gram matrices are inverted below, so the reduced precision that accelerators use by default would not do.
_matmul = partial(jnp.matmul, precision="highest")


class AbstractKernel(eqx.Module):
    """A positive semidefinite function of two inputs, evaluated on all pairs of two sets."""

    @abc.abstractmethod
    def __call__(self, x: Float[Array, "N D"], y: Float[Array, "M D"]) -> Float[Array, "N M"]:
        """Kernel between every row of `x` and every row of `y`."""

    @abc.abstractmethod
    def fit(self, inputs: Float[Array, "N D"]) -> "AbstractKernel":
        """The kernel with every hyperparameter that was left open chosen from `inputs`."""

    @abc.abstractmethod
    def random_features(self, key: PRNGKeyArray, dimensions: int, num_features: int, dtype: Any) -> Callable:
        """Draw a function (M, dimensions) -> (M, num_features) whose inner products estimate the kernel."""


class Linear(AbstractKernel):
    """Linear kernel k(x, y) = x . y; its exact features are the inputs themselves."""

    def __call__(self, x: Float[Array, "N D"], y: Float[Array, "M D"]) -> Float[Array, "N M"]:
        x, y = _pair(x, y)
        return _matmul(x, y.T)

    def fit(self, inputs: Float[Array, "N D"]) -> "Linear":
        return self

    def random_features(self, key: PRNGKeyArray, dimensions: int, num_features: int, dtype: Any) -> Callable:
        raise ValueError("method='random' has no features for linear(): its exact ones are the inputs; use 'exact'.")


class RBF(AbstractKernel):
    """Gaussian kernel k(x, y) = exp(-|x - y|^2 / (2 bandwidth^2)).

    Arguments:
        bandwidth: length scale in the unit of the inputs, a positive number. None: the median distance between two
            fitted inputs, taken over at most 1000 rows that depend only on the number of rows.

    Raises:
        ValueError: a bandwidth that is not positive, or a kernel evaluated before its bandwidth is known.

    Source: random features by Rahimi and Recht (2007), as cosine-sine pairs (Sutherland and Schneider 2015), which
    keep k(x, x) = 1 and have the lower variance.
    """

    bandwidth: Float[Array, ""] | None = eqx.field(default=None, converter=as_inexact)

    def __check_init__(self):
        if self.bandwidth is not None:
            check_ndim("bandwidth", self.bandwidth, 0, "")
            check_positive("bandwidth", self.bandwidth, "give a length in the unit of the inputs, or None")

    @eqx.filter_jit  # fuses steps that would each hold an (N, M) array
    def __call__(self, x: Float[Array, "N D"], y: Float[Array, "M D"]) -> Float[Array, "N M"]:
        x, y = _pair(x, y)
        return jnp.exp(-_squared_distances(x, y) / (2 * self._known_bandwidth().astype(x.dtype) ** 2))

    def fit(self, inputs: Float[Array, "N D"]) -> "RBF":
        if self.bandwidth is not None:
            return self
        return RBF(jnp.asarray(_median_distance(np.asarray(inputs)), inputs.dtype))

    def random_features(self, key: PRNGKeyArray, dimensions: int, num_features: int, dtype: Any) -> Callable:
        if num_features % 2:
            raise ValueError(
                f"num_features={num_features} is odd: random features of rbf() are cosine-sine pairs; "
                f"give {num_features + 1}."
            )
        normal = jax.random.normal(key, (dimensions, num_features // 2), dtype)
        return _CosineSine(normal / self._known_bandwidth().astype(dtype))

    def _known_bandwidth(self) -> Float[Array, ""]:
        if self.bandwidth is None:
            raise ValueError(
                "bandwidth is None: give problems.rbf(bandwidth), or choose it from data with rbf().fit(inputs)."
            )
        return self.bandwidth


class ArcCosine(AbstractKernel):
    """Arc-cosine kernel: the infinitely wide network of step (order 0) or ReLU (order 1) units.

    One layer is k(x, y) = 2 E[s(g . x) s(g . y)] over Gaussian g, s(z) = step(z) z^order, and deeper ones apply the
    same map to the layer below. Order 1 has k(x, x) = |x|^2, order 0 has k(x, x) = 1; step(0) = 1/2, so that order 0
    gives 1/2 between the zero vector and any other.

    Arguments:
        order: 0 (step) or 1 (ReLU).
        depth: number of layers, at least 1.

    Raises:
        ValueError: another order, or a depth below 1.

    Source: Cho and Saul, "Kernel methods for deep learning" (2009), equations 1 to 10.
    """

    order: int = eqx.field(default=1, static=True)
    depth: int = eqx.field(default=1, static=True)

    def __check_init__(self):
        if self.order not in (0, 1):
            raise ValueError(f"order={self.order!r} is not supported: give 0 (step) or 1 (ReLU).")
        if not isinstance(self.depth, int) or self.depth < 1:
            raise ValueError(f"depth={self.depth!r} must be a whole number of layers, at least 1.")

    @eqx.filter_jit  # fuses steps that would each hold an (N, M) array
    def __call__(self, x: Float[Array, "N D"], y: Float[Array, "M D"]) -> Float[Array, "N M"]:
        x, y = _pair(x, y)
        cross, own_x, own_y = _matmul(x, y.T), jnp.sum(x * x, axis=1), jnp.sum(y * y, axis=1)
        # Equal directions must have cosine 1: the angle would turn an error eps into sqrt(eps), and the next layer of
        # order 0 into its fourth root. This is the rounding of an inner product.
        rounding = (4 + x.shape[1] ** 0.5) * jnp.finfo(x.dtype).eps
        for _ in range(self.depth):
            cross = self._layer(cross, jnp.sqrt(own_x)[:, None] * jnp.sqrt(own_y), rounding)
            own_x, own_y = self._layer(own_x, own_x, rounding), self._layer(own_y, own_y, rounding)
        return cross

    def fit(self, inputs: Float[Array, "N D"]) -> "ArcCosine":
        return self

    def random_features(self, key: PRNGKeyArray, dimensions: int, num_features: int, dtype: Any) -> Callable:
        widths = [dimensions] + [num_features] * self.depth
        keys = jax.random.split(key, self.depth)
        shapes = zip(keys, widths[:-1], widths[1:], strict=True)
        return _RandomLayers(tuple(jax.random.normal(k, (a, b), dtype) for k, a, b in shapes), self.order)

    def _layer(self, inner: Array, scale: Array, rounding: float) -> Array:
        """The kernel of the next layer from inner products and products of norms of this one."""
        # A zero vector makes a right angle with everything: exact for order 0 with step(0) = 1/2, and order 1 is 0.
        positive = scale > 0
        cosine = jnp.clip(jnp.where(positive, inner / jnp.where(positive, scale, 1), 0), -1, 1)
        cosine = jnp.where(cosine > 1 - rounding, 1, cosine)
        angle = jnp.arccos(cosine)
        if self.order == 0:
            return 1 - angle / jnp.pi
        return scale * (jnp.sqrt((1 - cosine) * (1 + cosine)) + (jnp.pi - angle) * cosine) / jnp.pi


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

    Source: Williams and Seeger (2001) for "nystrom".
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
        return _matmul(self.kernel(inputs, points), whitening)


def _in_float64(kernel: AbstractKernel, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A kernel between inputs that are not being traced, in float64 whatever JAX is set to."""
    with jax.enable_x64(True):
        return np.asarray(kernel(jnp.asarray(x, jnp.float64), jnp.asarray(y, jnp.float64)))


class _CosineSine(eqx.Module):
    """Random Fourier features in pairs of equal frequency."""

    frequencies: Float[Array, "D half"]

    @eqx.filter_jit
    def __call__(self, inputs: Float[Array, "M D"]) -> Float[Array, "M K"]:
        phase = _matmul(inputs, self.frequencies)
        scale = jnp.sqrt(jnp.asarray(self.frequencies.shape[1], phase.dtype))
        return jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], axis=1) / scale


class _RandomLayers(eqx.Module):
    """A network of step or ReLU units with Gaussian weights, each layer scaled so that it estimates the kernel."""

    weights: tuple[Float[Array, "fan_in K"], ...]
    order: int = eqx.field(static=True)

    @eqx.filter_jit
    def __call__(self, inputs: Float[Array, "M D"]) -> Float[Array, "M K"]:
        hidden = inputs
        for weights in self.weights:
            drive = _matmul(hidden, weights)
            units = jnp.heaviside(drive, 0.5) if self.order == 0 else jax.nn.relu(drive)
            hidden = units * jnp.sqrt(jnp.asarray(2 / weights.shape[1], units.dtype))
        return hidden


def _pair(x: Any, y: Any) -> tuple[Array, Array]:
    """Both sets at their common dtype, once their shapes are known to fit."""
    check_ndim("x", x, 2, "examples, dimensions")
    check_ndim("y", y, 2, "examples, dimensions")
    x, y = as_inexact(x), as_inexact(y)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x has {x.shape[1]} columns and y has {y.shape[1]}: give inputs of the same dimension.")
    dtype = jnp.result_type(x, y)
    return x.astype(dtype), y.astype(dtype)


def _squared_distances(x: Float[Array, "N D"], y: Float[Array, "M D"]) -> Float[Array, "N M"]:
    """|x_i - y_j|^2 for all pairs."""
    # Only differences matter: without a common offset the expanded square loses fewer digits to cancellation.
    centre = jnp.mean(y, axis=0)
    x, y = x - centre, y - centre
    squares = jnp.sum(x * x, axis=1)[:, None] + jnp.sum(y * y, axis=1) - 2 * _matmul(x, y.T)
    return jnp.maximum(squares, 0)


def _median_distance(inputs: np.ndarray) -> float:
    """Median distance between two rows, over a fixed sample of at most `_MEDIAN_ROWS` of them."""
    if len(inputs) > _MEDIAN_ROWS:  # drawn, since evenly spaced rows could follow a pattern in the order of the data
        inputs = inputs[np.random.default_rng(0).choice(len(inputs), _MEDIAN_ROWS, replace=False)]
    inputs = inputs.astype(np.float64) - inputs.mean(axis=0, dtype=np.float64)
    squares = np.sum(inputs**2, axis=1)
    apart = (squares[:, None] + squares - 2 * inputs @ inputs.T)[np.triu_indices(len(inputs), 1)]
    median = float(np.median(np.sqrt(np.maximum(apart, 0)))) if apart.size else 0.0
    if median <= np.sqrt(np.finfo(np.float64).eps * squares.max(initial=0.0)):  # equal rows differ by rounding alone
        raise ValueError("bandwidth: at least half of the pairs of inputs are equal, so no median distance; give one.")
    return median


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
