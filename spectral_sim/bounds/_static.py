"""What bounded and static weights can and cannot do."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from .._checks import check_length, check_ndim, check_non_negative, check_positive
from .._types import Array, ArrayLike, Float
from ..numerics import log_or_minus_inf
from ..problems import AbstractProblem, ModalProblem, OperatorProblem


class Sandwich(NamedTuple):
    """Loss curves between which every schedule with low <= w <= high stays.

    Arguments:
        times: when they hold, in units of intrinsic time, shape (times,).
        lower: the loss of uniform training at high * t, shape (times,).
        upper: the loss of uniform training at low * t, shape (times,).
    """

    times: Float[Array, "times"]
    lower: Float[Array, "times"]
    upper: Float[Array, "times"]


class SpectralBounds(NamedTuple):
    """Spectrum of M_w beside that of M, and the tail exponents of both.

    Loewner: low * eigenvalues[k] <= weighted_eigenvalues[k] <= high * eigenvalues[k] for every k. An exponent is that
    of lam_k ~ k^-exponent.

    Arguments:
        low: the smallest weight.
        high: the largest weight.
        eigenvalues: of M, descending, shape (eigenvalues,).
        weighted_eigenvalues: of M_w, descending, shape (eigenvalues,).
        ratio_min: the smallest ratio of weighted to unweighted eigenvalue that was measured.
        ratio_max: the largest one.
        exponent: of the tail of M.
        exponent_stderr: its standard error.
        weighted_exponent: of the tail of M_w.
        weighted_exponent_stderr: its standard error.
        window: mode numbers of the fit, first and last.
    """

    low: float
    high: float
    eigenvalues: np.ndarray
    weighted_eigenvalues: np.ndarray
    ratio_min: float
    ratio_max: float
    exponent: float
    exponent_stderr: float
    weighted_exponent: float
    weighted_exponent_stderr: float
    window: tuple[int, int]


def uniform_loss(problem: ModalProblem, times: ArrayLike) -> Float[Array, "..."]:
    """Compute the loss of uniform sampling at any times, floor + 1/2 sum_k m_k E_k(0) exp(-2 lam_k t).

    Arguments:
        problem: modal.
        times: t, any shape, which the losses have too.
    """
    times = jnp.asarray(times, problem.dtype)
    log_energy = log_or_minus_inf(problem.energies) - 2 * times[..., None] * problem.eigenvalues
    return problem.floor + 0.5 * jnp.sum(problem.multiplicity * jnp.exp(log_energy), axis=-1)


def static_sandwich(problem: AbstractProblem, times: ArrayLike, low: float, high: float) -> Sandwich:
    """Bounds on the loss of *any* weights, static or dynamic, between two density ratios. Modal problems only.

    A schedule bounded by `high` is at most a `high`-fold speed-up, for ever; one bounded below by `low` is at worst a
    slow-down by it. In data space both sides can be violated.

    Arguments:
        problem: a modal problem.
        times: shape (times,), not negative.
        low: lower bound on the weights, in [0, 1].
        high: upper bound on the weights, at least 1.

    Returns:
        A `Sandwich`.

    Raises:
        TypeError: a problem that is not modal.
        ValueError: bounds that admit no weights of mean one.
    """
    modal = problem.as_modal()
    if modal is None:
        raise TypeError(f"static_sandwich holds for modal problems, not for {type(problem).__name__}: try speed_limit.")
    check_non_negative("low", low)
    check_positive("high", high)
    if low > 1 or high < 1:
        raise ValueError(f"low={low:.6g} and high={high:.6g} admit no weights of mean one: choose low <= 1 <= high.")
    check_non_negative("times", times)
    times = jnp.asarray(times, problem.dtype)
    return Sandwich(times, uniform_loss(modal, high * times), uniform_loss(modal, low * times))


def spectral_bounds(
    problem: AbstractProblem, weights: ArrayLike, window: tuple[int, int] | None = None
) -> SpectralBounds:
    """Measure what weights do to the spectrum of the operator that drives learning.

    Arguments:
        problem: modal, or a data problem.
        weights: shape (weights,), non-negative; scaled to mean one.
        window: mode numbers (first, last) of the tail fit; the middle half of the positive spectrum, in the logarithm
            of the mode number, if None.

    Returns:
        `SpectralBounds`.

    Raises:
        TypeError: a problem that has neither modes nor features.
        ValueError: weights of another length, negative or all zero, or a window outside the spectrum.
    """
    check_ndim("weights", weights, 1, "weights")
    check_length("weights", weights, problem.mass.shape[0], "the problem")
    check_non_negative("weights", weights, "weights are density ratios")
    base = np.asarray(problem.mass, np.float64)
    mean = float(np.sum(base * np.asarray(weights)))
    if mean <= 0:
        raise ValueError("weights are zero wherever the problem has mass: give at least one positive weight.")
    ratio = np.asarray(weights, np.float64) / mean
    modal, data = problem.as_modal(), problem.as_operator()
    if modal is not None:
        index, eigenvalues, weighted = _modal_spectra(modal, ratio)
    elif data is not None:
        index, eigenvalues, weighted = _data_spectra(data, ratio)
    else:
        raise TypeError(f"spectral_bounds needs modes or features, and {type(problem).__name__} has neither.")
    solid = eigenvalues > eigenvalues[0] * len(index) * np.finfo(problem.dtype).eps
    if window is None:
        depth = np.log(index[solid][-1])
        window = (int(np.ceil(np.exp(depth / 4))), int(np.floor(np.exp(3 * depth / 4))))
    inside = (index >= window[0]) & (index <= window[1]) & solid & (weighted > 0)
    if inside.sum() < 3:
        raise ValueError(
            f"window={window} holds {int(inside.sum())} positive eigenvalues of {int(solid.sum())}: widen it."
        )
    compared = weighted[solid] / eigenvalues[solid]
    exponent, exponent_stderr = _slope(index[inside], eigenvalues[inside])
    weighted_exponent, weighted_stderr = _slope(index[inside], weighted[inside])
    return SpectralBounds(
        low=float(ratio[base > 0].min()),
        high=float(ratio[base > 0].max()),
        eigenvalues=eigenvalues,
        weighted_eigenvalues=weighted,
        ratio_min=float(compared.min()),
        ratio_max=float(compared.max()),
        exponent=exponent,
        exponent_stderr=exponent_stderr,
        weighted_exponent=weighted_exponent,
        weighted_exponent_stderr=weighted_stderr,
        window=window,
    )


def _modal_spectra(problem: ModalProblem, ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mode numbers, and both spectra in descending order at those numbers."""
    index, eigenvalues, multiplicity = (
        np.asarray(x, np.float64) for x in (problem.index, problem.eigenvalues, problem.multiplicity)
    )
    order = np.argsort(-eigenvalues * ratio, kind="stable")
    weighted, multiplicity = (eigenvalues * ratio)[order], multiplicity[order]
    if multiplicity.max() == 1:
        return index, eigenvalues, weighted
    # sorting moved the shells; read off at the same numbers
    moved = np.cumsum(multiplicity) - (multiplicity - 1) / 2
    floor = np.log(np.maximum(weighted, np.finfo(np.float64).tiny))
    return index, eigenvalues, np.exp(np.interp(np.log(index), np.log(moved), floor))


def _data_spectra(problem: OperatorProblem, ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mode numbers, and both spectra in descending order."""
    per_example = np.asarray(problem.per_example(jnp.asarray(ratio)), np.float64)
    scaled = np.asarray(problem.features, np.float64) * np.sqrt(np.asarray(problem.example_mass, np.float64))[:, None]
    eigenvalues = np.linalg.svd(scaled, compute_uv=False) ** 2
    weighted = np.linalg.svd(scaled * np.sqrt(per_example)[:, None], compute_uv=False) ** 2
    return np.arange(1.0, len(eigenvalues) + 1), eigenvalues, weighted


def _slope(index: np.ndarray, eigenvalues: np.ndarray) -> tuple[float, float]:
    """-d log lam / d log k by least squares, and its standard error."""
    (slope, _), covariance = np.polyfit(np.log(index), np.log(eigenvalues), 1, cov=True)
    return -float(slope), float(np.sqrt(covariance[0, 0]))
