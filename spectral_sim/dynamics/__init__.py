"""How a learner moves between refreshes."""

from .._registry import register
from ._base import AbstractDynamics, first_fault
from ._kernel_training import KernelState, KernelTraining, Relinearised
from ._modal_flow import ModalFlow
from ._network_training import NetworkState, NetworkTraining, is_adaptive, step_lengths
from ._operator_flow import OperatorFlow, OperatorState
from ._pool_moments import PoolMoments, PoolState
from ._pool_training import PoolTraining, TrainingState
from ._self_generated import SelfGenerated, SelfGeneratedState
from ._sgd_moments import SGDMoments, SGDState, largest_stable_rate
from ._shell_grid import log_shells
from ._shell_transport import ShellTransport, TransportState

__all__ = [
    "AbstractDynamics",
    "KernelState",
    "KernelTraining",
    "ModalFlow",
    "NetworkState",
    "NetworkTraining",
    "OperatorFlow",
    "OperatorState",
    "PoolMoments",
    "PoolState",
    "PoolTraining",
    "Relinearised",
    "SelfGenerated",
    "SelfGeneratedState",
    "SGDMoments",
    "SGDState",
    "ShellTransport",
    "TrainingState",
    "TransportState",
    "is_adaptive",
    "largest_stable_rate",
    "log_shells",
    "step_lengths",
    "first_fault",
]

for _class in (
    KernelTraining,
    ModalFlow,
    NetworkTraining,
    OperatorFlow,
    PoolMoments,
    PoolTraining,
    Relinearised,
    SelfGenerated,
    SGDMoments,
    ShellTransport,
):
    register(_class)
