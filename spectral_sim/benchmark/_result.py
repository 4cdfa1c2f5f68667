"""What a run of the suite leaves behind, and its file."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .._files import write_text
from ._timing import Spread

SUITE = 2
"""Version of the suite: results of different versions measure different things and are not compared."""

_MACHINE = {"processor", "architecture", "cores", "memory", "system", "platform", "device", "devices"}


@dataclass(frozen=True)
class Figure:
    """One number of a case: a share of a limit, a multiple of a peer, seconds, a count.

    Arguments:
        name: what it is; the same in every run of the suite.
        value: what was measured; None if it could not be, and `note` says why.
        unit: "times" or "share" for ratios, "s", "count" or a rate.
        difference: largest relative difference between the results of the two sides, for ratios to a peer.
        note: the size and accuracy it was measured at, or the reason why it was not.
        target: key of the target that it is judged by, if any.
        errors: ours and the peer's, against a reference; None where that was not looked at.
        tolerance: the accuracy that the case asks for, for ratios to a peer.
        less_is_better: whether a smaller ratio is an improvement.
    """

    name: str
    value: Spread | None
    unit: str = "times"
    difference: float | None = None
    note: str = ""
    target: str | None = None
    errors: tuple[float, float] | None = None
    tolerance: float | None = None
    less_is_better: bool = False


@dataclass(frozen=True)
class Program:
    """A compiled program: time, memory, and what the compiler says that it does.

    Arguments:
        name: what it computes, and in which dtype.
        first_call: seconds to trace, compile and run.
        run: seconds of a steady run.
        temporary_bytes: the compiler's own scratch memory; None if it does not say.
        flops: floating-point operations of a whole run, by the compiler's cost analysis of one pass of the inner loop,
            whose body it counts once, times the passes; None where that is not known.
        transcendentals: exponentials and the like of a whole run, counted likewise.
        bytes_accessed: memory traffic of a whole run in bytes, counted likewise.
        dtype: of its arithmetic.
        argument_bytes: size of what comes in; None if the compiler does not say.
        output_bytes: size of what goes out; None if the compiler does not say.
    """

    name: str
    first_call: float
    run: Spread
    temporary_bytes: int | None = None
    flops: float | None = None
    transcendentals: float | None = None
    bytes_accessed: float | None = None
    dtype: str = "float32"
    argument_bytes: int | None = None
    output_bytes: int | None = None

    @property
    def peak_bytes(self) -> int | None:
        """Most that is alive at once while it runs; None if the compiler does not say."""
        parts = self.temporary_bytes, self.argument_bytes, self.output_bytes
        return None if None in parts else sum(part or 0 for part in parts)


@dataclass(frozen=True)
class Point:
    """One point of a scaling curve: a size is varied, everything else is held.

    Arguments:
        axis: name of the size that is varied, such as "schedules" or "modes".
        size: its value at this point.
        run: seconds of a run, median and quartiles.
        rate: work per second in the unit of the case; None where the work is not known.
    """

    axis: str
    size: int
    run: Spread
    rate: float | None


@dataclass
class CaseResult:
    """What one case of the suite gave.

    Arguments:
        name: of the case, as on the command line.
        title: what is measured, in words.
        status: "done", "skipped" or "failed".
        reason: why it was skipped or failed; empty if it is done.
        later: how a later run of a case that is done went wrong; what was measured before is kept, and this is empty if
            nothing did.
        date: when it was measured, ISO 8601 in UTC; cases of one file may be measured on different days.
        commit: the version of the sources that was measured; None outside a checkout.
        seconds: wall time of the whole case.
        sizes: its sizes by name, as they were run.
        programs: compiled programs with their time and memory.
        figures: the numbers of the case, which targets are judged by.
        points: scaling curves, point by point.
        peak_bytes: most memory in use up to the end of the case, in bytes: "resident" of the process, and "device"
            where it says.
    """

    name: str
    title: str
    status: str
    reason: str = ""
    later: str = ""
    date: str = ""
    commit: str | None = None
    seconds: float = 0.0
    sizes: dict[str, Any] = field(default_factory=dict)
    programs: list[Program] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    peak_bytes: dict[str, int] = field(default_factory=dict)


@dataclass
class Results:
    """What the suite measured on one machine: the content of a results.json.

    Arguments:
        quick: whether sizes were small and rounds few; targets are then not judged.
        machine: processor, cores, memory in bytes, system and device, by name; see `machine`.
        versions: version of each package that matters to speed, by name.
        limits: the roofs of the machine that figures are shares of, in operations or bytes per second.
        cases: what was measured, in the order of the suite.
        suite: version of the suite; results of different versions are not compared.

    Raises:
        TypeError: the machine or the versions lack what every result has.
    """

    quick: bool
    machine: dict[str, Any]
    versions: dict[str, str]
    limits: list[Figure] = field(default_factory=list)
    cases: list[CaseResult] = field(default_factory=list)
    suite: int = SUITE

    def __post_init__(self) -> None:
        if not (self.machine.keys() >= _MACHINE and "jax" in self.versions):
            raise TypeError("no description of the machine")

    @property
    def platform(self) -> str:
        """Of the device, as JAX names it."""
        return self.machine["platform"]

    def case(self, name: str) -> CaseResult | None:
        """The case of that name, None if it was not run.

        Arguments:
            name: of a case, such as "modal".
        """
        return next((case for case in self.cases if case.name == name), None)


def save_results(results: Results, path: Path) -> None:
    """Write results, replacing the file in one step: a run that is cut short leaves the last whole file.

    Arguments:
        results: what was measured.
        path: JSON file.
    """
    write_text(path, json.dumps(asdict(results), indent=1) + "\n")


def load_results(path: Path) -> Results:
    """Read a file of the suite.

    Arguments:
        path: a results.json that `save_results` wrote.

    Raises:
        ValueError: it is no result of this suite, or of another version of it.
        OSError: it cannot be read.
    """
    refusal = f"{path} is no result of the benchmark suite, or damaged: give a results.json."
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        version = raw["suite"]
        found = _results(raw) if version == SUITE else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(refusal) from error
    if found is None:
        raise ValueError(
            f"{path} was written by version {version} of the suite, this is version {SUITE}: what they measure "
            "differs; run the suite again."
        )
    return found


def _results(raw: dict[str, Any]) -> Results:
    cases = []
    for case in raw.pop("cases"):
        programs = [Program(**{**p, "run": _spread(p["run"])}) for p in case.pop("programs")]
        points = [Point(**{**p, "run": _spread(p["run"])}) for p in case.pop("points")]
        figures = [_figure(f) for f in case.pop("figures")]
        cases.append(CaseResult(**case, programs=programs, points=points, figures=figures))
    limits = [_figure(f) for f in raw.pop("limits")]
    return Results(**raw, limits=limits, cases=cases)


def _spread(raw: dict[str, Any]) -> Spread:
    return Spread(float(raw["median"]), float(raw["low"]), float(raw["high"]), int(raw["rounds"]))


def _figure(raw: dict[str, Any]) -> Figure:
    value, errors = raw.pop("value"), raw.pop("errors")
    pair = None if errors is None else (float(errors[0]), float(errors[1]))
    return Figure(**raw, value=None if value is None else _spread(value), errors=pair)
