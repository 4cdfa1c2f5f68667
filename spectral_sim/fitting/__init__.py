"""Problems made from what users have: tables of mixtures and the losses they reached."""

from ._mixture_clock import MixtureClock
from ._mixture_fit import MixtureFit, fit_mixture, load_mixture
from ._mixture_law import MixtureLaw
from ._mixture_optimum import Gain, Optimum
from ._mixture_problem import MixtureFlow, MixtureProblem
from ._mixture_scores import MixtureScore, score_mixture
from ._mixture_support import Support

__all__ = [
    "Gain",
    "MixtureClock",
    "MixtureFit",
    "MixtureFlow",
    "MixtureLaw",
    "MixtureProblem",
    "MixtureScore",
    "Optimum",
    "Support",
    "fit_mixture",
    "load_mixture",
    "score_mixture",
]
