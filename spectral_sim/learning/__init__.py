"""Schedules found by gradients, with proof of how near to the best they are."""

from .._files import SavedFileError
from ._by_hand import ByHand, compare_by_hand, hand_written
from ._control import Control, control_grid, learn_control
from ._deployable import CeilingAndDeployable, ceiling_and_deployable
from ._gap import Gap, cap_of, measure_gap
from ._learn import learn
from ._learned import Learned, load_learned
from ._objectives import AbstractObjective, save_costs
from ._objectives import AnytimeLogLoss as anytime_log_loss
from ._objectives import Penalised as penalised
from ._objectives import SoftTimeToTarget as soft_time_to_target
from ._objectives import TerminalLogLoss as terminal_log_loss
from ._rate_families import PublishedDecay, RateFamily, RatesByHand, power_decay, published_decay, rate_families
from ._sampler import SamplerWeights, load_sampler_weights, sampler_weights
from ._saved import load_schedule, save_schedule
from ._search import SearchError, SearchProgress, SearchResult, search

__all__ = [
    "AbstractObjective",
    "ByHand",
    "CeilingAndDeployable",
    "Control",
    "Gap",
    "Learned",
    "PublishedDecay",
    "RateFamily",
    "RatesByHand",
    "SamplerWeights",
    "SavedFileError",
    "SearchError",
    "SearchProgress",
    "SearchResult",
    "anytime_log_loss",
    "cap_of",
    "ceiling_and_deployable",
    "compare_by_hand",
    "control_grid",
    "hand_written",
    "learn",
    "learn_control",
    "load_learned",
    "load_sampler_weights",
    "load_schedule",
    "measure_gap",
    "penalised",
    "power_decay",
    "published_decay",
    "rate_families",
    "sampler_weights",
    "save_costs",
    "save_schedule",
    "search",
    "soft_time_to_target",
    "terminal_log_loss",
]
