"""What metrics count in: the intrinsic time of rows, or their steps."""

from typing import Any

import jax
import numpy as np

from .._clock import run_clock
from ._paths import placed
from ._spec import SweepSpec

_TOGETHER = 4096  # values that are looked at in one batch


def row_times(problem: Any, spec: SweepSpec, grid: np.ndarray, dynamics: Any) -> tuple[np.ndarray, bool]:
    """The times at which metrics see the loss, and whether they are steps.

    Dynamics with steps have an intrinsic time, the sum of their rates. Metrics count in it as long as all rows share
    it. Where a swept rate gives each row times of its own, they count steps, which rows do share.

    Arguments:
        problem: what is to be learnt.
        spec: the rows.
        grid: refresh grid on the clock of the dynamics.
        dynamics: how the learner moves; None for the default.
    """
    own = problem.default_dynamics() if dynamics is None else dynamics
    if own.clock == "time":
        return grid, False

    def durations(values: dict[str, Any]) -> Any:
        moved = placed(values, spec.schedule, problem, own, None)[2]
        return run_clock(moved, grid, problem.dtype)[1].durations

    alone = np.asarray(durations({}))
    for block in spec.blocks:
        for path, values in zip(block.paths, block.values, strict=True):
            if not path.startswith("dynamics."):
                continue
            distinct = np.unique(values, axis=0)
            for start in range(0, len(distinct), _TOGETHER):
                found = jax.vmap(lambda value, path=path: durations({path: value}))(distinct[start : start + _TOGETHER])
                if not np.array_equal(np.asarray(found), np.broadcast_to(alone, found.shape)):
                    return grid, True
    return np.asarray(run_clock(own, grid, problem.dtype)[1].times, np.float64), False
