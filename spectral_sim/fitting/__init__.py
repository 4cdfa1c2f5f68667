"""Problems made from what users have: tables of mixtures and the losses they reached, loss curves, and networks."""

from ._compare_training import compare_training
from ._curve import Curve, interpolate_rates
from ._curve_best import BestRates
from ._curve_errors import CurveScore
from ._curve_files import read_logs, read_rates
from ._curve_fit import CurveFit, load_curves
from ._curve_fitting import fit_curves
from ._curve_prediction import CurvePrediction
from ._example_scores import (
    ExampleScores,
    Reference,
    error_norm_scores,
    forgetting_scores,
    gradient_norm_scores,
    reference_losses,
    train_reference,
)
from ._kernel_features import KernelFeatures
from ._linearise import kernel_features, linearise, linearise_jacobian
from ._mixture_files import read_by_name, read_mixtures
from ._mixture_fit import MixtureFit, load_mixture
from ._mixture_fitting import fit_mixture
from ._mixture_law import MixtureLaw
from ._mixture_optimum import Gain, Optimum
from ._mixture_phases import OrderEffect, PhaseFit, fit_phases
from ._mixture_problem import MixtureFlow, MixtureProblem
from ._mixture_scale import MixtureClock
from ._mixture_scores import MixtureScore, score_mixture
from ._mixture_support import Support, nearest_distances
from ._mixture_table import by_domain
from ._mixture_validation import LearningCurve, learning_curve
from ._training_comparison import TrainingComparison
from ._training_scores import Agreement

__all__ = [
    "Agreement",
    "BestRates",
    "Curve",
    "CurveFit",
    "CurvePrediction",
    "CurveScore",
    "ExampleScores",
    "Gain",
    "KernelFeatures",
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
    "Reference",
    "Support",
    "TrainingComparison",
    "by_domain",
    "error_norm_scores",
    "compare_training",
    "fit_curves",
    "fit_mixture",
    "fit_phases",
    "forgetting_scores",
    "gradient_norm_scores",
    "interpolate_rates",
    "kernel_features",
    "learning_curve",
    "linearise",
    "linearise_jacobian",
    "load_curves",
    "load_mixture",
    "nearest_distances",
    "read_by_name",
    "read_logs",
    "read_mixtures",
    "read_rates",
    "reference_losses",
    "score_mixture",
    "train_reference",
]
