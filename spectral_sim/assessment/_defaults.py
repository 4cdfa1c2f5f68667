"""What to try on a data set, and when to look, where the user does not say."""

import dataclasses
import re
from collections.abc import Iterable, Sequence

import numpy as np

from .._checks import nearest
from .._times import log_times
from ..dynamics import SelfGenerated
from ..problems import AbstractProblem, OperatorProblem
from ..schedules import (
    AbstractStage,
    chain,
    clip,
    complement,
    curriculum,
    hard_pruning,
    leverage_sampling,
    mix,
    proportional,
    random_pruning,
    relative_trace,
    self_scoring,
    softmax,
    stale,
    teacher,
    top_fraction,
    uniform,
)
from ._entry import Entry

REFRESHES_PER_DECADE = 8
"""How many refreshes the default grid has in each decade of time."""

_KEPT = 0.7
_ENERGY_LEFT = 0.01
_LATEST = 1e6
_EXCESS = "excess over"
_MEANINGS = {
    "uniform": "Every example as often as every other.",
    "random": "A random part of the examples, chosen once.",
    "easiest": "The examples that a briefly trained probe gets right best, chosen once.",
    "hardest": "The examples that a briefly trained probe gets most wrong, chosen once.",
    "leverage": "In proportion to how far an example's features stand out.",
    "curriculum easy": "A pool that grows from the easiest examples to all.",
    "curriculum hard": "A pool that grows from the hardest examples to all.",
    "loss-proportional": "In proportion to the present squared error of each example.",
    "root-loss": "In proportion to the size of the present error of each example.",
    "top half": "The half of the examples with the largest present error, all alike.",
    "softmax": "By a softmax of the present squared error, weights up to 10.",
    "practical": "In proportion to squared errors scored once an epoch, weights 0.1 to 10, and a tenth uniform.",
    "distance": "By how far the learner's outputs lie from those of a teacher.",
    "what a": "By the present error, as far as a teacher that was trained before has learnt the example.",
    "excess": "By how much worse the learner is on an example than another model is.",
    "self-scoring": "By the present error, as far as the learner itself has begun to learn the example.",
    "half self": "Uniform, with half of the labels made by the learner.",
    "groups": "Whole groups in proportion to their present mean squared error, weights 0.1 to 10.",
}
QUICK = ("uniform", "random 70%", "hardest 70%", "loss-proportional", "practical oracle")
"""Names of the few schedules that a quick comparison runs."""

_SPARSE = 16  # the longest run is scored about so often where scoring is kept sparse


def default_times(
    problem: AbstractProblem,
    per_decade: int = REFRESHES_PER_DECADE,
    horizon: float | None = None,
    first: float | None = None,
) -> np.ndarray:
    """A log grid from a tenth of 1 / kappa to when uniform training has visibly flattened.

    Arguments:
        problem: one whose spectrum under uniform sampling is known.
        per_decade: refreshes per decade of time.
        horizon: last time; if None, 1 / lam of the last mode from which on more than 1% of the energy that can be
            learnt is left, at most 1e6 / kappa.
        first: time of the first refresh after the start, such as that of one step, at most a tenth of the last; if None
            a tenth of 1 / kappa.

    Returns:
        Refresh grid, shape (times,), from 0.

    Raises:
        ValueError: a problem that does not say what its spectrum is.
    """
    modal = problem.spectrum()
    if modal is None:
        raise ValueError(
            f"{type(problem).__name__} does not say what its spectrum is: give times, such as log_times()."
        )
    kappa = float(modal.trace)
    if horizon is None:
        energy = np.asarray(modal.multiplicity * modal.energies, np.float64)
        left = np.cumsum(energy[::-1])[::-1]
        deepest = int(np.sum(left > _ENERGY_LEFT * left[0])) - 1
        eigenvalue = float(modal.eigenvalues[deepest])
        horizon = min(1 / max(eigenvalue, kappa / _LATEST), _LATEST / kappa)
    first = min(0.1 / kappa if first is None else first, horizon / 10)
    return log_times(first, horizon, 2 + max(2, round(np.log10(horizon / first) * per_decade)))


def default_entries(
    problem: OperatorProblem,
    times: np.ndarray,
    *,
    reference: tuple[str, np.ndarray] | None,
    groups: np.ndarray | None = None,
    epoch: float,
) -> list[Entry]:
    """Schedules that are used in practice, and the paradigms: what teachers and second models can see of the residual.

    Rules that follow the loss come in two variants, scored at every refresh and about as seldom as pays: once an epoch
    at most, and some sixteen times in all.

    Arguments:
        problem: a data problem.
        times: refresh grid; at a tenth of its end curricula are complete, and up to there teachers have trained.
        reference: a second model of another kind, with a name and features of the training examples, shape (examples,
            second_features); it is trained for as much compute as teachers are. Left out if None.
        groups: group number of each example, for one schedule with weights per group; None for none.
        epoch: time units that one pass over the data takes.

    Returns:
        The entries, uniform first.
    """
    end = float(times[-1]) / 10
    percent = f"{_KEPT:.0%}"
    seldom = max(epoch, float(times[-1]) / _SPARSE)

    def both(name: str, schedule: AbstractStage) -> list[Entry]:
        sparse = Entry(name, chain(stale(seldom), schedule), variant="as seldom as pays")
        return [Entry(name, schedule, variant="at every refresh"), sparse]

    entries = [
        Entry("uniform", uniform()),
        Entry(f"random {percent}", random_pruning(_KEPT)),
        Entry(f"easiest {percent}", hard_pruning(_KEPT, keep="easy")),
        Entry(f"hardest {percent}", hard_pruning(_KEPT, keep="hard")),
        Entry("leverage", leverage_sampling()),
        Entry("curriculum easy to hard", curriculum(end, start=0.2, order="easy_to_hard")),
        Entry("curriculum hard to easy", curriculum(end, start=0.2, order="hard_to_easy")),
        *both("loss-proportional", proportional(1.0)),
        *both("root-loss-proportional", proportional(0.5)),
        *both("top half by loss", top_fraction(0.5)),
        *both("softmax of loss", chain(softmax(1.0), clip(0.0, 10.0))),
        Entry("practical oracle", chain(stale(epoch), proportional(1.0), clip(0.1, 10.0), mix(0.1))),
        Entry("distance to a teacher", chain(teacher(end, shows="distance"), proportional(1.0), mix(0.1))),
        Entry("what a teacher has learnt", chain(teacher(end), proportional(1.0), mix(0.1))),
        *([] if reference is None else [_excess(problem, end, *reference)]),
        Entry("self-scoring", chain(self_scoring(), proportional(1.0), mix(0.1))),
        Entry("half self-generated", uniform(), dynamics=SelfGenerated(0.5, epoch)),
    ]
    if groups is not None:
        entries.append(Entry("groups by loss", chain(proportional(1.0), clip(0.1, 10.0)), problem.with_groups(groups)))
    return [dataclasses.replace(entry, meaning=_meaning(entry.name)) for entry in entries]


def _excess(problem: OperatorProblem, end: float, kind: str, features: np.ndarray) -> Entry:
    relative = float(relative_trace(complement(features=features), problem))
    schedule = chain(complement(end / relative, features=features), proportional(1.0), mix(0.1))
    return Entry(f"{_EXCESS} {kind}", schedule)


def _meaning(name: str) -> str:
    return next(text for start, text in _MEANINGS.items() if name.startswith(start))


def chosen_entries(entries: Sequence[Entry], names: Iterable[str] | None) -> list[Entry]:
    """The entries with the given names, uniform sampling always among them.

    Arguments:
        entries: what there is to choose from.
        names: names; case, and what is no letter or digit, do not matter ("top-half-by-loss"). If None all that
            choose weights: not those in which the learner makes labels, which take a program of their own.

    Raises:
        ValueError: a name that there is not.
    """
    if names is None:
        return [entry for entry in entries if entry.dynamics is None]
    known = {_plain(entry.name): entry.name for entry in entries}
    wanted = {"uniform"}
    for name in names:
        if _plain(name) not in known:
            shown = list(dict.fromkeys(entry.name for entry in entries))
            raise ValueError(f"schedule {name!r} is not known.{nearest(name, shown)}")
        wanted.add(known[_plain(name)])
    return [entry for entry in entries if entry.name in wanted]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
