"""One implementation reads curves on the host and inside jit; here they are compared where curves rise and stall."""

import jax
import numpy as np
import pytest

from spectral_sim.analysis import crossing_times, fit_exponent, line_fit, race, speedup, time_to_loss

TIMES = np.append(0.0, np.logspace(-1, 3, 25))
RISING = np.append(4.0, TIMES[1:] ** -0.5 * (1 + 0.6 * np.sin(np.arange(25))))
FASTER = np.append(4.0, (3 * TIMES[1:]) ** -0.5)
WINDOW = (1.0, 500.0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_inside_jit_as_on_the_host(dtype):
    horizons, targets = np.geomspace(*WINDOW, 129), np.geomspace(0.05, 3.0, 12)

    @jax.jit
    def read(loss, reference):
        found = race(TIMES, loss, reference, horizons)
        line = line_fit(TIMES, loss, WINDOW)
        return found.speedup(), crossing_times(TIMES, reference, targets.astype(dtype)), line.exponent, line.stderr

    ratio, reached, exponent, stderr = read(FASTER.astype(dtype), RISING.astype(dtype))
    tolerance = 1e-10 if dtype == np.float64 else 1e-4
    assert exponent.dtype == ratio.dtype == reached.dtype == dtype
    np.testing.assert_allclose(ratio, speedup(TIMES, FASTER, RISING, window=WINDOW).value, rtol=tolerance)
    np.testing.assert_allclose(reached, time_to_loss(TIMES, RISING, targets), rtol=tolerance)
    np.testing.assert_allclose(exponent, fit_exponent(TIMES, FASTER, WINDOW).value, rtol=tolerance)
    assert stderr < 1e-5


def test_a_horizon_inside_a_fall_after_a_rise_is_compared_at_the_lowest_loss_so_far():
    """The reference is at 1, rises to 3 and falls to 0.25; before it is back at 1 the best it has had is 1."""
    times, reference = np.array([0.0, 1.0, 2.0, 4.0]), np.array([5.0, 1.0, 3.0, 0.25])
    back = 2 * 2 ** (np.log(3.0) / np.log(12.0))  # straight in log-log from 3 at t = 2 to 0.25 at t = 4
    found = race(times, reference, reference, np.array([2.0, 0.99 * back, 1.01 * back]))
    np.testing.assert_allclose(found.target[:2], 1.0, rtol=1e-14)
    np.testing.assert_allclose(found.slow, [1.0, 1.0, 1.01 * back], rtol=1e-12)
