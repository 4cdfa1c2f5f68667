"""`--certify`: a proof of how much any schedule could gain, beside the schedules that were run."""

import dataclasses
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console

from .._wording import option
from ..bounds import certificate
from ..bounds._certificate_cost import MEMORY, memory_needed, seconds_needed, shape_ahead
from ..problems import OperatorProblem
from ._errors import UserError, explained
from ._part import Part

_LONGEST = 1800.0  # processor seconds at all horizons together
_HORIZONS = (0.01, 0.1, 1.0)  # of the last time
_OFTEN = 10.0  # seconds between two lines of progress


def certifier(part: Part, where: str, progress: Console) -> Callable[[Part], Part]:
    """What adds a proof to a part: no schedule beats a loss at the last time, nor at a tenth and a hundredth of it.

    Arguments:
        part: what will be proven about; schedules may be added to it by then.
        where: named in errors.
        progress: where lines on the progress go.

    Raises:
        UserError: a problem that is not on data, or one that would take too long, before anything long begins.
    """
    data = part.problem.as_operator()
    if data is None:
        raise UserError(
            f"{option('certify')} is for data: on modes water-filling is the optimum, and the report has it."
        )
    last = float(part.times[-1])
    horizons = [part.times[np.argmin(np.abs(part.times - last * factor))] for factor in _HORIZONS]
    horizons = np.unique([time for time in horizons if time > 0])
    if not _fits(data, len(horizons)):
        raise UserError(_too_large(part, data, len(horizons)))
    needed = len(horizons) * seconds_needed(shape_ahead(data))
    if needed > _OFTEN:
        _say(progress, part, f"will take about {_spelled(needed)} of one processor at {len(horizons)} horizons")

    def certify(part: Part) -> Part:
        lines = _Lines(part, progress)
        with explained(where):
            found = certificate(data, part.times, horizon=horizons, report=lines.report)
        for horizon, loss, finished in zip(horizons, found.loss, found.finished, strict=True):
            early = "" if finished else " (the search was stopped early: a longer one may prove more)"
            _say(progress, part, f"no schedule goes below {loss:.4g} at {horizon:.4g}{early}")
        _say(progress, part, f"done in {time.perf_counter() - lines.begin:.1f} s")
        settings = {**part.settings, "certificate": found.loss.tolist(), "certificate_horizons": horizons.tolist()}
        return dataclasses.replace(part, certificate=found, settings=settings)

    return certify


class _Lines:
    """A line where a horizon begins, and one from time to time: the bound so far, and how long it took."""

    def __init__(self, part: Part, progress: Console):
        self.begin = time.perf_counter()
        self._part, self._progress, self._last, self._horizon = part, progress, self.begin, -1.0

    def report(self, horizon: float, bound: float) -> None:
        now = time.perf_counter()
        if horizon == self._horizon and now - self._last < _OFTEN:
            return
        so_far = "begins" if horizon != self._horizon else f"{bound:.4g} so far, not yet proven"
        _say(self._progress, self._part, f"time {horizon:.4g}: {so_far} ({now - self.begin:.1f} s)")
        self._last, self._horizon = now, horizon


def _fits(data: OperatorProblem, horizons: int, features: int | None = None) -> bool:
    shape = shape_ahead(data, features)
    return horizons * seconds_needed(shape) <= _LONGEST and memory_needed(shape) <= MEMORY


def _too_large(part: Part, data: OperatorProblem, horizons: int) -> str:
    choices, (features, outputs) = data.mass.shape[0], data.initial_parameters.shape
    shape = shape_ahead(data)
    return (
        f"{option('certify')} with {choices} weights, {features} features and {outputs} outputs would take about "
        f"{_spelled(horizons * seconds_needed(shape))} of one processor and {memory_needed(shape) / 1e9:.0f} GB: give "
        f"{_smaller(part, data, horizons)}."
    )


def _smaller(part: Part, data: OperatorProblem, horizons: int) -> str:
    """What would make it fit, of what this command takes beside what it has been given."""
    found, kernel, features = [], part.settings.get("kernel"), data.initial_parameters.shape[0]
    most = max((n for n in range(1, features) if _fits(data, horizons, n)), default=None)
    if most is not None and kernel != "own":  # of one's own kernel there are as many as rows
        found.append(f"a file of {most} features" if kernel == "own features" else option("features", most))
    if data.groups is None:
        known_noise = any(entry.is_ceiling for entry in part.entries)
        without = f", without {option('noise_column')}" if known_noise else ""
        found.append(f"weights on groups ({option('group')} and {option('by_group')}{without})")
    return ", or ".join(found) or f"fewer rows ({option('max_examples')})"


def _spelled(seconds: float) -> str:
    for size, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _say(progress: Console, part: Part, text: str) -> None:
    progress.print(f"certificate of {part.name}: {text}", highlight=False, markup=False)
