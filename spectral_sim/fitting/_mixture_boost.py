"""What the law leaves over, learnt by boosted trees with LightGBM."""

import importlib.util
from typing import Any

import numpy as np

from .._extras import require

INSTALL_MIXTURE = "pip install 'spectral_sim[mixture]'"
_TREES = 300
_OPTIONS = {"learning_rate": 0.03, "num_leaves": 6, "min_data_in_leaf": 8, "feature_fraction": 0.5}


class Boost:
    """Trees that predict the residuals of the law from the shares and the losses that the law predicts.

    Arguments:
        models: LightGBM models in their text format, one for each loss.
    """

    def __init__(self, models: tuple[str, ...]):
        lightgbm = require("lightgbm", "boosted residuals of a mixture law", INSTALL_MIXTURE)
        self.models = models
        self._boosters = [lightgbm.Booster(model_str=model) for model in models]

    def predict(self, ratios: np.ndarray, law_losses: np.ndarray) -> np.ndarray:
        """Residuals, shape (runs, losses), of mixtures and the losses that the law predicts for them."""
        inputs = np.hstack([ratios, law_losses])
        return np.stack([np.asarray(booster.predict(inputs, num_threads=1)) for booster in self._boosters], axis=1)


def has_lightgbm() -> bool:
    """Whether LightGBM is installed."""
    return importlib.util.find_spec("lightgbm") is not None


def fit_boost(ratios: np.ndarray, law_losses: np.ndarray, residuals: np.ndarray, seed: int) -> Boost:
    """Fit the trees to the residuals that the law leaves on the runs it was fitted to."""
    inputs = np.hstack([ratios, law_losses])
    return Boost(tuple(train_trees(inputs, column, seed).model_to_string() for column in residuals.T))


def train_trees(inputs: np.ndarray, values: np.ndarray, seed: int, trees: int = _TREES, **options: Any) -> Any:
    """A LightGBM model of small trees, the same for the same seed; options replace those of the residuals."""
    lightgbm = require("lightgbm", "boosted trees", INSTALL_MIXTURE)
    settings = {
        "objective": "regression",
        "lambda_l2": 1.0,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "min_data_in_bin": 1,
        "num_threads": 1,  # small tables are slower on several, and sums would depend on their number
        "deterministic": True,
        "verbose": -1,
        "seed": seed,
        **_OPTIONS,
        **options,
    }
    return lightgbm.train(settings, lightgbm.Dataset(inputs, values), trees)
