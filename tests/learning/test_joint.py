"""Learning rate, batch size and weights learned together, within limits and a budget of samples."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import spectral_sim as ss

PROBLEM = ss.power_law(2.0, 2.0, num_modes=12)
STEPS = np.array([0, 4, 16, 60, 200])
STABLE = float(2 / (3 * PROBLEM.trace))  # whatever the weights, also at a batch of one
ALL = ("schedule", "dynamics.learning_rate", "dynamics.batch_size")


def sgd(rates, batches):
    return ss.SGDMoments(ss.PerRefresh(jnp.asarray(rates)), ss.PerRefresh(jnp.asarray(batches)), 0.1)


def loss_of(rates, batches, log_weights):
    table = ss.TableSchedule(ss.PerRefresh(log_weights))
    return jnp.log(ss.simulate(PROBLEM, table, STEPS, dynamics=sgd(rates, batches)).loss[-1])


def test_gradients_of_rates_batches_and_weights_agree_with_central_differences():
    rng = np.random.default_rng(0)
    at = (0.3 * STABLE * rng.uniform(0.5, 1.5, 4), rng.uniform(2.0, 9.0, 4), rng.normal(size=(4, 3)))
    value = jax.jit(loss_of)
    gradients = jax.jit(jax.grad(loss_of, (0, 1, 2)))(*at)
    for n, (where, gradient) in enumerate(zip(at, gradients, strict=True)):
        direction = rng.normal(size=where.shape)
        step = 1e-4 * np.abs(where).min() / np.abs(direction).max()
        moved = [[x + sign * step * direction if m == n else x for m, x in enumerate(at)] for sign in (1, -1)]
        difference = (value(*moved[0]) - value(*moved[1])) / (2 * step)
        np.testing.assert_allclose(np.sum(gradient * direction), difference, rtol=1e-6)


SETTINGS = {
    "objective": ss.terminal_log_loss(),
    "steps": 60,
    "optimizer": optax.adam(0.1),
}


@functools.cache
def learned(trainable, samples=None):
    start = sgd(np.full(4, 0.2 * STABLE), np.full(4, 8.0))
    table = ss.TableSchedule.create(PROBLEM, STEPS, num_basis=3)
    limits = {"dynamics.learning_rate": (0.0, STABLE)} if "dynamics.learning_rate" in trainable else None
    options = {**SETTINGS, "limits": limits, "trainable": trainable, "samples": samples}
    return ss.learn(PROBLEM, table, STEPS, dynamics=start, **options)


def test_all_of_them_are_learned_in_one_call_within_a_budget(tmp_path):
    samples = 1600.0  # what 200 batches of 8 draw
    weights_only, together = learned(("schedule",)), learned(ALL, samples)
    assert together.value < weights_only.value - 0.1
    rates = together.dynamics.learning_rate.values
    batches = together.dynamics.batch_size.values
    assert ((rates > 0) & (rates < STABLE)).all()
    assert (batches >= 1).all()
    assert np.sum(batches * np.diff(STEPS)) == pytest.approx(samples, rel=1e-12)
    assert np.ptp(np.asarray(rates)) > 0.1 * STABLE
    run = ss.simulate(PROBLEM, together.schedule, STEPS, dynamics=together.dynamics)
    assert np.log(run.loss[-1]) == pytest.approx(together.value, rel=1e-9)
    assert together.gap[0].kind is None  # water-filling bounds gradient flow, not steps
    np.testing.assert_array_equal(weights_only.dynamics.learning_rate.values, np.full(4, 0.2 * STABLE))

    together.save(tmp_path / "joint.json")
    loaded = ss.load_learned(tmp_path / "joint.json")
    np.testing.assert_array_equal(loaded.dynamics.learning_rate.values, rates)
    assert type(loaded.dynamics) is ss.SGDMoments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trainable": ("dynamics.rate",)}, r"trainable: 'dynamics\.rate' names no inexact array.*learning_rate"),
        ({"trainable": "dynamics.rate"}, r"trainable: 'dynamics\.rate' names no inexact array"),  # a string is one path
        ({"trainable": ("schedule.mix.eps",)}, r"'schedule\.mix\.eps' names no inexact array"),
        ({"limits": {"dynamics.batch_size": (1.0, 9.0)}}, "'dynamics.batch_size.values' is not trained"),
        (
            {"trainable": ALL, "limits": {"dynamics.learning_rate": (0.0, 0.1 * STABLE)}},
            r"'dynamics\.learning_rate\.values' begins at .*, not strictly inside its limits",
        ),
        ({"trainable": ALL, "limits": {"dynamics.learning_rate": (2.0, 1.0)}}, "which hold nothing: give low < high"),
        ({"samples": 1e3}, "a budget for the batches of all steps"),
        ({"trainable": ALL, "samples": 150.0}, "samples=150 is not above the 200 steps"),
        ({"trainable": ("dynamics.learning_rate",), "dynamics": None}, "no dynamics are given"),
    ],
)
def test_what_cannot_be_learned_is_named(options, message):
    table = ss.TableSchedule.create(PROBLEM, STEPS, num_basis=3)
    dynamics = sgd(np.full(4, 0.2 * STABLE), np.full(4, 8.0))
    with pytest.raises(ValueError, match=message):
        ss.learn(PROBLEM, table, STEPS, **{"objective": ss.terminal_log_loss(), "dynamics": dynamics, **options})


def test_an_objective_that_is_none():
    table = ss.TableSchedule.create(PROBLEM, STEPS, num_basis=3)
    with pytest.raises(TypeError, match=r"objective is <class .*: give an objective, such as terminal_log_loss\(\)"):
        ss.learn(PROBLEM, table, STEPS, objective=ss.terminal_log_loss)
