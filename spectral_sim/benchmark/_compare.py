"""Two files of results side by side."""

from dataclasses import dataclass

from ._result import Figure, Results

__all__ = ["Change", "compare"]


@dataclass(frozen=True)
class Change:
    """How a figure of a case moved from one run to another.

    Arguments:
        case, figure: names.
        unit: of the figure.
        before, after: medians.
        beyond: whether the quartiles of the two runs do not overlap.
    """

    case: str
    figure: str
    unit: str
    before: float
    after: float
    beyond: bool

    @property
    def relative(self) -> float:
        """after / before - 1; zero where both are zero."""
        if self.before == self.after:
            return 0.0
        return self.after / self.before - 1 if self.before else float("inf")


def compare(before: Results, after: Results) -> list[Change]:
    """Figures that both runs measured, in the order of the first.

    Raises:
        ValueError: one run is quick and the other is not, so that they have other sizes.
    """
    if before.quick != after.quick:
        raise ValueError("one run is quick and the other is not: their sizes differ; compare two of a kind.")
    changes = []
    for case in before.cases:
        other = after.case(case.name)
        if other is None:
            continue
        found: dict[str, Figure] = {figure.name: figure for figure in other.figures}
        for figure in case.figures:
            old, new = figure.value, found[figure.name].value if figure.name in found else None
            if old is None or new is None:
                continue
            beyond = new.low > old.high or new.high < old.low
            changes.append(Change(case.name, figure.name, figure.unit, old.median, new.median, beyond))
    return changes
