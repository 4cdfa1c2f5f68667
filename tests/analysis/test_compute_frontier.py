"""The compute-optimal frontier: a law with a closed form, the published exponents, and refusals."""

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.analysis import NoPowerLawError, compute_exponents, compute_frontier
from spectral_sim.assessment import findings
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


PUBLISHED = {  # loss and width, from the paper's table, as functions of its own two exponents
    "Ia": ((0.7, 0.3), lambda a, b: ((1 - 1 / (2 * a + 1)) * (1 + b / a - 1 / (2 * a)), 1 / (2 * a + 1))),
    "Ib": ((0.3, 0.4), lambda a, b: (a + b - 0.5, 0.5)),
    "Ic": ((0.2, 0.7), lambda a, b: (a * (2 * a + 2 * b - 1) / c(a, b), (2 * (a + b) - 1) / (2 * c(a, b)))),
    "II": ((0.7, 0.6), lambda a, b: ((2 * a + 2 * b - 1) / (2 * (a + b)), b / (a + b))),
    "III": ((0.7, 0.9), lambda a, b: ((4 * a - 1) / (4 * a), 0.5)),
    "IVa": ((0.3, 0.7), lambda a, b: (a, 0.5)),
    "IVb": (
        (0.27, 0.7),
        lambda a, b: ((1 - 2 * a) * (2 * a + 2 * b - 1) / (-2 * e(a, b)), (a - b) / e(a, b)),
    ),
}


def c(a, b):
    return a * (3 - 2 * b) + 2 * b - 1


def e(a, b):
    return 2 * a * b + a - 2 * b


@pytest.mark.parametrize("phase", PUBLISHED)
def test_asymptotic_exponents_are_the_published_ones(phase):
    (a, b), published = PUBLISHED[phase]
    found = compute_exponents(2 * a, 2 * (a + b))
    assert (found.loss, found.width) == (pytest.approx(published(a, b)[0]), pytest.approx(published(a, b)[1]))


@pytest.mark.parametrize(
    ("a", "b", "loss", "width"), [(0.7, 0.6, 0.6154, 0.4615), (0.7, 0.9, 0.6429, 0.5), (0.3, 0.7, 0.3, 0.5)]
)
def test_asymptotic_exponents_as_numbers(a, b, loss, width):
    found = compute_exponents(2 * a, 2 * (a + b))
    assert (found.loss, found.width) == (pytest.approx(loss, abs=5e-5), pytest.approx(width, abs=5e-5))


def test_a_tilt_moves_the_frontier_as_its_closed_form_says():
    """Gradient flow over three decades of compute: the loss falls faster by as much as predicted."""
    alpha, beta, widths, times = 2.0, 3.6, np.geomspace(10, 5000, 10), ss.log_times(1, 1e8, 97)
    problem = random_features(alpha, beta, num_modes=10**7, width=30.0, nodes=96)
    axes = {"exponent": [0.0, 0.2], "problem.width": widths}
    said = {"theory": "compute_frontier", "alpha": alpha, "beta": beta}
    table = ss.sweep(problem, ss.grid(ss.power_tilt(0.0), **axes), times, metrics=["loss"], attributes=said)
    losses = np.asarray(table.loss).reshape(2, len(widths), -1)[:, :, 1:]
    for tilt, loss in zip(axes["exponent"], losses, strict=True):
        found = compute_frontier(loss, widths, times[1:], window=(3e3, 3e6))
        expected = compute_exponents(alpha, beta, noise=False, tilt=tilt)
        assert found.loss_exponent.value == pytest.approx(expected.loss, rel=0.02)
        assert found.width_exponent.value == pytest.approx(expected.width, rel=0.08)
    reported = findings(table)
    assert [finding.holds for finding in reported] == [True, True]
    assert "tilt = 0.2: " in reported[1].text
    assert "predicted 0.8125" in reported[1].text


@pytest.mark.parametrize("beta", [2.6, 3.2])
def test_widths_under_sgd_have_the_asymptotic_exponents(beta):
    """One-pass SGD with batches of one, over three decades of compute."""
    alpha, widths, steps = 1.4, np.geomspace(50, 25600, 10), ss.log_steps(10, 10**8, 90)
    dynamics = ss.SGDMoments(0.16, 1.0)
    losses = []
    for width in widths:
        problem = random_features(alpha, beta, num_modes=10**9, width=width, nodes=96)
        losses.append(ss.simulate(problem, ss.uniform(), steps, dynamics=dynamics).loss[1:])
    found, expected = compute_frontier(losses, widths, steps[1:], window=(5e4, 5e7)), compute_exponents(alpha, beta)
    assert found.loss_exponent.value == pytest.approx(expected.loss, rel=0.08)
    assert found.width_exponent.value == pytest.approx(expected.width, rel=0.08)
    assert found.loss_exponent.stderr < 0.02 * expected.loss


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 1.0}, "alpha is 1, where logarithms"),
        ({"alpha": -1.0}, "alpha is -1: it must be positive"),
        ({"beta": 1.0}, "beta is 1: the sum of the energies diverges"),
        ({"tilt": 0.2}, r"tilt is 0\.2 with noise"),
        ({"tilt": 0.6, "noise": False}, r"tilt is 0\.6 at alpha = 2: .* below 0\.5"),
    ],
)
def test_exponents_that_no_closed_form_covers(arguments, message):
    with pytest.raises(ValueError, match=message):
        compute_exponents(**{"alpha": 2.0, "beta": 2.6, **arguments})
