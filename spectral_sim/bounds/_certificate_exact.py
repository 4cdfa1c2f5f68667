"""The exact route to a multiplier: the semidefinite programme written out for a general solver. It also knows caps."""

from typing import Any

import numpy as np

from .._extras import require
from ._certificate_multiplier import Multiplier
from ._certificate_task import CertificateTask

INSTALL = "pip install 'spectral_sim[certify]'"
_SOLVERS = ("CLARABEL", "SCS")


def exact_multiplier(
    task: CertificateTask, knots: np.ndarray, degree: int, cap: float | None, tolerance: float
) -> tuple[Multiplier, np.ndarray]:
    """Maximise the bound over multipliers on given pieces with Clarabel, or with SCS where Clarabel fails.

    Nothing the solver says is trusted: its multiplier is repaired and proven afterwards.

    Returns:
        The multiplier, and the part of the time that each choice has in the relaxed problem's best schedule, shape
        (conditions, choices).

    Raises:
        ImportError: cvxpy is not installed.
        RuntimeError: no solver returned a multiplier.
    """
    cvxpy: Any = require("cvxpy", "method='exact'", INSTALL)
    size, choices = len(task.start), len(task.generators)
    pieces = len(knots) - 1
    control = [cvxpy.Variable((size, size), symmetric=True) for _ in range(degree * pieces + 1)]
    constraints, prices = [control[-1] << task.terminal], []
    for piece, duration in enumerate(np.diff(knots)):
        for order in range(degree + 1):
            at, slope = degree * piece + order, 0
            if order > 0:
                slope = slope + order / degree * (control[at] - control[at - 1])
            if order < degree:
                slope = slope + (degree - order) / degree * (control[at + 1] - control[at])
            price = [cvxpy.Variable((size, size), PSD=True) for _ in range(choices)] if cap is not None else []
            if price and cap is not None:
                slope = slope - cap * sum(p * s for p, s in zip(task.shares, price, strict=True))
            prices.append(price)
            for n, generator in enumerate(task.generators):
                left = slope - duration / degree * (generator.T @ control[at] + control[at] @ generator)
                constraints.append((left + price[n] if price else left) >> 0)
    gain = cvxpy.sum(cvxpy.multiply(np.outer(task.start, task.start), control[0]))
    program = cvxpy.Problem(cvxpy.Maximize(gain), constraints)
    said = []
    for solver in _SOLVERS:
        options = {"CLARABEL": {"tol_gap_rel": min(tolerance / 10, 1e-3)}, "SCS": {"eps": 1e-6, "max_iters": 20_000}}
        try:
            program.solve(solver=solver, **options[solver])
        except cvxpy.error.SolverError as error:
            said.append(f"{solver}: {error}")
        if all(matrix.value is not None for matrix in control):
            scale = [d / degree for d in np.diff(knots) for _ in range(degree + 1)]
            found = Multiplier(knots, _values(control), _prices(prices, scale, pieces) if cap is not None else None)
            return found, _shares(constraints[1:], choices)
        said.append(f"{solver}: {program.status}")
    raise RuntimeError(f"no solver found a multiplier ({'; '.join(said)}): try method='scalable', or fewer pieces.")


def _shares(constraints: list[Any], choices: int) -> np.ndarray:
    traces = [0.0 if each.dual_value is None else max(float(np.trace(each.dual_value)), 0.0) for each in constraints]
    table = np.reshape(traces, (-1, choices)) + 1e-12
    return table / table.sum(axis=1, keepdims=True)


def _values(variables: list[Any]) -> np.ndarray:
    values = np.stack([np.asarray(variable.value) for variable in variables])
    return (values + values.swapaxes(-1, -2)) / 2


def _prices(prices: list[list[Any]], scale: list[float], pieces: int) -> np.ndarray:
    """The prices of the conditions themselves, which were solved for multiplied by a duration."""
    values = np.stack([_values(price) / factor for price, factor in zip(prices, scale, strict=True)])
    return values.reshape(pieces, -1, *values.shape[1:])
