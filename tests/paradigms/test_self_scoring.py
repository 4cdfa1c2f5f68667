"""Self-scoring: hard visibility keeps the static exponent, soft visibility tracks the frontier."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from helpers import quickly

import spectral_sim as ss

SHARE = 0.2


@pytest.fixture(scope="module")
def problem():
    """The first 512 modes one by one: a step in visibility must not fall between quadrature nodes."""
    return ss.power_law(2.0, 2.0, max_mode=1e7, nodes=2048)


def uniform_at(problem, times):
    count, index = np.asarray(problem.multiplicity), np.asarray(problem.index)
    return 0.5 * np.sum(count * index**-2.0 * np.exp(-2 * times[:, None] * index**-2.0), axis=1)


def judged(threshold, sharpness, share=SHARE):
    return ss.chain(ss.self_scoring(threshold, sharpness), ss.proportional(1.0), ss.mix(share))


def slope(times, loss, window):
    inside = (times >= window[0]) & (times <= window[1])
    return -np.polyfit(np.log(times[inside]), np.log(loss[inside]), 1)[0]


def test_hard_visibility_keeps_the_static_exponent(problem):
    """L = L_uniform(c t), c = eps P(theta0, 2 u0)^(-1/theta0), over four decades, for three thresholds."""
    times = ss.log_times(1e-1, 1e6, 7 * 64 + 2)
    thresholds = jnp.array([0.25, 0.5, 1.5])
    losses = np.asarray(
        quickly(lambda: jax.vmap(lambda u0: ss.simulate(problem, judged(u0, jnp.inf), times).loss)(thresholds))
    )
    late = times >= 0.99e2
    for threshold, loss in zip(np.asarray(thresholds), losses, strict=True):
        assert slope(times, loss, (1e2, 1e6)) == pytest.approx(0.5, rel=0.02)
        speed = SHARE * scipy.special.gammainc(0.5, 2 * threshold) ** -2.0
        ratio = np.log(loss[late] / uniform_at(problem, speed * times[late]))
        # in each decade: while few modes are learnt they are counted off one by one, as steps of a few percent
        decades = np.floor(np.log10(times[late] * 1.001)).astype(int)
        for decade in (2, 3, 4, 5):
            assert np.exp(ratio[decades == decade].mean()) == pytest.approx(1, abs=0.02), (threshold, decade)


def test_soft_visibility_tracks_the_frontier():
    """Where static curation gives 1/2 and the ideal 1; the slope creeps up with the decades."""
    problem = ss.power_law(2.0, 2.0, max_mode=1e7, nodes=256)
    times = ss.log_times(1e-1, 1e6, 7 * 32 + 2)
    sharpness = jnp.array([0.5, 1.0])
    losses = np.asarray(
        quickly(lambda: jax.vmap(lambda q: ss.simulate(problem, judged(0.5, q, 0.05), times).loss)(sharpness))
    )
    for loss in losses:
        assert 0.93 < slope(times, loss, (1e2, 1e6)) < 1.02
        assert slope(times, loss, (1e4, 1e6)) > slope(times, loss, (1e2, 1e4))
    ideal = np.asarray(ss.ideal_oracle(problem, times).loss)
    assert np.all(losses >= ideal * (1 - 1e-12))


def test_the_signal_is_what_has_begun_to_be_learnt():
    energies = np.array([1.0, 0.5, 0.25, 0.0])
    problem = ss.ModalProblem([1.0, 0.5, 0.25, 0.0], energies)
    progress = np.array([2.0, 0.5, 0.0, 0.0])
    with np.errstate(divide="ignore"):
        log_energy = jnp.asarray(np.log(energies) - 2 * progress)
    seen = ss.Observation(
        time=jnp.zeros(()),
        energy=jnp.exp(log_energy),
        log_energy=log_energy,
        loss=jnp.zeros(()),
        state=None,
        initial_energy=jnp.asarray(energies),
        mass=problem.mass,
        problem=problem,
    )
    for threshold, sharpness in ((0.5, 1.0), (0.7, 3.0)):
        stage = ss.self_scoring(threshold, sharpness)
        visible = progress**sharpness / (progress**sharpness + threshold**sharpness)
        expected = energies * np.exp(-2 * progress) * visible
        np.testing.assert_allclose(stage(seen.energy, seen, None)[0], expected, rtol=1e-13)
    step = ss.self_scoring(0.5, np.inf)
    np.testing.assert_allclose(step(seen.energy, seen, None)[0], seen.energy * (progress >= 0.5))
    # what has been drained below the smallest number is still known to be seen
    drained = seen.replace(energy=jnp.zeros(4), log_energy=jnp.asarray([-2000.0, -0.7, -1.4, -jnp.inf]))
    assert list(np.asarray(step(drained.energy, drained, None)[0]) > 0) == [True, False, False, False]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_curator_that_has_drained_all_it_sees_does_not_turn_uniform(dtype):
    """With a step that the second mode passes late: until then the budget stays on the first."""
    problem = ss.ModalProblem(np.array([1.0, 1e-3], dtype), np.array([1.0, 1.0], dtype))
    times = ss.log_times(0.1, 2e3, 60)
    run = ss.simulate(problem, judged(0.5, np.inf, 0.01), times, save=ss.save_weights)
    weights = np.asarray(run.saved)[:-1]
    seen = times[:-1] > 1
    np.testing.assert_allclose(weights[seen, 1], 0.01, rtol=1e-4)
