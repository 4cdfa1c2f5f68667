"""The exact route to a multiplier: the semidefinite programme written out for a general solver. It also knows caps."""

from typing import Any

import numpy as np

from .._extras import require
from ._certificate_cone import symmetrised
from ._certificate_multiplier import Multiplier
from ._certificate_task import CertificateTask
from ._certificate_transfers import settled

INSTALL = "pip install 'spectral_sim[certify]'"
_SOLVERS = ("CLARABEL", "SCS")


def exact_multipliers(
    tasks: list[CertificateTask], knots: np.ndarray, degree: int, cap: float | None, tolerance: float
) -> tuple[list[Multiplier], np.ndarray]:
    """Maximise the bound over multipliers on given pieces with Clarabel, or with SCS where Clarabel fails.

    Nothing the solver says is trusted: its multipliers are repaired and proven afterwards.

    Arguments:
        tasks: one for each output; transfers join several.
        knots: from 0 to the horizon in units of the task, shape (pieces + 1,).
        degree: of the polynomial on each piece, at least 1.
        cap: largest weight, above 1; None for none.
        tolerance: how near to the best multipliers the search goes, relative.

    Returns:
        The multipliers, and the part of the time that each choice has in the relaxed problem's best schedule, shape
        (conditions, choices).

    Raises:
        ImportError: cvxpy is not installed.
        RuntimeError: no solver returned a multiplier.
    """
    cvxpy: Any = require("cvxpy", "method='exact'", INSTALL)
    choices, rows = len(tasks[0].generators), (len(knots) - 1) * (degree + 1)
    lent: list[Any] = [cvxpy.Variable((rows, choices)) for _ in tasks] if len(tasks) > 1 else [None]
    programs = [_Program(cvxpy, task, knots, degree, cap, tau) for task, tau in zip(tasks, lent, strict=True)]
    constraints = [constraint for each in programs for constraint in (*each.last, *each.conditions)]
    if len(tasks) > 1:
        constraints.append(sum(lent) <= 0)
    program = cvxpy.Problem(cvxpy.Maximize(sum(each.gain for each in programs)), constraints)
    said = []
    for solver in _SOLVERS:
        options = {"CLARABEL": {"tol_gap_rel": min(tolerance / 10, 1e-3)}, "SCS": {"eps": 1e-6, "max_iters": 20_000}}
        try:
            program.solve(solver=solver, **options[solver])
        except cvxpy.error.SolverError as error:
            said.append(f"{solver}: {error}")
        if all(matrix.value is not None for each in programs for matrix in each.control):
            shares = np.mean([_shares(each.conditions, choices) for each in programs], axis=0)
            return settled(tasks, [each.multiplier() for each in programs])[0], shares
        said.append(f"{solver}: {program.status}")
    raise RuntimeError(f"no solver found a multiplier ({'; '.join(said)}): try method='scalable', or fewer pieces.")


class _Program:
    """The part of the programme that is about one output; the conditions are multiplied by a duration."""

    def __init__(self, cvxpy: Any, task: CertificateTask, knots: np.ndarray, degree: int, cap: float | None, lent: Any):
        size, choices, self._knots, self._degree, self._capped = (
            len(task.start),
            len(task.generators),
            knots,
            degree,
            cap,
        )
        self.control = control = [
            cvxpy.Variable((size, size), symmetric=True) for _ in range(degree * (len(knots) - 1) + 1)
        ]
        self.last, self.conditions, self._prices = [control[-1] << task.terminal], [], []
        corner = np.zeros((size, size))
        corner[-1, -1] = 1.0
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
                self._prices.append(price)
                for n, generator in enumerate(task.generators):
                    left = slope - duration / degree * (generator.T @ control[at] + control[at] @ generator)
                    if lent is not None:
                        left = left + lent[piece * (degree + 1) + order, n] * corner
                    self.conditions.append((left + price[n] if price else left) >> 0)
        self.gain = cvxpy.sum(cvxpy.multiply(np.outer(task.start, task.start), control[0]))

    def multiplier(self) -> Multiplier:
        prices, degree = None, self._degree
        if self._capped is not None:  # they were solved for multiplied by a duration
            scale = [d / degree for d in np.diff(self._knots) for _ in range(degree + 1)]
            prices = np.stack([_values(price) / factor for price, factor in zip(self._prices, scale, strict=True)])
            prices = prices.reshape(len(self._knots) - 1, degree + 1, *prices.shape[1:])
        return Multiplier(self._knots, _values(self.control), prices)


def _shares(constraints: list[Any], choices: int) -> np.ndarray:
    traces = [0.0 if each.dual_value is None else max(float(np.trace(each.dual_value)), 0.0) for each in constraints]
    table = np.reshape(traces, (-1, choices)) + 1e-12
    return table / table.sum(axis=1, keepdims=True)


def _values(variables: list[Any]) -> np.ndarray:
    return symmetrised(np.stack([np.asarray(variable.value) for variable in variables]))
