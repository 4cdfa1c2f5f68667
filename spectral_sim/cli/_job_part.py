"""One comparison of a job."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..assessment import Assessment, Entry, Search, Split, Steps
from ..bounds import Certificate
from ..problems import AbstractProblem

__all__ = ["Export", "Part"]

Export = Callable[[Assessment, Path, Sequence[Entry]], Assessment]
"""Writes more of a comparison, given its folder and its schedules, and gives back what is shown of it."""


@dataclass
class Part:
    """One comparison to be made: what `run_assessment` takes, and what is written of its outcome."""

    name: str
    problem: AbstractProblem
    entries: Sequence[Entry]
    times: np.ndarray
    title: str
    description: str
    subject: str | None = None
    cost: float = 0.0
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    group_names: tuple[str, ...] = ()
    search: Search | None = None
    certificate: Certificate | None = None
    picking: np.ndarray | None = None
    more_splits: Sequence[Callable[[], Split]] = ()
    overlap: float = 0.0
    steps: Steps | None = None
    facts: tuple[str, ...] = ()
    export: Export | None = None
