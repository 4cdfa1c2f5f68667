"""Tables of mixtures that change during the run, checked."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._mixture_table import check_shares, values_of


def phase_table(
    ratios: Any, fractions: Any, domains: Sequence[str] | None
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[str, ...] | None]:
    """Shares (runs, phases, domains), fractions (runs, phases), names of the domains and of the runs."""
    names, runs = domains, None
    if isinstance(ratios, list | tuple) and all(hasattr(frame, "columns") for frame in ratios):
        parts = [values_of(frame, f"ratios[{n}]", "domain") for n, frame in enumerate(ratios)]
        if any(part[1] != parts[0][1] or part[2] != parts[0][2] for part in parts):
            raise ValueError("ratios: the data frames of the phases differ in their columns or runs: give them alike.")
        _, names, runs = parts[0]
        ratios = np.stack([values for values, _, _ in parts], axis=1)
    if hasattr(ratios, "columns") or np.ndim(ratios) != 3:
        raise ValueError(
            f"ratios has shape {np.shape(ratios)}, a static table: phases need shares (runs, phases, domains), "
            "or one data frame for each phase; use fit_mixture for mixtures that do not change."
        )
    values = np.asarray(ratios, np.float64)
    if names is None:
        names = tuple(f"domain {g}" for g in range(values.shape[2]))
    if values.shape[1] < 2:
        raise ValueError("ratios has one phase: use fit_mixture for mixtures that do not change.")
    shares, parts = checked_phases(values, fractions, tuple(names))
    return shares, parts, tuple(names), runs


def checked_phases(ratios: Any, fractions: Any, domains: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Shares with sum one in each phase, and fractions with sum one in each run."""
    values = np.asarray(ratios, np.float64)
    if values.ndim != 3 or values.shape[2] != len(domains):
        raise ValueError(
            f"ratios has shape {values.shape}: give shares of {len(domains)} domains, (runs, phases, domains)."
        )
    runs, phases, _ = values.shape
    names = [str(n) for n in range(runs)]
    shares = np.stack([check_shares(values[:, k], names, domains, f"ratios of phase {k}")[0] for k in range(phases)], 1)
    parts = np.asarray(fractions, np.float64)
    parts = np.broadcast_to(parts, (runs, phases)) if parts.ndim == 1 and parts.shape[0] == phases else parts
    if parts.shape != (runs, phases):
        raise ValueError(
            f"fractions has shape {parts.shape}: give the part of the run that each of the {phases} phases takes, "
            f"shape ({phases},) or ({runs}, {phases})."
        )
    wrong = (parts < 0).any(axis=1) | (np.abs(parts.sum(axis=1) - 1) > 1e-6) | ~np.isfinite(parts).all(axis=1)
    if wrong.any():
        n = int(np.argmax(wrong))
        raise ValueError(f"fractions of run {n} are {parts[n]}: give non-negative numbers with sum one.")
    return shares, parts
