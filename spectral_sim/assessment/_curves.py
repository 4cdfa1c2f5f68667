"""The curves drawn beside the runs: bounds that no schedule can beat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..bounds import Certificate, ideal_oracle, static_sandwich
from ..problems import AbstractProblem, ModalProblem
from ..schedules import AbstractStage, stages_of

CERTIFICATE = "certificate"


@dataclass(frozen=True)
class Curve:
    """A loss curve that is not a run.

    Arguments:
        name: for legends and files.
        loss: shape (times,).
        kind: "bound" (no schedule goes below), "floor" (no parameters do), "lower" or "upper" (of a capped schedule).
        measure: whether it is to be compared with the loss on the evaluation set or on the training set.
        note: one sentence for readers.
        valid_until: the time up to which it says more than the floor; None if it always does.
    """

    name: str
    loss: np.ndarray
    kind: Literal["bound", "floor", "lower", "upper"]
    measure: Literal["evaluation", "training"]
    note: str
    valid_until: float | None = None


def bounds_of(
    problem: AbstractProblem, schedules: Sequence[AbstractStage], times: np.ndarray
) -> tuple[tuple[Curve, ...], tuple[str, ...]]:
    """Every bound that applies.

    Returns:
        The curves, and a warning for each that could not be computed.
    """
    modal = problem.as_modal()
    makers = [lambda: _proven(problem, times)]
    if modal is not None:
        makers = [lambda: _modal_ideal(modal, times), lambda: _sandwiches(modal, schedules, times)]
    curves, warnings = [], []
    for make in makers:
        try:
            curves += make()
        except (ValueError, TypeError, FloatingPointError) as error:  # a comparison without a bound is still one
            warnings.append(f"a bound could not be computed: {error}")
    return tuple(curves), tuple(warnings)


def _modal_ideal(problem: ModalProblem, times: np.ndarray) -> list[Curve]:
    ideal = ideal_oracle(problem, times)
    error = float(np.max(np.asarray(ideal.quadrature_error)))
    note = "Water-filling: no weights of mean one reach a lower loss at any time."
    if error > 0:
        note += f" Quadrature error at most {error:.1e}."
    return [Curve("ideal (no schedule is lower)", _host(ideal.loss), "bound", "evaluation", note)]


def _sandwiches(problem: ModalProblem, schedules: Sequence[AbstractStage], times: np.ndarray) -> list[Curve]:
    curves = {}
    for schedule in schedules:
        clips = [stage.weight_bounds() for stage in stages_of(schedule) if stage.kind == "constrain"]
        bounds = [bound for bound in clips if bound is not None]
        if len(bounds) != 1:
            continue
        low, high = bounds[0]
        # the constrain stages after a clip average its weights over time or with 1, which keeps both bounds
        sandwich = static_sandwich(problem, times, low, high)
        under, over = f"uniform at {high:g} t", f"uniform at {low:g} t"
        curves[under] = Curve(
            under,
            _host(sandwich.lower),
            "lower",
            "evaluation",
            f"No schedule with weights up to {high:g} goes below it.",
        )
        if low > 0:
            curves[over] = Curve(
                over,
                _host(sandwich.upper),
                "upper",
                "evaluation",
                f"No schedule with weights from {low:g} goes above it.",
            )
    return list(curves.values())


def certified(certificate: Certificate, times: np.ndarray) -> Curve:
    """The curve of a certificate, NaN where it says nothing."""
    loss = certificate.bound(times)
    weights = "any weights" if certificate.cap is None else f"weights up to {certificate.cap:g}"
    note = f"Proven for {weights}, and for single horizons nearly tight: no schedule goes below it."
    return Curve(CERTIFICATE, np.where(loss > 0, loss, np.nan), "bound", "evaluation", note)


def _proven(problem: AbstractProblem, times: np.ndarray) -> list[Curve]:
    """What the problem itself says that no schedule can beat, and on data that no parameters can."""
    bound = problem.lower_bound(times)
    if bound is None:
        return []
    until = None if np.isinf(bound.valid_until) else float(bound.valid_until)
    curves = [Curve(bound.name, _host(bound.loss), "bound", "evaluation", bound.note, until)]
    if until is not None and until <= times[-1]:  # from there on the bound is the floor
        note = "Least squares on the evaluation data itself: no parameters that training can reach have a lower loss."
        floor = np.full(len(times), float(bound.loss[-1]))
        curves.append(Curve("least-squares floor", floor, "floor", "evaluation", note))
    return curves


def _host(loss) -> np.ndarray:
    return np.asarray(loss, np.float64)
