"""`--certify`: a proof of how much any schedule could gain, beside the schedules that were run."""

import dataclasses

import numpy as np
from rich.console import Console

from ..bounds import certificate
from ..problems.tables import option
from ._errors import UserError, explained
from ._part import Part
from ._progress import steps

_WORK = 1e13  # floating-point operations: some minutes on two cores
_HORIZONS = (0.01, 0.1, 1.0)  # of the last time
_STEPS = 25


def _work(choices: int, outputs: int, features: int) -> float:
    """Operations of all searches, about: factors of the normal equations, and their entries."""
    return len(_HORIZONS) * _STEPS * outputs * (10.0 * features**6 + 200.0 * choices * features**4)


def check_certifiable(part: Part) -> None:
    """Refuse what would take hours, before anything long begins."""
    data = part.problem.as_operator()
    if data is None:
        raise UserError(
            f"{option('certify')} is for data: on modes water-filling is the optimum, and the report has it."
        )
    choices, (features, outputs) = data.mass.shape[0], data.initial_parameters.shape
    if _work(choices, outputs, features) > _WORK:
        most = max((n for n in range(1, features) if _work(choices, outputs, n) <= _WORK), default=1)
        raise UserError(
            f"{option('certify')} with {choices} weights, {features} features and {outputs} outputs would take hours: "
            f"add {option('features', most)}, or weights on groups ({option('group')} and {option('by_group')})."
        )


def certify_part(part: Part, where: str, progress: Console) -> Part:
    """Prove what no schedule can beat at the last time, and at a tenth and a hundredth of it."""
    check_certifiable(part)
    data, last = part.problem.as_operator(), float(part.times[-1])
    assert data is not None
    horizons = [part.times[np.argmin(np.abs(part.times - last * factor))] for factor in _HORIZONS]
    horizons = np.unique([time for time in horizons if time > 0])
    with explained(where), steps(progress, f"certificate of {part.name}"):
        found = certificate(data, part.times, horizon=horizons)
    settings = {**part.settings, "certificate": found.loss.tolist(), "certificate_horizons": horizons.tolist()}
    return dataclasses.replace(part, certificate=found, settings=settings)
