"""Random features on a power law: what a model of finite width can learn, and how fast."""

import dataclasses
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_choice, check_positive, check_whole, is_concrete
from .._types import Array, ArrayLike, Float, PRNGKeyArray, as_inexact
from ..numerics import FeatureSpectrum, feature_spectrum, feature_spectrum_slopes
from ._modal import AbstractLaw, ModalProblem

_METHODS = ("equivalent", "draw")
_FEWEST_NODES, _NODES_AN_E_FOLD = 32, 3.0  # errors of the flow then stay below 1e-4, and with twice as many below 1e-5


def random_features(
    alpha: Any,
    beta: Any,
    *,
    num_modes: int,
    width: Any,
    nodes: int | None = None,
    method: str = "equivalent",
    key: PRNGKeyArray | None = None,
) -> ModalProblem:
    """Least squares on `width` random features of data with eigenvalues k^-alpha and target energies k^-beta.

    The features are W^T x, where x has independent Gaussian coordinates of variances k^-alpha for k = 1 ... num_modes
    and the entries of W, shape (num_modes, width), have variance 1 / width. Learning is driven by the kernel
    D^(1/2) W W^T D^(1/2), D = diag(k^-alpha), which has only `width` eigenvalues above zero: what lies outside its
    range is never learnt. It is the floor of the problem, and to SGD it is label noise of twice that variance.

    "equivalent" takes the deterministic equivalent of that kernel, which the mean over many W approaches as the width
    grows: within 1.5% of the loss at width 200, and 6% at width 50. Its spectrum is continuous, and `nodes` entries
    with multiplicities stand for it. It is differentiable in alpha, beta and width, which may be traced and need not
    be whole. "draw" takes one W, and has `width` plain modes.

    Arguments:
        alpha: eigenvalue exponent, scalar, positive.
        beta: energy exponent, scalar, positive.
        num_modes: number of modes of the data; 1e8 is fine for the equivalent.
        width: number of features, scalar, at least 1 and below num_modes.
        nodes: number of entries of the equivalent, 256 if None.
        method: "equivalent" or "draw".
        key: PRNG key, for "draw"; also draws the signs of the target's coordinates.

    Returns:
        A `ModalProblem` with a floor.

    Raises:
        ValueError: a width that is not below num_modes, exponents that are not positive, fewer nodes than the leading
            eigenvalues need, or a draw without a key or with a width that is traced or not whole.

    Source:
        Paquette, Paquette, Xiao and Pennington, 4+3 phases of compute-optimal neural scaling laws (2024), for the
        deterministic equivalent.
    """
    check_choice("method", method, _METHODS)
    check_whole("num_modes", num_modes, "give the number of modes of the data")
    check_positive("alpha", alpha, "give an exponent above 0")
    check_positive("beta", beta, "give an exponent above 0")
    check_positive("width", width, "give a number of features")
    if is_concrete(width) and not 1 <= np.max(np.asarray(width)) < num_modes:
        raise ValueError(
            f"width is {np.max(np.asarray(width)):g} and num_modes={num_modes:g}: features are fewer than the modes "
            "that they mix; give a width from 1 to num_modes - 1, or power_law(...) for every mode by itself."
        )
    alpha, beta, width = as_inexact(alpha), as_inexact(beta), as_inexact(width)
    if method == "draw":
        if nodes is not None:
            raise ValueError(f"nodes={nodes} is used by the equivalent only; a draw has one mode for each feature.")
        return _drawn(alpha, beta, int(num_modes), width, key)
    nodes = 256 if nodes is None else nodes
    check_whole("nodes", nodes, f"give at least {_FEWEST_NODES}")
    if is_concrete(alpha) and is_concrete(width):
        steepest, widest = float(np.max(np.asarray(alpha))), float(np.max(np.asarray(width)))
        if nodes < _fewest_nodes(steepest, widest):
            raise ValueError(
                f"nodes={nodes} is too few for the leading eigenvalues at width {widest:g} and alpha {steepest:g}: "
                f"give at least {_fewest_nodes(steepest, widest)}."
            )
    return FeatureLaw(alpha, beta, width, int(num_modes), int(nodes)).problem()


class FeatureLaw(AbstractLaw):
    """The deterministic equivalent of random features, as `random_features` makes it.

    Arguments:
        alpha: eigenvalue exponent of the data.
        beta: energy exponent of the target.
        width: number of features.
        num_modes: number of modes of the data.
        nodes: number of entries.
    """

    alpha: Float[Array, ""]
    beta: Float[Array, ""]
    width: Float[Array, ""]
    num_modes: int = eqx.field(static=True)
    nodes: int = eqx.field(static=True)

    def problem(self) -> ModalProblem:
        """The problem of this law."""
        eigenvalues, multiplicity, energies, unlearnable = _equivalent(
            self.num_modes, self.nodes, self.alpha, self.beta, self.width
        )
        return ModalProblem(
            eigenvalues, energies, multiplicity, law=self, floor=unlearnable / 2, noise_variance=unlearnable
        )

    def numbers(self) -> dict[str, Array]:
        return {"alpha": self.alpha, "beta": self.beta, "width": self.width}

    def check_number(self, name: str, values: ArrayLike) -> None:
        if np.min(values) <= 0 or (name == "width" and not 1 <= np.min(values) <= np.max(values) < self.num_modes):
            limits = f"from 1 to {self.num_modes - 1}" if name == "width" else "above 0"
            raise ValueError(f"ranges from {np.min(values):.6g} to {np.max(values):.6g}: give values {limits}.")
        held = {"alpha": self.alpha, "width": self.width} | {name: np.max(values)}
        if all(map(is_concrete, held.values())):
            fewest = _fewest_nodes(float(held["alpha"]), float(held["width"]))
            if self.nodes < fewest:
                raise ValueError(
                    f"ranges up to {np.max(values):.6g}, where nodes={self.nodes} is too few for the leading "
                    f"eigenvalues: give the problem at least {fewest} nodes, or smaller values."
                )

    def rebuilt(self, problem: ModalProblem, values: dict[str, Any]) -> ModalProblem:
        """Every entry depends on every number."""
        changed = {name: jnp.asarray(value, problem.dtype) for name, value in values.items()}
        return dataclasses.replace(self, **changed).problem()

    def refined(self, problem: ModalProblem) -> ModalProblem:
        return dataclasses.replace(self, nodes=2 * self.nodes).problem()


def _fewest_nodes(alpha: float, width: float) -> int:
    """Nodes that the eigenvalues need, which fall over about alpha log(width) e-folds."""
    return max(_FEWEST_NODES, int(np.ceil(_NODES_AN_E_FOLD * alpha * np.log(width))))


def _drawn(alpha: Array, beta: Array, num_modes: int, width: Array, key: PRNGKeyArray | None) -> ModalProblem:
    """One instance: singular values and vectors of the features, and the target along them."""
    if key is None:
        raise ValueError('method="draw" draws random numbers: pass random_features(key=jax.random.key(0)).')
    if not is_concrete(width):
        raise ValueError('width is traced, and method="draw" needs its value: use method="equivalent".')
    check_whole("width", float(width), "a draw has a whole number of features")
    for_weights, for_signs = jax.random.split(key)
    dtype = jnp.result_type(alpha, beta)
    index = jnp.arange(1, num_modes + 1, dtype=dtype)
    weights = jax.random.normal(for_weights, (num_modes, int(width)), dtype) / jnp.sqrt(width.astype(dtype))
    target = index ** (-beta / 2) * jax.random.rademacher(for_signs, (num_modes,), dtype)
    vectors, values, _ = jnp.linalg.svd(index[:, None] ** (-alpha / 2) * weights, full_matrices=False)
    energies = (vectors.T @ target) ** 2
    unlearnable = jnp.maximum(jnp.sum(target**2) - jnp.sum(energies), 0)
    return ModalProblem(values**2, energies, floor=unlearnable / 2, noise_variance=unlearnable)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _equivalent(num_modes: int, nodes: int, alpha: Array, beta: Array, width: Array) -> tuple[Array, ...]:
    """Eigenvalues, multiplicity and energies, each of shape (nodes,), and the unlearnable energy."""

    def on_host(alpha: Any, beta: Any, width: Any) -> tuple[np.ndarray, ...]:
        return _parts(feature_spectrum(float(alpha), float(beta), float(width), num_modes, nodes), dtype)

    dtype = jnp.result_type(alpha, beta, width)
    vector = jax.ShapeDtypeStruct((nodes,), dtype)
    shapes = vector, vector, vector, jax.ShapeDtypeStruct((), dtype)
    return jax.pure_callback(on_host, shapes, alpha, beta, width, vmap_method="sequential")


@_equivalent.defjvp
def _equivalent_jvp(num_modes: int, nodes: int, primals: tuple, tangents: tuple) -> tuple[tuple, tuple]:
    """The derivative in each of the three numbers is found with the value; tangents are combined linearly."""

    def on_host(alpha: Any, beta: Any, width: Any) -> tuple[np.ndarray, ...]:
        found = feature_spectrum_slopes(float(alpha), float(beta), float(width), num_modes, nodes)
        return tuple(np.stack(parts) for parts in zip(*(_parts(part, dtype) for part in found), strict=True))

    dtype = jnp.result_type(*primals)
    matrix = jax.ShapeDtypeStruct((3, nodes), dtype)
    shapes = matrix, matrix, matrix, jax.ShapeDtypeStruct((3,), dtype)
    slopes = jax.pure_callback(on_host, shapes, *primals, vmap_method="sequential")
    alpha, beta, width = (jnp.asarray(tangent, dtype) for tangent in tangents)
    along = jnp.stack([alpha, beta, width / primals[2]])
    return _equivalent(num_modes, nodes, *primals), tuple(jnp.tensordot(along, slope, 1) for slope in slopes)


def _parts(spectrum: FeatureSpectrum, dtype: Any) -> tuple[np.ndarray, ...]:
    """The fields as arrays of one type."""
    fields = spectrum.eigenvalues, spectrum.multiplicity, spectrum.energies, np.asarray(spectrum.unlearnable)
    return tuple(np.asarray(field, dtype) for field in fields)
