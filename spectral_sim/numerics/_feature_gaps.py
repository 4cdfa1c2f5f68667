"""Where the spectrum of random features has gaps, or nearly has them. Host-side, NumPy float64."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ._crossing import bisect

_ROUGH, _POLISH = 12, 5  # steps of bisection, and of Newton's method after it
_POLISHED = 1e-9  # relative, of a level after that
_NARROWEST = 1e-4  # scale of a gap, of the distance of its two modes


@dataclass(frozen=True)
class Gaps:
    """What lies between neighbouring modes, along the real part of omega.

    On the real axis dz / d omega = 1 - phi / d with phi = sum_k lam_k^2 / (lam_k - omega)^2, and the support has a gap
    where it is positive. phi is convex between two modes, so there is one gap there or none. The curve on which the
    density lies has the height v = sqrt(3 (y^2 - s^2)) at a distance y from the centre of a gap of half-width s; where
    phi stays a little above d it has v = sqrt(3 (y^2 + s^2)) about the point where phi is least.

    Arguments:
        centre: middle of the gap, or the point where phi is least, descending, shape (gaps,).
        scale: s, shape (gaps,).
        least: the least value of phi over d, below 1 in a gap, shape (gaps,).
    """

    centre: Float[np.ndarray, " gaps"]
    scale: Float[np.ndarray, " gaps"]
    least: Float[np.ndarray, " gaps"]

    @property
    def is_open(self) -> Bool[np.ndarray, " gaps"]:
        """Whether there is a gap."""
        return self.least < 1

    def reach(self, distance: Float[np.ndarray, " gaps"]) -> Float[np.ndarray, " gaps"]:
        """The variable u of `at` at a distance from the centre; 0 at the edge of a gap, and at the centre of none."""
        ratio = distance / self.scale
        return np.where(self.is_open, np.arccosh(np.maximum(ratio, 1)), np.arcsinh(ratio))


def feature_gaps(modes: np.ndarray, count: np.ndarray, width: float, number: int) -> Gaps:
    """The gaps between the first `number` + 1 modes.

    Arguments:
        modes: eigenvalues lam_k of the data, descending, shape (modes,).
        count: how many modes each stands for, shape (modes,).
        width: number of features d.
        number: how many gaps.
    """
    strength = count * modes**2
    upper, lower = modes[:number], modes[1 : number + 1]

    def powers(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """phi and its first two derivatives."""
        inverse = 1 / (modes - x[:, None])
        square = inverse * inverse
        return (
            np.vecdot(square, strength),
            2 * np.vecdot(square * inverse, strength),
            6 * np.vecdot(square * square, strength),
        )

    low, high = bisect(lambda x: powers(x)[1] < 0, lower, upper, _ROUGH, ends=True)
    centre = (low + high) / 2
    for _ in range(_POLISH):
        _, slope, bend = powers(centre)
        centre = np.clip(centre - slope / bend, low, high)
    value, _, bend = powers(centre)
    scale = np.sqrt(2 * np.abs(value - width) / bend)
    is_open = value < width
    if is_open.any():
        phi = lambda x: powers(x)[:2]
        inside = centre[is_open]
        top, bottom = (_crossing(phi, width, pole[is_open], inside) for pole in (upper, lower))
        centre, scale = centre.copy(), scale.copy()
        centre[is_open], scale[is_open] = (top + bottom) / 2, (top - bottom) / 2
    return Gaps(centre, np.maximum(scale, _NARROWEST * (upper - lower)), value / width)


def support_ends(modes: np.ndarray, count: np.ndarray, width: float) -> tuple[float, float]:
    """Upper and lower end of the support in omega; the lower one is negative."""
    strength = count * modes**2
    above = lambda x: np.vecdot(1 / (modes - x[:, None]) ** 2, strength) > width
    top = bisect(lambda u: above(modes[0] + np.exp(u)), *np.log(modes[0] * np.array([[1e-9], [1e4]])))
    bottom = bisect(lambda u: above(-np.exp(u)), *np.log(np.array([[1e-13 * modes[-1]], [1e4 * modes[0]]])))
    return float(modes[0] + np.exp(top[0])), float(-np.exp(bottom[0]))


def unlearnt(modes: np.ndarray, count: np.ndarray, width: float) -> np.ndarray:
    """Share of each mode's energy outside the span: kappa / (lam_k + kappa) with sum_k lam_k / (lam_k + kappa) = d."""
    low, high = np.log(np.array([[1e-13 * modes[-1]], [1e4 * np.sum(count * modes)]]))
    full = lambda u: (count * modes / (modes + np.exp(u)[:, None])).sum(axis=1) > width
    kappa = np.exp(bisect(full, low, high))
    return kappa / (modes + kappa)


def _crossing(phi: Callable, level: float, pole: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Where phi falls to `level` between a pole and a point inside the gap, entry by entry.

    Newton's method for phi^(-1/2), which is nearly linear next to a pole, from a rough bisection.
    """
    low, high = bisect(lambda x: phi(x)[0] > level, pole, inside, _ROUGH, ends=True)
    x = (low + high) / 2
    for _ in range(_POLISH + 1):
        value, slope = phi(x)
        x = x + 2 * value / slope * (1 - np.sqrt(value / level))
        x = np.clip(x, np.minimum(low, high), np.maximum(low, high))
    lost = ~(np.abs(phi(x)[0] / level - 1) <= _POLISHED)
    return np.where(lost, bisect(lambda x: phi(x)[0] > level, low, high), x) if lost.any() else x
