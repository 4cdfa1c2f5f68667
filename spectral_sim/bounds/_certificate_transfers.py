"""What outputs lend each other in a condition, so that one schedule has to serve them all.

Let every output c have a multiplier P_c on a state whose last entry stays 1. It is enough that the conditions

    dP_c/dt - A_ic^T P_c - P_c A_ic + tau_ic e e^T >= 0,    sum_c tau_ic <= 0,

hold, e the last unit vector: under shares q the sum of all s_c^T P_c s_c then changes by -sum_i q_i sum_c tau_ic >= 0
at least. What an output loses to example i another may gain from it. The dual: q_i is the same for all outputs.
"""

import dataclasses
from typing import Any

import numpy as np
import scipy.linalg

from ._certificate_cone import is_inside, symmetrised
from ._certificate_multiplier import Multiplier
from ._certificate_newton import BandMatrix, Symmetric
from ._certificate_task import CertificateTask

_LEAST = 1e-4  # size next to the largest that is taken for an eigenvalue that should be positive and is not


class Links:
    """How the conditions of one output at one point in time hang on the last entries of dP/dt.

    Transfers make these free. Raising that in the slack S_i puts (X_i)_ee (G_i)_ee on the diagonal of the normal
    equations, with X_i the moments and G_i the inverse slack, and the form
    (E, F) -> e^T G_i (E - h (A_i^T F + F A_i)) X_i e beside it.

    Arguments:
        space: symmetric matrices as vectors.
        generators: A_i, shape (choices, state, state).
        duration: h.
        moments, inverse: shape (choices, state, state).
    """

    def __init__(self, space: Symmetric, generators, duration: float, moments, inverse):
        self.diagonal = moments[:, -1, -1] * inverse[:, -1, -1]
        dyad = symmetrised(moments[:, :, -1, None] * inverse[:, None, :, -1])
        joined = [space.vector(dyad), -2 * duration * space.vector(generators @ dyad)]
        joined[0][:, -1] = 0.0  # the last entry of E is the free one
        # the form over the root of the diagonal, shape (choices, 2 count)
        self.scaled = np.concatenate(joined, axis=1) / np.sqrt(self.diagonal)[:, None]


class Consensus:
    """The normal equations of several outputs, joined by the sum of their last entries.

    Only the sum s of the last entries of the P_c has a meaning before the horizon: the outputs may shift theirs against
    each other, with transfers that make up for it. So the last entries u_ic of dP_c/dt in each condition are unknowns
    of their own, and so is s, with sum_c u_ic = ds/dt for every choice i. The prices of these equations, the shares of
    the schedule that serves all outputs, have the matrix sum_c D_c^-1 + (L_c^-1 W_c)^T L_c^-1 W_c, with D_c the
    diagonals and W_c the scaled links of output c, and L_c L_c^T its matrix without the u_ic.

    Arguments:
        outputs: conditions of each output, whose systems were assembled.
        systems: their factored matrices.
    """

    def __init__(self, outputs: list[Any], systems: list[BandMatrix]):
        self._outputs, self._systems = outputs, systems
        first = outputs[0]
        rows, choices = len(first.rows), len(first.generators)
        slopes = np.zeros((rows, choices, first.nodes))
        for row, (_, slope, _) in enumerate(first.rows):
            for node, c in slope.items():
                slopes[row, :, node] = c
        slopes = slopes.reshape(rows * choices, -1)
        self._slopes = slopes[:, :-1]
        matrix = np.zeros((rows * choices, rows * choices))
        self._reached = np.empty((first.nodes, len(outputs), first.space.count, rows * choices))
        live = np.zeros(first.nodes, int)  # the same for all outputs
        for n, (each, system) in enumerate(zip(outputs, systems, strict=True)):
            columns = np.zeros((each.nodes, each.space.count, rows * choices))
            columns[-1, -1] = slopes[:, -1]  # at the horizon each output has a last entry of its own
            for row, link in enumerate(each.links):
                own = slice(row * choices, (row + 1) * choices)
                for node, block in self._blocks(each, row, link.scaled / np.sqrt(link.diagonal)[:, None]):
                    columns[node, :, own] += block.T
                    live[node:] = np.maximum(live[node:], own.stop)
            self._reached[:, n] = system.forward(columns, live)
            matrix[np.diag_indices_from(matrix)] += 1 / np.concatenate([link.diagonal for link in each.links])
        for node, until in enumerate(live):
            part = self._reached[node].reshape(-1, rows * choices)[:, :until]
            matrix[:until, :until] += part.T @ part
        self._factor = scipy.linalg.cho_factor(matrix, lower=True, check_finite=False)
        self._of_slopes = scipy.linalg.cho_solve(self._factor, self._slopes, check_finite=False)
        self._inner = scipy.linalg.cho_factor(self._slopes.T @ self._of_slopes, lower=True, check_finite=False)

    @staticmethod
    def _blocks(each, row: int, vectors: np.ndarray):
        """What vectors over (E, F) of a condition are over the control matrices."""
        (at, slope, _), count = each.rows[row], each.space.count
        yield at, vectors[..., count:]
        for node, c in slope.items():
            yield node, c * vectors[..., :count]

    def solve(self, aims: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """For each output the changes of its control matrices, slacks and last slack.

        Arguments:
            aims: for each output the moments, and those at the horizon; their adjoint is the right side.
        """
        halves = []
        for each, system, (aim, last) in zip(self._outputs, self._systems, aims, strict=True):
            right = each.space.vector(each.gain + each.adjoint(aim, last)[0])
            right[:, -1] = 0.0
            right[-1, -1] = -last[-1, -1]
            for row, link in enumerate(each.links):
                weight = aim[row, :, -1, -1] / np.sqrt(link.diagonal)
                for node, block in self._blocks(each, row, weight @ link.scaled):
                    right[node] -= block
            halves.append(system.forward(right))
        by_output = self._reached.swapaxes(0, 1)
        total = sum(
            (aim[..., -1, -1] / self._diagonal(each)).ravel() - np.tensordot(half, reached, axes=2)
            for each, (aim, _), half, reached in zip(self._outputs, aims, halves, by_output, strict=True)
        )
        wanted = np.zeros(self._slopes.shape[1])
        wanted[0] = -1.0  # the last entry of the initial state, squared
        found = scipy.linalg.cho_solve(self._factor, total, check_finite=False)
        shared = scipy.linalg.cho_solve(self._inner, self._slopes.T @ found - wanted, check_finite=False)
        price = found - self._of_slopes @ shared
        changes = []
        for each, system, reached, half, (aim, _) in zip(
            self._outputs, self._systems, by_output, halves, aims, strict=True
        ):
            vectors = system.backward(half + reached @ price)
            moved = [
                link.scaled @ np.concatenate([sum(c * vectors[n] for n, c in slope.items()), vectors[at]])
                for link, (at, slope, _) in zip(each.links, each.rows, strict=True)
            ]
            corners = aim[..., -1, -1] - price.reshape(aim.shape[:2])
            corners = corners / self._diagonal(each) - np.stack(moved) / np.sqrt(self._diagonal(each))
            control = each.space.matrix(vectors)
            last = -control[-1]
            control[-1, -1, -1] = 0.0
            slacks, _ = each.slacks(control)
            slacks[:, :, -1, -1] += corners
            control[:, -1, -1] = np.append(shared / len(self._outputs), -last[-1, -1])
            changes.append((control, slacks, last))
        return changes

    @staticmethod
    def _diagonal(each) -> np.ndarray:
        return np.stack([link.diagonal for link in each.links])


def least_transfers(conditions: np.ndarray) -> np.ndarray:
    """The least tau_i for which each condition holds, shape (choices,); large where none would do.

    Arguments:
        conditions: dP/dt - A_i^T P - P A_i, shape (choices, state, state).
    """
    inner, side, corner = conditions[:, :-1, :-1], conditions[:, :-1, -1], conditions[:, -1, -1]
    size = np.linalg.norm(inner, axis=(1, 2))
    try:
        np.linalg.cholesky(inner - 1e-12 * size[:, None, None] * np.eye(inner.shape[1]))
        return np.einsum("ik,ik->i", side, np.linalg.solve(inner, side[..., None])[..., 0]) - corner
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(inner)
        turned = np.einsum("ikl,ik->il", vectors, side)
        return (
            np.sum(turned**2 / np.where(values > 1e-12 * size[:, None], values, _LEAST * size[:, None]), axis=1)
            - corner
        )


def settled(tasks: list[CertificateTask], multipliers: list[Multiplier]) -> tuple[list[Multiplier], np.ndarray, float]:
    """Multipliers with transfers for all choices, and corners lowered so far that their sum need not be positive.

    Lowering the last entry of P moves no entry of A_i^T P. Where the least transfers of a choice add up to more than 0,
    the last entry may fall in time by that much faster, which costs the bound as much.

    Returns:
        The multipliers; by how much the conditions of each choice fail at worst in units of the bound, shape
        (choices,); and what the lowering costs the bound. Without a last entry nothing is lowered, the second is an
        estimate, and the third what a repair will cost.
    """
    first, task = multipliers[0], tasks[0]
    rows = [(piece, order) for piece in range(first.pieces) for order in range(first.degree + 1)]
    durations = np.diff(first.knots)
    if not task.augmented or first.prices is not None:
        if first.prices is not None:
            return multipliers, np.zeros(len(task.generators)), 0.0
        failing = np.stack([_failing(first.conditions(task, *row, None)) for row in rows])
        failing = failing.reshape(first.pieces, first.degree + 1, -1).max(axis=1) * durations[:, None]
        size = float(task.start @ task.start)
        return multipliers, size * failing.max(axis=0), size * float(failing.max(axis=1).sum())
    least = np.stack(
        [
            [least_transfers(m.conditions(task, *row, None)) for row in rows]
            for task, m in zip(tasks, multipliers, strict=True)
        ]
    ).reshape(len(tasks), first.pieces, first.degree + 1, -1)
    total = least.sum(axis=0)
    rate = np.maximum(total.max(axis=(1, 2)), 0.0) / len(tasks)
    knots = np.append(np.cumsum((rate * durations)[::-1])[::-1], 0.0)
    lowered = np.interp(np.arange(len(first.control)) / first.degree, np.arange(first.pieces + 1), knots)
    excess = len(tasks) * np.max(total * durations[:, None, None], axis=(0, 1))
    found = []
    for multiplier, lent in zip(multipliers, least - total / len(tasks), strict=True):
        control = multiplier.control.copy()
        control[:, -1, -1] -= lowered
        # the sum over outputs is checked with its rounding taken off
        lent = lent - 4 * np.finfo(np.float64).eps * len(tasks) * np.abs(least).max()
        found.append(dataclasses.replace(multiplier, control=control, transfers=lent if len(tasks) > 1 else None))
    return found, excess, len(tasks) * float(knots[0])


def _failing(conditions: np.ndarray) -> np.ndarray:
    """How far each matrix is from positive semidefinite, shape (choices,)."""
    if is_inside(conditions):
        return np.zeros(len(conditions))
    return np.maximum(-np.linalg.eigvalsh(conditions)[:, 0], 0.0)
