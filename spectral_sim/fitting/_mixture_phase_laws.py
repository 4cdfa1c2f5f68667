"""Laws for mixtures that change: totals, totals that are forgotten, totals of finite pools, and operators."""

import abc
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy

from ._mixture_law import MixtureLaw, fit_law
from ._mixture_operator import Operators

_ROUNDS, _ITERATIONS = 2, 200
_RIDGE_RETENTION = 1.0
_REPEATS = (1.0, 2.0, 5.0, 15.0, 50.0)  # epochs after which repeated data are worth 1 - 1/e less


class PhaseLaw(abc.ABC):
    """Predicts the losses of schedules of phases."""

    knows_order: ClassVar[bool] = False

    @abc.abstractmethod
    def predict(self, ratios: np.ndarray, fractions: np.ndarray) -> np.ndarray:
        """Losses, shape (runs, losses), of shares (runs, phases, domains) and fractions (runs, phases)."""


@dataclass(frozen=True, eq=False)
class TotalsLaw(PhaseLaw):
    """The mixture law on int r_g dt."""

    law: MixtureLaw

    def predict(self, ratios: np.ndarray, fractions: np.ndarray) -> np.ndarray:
        return self.law.predict(totals_of(ratios, fractions))


@dataclass(frozen=True, eq=False)
class RetentionLaw(PhaseLaw):
    """The mixture law on totals of which exp(-gamma_g t) is left a time t after the data were seen.

    Arguments:
        law: the law of the totals that are left.
        forgetting: gamma_g, non-negative, per run, shape (domains,).
    """

    law: MixtureLaw
    forgetting: np.ndarray
    knows_order: ClassVar[bool] = True

    def predict(self, ratios: np.ndarray, fractions: np.ndarray) -> np.ndarray:
        return self.law.predict(_retained(ratios, fractions, self.forgetting))


@dataclass(frozen=True, eq=False)
class RepetitionLaw(PhaseLaw):
    """The mixture law on totals in which data that are seen again count less and less.

    Arguments:
        law: the law of the totals that count.
        pools: data of each domain over those of a run, shape (domains,).
        epochs: after how many repeats data have lost most of their worth.

    Source:
        Muennighoff et al., Scaling Data-Constrained Language Models (2023), equation 5.
    """

    law: MixtureLaw
    pools: np.ndarray
    epochs: float

    def predict(self, ratios: np.ndarray, fractions: np.ndarray) -> np.ndarray:
        return self.law.predict(_worth(totals_of(ratios, fractions), self.pools, self.epochs))


@dataclass(frozen=True, eq=False)
class OperatorLaw(PhaseLaw):
    """Operators that need not commute: alone, or what they make of the order on top of the mixture law on totals.

    Arguments:
        law: the law of the totals; None where the operators alone predict better.
        operators: see `Operators`.
    """

    law: MixtureLaw | None
    operators: Operators
    knows_order: ClassVar[bool] = True

    def predict(self, ratios: np.ndarray, fractions: np.ndarray) -> np.ndarray:
        if self.law is None:
            return self.operators.predict(ratios, fractions)
        return self.law.predict(totals_of(ratios, fractions)) + self.operators.order(ratios, fractions)


def fit_totals(ratios: np.ndarray, fractions: np.ndarray, losses: np.ndarray, ridge: float) -> TotalsLaw:
    """Fit the law to the totals."""
    return TotalsLaw(fit_law(totals_of(ratios, fractions), losses, ridge, iterations=_ITERATIONS))


def fit_repetition(
    ratios: np.ndarray, fractions: np.ndarray, losses: np.ndarray, ridge: float, pools: np.ndarray
) -> RepetitionLaw:
    """Fit the law to the totals that count, for the best of a few values of `epochs`."""
    tried = []
    for epochs in _REPEATS:
        worth = _worth(totals_of(ratios, fractions), pools, epochs)
        law = fit_law(worth, losses, ridge, iterations=_ITERATIONS)
        error = np.sum(((law.predict(worth) - losses) / losses.std(axis=0)) ** 2)
        tried.append((error, RepetitionLaw(law, pools, epochs)))
    return min(tried, key=lambda pair: pair[0])[1]


def fit_order(
    ratios: np.ndarray, fractions: np.ndarray, losses: np.ndarray, ridge: float, operators: Operators
) -> OperatorLaw:
    """Fit the law to the totals once what fitted operators make of the order is taken off the losses."""
    static = np.maximum(losses - operators.order(ratios, fractions), 0.1 * losses)
    return OperatorLaw(fit_law(totals_of(ratios, fractions), static, ridge, iterations=_ITERATIONS), operators)


def totals_of(ratios: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """int r_g dt over a run, shape (runs, domains)."""
    return np.einsum("nk,nkg->ng", fractions, ratios)


def _remaining(fractions: np.ndarray) -> np.ndarray:
    """Time from the end of each phase to the end of the run, shape (runs, phases)."""
    return 1 - np.cumsum(fractions, axis=1)


def _retained(ratios: np.ndarray, fractions: np.ndarray, forgetting: np.ndarray) -> np.ndarray:
    left = np.exp(-np.maximum(_remaining(fractions), 0)[..., None] * forgetting)
    return np.einsum("nk,nkg,nkg->ng", fractions, ratios, left)


def _worth(totals: np.ndarray, pools: np.ndarray, epochs: float) -> np.ndarray:
    repeats = np.maximum(totals / pools - 1, 0)
    return np.minimum(totals, pools) + pools * epochs * (1 - np.exp(-repeats / epochs))


def fit_retention(ratios: np.ndarray, fractions: np.ndarray, losses: np.ndarray, ridge: float) -> RetentionLaw:
    """Fit the law and the forgetting in turns: each step is a smooth search, and two rounds settle them."""
    forgetting = np.zeros(ratios.shape[2])
    spread, remaining = losses.std(axis=0), np.maximum(_remaining(fractions), 0)[..., None]
    law = fit_law(totals_of(ratios, fractions), losses, ridge, iterations=_ITERATIONS)
    for _ in range(_ROUNDS):

        def objective(gamma, law=law):
            seen = fractions[..., None] * ratios * np.exp(-remaining * gamma)
            totals = np.maximum(seen.sum(axis=1), 1e-12)
            progress = law.progress(totals)
            reducible = law.amplitude * progress**-law.exponent
            residual = (law.floor + reducible - losses) / spread
            slope = residual / spread * -law.exponent * reducible / progress
            d_totals = (slope @ law.strength) * law.power * totals ** (law.power - 1)
            gradient = -np.einsum("ng,nkg->g", d_totals, remaining * seen) + _RIDGE_RETENTION * gamma
            return 0.5 * np.sum(residual**2) + 0.5 * _RIDGE_RETENTION * gamma @ gamma, gradient

        bounds = [(0, 10)] * len(forgetting)
        start = np.maximum(forgetting, 0.1)
        forgetting = scipy.optimize.minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds).x
        law = fit_law(_retained(ratios, fractions, forgetting), losses, ridge, iterations=_ITERATIONS)
    return RetentionLaw(law, forgetting)
