"""Schedules: how sampling weights follow from what is known of the learner."""

from .._registry import register
from ._allocate import FrontierBand as frontier_band
from ._allocate import Greedy as greedy
from ._allocate import Proportional as proportional
from ._allocate import Softmax as softmax
from ._allocate import TopFraction as top_fraction
from ._allocate import WaterFilling as water_filling
from ._base import (
    AbstractStage,
    TrainingCost,
    advance_state,
    answer_of,
    begin_state,
    no_scoring,
    scored_once,
    stage_name,
)
from ._chain import chain, stage_at, stages_of
from ._complement import Complement as complement
from ._constrain import Clip as clip
from ._constrain import Mix as mix
from ._constrain import Smooth as smooth
from ._curricula import Curriculum as curriculum
from ._excess import Excess as excess
from ._forgetting import Forgetting as forgetting
from ._observe import AddNoise as add_noise
from ._observe import BandLimit as band_limit
from ._observe import Delay as delay
from ._observe import Lag as lag
from ._observe import ShellAverage as shell_average
from ._observe import Stale as stale
from ._observe import Subsample as subsample
from ._policy import PolicySchedule
from ._score import difficulty, leverage
from ._second_model import SecondModel, relative_trace, training_progress
from ._self_scoring import SelfScoring as self_scoring
from ._static import HardPruning as hard_pruning
from ._static import LeverageSampling as leverage_sampling
from ._static import PowerTilt as power_tilt
from ._static import RandomPruning as random_pruning
from ._static import StaticWeights as static_weights
from ._static import Uniform as uniform
from ._table import TableSchedule
from ._teacher import Teacher as teacher

STAGES: dict[str, type[AbstractStage]] = {
    name: value
    for name, value in sorted(globals().items())
    if name.islower() and isinstance(value, type) and issubclass(value, AbstractStage)
}
"""Every shipped stage by its public name."""

for _name, _class in STAGES.items():
    register(_class, name=_name)
register(PolicySchedule, name="policy_schedule")
register(TableSchedule, name="table_schedule")

__all__ = [
    "add_noise",
    "AbstractStage",
    "PolicySchedule",
    "TableSchedule",
    "STAGES",
    "SecondModel",
    "TrainingCost",
    "advance_state",
    "answer_of",
    "band_limit",
    "begin_state",
    "chain",
    "clip",
    "complement",
    "curriculum",
    "delay",
    "difficulty",
    "excess",
    "forgetting",
    "frontier_band",
    "greedy",
    "hard_pruning",
    "lag",
    "leverage",
    "leverage_sampling",
    "mix",
    "no_scoring",
    "power_tilt",
    "proportional",
    "random_pruning",
    "relative_trace",
    "self_scoring",
    "scored_once",
    "shell_average",
    "smooth",
    "softmax",
    "stage_at",
    "stage_name",
    "stale",
    "stages_of",
    "static_weights",
    "subsample",
    "teacher",
    "top_fraction",
    "training_progress",
    "uniform",
    "water_filling",
]
