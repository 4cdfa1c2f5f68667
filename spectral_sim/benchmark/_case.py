"""What a case is, and what it is given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._program import Compiled
from ._result import CaseResult, Figure
from ._timing import interleaved, spread


@dataclass(frozen=True)
class Settings:
    """How the suite is run.

    Arguments:
        quick: fewer rounds and smaller sizes.
        rounds: pairs behind each ratio.
        platform: of the device, as JAX names it.
    """

    quick: bool
    rounds: int
    platform: str


@dataclass(frozen=True)
class Case:
    """One group of measurements.

    Arguments:
        name: for the command line and the files.
        title: what it is, in words.
        sizes: its sizes by name in a full run.
        quick: the same in a quick run.
        bytes: memory it needs for its sizes, all that is alive at once.
        run: fills in a result.
        platforms: where it makes sense; everywhere if empty.
        scaled: the size that is named, made smaller, when memory is short.
    """

    name: str
    title: str
    sizes: dict[str, int]
    quick: dict[str, int]
    bytes: Callable[[dict[str, int]], int]
    run: Callable[[Settings, dict[str, int], CaseResult], None]
    platforms: tuple[str, ...] = ()
    scaled: str = "schedules"

    def chosen(self, settings: Settings) -> dict[str, int]:
        """The sizes of this run.

        Arguments:
            settings: how the suite is run.
        """
        return self.quick if settings.quick else self.sizes


class PeerUnavailable(Exception):
    """A further program cannot run here; the message says why."""


@dataclass(frozen=True)
class Peer:
    """A further program on the CPU for the task of a case; its figure is the share of it that the library reaches.

    Arguments:
        case: name of the case whose task it does: "modal", or "closed", whose task comes with the powers.
        build: takes the task and returns a call without arguments that does it and returns its losses.
        target: key of the target that the share is judged by, if any.
        note: what it is built from, for the tables.

    Raises:
        PeerUnavailable: by `build`, where it cannot run; the figure then carries the reason.
    """

    case: str
    build: Callable[[Any], Callable[[], np.ndarray]]
    target: str | None = None
    note: str = ""


PEERS: dict[str, Peer] = {}
"""Further programs to compare with, by the name of their figure; empty unless the caller adds some."""


def timed(
    settings: Settings, result: CaseResult, calls: Mapping[str, Callable[[], Any]], rounds: int | None = None
) -> dict[str, np.ndarray]:
    """Seconds of every call in every round, shape (rounds,), by name; compiled programs are recorded."""
    seconds = interleaved(calls, rounds or settings.rounds)
    known = {program.name for program in result.programs}
    programs = {name: call for name, call in calls.items() if isinstance(call, Compiled) and call.name not in known}
    result.programs += [call.measured(seconds[name]) for name, call in programs.items()]
    return seconds


def ratio(
    name: str,
    above: np.ndarray,
    below: np.ndarray,
    *,
    factor: float = 1.0,
    unit: str = "times",
    difference: float | None = None,
    errors: tuple[float, float] | None = None,
    tolerance: float | None = None,
    note: str = "",
    target: str | None = None,
    less_is_better: bool = False,
) -> Figure:
    """A ratio of seconds, taken within rounds, times a constant."""
    value = spread(factor * above / below)
    return Figure(name, value, unit, difference, note, target, errors, tolerance, less_is_better)


def absent(name: str, error: BaseException, target: str | None = None) -> Figure:
    """A figure that could not be measured here, and why."""
    return Figure(name, None, note=" ".join(str(error).split()), target=target)


def apart(result: Any, reference: Any) -> float:
    """Largest difference of losses, relative."""
    return float(np.max(np.abs(np.asarray(result, np.float64) / np.asarray(reference, np.float64) - 1)))


def apart_by_row(result: Any, reference: Any) -> float:
    """Largest difference of rows, relative to the length of the row."""
    result, reference = np.asarray(result, np.float64), np.asarray(reference, np.float64)
    return float(np.max(np.linalg.norm(result - reference, axis=1) / np.linalg.norm(reference, axis=1)))
