"""Fitting a mixture law: its ridge and its boosted residuals chosen by cross-validation, published laws beside it."""

from dataclasses import replace
from typing import Any

from .._checks import check_choice
from ._mixture_boost import INSTALL_MIXTURE, fit_boost, has_lightgbm
from ._mixture_fit import MixtureFit
from ._mixture_scale import ScaleMap
from ._mixture_scores import BOOSTED, score_mixture
from ._mixture_table import mixture_table
from ._mixture_validation import calibrate, compare_baselines, cross_fit, select_ridge, validate_boost

LAWS = ("power", "linear")
BOOSTS = ("auto", "lightgbm", "none")
_FEWEST_BOOSTED = 32


def fit_mixture(
    ratios: Any, losses: Any, *, law: str = "power", boost: str = "auto", intervals: float = 0.9, seed: int = 0
) -> MixtureFit:
    """Fit the spectral mixture law to a table of mixtures that were tried and the losses they reached.

    The strength of the ridge, and whether boosted residuals are kept, are chosen by cross-validation; published
    regressions are tried on the same folds, and a note says so where one of them does better.

    Arguments:
        ratios: share of each training domain, shape (runs, domains); an array or a data frame. Rows that miss a sum of
            one by rounding are rescaled, with a note.
        losses: loss on each validation domain, shape (runs, losses), positive.
        law: "power" fits the powers p of the shares; "linear" holds them at 1.
        boost: "auto" boosts the residuals of the law with LightGBM where it is installed and cross-validation pays for
            it (32 runs at the least); "lightgbm" always, "none" never.
        intervals: coverage of the intervals.
        seed: of the folds and the trees.

    Returns:
        A `MixtureFit`.

    Raises:
        ValueError: a table that cannot be fitted; the message names row and column.
        ImportError: LightGBM is asked for and not installed.

    Source:
        x^-theta = 1/Gamma(theta) int lam^(theta-1) exp(-lam x) d lam: a continuum of modes that decay at rates
        sum_g S_hg r_g^p_g. One mode is the law of Ye et al., Data Mixing Laws (2024).
    """
    check_choice("law", law, LAWS)
    check_choice("boost", boost, BOOSTS)
    if not 0 < intervals < 1:
        raise ValueError(f"intervals={intervals!r}: give the coverage as a fraction between 0 and 1, such as 0.9.")
    table = mixture_table(ratios, losses)
    runs = len(table.runs)
    number = 8 if runs < 40 else 5
    linear = law == "linear"
    notes = list(table.notes)
    ridge, fitted, first, ridges = select_ridge(table, linear, number, seed)
    second = cross_fit(table, ridge, linear, number, seed, range(1, 2))
    predicted = (first.predicted + second.predicted) / 2
    scores = {"law": score_mixture(first.predicted, table.losses)}
    trees = None
    if boost == "auto" and not has_lightgbm():
        notes.append(f"LightGBM is not installed, so that residuals were not boosted: {INSTALL_MIXTURE}.")
    elif boost == "lightgbm" or (boost == "auto" and runs >= _FEWEST_BOOSTED):
        boosted, _ = validate_boost(table, first, number, seed)
        scores[BOOSTED] = score_mixture(boosted, table.losses)
        if boost == "lightgbm" or scores[BOOSTED].error < scores["law"].error:
            known = fitted.predict(table.ratios)
            trees, predicted = fit_boost(table.ratios, known, table.losses - known, seed), boosted
    scores |= compare_baselines(table, number, seed)
    fit = MixtureFit(
        table=table,
        law=fitted,
        ridge=ridge,
        kind=law,
        boost=trees,
        calibration=calibrate(table, predicted, (*first.laws, *second.laws), intervals),
        scores=scores,
        ridges=ridges,
        scale=ScaleMap.identity(len(table.metrics)),
    )
    if fit.scores[fit.best_baseline].error < fit.score.error:
        notes.append(
            f"{fit.best_baseline} has a smaller error on held-out runs ({fit.scores[fit.best_baseline].error:.3f}) "
            f"than the law ({fit.score.error:.3f}): trust it more on mixtures like these."
        )
    if fit.score.error > 0.9:
        notes.append("The law hardly predicts held-out runs: more runs are needed, or these losses are mostly noise.")
    return replace(fit, notes=tuple(notes))
