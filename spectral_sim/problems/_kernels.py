"""Kernels on raw inputs, and random features of them."""

import abc
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_ndim, check_positive
from .._types import Array, Float, PRNGKeyArray, as_inexact
from .._where import where

_MEDIAN_ROWS = 1000  # half a million pairs: the median distance to about 0.1%

# Gram matrices are inverted below, so the reduced precision that accelerators use by default would not do.
precise_product = partial(jnp.matmul, precision="highest")


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
        return precise_product(x, y.T)

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

    Source:
        random features by Rahimi and Recht (2007), as cosine-sine pairs (Sutherland and Schneider 2015), which keep
        k(x, x) = 1 and have the lower variance.
    """

    bandwidth: Float[Array, ""] | None = eqx.field(default=None, converter=as_inexact)

    def __check_init__(self) -> None:
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

    Source:
        Cho and Saul, "Kernel methods for deep learning" (2009), equations 1 to 10.
    """

    order: int = eqx.field(default=1, static=True)
    depth: int = eqx.field(default=1, static=True)

    def __check_init__(self) -> None:
        if self.order not in (0, 1):
            raise ValueError(f"order={self.order!r} is not supported: give 0 (step) or 1 (ReLU).")
        if not isinstance(self.depth, int) or self.depth < 1:
            raise ValueError(f"depth={self.depth!r} must be a whole number of layers, at least 1.")

    @eqx.filter_jit  # fuses steps that would each hold an (N, M) array
    def __call__(self, x: Float[Array, "N D"], y: Float[Array, "M D"]) -> Float[Array, "N M"]:
        x, y = _pair(x, y)
        cross, own_x, own_y = precise_product(x, y.T), jnp.sum(x * x, axis=1), jnp.sum(y * y, axis=1)
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
        cosine = jnp.clip(where(positive, inner / where(positive, scale, 1), 0), -1, 1)
        cosine = where(cosine > 1 - rounding, 1, cosine)
        angle = jnp.arccos(cosine)
        if self.order == 0:
            return 1 - angle / jnp.pi
        return scale * (jnp.sqrt((1 - cosine) * (1 + cosine)) + (jnp.pi - angle) * cosine) / jnp.pi


class _CosineSine(eqx.Module):
    """Random Fourier features in pairs of equal frequency."""

    frequencies: Float[Array, "D half"]

    @eqx.filter_jit
    def __call__(self, inputs: Float[Array, "M D"]) -> Float[Array, "M K"]:
        phase = precise_product(inputs, self.frequencies)
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
            drive = precise_product(hidden, weights)
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
    squares = jnp.sum(x * x, axis=1)[:, None] + jnp.sum(y * y, axis=1) - 2 * precise_product(x, y.T)
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
