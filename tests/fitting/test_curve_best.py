"""The best learning rates under a law that is given, within what its curves have shown."""

import csv

import numpy as np
import pytest

from spectral_sim.fitting import Curve, CurveFit, read_rates
from spectral_sim.fitting._curve_model import CurveLaw
from spectral_sim.report import curves_html

PEAK, LEAST, STEPS, WARM_UP = 1e-3, 1e-4, 600, 60


@pytest.fixture(scope="module")
def fit():
    """Two curves with a warm-up, one at the peak and one that falls to a tenth; their losses play no part."""
    step = np.arange(STEPS)
    ramp = np.minimum(1, step / WARM_UP)
    falling = np.clip((STEPS - step) / 200, LEAST / PEAK, 1)
    measured = np.arange(20, STEPS + 1, 20)
    curves = {
        name: Curve(measured, 3 + measured**-0.4, PEAK * ramp * shape)
        for name, shape in (("constant", np.ones(STEPS)), ("decay", falling))
    }
    point = np.array([-0.7, -0.5, -2.0, 2.0, 1.5, 2.0, 0.0])
    law = CurveLaw(PEAK, 3.0, 1e4, 32)
    return CurveFit(curves, (), law, point, 1e-4 * np.eye(7), 1e-3, 0.9, {}, {}, {}, True, ())


@pytest.fixture(scope="module")
def best(fit):
    return fit.best_rates(search_steps=150)


def test_best_rates_stay_within_what_was_seen_and_beat_it(fit, best):
    rates = best.learning_rate
    assert rates.shape == (STEPS,)
    assert best.warm_up == WARM_UP
    assert rates.max() <= PEAK
    assert rates[WARM_UP:].min() >= LEAST
    assert np.all(rates[:WARM_UP] <= PEAK * (np.arange(WARM_UP) + 1) / WARM_UP + 1e-12)
    assert len(best.warnings) == 1  # nothing goes beyond the curves
    loss = best.prediction.loss[-1]
    assert best.prediction.low[-1] < loss < best.prediction.high[-1]
    assert loss <= min(each.loss for each in best.by_hand.values()) + 1e-5
    assert loss < min(fit.predict_curve(name).loss[-1] for name in fit.curves) - 1e-4
    assert "stable then decay" in best.report()


def test_best_rates_are_written_for_every_step(best, tmp_path):
    path = tmp_path / "rates.csv"
    best.save(path)
    rows = list(csv.DictReader(path.open()))
    assert [int(row["step"]) for row in rows] == list(range(1, STEPS + 1))
    np.testing.assert_allclose([float(row["learning_rate"]) for row in rows], best.learning_rate, rtol=1e-7)
    (found,) = read_rates(path).values()
    assert len(found) == STEPS


def test_the_page_has_a_section_on_them(fit, best):
    page = curves_html(fit, "Curves", best)
    assert "Best learning rates" in page
    assert 'id="best-rates"' in page
    assert f"{best.prediction.loss[-1]:.4f}" in page
    assert "Best learning rates" not in curves_html(fit, "Curves")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"warm_up": 700}, "warm_up is 700"),
        ({"batch_size": 8}, "batch size cannot be predicted"),
        ({"lowest": 2 * PEAK, "warm_up": 0}, "lowest is"),
        ({"steps": 0}, "steps is 0"),
    ],
)
def test_bad_settings(fit, options, reason):
    with pytest.raises(ValueError, match=reason):
        fit.best_rates(**options)
