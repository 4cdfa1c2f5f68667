"""Two files of results side by side."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ._result import CaseResult, Figure, Results
from ._timing import Spread

_ONCE = 0.25  # what is measured once has no spread: this much, relatively, is taken for one

Entry = tuple[Spread, str, bool]  # value, unit, whether more is better


@dataclass(frozen=True)
class Change:
    """How a number of a case moved from one run to another.

    Arguments:
        case: name of the case, or "limits".
        name: of the figure, the program and what of it, or the point.
        unit: of the number.
        before: median of the earlier run.
        after: median of the later run.
        beyond: whether the quartiles of the two runs do not overlap.
        more_is_better: the direction.
        sizes_differ: whether the case had other sizes in the two runs, so that the two do not measure the same.
    """

    case: str
    name: str
    unit: str
    before: float
    after: float
    beyond: bool
    more_is_better: bool
    sizes_differ: bool = False

    @property
    def relative(self) -> float | None:
        """The relative change, after / before - 1; None where there is nothing to divide by."""
        if self.before == self.after:
            return 0.0
        return self.after / self.before - 1 if self.before else None

    @property
    def direction(self) -> str:
        """ "better" or "worse" beyond the spread, "" within it."""
        if not self.beyond or self.before == self.after:
            return ""
        return "better" if (self.after > self.before) == self.more_is_better else "worse"


@dataclass
class Comparison:
    """How two results differ.

    Arguments:
        changes: numbers that both have, the earlier beside the later.
        only_before: what only the earlier one has, in words.
        only_after: what only the later one has, in words.
    """

    changes: list[Change] = field(default_factory=list)
    only_before: list[str] = field(default_factory=list)
    only_after: list[str] = field(default_factory=list)


def compare(before: Results, after: Results) -> Comparison:
    """Compare all that both runs measured, in the order of the first: figures, programs, points and limits.

    Arguments:
        before, after: two runs of the suite.

    Raises:
        ValueError: one run is quick and the other is not, so that they have other sizes.
    """
    if before.quick != after.quick:
        raise ValueError("one run is quick and the other is not: their sizes differ; compare two of a kind.")
    found = Comparison()
    _both(found, "limits", dict(_limits(before)), dict(_limits(after)), False)
    for case in before.cases:
        other = after.case(case.name)
        if other is None:
            found.only_before.append(case.name)
        elif case.status != "done" and other.status != "done":
            continue
        else:
            _both(found, case.name, dict(_entries(case)), dict(_entries(other)), case.sizes != other.sizes)
    found.only_after += [case.name for case in after.cases if before.case(case.name) is None]
    return found


def _both(found: Comparison, case: str, before: dict[str, Entry], after: dict[str, Entry], sizes_differ: bool) -> None:
    for name, (old, unit, more) in before.items():
        if name not in after:
            found.only_before.append(f"{case}: {name}")
            continue
        new = after[name][0]
        beyond = new.low > old.high or new.high < old.low
        if unit != "B" and old.rounds == new.rounds == 1:
            beyond = (unit == "count" and beyond) or abs(new.median - old.median) > _ONCE * abs(old.median)
        found.changes.append(Change(case, name, unit, old.median, new.median, beyond, more, sizes_differ))
    found.only_after += [f"{case}: {name}" for name in after if name not in before]


def _limits(results: Results) -> Iterator[tuple[str, Entry]]:
    for limit in results.limits:
        if limit.value is not None:
            yield limit.name, (limit.value, limit.unit, True)


def _entries(case: CaseResult) -> Iterator[tuple[str, Entry]]:
    for figure in case.figures:
        if figure.value is not None:
            yield figure.name, (figure.value, figure.unit, _more_is_better(figure))
    for program in case.programs:
        yield f"{program.name}, first call", (_once(program.first_call), "s", False)
        yield f"{program.name}, steady run", (program.run, "s", False)
        if program.peak_bytes is not None:
            yield f"{program.name}, memory", (_once(program.peak_bytes), "B", False)
    for point in case.points:
        yield f"{point.axis} = {point.size}", (point.run, "s", False)


def _more_is_better(figure: Figure) -> bool:
    return not figure.less_is_better and figure.unit not in ("s", "count", "B")


def _once(value: float) -> Spread:
    return Spread(value, value, value, 1)
