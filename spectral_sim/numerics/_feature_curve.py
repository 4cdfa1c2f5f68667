"""The curve in the complex plane from which the density of random features is read. Host-side, NumPy float64."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float

from ._crossing import bisect

# Sums over modes are np.vecdot: for a matrix of this size `@` starts threads, which costs more than it gains.
_BLOCK = 2**15  # entries of (points, modes) that are worked on at once, so that they stay in the processor's cache
_MOST_STEPS, _SETTLED = 60, 1e-13  # of Newton's method


@dataclass(frozen=True)
class FeatureCurve:
    """Points omega = x + i v on which z = omega m(omega) is real, with weights.

    Arguments:
        omega: the points, shape (points,).
        m: m at each of them, shape (points,).
        position: z, which is an eigenvalue's place, shape (points,).
        step: weight of each in an integral over z of the imaginary part of a resolvent, over pi, shape (points,).
        counted: imaginary part of the trace of the resolvent, shape (points,).
    """

    omega: Complex[np.ndarray, " points"]
    m: Complex[np.ndarray, " points"]
    position: Float[np.ndarray, " points"]
    step: Float[np.ndarray, " points"]
    counted: Float[np.ndarray, " points"]


def feature_curve(
    x: np.ndarray, weight: np.ndarray, modes: np.ndarray, count: np.ndarray, width: float
) -> FeatureCurve:
    """Follow the curve over given real parts.

    Arguments:
        x: real parts of omega inside the support, shape (points,).
        weight: weights of an integral over x, shape (points,).
        modes: eigenvalues lam_k of the data, shape (modes,).
        count: how many modes each stands for, shape (modes,).
        width: number of features d.

    Returns:
        The curve.
    """

    strength = count * modes**2
    weighted = np.stack([count * modes, count])

    def block(x: np.ndarray) -> tuple[np.ndarray, ...]:
        apart = modes - x[:, None]
        square = _squared_height(apart, strength, width)
        v = np.sqrt(square)
        # 1 / (lam - omega) = (lam - x + i v) term, and its square has the real part term (1 - 2 v^2 term)
        term = 1 / (apart**2 + square[:, None])
        height = v * np.vecdot(term, weighted[:, None])
        total = np.vecdot(term, strength)
        np.multiply(apart, term, out=apart)
        trace, counted = np.vecdot(apart, weighted[:, None]) + 1j * height
        along = np.vecdot(np.multiply(apart, term, out=apart), strength)
        across = np.vecdot(np.square(term, out=term), strength)
        slope = 1 - (total - 2 * square * across + 2j * v * along) / width  # dz / d omega
        m = 1 - trace / width
        return x + 1j * v, m, slope, np.imag(counted / m)

    omega, m, slope, counted = _in_blocks(block, len(modes), x)
    step = weight * np.abs(slope) ** 2 / np.real(slope) / np.pi  # ds = d x (1 + i v') slope, which is real
    return FeatureCurve(omega, m, np.real(omega * m), step, counted)


def energies_on(curve: FeatureCurve, modes: np.ndarray, energies: np.ndarray) -> Float[np.ndarray, " points"]:
    """Imaginary part of b^T (K - z)^-1 b along the curve, for a target b with these energies along the modes."""

    def block(omega: np.ndarray, m: np.ndarray) -> tuple[np.ndarray]:
        apart = modes - np.real(omega)[:, None]
        term = 1 / (apart**2 + np.imag(omega)[:, None] ** 2)
        height = np.vecdot(term, energies) * np.imag(omega)
        return (np.imag((np.vecdot(np.multiply(apart, term, out=apart), energies) + 1j * height) / m),)

    return _in_blocks(block, len(modes), curve.omega, curve.m)[0]


def _in_blocks(
    function: Callable[..., tuple[np.ndarray, ...]], columns: int, *arrays: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Call a function on some rows at a time, and join what it returns."""
    rows = max(1, _BLOCK // columns)
    parts = [function(*(array[n : n + rows] for array in arrays)) for n in range(0, len(arrays[0]), rows)]
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def _squared_height(apart: np.ndarray, strength: np.ndarray, width: float) -> np.ndarray:
    """v^2 >= 0 with sum_k lam_k^2 / ((lam_k - x)^2 + v^2) = d.

    Newton's method for the reciprocal of the sum in v^2. That is concave, as a weighted harmonic mean of functions that
    are linear in v^2, and rises. The first value is where the nearest mode alone makes the sum d, which lies below the
    root. From there the method climbs to the root and never passes it, quadratically fast. Where that takes too long
    the root is bracketed.
    """
    distance = apart**2
    nearest = np.argmin(distance, axis=1)
    closest = distance[np.arange(len(apart)), nearest]
    square = np.maximum(strength[nearest] / width - closest, 0)
    term = np.empty_like(distance)
    for _ in range(_MOST_STEPS):
        np.add(distance, square[:, None], out=term)
        np.reciprocal(term, out=term)
        total = np.vecdot(term, strength)
        step = total * (total / width - 1) / np.vecdot(np.square(term, out=term), strength)
        square = np.maximum(square + step, 0)
        lost = step > _SETTLED * (square + closest)  # rounding of the distance leaves others no more to gain
        if not lost.any():
            return square
    above = lambda square: np.vecdot(1 / (distance[lost] + square[:, None]), strength) > width
    square[lost] = bisect(above, square[lost], np.full(lost.sum(), strength.sum() / width), 200)
    return square
