"""What else would predict losses from shares: published regressions, each with a few settings to choose from."""

from collections.abc import Callable
from functools import partial

import numpy as np
import scipy

from ._mixture_boost import has_lightgbm, train_trees

Baseline = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Predicts losses from (ratios, losses, new ratios)."""


def linear(ratios: np.ndarray, losses: np.ndarray, new: np.ndarray, ridge: float = 1e-3) -> np.ndarray:
    """Ridge regression of the losses on the shares."""
    centre, mean = ratios.mean(axis=0), losses.mean(axis=0)
    inputs = ratios - centre
    gram = inputs.T @ inputs + ridge * np.eye(inputs.shape[1])
    return mean + (new - centre) @ np.linalg.solve(gram, inputs.T @ (losses - mean))


def log_linear(ratios: np.ndarray, losses: np.ndarray, new: np.ndarray, ridge: float = 1e-3) -> np.ndarray:
    """Ridge regression of the logarithms of the losses on the shares."""
    return np.exp(linear(ratios, np.log(losses), new, ridge))


def kernel_ridge(
    ratios: np.ndarray, losses: np.ndarray, new: np.ndarray, width: float = 1.0, ridge: float = 0.1
) -> np.ndarray:
    """Kernel ridge regression on the square roots of the shares, with a Gaussian kernel."""

    def kernel(first, second):
        difference = np.sqrt(first)[:, None] - np.sqrt(second)[None]
        return np.exp(-np.sum(difference**2, axis=2) / (2 * width**2))

    mean = losses.mean(axis=0)
    weights = np.linalg.solve(kernel(ratios, ratios) + ridge * np.eye(len(ratios)), losses - mean)
    return mean + kernel(new, ratios) @ weights


def mixing_law(ratios: np.ndarray, losses: np.ndarray, new: np.ndarray, ridge: float = 1e-2) -> np.ndarray:
    """c_h + exp(k_h + t_h . r), the law with one mode, by L-BFGS from a regression of log(L - c).

    Source:
        Ye, Liu, Sun, Zhan, Zhou and Qiu, Data Mixing Laws (2024).
    """
    lowest, spread = losses.min(axis=0), losses.std(axis=0)
    number, domains = losses.shape[1], ratios.shape[1]
    centre = ratios.mean(axis=0)

    def objective(values):
        share, level, slope = _parameters(values, number, domains)
        reducible = np.exp(np.minimum(level + ratios @ slope, 50))
        residual = (lowest * share + reducible - losses) / spread
        centred = slope - slope.mean(axis=0)
        value = 0.5 * np.sum(residual**2) + 0.5 * ridge * np.sum(centred**2)
        d_reducible = residual * reducible / spread
        d_share = np.sum(residual, axis=0) / spread * lowest * share * (1 - share)
        d_slope = ratios.T @ d_reducible + ridge * centred
        return value, np.concatenate([d_share, d_reducible.sum(axis=0), d_slope.ravel()])

    inputs = ratios - centre
    logs = np.log(losses - 0.8 * lowest)
    gram = inputs.T @ inputs + 0.1 * np.eye(domains)
    slope = np.linalg.solve(gram, inputs.T @ (logs - logs.mean(axis=0)))
    begin = np.concatenate([np.full(number, np.log(4.0)), logs.mean(axis=0) - centre @ slope, slope.ravel()])
    options = {"maxiter": 300}
    found = scipy.optimize.minimize(objective, begin, jac=True, method="L-BFGS-B", options=options)
    share, level, slope = _parameters(found.x, number, domains)
    return lowest * share + np.exp(np.minimum(level + new @ slope, 50))


def _parameters(values: np.ndarray, losses: int, domains: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Floor over lowest loss, level and slopes of the mixing law."""
    logit, level, slope = values[:losses], values[losses : 2 * losses], values[2 * losses :]
    return 1 / (1 + np.exp(-logit)), level, slope.reshape(domains, losses)


def lightgbm_trees(
    ratios: np.ndarray, losses: np.ndarray, new: np.ndarray, trees: int = 200, leaves: int = 6, least: int = 3
) -> np.ndarray:
    """Boosted trees of the shares for the logarithm of each loss."""
    logs = np.log(losses)
    mean = logs.mean(axis=0)
    options = {"num_leaves": leaves, "min_data_in_leaf": least, "feature_fraction": 1.0, "learning_rate": 0.08}
    columns = [
        train_trees(ratios, column, 0, trees, **options).predict(new, num_threads=1) for column in (logs - mean).T
    ]
    return np.exp(mean + np.stack(columns, axis=1))


BASELINES: dict[str, tuple[Baseline, ...]] = {
    "linear": tuple(partial(linear, ridge=ridge) for ridge in (1e-3, 0.03, 0.3)),
    "log-linear": tuple(partial(log_linear, ridge=ridge) for ridge in (1e-3, 0.03, 0.3)),
    "mixing law": tuple(partial(mixing_law, ridge=ridge) for ridge in (0.003, 0.03, 0.3)),
    "kernel ridge": tuple(
        partial(kernel_ridge, width=width, ridge=ridge) for width in (0.5, 1.0, 2.0, 4.0) for ridge in (1e-3, 0.01, 0.1)
    ),
    "lightgbm": (lightgbm_trees,),
}
"""Name and settings of each; the setting with the least error on the folds is the one that counts."""


def baselines_here() -> dict[str, tuple[Baseline, ...]]:
    """The baselines that can run with what is installed."""
    return {name: settings for name, settings in BASELINES.items() if name != "lightgbm" or has_lightgbm()}
