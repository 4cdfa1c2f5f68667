"""The compute-optimal frontier: a law with a closed form, the published exponents, and refusals."""

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.analysis import NoPowerLawError, compute_exponents, compute_frontier
from spectral_sim.problems import random_features

WIDTHS, STEPS = np.geomspace(10, 1e5, 25), np.geomspace(10, 1e8, 300)
P, Q = 0.6, 0.9


def two_powers(widths=WIDTHS, steps=STEPS):
    return widths[:, None] ** -P + 2 * steps**-Q


def test_a_sum_of_two_powers_has_its_closed_form():
    """At f = d r the sum d^-p + 2 r^-q is least at d = (f^q p / (2 q))^(1 / (p + q))."""
    found = compute_frontier(two_powers(), WIDTHS, STEPS)
    width = (found.compute**Q * P / (2 * Q)) ** (1 / (P + Q))
    loss = width**-P + 2 * (found.compute / width) ** -Q
    np.testing.assert_allclose(found.loss, loss, rtol=2e-3)
    np.testing.assert_allclose(found.width, width, rtol=0.05)
    assert found.loss_exponent.value == pytest.approx(P * Q / (P + Q), rel=2e-3)
    assert found.width_exponent.value == pytest.approx(Q / (P + Q), rel=1e-2)
    assert found.loss_exponent.window == found.width_exponent.window
    assert found.compute[-1] / found.compute[0] > 1e5


def test_compute_may_be_counted_otherwise():
    """With compute d^2 r the frontier has other exponents."""
    found = compute_frontier(two_powers(), WIDTHS, STEPS, WIDTHS[:, None] ** 2 * STEPS)
    assert found.loss_exponent.value == pytest.approx(P * Q / (P + 2 * Q), rel=5e-3)


@pytest.mark.parametrize(
    ("a", "b", "loss", "width"),
    [
        (0.7, 0.6, 0.6154, 0.4615),
        (0.7, 0.9, 0.6429, 0.5),
        (0.7, 0.3, (1 - 1 / 2.4) * (1 + 0.3 / 0.7 - 1 / 1.4), 1 / 2.4),
    ],
)
def test_asymptotic_exponents_are_the_published_ones(a, b, loss, width):
    found = compute_exponents(2 * a, 2 * (a + b))
    assert (found.loss, found.width) == (pytest.approx(loss, abs=5e-5), pytest.approx(width, abs=5e-5))


def test_a_sweep_over_widths_has_the_asymptotic_exponents():
    alpha, beta, widths = 1.4, 3.2, np.geomspace(50, 3200, 9)
    steps, rate = ss.log_steps(10, 10**6, 60), 0.15
    losses = [
        ss.simulate(
            random_features(alpha, beta, num_modes=10**6, width=width, nodes=96),
            ss.uniform(),
            steps,
            dynamics=ss.SGDMoments(rate, 1.0),
        ).loss[1:]
        for width in widths
    ]
    found, expected = compute_frontier(losses, widths, steps[1:]), compute_exponents(alpha, beta)
    assert found.loss_exponent.window[1] / found.loss_exponent.window[0] > 1e2
    assert found.loss_exponent.value == pytest.approx(expected.loss, rel=0.08)
    assert found.width_exponent.value == pytest.approx(expected.width, rel=0.08)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": two_powers()[0]}, r"loss must have shape \(widths, steps\)"),
        ({"widths": WIDTHS[:-1]}, "widths has shape"),
        ({"steps": STEPS[:-1]}, "steps has shape"),
        ({"loss": two_powers()[:2], "widths": WIDTHS[:2]}, "widths has 2 entries: give at least 3"),
        ({"widths": WIDTHS[::-1]}, "widths must increase"),
        ({"steps": np.concatenate([[0.0], STEPS[1:]])}, r"steps\[0\] is 0.* leave out the start"),
        ({"loss": -two_powers()}, r"loss\[0, 0\] is -"),
        ({"flops": STEPS}, "flops has shape"),
        ({"loss": np.ones((25, 1)) * STEPS**-0.5}, "an inner width is best at 0 amounts"),
    ],
)
def test_refusals(change, message):
    arguments = {"loss": two_powers(), "widths": WIDTHS, "steps": STEPS, **change}
    with pytest.raises(ValueError, match=message):
        compute_frontier(**arguments)


def test_no_power_law_is_no_exponent():
    with pytest.raises(NoPowerLawError):
        compute_frontier(np.exp(-np.sqrt(WIDTHS))[:, None] + np.exp(-(STEPS**0.25)) + 1e-3, WIDTHS, STEPS)
    with pytest.raises(ValueError, match=r"alpha is 0\.6: the sum over modes diverges"):
        compute_exponents(0.6, 2.0)
