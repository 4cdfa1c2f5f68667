"""How wrong predictions are on runs that the fit did not see, and how runs are split for that."""

from dataclasses import dataclass

import numpy as np
import scipy

BOOSTED = "law with boosted residuals"  # among the scores by name


@dataclass(frozen=True)
class MixtureScore:
    """Error and order of predictions.

    Arguments:
        error: root mean squared error over standard deviation, mean over losses; 1 is the mean of the table.
        spearman: rank correlation of predicted and true losses, mean over losses.
    """

    error: float
    spearman: float


def score_mixture(predicted: np.ndarray, true: np.ndarray) -> MixtureScore:
    """Compare predictions with losses.

    Arguments:
        predicted: shape (runs, losses).
        true: measured losses, shape (runs, losses).
    """
    error = np.sqrt(np.mean((predicted - true) ** 2, axis=0)) / true.std(axis=0)
    first, second = (scipy.stats.rankdata(table, axis=0) for table in (predicted, true))
    first, second = (table - table.mean(axis=0) for table in (first, second))
    size = np.sqrt(np.sum(first**2, axis=0) * np.sum(second**2, axis=0))
    spearman = np.sum(first * second, axis=0) / np.where(size > 0, size, 1)  # a constant prediction orders nothing
    return MixtureScore(float(error.mean()), float(spearman.mean()))


def folds(ratios: np.ndarray, number: int, seed: int, repeat: int = 0) -> np.ndarray:
    """The fold of each run, shape (runs,); runs of the same mixture share one, so that none predicts its twin."""
    same = np.unique(ratios, axis=0, return_inverse=True)[1].reshape(-1)
    mixtures = int(same.max()) + 1
    order = np.random.default_rng([seed, repeat]).permutation(mixtures)
    fold = np.empty(mixtures, int)
    fold[order] = np.arange(mixtures) % min(number, mixtures)
    return fold[same]
