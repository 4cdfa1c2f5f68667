"""How a learner moves between refreshes."""

from ._base import AbstractDynamics, Verdict
from ._modal_flow import ModalFlow
from ._operator_flow import OperatorFlow, OperatorState
from ._sgd_moments import SGDMoments, SGDState, largest_stable_rate
from ._sgd_settings import step_times

__all__ = [
    "AbstractDynamics",
    "ModalFlow",
    "OperatorFlow",
    "OperatorState",
    "SGDMoments",
    "SGDState",
    "Verdict",
    "largest_stable_rate",
    "step_times",
]
