"""Multipliers of certificates, and their proof: this module shares nothing with the solvers that find them."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ._certificate_task import CertificateTask

_ROUNDING = 8 * np.finfo(np.float64).eps
_REPAIRS = 5


@dataclasses.dataclass(frozen=True)
class Multiplier:
    """A symmetric matrix P(t) on [0, T], a polynomial on each piece, given by its Bernstein coefficients.

    Arguments:
        knots: where the pieces meet, from 0 to the horizon in units of the task, shape (pieces + 1,).
        control: Bernstein coefficients, neighbouring pieces sharing the one between them, shape
            (degree * pieces + 1, state, state).
        prices: with a cap the matrices S_i >= 0 of each condition, shape (pieces, degree + 1, choices, state, state).
        transfers: numbers tau_i added to the last entry of each condition, shape (pieces, degree + 1, choices).
            Multipliers of several outputs hold together if their transfers do not add up to more than 0.
    """

    knots: np.ndarray
    control: np.ndarray
    prices: np.ndarray | None = None
    transfers: np.ndarray | None = None

    @property
    def pieces(self) -> int:
        return len(self.knots) - 1

    @property
    def degree(self) -> int:
        return (len(self.control) - 1) // self.pieces

    def conditions(self, task: CertificateTask, piece: int, order: int, cap: float | None) -> np.ndarray:
        """One Bernstein coefficient of dP/dt - A_i^T P - P A_i on a piece, for each choice i.

        A polynomial whose Bernstein coefficients are positive semidefinite is so throughout the piece. The derivative
        is raised to the degree of P. With a cap the prices S_i - cap sum_j p_j S_j are added.

        Arguments:
            task: what the multiplier is for.
            piece: number of the piece, from 0.
            order: number of the coefficient, from 0 to the degree.
            cap: largest weight; None for none.

        Returns:
            Shape (choices, state, state).
        """
        degree, duration = self.degree, self.knots[piece + 1] - self.knots[piece]
        at = degree * piece + order
        slope = np.zeros_like(self.control[0])
        if order > 0:
            slope = slope + order / duration * (self.control[at] - self.control[at - 1])
        if order < degree:
            slope = slope + (degree - order) / duration * (self.control[at + 1] - self.control[at])
        half = self.control[at] @ task.generators
        left = slope - half - half.swapaxes(1, 2)
        if self.prices is not None and cap is not None:
            price = self.prices[piece, order]
            left = left + price - cap * np.tensordot(task.shares, price, axes=1)
        if self.transfers is not None:
            left[:, -1, -1] += self.transfers[piece, order]
        return left


def violations(task: CertificateTask, multiplier: Multiplier, cap: float | None) -> tuple[np.ndarray, float]:
    """By how much the conditions of each piece, and that at the horizon, fail: 0 where they are proven to hold.

    A condition counts as proven if it has a Cholesky factor after the rounding of its own entries is taken off. All
    fail by infinity where the arrays do not describe a symmetric matrix on pieces of positive duration.
    """
    if not _is_well_formed(task, multiplier):
        return np.full(max(multiplier.pieces, 1), np.inf), np.inf
    generator = np.sqrt(np.max(np.sum(task.generators**2, axis=(1, 2))))
    size = len(task.start)
    by_piece = np.zeros(multiplier.pieces)
    for piece in range(multiplier.pieces):
        duration = multiplier.knots[piece + 1] - multiplier.knots[piece]
        for order in range(multiplier.degree + 1):
            near = multiplier.control[multiplier.degree * piece :][: multiplier.degree + 1]
            entries = np.sqrt(np.max(np.sum(near**2, axis=(1, 2)))) * (2 * multiplier.degree / duration + 2 * generator)
            extra = 0.0
            if multiplier.transfers is not None:
                entries += np.max(np.abs(multiplier.transfers[piece, order]))
            if multiplier.prices is not None and cap is not None:
                price = multiplier.prices[piece, order]
                entries += (1 + cap) * np.sqrt(np.max(np.sum(price**2, axis=(1, 2))))
                # raising every price by s costs the conditions (cap - 1) s
                extra = (cap - 1) * _price_shortfall(price)
            failing = _shortfall(multiplier.conditions(task, piece, order, cap), _ROUNDING * size * entries)
            by_piece[piece] = max(by_piece[piece], failing + extra)
    last = multiplier.control[-1]
    scale = _ROUNDING * size * (np.linalg.norm(last) + np.linalg.norm(task.terminal))
    return by_piece, _shortfall((task.terminal - last)[None], scale)


def repaired(task: CertificateTask, multiplier: Multiplier, cap: float | None) -> Multiplier:
    """The multiplier after a shift P - diag(f I, g) that makes every condition hold.

    For f, g >= 0 the matrix A_i^T diag(f I, g) + diag(f I, g) A_i is [[2 f x x^T, f e x], [f e x^T, 0]], e the misfit:
    nothing but f e^2 / 2 in the last entry is missing for it to be positive semidefinite. So f may fall at the rate of
    the violation, and g by f e^2 / 2 faster.
    """
    for _ in range(_REPAIRS):  # a shift adds to the rounding that the check allows for: seldom more than two
        by_piece, terminal = violations(task, multiplier, cap)
        if not (by_piece.any() or terminal):
            break
        if not (np.isfinite(by_piece).all() and np.isfinite(terminal)):
            raise ValueError("the multiplier holds NaN or infinity: no shift repairs it.")
        multiplier = _shifted(task, multiplier, by_piece, terminal)
    return multiplier


def _shifted(task: CertificateTask, multiplier: Multiplier, by_piece: np.ndarray, terminal: float) -> Multiplier:
    durations = np.diff(multiplier.knots)
    level = terminal + np.append(np.cumsum((durations * by_piece)[::-1])[::-1], 0.0)
    last = level.copy()
    if task.augmented:
        last += np.append(np.cumsum((durations * level[:-1] * task.missed / 2 * (1 + 1e-12))[::-1])[::-1], 0.0)
    where = np.arange(len(multiplier.control)) / multiplier.degree
    knots = np.arange(multiplier.pieces + 1)
    shift = np.interp(where, knots, level)[:, None] * np.ones(len(task.start))
    if task.augmented:
        shift[:, -1] = np.interp(where, knots, last)
    control = multiplier.control - shift[:, :, None] * np.eye(len(task.start))
    prices = multiplier.prices
    if prices is not None:
        rows = prices.reshape(-1, *prices.shape[2:])
        raised = np.array([_price_shortfall(row) for row in rows]).reshape(prices.shape[:2])
        prices = prices + raised[:, :, None, None, None] * np.eye(len(task.start))
    return dataclasses.replace(multiplier, control=control, prices=prices)


def hold(tasks: Sequence[CertificateTask], multipliers: Sequence[Multiplier], cap: float | None) -> bool:
    """Whether every condition on multipliers of one horizon is proven to hold, that on their transfers among them."""
    for task, multiplier in zip(tasks, multipliers, strict=True):
        by_piece, terminal = violations(task, multiplier, cap)
        if by_piece.any() or terminal:
            return False
    lent = [multiplier.transfers for multiplier in multipliers if multiplier.transfers is not None]
    if not lent:
        return True
    first, units = multipliers[0], (tasks[0].time_scale, tasks[0].loss_scale)
    for task, multiplier in zip(tasks, multipliers, strict=True):
        alike = np.array_equal(multiplier.knots, first.knots) and multiplier.degree == first.degree
        if not alike or (task.time_scale, task.loss_scale) != units:
            return False  # the sums are of numbers at the same time and in the same units
    rounding = len(lent) * np.finfo(np.float64).eps * np.sum(np.abs(lent), axis=0)
    return bool(np.all(np.sum(lent, axis=0) + rounding <= 0))


def proven_loss(tasks: Sequence[CertificateTask], multipliers: Sequence[Multiplier]) -> float:
    """The bound of multipliers that hold, in units of the problem; never below 0."""
    losses = [_value(task, multiplier) for task, multiplier in zip(tasks, multipliers, strict=True)]
    if all(multiplier.transfers is None for multiplier in multipliers):
        losses = [max(loss, 0.0) for loss in losses]  # each output's own loss is not below 0
    return max(sum(losses), 0.0)


def _value(task: CertificateTask, multiplier: Multiplier) -> float:
    first = multiplier.control[0]
    value = float(task.start @ first @ task.start)
    value -= _ROUNDING * len(task.start) * float(np.abs(task.start) @ np.abs(first) @ np.abs(task.start))
    steepest = float(np.max(np.linalg.norm(multiplier.control, ord=2, axis=(1, 2)))) if task.neglected[0] else 0.0
    return task.loss_scale * task.pay(value, steepest, float(multiplier.knots[-1]))


def _is_well_formed(task: CertificateTask, multiplier: Multiplier) -> bool:
    size, knots, control, prices = len(task.start), multiplier.knots, multiplier.control, multiplier.prices
    if len(knots) < 2 or knots[0] != 0 or not (np.diff(knots) > 0).all() or multiplier.degree < 1:
        return False
    if control.shape != (multiplier.degree * multiplier.pieces + 1, size, size):
        return False
    rows = multiplier.pieces, multiplier.degree + 1, len(task.generators), size, size
    lent = multiplier.transfers
    if lent is not None and not (task.augmented and lent.shape == rows[:3] and np.isfinite(lent).all()):
        return False
    if prices is not None and (prices.shape != rows or not np.array_equal(prices, prices.swapaxes(-1, -2))):
        return False
    return np.array_equal(control, control.swapaxes(-1, -2))


def _price_shortfall(price: np.ndarray) -> float:
    return _shortfall(price, _ROUNDING * price.shape[-1] * float(np.abs(price).max()))


def _shortfall(matrices: np.ndarray, rounding: float) -> float:
    """How much must be added on the diagonal to prove every matrix positive semidefinite; 0 if nothing."""
    if not np.isfinite(matrices).all():
        return np.inf
    try:
        np.linalg.cholesky(matrices - rounding * np.eye(matrices.shape[-1]))
    except np.linalg.LinAlgError:
        least = float(np.linalg.eigvalsh(matrices).min())
        return max(0.0, 4 * rounding - least)
    return 0.0
