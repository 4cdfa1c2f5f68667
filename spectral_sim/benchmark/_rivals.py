"""A case beside other programs for its task: those that can run here, timed in the same rounds as ours."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ._case import PEERS, PeerUnavailable, Settings, absent, apart, ratio, timed
from ._result import CaseResult, Figure


class Rival(NamedTuple):
    """Another program for the task of a case.

    Arguments:
        title: of its figure.
        build: () -> a call that does the task and returns its results; `ImportError` and `PeerUnavailable` say why it
            cannot run here.
        target: key of the target that the figure is judged by, if any.
        note: for the tables; `{errors}` in it becomes the errors of both sides.
        unit: of the figure.
    """

    title: str
    build: Callable[[], Callable[[], Any]]
    target: str | None = None
    note: str = ""
    unit: str = "times"


def added_rivals(case: str, task: Any, settings: Settings) -> list[Rival]:
    """The programs that the caller has added for the task of a case."""

    def build(make: Callable[[Any], Callable[[], Any]]) -> Callable[[], Any]:
        if settings.platform != "cpu":
            raise PeerUnavailable("a program on the CPU is no peer of an accelerator")
        return make(task)

    peers = {name: peer for name, peer in PEERS.items() if peer.case == case}
    return [Rival(name, partial(build, peer.build), peer.target, peer.note, "share") for name, peer in peers.items()]


def against(
    settings: Settings,
    result: CaseResult,
    ours: Callable[[], Any],
    rivals: Sequence[Rival],
    exact: Any,
    tolerance: float,
    *,
    beside: Mapping[str, Callable[[], Any]] | None = None,
    difference: Callable[[Any, Any], float] = apart,
    rounds: int | None = None,
) -> tuple[dict[str, np.ndarray], list[Figure]]:
    """Seconds of all programs, ours under "ours", and a figure for each rival: its seconds over ours.

    Arguments:
        settings: of the suite.
        result: where compiled programs are recorded.
        ours: the library's program.
        rivals: the others.
        exact: what the results should be.
        tolerance: the accuracy that the case asks for.
        beside: further calls to be timed in the same rounds.
        difference: of two results.
        rounds: if not those of the settings.
    """
    calls = {"ours": ours, **(beside or {})}
    missing, results = {}, {}
    for rival in rivals:
        try:
            call = rival.build()
            results[rival.title] = call()
            calls[rival.title] = call
        except (ImportError, PeerUnavailable) as error:
            missing[rival.title] = error
    seconds = timed(settings, result, calls, rounds)
    own, figures = ours(), []
    for title, _, target, note, unit in rivals:
        if title in missing:
            figures.append(absent(title, missing[title], target))
            continue
        errors = difference(own, exact), difference(results[title], exact)
        figures.append(
            ratio(
                *(title, seconds[title], seconds["ours"]),
                unit=unit,
                difference=difference(results[title], own),
                errors=errors,
                tolerance=tolerance,
                note=note.replace("{errors}", f"error {errors[1]:.1e}, ours {errors[0]:.1e}"),
                target=target,
            )
        )
    return seconds, figures
