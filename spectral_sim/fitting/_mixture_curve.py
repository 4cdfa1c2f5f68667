"""How the error falls with the number of runs, measured on the runs of the table themselves."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ._mixture_baselines import baselines_here
from ._mixture_law import fit_law
from ._mixture_scores import score_mixture

if TYPE_CHECKING:
    from ._mixture_fit import MixtureFit

__all__ = ["LearningCurve", "learning_curve"]

_SIZES = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384)
_DRAWS = 3


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
