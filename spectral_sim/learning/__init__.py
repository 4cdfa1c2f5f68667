"""Schedules found by gradients, with proof of how near to the best they are."""

from ._gap import Gap, measure_gap
from ._learn import Learned, learn
from ._objectives import AbstractObjective, save_costs
from ._objectives import AnytimeLogLoss as anytime_log_loss
from ._objectives import Penalised as penalised
from ._objectives import SoftTimeToTarget as soft_time_to_target
from ._objectives import TerminalLogLoss as terminal_log_loss

__all__ = [
    "AbstractObjective",
    "Gap",
    "Learned",
    "anytime_log_loss",
    "learn",
    "measure_gap",
    "penalised",
    "save_costs",
    "soft_time_to_target",
    "terminal_log_loss",
]
