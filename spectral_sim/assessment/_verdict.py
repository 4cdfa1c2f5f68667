"""The result in plain words: what pays after its cost and how surely, what no schedule can exceed, what to do now."""

import math
from typing import Literal

import numpy as np

from ..analysis import crossing_times
from ._assessment import Assessment
from ._columns import Row, format_interval, format_short, format_speedup
from ._curves import Curve
from ._interval import Interval
from ._table import FEWEST_ROWS, FEWEST_SPLITS, SCALED, Table

Claim = Literal["pays", "nothing", "unsure", "unsaid"]

_SEEN = 1.01  # a gain below one percent is none
_NOTICED = 1.1
_LATE = 0.1  # of the horizon
_LOWER_LOSS = 0.01
_SLOWER = 0.95
_USELESS = 1e3  # a bound that allows this much says nothing


def claim(row: Row, table: Table) -> Claim:
    """What the numbers of a schedule allow to be said.

    "pays": it gains after its cost, beyond what chance makes of the splits. "nothing": it does not. "unsure": the
    interval holds both. "unsaid": too little is held out for any of these.

    Arguments:
        row: of the schedule.
        table: that the row stands in.
    """
    net, held_out = row.gains.horizon_net, table.measure == "held-out loss"
    if held_out and (table.scored_rows < FEWEST_ROWS or table.splits < FEWEST_SPLITS):
        return "unsaid"
    if net is None or net.bound == "<=":
        return "nothing"
    if not held_out:
        return "pays" if net.value >= _SEEN else "nothing"
    interval = row.gains.net
    if net.value >= _SEEN and _lowers(row):
        return "pays"
    if interval is None or not interval.is_known:
        return "unsure" if net.value >= _SEEN else "nothing"
    if interval.low > 1 and net.value >= _SEEN:
        return "pays"
    return "unsure" if interval.high >= _SEEN else "nothing"


def _lowers(row: Row) -> bool:
    """Whether the same compute surely reaches a lower loss."""
    change = row.gains.change
    return change is not None and change.is_known and change.high < 1 - _LOWER_LOSS


def verdict(
    table: Table,
    subject: str,
    *,
    bracket: str = "",
    facts: tuple[str, ...] = (),
    exports: bool = False,
    ideal_ratio: tuple[str, float] | None = None,
) -> str:
    """One paragraph on a comparison.

    Arguments:
        table: the numbers.
        subject: what was learnt, as in "on digits".
        bracket: what no schedule can exceed, in words.
        facts: further sentences, such as what training on other data gives.
        exports: whether the weights of the picked schedule are written beside the results.
        ideal_ratio: for modes, the schedule that ends nearest to the ideal oracle, and its loss over the oracle's.

    Returns:
        Plain text. First what pays after its cost, or that nothing does; then what none can exceed; then what to do.
        A schedule that only bounds a speed-up from above is never credited with a gain, and a ceiling not at all.
    """
    curated = [row for row in table.rows if not row.is_uniform and not row.is_ceiling]
    done = [row for row in curated if row.ok]
    failed = _failures([row for row in curated if not row.ok])
    if not curated:
        return f"Only uniform sampling was run on {subject}: there is nothing to compare it with."
    if not done:
        return " ".join([f"No curated schedule finished on {subject}: this says nothing about curation.", *failed])
    if table.window is None:
        text = f"Uniform sampling does not learn on {subject} over these times, so there is nothing to be faster than:"
        return " ".join([f"{text} simulate longer, or check the data.", *failed])
    picked = table.picked
    if picked is None:
        head = f"No schedule pays for itself on {subject}: none reaches the {table.measure} of uniform sampling."
        said: Claim = "nothing"
    else:
        said = claim(picked, table)
        head = _headline(said, picked, subject, table)
    sentences = [head, bracket, _advice(said, picked, exports, table)]
    if picked is not None:
        sentences += _loss(said, picked, table)
        sentences += _late(said, picked, table) + _scale(said, picked) + _before_costs(said, picked, done)
    sentences += [*table.gifts, *_slower(done), *_ideal(ideal_ratio), *facts, *failed, *_how(done, table)]
    return " ".join(sentence for sentence in sentences if sentence)


def _headline(said: Claim, row: Row, subject: str, table: Table) -> str:
    net = row.gains.horizon_net
    where = f"the {table.measure} that uniform sampling has at {table.end}"
    cost = "after its cost" if table.priced else "with nothing charged for it"
    if said == "unsaid":
        few = f"{table.scored_rows} held-out rows score it, and at least {FEWEST_ROWS} are needed"
        if table.scored_rows >= FEWEST_ROWS:
            few = f"{table.splits} split{'s' * (table.splits > 1)} of the data, and at least {FEWEST_SPLITS} are needed"
        return f"Nothing can be said about curation on {subject}: {few}."
    if net is None:
        return f"No schedule pays for itself on {subject}."
    reaches = f"{cost} it reaches {where} {_times(net.value)}{_within(row.gains.net)}"
    if net.bound == "<=":
        reaches = f"it never reaches {where}"
    if said == "pays" and _lowers(row) and not (row.gains.net is not None and row.gains.net.low > 1):
        return f"{row.name} pays on {subject}: {_change_in_words(row, table)}; {reaches}."
    if said == "pays":
        return f"{row.name} pays on {subject}: {reaches}."
    if said == "unsure":
        return f"No schedule is seen to pay for itself on {subject}: the best, {row.name}, may be slower; {reaches}."
    return f"No schedule pays for itself on {subject}: the best, {row.name}, does not; {reaches}."


def _times(value: float) -> str:
    return f"{format_short(value)} times as soon"


def _within(interval: Interval | None) -> str:
    if interval is None or not interval.is_known:
        return ""
    return f" (90% interval {format_interval(interval)})"


def _advice(said: Claim, row: Row | None, exports: bool, table: Table) -> str:
    """What to do now."""
    if said == "pays" and row is not None:
        if exports:
            return f"To use it, draw rows by weights.parquet, as use_weights.py beside this report shows ({row.name})."
        return "" if table.is_modal else "Its weights for a data loader come from learning.sampler_weights."
    if table.is_modal:
        return ""
    if said == "unsaid":
        short = table.scored_rows < FEWEST_ROWS
        return "Hold out more rows, or find more." if short else "Compare over several splits to learn more."
    if said == "unsure":
        return "Keep sampling uniformly, or hold out more rows to see more."
    return "Keep sampling uniformly."


def _loss(said: Claim, row: Row, table: Table) -> list[str]:
    """On data, weights also move what is converged to: the lowest loss may differ."""
    change = row.gains.change
    if table.is_modal or said == "unsaid" or change is None or not math.isfinite(change.value):
        return []
    sure = not change.is_known or change.high < 1
    if change.value > 1 - _LOWER_LOSS or not sure:
        return []
    if said == "pays" and not (row.gains.net is not None and row.gains.net.low > 1):
        return []  # the headline has it
    text = _change_in_words(row, table)
    return [f"{text[0].upper()}{text[1:]}."]


def _change_in_words(row: Row, table: Table) -> str:
    change = row.gains.change
    assert change is not None
    between = f" (90% interval {1 - change.high:.1%} to {1 - change.low:.1%})" if change.is_known else ""
    return f"with the same compute its lowest {table.measure} is {1 - change.value:.1%} below uniform's{between}"


def _late(said: Claim, row: Row, table: Table) -> list[str]:
    assert table.window is not None
    start = row.ahead_from
    if said != "pays" or start is None or start < _LATE * table.window.end:
        return []
    at = f"t = {format_short(start)}" if table.steps is None else table.steps.describe(start)
    return [f"The gain is a late one: only from {at} on is it ahead, and a shorter run would lose by it."]


def _scale(said: Claim, row: Row) -> list[str]:
    """On kernels whose K(x, x) varies, weights also move the trace of the operator."""
    if said not in ("pays", "unsure") or not row.drive > 1 + SCALED:
        return []
    return [
        f"Part of this is scale: it trains on examples with {row.drive:.2g} times the mean squared feature norm, and "
        "a learning rate larger by that factor would do the same without curation."
    ]


def _before_costs(said: Claim, picked: Row, done: list[Row]) -> list[str]:
    """A gain that scoring takes away."""
    if said in ("pays", "unsaid"):
        return []
    known = [row for row in done if row.gains.horizon_gross is not None and row.gains.horizon_gross.bound != "<="]
    gross = max(known, key=lambda row: _value(row), default=None)
    if gross is None or _value(gross) < _NOTICED:
        return []
    interval = gross.gains.gross
    if interval is not None and interval.is_known and interval.low <= 1:
        return []
    net = format_speedup(gross.gains.horizon_net)
    return [f"Before costs {gross.name} would be {_times(_value(gross))}; what it takes to score leaves {net}."]


def _slower(done: list[Row]) -> list[str]:
    """What should not be used, cost or no cost."""
    slower = [
        row
        for row in done
        if row.gains.horizon_gross is not None
        and row.gains.horizon_gross.value < _SLOWER
        and (row.gains.gross is None or not row.gains.gross.is_known or row.gains.gross.high < 1)
    ]
    if not slower:
        return []
    worst = min(slower, key=_value)
    text = format_speedup(worst.gains.horizon_gross)
    if len(slower) == 1:
        return [f"Slower than uniform sampling even before costs: {worst.name} ({text})."]
    return [
        f"{len(slower)} of {len(done)} are slower than uniform sampling even before costs, {worst.name} most of all "
        f"({text})."
    ]


def _how(done: list[Row], table: Table) -> list[str]:
    if table.is_modal or len(done) < 2:
        return []
    if table.picks_apart:
        rows = f"{table.scored_rows} held-out rows" + (f" in each of {table.splits} splits" if table.splits > 1 else "")
        return [f"The best of {len(done)} was picked on other held-out rows than the {rows} that score it."]
    return [f"The best of {len(done)} was picked on the data that it is measured on: expect somewhat less elsewhere."]


def _ideal(ideal_ratio: tuple[str, float] | None) -> list[str]:
    if ideal_ratio is None:
        return []
    name, ratio = ideal_ratio
    if ratio < 1.005:
        return [f"The ideal curve, below which no schedule on modes can go, is reached by {name}."]
    return [f"No schedule on modes can end below the ideal curve; the nearest, {name}, ends at {ratio:.3g} times it."]


def _failures(failed: list[Row]) -> list[str]:
    if not failed:
        return []
    return ["Failed and left out: " + "; ".join(f"{row.name} ({row.status})" for row in failed) + "."]


def _value(row: Row) -> float:
    return 0.0 if row.gains.horizon_gross is None else row.gains.horizon_gross.value


def bracket(assessment: Assessment, numbers: Table) -> str:
    """One sentence on how much sooner any schedule could reach the loss that gains are measured at.

    Ceilings count: they are schedules too, and bounds hold for them on the loss that they looked at.

    Arguments:
        assessment: the comparison, with its bounds.
        numbers: what `table` makes of it.

    Returns:
        The sentence; empty where gains have no window.
    """
    if numbers.window is None:
        return ""
    ceiling = ""
    ends = [row for row in numbers.rows if row.is_ceiling and row.gains.horizon_gross is not None]
    if ends:
        best = max(ends, key=lambda row: row.gains.horizon_gross.value)  # pyright: ignore[reportOptionalMemberAccess]
        assert best.gains.horizon_gross is not None
        size = format_short(best.gains.horizon_gross.value)
        ceiling = f"The ceiling that nobody could run, {best.name}, gets there {size} times as soon before costs"
    limits = {curve.name: most_gain(assessment, numbers, curve) for curve in assessment.bounds if curve.kind == "bound"}
    useful = {name: most for name, most in limits.items() if most < _USELESS}
    if useful:
        name = min(useful, key=lambda name: useful[name])
        proven = f"no schedule whatever can get there more than {format_short(useful[name])} times as soon ({name})"
    elif limits:
        proven = f"there is no useful bound on what others could do ({', '.join(limits)}: too loose at this loss)"
    else:
        proven = "no bound is known on what other schedules could do"
    return f"{ceiling}; {proven}." if ceiling else f"{proven[0].upper()}{proven[1:]}."


def most_gain(assessment: Assessment, numbers: Table, curve: Curve) -> float:
    """How many times sooner a schedule on a bound would be where uniform sampling ends; infinite if it does not say.

    Arguments:
        assessment: the comparison.
        numbers: what `table` makes of it.
        curve: a bound among its `bounds`.
    """
    assert numbers.window is not None
    known = np.isfinite(curve.loss)
    if not known.all() or curve.loss[0] <= 0:
        return float("inf")
    times, end = assessment.times, numbers.window.end
    target = np.array([np.exp(np.interp(np.log(end), np.log(times[1:]), np.log(assessment.reference.loss[1:])))])
    reached = float(crossing_times(times, np.asarray(curve.loss), target)[0])
    return end / reached if reached > 0 else float("inf")
