"""How a learner moves between refreshes."""

from .._registry import register
from ._base import AbstractDynamics, first_fault
from ._modal_flow import ModalFlow
from ._operator_flow import OperatorFlow, OperatorState
from ._pool_moments import PoolMoments, PoolState
from ._pool_training import PoolTraining, TrainingState
from ._self_generated import SelfGenerated, SelfGeneratedState
from ._sgd_moments import SGDMoments, SGDState, largest_stable_rate
from ._shell_grid import log_shells
from ._shell_transport import ShellTransport, TransportState

__all__ = [
    "AbstractDynamics",
    "ModalFlow",
    "OperatorFlow",
    "OperatorState",
    "PoolMoments",
    "PoolState",
    "PoolTraining",
    "SelfGenerated",
    "SelfGeneratedState",
    "SGDMoments",
    "SGDState",
    "ShellTransport",
    "TrainingState",
    "TransportState",
    "largest_stable_rate",
    "log_shells",
    "first_fault",
]

for _class in (ModalFlow, OperatorFlow, PoolMoments, PoolTraining, SelfGenerated, SGDMoments, ShellTransport):
    register(_class)
