"""Bisection on the host, entry by entry."""

from collections.abc import Callable
from typing import Any

import numpy as np


def bisect(
    left: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray, steps: int = 60, *, ends: bool = False
) -> Any:
    """Find where `left` turns from true at `low` to false at `high`, entry by entry.

    Arguments:
        left: true on the side of `low`, false on that of `high`.
        low, high: ends of the bracket, one for each entry.
        steps: halvings.
        ends: return the last bracket and not its middle.
    """
    for _ in range(steps):
        middle = (low + high) / 2
        true = left(middle)
        low, high = np.where(true, middle, low), np.where(true, high, middle)
    return (low, high) if ends else (low + high) / 2
