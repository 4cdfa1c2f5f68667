"""What the kernels are held to: a bound on a measured figure, and where one is missed, what stands in the way."""

import math
from dataclasses import dataclass

from ._result import CaseResult, Figure, Results

__all__ = ["LESS_ACCURATE", "TARGETS", "Standing", "Target", "incomparable", "standings", "verdict"]

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
        """Whether it is meant for a platform, as JAX names it."""
        return (platform == "cpu") == (self.platform == "cpu")


@dataclass(frozen=True)
class Standing:
    """A target beside what a run has to say about it; `missing` says why there is no figure."""

    target: Target
    case: CaseResult | None
    figure: Figure | None
    missing: str
    verdict: str


def incomparable(figure: Figure) -> str:
    """Why a ratio of times says nothing, as the two sides are not equally accurate; "" if it does."""
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


def verdict(figure: Figure, quick: bool, platform: str) -> str:
    """What a figure means for its target.

    "met"; "not met" with the reason; "not comparable"; "not judged" on the small sizes of a quick run; "not judged
    here" on another platform; "not measured"; or "" without a target.
    """
    if figure.target is None:
        return ""
    target = TARGETS[figure.target]
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
    """Every target, whether or not it was measured."""
    found = []
    for key, target in TARGETS.items():
        case = results.case(target.case)
        figures = [figure for figure in case.figures if figure.target == key] if case is not None else []
        if figures:
            judged = [(figure, verdict(figure, results.quick, results.platform)) for figure in figures]
            found += [Standing(target, case, figure, "", judgement) for figure, judgement in judged]
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

TARGETS = {
    "modal/limit": Target(
        "modal",
        "modal forward, share of one fused pass of the same exps and row sums",
        0.70,
        reason="each exponential is also multiplied by its energy before it is summed, in a loop of many small passes",
    ),
    "modal/c": Target(
        "modal",
        "modal forward, share of the loop in C",
        0.6,
        reason="the C compiler keeps a block of modes in registers; the compiled pass goes through the cache",
    ),
    "modal/numpy": Target(
        "modal",
        "modal forward, times NumPy",
        5,
        reason="both spend their time in vectorised exponentials: NumPy on one core, this library on all there are",
    ),
    "modal/diffrax": Target("modal-adaptive", "modal forward, times diffrax at equal accuracy, 16 schedules", 5),
    "operator/gemm": Target(
        "operator",
        "operator, share of the GEMM peak",
        0.80,
        reason="between its two products every term is scaled by the weights and added up, which a product is spared",
    ),
    "operator/eigh-1e2": Target("operator", "operator, times eigenvectors at hR = 100", 8),
    "operator/eigh-1e4": Target("operator", "operator, times eigenvectors at hR = 1e4", 1.5),
    "operator/auto": Target("operator", "operator, chosen route over eigenvectors, worst of all hR", 1.05, False),
    "operator/diffrax": Target(
        "operator-run",
        "operator run, times diffrax Kvaerno5 at equal accuracy, 1 schedule",
        20,
        reason="the peer is given M_w of every interval and spared what it takes to apply the features",
    ),
    "sgd/scan": Target("sgd", "SGD moments, times the scan that takes every step, 1e6 steps", 20),
    "transport": Target("transport", "spectral transport over gradient flow, the same shells", 20, False),
    "gradient/modal": Target(
        "gradient-modal",
        "gradient over forward, modal, 512 schedules x 512 modes x 256 times",
        3.2,
        False,
        reason="a segment is run again for its states and every step once more for its derivative, which bounds "
        "the memory; the forward run, two fused passes and a product, has nothing that could be kept instead",
    ),
    "gradient/operator": Target(
        "gradient-operator", "gradient over forward, operator, 1 schedule x 256 examples x 40 times", 3, False
    ),
    "capped": Target("capped", "capped projection over the loop without it, 256 schedules x 512 x 256", 5, False),
    "compile/forward": Target("compile", "trace and compile any public entry, forward", 3, False),
    "compile/gradient": Target(
        "compile",
        "trace and compile any public entry, gradient",
        5,
        False,
        reason="products and eigenvectors on data, and loops within an interval, are each traced several times",
    ),
    "compile/retraces": Target("compile", "retraces on new hyperparameters", 0, False),
    "accelerator/million": Target(
        "million", "a million schedules x 256 modes x 256 times", 2, False, platform="accelerator"
    ),
    "accelerator/modal": Target(
        "modal", "modal forward on an accelerator, share of the limiting roof", 0.5, platform="accelerator"
    ),
    "accelerator/operator": Target(
        "operator-float32",
        "operator on an accelerator, share of the float32 GEMM peak",
        0.70,
        platform="accelerator",
    ),
}
"""Every target by its key."""
