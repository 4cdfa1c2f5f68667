"""What to sweep: a template schedule, and values for leaves of it (and of the problem) by path."""

import dataclasses
import functools
import math
from typing import Any, Literal

import numpy as np

from .._checks import check_choice, check_finite
from .._extras import require
from .._identity import describe, fingerprint
from .._types import ArrayLike
from ..schedules import AbstractStage
from ._paths import check_schedule_values, full_path, is_schedule_path, placed

MOST_ROWS = 2**31 - 1  # rows are counted in 32 bits on the device


@dataclasses.dataclass(frozen=True)
class Range:
    """An interval to draw from.

    Arguments:
        low: lower end.
        high: upper end, above `low`.
        scale: "linear" or "log", what the draws are even in.
    """

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"

    def __post_init__(self) -> None:
        check_finite("low", self.low, "give a finite range")
        check_finite("high", self.high, "give a finite range")
        check_choice("scale", self.scale, ("linear", "log"))
        if self.high <= self.low:
            raise ValueError(f"Range({self.low:g}, {self.high:g}) is empty: give low < high.")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"Range({self.low:g}, {self.high:g}, 'log') reaches zero: give a positive low.")

    def at(self, part: np.ndarray) -> np.ndarray:
        """The values at parts of the way, 0 to 1.

        Arguments:
            part: numbers from 0 to 1, any shape.
        """
        if self.scale == "log":
            return self.low * (self.high / self.low) ** part
        return self.low + (self.high - self.low) * part


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """Leaves that vary together: one axis of the product.

    Arguments:
        paths: which leaves.
        values: for each of them an array whose leading axis is that of the block.
    """

    paths: tuple[str, ...]
    values: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.values[0])


@dataclasses.dataclass(frozen=True, eq=False)
class SweepSpec:
    """The rows of a sweep: every combination of its blocks, the last one moving fastest. Nothing is built in advance.

    Arguments:
        schedule: the template.
        blocks: what varies.
        kind: how the values were chosen: "grid", "sobol" or "random".
    """

    schedule: AbstractStage
    blocks: tuple[Block, ...]
    kind: str

    def __post_init__(self) -> None:
        if not self.blocks:
            raise ValueError("no path to vary: give at least one, as in grid(template, **{'clip.high': values}).")
        lengths = {" + ".join(block.paths): len(block) for block in self.blocks}
        empty = [name for name, length in lengths.items() if length == 0]
        if empty:
            raise ValueError(f"{empty[0]} has no values: an empty axis leaves an empty sweep; give at least one.")
        if math.prod(lengths.values()) > MOST_ROWS:
            product = " x ".join(f"{length:,} ({name})" for name, length in lengths.items())
            raise ValueError(
                f"the sweep would have {product} = {math.prod(lengths.values()):,} rows, and {MOST_ROWS:,} is the "
                "most: make an axis shorter, or draw rows with sobol()."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each block."""
        return tuple(len(block) for block in self.blocks)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every leaf that varies."""
        return tuple(path for block in self.blocks for path in block.paths)

    def __len__(self) -> int:
        return math.prod(self.shape)

    def points(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """Values of the rows start ... stop - 1 by path; rows beyond the end repeat the last one.

        Arguments:
            start: the first row.
            stop: the row after the last one.
        """
        rows = np.unravel_index(np.minimum(np.arange(start, stop), len(self) - 1), self.shape)
        return {
            path: values[row]
            for block, row in zip(self.blocks, rows, strict=True)
            for path, values in zip(block.paths, block.values, strict=True)
        }

    def schedule_at(self, row: int) -> AbstractStage:
        """The schedule of one row, for `simulate`.

        Arguments:
            row: its number, from 0.

        Raises:
            IndexError: no such row.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} is not in a sweep of {len(self):,} rows.")
        values = {path: value[0] for path, value in self.points(row, row + 1).items() if is_schedule_path(path)}
        return placed(values, self.schedule, None, None, None)[0]

    @functools.cached_property
    def description(self) -> dict[str, Any]:
        """Everything that the rows depend on, as plain JSON."""
        blocks = [dict(zip(block.paths, block.values, strict=True)) for block in self.blocks]
        return {
            "kind": self.kind,
            "schedule": describe(self.schedule, "schedule"),
            "blocks": describe(blocks, "blocks"),
        }

    @property
    def hash(self) -> str:
        """The same for the same stages, paths and values, in every process."""
        return fingerprint(self.description)


def grid(template: AbstractStage, /, **values: ArrayLike) -> SweepSpec:
    """Every combination of values of leaves of a template schedule.

    Paths: `"clip.high"` for a stage of a chain (`"2.high"` by position where two share a name), `"exponent"` on one
    stage alone; `"problem.alpha"` and `"problem.beta"` of a power law, or any array of the problem; `"dynamics.NAME"`;
    `"run.seed"` for the key of random stages. They contain dots, so pass them as `**{"clip.high": values}`.

    Arguments:
        template: the schedule, whose other leaves stay as they are.
        values: for each path values along a leading axis.

    Returns:
        A `SweepSpec`, whose first path moves slowest.

    Raises:
        ValueError: an unknown path, values that a stage refuses, an empty axis, or more rows than can be counted.
    """
    blocks = tuple(Block((path,), (_axis(path, axis),)) for path, axis in values.items())
    return _spec(template, blocks, "grid")


def sobol(template: AbstractStage, num: int, seed: int = 0, /, **values: Any) -> SweepSpec:
    """Points of a scrambled Sobol sequence over ranges of leaves, crossed with any axes given as values.

    Arguments:
        template: the schedule.
        num: number of points; powers of two are balanced.
        seed: of the scrambling.
        values: for each path (see `grid`) a `Range`, a tuple (low, high) or (low, high, "log"), or an array to cross
            with.

    Returns:
        A `SweepSpec` of num rows, times the length of each crossed axis.

    Raises:
        ValueError: as `grid`, and a range that is empty.
        ImportError: scipy is not installed.

    Source:
        Sobol (1967), scrambled as by Owen (1998); `scipy.stats.qmc`.
    """

    qmc = require("scipy.stats.qmc", "sobol()")

    def draw(dimensions: int) -> np.ndarray:
        exponent = max(0, math.ceil(math.log2(num)))
        return qmc.Sobol(dimensions, rng=seed).random_base2(exponent)[:num]

    return _drawn(template, num, draw, "sobol", values)


def random_search(template: AbstractStage, num: int, seed: int = 0, /, **values: Any) -> SweepSpec:
    """Independent uniform draws from ranges of leaves, crossed with any axes given as values.

    Arguments:
        template: the schedule.
        num: number of points.
        seed: of the draws.
        values: as for `sobol`.

    Returns:
        A `SweepSpec` of num rows, times the length of each crossed axis.

    Raises:
        ValueError: as `sobol`.
    """
    return _drawn(template, num, lambda d: np.random.default_rng(seed).random((num, d)), "random", values)


def _drawn(template: AbstractStage, num: int, draw: Any, kind: str, values: dict[str, Any]) -> SweepSpec:
    if int(num) != num or not 1 <= num <= MOST_ROWS:
        raise ValueError(f"num is {num}: give a whole number of points from 1 to {MOST_ROWS:,}.")
    ranges = {path: _range(path, value) for path, value in values.items() if isinstance(value, tuple | Range)}
    if not ranges:
        raise ValueError("no path has a range to draw from: give Range(low, high), or use grid() for values.")
    parts = draw(len(ranges))
    drawn = tuple(interval.at(part) for interval, part in zip(ranges.values(), parts.T, strict=True))
    crossed = (Block((path,), (_axis(path, value),)) for path, value in values.items() if path not in ranges)
    return _spec(template, (Block(tuple(ranges), drawn), *crossed), kind)


def _spec(template: AbstractStage, blocks: tuple[Block, ...], kind: str) -> SweepSpec:
    if not isinstance(template, AbstractStage):
        raise TypeError(f"template is {template!r}: give a stage or a chain of stages, such as power_tilt(0.5).")
    full = lambda block: Block(tuple(full_path(template, path) for path in block.paths), block.values)
    spec = SweepSpec(template, tuple(map(full, blocks)), kind)
    own = {p: v for b in spec.blocks for p, v in zip(b.paths, b.values, strict=True) if is_schedule_path(p)}
    check_schedule_values(template, own)
    return spec


def _axis(path: str, values: Any) -> np.ndarray:
    array = np.array(values)  # a copy: a spec does not change under its owner's hands
    if array.ndim == 0:
        raise ValueError(f"{path} = {values!r} is one value: give a list, or set it in the template.")
    if not (np.issubdtype(array.dtype, np.number) and np.isrealobj(array)):
        raise ValueError(f"{path} has values of type {array.dtype}: give numbers.")
    check_finite(path, array, "remove it")
    array.setflags(write=False)
    return array


def _range(path: str, value: Any) -> Range:
    if isinstance(value, Range):
        return value
    try:
        return Range(*value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} = {value!r}: give (low, high), (low, high, 'log') or a Range; {error}") from error
