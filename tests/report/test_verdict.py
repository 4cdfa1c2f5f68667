"""What the verdict says of tables whose outcome is known."""

import dataclasses

import pytest

from spectral_sim.analysis import Speedup
from spectral_sim.assessment import Gains, Interval, Row, Steps, Table, Window, claim, verdict
from spectral_sim.assessment._columns import columns_of


def number(value, kind="one horizon", net=False):
    """A speed-up from 2.5, "<=2.5" or None."""
    if value is None:
        return None
    bound = "<=" if isinstance(value, str) else "="
    size = float(str(value).removeprefix("<="))
    horizon, window = (100.0, None) if kind == "one horizon" else (None, (1.0, 100.0))
    return Speedup(size, kind, net, horizon, window, bound)


def row(name, gross=1.0, net=None, spread=1.1, change=1.0, ahead=1.0, ok=True, picked=False, drive=1.0, **more):
    """A row whose intervals reach from value / spread to value x spread."""
    net = gross if net is None else net
    around = lambda value: Interval(value, value / spread, value * spread) if isinstance(value, float) else None
    gains = Gains(
        anytime_gross=number(gross, "anytime"),
        anytime_net=number(net, "anytime", net=True),
        horizon_gross=number(gross),
        horizon_net=number(net, net=True),
        gross=around(gross),
        net=around(net),
        change=Interval(change, change / spread, change * spread),
    )
    status = "ok" if ok else "negative weights at t = 3"
    own = gains if ok else Gains()
    ends = {"ahead_from": ahead, "picked": picked}
    return Row(name, 0.5, 0.5, own, 2.0, drive, None, None, status, ok, name == "uniform", **ends, **more)


def table(*rows, modal=False, priced=True, window=True, rows_scored=200, splits=5, **options):
    return Table(
        rows=(row("uniform"), *rows),
        window=Window(1.0, 100.0) if window else None,
        measure="loss" if modal else "held-out loss",
        is_modal=modal,
        priced=priced,
        scored_rows=0 if modal else rows_scored,
        splits=1 if modal else splits,
        picks_apart=not modal,
        **options,
    )


def say(*rows, bracket="", exports=False, ideal_ratio=None, **options):
    told = {"bracket": bracket, "exports": exports, "ideal_ratio": ideal_ratio}
    return verdict(table(*rows, **options), "digits", **told)


def test_three_sentences_what_pays_what_none_exceeds_and_what_to_do():
    text = say(
        row("fast", gross=3.0, net=2.0, picked=True), row("slow", gross=0.5), bracket="The bracket.", exports=True
    )
    first, second, third = text.split(". ")[:3]
    assert first == (
        "fast pays on digits: after its cost it reaches the held-out loss that uniform sampling has at t = 100 2 times "
        "as soon (90% interval 1.82 to 2.2)"
    )
    assert second == "The bracket"
    assert third.startswith("To use it, draw rows by weights.parquet, as use_weights")
    assert "Slower than uniform sampling even before costs: slow (0.50x)." in text
    assert "picked on other held-out rows than the 200 held-out rows in each of 5 splits" in text


def test_steps_are_named_where_they_are_known():
    text = say(row("fast", gross=3.0, picked=True), steps=Steps(0.01, 32, 320))
    assert "at step 10,000 (1,000 epochs)" in text


def test_a_gain_that_scoring_eats_up_is_none():
    text = say(row("dear", gross=3.0, net=0.3, picked=True))
    assert text.startswith("No schedule pays for itself on digits: the best, dear, does not; after its cost it reaches")
    assert "Before costs dear would be 3 times as soon; what it takes to score leaves 0.30x." in text
    assert "Keep sampling uniformly." in text


@pytest.mark.parametrize(
    ("net", "spread", "expected"),
    [
        (1.5, 1.1, "pays"),
        (1.5, 2.0, "unsure"),
        (1.005, 1.001, "nothing"),
        (0.8, 1.1, "nothing"),
        (0.8, 1.5, "unsure"),
        ("<=0.5", 1.1, "nothing"),
        (None, 1.1, "nothing"),
    ],
)
def test_a_claim_needs_an_interval_above_one(net, spread, expected):
    own = row("only", gross=1.0 if net is None else net, net=net, spread=spread, picked=True)
    if net is None:
        own = dataclasses.replace(own, gains=Gains())
    assert claim(own, table(own)) == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rows_scored": 10}, "10 held-out rows score it, and at least 30 are needed"),
        ({"splits": 2}, "2 splits of the data, and at least 3 are needed"),
        ({"splits": 1}, "1 split of the data, and"),
    ],
)
def test_with_little_data_nothing_is_claimed(options, words):
    text = say(row("fast", gross=3.0, picked=True, change=0.5), **options)
    assert text.startswith("Nothing can be said about curation on digits: ")
    assert words in text
    assert "pays" not in text
    assert "below" not in text


def test_what_is_not_sure_is_not_claimed():
    text = say(row("maybe", gross=1.2, spread=1.4, picked=True))
    assert text.startswith("No schedule is seen to pay for itself on digits: the best, maybe, may be slower")
    assert "1.2 times as soon (90% interval 0.857 to 1.68)" in text


@pytest.mark.parametrize(
    ("spread", "words"),
    [(1e9, "below 0.01 to above 1000"), (200.0, "below 0.01 to 240"), (100.0, "0.012 to 120")],
)
def test_ends_far_out_are_not_written_in_digits(spread, words):
    wide = row("maybe", gross=1.2, spread=spread, picked=True)
    assert f"1.2 times as soon (90% interval {words})" in say(wide)
    columns = columns_of("loss", "its end", None, splits=5, is_modal=False, is_scaled=False)
    assert [column.cell(wide) for column in columns if "interval" in column.title] == [words]


def test_a_late_gain_is_called_that():
    assert "only from t = 60 on is it ahead" in say(row("late", gross=2.0, ahead=60.0, picked=True))
    assert "late" not in say(row("early", gross=2.0, ahead=2.0, picked=True))


def test_an_upper_bound_is_never_a_gain():
    text = say(row("plateau", gross="<=4.0", net="<=3.0", picked=True))
    assert "it never reaches the held-out loss" in text
    assert text.startswith("No schedule pays for itself")
    assert "Before costs" not in text


def test_larger_features_are_not_sold_as_curation():
    text = say(row("big", gross=3.0, drive=2.5, picked=True))
    assert "Part of this is scale: it trains on examples with 2.5 times the mean squared feature norm" in text
    assert "scale" not in say(row("big", gross=3.0, drive=1.02, picked=True))


def test_a_lower_loss_is_told_apart_from_speed():
    text = say(row("better", gross=1.3, change=0.8, picked=True))
    assert "its lowest held-out loss is 20.0% below uniform's (90% interval 12.0% to 27.3%)" in text
    assert "below" not in say(row("same", gross=1.3, change=0.999, picked=True))
    assert "below" not in say(row("unsure", gross=1.3, change=0.95, picked=True))


def test_a_ceiling_is_never_recommended():
    ceiling = dataclasses.replace(row("ceiling", gross=9.0), is_ceiling=True)
    text = say(ceiling, row("real", gross=1.5, picked=True))
    assert text.startswith("real pays")


def test_failed_members_are_named_and_left_out():
    text = say(row("good", gross=2.0, picked=True), row("broken", ok=False))
    assert "Failed and left out: broken (negative weights at t = 3)." in text
    assert say(row("broken", ok=False)).startswith("No curated schedule finished on digits")


def test_without_a_window_nothing_is_claimed():
    assert "Uniform sampling does not learn on digits" in say(row("x", gross=None), window=False)
    assert "nothing to compare" in say()


def test_free_passes_are_said_to_be_free():
    """On modes what looks often is charged no more than what looks seldom, unless somebody says what a look costs."""
    own = row("taught", gross=3.0, net=1.5, picked=True)
    text = say(own, modal=True, free_passes=True)
    assert "Passes over the data are free unless `cost` is given: modes do not say how many examples" in text
    assert "Passes over the data are free: their `cost` is 0" in say(own, free_passes=True)
    assert "free" not in say(own, modal=True, paid_passes=True)


def test_modes_are_exact_and_measured_against_the_ideal_oracle():
    own = row("oracle", gross=3.0, picked=True)
    text = say(own, modal=True, priced=False, ideal_ratio=("oracle", 1.23))
    assert text.startswith("oracle pays on digits: with nothing charged for it it reaches the loss")
    assert "the nearest, oracle, ends at 1.23 times it" in text
    assert "picked on" not in text
    assert "is reached by oracle" in say(own, modal=True, ideal_ratio=("oracle", 1.0))
