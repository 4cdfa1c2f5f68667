"""The spectrum of random features on a power law, as a few hundred nodes and weights. Host-side, NumPy float64."""

import functools
import itertools
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from ._feature_curve import FeatureCurve, energies_on, feature_curve
from ._feature_gaps import Gaps, feature_gaps, support_ends, unlearnt
from ._gauss_rules import compressed, panels_of
from ._quadrature import ShellRule, shell_rule

_BUMP_DIGITS = 14.0  # natural logarithm of the accuracy of the rule inside a bump
_FEWEST_IN_BUMP, _MOST_IN_BUMP = 5, 60
_ORDER, _EDGE_ORDER = 10, 24  # nodes of a smooth panel of the bulk, and of one that ends at an edge
_HALF_ORDER, _PER_REACH = 4.0, 2.0  # nodes of half a mode's panel, and more of them for each unit of its variable
_RIPPLES = 3.8  # beyond this multiple of the number of bumps the density of the bulk no longer shows single modes
_PANEL = 0.5  # width of the other panels, in the inverse hyperbolic sine of omega
_CLEAR = 0.995  # a gap counts where phi falls below this share of d, so that no gap closes under a small move
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
        halves: number of nodes in each half of a panel between two neighbouring gaps, the largest mode first.
        panels: number of the panels that follow.
        density: factor on the numbers of nodes.
        groups: border of each group of fine nodes that is replaced by a Gauss rule, shape (groups + 1,).
        orders: number of nodes of these rules, shape (groups,).
    """

    index: np.ndarray
    count: np.ndarray
    bumps: tuple[int, ...]
    halves: tuple[int, ...]
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
        The spectrum. Flows on it agree with the contour integral of the equivalent to 1e-8, with nodes enough.

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
    """Differentiate `feature_spectrum` in alpha, beta and log width, the numbers of nodes in each part being held.

    Arguments:
        alpha, beta: exponents of eigenvalues and energies.
        width: number of features.
        num_modes: modes of the law.
        nodes: of the quadrature.
    """
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
    modes, count = rule.index**-alpha, rule.multiplicity
    plain = int(np.sum(np.cumprod(rule.index == np.arange(1, len(modes) + 1))))  # nodes that are single modes
    merged = alpha * width**0.5 / 4
    gaps = feature_gaps(modes, count, width, max(min(int(_RIPPLES * merged) + 4, plain - 1), 1))
    ends = support_ends(modes, count, width)
    isolated = int(np.sum(np.cumprod(gaps.least < _CLEAR)))
    tops, bottoms = _bumps(gaps, ends, isolated)
    between = np.append(bottoms[:-1] - tops[1:], gaps.scale[isolated - 1 : isolated] * 2)
    half = (tops - bottoms) / 2
    nearest = np.minimum(between[: len(tops)], np.append(np.inf, between[: len(tops) - 1])) / half
    reach = np.log1p(nearest + np.sqrt(nearest * (nearest + 2)))
    bumps = np.clip(np.ceil(_BUMP_DIGITS / reach), _FEWEST_IN_BUMP, _MOST_IN_BUMP).astype(int)
    halves = [int(np.ceil(_HALF_ORDER + _PER_REACH * u)) for *_, u in _halves(modes, gaps, ends, isolated)]
    halves[0] = halves[0] if isolated else _EDGE_ORDER
    scale = max(-ends[1], modes[-1])
    left = np.arcsinh(modes[len(gaps.centre)] / scale) - np.arcsinh(ends[1] / scale)
    layout = _Layout(rule.index, count, tuple(bumps), tuple(halves), int(np.ceil(left / _PANEL)) + 1)
    while len(_rule(layout, alpha, gaps, ends)[0]) < 1.5 * nodes:
        layout = replace(layout, density=1.5 * layout.density)
    fine = _fine(layout, alpha, width, (gaps, ends))
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


def _fine(layout: _Layout, alpha: float, width: float, support: tuple[Gaps, tuple] | None = None) -> _Fine:
    """Many nodes, whatever the target is."""
    modes, count = layout.index**-alpha, layout.count
    number = len(layout.bumps) + (len(layout.halves) - 1) // 2
    gaps, ends = support or (feature_gaps(modes, count, width, number), support_ends(modes, count, width))
    curve = feature_curve(*_rule(layout, alpha, gaps, ends), modes, count, width)
    return _Fine(curve, curve.step * curve.counted, unlearnt(modes, count, width))


def _bumps(gaps: Gaps, ends: tuple[float, float], isolated: int) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower ends of the parts of the support above the bulk."""
    tops = np.append(ends[0], (gaps.centre - gaps.scale)[: max(isolated - 1, 0)])[:isolated]
    return tops, (gaps.centre + gaps.scale)[:isolated]


def _halves(modes: np.ndarray, gaps: Gaps, ends: tuple[float, float], isolated: int) -> list[tuple]:
    """Halves of panels of the bulk, from a gap to the mode beside it: gap, side of it, and extent in its variable u."""
    number = len(gaps.centre)
    above, below = gaps.reach(modes[:number] - gaps.centre), gaps.reach(gaps.centre - modes[1 : number + 1])
    found = [(isolated - 1, -1, float(below[isolated - 1]) if isolated else 0.0)]
    for n in range(isolated, number):
        found += [(n, 1, float(above[n])), (n, -1, float(below[n]))]
    return found


def _rule(layout: _Layout, alpha: float, gaps: Gaps, ends: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Nodes along the real part of omega, descending, and weights."""
    modes, isolated = layout.index**-alpha, len(layout.bumps)
    edges = zip(*_bumps(gaps, ends, isolated), layout.bumps, strict=True)
    rules = [_in_bump(top, bottom, int(layout.density * number)) for top, bottom, number in edges]
    for (gap, side, extent), number in zip(_halves(modes, gaps, ends, isolated), layout.halves, strict=True):
        points, weights = _legendre(int(layout.density * number))
        if gap < 0:  # from the upper end of the support: the distance as a square makes the density smooth
            rules.append((ends[0] - (ends[0] - modes[0]) * points**2, 2 * (ends[0] - modes[0]) * points * weights))
            continue
        grows, slope = (np.cosh, np.sinh) if gaps.is_open[gap] else (np.sinh, np.cosh)
        u = extent * (points if side < 0 else points[::-1])
        x = gaps.centre[gap] + side * gaps.scale[gap] * grows(u)
        rules.append((x, extent * weights * gaps.scale[gap] * slope(u)))
    rules += _in_rest(layout, modes[len(gaps.centre)], ends[1], max(-ends[1], modes[-1]))
    x, weight = (np.concatenate(parts) for parts in zip(*rules, strict=True))
    return x, weight


def _in_bump(top: float, bottom: float, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes, descending, and weights in omega for a density that vanishes like a root at both ends."""
    angle = np.arange(1, number + 1) * np.pi / (number + 1)
    half = (top - bottom) / 2
    return (top + bottom) / 2 + half * np.cos(angle), np.pi / (number + 1) * np.sin(angle) * half


def _in_rest(layout: _Layout, top: float, bottom: float, scale: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Equal panels in y = arcsinh(omega / scale), where the density is smooth but for a root at the lower end."""
    borders = np.linspace(np.arcsinh(top / scale), np.arcsinh(bottom / scale), layout.panels + 1)
    found = []
    for n, (high, low) in enumerate(itertools.pairwise(borders)):
        at_edge = n == layout.panels - 1
        points, weights = _legendre(int(layout.density * (_EDGE_ORDER if at_edge else _ORDER)))
        if at_edge:
            points, weights = 1 - (1 - points) ** 2, 2 * (1 - points) * weights
        y = high + (low - high) * points
        found.append((scale * np.sinh(y), scale * np.cosh(y) * (high - low) * weights))
    return found


@functools.lru_cache(maxsize=64)
def _legendre(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes, ascending, and weights on [0, 1]."""
    points, weights = np.polynomial.legendre.leggauss(order)
    return (points + 1) / 2, weights / 2
