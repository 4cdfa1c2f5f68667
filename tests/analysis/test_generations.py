"""Generations of models: the published sum, real runs, and real data mixed in; and tails that were cut."""

import jax
import numpy as np
import pytest
from scipy.optimize import brentq

import spectral_sim as ss
from spectral_sim.analysis import generations


def test_without_real_data_errors_add_up():
    found = generations(3, width=20, samples=60, final_samples=100, noise_variance=0.5)
    expected = 0.5 * 20 / (100 - 21) + np.arange(4) * 0.5 * 20 / (60 - 21)
    np.testing.assert_allclose(found.excess, expected, rtol=1e-14)
    assert found.drawn is None


@pytest.mark.parametrize("real_share", [0.0, 0.25, 1.0])
def test_real_runs_agree(real_share):
    """2,000 lines of models, trained in fact."""
    found = generations(
        3, width=12, samples=30, final_samples=40, real_share=real_share, draws=2000, key=jax.random.key(3)
    )
    assert np.all(np.abs(found.drawn - found.excess) < 2.5 * found.stderr), (found.drawn - found.excess) / found.stderr
    assert np.all(found.stderr < 0.03 * found.excess)


def test_the_factor_is_that_of_drawn_matrices():
    """E |S^-1 S_s e|^2 in NumPy, written without the closed form."""
    rng, found = np.random.default_rng(0), []
    for _ in range(4000):
        inputs = rng.standard_normal((25, 8))
        made = inputs[10:].T @ inputs[10:]
        found.append(np.sum(np.linalg.solve(inputs.T @ inputs, made @ np.eye(8)[0]) ** 2))
    noiseless = generations(1, width=8, samples=25, real_share=0.4, noise_variance=1.0)
    factor = (noiseless.excess[1] - noiseless.excess[0]) / (8 / (25 - 9))
    assert factor == pytest.approx(np.mean(found), abs=3 * np.std(found) / 4000**0.5)


def test_a_little_real_data_bounds_the_error():
    none = generations(400, width=20, samples=200).excess
    some = generations(400, width=20, samples=200, real_share=0.1).excess
    assert none[-1] / none[0] == pytest.approx(401, rel=1e-12)
    assert some[-1] == pytest.approx(some[-2], rel=1e-6)
    assert some[-1] < 8 * some[0]


@pytest.fixture(scope="module")
def cut():
    """A power law of which the made data holds the first 1,000 modes only."""
    problem = ss.power_law(2.0, 2.0, max_mode=1e6, nodes=256, breaks=[1000])
    return problem, ss.static_weights(np.where(np.asarray(problem.index) < 1000.5, 1.0, 0.0))


def test_the_tail_that_was_cut_is_never_learnt(cut):
    problem, made = cut
    run = ss.simulate(problem, made, [0.0, 1e8, 1e10])
    tail = 0.5 * np.sum(np.arange(1001.0, 1e6 + 1) ** -2)
    assert float(run.loss[-1]) == pytest.approx(tail, rel=1e-6)


def test_one_percent_of_real_data_lifts_it_late(cut):
    """The head is long learnt when the tail decays as under uniform sampling a hundred times slower."""
    problem, made = cut
    times = ss.log_times(1e2, 1e12, 401)
    mixed = ss.simulate(problem, ss.chain(made, ss.mix(0.01)), times).loss
    modes = np.arange(1001.0, 1e6 + 1)
    tail = lambda time: 0.5 * np.sum(modes**-2 * np.exp(-2 * 0.01 * time * modes**-2))
    expected = brentq(lambda log_time: tail(np.exp(log_time)) - tail(0.0) / 2, np.log(1e6), np.log(1e12))
    assert ss.time_to_loss(times, mixed, tail(0.0) / 2) == pytest.approx(np.exp(expected), rel=2e-3)
    assert float(mixed[-1]) == pytest.approx(tail(1e12), rel=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 11}, "samples=11 with width=10: .* give at least 12"),
        ({"final_samples": 5}, "final_samples=5 with width=10"),
        ({"real_share": 1.5}, r"real_share is 1\.5: give a share"),
        ({"noise_variance": -1.0}, "noise_variance is -1"),
        ({"draws": 3}, r"generations\(key=jax.random.key\(0\)\)"),
        ({"number": 2.5}, "number is 2.5: it must be one whole number"),
    ],
)
def test_refusals(change, message):
    arguments = {"number": 2, "width": 10, "samples": 40, **change}
    with pytest.raises(ValueError, match=message):
        generations(arguments.pop("number"), **arguments)
