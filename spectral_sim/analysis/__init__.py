"""Numbers read off loss curves: exponents, times to a loss, speed-ups, frontiers.

Functions that refuse bad input compute on the host, in float64; what they share with sweeps runs inside jit too.
"""

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
from ._frontier import CrossoverTime, crossover_time, frontier, teacher_frontier
from ._readings import Race, crossing_times, interpolated, line_fit, meeting, race
from ._speedup import Speedup, speedup
from ._time_to_loss import time_to_loss

__all__ = [
    "CrossoverTime",
    "CurationCost",
    "ExponentFit",
    "NoPowerLawError",
    "Race",
    "Speedup",
    "check_prices",
    "crossing_times",
    "crossover_time",
    "curation_cost",
    "fit_exponent",
    "frontier",
    "inside",
    "interpolated",
    "line_fit",
    "local_exponent",
    "meeting",
    "race",
    "refresh_costs",
    "scoring_charges",
    "speedup",
    "step_charge",
    "teacher_frontier",
    "time_to_loss",
    "training_charges",
]
