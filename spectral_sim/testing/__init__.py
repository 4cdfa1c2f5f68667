"""Checks of a stage, dynamics, problem, objective or metric of your own, one line each; raise AssertionError.

They are the invariants that the library's own parts are held to. Run them in double precision, which their tolerances
are for: `jax.config.update("jax_enable_x64", True)`.
"""

from ._dynamics import check_dynamics
from ._metric import check_metric
from ._objective import check_objective
from ._problem import check_problem
from ._stage import check_stage

__all__ = ["check_dynamics", "check_metric", "check_objective", "check_problem", "check_stage"]
