"""Runs that were left out choose ridge and boosting, judge baselines and numbers of runs, and make intervals."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ._mixture_baselines import baselines_here
from ._mixture_boost import Boost, fit_boost
from ._mixture_law import MixtureLaw, fit_law
from ._mixture_scale import ScaleMap
from ._mixture_scores import MixtureScore, folds, score_mixture
from ._mixture_table import MixtureTable

if TYPE_CHECKING:
    from ._mixture_fit import MixtureFit

_ITERATIONS = 200  # of a law on a part of the runs; more changes its predictions by far less than their error
_SIZES = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384)  # runs of a learning curve
_DRAWS = 3  # of each of them
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


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Error on the runs that were left out, for numbers of runs to fit to.

    Arguments:
        runs: numbers of runs, shape (sizes,).
        errors: mean error over draws of the law without boosting ("law") and of the quick baselines, shape (sizes,).
    """

    runs: np.ndarray
    errors: dict[str, np.ndarray]


def learning_curve(fit: "MixtureFit", seed: int = 0) -> LearningCurve:
    """Fit to random parts of the table of a fit, at the strength of the ridge that it has, and score on the rest.

    Arguments:
        fit: with its table.
        seed: draws the parts.
    """
    ratios, losses = fit.table.ratios, fit.table.losses
    total = len(ratios)
    sizes = np.array([size for size in _SIZES if size <= 0.8 * total])
    quick = {name: settings for name, settings in baselines_here().items() if name in ("log-linear", "kernel ridge")}
    errors = {name: np.zeros(len(sizes)) for name in ("law", *quick)}
    for draw in range(_DRAWS):
        order = np.random.default_rng([seed, draw]).permutation(total)
        for n, size in enumerate(sizes):
            here, rest = order[:size], order[size:]
            known, spread = losses[here], np.ptp(losses[here], axis=0)
            if (spread <= 0).any():
                continue
            predicted = {
                "law": fit_law(ratios[here], known, fit.ridge, linear=fit.kind == "linear").predict(ratios[rest])
            }
            for name, settings in quick.items():
                tried = [predict(ratios[here], known, ratios[rest]) for predict in settings]
                predicted[name] = min(tried, key=lambda table: score_mixture(table, losses[rest]).error)
            for name, table in predicted.items():
                errors[name][n] += score_mixture(table, losses[rest]).error / _DRAWS
    return LearningCurve(sizes, errors)


@dataclass(frozen=True, eq=False)
class Calibration:
    """What the width of an interval is made of.

    Arguments:
        ratios: the runs, shape (runs, domains).
        residuals: predicted without the run, minus measured, shape (runs, losses).
        laws: laws fitted to parts of the table; where they disagree, intervals are wider.
        level: coverage.
    """

    ratios: np.ndarray
    residuals: np.ndarray
    laws: tuple[MixtureLaw, ...]
    level: float

    def half_width(self, ratios: np.ndarray, scale: ScaleMap, weights: np.ndarray | None = None) -> np.ndarray:
        """Half the width for each mixture, shape (runs, losses); (runs,) for a weighting of the losses.

        Held-out residuals, over the root of their mean square plus the square of the spread of the laws, have one
        distribution in all losses; its quantile times that root at a new mixture is the half width.
        """
        combine = (lambda table: table) if weights is None else (lambda table: (table @ weights)[..., None])
        residuals = combine(scale.slope * self.residuals)
        size = np.sqrt(np.mean(residuals**2, axis=0))
        here, there = (
            np.std([combine(scale.slope * law.predict(r)) for law in self.laws], axis=0) for r in (self.ratios, ratios)
        )
        # no correction for few runs: held-out residuals come from fits to fewer runs, and are larger for that already
        quantile = np.quantile(np.abs(residuals) / np.sqrt(size**2 + here**2), self.level)
        added = scale.error**2 if weights is None else np.atleast_1d(np.sum((weights * scale.error) ** 2))
        half = quantile * np.sqrt(size**2 + there**2 + added)
        return half if weights is None else half[:, 0]


def calibrate(table: MixtureTable, predicted: np.ndarray, laws: tuple[MixtureLaw, ...], level: float) -> Calibration:
    """Intervals from predictions of each run by laws that did not see it."""
    return Calibration(table.ratios, predicted - table.losses, laws, level)
