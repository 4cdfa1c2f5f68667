"""What a search for a schedule leaves behind, beside the runs of the schedules it found."""

from dataclasses import dataclass

import numpy as np

from ..learning import CeilingAndDeployable, Learned

__all__ = ["Search", "SearchCurve", "search_of_data", "search_of_modes"]


@dataclass(frozen=True)
class SearchCurve:
    """The progress of one search.

    Arguments:
        name: of the run of the schedule that it found.
        values: objective of every start before each step, shape (steps, starts); NaN once a start has failed.
        optimum: what no schedule goes below.
        kind: how that is known: "water-filling", "capped envelope" or "speed limit".
        uniform: objective of no curation.
        by_hand: name of the best hand-written schedule.
        by_hand_value: its objective.
        measured_on: what the search saw; empty on modes, where there is but one loss.
    """

    name: str
    values: np.ndarray
    optimum: float
    kind: str
    uniform: float
    by_hand: str
    by_hand_value: float
    measured_on: str

    @property
    def is_attained(self) -> bool:
        """Whether a schedule can reach the optimum, so that the gap to it goes to zero."""
        return self.kind != "speed limit"

    @property
    def best(self) -> np.ndarray:
        """The best objective of any start so far, shape (steps,)."""
        return np.fmin.accumulate(np.fmin.reduce(self.values, axis=1))


@dataclass(frozen=True)
class Search:
    """A search, for the report.

    Arguments:
        curves: one for each schedule that was learned.
        beside: names of the runs whose weights are shown beside each other: what was learned, then what is ideal.
        objective: what was minimised, in words.
        verdict: what came of it, in words.
    """

    curves: tuple[SearchCurve, ...]
    beside: tuple[str, ...]
    objective: str
    verdict: str


def search_of_modes(learned: Learned, name: str, ideal: str, objective: str) -> Search:
    """The search on a modal problem, where the optimum is known."""
    gap = learned.gap[0]
    optimum = {
        "water-filling": "water-filling, which no schedule beats",
        "capped envelope": "the optimum under the same cap, which can be attained at one horizon only",
    }[gap.kind]
    reached = np.expm1(gap.gap)
    verdict = (
        f"The objective of the learned schedule is {gap.gap:.2g} e-folds ({reached:.1%} of the loss) above {optimum}; "
        f"that of uniform sampling is {gap.uniform - gap.optimum:.3g} e-folds above it, that of the best hand-written "
        f"schedule ({gap.best_by_hand}) {gap.best_by_hand_value - gap.optimum:.3g}."
    )
    return Search((_curve(learned, name, ""),), (name, ideal), objective, verdict)


def search_of_data(found: CeilingAndDeployable | Learned, names: tuple[str, ...], objective: str) -> Search:
    """The searches on a data problem: ceiling and deployable, or one search where nothing is held out."""
    if isinstance(found, Learned):
        gap = found.gap[0]
        until = "" if np.isinf(gap.valid_until) else f" (it bites before t = {gap.valid_until:.3g})"
        verdict = (
            f"Nothing is held out, so the learned schedule was scored on what it was learned on: it is "
            f"{gap.uniform - gap.value:.2g} e-folds below uniform sampling and "
            f"{gap.best_by_hand_value - gap.value:.2g} below the best hand-written schedule ({gap.best_by_hand}); the "
            f"speed limit{until} allows {gap.gap:.2g} more."
        )
        return Search((_curve(found, names[0], "training loss"),), names, objective, verdict)
    curves = (
        _curve(found.deployable, names[0], f"{found.searched_on} loss"),
        _curve(found.ceiling, names[1], "held-out loss"),
    )
    return Search(curves, names, objective, found.verdict())


def _curve(learned: Learned, name: str, measured_on: str) -> SearchCurve:
    gap = learned.gap[0]
    return SearchCurve(
        name=name,
        values=learned.history,
        optimum=gap.optimum,
        kind=gap.kind,
        uniform=gap.uniform,
        by_hand=gap.best_by_hand,
        by_hand_value=gap.best_by_hand_value,
        measured_on=measured_on,
    )
