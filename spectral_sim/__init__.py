"""A differentiable simulator of how a model learns while its training data is curated."""

from ._observation import Observation as Observation
from ._save import save_loss as save_loss
from ._save import save_summary as save_summary
from ._save import save_weights as save_weights
from ._simulate import simulate as simulate
from ._times import log_times as log_times
from ._trajectory import SimulationError as SimulationError
from ._trajectory import Status as Status
from ._trajectory import Trajectory as Trajectory
from ._types import PerRefresh as PerRefresh
from .dynamics import *  # noqa: F403
from .problems import *  # noqa: F403
from .schedules import *  # noqa: F403
from .bounds import *  # noqa: F403
from .analysis import *  # noqa: F403
