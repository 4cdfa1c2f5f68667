"""The runs of one split: all schedules side by side, in one program for each kind of dynamics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from .._simulate_many import simulate_many
from ..problems import AbstractProblem
from ._entry import Entry, Split
from ._record import Record


@dataclass(frozen=True)
class Recorded:
    """What one run of one schedule left behind, as float64 NumPy arrays.

    Arguments:
        loss: shape (times,).
        saved: everything that `Record` keeps, by name.
        status: a `Status` code.
        refresh: index of the first bad refresh, -1 if none.
        quadrature_error: largest relative change of the loss on a rule with twice the nodes; None without quadrature.
        faults: what the dynamics says of each of its faults.
    """

    loss: np.ndarray
    saved: dict[str, np.ndarray]
    status: int
    refresh: int
    quadrature_error: float | None = None
    faults: tuple[str, ...] = ()


def run_split(
    split: Split, wanted: Sequence[int], times: np.ndarray, record: Record, seed: int, shift: int = 0
) -> Iterator[dict[int, Recorded]]:
    """Run schedules of a split.

    Arguments:
        split: problem and schedules.
        wanted: numbers of the schedules to run.
        times: refresh grid.
        record: what to keep.
        seed: seed of random stages, for entries that say nothing else.
        shift: added to every seed, so that splits draw anew.

    Yields:
        What was recorded, by the number of the entry; once for each set of schedules that runs together.
    """
    together: dict[tuple[int, int, int], list[int]] = {}
    for number in wanted:
        entry = split.entries[number]
        own = split.problem if entry.problem is None else entry.problem
        key = id(own), id(entry.dynamics), (seed if entry.seed is None else entry.seed) + shift
        together.setdefault(key, []).append(number)
    for (_, _, own_seed), numbers in together.items():
        entries = [split.entries[number] for number in numbers]
        own = split.problem if entries[0].problem is None else entries[0].problem
        yield dict(zip(numbers, _run_together(own, entries, times, record, own_seed), strict=True))


def _run_together(
    problem: AbstractProblem, entries: list[Entry], times: np.ndarray, record: Record, seed: int
) -> list[Recorded]:
    options: dict[str, Any] = {"key": jax.random.key(seed), "dynamics": entries[0].dynamics, "throw": False}
    schedules = {str(number): entry.schedule for number, entry in enumerate(entries)}
    # nothing is differentiated here, so nothing is to be kept for it
    found = simulate_many(problem, schedules, times, save=record, adjoint="direct", **options)
    loss, status, refresh = (np.asarray(x) for x in (found.loss, found.status, found.refresh))
    saved = {name: np.asarray(values, np.float64) for name, values in found.saved.items()}
    errors = _quadrature_errors(problem, entries, times, options, loss)
    return [
        Recorded(
            loss[n].astype(np.float64),
            {name: values[n] for name, values in saved.items()},
            int(status[n]),
            int(refresh[n]),
            errors[n],
            found.faults,
        )
        for n in range(len(entries))
    ]


def _quadrature_errors(
    problem: AbstractProblem, entries: list[Entry], times: np.ndarray, options: dict[str, Any], loss: np.ndarray
) -> list[float | None]:
    """As `bounds.quadrature_error`, for losses that are known; NaN for a schedule made for this number of nodes."""
    finer = problem.refined()
    if finer is None:
        return [None] * len(entries)
    errors: list[float | None] = [float("nan")] * len(entries)
    suited = {str(n): entry.schedule for n, entry in enumerate(entries) if _suits(entry, finer)}
    if suited:
        doubled = np.asarray(simulate_many(finer, suited, times, adjoint="direct", **options).loss, np.float64)
        for row, n in enumerate(map(int, suited)):
            errors[n] = float(np.max(np.abs(doubled[row] / loss[n] - 1)))
    return errors


def _suits(entry: Entry, problem: AbstractProblem) -> bool:
    try:
        jax.eval_shape(lambda: entry.schedule.init(problem))
    except ValueError:
        return False
    except jax.errors.JAXTypeError:  # a start that depends on values says what is wrong with them when it runs
        return True
    return True
