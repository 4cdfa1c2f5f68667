"""Numbers read off loss curves: exponents, times to a loss, speed-ups, frontiers.

Functions that refuse bad input compute on the host, in float64; what they share with sweeps runs inside jit too.
"""

from ._compute_frontier import ComputeExponents, ComputeFrontier, compute_exponents, compute_frontier
from ._cost import (
    CurationCost,
    check_prices,
    curation_cost,
    refresh_costs,
    scoring_charges,
    step_charge,
    training_charges,
)
from ._curve import inside
from ._exponent import ExponentFit, NoPowerLawError, fit_exponent, local_exponent
from ._finite_data import FiniteData, finite_data, ridge_regression
from ._frontier import CrossoverTime, crossover_time, frontier, teacher_frontier
from ._generations import Generations, generations
from ._readings import Race, crossing_times, interpolated, line_fit, meeting, race
from ._speedup import Speedup, speedup, time_to_loss

__all__ = [
    "ComputeExponents",
    "ComputeFrontier",
    "CrossoverTime",
    "CurationCost",
    "ExponentFit",
    "NoPowerLawError",
    "FiniteData",
    "Generations",
    "Race",
    "Speedup",
    "check_prices",
    "compute_exponents",
    "compute_frontier",
    "crossing_times",
    "crossover_time",
    "curation_cost",
    "finite_data",
    "fit_exponent",
    "frontier",
    "generations",
    "inside",
    "interpolated",
    "line_fit",
    "local_exponent",
    "meeting",
    "race",
    "refresh_costs",
    "ridge_regression",
    "scoring_charges",
    "speedup",
    "step_charge",
    "teacher_frontier",
    "time_to_loss",
    "training_charges",
]
