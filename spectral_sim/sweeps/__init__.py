"""Sweeps over leaves of schedules and problems: one compiled program, many rows, one labelled table."""

from ._engines import AbstractEngine, Local, Processes
from ._errors import StoreError
from ._metric import AbstractMetric, MemberRun, Variable
from ._metrics import (
    METRICS,
    Crossover,
    Exponent,
    FinalLoss,
    GainKept,
    LossAt,
    LossCurve,
    MaxWeight,
    OverIdeal,
    TimeToLoss,
)
from ._ray import Ray
from ._reading import open_table
from ._spec import Block, Range, SweepSpec, grid, random_search, sobol
from ._speedups import AnytimeSpeedup, NetSpeedup
from ._sweep import DEFAULT_METRICS, Progress, SweepInterrupted, sweep
from ._table import as_grid

__all__ = [
    "DEFAULT_METRICS",
    "METRICS",
    "AbstractEngine",
    "AbstractMetric",
    "AnytimeSpeedup",
    "Block",
    "Crossover",
    "Exponent",
    "FinalLoss",
    "GainKept",
    "Local",
    "LossAt",
    "LossCurve",
    "MaxWeight",
    "MemberRun",
    "NetSpeedup",
    "OverIdeal",
    "Progress",
    "Range",
    "Processes",
    "Ray",
    "StoreError",
    "SweepInterrupted",
    "SweepSpec",
    "TimeToLoss",
    "Variable",
    "as_grid",
    "grid",
    "open_table",
    "random_search",
    "sobol",
    "sweep",
]
