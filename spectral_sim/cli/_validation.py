"""What the rows that are set aside for picking would be worth as training data."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._simulate import simulate
from ..problems import AbstractProblem, OperatorProblem
from ..schedules import uniform


def on_picking_rows(problem: OperatorProblem, picking: np.ndarray | None) -> OperatorProblem:
    """The problem as a search sees it that goes by the rows for picking, which never score what is found.

    Arguments:
        problem: a data problem.
        picking: mass of the held-out rows for picking, shape (held_out,).
    """
    assert picking is not None
    mass = jnp.asarray(picking / picking.sum(), problem.dtype)
    return eqx.tree_at(lambda whole: whole.eval_mass, problem, mass)


def trained_on_validation(problem: AbstractProblem, picking: np.ndarray, times: np.ndarray) -> str:
    """One sentence: the lowest loss of uniform sampling that trains on the rows for picking as well, or on them alone.

    Arguments:
        problem: a data problem.
        picking: mass of its held-out rows for picking, shape (held_out,).
        times: refresh grid.
    """
    data = problem.as_operator()
    assert data is not None
    chosen = picking > 0
    added, labels = np.asarray(data.eval_features)[chosen], np.asarray(data.eval_targets)[chosen]
    rows = np.concatenate([np.asarray(data.features), added])
    targets = np.concatenate([np.asarray(data.targets), labels])
    own = np.arange(len(rows)) < data.num_examples
    held_out = {name: getattr(data, name) for name in ("eval_features", "eval_targets", "eval_mass")}

    def lowest(trained_on: np.ndarray) -> float:  # rows without mass do not train: one program for all three
        trained = OperatorProblem(rows, targets, mass=trained_on.astype(rows.dtype), **held_out)
        return float(np.min(np.asarray(simulate(trained, uniform(), times, adjoint="direct").loss)))

    plain = lowest(own)
    together = _change(lowest(np.ones(len(rows))) / plain - 1, data.measure)
    alone = _change(lowest(~own) / plain - 1, data.measure)
    return (
        f"Training uniformly on the {int(chosen.sum())} rows set aside for picking as well {together}; training on "
        f"them alone {alone}."
    )


def _change(part: float, measure: str) -> str:
    if abs(part) < 5e-4:
        return f"leaves the lowest {measure} as it is"
    return f"{'raises' if part > 0 else 'lowers'} the lowest {measure} by {abs(part):.1%}"
