"""Shell quadrature: a few hundred weighted modes that stand for 10^7 and more. Host-side, NumPy float64."""

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .._checks import check_finite, check_ndim
from ._gauss_rules import gauss, lanczos

_ORDER = 8  # nodes of an ordinary panel
_ATOMS = 32  # nodes that stand for a block of integers whose ends are at most a factor 2 apart
_FEWEST_NODES = 32
_MOST_MODES = 2**53  # beyond this float64 cannot tell neighbouring mode numbers apart


@dataclass(frozen=True, eq=False)
class ShellRule:
    """Nodes and weights with `sum(f(k) for k in 1..K)` close to `sum(multiplicity * f(index))`.

    Arguments:
        index: mode number of each node, ascending and in general not whole, shape (nodes,).
        multiplicity: number of modes a node stands for, positive, sums to the number of modes, shape (nodes,).
    """

    index: Float[np.ndarray, " nodes"]
    multiplicity: Float[np.ndarray, " nodes"]


def shell_rule(max_mode: float, nodes: int, edges: Sequence[float] = ()) -> ShellRule:
    """Quadrature for sums over modes 1..max_mode of functions smooth in log k.

    The first quarter of the nodes (and what is left over modulo 8) are the first modes themselves. The others lie in
    panels of order 8, equally wide in log k but for borders moved to half-integers, so that each panel holds whole
    integers. A panel carries the Gauss rule of the *counting measure* of its integers in the variable log k: its sums
    over polynomials in log k of degree up to 15 are exact, with no error for replacing a sum by an integral.

    A jump of f between two modes costs about the weight of a node, unless it is named in `edges`.

    Arguments:
        max_mode: number of modes K, at most 2^53.
        nodes: number of nodes, at least 32; with `nodes >= max_mode` the rule is every mode, and has max_mode nodes.
        edges: mode numbers k_e such that f may jump between the last mode <= k_e and the next one. A panel border is
            put there. Edges outside the modes, or among the first modes, change nothing.

    Returns:
        The rule, with read-only arrays. Equal arguments give the same object.

    Raises:
        ValueError: max_mode or nodes not whole or out of range, an edge not finite, or more edges than nodes can serve.

    Source:
        Golub and Welsch, Calculation of Gauss quadrature rules, Math. Comp. 23 (1969), for nodes from a recurrence;
        Gautschi, Orthogonal Polynomials: Computation and Approximation (Oxford, 2004), chapter 1 for the
        recurrence of the counting measure (discrete Chebyshev polynomials) and chapter 2 for Lanczos.
    """
    max_mode = _whole("max_mode", max_mode)
    nodes = _whole("nodes", nodes)
    if not 1 <= max_mode <= _MOST_MODES:
        raise ValueError(f"max_mode={max_mode} is out of range: give a number of modes from 1 to 2**53.")
    if nodes < min(_FEWEST_NODES, max_mode):
        raise ValueError(
            f"nodes={nodes} is too few for {max_mode} modes: give at least {_FEWEST_NODES}, or max_mode for every mode."
        )
    check_ndim("edges", edges, 1, "edges")
    check_finite("edges", edges, "leave out a band limit that does not exist")
    first = max_mode if nodes >= max_mode else nodes // 4 + (nodes - nodes // 4) % _ORDER
    inner = {math.floor(edge) for edge in edges if first + 1 <= edge < max_mode}
    return _build((first, *sorted(inner), max_mode), nodes)


def _whole(name: str, value: float) -> int:
    """`value` as an int; 1e7 passes, 1e7 + 0.5 does not."""
    whole = isinstance(value, (int, np.integer)) or (isinstance(value, (float, np.floating)) and value.is_integer())
    if not whole:
        raise ValueError(f"{name}={value!r} is not a whole number: round it, for example int(round({name})).")
    return int(value)


@functools.lru_cache(maxsize=64)
def _build(segments: tuple[int, ...], nodes: int) -> ShellRule:
    """The rule that takes the modes up to segments[0] as they are; a border b + 1/2 is kept as the integer b."""
    exact = np.arange(1.0, segments[0] + 1.0)
    index, multiplicity = [exact], [np.ones_like(exact)]
    if segments[0] < segments[-1]:
        for (low, high), orders in zip(itertools.pairwise(segments), _split(segments, nodes - exact.size), strict=True):
            for panel, order in enumerate(orders):
                # Equal steps in log k over what is left; every panel must hold at least as many integers as nodes.
                step = math.log((high + 0.5) / (low + 0.5)) / (len(orders) - panel)
                border = round((low + 0.5) * math.exp(step) - 0.5)
                border = min(max(border, low + order), high - sum(orders[panel + 1 :]))
                points, weights = _panel(low, border, order)
                index.append(points)
                multiplicity.append(weights)
                low = border
    rule = ShellRule(np.concatenate(index), np.concatenate(multiplicity))
    rule.index.flags.writeable = rule.multiplicity.flags.writeable = False
    return rule


def _split(segments: tuple[int, ...], nodes: int) -> list[list[int]]:
    """Orders of the panels of each segment: `nodes` in all, shared out by width in log k, none beyond its integers."""
    counts = np.diff(segments)
    widths = np.diff(np.log(np.asarray(segments) + 0.5))
    shares = np.minimum(counts, _ORDER)
    left = nodes - int(shares.sum())
    if left < 0:
        enough = 4 * math.ceil((int(shares.sum()) + _ORDER) / 3)
        raise ValueError(f"edges has {len(counts) - 1} entries in use, too many: give nodes={enough}, or fewer edges.")
    while left:
        widest = int(np.argmax(np.where(shares < counts, widths / shares, -1.0)))
        share = min(_ORDER, left, int(counts[widest] - shares[widest]))
        shares[widest] += share
        left -= share
    panels = [max(1, int(share) // _ORDER) for share in shares]
    # A share that is no multiple of the order (next to a segment of few integers) makes some panels one order higher.
    return [[(int(s) + p - 1 - i) // p for i in range(p)] for s, p in zip(shares, panels, strict=True)]


def _panel(low: int, high: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss rule in log k for the integers low+1..high."""
    if high - low == order:
        return np.arange(low + 1.0, high + 1.0), np.ones(order)
    atoms, counts = _counting_atoms(low, high)
    base, width = low + 0.5, math.log1p((high - low) / (low + 0.5))
    # log1p of the distance to the border, not log k: in a narrow panel at large k all log k agree to many digits.
    variable = 2 * np.log1p((atoms - base) / base) / width - 1
    points, weights = gauss(*lanczos(variable, counts, order))
    return base + base * np.expm1((points + 1) * width / 2), weights * ((high - low) / weights.sum())


def _counting_atoms(low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """A positive measure that agrees with the counting measure of low+1..high for every function smooth in log k.

    Blocks of ratio at most 2 hold either all their integers or a Gauss rule of degree 63 in k. A function analytic in
    log k is analytic in k away from 0, which lies three half-widths or more from the centre of such a block, so that
    its error falls like (3 + sqrt(8))**-64, below rounding.
    """
    atoms, counts = [], []
    while low < high:
        end = min(high, 2 * low)
        number = end - low
        if number <= _ATOMS:
            points, weights = np.arange(low + 1.0, end + 1.0), np.ones(number)
        else:
            n = np.arange(1.0, _ATOMS)
            offdiagonal = np.sqrt((1 - (n / number) ** 2) / (4 - 1 / n**2))  # n -> n/number: 1 for the integral
            points, weights = gauss(np.zeros(_ATOMS), offdiagonal)
            points = low + 0.5 + number * (points + 1) / 2
            weights = weights * (number / weights.sum())
        atoms.append(points)
        counts.append(weights)
        low = end
    return np.concatenate(atoms), np.concatenate(counts)
