"""What a search for a schedule leaves behind, beside the runs of the schedules it found."""

from dataclasses import dataclass

import numpy as np

from ..learning import AbstractObjective, ByHand, CeilingAndDeployable, Learned


@dataclass(frozen=True)
class SearchCurve:
    """The progress of one search.

    Arguments:
        name: of the run of the schedule that it found.
        values: objective of every start before each step, shape (steps, starts); NaN once a start has failed.
        optimum: what no schedule goes below; NaN where that is not known.
        kind: how that is known, such as "water-filling" or "speed limit"; empty where it is not.
        uniform: objective of no curation.
        by_hand: name of the best hand-written schedule; empty where none was compared.
        by_hand_value: its objective; NaN where none was compared.
        measured_on: what the search saw; empty on modes, where there is but one loss.
        value: objective of the schedule that was found, without penalties.
        is_penalised: whether `values` hold penalties, which the other numbers do not.
    """

    name: str
    values: np.ndarray
    optimum: float
    kind: str
    uniform: float
    by_hand: str
    by_hand_value: float
    measured_on: str
    value: float
    is_penalised: bool

    @property
    def is_attained(self) -> bool:
        """Whether a schedule can reach the optimum, so that the gap to it goes to zero."""
        return self.kind not in ("speed limit", "certificate", "")

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
        measures: what the objective is the logarithm of, "loss" or "time".
    """

    curves: tuple[SearchCurve, ...]
    beside: tuple[str, ...]
    objective: str
    verdict: str
    measures: str


def search_of_modes(
    learned: Learned, name: str, ideal: str, objective: AbstractObjective, words: str, compared: ByHand | None
) -> Search:
    """The search on a modal problem, where the optimum is known.

    Arguments:
        learned: what the search found.
        name: of the learned schedule.
        ideal: name of the optimum that it is held against.
        objective: what was minimised.
        words: what was searched for and how, for readers.
        compared: hand-written schedules on the same problem; None if there are none.
    """
    gap = learned.gap[0]
    if gap.gap is None or gap.optimum is None:
        verdict = (
            f"The objective of the learned schedule is {gap.uniform - gap.value:.2g} e-folds of {objective.measures} "
            "below that of uniform sampling; no bound on it is known."
        )
    else:
        optimum = {
            "water-filling": "water-filling, which no schedule beats",
            "capped envelope": "the optimum under the same cap, which can be attained at one horizon only",
        }.get(gap.kind or "", f"{gap.kind}, which no schedule beats")
        hand = (
            ""
            if compared is None
            else (f", that of the best hand-written schedule ({compared.best}) {compared.best_value - gap.optimum:.3g}")
        )
        verdict = (
            f"The objective of the learned schedule is {gap.gap:.2g} e-folds of {objective.measures} "
            f"({np.expm1(gap.gap):.1%}) above {optimum}; that of uniform sampling is {gap.uniform - gap.optimum:.3g} "
            f"e-folds above it{hand}."
        )
    curves = (_curve(learned, name, "", objective, *_best(compared)),)
    return Search(curves, (name, ideal), words, verdict, objective.measures)


def search_of_data(
    found: CeilingAndDeployable | Learned,
    names: tuple[str, ...],
    objective: AbstractObjective,
    words: str,
    compared: ByHand | None,
) -> Search:
    """The searches on a data problem: ceiling and deployable, or one search where nothing is held out.

    Arguments:
        found: ceiling and deployable schedule, or the one that was learnt where nothing is held out.
        names: of the learned schedules, in that order.
        objective: what was minimised.
        words: what was searched for and how, for readers.
        compared: hand-written schedules on the same problem; None if there are none.
    """
    if isinstance(found, Learned):
        verdict = _on_what_was_searched(found, objective, compared)
        curves = (_curve(found, names[0], "training loss", objective, *_best(compared)),)
        return Search(curves, names, words, verdict, objective.measures)
    saw = f"{found.searched_on} loss"
    curves = (
        _curve(found.deployable, names[0], saw, objective, *_best(found.compared)),
        _curve(found.ceiling, names[1], "held-out loss", objective, found.by_hand, found.by_hand_value),
    )
    return Search(curves, names, words, found.verdict(), objective.measures)


def _on_what_was_searched(found: Learned, objective: AbstractObjective, compared: ByHand | None) -> str:
    """The verdict on a search without held-out data."""
    gap = found.gap[0]
    if gap.gap is None:
        limit = "; no bound on it is known"
    elif np.isfinite(gap.gap):
        limit = f"; the {gap.kind} allows {gap.gap:.2g} more"
    else:
        limit = f"; the {gap.kind} says nothing after t = {gap.valid_until:.3g}"
    hand = ""
    if compared is not None:
        hand = f"; {compared.best_value - gap.value:.2g} below the best hand-written schedule ({compared.best})"
        if compared.best == "uniform":
            hand = "; no hand-written schedule is better than uniform sampling"
    return (
        "Nothing is held out, so the learned schedule was scored on what it was learned on: it is "
        f"{gap.uniform - gap.value:.2g} e-folds of {objective.measures} below uniform sampling{hand}{limit}."
    )


def _best(compared: ByHand | None) -> tuple[str, float]:
    return ("", float("nan")) if compared is None else (compared.best, compared.best_value)


def _curve(
    learned: Learned, name: str, measured_on: str, objective: AbstractObjective, by_hand: str, by_hand_value: float
) -> SearchCurve:
    gap = learned.gap[0]
    return SearchCurve(
        name=name,
        values=learned.history,
        optimum=float("nan") if gap.optimum is None else gap.optimum,
        kind=gap.kind or "",
        uniform=gap.uniform,
        by_hand=by_hand,
        by_hand_value=by_hand_value,
        measured_on=measured_on,
        value=gap.value,
        is_penalised=objective.needs_weights,
    )
