"""What is to be learnt: spectra, and data seen through features."""

from ._base import AbstractProblem, Bound
from ._datasets import Dataset, diabetes, digits, image_patches
from ._feature_map import FeatureMap, feature_map
from ._kernel_problem import from_kernel
from ._kernels import RBF as rbf
from ._kernels import ArcCosine as arc_cosine
from ._kernels import Linear as linear
from ._modal import ModalProblem
from ._network import NetworkProblem
from ._operator import OperatorProblem, mean_squared_norm, modal_view
from ._power_law import PowerLaw, doubled_rule, power_law
from ._random_features import random_features
from ._torus import torus
from .tables import load_table

__all__ = [
    "Dataset",
    "diabetes",
    "digits",
    "image_patches",
    "load_table",
    "AbstractProblem",
    "Bound",
    "FeatureMap",
    "ModalProblem",
    "NetworkProblem",
    "OperatorProblem",
    "PowerLaw",
    "arc_cosine",
    "doubled_rule",
    "feature_map",
    "from_kernel",
    "linear",
    "mean_squared_norm",
    "modal_view",
    "power_law",
    "random_features",
    "rbf",
    "torus",
]
