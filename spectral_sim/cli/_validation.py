"""What the rows that are set aside for picking would be worth as training data."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._simulate import simulate
from ..problems import OperatorProblem
from ..schedules import uniform
from ._data import LearningTask

__all__ = ["on_picking_rows", "trained_on_validation"]


def on_picking_rows(problem: OperatorProblem, picking: np.ndarray | None) -> OperatorProblem:
    """The problem as a search sees it that goes by the rows for picking, which never score what is found.

    Arguments:
        problem: a data problem.
        picking: mass of the held-out rows for picking, shape (held_out,).
    """
    assert picking is not None
    mass = jnp.asarray(picking / picking.sum(), problem.dtype)
    return eqx.tree_at(lambda whole: whole.eval_mass, problem, mass)


def trained_on_validation(task: LearningTask, times: np.ndarray) -> str:
    """One sentence: the lowest loss of uniform sampling that trains on the rows for picking as well, or on them alone.

    Arguments:
        task: a data problem with rows for picking.
        times: refresh grid.
    """
    problem, picking = task.problem, task.picking
    assert picking is not None
    chosen = picking > 0
    features, targets = np.asarray(problem.eval_features)[chosen], np.asarray(problem.eval_targets)[chosen]
    held_out = {name: getattr(problem, name) for name in ("eval_features", "eval_targets", "eval_mass")}
    plain = _lowest(problem, times)
    train, labels = np.asarray(problem.features), np.asarray(problem.targets)
    both = OperatorProblem(np.concatenate([train, features]), np.concatenate([labels, targets]), **held_out)
    together = _change(_lowest(both, times) / plain - 1, problem.measure)
    alone = _change(_lowest(OperatorProblem(features, targets, **held_out), times) / plain - 1, problem.measure)
    return (
        f"Training uniformly on the {int(chosen.sum())} rows set aside for picking as well {together}; training on "
        f"them alone {alone}."
    )


def _lowest(problem: OperatorProblem, times: np.ndarray) -> float:
    return float(np.min(np.asarray(simulate(problem, uniform(), times, adjoint="direct").loss)))


def _change(part: float, measure: str) -> str:
    if abs(part) < 5e-4:
        return f"leaves the lowest {measure} as it is"
    return f"{'raises' if part > 0 else 'lowers'} the lowest {measure} by {abs(part):.1%}"
