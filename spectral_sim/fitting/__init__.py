"""Problems made from what users have: tables of mixtures and the losses they reached, and loss curves."""

from ._curve import Curve, interpolate_rates
from ._curve_files import read_logs, read_rates
from ._curve_fit import CurveFit, load_curves
from ._curve_fitting import fit_curves
from ._curve_prediction import CurvePrediction
from ._curve_scores import CurveScore
from ._mixture_clock import MixtureClock
from ._mixture_curve import LearningCurve, learning_curve
from ._mixture_files import read_by_name, read_mixtures
from ._mixture_fit import MixtureFit, load_mixture
from ._mixture_fitting import fit_mixture
from ._mixture_law import MixtureLaw
from ._mixture_optimum import Gain, Optimum
from ._mixture_phases import OrderEffect, PhaseFit, fit_phases
from ._mixture_problem import MixtureFlow, MixtureProblem
from ._mixture_scores import MixtureScore, score_mixture
from ._mixture_support import Support, nearest_distances
from ._mixture_table import by_domain

__all__ = [
    "Curve",
    "CurveFit",
    "CurvePrediction",
    "CurveScore",
    "Gain",
    "LearningCurve",
    "MixtureClock",
    "MixtureFit",
    "MixtureFlow",
    "MixtureLaw",
    "MixtureProblem",
    "MixtureScore",
    "Optimum",
    "OrderEffect",
    "PhaseFit",
    "Support",
    "by_domain",
    "fit_curves",
    "fit_mixture",
    "fit_phases",
    "interpolate_rates",
    "learning_curve",
    "load_curves",
    "load_mixture",
    "nearest_distances",
    "read_by_name",
    "read_logs",
    "read_mixtures",
    "read_rates",
    "score_mixture",
]
