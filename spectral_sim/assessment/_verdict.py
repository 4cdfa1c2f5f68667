"""The result in plain words. Says what was gained, over what, and at what cost; little is an answer too."""

from ._table import SCALED, Row, Table, format_short, format_speedup

__all__ = ["verdict"]

_NOTHING = 1.005  # rounds to 1.00x or 1.01x
_LITTLE = 1.1
_CLEAR = 1.5
_ONE_HORIZON = 1.25
_SLOWER = 0.95
_LOWER_LOSS = 0.01


def verdict(table: Table, subject: str, *, ideal_ratio: tuple[str, float] | None = None) -> str:
    """One paragraph on a comparison.

    Arguments:
        table: the numbers.
        subject: what was learnt, as in "on digits".
        ideal_ratio: for modes, the schedule that ends nearest to the ideal oracle, and its loss over the oracle's.

    Returns:
        Plain text, every speed-up gross and net. A schedule that only bounds a speed-up from above is never credited
        with a gain, and a ceiling not at all.
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
    gross = _best(done, "anytime_gross")
    sentences = [
        _headline(gross, subject, table),
        *_scale(gross),
        *_after_cost(done, gross, table),
        *table.gifts,
        *_one_horizon(done, table),
        *_early_only(done, table),
        *_lower_loss(done, table),
        *_slower(done),
        *_ideal(ideal_ratio),
        *failed,
    ]
    if not table.is_modal and len(done) > 1:
        sentences.append(
            f"The best of {len(done)} was picked on the data that it is measured on: expect somewhat less elsewhere."
        )
    return " ".join(sentences)


def _headline(gross: Row | None, subject: str, table: Table) -> str:
    assert table.window is not None
    over = f"over the whole window (t = {format_short(table.window.start)} to {format_short(table.window.end)})"
    if gross is None:
        return f"Curation does not help on {subject}: no schedule reaches all losses that uniform sampling does {over}."
    value, text = _value(gross, "anytime_gross"), _both(gross)
    best = f"the best schedule, {gross.name},"
    if value < 1 / _NOTHING:
        return f"Curation does not help on {subject}: {best} is slower than uniform sampling {over}: {text}."
    if value < _NOTHING:
        return f"Curation does not help on {subject}: {best} is no faster than uniform sampling {over}: {text}."
    fast, net = (format_speedup(speedup) for speedup in (gross.gains.anytime_gross, gross.gains.anytime_net))
    reaches = f"reaches the losses of uniform sampling {fast} as fast gross, {net} net, {over}"
    if value < _LITTLE:
        return f"Curation buys little on {subject}: {best} {reaches}."
    size = "clearly" if value >= _CLEAR else "modestly"
    return f"Curation helps {size} on {subject}: {gross.name} {reaches}, an anytime gain."


def _scale(gross: Row | None) -> list[str]:
    """On kernels whose K(x, x) varies, weights also move the trace of the operator."""
    if gross is None or _value(gross, "anytime_gross") < _LITTLE or not gross.drive > 1 + SCALED:
        return []
    return [
        f"Part of this is scale: it trains on examples with {gross.drive:.2g} times the mean squared feature norm, and "
        "a learning rate larger by that factor would do the same without curation."
    ]


def _after_cost(done: list[Row], gross: Row | None, table: Table) -> list[str]:
    if not table.priced or gross is None:
        return []
    net, own = _best(done, "anytime_net"), format_speedup(gross.gains.anytime_net)
    if net is not None and _value(net, "anytime_net") >= _LITTLE:
        if net is gross:
            return [f"Net of the cost of curation it keeps {own}."]
        return [f"Net of the cost of curation it falls to {own}, and the best is {net.name}: {_both(net)}."]
    if _value(gross, "anytime_gross") < _LITTLE:
        same = own == format_speedup(gross.gains.anytime_gross)
        return [] if same else [f"Net of the cost of curation it is {own}."]
    sentences = [f"Once curation is paid for, no gain is left over the window: {gross.name} falls to {own} net."]
    late = _best(done, "horizon_net")
    if late is not None and table.window is not None and _value(late, "horizon_net") >= _ONE_HORIZON:
        sentences.append(
            f"Late in training it pays: at the one horizon t = {format_short(table.window.end)}, {late.name} is "
            f"faster ({_both(late, 'horizon')}), so score less often early on."
        )
    return sentences


def _one_horizon(done: list[Row], table: Table) -> list[str]:
    """A schedule that wins at the end of the window and not over it."""
    best = _best(done, "horizon_gross")
    if best is None or table.window is None:
        return []
    if _value(best, "horizon_gross") < _ONE_HORIZON or _value(best, "anytime_gross") >= _LITTLE:
        return []
    return [
        f"At the one horizon t = {format_short(table.window.end)}, {best.name} is faster ({_both(best, 'horizon')}), "
        "but over the window it is not: a gain at one horizon, not an anytime gain."
    ]


def _early_only(done: list[Row], table: Table) -> list[str]:
    """A schedule that is ahead on average although it never reaches the last losses."""
    ahead = [row for row in done if _censored(row) and _upper(row) >= _LITTLE]
    if not ahead:
        return []
    first = max(ahead, key=_upper)
    return [
        f"Ahead early only: {first.name}, which never reaches the lowest {table.measure} of the window, so that its "
        f"{_both(first)} is no gain."
    ]


def _lower_loss(done: list[Row], table: Table) -> list[str]:
    """On data, weights also move what is converged to: the lowest loss may differ."""
    if table.is_modal:
        return []
    best = min(done, key=lambda row: row.best_loss)
    uniform = table.rows[0].best_loss
    part = 1 - best.best_loss / uniform
    if part < _LOWER_LOSS:
        return [f"No schedule lowers the best {table.measure} ({uniform:.4g}) by as much as {_LOWER_LOSS:.0%}."]
    return [
        f"The lowest {table.measure}, {best.best_loss:.4g} with {best.name}, is {part:.1%} below that of uniform "
        f"sampling ({uniform:.4g})."
    ]


def _slower(done: list[Row]) -> list[str]:
    slower = [row for row in done if row.gains.anytime_gross is not None and _upper(row) < _SLOWER]
    if not slower:
        return []
    worst = min(slower, key=_upper)
    text = _both(worst)
    if len(slower) == 1:
        return [f"Slower than uniform sampling before costs: {worst.name} ({text})."]
    many = f"{len(slower)} of {len(done)} are slower than uniform sampling before costs"
    return [f"{many}, {worst.name} most of all ({text})."]


def _ideal(ideal_ratio: tuple[str, float] | None) -> list[str]:
    if ideal_ratio is None:
        return []
    name, ratio = ideal_ratio
    if ratio < _NOTHING:
        return [f"The ideal curve, below which no schedule on modes can go, is reached by {name}."]
    return [f"No schedule on modes can end below the ideal curve; the nearest, {name}, ends at {ratio:.3g} times it."]


def _failures(failed: list[Row]) -> list[str]:
    if not failed:
        return []
    return ["Failed and left out: " + "; ".join(f"{row.name} ({row.status})" for row in failed) + "."]


def _best(rows: list[Row], kind: str) -> Row | None:
    """The row with the largest speed-up that is not merely bounded from above."""
    sure = [row for row in rows if _value(row, kind) > 0]
    return max(sure, key=lambda row: _value(row, kind)) if sure else None


def _both(row: Row, kind: str = "anytime") -> str:
    """A speed-up gross and net."""
    gross, net = (format_speedup(getattr(row.gains, f"{kind}_{which}")) for which in ("gross", "net"))
    return f"{gross} gross, {net} net"


def _value(row: Row, kind: str) -> float:
    """A speed-up that is known or bounded from below; 0 for others."""
    value = getattr(row.gains, kind)
    return 0.0 if value is None or value.bound == "<=" else value.value


def _upper(row: Row) -> float:
    """The anytime speed-up or its upper bound; 0 where there is none."""
    value = row.gains.anytime_gross
    return 0.0 if value is None else value.value


def _censored(row: Row) -> bool:
    value = row.gains.anytime_gross
    return value is not None and value.bound == "<="
