"""How a learner moves between refreshes."""

from ._base import AbstractDynamics
from ._modal_flow import ModalFlow
from ._operator_flow import OperatorFlow, OperatorState

__all__ = ["AbstractDynamics", "ModalFlow", "OperatorFlow", "OperatorState"]
