"""Numbers read off loss curves: exponents, times to a loss, speed-ups, frontiers. Host-side, NumPy float64."""

from ._cost import (
    CurationCost,
    check_prices,
    curation_cost,
    refresh_costs,
    scoring_charges,
    step_charge,
    training_charges,
)
from ._exponent import ExponentFit, NoPowerLawError, fit_exponent, local_exponent
from ._frontier import CrossoverTime, crossover_time, frontier, teacher_frontier
from ._speedup import Speedup, speedup
from ._time_to_loss import time_to_loss

__all__ = [
    "CrossoverTime",
    "CurationCost",
    "ExponentFit",
    "NoPowerLawError",
    "Speedup",
    "check_prices",
    "crossover_time",
    "curation_cost",
    "fit_exponent",
    "frontier",
    "local_exponent",
    "refresh_costs",
    "scoring_charges",
    "speedup",
    "step_charge",
    "teacher_frontier",
    "time_to_loss",
    "training_charges",
]
