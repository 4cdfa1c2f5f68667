"""Intervals of predictions, from residuals on runs that the laws did not see."""

from dataclasses import dataclass

import numpy as np

from ._mixture_law import MixtureLaw
from ._mixture_scale import ScaleMap
from ._mixture_table import MixtureTable

__all__ = ["Calibration", "calibrate"]


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
