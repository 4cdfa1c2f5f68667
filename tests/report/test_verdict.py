"""What the verdict says of tables whose outcome is known."""

import pytest

from spectral_sim.analysis import Speedup
from spectral_sim.assessment import Row, Table, verdict
from spectral_sim.assessment._gains import Gains, Window


def number(value, kind="anytime", net=False):
    """A speed-up from 2.5, "<=2.5" or None."""
    if value is None:
        return None
    bound = "<=" if isinstance(value, str) else "="
    size = float(str(value).removeprefix("<="))
    horizon, window = (100.0, None) if kind == "one horizon" else (None, (1.0, 100.0))
    return Speedup(size, kind, net, horizon, window, bound)


def row(name, gross=1.0, net=None, at_end=1.0, at_end_net=None, loss=0.5, ok=True, drive=1.0):
    gains = Gains(
        number(gross),
        number(gross if net is None else net, net=True),
        number(at_end, "one horizon"),
        number(at_end if at_end_net is None else at_end_net, "one horizon", net=True),
    )
    status = "ok" if ok else "negative weights at t = 3"
    return Row(name, loss, loss, gains if ok else Gains(), 2.0, drive, None, None, status, ok, name == "uniform")


def say(*rows, modal=False, priced=True, window=True, paid_passes=False, free_passes=False, **options):
    table = Table(
        rows=(row("uniform"), *rows),
        window=Window(1.0, 100.0) if window else None,
        measure="loss" if modal else "held-out loss",
        is_modal=modal,
        priced=priced,
        paid_passes=paid_passes,
        free_passes=free_passes,
    )
    return verdict(table, "digits", **options)


def test_a_large_gain_that_survives_its_cost():
    text = say(row("fast", gross=3.0, net=2.0, at_end=4.0), row("slow", gross=0.5))
    assert text.startswith(
        "Curation helps clearly on digits: fast reaches the losses of uniform sampling 3.00x as fast gross, 2.00x net, "
    )
    assert "an anytime gain." in text
    assert "Net of the cost of curation it keeps 2.00x" in text
    assert "Slower than uniform sampling before costs: slow (0.50x gross, 0.50x net)" in text
    assert "picked on the data that it is measured on" in text


def test_another_schedule_is_best_net():
    text = say(row("dense", gross=3.0, net=1.2), row("seldom", gross=2.0, net=1.8))
    assert "it falls to 1.20x, and the best is seldom: 2.00x gross, 1.80x net." in text


def test_a_gain_that_scoring_eats_up():
    text = say(row("fast", gross=3.0, net=0.3, at_end=3.0, at_end_net=0.5))
    assert "no gain is left over the window: fast falls to 0.30x net" in text
    assert "Late in training" not in text


def test_a_gain_that_is_left_late_only():
    text = say(row("fast", gross=3.0, net=0.3, at_end=3.0, at_end_net=2.0))
    assert "Late in training it pays: at the one horizon t = 100, fast is faster (3.00x gross, 2.00x net)" in text


@pytest.mark.parametrize(
    ("gross", "words"),
    [
        (1.05, "Curation buys little on digits"),
        (1.3, "Curation helps modestly on digits"),
        (1.0, "Curation does not help on digits: the best schedule, only, is no faster"),
        (0.7, "Curation does not help on digits: the best schedule, only, is slower"),
    ],
)
def test_the_headline_fits_the_size_of_the_gain(gross, words):
    assert say(row("only", gross=gross)).startswith(words)


def test_a_gain_at_one_horizon_is_called_that():
    text = say(row("tuned", gross=0.8, at_end=1.6, at_end_net=1.5))
    assert "does not help" in text
    assert "tuned is faster (1.60x gross, 1.50x net), but over the window it is not" in text
    assert "a gain at one horizon, not an anytime gain" in text


def test_an_upper_bound_is_never_a_gain():
    text = say(row("plateau", gross="<=4.0", net="<=3.0", at_end="<=0.5"))
    assert text.startswith("Curation does not help on digits: no schedule reaches all losses")
    assert "Ahead early only: plateau, which never reaches the lowest held-out loss of the window" in text
    assert "helps" not in text


def test_every_speed_up_is_told_gross_and_net():
    """Of schedules that are slower, that are ahead early only, and that gain little or nothing."""
    text = say(row("plateau", gross="<=4.0", net="<=3.0", at_end="<=0.5"), row("slow", gross=0.7, net=0.2))
    assert "so that its ≤4.00x gross, ≤3.00x net is no gain" in text
    assert "the best schedule, slow, is slower than uniform sampling over the whole window (t = 1 to 100): " in text
    assert text.count("0.70x gross, 0.20x net") == 2
    text = say(row("slow", gross=0.7, net=0.2), row("slowest", gross=0.6, net=0.1))
    assert "2 of 2 are slower than uniform sampling before costs, slowest most of all (0.60x gross, 0.10x net)" in text
    assert "1.00x gross, 0.90x net" in say(row("none", gross=1.0, net=0.9))
    assert "1.05x as fast gross, 0.90x net" in say(row("little", gross=1.05, net=0.9))


def test_free_passes_are_said_to_be_free():
    """On modes what looks often is charged no more than what looks seldom, unless somebody says what a look costs."""
    text = say(row("taught", gross=3.0, net=1.5), modal=True, free_passes=True)
    assert "Passes over the data are free unless `cost` is given: modes do not say how many examples" in text
    assert "Passes over the data are free: their `cost` is 0" in say(row("x", gross=3.0), free_passes=True)
    assert "free" not in say(row("taught", gross=3.0, net=1.5), modal=True, paid_passes=True)


def test_larger_features_are_not_sold_as_curation():
    text = say(row("big", gross=3.0, drive=2.5))
    assert "Part of this is scale: it trains on examples with 2.5 times the mean squared feature norm" in text
    assert "scale" not in say(row("big", gross=3.0, drive=1.02))


def test_a_lower_loss_is_told_apart_from_speed():
    assert "The lowest held-out loss, 0.4 with better, is 20.0% below" in say(row("better", gross=0.9, loss=0.4))
    assert "No schedule lowers the best held-out loss (0.5)" in say(row("same", gross=0.9, loss=0.499))


def test_failed_members_are_named_and_left_out():
    text = say(row("good", gross=2.0), row("broken", ok=False))
    assert "Failed and left out: broken (negative weights at t = 3)." in text
    text = say(row("broken", ok=False))
    assert text.startswith("No curated schedule finished on digits")


def test_without_a_window_nothing_is_claimed():
    assert "Uniform sampling does not learn on digits" in say(row("x", gross=None, at_end=None), window=False)
    assert "nothing to compare" in say()


def test_modes_are_measured_against_the_ideal_oracle():
    text = say(row("oracle", gross=3.0), modal=True, priced=False, ideal_ratio=("oracle", 1.23))
    assert "the nearest, oracle, ends at 1.23 times it" in text
    assert "picked on the data" not in text
    assert "Net" not in text
    assert "is reached by oracle" in say(row("oracle", gross=3.0), modal=True, ideal_ratio=("oracle", 1.0))
