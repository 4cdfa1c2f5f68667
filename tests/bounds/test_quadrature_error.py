"""The error that quadrature_error estimates against the one that is there, from every mode by itself."""

import jax.numpy as jnp
import numpy as np
import pytest

import spectral_sim as ss

TIMES = ss.log_times(1e-1, 1e4, 13)
NUM_MODES = 100_000
SCHEDULES = {
    "uniform": ss.uniform(),
    "tilt": ss.power_tilt(0.3),
    "proportional": ss.proportional(1.0),
    "water_filling": ss.water_filling(),
    "clip": ss.chain(ss.power_tilt(0.8), ss.clip(0.3, 4.0)),
    "cutoff": ss.power_tilt(0.5, cutoff=100.0),
    "capped": ss.chain(ss.water_filling(), ss.clip(0.0, 10.0)),
}


def estimate_and_truth(schedule, alpha=1.5, beta=2.0, nodes=128):
    shells = ss.power_law(alpha, beta, max_mode=NUM_MODES, nodes=nodes)
    estimate = np.asarray(ss.bounds.quadrature_error(shells, SCHEDULES[schedule], TIMES))
    if schedule == "uniform":  # the sum itself
        k = np.arange(1.0, NUM_MODES + 1)
        exact = np.array([0.5 * np.sum(k**-beta * np.exp(-2 * t * k**-alpha)) for t in TIMES])
    else:
        exact = ss.simulate(ss.power_law(alpha, beta, num_modes=NUM_MODES), SCHEDULES[schedule], TIMES).loss
    return estimate, np.abs(np.asarray(exact / ss.simulate(shells, SCHEDULES[schedule], TIMES).loss) - 1)


@pytest.mark.parametrize("schedule", ["uniform", "tilt"])
def test_is_tiny_for_smooth_static_weights(schedule):
    estimate, truth = estimate_and_truth(schedule)
    assert estimate.max() < 1e-11
    assert truth.max() < 1e-11


@pytest.mark.parametrize("schedule", ["water_filling", "clip", "cutoff", "capped"])
def test_is_the_true_error_within_a_factor_at_kinks(schedule):
    estimate, truth = estimate_and_truth(schedule)
    assert truth.max() > 1e-7
    assert truth.max() / 3 < estimate.max() < 3 * truth.max()


def test_is_about_1e_5_for_water_filling_and_clips():
    shells = ss.power_law(1.5, 2.0, max_mode=1e8, nodes=256)
    for schedule in (ss.water_filling(), ss.chain(ss.power_tilt(0.3), ss.clip(0.1, 20.0))):
        error = float(jnp.max(ss.bounds.quadrature_error(shells, schedule, TIMES)))
        assert 1e-7 < error < 1e-4


def test_more_nodes_make_less_error():
    coarse, fine = (estimate_and_truth("uniform", nodes=nodes)[0].max() for nodes in (48, 96))
    assert fine < coarse / 10


def test_agrees_with_the_error_of_the_ideal_curve():
    shells = ss.power_law(2.0, 2.0, max_mode=1e6, nodes=96)
    error = ss.bounds.quadrature_error(shells, ss.water_filling(), TIMES)
    np.testing.assert_allclose(ss.ideal_oracle(shells, TIMES).quadrature_error, error, rtol=1e-3, atol=1e-12)
    assert float(jnp.max(error)) > 1e-7


def test_is_zero_where_every_mode_stands_for_itself():
    few = ss.power_law(2.0, 2.0, max_mode=40, nodes=64)  # more nodes than modes: the rule is every mode
    given = ss.ModalProblem([1.0, 0.5], [1.0, 2.0])
    for problem in (ss.power_law(2.0, 2.0, num_modes=40), few, given, ss.torus(2.0, 2.0, 8)):
        np.testing.assert_array_equal(ss.bounds.quadrature_error(problem, ss.uniform(), TIMES), np.zeros(TIMES.size))


def test_passes_options_on_to_the_run():
    shells = ss.power_law(2.0, 2.0, max_mode=1e4, nodes=64)
    with pytest.raises(ValueError, match="adjoint='other' is not known"):
        ss.bounds.quadrature_error(shells, ss.uniform(), TIMES, adjoint="other")


def test_refuses_multiplicities_without_a_law():
    problem = ss.ModalProblem([1.0, 0.5], [1.0, 2.0], [1.0, 3.0])
    with pytest.raises(ValueError, match=r"problem\.law is None with multiplicities other than 1: build .* power_law"):
        ss.bounds.quadrature_error(problem, ss.uniform(), TIMES)
