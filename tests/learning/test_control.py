"""Learning rate, batch size and weights learned at a fixed horizon, beside closed forms and rates by hand."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.learning import (
    RateFamily,
    control_grid,
    learn_control,
    power_decay,
    published_decay,
    rate_families,
)
from spectral_sim.learning._parameters import Parameters

NOISY = ss.SGDMoments(0.1, 1.0, noise_variance=1.0)


def stepped(problem, rates, batches, noise):
    """Loss after the last step, by the recursion of second moments, one step at a time."""
    eigenvalues, multiplicity = (np.asarray(x) for x in (problem.eigenvalues, problem.multiplicity))
    energy = np.asarray(problem.energies)
    for rate, batch in zip(rates, batches, strict=True):
        move = rate * eigenvalues
        drawn = rate**2 / batch * eigenvalues**2 * (np.sum(multiplicity * energy) + noise)
        energy = (1 - 2 * move + (1 + 1 / batch) * move**2) * energy + drawn
    return 0.5 * np.sum(multiplicity * energy)


@functools.cache
def rate_alone():
    """One pass over 1,000 noisy examples, source exponent 1: cubic decay is best for long runs."""
    problem = ss.power_law(2.0, 3.0, max_mode=1e8, nodes=64)
    constant = RateFamily(lambda share, _: share)  # a family of one's own
    more = {"square": power_decay(2.0), "cubic": power_decay(3.0), "constant": constant}
    return problem, learn_control(problem, 1000, dynamics=NOISY, families={**rate_families(), **more})


def test_learned_rates_beat_every_family():
    _, found = rate_alone()
    assert found.best_by_hand == "power decay"  # the straight line and the square are members
    assert found.loss < 0.97 * found.by_hand["power decay"].loss
    # known values for a batch of one, noise 1 and 1,000 steps
    known = {"cubic": 0.00945, "square": 0.00878, "linear": 0.00877, "cosine": 0.00889}
    for name, loss in known.items():
        assert found.by_hand[name].loss == pytest.approx(loss, rel=3e-3)
    assert np.ptp(found.by_hand["constant"].learning_rate) == 0
    assert found.by_hand["cubic"].peak == pytest.approx(0.136, rel=0.03)


def test_rates_of_each_step_give_the_loss_that_is_stated():
    problem, found = rate_alone()
    rates, batches = found.each_step()
    assert rates.shape == batches.shape == (1000,)
    assert stepped(problem, rates, batches, 1.0) == pytest.approx(found.loss, rel=1e-8)
    linear = found.by_hand["linear"]
    exact = linear.peak * (1 - (np.arange(1000) + 0.5) / 1000)
    assert stepped(problem, exact, batches, 1.0) == pytest.approx(linear.loss, rel=2e-3)


def test_batches_reach_the_optimum_of_the_allocation_problem():
    """Noise of a step decays as k(T - u): minimise int k s / r with int r = D; the least is (int sqrt(k s))^2 / D."""
    problem = ss.power_law(2.0, 2.0, num_modes=24, energy_scale=1e-9)  # nothing to learn: all of the loss is noise
    steps, rate, noise, samples = 1000, 0.02, 1.0, 2e6
    found = learn_control(
        problem, steps, dynamics=ss.SGDMoments(rate, 1.0, noise), control="batch_size", samples=samples
    )
    eigenvalues = np.asarray(problem.eigenvalues)
    left = np.arange(steps)[::-1, None]
    kernel = 0.5 * rate**2 * np.sum(eigenvalues**2 * (1 - rate * eigenvalues) ** (2 * left), axis=1)
    optimum = np.sum(np.sqrt(kernel * noise)) ** 2 / samples
    even = np.sum(kernel * noise) / (samples / steps)
    assert found.loss == pytest.approx(optimum, rel=0.02)
    assert even > 1.05 * optimum
    _, batches = found.each_step()
    assert batches.sum() == pytest.approx(samples, rel=1e-9)
    share = np.sqrt(kernel) / np.sqrt(kernel).sum()
    np.testing.assert_allclose(batches[500:-20] / samples, share[500:-20], rtol=0.1)


SMALL = ss.power_law(2.0, 1.5, num_modes=32)


@functools.cache
def small(*control):
    samples = 2400.0 if "batch_size" in control else None
    size = 1.0 if samples else 2400 / 300
    options = {"grid": control_grid(300, 20), "search_steps": 200}
    dynamics = ss.SGDMoments(0.3, size, noise_variance=1.0)
    return learn_control(SMALL, 300, dynamics=dynamics, control=control, samples=samples, **options)


@pytest.mark.slow
def test_rate_and_batch_together_are_no_worse_than_each_alone():
    rate, batch, both = small("learning_rate"), small("batch_size"), small("learning_rate", "batch_size")
    assert both.loss <= min(rate.loss, batch.loss)
    rates, batches = both.each_step()
    assert batches.sum() == pytest.approx(2400)
    assert batches.min() >= 1
    assert stepped(SMALL, rates, batches, 1.0) == pytest.approx(both.loss, rel=1e-8)
    assert both.learned.dynamics is not None
    stable = both.learned.dynamics.largest_rate(SMALL, jnp.ones(32))
    assert np.all(both.learning_rate < stable)
    assert both.learning_rate.max() > 0.61  # which is stable at these batches, and not at a batch of one


def test_rates_stay_stable_whatever_the_batches_become():
    grid = np.array([0, 100, 200, 300])
    dynamics = ss.SGDMoments(ss.PerRefresh(jnp.full(3, 0.5)), ss.PerRefresh(jnp.full(3, 8.0)), 1.0)
    trained, limits = ("dynamics.learning_rate", "dynamics.batch_size"), {"dynamics.learning_rate": (0.0, "stable")}
    make = lambda schedule, more=(): Parameters.create(
        schedule, dynamics, (*more, *trained), limits, 2400.0, grid, (SMALL,)
    )
    rate, batch = make(ss.uniform()).free()
    built: Any = make(ss.uniform()).build([rate, batch], grid)[1]
    np.testing.assert_allclose(built.learning_rate.values, 0.5, rtol=1e-12)
    moved: Any = make(ss.uniform()).build([rate + 3, batch + jnp.array([3.0, 0.0, -9.0])], grid)[1]
    assert np.sum(np.asarray(moved.batch_size.values) * 100) == pytest.approx(2400)
    stable = np.asarray(moved.largest_rate(SMALL, jnp.ones(32)))
    shares = np.asarray(moved.learning_rate.values) / stable
    assert np.all(shares < 1)
    np.testing.assert_allclose(shares, shares[0], rtol=1e-12)
    # where weights may change, the rate is stable under any
    table = ss.TableSchedule.create(SMALL, grid, num_basis=3)
    free = make(table, ("schedule",)).free()
    wild: Any = make(table, ("schedule",)).build([free[0], free[1] + 9, free[2]], grid)[1]
    assert np.all(np.asarray(wild.learning_rate.values) < np.asarray(wild.largest_rate(SMALL)))


@pytest.mark.parametrize(
    ("limits", "batch", "reason"),
    [
        ({"dynamics.batch_size": (1.0, "stable")}, 8.0, "only a learning rate may be 'stable'"),
        ({"dynamics.learning_rate": (0.0, "largest")}, 8.0, "give numbers or None"),
        ({"dynamics.learning_rate": (0.0, "stable")}, np.full(300, 8.0), "PerRefresh tables of one length"),
        ({"dynamics.learning_rate": (0.0, np.ones(2))}, 8.0, r"limits of shape \(2,\), not \(3,\)"),
        ({"dynamics.learning_rate": (0.0, np.array([1.0, np.inf, 1.0]))}, 8.0, "some are infinite"),
        ({"dynamics.learning_rate": (0.0, np.array([1.0, 0.2, 1.0]))}, 8.0, r"begins at 0.5, .* \(0, 0.2\)"),
    ],
)
def test_limits_that_cannot_be_used(limits, batch, reason):
    dynamics = ss.SGDMoments(ss.PerRefresh(jnp.full(3, 0.5)), batch, 1.0)
    with pytest.raises(ValueError, match=reason):
        Parameters.create(ss.uniform(), dynamics, "dynamics", limits, None, np.array([0, 100, 200, 300]), (SMALL,))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_free_numbers_keep_their_type(dtype):
    rates = jnp.full(3, 0.5, dtype)
    dynamics = ss.SGDMoments(ss.PerRefresh(rates), 8.0, 1.0)
    grid = np.array([0, 100, 200, 300])
    for low, high in ((0.0, np.ones(3)), (0.0, "stable"), (0.0, None)):
        limits = {"dynamics.learning_rate": (low, high)}
        made = Parameters.create(ss.uniform(), dynamics, "dynamics.learning_rate", limits, None, grid, (SMALL,))
        (free,) = made.free()
        built: Any = made.build([free], grid)[1]
        assert free.dtype == built.learning_rate.values.dtype == dtype
        np.testing.assert_allclose(built.learning_rate.values, rates, rtol=1e-6)


def test_published_optimum():
    assert published_decay(2.0, 3.0) == pytest.approx((3.0, 1 / 3, 2 / 3))
    assert published_decay(2.0, 1.5) == (None, 0.0, 0.25)
    with pytest.raises(ValueError, match="alpha above 1"):
        published_decay(1.0, 2.0)


def test_largest_rate_of_a_table_of_batches():
    sizes = jnp.array([1.0, 4.0, jnp.inf])
    dynamics = ss.SGDMoments(0.1, ss.PerRefresh(sizes))
    uniform = np.asarray(dynamics.largest_rate(SMALL, jnp.ones(32)))
    each = [ss.SGDMoments(0.1, size).largest_rate(SMALL, jnp.ones(32)) for size in sizes]
    np.testing.assert_allclose(uniform, each, rtol=1e-12)
    np.testing.assert_allclose(uniform[-1], 2.0)  # full gradients: two over the largest eigenvalue
    assert np.all(np.asarray(dynamics.largest_rate(SMALL)) < uniform)
    with pytest.raises(ValueError, match="batch_size is a function"):
        ss.SGDMoments(0.1, lambda step: 2.0).largest_rate(SMALL)


@pytest.mark.parametrize("steps", [1, 7, 300, 10**4, 10**9])
def test_grid(steps):
    grid = control_grid(steps)
    assert grid[0] == 0
    assert grid[-1] == steps
    assert np.all(np.diff(grid) > 0)
    assert len(grid) <= 98
    assert steps < 100 or len(grid) > 60


@pytest.mark.parametrize(("name", "family"), rate_families().items())
def test_families_have_exact_means(name, family):
    shape = None if family.shapes is None else 0.3
    shape_of = {
        "power decay": lambda x: (1 - x) ** 0.3,
        "cosine": lambda x: (1 + np.cos(np.pi * x)) / 2,
        "linear": lambda x: 1 - x,
        "stable then decay": lambda x: np.minimum(1, (1 - x) / 0.3),
    }[name]
    fine = (np.arange(200_000) + 0.5) / 200_000
    means = 0.1 + 0.4 * shape_of(fine).reshape(4, -1).mean(axis=1)
    np.testing.assert_allclose(family.rates(np.linspace(0, 1, 5), 0.5, shape, 0.1), means, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"control": "rate"}, "control='rate' is not known"),
        ({"control": ()}, "control is empty"),
        ({"dynamics": ss.ModalFlow()}, "ModalFlow, which takes no steps"),
        ({"control": "batch_size"}, "within a budget of samples"),
        ({"samples": 1e5}, "give both or neither"),
        ({"control": "batch_size", "samples": 50.0}, "samples is 50, not above the 100 steps"),
        ({"control": ("learning_rate", "batch_size"), "samples": 1e3, "highest": 0.1}, "moves with them"),
        ({"grid": [0, 10, 90]}, "grid goes from 0 to 90: give whole steps from 0 to 100"),
        ({"lowest": 3.0}, "lowest is 3, not from 0"),
        ({"highest": np.ones(3)}, r"highest has shape \(3,\)"),
    ],
)
def test_what_cannot_be_controlled_is_said(options, reason):
    with pytest.raises(ValueError, match=reason):
        learn_control(SMALL, 100, **{"dynamics": NOISY, **options})
    with pytest.raises(ValueError, match="steps is 0"):
        learn_control(SMALL, 0, dynamics=NOISY)
