"""First crossings of curves whose inverse is known."""

import numpy as np
import pytest

from spectral_sim.analysis import time_to_loss

TIMES = np.logspace(-1, 8, 28)


def test_a_power_law_is_inverted_exactly_between_its_points():
    target = np.geomspace(TIMES[1], TIMES[-1], 50) ** -0.5
    np.testing.assert_allclose(time_to_loss(TIMES, TIMES**-0.5, target), target**-2.0, rtol=1e-12)


def test_the_first_interval_is_linear_in_time():
    """log L is linear in t there: an exponential decay is inverted exactly."""
    times = np.append(0.0, TIMES)
    loss = np.append(1.0, np.exp(-3 * TIMES[0]) * (TIMES / TIMES[0]) ** -0.5)
    target = np.exp(-3 * np.array([0.01, 0.05, 0.1]))
    np.testing.assert_allclose(time_to_loss(times, loss, target), [0.01, 0.05, 0.1], rtol=1e-12)


def test_a_loss_on_the_grid_gives_that_very_time():
    loss = TIMES**-0.37
    assert np.array_equal(time_to_loss(TIMES, loss, loss[1:]), TIMES[1:])


def test_reached_at_the_start_and_never():
    assert time_to_loss([0.0, 1.0, 2.0], [4.0, 2.0, 1.0], [9.0, 4.0, 0.5]).tolist() == [0.0, 0.0, np.inf]
    assert time_to_loss([1.0, 2.0], [4.0, 2.0], 4.0) == 0.0


def test_the_shape_is_that_of_the_target():
    assert time_to_loss(TIMES, TIMES**-0.5, np.ones((2, 3))).shape == (2, 3)
    assert time_to_loss(TIMES, TIMES**-0.5, np.ones((0,))).shape == (0,)
    assert isinstance(time_to_loss(TIMES, TIMES**-0.5, 0.5), float)
    assert isinstance(time_to_loss(TIMES, TIMES**-0.5, np.float32(0.5)), float)


def test_a_loss_that_rises_counts_at_its_first_crossing():
    times, loss = [1.0, 10.0, 100.0, 1000.0], [1.0, 0.01, 1.0, 1e-4]
    assert time_to_loss(times, loss, 0.1) == pytest.approx(10**0.5)
    assert time_to_loss(times, loss, 1e-2) == 10.0
    assert time_to_loss(times, loss, 1e-3) == pytest.approx(100 * 10**0.75)


def test_where_the_curve_has_no_logarithm_the_end_of_the_interval_counts():
    times = [0.0, 1.0, 2.0, 3.0]
    assert time_to_loss(times, [1.0, 0.5, 0.0, 0.0], 1e-6) == 2.0
    assert time_to_loss(times, [1.0, np.inf, 0.25, 0.1], 0.5) == 2.0
    assert time_to_loss(times, [1.0, np.nan, 0.25, 0.1], 0.5) == 2.0
    assert time_to_loss(times, [1.0, 0.5, np.nan, np.nan], 0.25) == np.inf
    assert time_to_loss(times, [np.nan] * 4, 0.25) == np.inf


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (0.0, "target is 0: it must be positive; a loss target lies above zero"),
        ([1.0, -2.0], r"target\[1\] is -2: it must be positive"),
        ([1.0, np.nan], r"target\[1\] is nan: every entry must be finite"),
    ],
)
def test_a_bad_target_is_named(target, message):
    with pytest.raises(ValueError, match=message):
        time_to_loss(TIMES, TIMES**-0.5, target)


def test_a_bad_curve_is_named():
    with pytest.raises(ValueError, match=r"loss has shape \(27,\) but times with 28 entries"):
        time_to_loss(TIMES, TIMES[1:], 0.5)
    with pytest.raises(ValueError, match=r"times\[1\] is 1, not above times\[0\] = 1"):
        time_to_loss([1.0, 1.0], [2.0, 1.0], 0.5)
