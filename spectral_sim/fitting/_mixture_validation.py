"""Choices by cross-validation: the strength of the ridge, whether boosting pays, and what the baselines would do."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ._mixture_baselines import baselines_here
from ._mixture_boost import Boost, fit_boost
from ._mixture_law import MixtureLaw, fit_law
from ._mixture_scores import MixtureScore, folds, score_mixture
from ._mixture_table import MixtureTable

__all__ = ["RIDGES", "CrossFits", "compare_baselines", "cross_fit", "select_ridge", "validate_boost"]

_ITERATIONS = 200  # of a law on a part of the runs; more changes its predictions by far less than their error
RIDGES = (0.01, 0.03, 0.1)
"""Strengths of the ridge on log S that cross-validation chooses from."""


@dataclass(frozen=True, eq=False)
class CrossFits:
    """Laws that were fitted without a part of the runs, and what they say of that part.

    Arguments:
        laws: one for each fold of each repeat.
        predicted: losses of each run by the laws that did not see it, mean over repeats, shape (runs, losses).
    """

    laws: tuple[MixtureLaw, ...]
    predicted: np.ndarray


def out_of_fold(
    table: MixtureTable, fold: np.ndarray, predict: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Losses of each run as predicted from the runs of the other folds."""
    predicted = np.empty_like(table.losses)
    for k in range(int(fold.max()) + 1):
        out = fold == k
        predicted[out] = predict(table.ratios[~out], table.losses[~out], table.ratios[out])
    return predicted


def cross_fit(table: MixtureTable, ridge: float, linear: bool, number: int, seed: int, repeats: range) -> CrossFits:
    """Fit the law without each fold of each repeat; each fit has its own start, so that nothing leaks."""
    laws = []

    def fit(ratios, losses, new):
        laws.append(fit_law(ratios, losses, ridge, linear=linear, iterations=_ITERATIONS))
        return laws[-1].predict(new)

    tables = [out_of_fold(table, folds(table.ratios, number, seed, repeat), fit) for repeat in repeats]
    return CrossFits(tuple(laws), np.mean(tables, axis=0))


def select_ridge(
    table: MixtureTable, linear: bool, number: int, seed: int
) -> tuple[float, MixtureLaw, CrossFits, dict[float, float]]:
    """The best strength on the folds, its laws of all runs and of the folds, and the error of each strength."""
    found = {}
    for ridge in RIDGES:
        law = fit_law(table.ratios, table.losses, ridge, linear=linear)
        crossed = cross_fit(table, ridge, linear, number, seed, range(1))
        found[ridge] = score_mixture(crossed.predicted, table.losses).error, law, crossed
    best = min(found, key=lambda ridge: found[ridge][0])
    _, law, crossed = found[best]
    return best, law, crossed, {ridge: error for ridge, (error, _, _) in found.items()}


def validate_boost(table: MixtureTable, crossed: CrossFits, number: int, seed: int) -> tuple[np.ndarray, list[Boost]]:
    """Boosted predictions of each run by laws and trees that did not see it, and the trees of each fold.

    Arguments:
        crossed: the fits of the first repeat, one law for each fold.
    """
    fold = folds(table.ratios, number, seed)
    predicted, trees = np.empty_like(table.losses), []
    for k, law in enumerate(crossed.laws[: int(fold.max()) + 1]):
        out = fold == k
        known = law.predict(table.ratios[~out])
        trees.append(fit_boost(table.ratios[~out], known, table.losses[~out] - known, seed))
        base = law.predict(table.ratios[out])
        predicted[out] = base + trees[-1].predict(table.ratios[out], base)
    return predicted, trees


def compare_baselines(table: MixtureTable, number: int, seed: int) -> dict[str, MixtureScore]:
    """The baselines on the folds of the law, each at the setting with the least error there."""
    fold = folds(table.ratios, number, seed)
    scores = {}
    for name, settings in baselines_here().items():
        tried = [score_mixture(out_of_fold(table, fold, predict), table.losses) for predict in settings]
        scores[name] = min(tried, key=lambda score: score.error)
    return scores
