"""The part of the report that explains its words."""

import html
from collections.abc import Sequence

from ..assessment import Assessment

_LINES = (
    "Black: uniform sampling. Dashed: weights fixed at the start. Dash-dotted: weights that follow a clock. Solid: "
    "weights that follow the residual. A dash and two dots: uniform sampling, in part with labels of the learner's own "
    "making. Where there are more schedules than colours they come round again, dotted in place of solid, with longer "
    "dashes in place of dashes. Grey: bounds."
)
_ALWAYS = {
    "Time": """Gradient-flow time: learning rate times steps. At a refresh a schedule looks at the learner and chooses
        new weights, which are held until the next; here {density} refreshes per decade of time. What a schedule that
        looks at the residual achieves depends on how often it may look.""",
    "Weight": """Density ratio: how many times more often than uniformly something is sampled. Weights have mean one,
        so a schedule moves effort about and does not add any.""",
    "Loss": """Always measured under the uncurated distribution, and on held-out data where there is any. It may rise
        on data, since weights also move what is converged to.""",
    "Gross and net": """Gross counts training alone. Net adds what curation takes. Passes that score the data: at each
        refresh for schedules that look at the residual (once a period behind a stale stage), once at the start for
        pruning, curricula and leverage. Unless stated otherwise, scoring N examples takes a third of the compute of
        training on them: N / (3 B) steps at batch size B; modes do not say how many examples there are, so there
        passes are free unless a cost is given. Or candidates are scored on the fly until one is kept: a third of the
        largest weight a step. The cheaper of the two is charged.
        Teachers and other second models: their training, as time x trace x the compute of a step, and their passes; a
        teacher pays before the start. A learner's own labels: a forward pass for each.""",
    "Gain": """How many times sooner a schedule reaches the loss that uniform sampling has when it has made 95% of its
        progress in log loss. Loss at the same compute: the lowest loss that the compute of the whole run reaches,
        costs included, against that of uniform sampling.""",
    "Interval": """90%, from splits of the data and seeds, each paired with uniform sampling on the same rows. A gain
        is claimed where the interval of the net gain, or of the loss at the same compute, lies wholly on the good
        side, with at least 30 held-out rows to score and three splits.""",
    "Anytime and one horizon": """The anytime speed-up is the geometric mean, over the losses that uniform sampling
        passes between 10% and 95% of its progress, of how many times sooner a schedule gets there. At one horizon
        only the last of these losses counts; a schedule tuned to a horizon can win there and lose everywhere else.""",
    "Exponent": """Slope of log loss against log time, where at least a decade of the curve is straight; otherwise
        there is no power law and no number.""",
}
_DATA = {
    "Speed limit": """A proven lower bound on the loss of any weights on examples. It is loose, and from the time
        named under the plot it says no more than the least-squares floor.""",
    "Difficulty": """What a briefly trained probe still gets wrong on an example: the order that pruning, curricula
        and the rows of the weight plot go by.""",
    "Scale": """tr M_w / tr M, the mean squared feature norm under the weights over that under uniform sampling. Where
        the kernel's K(x, x) varies, a schedule may be faster merely by training on larger features.""",
}
_MODES = {
    "Ideal oracle": "Water-filling over modes: no weights of mean one do better at any time.",
    "Uniform at c t": """The loss of uniform sampling, c times sped up. Weights between low and high keep the loss
        between uniform at high t and uniform at low t, for ever.""",
    "Quadrature error": """Where nodes stand for many modes: largest relative change of the loss when their number is
        doubled.""",
}
_TAUGHT = {
    "Teacher's frontier": """How much of the modes or examples a model had learnt that was trained beforehand. What a
        teacher shows of the residual ends there, and an excess over a second model is blind to what neither knows:
        beyond it only the uniform share learns. On modes a diamond marks frontier over trace, the time by which that
        much can be learnt.""",
}


def reading(assessments: Sequence[Assessment]) -> str:
    """Definitions of what the comparisons show, as HTML."""
    terms = dict(_ALWAYS)
    if any(assessment.is_data for assessment in assessments):
        terms |= _DATA
    if any(assessment.is_modal for assessment in assessments):
        terms |= _MODES
    if any(run.taught is not None for assessment in assessments for run in assessment.runs):
        terms |= _TAUGHT
    *most, last = sorted({f"{assessment.refreshes_per_decade:.3g}" for assessment in assessments})
    density = f"{', '.join(most)} and {last}" if most else last
    lines = []
    for term, text in terms.items():
        flowing = " ".join(text.replace("{density}", density).split())
        lines.append(f"<dt>{html.escape(term)}</dt><dd>{html.escape(flowing)}</dd>")
    return f'<section><h2 id="reading">How to read this</h2><p>{_LINES}</p><dl>{"".join(lines)}</dl></section>'
