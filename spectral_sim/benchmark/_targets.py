"""What the kernels are held to: a bound on a measured figure, and where one is missed, what stands in the way."""

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ._result import CaseResult, Figure, Results

LESS_ACCURATE = 10.0
"""How much larger a peer's error may be than ours for a ratio of times to count, unless both are below the tolerance of
the case."""


@dataclass(frozen=True)
class Target:
    """A bound on a figure.

    Arguments:
        case: name of the case that measures it.
        text: what is asked for, in words, with the size where that is not the main one of the suite.
        bound: the number.
        at_least: whether the figure is to be at least, not at most, the bound.
        platform: where it is judged: "cpu", meant for two cores, or "accelerator".
        reason: what stands in the way where it is missed, in general, true on any machine; shown only then.
    """

    case: str
    text: str
    bound: float
    at_least: bool = True
    platform: str = "cpu"
    reason: str = ""

    @property
    def wanted(self) -> str:
        """The bound as it is written in tables."""
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}"

    def judged_on(self, platform: str) -> bool:
        """Whether it is meant for a platform, as JAX names it.

        Arguments:
            platform: "cpu", "gpu" or another name that JAX has.
        """
        return (platform == "cpu") == (self.platform == "cpu")


TARGETS: dict[str, Target] = {}
"""The targets that results are judged by. Figures name them by key; empty unless the caller adds some."""


def load_targets(path: Path) -> dict[str, Target]:
    """Read targets from a TOML file with one table for each, under its key.

    Arguments:
        path: the file. A table has `case`, `text`, either `at_least` or `at_most`, and perhaps `platform`, `reason`.

    Returns:
        Targets by key, for `TARGETS.update`.

    Raises:
        ValueError: the file is no TOML, or a table lacks one of these or has others.
        OSError: the file cannot be read.
    """
    found = {}
    for key, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
        try:
            bounds = [(name, table.pop(name)) for name in ("at_least", "at_most") if name in table]
            ((name, bound),) = bounds
            found[key] = Target(bound=float(bound), at_least=name == "at_least", **table)
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{path}: the target {key!r} needs case, text and either at_least or at_most, and takes platform and "
                f"reason besides ({error})."
            ) from error
    return found


@dataclass(frozen=True)
class Standing:
    """A target beside what a run has to say about it.

    Arguments:
        target: what is asked for.
        case: the case that measures it; None if it was not run.
        figure: what was measured; None if it was not.
        missing: why there is no figure; empty if there is one.
        verdict: what `judged` says of it, such as "met".
    """

    target: Target
    case: CaseResult | None
    figure: Figure | None
    missing: str
    verdict: str


def incomparable(figure: Figure) -> str:
    """Why a ratio of times says nothing, as the two sides are not equally accurate; "" if it does.

    Arguments:
        figure: a ratio of seconds, with the errors of both sides.
    """
    if figure.value is None:
        return ""
    errors = figure.errors if figure.errors is not None else (figure.difference or 0.0, figure.difference or 0.0)
    ours, theirs = errors
    below = figure.tolerance is None or ours <= figure.tolerance
    near = theirs <= LESS_ACCURATE * ours or (figure.tolerance is not None and theirs <= figure.tolerance)
    finite = all(math.isfinite(value) for value in (*errors, figure.difference or 0.0))
    if finite and below and near:
        return ""
    if figure.errors is None:
        return f"the results differ by {ours:.1e}"
    return f"error of the peer {theirs:.1e}, ours {ours:.1e}"


def judged(figure: Figure, quick: bool, platform: str) -> str:
    """Say what a figure means for its target.

    "met"; "not met" with the reason; "not comparable"; "not judged" on the small sizes of a quick run; "not judged
    here" on another platform; "not measured"; or "" where `TARGETS` does not hold the target that the figure names.

    Arguments:
        figure: what was measured.
        quick: whether the run was on small sizes.
        platform: "cpu", "gpu" or "tpu".
    """
    target = TARGETS.get(figure.target or "")
    if target is None:
        return ""
    if not target.judged_on(platform):
        return "not judged here"
    if figure.value is None:
        return "not measured"
    if incomparable(figure):
        return "not comparable"
    if quick:
        return "not judged"
    value = figure.value.median
    if value >= target.bound if target.at_least else value <= target.bound:
        return "met"
    return f"not met: {target.reason}" if target.reason else "not met"


def standings(results: Results) -> list[Standing]:
    """Every target, whether or not it was measured.

    Arguments:
        results: of a run of the suite.
    """
    found = []
    for key, target in TARGETS.items():
        case = results.case(target.case)
        figures = [figure for figure in case.figures if figure.target == key] if case is not None else []
        if figures:
            pairs = [(figure, judged(figure, results.quick, results.platform)) for figure in figures]
            found += [Standing(target, case, figure, "", judgement) for figure, judgement in pairs]
        elif not target.judged_on(results.platform):
            found.append(Standing(target, case, None, f"for {_PLATFORMS[target.platform]}", "not judged here"))
        else:
            found.append(Standing(target, case, None, _missing(case), "not measured"))
    return found


def _missing(case: CaseResult | None) -> str:
    if case is None:
        return "not run"
    return f"{case.status}: {case.reason}" if case.status != "done" else "the case did not measure it"


_PLATFORMS = {"cpu": "a CPU", "accelerator": "an accelerator"}
