"""The spectrum of random features on a power law, as a few hundred nodes and weights. Host-side, NumPy float64."""

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from ._bisection import bisect
from ._feature_curve import FeatureCurve, energies_on, feature_curve
from ._quadrature import ShellRule, shell_rule
from ._stieltjes import compressed, panels_of

__all__ = ["FeatureSpectrum", "feature_spectrum", "feature_spectrum_slopes"]

_BUMP_DIGITS = 12.0  # natural logarithm of the accuracy of the rule inside a bump
_FEWEST_IN_BUMP, _MOST_IN_BUMP = 5, 60
_ORDER, _EDGE_ORDER = 10, 24  # nodes of a panel of the bulk, and of one that ends at an edge
_RIPPLES = 3.0  # beyond this multiple of the number of bumps the density of the bulk no longer shows single modes
_PANEL = 0.35  # width of the other panels, in the inverse hyperbolic sine of omega
_CLEAR = 0.995  # a gap counts where phi falls below this share of d, so that no gap closes under a small move
_ROUGH, _POLISH = 14, 6  # steps of bisection, and of Newton's method after it
_POLISHED = 1e-9  # relative, of a level after that
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


@dataclass(frozen=True)
class _Fine:
    """The fine rule, which does not depend on the target.

    Arguments:
        curve: points of the curve on which z is real.
        count: how many eigenvalues each stands for, shape (points,).
        left_over: share of each mode's energy outside the span of the features, shape (modes,).
    """

    curve: FeatureCurve
    count: np.ndarray
    left_over: np.ndarray


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
    layout, fine = _laid_out(alpha, width, num_modes, nodes)
    return _spectrum(layout, fine, alpha, beta)


def feature_spectrum_slopes(
    alpha: float, beta: float, width: float, num_modes: int, nodes: int
) -> tuple[FeatureSpectrum, FeatureSpectrum, FeatureSpectrum]:
    """Derivatives of `feature_spectrum` in alpha, beta and log width, the numbers of nodes in each part being held."""
    layout, fine = _laid_out(alpha, width, num_modes, nodes)

    def at(shift: np.ndarray) -> np.ndarray:
        moved = alpha + shift[0], width * np.exp(shift[2])
        found = _spectrum(layout, _fine(layout, *moved) if shift[0] or shift[2] else fine, moved[0], beta + shift[1])
        return np.concatenate([found.eigenvalues, found.multiplicity, found.energies, [found.unlearnable]])

    slopes = []
    for direction in np.eye(3) * _STEP:
        near, far = at(direction) - at(-direction), at(2 * direction) - at(-2 * direction)
        slope = (8 * near - far) / (12 * _STEP)
        eigenvalues, multiplicity, energies = np.split(slope[:-1], 3)
        slopes.append(FeatureSpectrum(eigenvalues, multiplicity, energies, float(slope[-1])))
    return tuple(slopes)


@functools.lru_cache(maxsize=64)
def _laid_out(alpha: float, width: float, num_modes: int, nodes: int) -> tuple[_Layout, _Fine]:
    """Where nodes are needed for this law and width, and the fine rule there."""
    resolved = max(128, 4 * alpha * width**0.5, 0.02 * alpha * width)
    rule = _modes(num_modes, int(np.exp2(np.ceil(4 * np.log2(max(4 * resolved, 640))) / 4)))
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
    while len(_rule(layout, alpha, tops, bottoms)[0]) < 1.5 * nodes:
        layout = replace(layout, density=1.5 * layout.density)
    fine = _fine(layout, alpha, width, (tops, bottoms))
    groups, orders = panels_of(np.log(fine.curve.position), nodes)
    return replace(layout, groups=groups, orders=orders), fine


@functools.lru_cache(maxsize=16)
def _modes(num_modes: int, nodes: int) -> ShellRule:
    """Nodes that stand for the modes of the data. Widths near each other share them."""
    return shell_rule(num_modes, min(num_modes, nodes))


def _spectrum(layout: _Layout, fine: _Fine, alpha: float, beta: float) -> FeatureSpectrum:
    """Gauss rules in log s, group by group, of the fine measure."""
    energies = layout.count * layout.index**-beta
    energy = fine.curve.step * energies_on(fine.curve, layout.index**-alpha, energies)
    log_position, (count, energy) = compressed(
        np.log(fine.curve.position), (fine.count, energy), layout.groups, layout.orders
    )
    return FeatureSpectrum(np.exp(log_position), count, energy / count, float(np.sum(energies * fine.left_over)))


def _fine(layout: _Layout, alpha: float, width: float, support: tuple[np.ndarray, np.ndarray] | None = None) -> _Fine:
    """Many nodes, whatever the target is."""
    modes, count = layout.index**-alpha, layout.count
    tops, bottoms = _support(modes, count, width, len(layout.bumps)) if support is None else support
    curve = feature_curve(*_rule(layout, alpha, tops, bottoms), modes, count, width)
    return _Fine(curve, curve.step * curve.counted, _left_over(modes, count, width))


def _rule(layout: _Layout, alpha: float, tops: np.ndarray, bottoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes along the real part of omega, descending, and weights."""
    scale = max(-bottoms[-1], layout.index[-1] ** -alpha)
    edges = zip(tops, bottoms, layout.bumps, strict=False)
    rules = [_in_bump(top, bottom, int(layout.density * number)) for top, bottom, number in edges]
    rules += _in_bulk(layout, alpha, tops[-1], bottoms[-1], scale)
    x, weight = (np.concatenate(parts) for parts in zip(*rules, strict=True))
    return x, weight


def _support(modes: np.ndarray, count: np.ndarray, width: float, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower ends in omega of the parts of the support, at most `most` bumps and the bulk.

    On the real axis dz / d omega = 1 - phi / d with phi = sum_k lam_k^2 / (lam_k - omega)^2, and a gap lies where it is
    positive. phi is convex between neighbouring modes, so there is at most one gap between two of them.
    """
    strength = count * modes**2

    def phi(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inverse = 1 / (modes - x[:, None])
        square = inverse * inverse
        return np.vecdot(square, strength), 2 * np.vecdot(square * inverse, strength)

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
