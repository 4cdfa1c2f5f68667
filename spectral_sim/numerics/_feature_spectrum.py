"""The spectrum of random features on a power law, as a few hundred nodes and weights. Host-side, NumPy float64."""

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from ._bisection import bisect
from ._quadrature import shell_rule
from ._stieltjes import compressed, panels_of

__all__ = ["FeatureSpectrum", "feature_spectrum", "feature_spectrum_slopes"]

_BUMP_DIGITS = 12.0  # natural logarithm of the accuracy of the rule inside a bump
_FEWEST_IN_BUMP, _MOST_IN_BUMP = 5, 60
_ORDER, _EDGE_ORDER = 10, 24  # nodes of a panel of the bulk, and of one that ends at an edge
_RIPPLES = 3.0  # beyond this multiple of the number of bumps the density of the bulk no longer shows single modes
_PANEL = 0.35  # width of the other panels, in the inverse hyperbolic sine of omega
_CLEAR = 0.995  # a gap counts where phi falls below this share of d, so that no gap closes under a small move
_ROUGH, _POLISH = 14, 6  # steps of bisection, and of Newton's method after it
_MOST_STEPS, _SETTLED, _POLISHED = 60, 1e-13, 1e-9  # of Newton's method
_STEP = 1e-4  # relative, of the differences that give the slopes


@dataclass(frozen=True)
class FeatureSpectrum:
    """Nodes that stand for the eigenvalues of the features' kernel.

    Arguments:
        eigenvalues: nodes, descending, shape (nodes,).
        multiplicity: how many eigenvalues a node stands for, shape (nodes,); together `width`.
        energies: residual energy of each of these at the start, shape (nodes,).
        unlearnable: energy outside the span of the features, scalar.
    """

    eigenvalues: Float[np.ndarray, " nodes"]
    multiplicity: Float[np.ndarray, " nodes"]
    energies: Float[np.ndarray, " nodes"]
    unlearnable: float


@dataclass(frozen=True)
class _Layout:
    """What is held while the exponents and the width move a little: how many nodes lie where.

    Arguments:
        index: mode numbers of the sums, shape (modes,).
        count: how many modes each stands for, shape (modes,).
        bumps: number of nodes in each bump, the largest eigenvalue first.
        modes: borders of the panels that resolve single modes, as mode numbers, ascending.
        panels: number of the panels that follow.
        density: factor on the numbers of nodes.
        groups: border of each group of fine nodes that is replaced by a Gauss rule, shape (groups + 1,).
        orders: number of nodes of these rules, shape (groups,).
    """

    index: np.ndarray
    count: np.ndarray
    bumps: tuple[int, ...]
    modes: np.ndarray
    panels: int
    density: float = 1.0
    groups: tuple[int, ...] = ()
    orders: tuple[int, ...] = ()


def feature_spectrum(alpha: float, beta: float, width: float, num_modes: int, nodes: int) -> FeatureSpectrum:
    """Deterministic equivalent of the kernel D^(1/2) W W^T D^(1/2), W of shape (num_modes, width), variance 1 / width.

    Write lam_k = k^-alpha for the diagonal of D and omega = z / m(z). The resolvent is close to (lam m(z) - z)^-1,
    where m = 1 - 1/d sum_k lam_k / (lam_k - omega) and z = omega m are explicit in omega. The density of the
    eigenvalues is read off the curve x + i v in the upper half plane on which z is real, which is where
    1/d sum_k lam_k^2 / |lam_k - omega|^2 = 1. Each leading eigenvalue has a bump of its own; further down bumps merge
    into a bulk, whose density ripples from mode to mode before it is smooth. Fine rules follow that structure, and
    Gauss rules of the resulting positive measure in log s then stand for it.

    Arguments:
        alpha: eigenvalue exponent, above 0.
        beta: energy exponent; energies k^-beta along the modes.
        width: number of features d, below num_modes; need not be whole.
        num_modes: number of modes v.
        nodes: number of nodes of the result.

    Returns:
        The spectrum. Flows on it agree with the contour integral of the equivalent to about 1e-8.

    Raises:
        ValueError: fewer nodes than the spectrum needs.

    Source:
        Silverstein and Choi, Analysis of the limiting spectral distribution of large dimensional random matrices,
        J. Multivariate Anal. 54 (1995), for the support; Paquette, Paquette, Xiao and Pennington, 4+3 phases of
        compute-optimal neural scaling laws (2024), for the equivalent of this model.
    """
    return _spectrum(_layout(alpha, width, num_modes, nodes), alpha, beta, width)


def feature_spectrum_slopes(
    alpha: float, beta: float, width: float, num_modes: int, nodes: int
) -> tuple[FeatureSpectrum, FeatureSpectrum, FeatureSpectrum]:
    """Derivatives of `feature_spectrum` in alpha, beta and log width, the numbers of nodes in each part being held."""
    layout = _layout(alpha, width, num_modes, nodes)

    def at(shift: np.ndarray) -> np.ndarray:
        found = _spectrum(layout, alpha + shift[0], beta + shift[1], width * np.exp(shift[2]))
        return np.concatenate([found.eigenvalues, found.multiplicity, found.energies, [found.unlearnable]])

    slopes = []
    for direction in np.eye(3) * _STEP:
        near, far = at(direction) - at(-direction), at(2 * direction) - at(-2 * direction)
        slope = (8 * near - far) / (12 * _STEP)
        eigenvalues, multiplicity, energies = np.split(slope[:-1], 3)
        slopes.append(FeatureSpectrum(eigenvalues, multiplicity, energies, float(slope[-1])))
    return tuple(slopes)


@functools.lru_cache(maxsize=64)
def _layout(alpha: float, width: float, num_modes: int, nodes: int) -> _Layout:
    """Where nodes are needed for this law and width."""
    resolved = max(128, 4 * alpha * width**0.5, 0.02 * alpha * width)
    rule = shell_rule(num_modes, min(num_modes, max(4 * int(resolved), 640)))
    modes = rule.index**-alpha
    merged = alpha * width**0.5 / 4
    tops, bottoms = _support(modes, rule.multiplicity, width, min(int(1.6 * merged) + 3, len(modes) - 1))
    gaps = np.append(bottoms[:-1] - tops[1:], np.inf)
    half = (tops - bottoms) / 2
    nearest = np.minimum(gaps[:-1], np.append(np.inf, gaps[:-2]))[: len(tops) - 1] / half[:-1]
    reach = np.log1p(nearest + np.sqrt(nearest * (nearest + 2)))
    bumps = np.clip(np.ceil(_BUMP_DIGITS / reach), _FEWEST_IN_BUMP, _MOST_IN_BUMP).astype(int)
    last = min(_RIPPLES * merged + 4, num_modes)
    single = np.arange(len(bumps) + 1.5, max(last, len(bumps) + 2.5))
    scale = max(-bottoms[-1], modes[-1])
    left = np.arcsinh(single[-1] ** -alpha / scale) - np.arcsinh(bottoms[-1] / scale)
    layout = _Layout(rule.index, rule.multiplicity, tuple(bumps), single, int(np.ceil(left / _PANEL)) + 1)
    position = _fine(layout, alpha, 0.0, width)[0]
    while len(position) < 1.5 * nodes:
        layout = replace(layout, density=1.5 * layout.density)
        position = _fine(layout, alpha, 0.0, width)[0]
    groups, orders = panels_of(np.log(position), nodes)
    return replace(layout, groups=groups, orders=orders)


def _spectrum(layout: _Layout, alpha: float, beta: float, width: float) -> FeatureSpectrum:
    """Gauss rules in log s, group by group, of the fine measure."""
    position, count, energy, unlearnable = _fine(layout, alpha, beta, width)
    log_position, (count, energy) = compressed(np.log(position), (count, energy), layout.groups, layout.orders)
    return FeatureSpectrum(np.exp(log_position), count, energy / count, unlearnable)


def _fine(layout: _Layout, alpha: float, beta: float, width: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Many nodes: positions, descending, with their share of the count and of the energy, and what is unlearnable."""
    modes, count = layout.index**-alpha, layout.count
    energies = count * layout.index**-beta
    tops, bottoms = _support(modes, count, width, len(layout.bumps))
    edges = zip(tops, bottoms, layout.bumps, strict=False)
    rules = [_in_bump(top, bottom, int(layout.density * number)) for top, bottom, number in edges]
    rules += _in_bulk(layout, alpha, tops[-1], bottoms[-1], max(-bottoms[-1], modes[-1]))
    x, weight = (np.concatenate(parts) for parts in zip(*rules, strict=True))
    omega = x + 1j * _curve(x, modes, count, width)
    factor = 1 / (modes - omega[:, None])
    m = 1 - (factor @ (count * modes)) / width
    slope = 1 - ((modes * factor) ** 2 @ count) / width  # dz / d omega
    step = weight * np.abs(slope) ** 2 / slope.real / np.pi  # ds = d x (1 + i v') slope, which is real
    unlearnable = float(np.sum(energies * _left_over(modes, count, width)))
    return (omega * m).real, step * (factor @ count / m).imag, step * (factor @ energies / m).imag, unlearnable


def _support(modes: np.ndarray, count: np.ndarray, width: float, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower ends in omega of the parts of the support, at most `most` bumps and the bulk.

    On the real axis dz / d omega = 1 - phi / d with phi = sum_k lam_k^2 / (lam_k - omega)^2, and a gap lies where it is
    positive. phi is convex between neighbouring modes, so there is at most one gap between two of them.
    """
    strength = count * modes**2

    def phi(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inverse = 1 / (modes - x[:, None])
        square = inverse * inverse
        return square @ strength, 2 * (square * inverse) @ strength

    lower, upper = modes[1 : most + 1], modes[:most]
    middle = bisect(lambda x: phi(x)[1] < 0, lower, upper, _ROUGH)
    gaps = phi(middle)[0] < _CLEAR * width
    number = len(gaps) if gaps.all() else int(np.argmin(gaps))
    lower, upper, middle = lower[:number], upper[:number], middle[:number]
    above = lambda x: phi(x)[0] > width
    top = bisect(lambda u: above(modes[0] + np.exp(u)), *np.log(modes[0] * np.array([[1e-9], [1e4]])))
    bottom = bisect(lambda u: above(-np.exp(u)), *np.log(np.array([[1e-13 * modes[-1]], [1e4 * modes[0]]])))
    tops = np.append(modes[0] + np.exp(top), _crossing(phi, width, lower, middle))
    bottoms = np.append(_crossing(phi, width, upper, middle), -np.exp(bottom))
    return tops, bottoms


def _crossing(phi: Callable, level: float, pole: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Where phi falls to `level` between a pole and a point inside the gap, entry by entry.

    Newton's method for phi^(-1/2), which is nearly linear next to a pole, from a rough bisection.
    """
    low, high = bisect(lambda x: phi(x)[0] > level, pole, inside, _ROUGH, ends=True)
    x = (low + high) / 2
    for _ in range(_POLISH):
        value, slope = phi(x)
        x = x + 2 * value / slope * (1 - np.sqrt(value / level))
        x = np.clip(x, np.minimum(low, high), np.maximum(low, high))
    lost = ~(np.abs(phi(x)[0] / level - 1) <= _POLISHED)
    return np.where(lost, bisect(lambda x: phi(x)[0] > level, low, high), x) if lost.any() else x


def _left_over(modes: np.ndarray, count: np.ndarray, width: float) -> np.ndarray:
    """Share of each mode's energy outside the span: kappa / (lam_k + kappa) with sum_k lam_k / (lam_k + kappa) = d."""
    low, high = np.log(np.array([[1e-13 * modes[-1]], [1e4 * np.sum(count * modes)]]))
    full = lambda u: (count * modes / (modes + np.exp(u)[:, None])).sum(axis=1) > width
    kappa = np.exp(bisect(full, low, high))
    return kappa / (modes + kappa)


def _in_bump(top: float, bottom: float, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes, descending, and weights in omega for a density that vanishes like a root at both ends."""
    angle = np.arange(1, number + 1) * np.pi / (number + 1)
    half = (top - bottom) / 2
    return (top + bottom) / 2 + half * np.cos(angle), np.pi / (number + 1) * np.sin(angle) * half


def _in_bulk(
    layout: _Layout, alpha: float, top: float, bottom: float, scale: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Panels in y = arcsinh(omega / scale): one for each mode that shows, then equal ones; roots at the two ends."""
    single = np.arcsinh(layout.modes**-alpha / scale)
    rest = np.linspace(single[-1], np.arcsinh(bottom / scale), layout.panels + 1)
    borders = np.concatenate([np.arcsinh([top / scale]), single, rest[1:]])
    found = []
    for n, (high, low) in enumerate(itertools.pairwise(borders)):
        at_edge = n in (0, len(borders) - 2)
        points, weights = _legendre(int(layout.density * (_EDGE_ORDER if at_edge else _ORDER)))
        if n == 0:  # distance from the edge as a square, which makes the density smooth
            points, weights = points**2, 2 * points * weights
        elif at_edge:
            points, weights = 1 - (1 - points) ** 2, 2 * (1 - points) * weights
        y = high + (low - high) * points
        found.append((scale * np.sinh(y), scale * np.cosh(y) * (high - low) * weights))
    return found


@functools.lru_cache(maxsize=16)
def _legendre(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes, ascending, and weights on [0, 1]."""
    points, weights = np.polynomial.legendre.leggauss(order)
    return (points + 1) / 2, weights / 2


def _curve(x: np.ndarray, modes: np.ndarray, count: np.ndarray, width: float) -> np.ndarray:
    """v(x) >= 0 with sum_k lam_k^2 / ((lam_k - x)^2 + v^2) = d.

    Newton's method for the reciprocal of the sum in v^2, which is concave there and nearly linear close to a mode; it
    starts where the nearest mode alone makes the sum d, from where it climbs to the root. Where that takes too long
    the root is bracketed.
    """
    distance, strength = (modes - x[:, None]) ** 2, count * modes**2
    nearest = np.argmin(distance, axis=1)
    square = np.maximum(strength[nearest] / width - distance[np.arange(len(x)), nearest], 0)
    for _ in range(_MOST_STEPS):
        term = 1 / (distance + square[:, None])
        total = term @ strength
        step = total * (total / width - 1) / (term**2 @ strength)
        square = np.maximum(square + step, 0)
        lost = np.abs(step) > _SETTLED * square
        if not lost.any():
            return np.sqrt(square)
    above = lambda square: (1 / (distance[lost] + square[:, None])) @ strength > width
    square[lost] = bisect(above, square[lost], np.full(lost.sum(), strength.sum() / width), 200)
    return np.sqrt(square)
