"""Operators of domains that need not commute, so that the order of the data can matter."""

from dataclasses import dataclass

import numpy as np
import scipy

_DIRECTIONS, _RANK = 4, 2
_RIDGE = 0.01
_STARTS, _ITERATIONS, _MORE = 2, 250, 100


@dataclass(frozen=True, eq=False)
class Operators:
    """L_h = c_h + |v_h(1)|^2 / 2 with dv_h/dt = -(sum_g r_g B_g B_g^T) v_h: low-rank operators on a few directions.

    Where they do not commute the losses depend on the order of the data; `static` asks for the losses under the totals,
    with all domains mixed throughout.

    Arguments:
        factors: B_g, shape (domains, directions, rank).
        residuals: v_h(0), shape (losses, directions).
        floor: c_h, shape (losses,).
    """

    factors: np.ndarray
    residuals: np.ndarray
    floor: np.ndarray

    def predict(self, ratios: np.ndarray, fractions: np.ndarray, *, static: bool = False) -> np.ndarray:
        """Losses, shape (runs, losses), for shares (runs, phases, domains) and fractions (runs, phases)."""
        held = _held(ratios, fractions, static)
        ends = _path(_operators(held, self.factors), self.residuals)[0][-1]
        return self.floor + 0.5 * np.sum(ends**2, axis=2)

    def order(self, ratios: np.ndarray, fractions: np.ndarray) -> np.ndarray:
        """Losses of schedules minus those of the static mixtures of their totals: zero where the operators commute."""
        return self.predict(ratios, fractions) - self.predict(ratios, fractions, static=True)


def fit_operators(
    ratios: np.ndarray,
    fractions: np.ndarray,
    losses: np.ndarray,
    seed: int,
    *,
    static: bool,
    start: Operators | None = None,
) -> Operators:
    """Least squares, from a few random starts or from operators fitted to more runs.

    Arguments:
        static: fit the losses under the totals: as flexible a law that knows no order.
        start: operators to begin from, for fits to a part of the runs; they share a basin, and are fitted to their end.
    """
    objective = OperatorObjective(_held(ratios, fractions, static), losses)
    if start is None:
        rng, number = np.random.default_rng(seed), losses.shape[1]
        sizes = objective.sizes
        begins = [
            np.concatenate([0.7 * rng.standard_normal(sizes[0]), rng.standard_normal(sizes[1]), np.full(number, 1.4)])
            for _ in range(_STARTS)
        ]
    else:
        begins = [objective.pack(start)]
    options = {"maxiter": _ITERATIONS if start is None else _MORE, "maxcor": 20}
    search = lambda begin: scipy.optimize.minimize(objective, begin, jac=True, method="L-BFGS-B", options=options)
    return objective.unpack(min(map(search, begins), key=lambda result: result.fun).x)


class OperatorObjective:
    """Half the squared residuals, each loss in units of its spread, plus a ridge; with its gradient.

    Arguments:
        held: time given to each domain in each phase, shape (runs, phases, domains).
        losses: shape (runs, losses).
    """

    def __init__(self, held: np.ndarray, losses: np.ndarray):
        self.held, self.losses = held, losses
        self.spread, self.lowest = losses.std(axis=0), losses.min(axis=0)
        self.unit = np.sqrt(2 * (losses.max(axis=0) - 0.8 * self.lowest) / _DIRECTIONS)[:, None]
        self.sizes = held.shape[2] * _DIRECTIONS * _RANK, losses.shape[1] * _DIRECTIONS

    def unpack(self, values: np.ndarray) -> Operators:
        """The operators of unconstrained parameters."""
        factors, residuals, floor = np.split(values, np.cumsum(self.sizes))
        scaled = self.unit * residuals.reshape(-1, _DIRECTIONS)
        return Operators(factors.reshape(-1, _DIRECTIONS, _RANK), scaled, self.lowest / (1 + np.exp(-floor)))

    def pack(self, operators: Operators) -> np.ndarray:
        """Unconstrained parameters of operators."""
        share = np.clip(operators.floor / self.lowest, 1e-6, 1 - 1e-6)
        parts = operators.factors.ravel(), (operators.residuals / self.unit).ravel(), np.log(share / (1 - share))
        return np.concatenate(parts)

    def __call__(self, values: np.ndarray) -> tuple[float, np.ndarray]:
        found = self.unpack(values)
        held, count = self.held, sum(self.sizes)
        vectors, decays, spectra = _path(_operators(held, found.factors), found.residuals)
        error = (found.floor + 0.5 * np.sum(vectors[-1] ** 2, axis=2) - self.losses) / self.spread
        value = 0.5 * np.sum(error**2) + 0.5 * _RIDGE * np.sum(values[:count] ** 2)

        slope = error / self.spread
        back = slope[..., None] * vectors[-1]  # d value / d v at the end of each phase, in turn
        d_held = np.zeros_like(decays)
        for k in reversed(range(held.shape[1])):
            outer = np.swapaxes(back, 1, 2) @ vectors[k]
            _, basis, change = (part[:, k] for part in spectra)
            inner = np.swapaxes(basis, 1, 2) @ outer @ basis
            d_held[:, k] = basis @ (inner * change) @ np.swapaxes(basis, 1, 2)
            back = back @ decays[:, k]
        flat = d_held.reshape(-1, _DIRECTIONS**2)
        d_operators = (held.reshape(-1, held.shape[2]).T @ flat).reshape(-1, _DIRECTIONS, _DIRECTIONS)
        d_factors = (d_operators + np.swapaxes(d_operators, 1, 2)) @ found.factors
        d_residuals = self.unit * back.sum(axis=0)
        d_floor = slope.sum(axis=0) * found.floor * (1 - found.floor / self.lowest)
        gradient = np.concatenate([d_factors.ravel(), d_residuals.ravel(), d_floor])
        gradient[:count] += _RIDGE * values[:count]
        return float(value), gradient


def _held(ratios: np.ndarray, fractions: np.ndarray, static: bool) -> np.ndarray:
    """Time given to each domain in each phase; in one phase only where the order is not to matter."""
    held = fractions[..., None] * ratios
    return held.sum(axis=1, keepdims=True) if static else held


def _operators(held: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """sum_g of the time given to g, times B_g B_g^T: shape (runs, phases, directions, directions)."""
    squares = (factors @ np.swapaxes(factors, 1, 2)).reshape(len(factors), -1)
    return (held @ squares).reshape(*held.shape[:2], factors.shape[1], factors.shape[1])


def _path(operators: np.ndarray, residuals: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, tuple[np.ndarray, ...]]:
    """Residuals (runs, losses, directions) before each phase and at the end, the decays, and what their derivatives
    need.

    With M = U diag(m) U^T the derivative of exp(-M) along X is U ((U^T X U) * F) U^T, where F_ij is the divided
    difference of exp(-m) at m_i and m_j (Daleckii and Krein).
    """
    rates, basis = np.linalg.eigh(operators)
    left = np.exp(-rates)
    decays = (basis * left[..., None, :]) @ np.swapaxes(basis, -1, -2)
    difference = rates[..., :, None] - rates[..., None, :]
    near = np.abs(difference) < 1e-6
    middle = np.exp(-0.5 * (rates[..., :, None] + rates[..., None, :]))
    change = np.where(near, -middle, (left[..., :, None] - left[..., None, :]) / np.where(near, 1, difference))
    vectors = [np.broadcast_to(residuals, (len(operators), *residuals.shape))]
    for k in range(operators.shape[1]):  # a handful of phases
        vectors.append(vectors[-1] @ decays[:, k])  # decays are symmetric
    return vectors, decays, (rates, basis, change)
