"""Gauss rules, and those that stand for a discrete measure panel by panel. Host-side, NumPy float64."""

from collections.abc import Sequence

import numpy as np

_ORDER = 8  # nodes of an ordinary panel


def lanczos(points: np.ndarray, weights: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Recurrence of the orthonormal polynomials of a discrete measure: diagonal (order,), off-diagonal (order - 1,)."""
    basis = np.zeros((order, points.size))
    basis[0] = np.sqrt(weights / weights.sum())
    diagonal, offdiagonal = np.zeros(order), np.zeros(order - 1)
    for n in range(order):
        step = points * basis[n]
        diagonal[n] = basis[n] @ step
        if n + 1 < order:
            for _ in range(2):  # twice: orthogonal to rounding even when the order is close to the number of points
                step = step - basis[: n + 1].T @ (basis[: n + 1] @ step)
            offdiagonal[n] = np.linalg.norm(step)
            basis[n + 1] = step / offdiagonal[n]
    return diagonal, offdiagonal


def gauss(diagonal: np.ndarray, offdiagonal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Golub-Welsch: ascending nodes and weights (of total 1) of the Gauss rule with this recurrence."""
    jacobi = np.diag(diagonal) + np.diag(offdiagonal, 1) + np.diag(offdiagonal, -1)
    points, vectors = np.linalg.eigh(jacobi)
    return points, vectors[0] ** 2


def panels_of(points: np.ndarray, nodes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Cut descending points into panels of about equal width, and share out `nodes` over them.

    Arguments:
        points: descending, more of them than nodes, shape (points,).
        nodes: number of nodes in all.

    Returns:
        Borders, shape (panels + 1,): panel p holds points[borders[p] : borders[p + 1]]; and the number of nodes of each
        panel, at most as many as it has points.
    """
    cuts = np.linspace(points[0], points[-1], max(1, nodes // _ORDER) + 1)[1:-1]
    borders = np.unique(np.concatenate([[0], np.searchsorted(-points, -cuts), [len(points)]]))
    held = np.diff(borders)
    orders = np.minimum(held, _ORDER)
    widths = points[borders[:-1]] - points[borders[1:] - 1]
    while orders.sum() < nodes:  # narrow panels hold fewer points than nodes, and leave some to the others
        free = orders < held
        orders[np.argmax(np.where(free, (widths + 1e-12) / orders, -1))] += 1
    return tuple(borders.tolist()), tuple(orders.tolist())


def compressed(
    points: np.ndarray, weights: Sequence[np.ndarray], borders: Sequence[int], orders: Sequence[int]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Replace several measures on the same points by measures on few nodes.

    In each panel the nodes are those of the Gauss rule of the first measure, whose sums over polynomials of a degree
    below twice their number stay exact. The other measures keep their sums over the polynomials that nodes determine.

    Arguments:
        points: descending, shape (points,).
        weights: measures on the points, each of shape (points,); the first is positive.
        borders, orders: as from `panels_of`.

    Returns:
        Nodes, descending, shape (nodes,), and the measures on them.
    """
    nodes, measures = [], [[] for _ in weights]
    for low, high, order in zip(borders[:-1], borders[1:], orders, strict=True):
        part = slice(low, high)
        middle, half = (points[low] + points[high - 1]) / 2, max((points[low] - points[high - 1]) / 2, 1e-300)
        variable = (points[part] - middle) / half
        found, shares = gauss(*lanczos(variable, weights[0][part], order))
        found, shares = found[::-1], shares[::-1]
        nodes.append(middle + half * found)
        measures[0].append(shares * np.sum(weights[0][part]))
        basis = _lagrange(found, variable)
        for measure, weight in zip(measures[1:], weights[1:], strict=True):
            measure.append(basis @ weight[part])
    return np.concatenate(nodes), [np.concatenate(measure) for measure in measures]


def _lagrange(nodes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The polynomial that is 1 at one node and 0 at the others, at each point: shape (nodes, points)."""
    apart = nodes[:, None] - nodes + np.eye(len(nodes))
    factors = (points - nodes[:, None])[None] / apart[:, :, None]
    factors[np.arange(len(nodes)), np.arange(len(nodes))] = 1
    return factors.prod(axis=1)
