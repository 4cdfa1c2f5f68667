"""What the kernels are held to: a bound on a measured figure, and where one is missed, what stands in the way."""

from dataclasses import dataclass

from ._result import Figure

__all__ = ["TARGETS", "Target", "verdict"]


@dataclass(frozen=True)
class Target:
    """A bound on a figure.

    Arguments:
        text: what is asked for, in words.
        bound: the number.
        at_least: whether the figure is to be at least, not at most, the bound.
        reason: what stands in the way where it is missed; shown only then.
    """

    text: str
    bound: float
    at_least: bool = True
    reason: str = ""

    @property
    def wanted(self) -> str:
        """The bound as it is written in tables."""
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}"


def verdict(figure: Figure, quick: bool) -> str:
    """ "met", "not met" with the reason, "not judged" on the small sizes of a quick run, or "" without a target."""
    if figure.target is None:
        return ""
    if figure.value is None:
        return "not measured"
    if quick:
        return "not judged"
    target, value = TARGETS[figure.target], figure.value.median
    if value >= target.bound if target.at_least else value <= target.bound:
        return "met"
    return f"not met: {target.reason}" if target.reason else "not met"


TARGETS = {
    "modal/limit": Target("modal forward, share of one fused pass of the same exps and row sums", 0.70),
    "modal/c": Target("modal forward, share of the loop in C", 0.6),
    "modal/numpy": Target("modal forward, times NumPy", 5),
    "modal/diffrax": Target("modal forward, times diffrax at equal accuracy", 5),
    "operator/gemm": Target("operator, share of the GEMM peak", 0.80),
    "operator/eigh-1e2": Target("operator, times eigenvectors at hR = 100", 8),
    "operator/eigh-1e4": Target("operator, times eigenvectors at hR = 1e4", 1.5),
    "operator/auto": Target("operator, chosen route over eigenvectors, worst of all hR", 1.05, False),
    "operator/diffrax": Target("operator run, times diffrax Kvaerno5 at equal accuracy", 20),
    "gradient/modal": Target("gradient over forward, modal", 3.2, False),
    "gradient/operator": Target("gradient over forward, operator", 3, False),
    "capped": Target("capped projection over the loop without it", 5, False),
    "compile/forward": Target("first call of any public entry, forward", 3, False),
    "compile/gradient": Target("first call of any public entry, gradient", 5, False),
    "compile/retraces": Target("retraces on new hyperparameters", 0, False),
    "accelerator/million": Target("a million schedules x 256 modes x 256 times", 2, False),
    "accelerator/modal": Target("modal forward on an accelerator, share of the limiting roof", 0.5),
    "accelerator/operator": Target("operator on an accelerator, share of the float32 GEMM peak", 0.70),
}
"""Every target by its key."""
