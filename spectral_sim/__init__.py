"""A differentiable simulator of how a model learns while its training data is curated.

The names here are those that examples use. Everything else is reached through its package: `analysis`, `bounds`,
`dynamics`, `fitting`, `learning`, `problems`, `schedules` and `sweeps`, and by an import of their own `testing`,
`assessment`, `report` and `benchmark`.
"""

from . import analysis, bounds, dynamics, fitting, learning, problems, schedules, sweeps
from ._observation import Observation
from ._registry import register
from ._save import save_loss, save_summary, save_weights
from ._simulate import simulate
from ._simulate_many import simulate_many
from ._times import log_steps, log_times
from ._trajectory import SimulationError, Status, Trajectory, describe_status
from ._types import PerRefresh
from ._version import __version__ as __version__
from .analysis import fit_exponent, speedup, time_to_loss
from .bounds import certificate, ideal_oracle
from .dynamics import (
    AbstractDynamics,
    ModalFlow,
    OperatorFlow,
    PoolMoments,
    PoolTraining,
    SelfGenerated,
    SGDMoments,
    ShellTransport,
)
from .fitting import fit_curves, fit_mixture
from .learning import anytime_log_loss, learn, load_learned, sampler_weights, terminal_log_loss
from .problems import (
    AbstractProblem,
    ModalProblem,
    OperatorProblem,
    from_kernel,
    load_table,
    power_law,
    random_features,
    torus,
)
from .schedules import (
    AbstractStage,
    PolicySchedule,
    TableSchedule,
    chain,
    clip,
    complement,
    curriculum,
    delay,
    excess,
    hard_pruning,
    lag,
    mix,
    power_tilt,
    proportional,
    self_scoring,
    shell_average,
    smooth,
    softmax,
    stale,
    static_weights,
    teacher,
    top_fraction,
    uniform,
    water_filling,
)
from .sweeps import grid, sobol, sweep

__all__ = [
    "AbstractDynamics",
    "AbstractProblem",
    "AbstractStage",
    "analysis",
    "anytime_log_loss",
    "bounds",
    "certificate",
    "chain",
    "clip",
    "complement",
    "curriculum",
    "delay",
    "describe_status",
    "dynamics",
    "excess",
    "fit_curves",
    "fit_exponent",
    "fit_mixture",
    "fitting",
    "from_kernel",
    "grid",
    "hard_pruning",
    "ideal_oracle",
    "lag",
    "learn",
    "learning",
    "load_learned",
    "load_table",
    "log_steps",
    "log_times",
    "mix",
    "ModalFlow",
    "ModalProblem",
    "Observation",
    "OperatorFlow",
    "OperatorProblem",
    "PerRefresh",
    "PolicySchedule",
    "PoolMoments",
    "PoolTraining",
    "power_law",
    "power_tilt",
    "problems",
    "proportional",
    "random_features",
    "register",
    "sampler_weights",
    "save_loss",
    "save_summary",
    "save_weights",
    "schedules",
    "self_scoring",
    "SelfGenerated",
    "SGDMoments",
    "shell_average",
    "ShellTransport",
    "simulate",
    "simulate_many",
    "SimulationError",
    "smooth",
    "sobol",
    "softmax",
    "speedup",
    "stale",
    "static_weights",
    "Status",
    "sweep",
    "sweeps",
    "TableSchedule",
    "teacher",
    "terminal_log_loss",
    "time_to_loss",
    "top_fraction",
    "torus",
    "Trajectory",
    "uniform",
    "water_filling",
]
