"""Results as Markdown tables."""

from typing import Any

from ._result import CaseResult, Figure, Results
from ._targets import incomparable, standings
from ._timing import Spread


def markdown(results: Results) -> str:
    """The report of a run, in Markdown: targets first, then every case with its programs and figures, then the limits.

    Arguments:
        results: of a run of the suite.
    """
    machine, kind = results.machine, "quick run, small sizes: targets are not judged" if results.quick else "full run"
    lines = [
        f"# Benchmarks: {machine['cores']} cores of {machine['processor']}, {machine['platform']}",
        "",
        f"{kind.capitalize()}. Device: {machine['devices']} x "
        f"{machine['device']}; memory {machine['memory'] / 2**30:.0f} GiB. "
        f"{', '.join(f'{name} {version}' for name, version in results.versions.items())}.",
        "",
        "Ratios are medians over interleaved rounds, quartiles in brackets.",
        "",
        "## Targets",
        "",
    ]
    rows = [
        [
            *(s.target.text, s.target.wanted),
            shown(s.figure) if s.figure is not None else f"not measured: {s.missing}",
            *(size_words(s.case) if s.case is not None else "", s.verdict),
        ]
        for s in standings(results)
    ]
    lines += _table(("target", "wanted", "measured", "size", "verdict"), rows)
    lines += ["", "## Limits of this machine", ""]
    lines += _table(("limit", "measured"), [[limit.name, shown(limit)] for limit in results.limits])
    for case in results.cases:
        lines += ["", f"## {case.name}", "", f"{case.title}. {size_words(case)}.", ""]
        lines += _case(case)
    return "\n".join(lines) + "\n"


def _case(case: CaseResult) -> list[str]:
    if case.status != "done":
        return [f"{case.status.capitalize()}: {case.reason}."]
    lines = [f"{case.reason.capitalize()}.", ""] if case.reason else []
    if case.later:
        lines += [f"A later run {case.later}; what follows is from before.", ""]
    if case.programs:
        rows = [
            [p.name, f"{p.first_call:.2f} s", _seconds(p.run), _bytes(p.temporary_bytes), _bytes(p.peak_bytes)]
            for p in case.programs
        ]
        columns = "program", "first call", "steady run", "scratch memory", "with arguments and outputs"
        lines += [*_table(columns, rows), ""]
    if case.figures:
        rows = [[f.name, shown(f), "" if f.difference is None else f"{f.difference:.1e}", f.note] for f in case.figures]
        lines += [*_table(("figure", "measured", "difference of results", "note"), rows), ""]
    if case.points:
        rows = [
            [p.axis, f"{p.size:,}", _seconds(p.run), "unknown" if p.rate is None else f"{p.rate:.2e}"]
            for p in case.points
        ]
        lines += [*_table(("axis", "size", "steady run", "work per second"), rows), ""]
    peaks = ", ".join(f"{_bytes(size)} {where}" for where, size in case.peak_bytes.items())
    made = f"{case.date}, commit {case.commit or 'unknown'}; {case.seconds:.0f} s"
    return [*lines, made + (f"; peak memory of the process so far: {peaks}." if peaks else ".")]


def shown(figure: Figure) -> str:
    """A figure in words, with its quartiles.

    Arguments:
        figure: of a case, or a limit.
    """
    if figure.value is None:
        return f"not measured: {figure.note}"
    value, unit = figure.value, "" if figure.unit in ("share", "times", "count") else f" {figure.unit}"
    text = f"{_number(value.median, figure.unit)}{unit}"
    if value.rounds > 1:
        text += f" ({_number(value.low, figure.unit)} to {_number(value.high, figure.unit)})"
    reason = incomparable(figure)
    return f"not comparable: {reason}; {text}" if reason else text


def size_words(case: CaseResult) -> str:
    """The sizes of a case: 1,024 schedules x 512 modes."""
    return " x ".join(f"{size:,} {name}" for name, size in case.sizes.items())


def _number(value: float, unit: str) -> str:
    if unit == "count":
        return f"{value:.0f}"
    return f"{value:.2f}" if unit == "share" else f"{value:.3g}"


def _seconds(run: Spread) -> str:
    unit, factor = ("s", 1) if run.median >= 1 else ("ms", 1e3)
    return f"{run.median * factor:.3g} {unit} ({run.low * factor:.3g} to {run.high * factor:.3g})"


def _bytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**20:.1f} MiB"


def _table(columns: tuple[str, ...], rows: list[list[Any]]) -> list[str]:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return lines + [f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |" for row in rows]
