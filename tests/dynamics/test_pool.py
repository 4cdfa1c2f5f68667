"""SGD on a finite pool: moments against every possible draw, real training against moments."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import QUICK, quickly

import spectral_sim as ss
from spectral_sim.dynamics._pool_draws import draw_table

DRAWS = ("sampled", "weighted", "corrected")


def data(seed=0, examples=7, features=3, outputs=2):
    """Targets that no parameters fit, unequal mass, a start, and weights of mean one with a zero among them."""
    rng = np.random.default_rng(seed)
    mass, weights = rng.uniform(0.5, 2, examples), rng.uniform(0.3, 2, examples)
    mass /= mass.sum()
    weights[2] = 0
    problem = ss.OperatorProblem(
        rng.standard_normal((examples, features)),
        rng.standard_normal((examples, outputs)),
        mass=mass,
        eval_features=rng.standard_normal((5, features)),
        eval_targets=rng.standard_normal((5, outputs)),
        initial_parameters=rng.standard_normal((features, outputs)),
    )
    return problem, weights / (mass @ weights)


def law_of(draw, mass, weights):
    inverse = np.divide(1.0, weights, out=np.zeros_like(weights), where=weights > 0)
    return {
        "sampled": (mass * weights, np.ones_like(weights)),
        "weighted": (mass, weights),
        "corrected": (mass * weights, inverse),
    }[draw]


@pytest.mark.parametrize("draw", DRAWS)
def test_moments_are_the_average_over_every_draw(draw):
    """Two steps of two examples each: all 7^4 outcomes, with their probabilities."""
    problem, weights = data()
    features, targets, mass = (np.asarray(x) for x in (problem.features, problem.targets, problem.example_mass))
    law, factor = law_of(draw, mass, weights)
    rate = 0.1
    outcomes = [(1.0, np.asarray(problem.initial_parameters))]
    for _ in range(2):
        later = []
        for chance, theta in outcomes:
            gradient = [factor[i] * np.outer(features[i], targets[i] - features[i] @ theta) for i in range(7)]
            for i, j in itertools.product(range(7), repeat=2):
                later.append((chance * law[i] * law[j], theta + rate / 2 * (gradient[i] + gradient[j])))
        outcomes = later
    held_features, held_targets, held_mass = (np.asarray(x) for x in problem.evaluation)
    energy = sum(c * np.sum((targets - features @ theta) ** 2, axis=1) for c, theta in outcomes)
    loss = sum(
        c * 0.5 * held_mass @ np.sum((held_targets - held_features @ theta) ** 2, axis=1) for c, theta in outcomes
    )
    dynamics = ss.PoolMoments(rate, 2, draw=draw, max_steps=3)
    run = quickly(
        lambda: ss.simulate(problem, ss.static_weights(weights), [0, 2], dynamics=dynamics, save=lambda o, w: o.energy)
    )
    assert run.loss[-1] == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(run.saved[-1], energy, rtol=1e-12)


@pytest.mark.parametrize("draw", DRAWS)
def test_training_agrees_with_the_moments_within_sampling_error(draw):
    """3,000 seeds at once, label noise included, weights refreshed along the way."""
    problem, weights = data()
    rate = 0.1
    steps = np.array([0, 1, 5, 12, 30, 60])
    schedule = ss.static_weights(weights)

    def trained(key):
        dynamics = ss.PoolTraining(rate, 2, 0.2, draw, max_steps=31)
        return ss.simulate(problem, schedule, steps, dynamics=dynamics, key=key, throw=False).loss

    losses = np.asarray(jax.jit(jax.vmap(trained), compiler_options=QUICK)(jax.random.split(jax.random.key(1), 3000)))
    dynamics = ss.PoolMoments(rate, 2, 0.2, draw, max_steps=31)
    expected = quickly(lambda: ss.simulate(problem, schedule, steps, dynamics=dynamics).loss)
    error = losses.std(axis=0) / np.sqrt(len(losses))
    assert np.all(error[1:] < 0.02 * expected[1:])
    assert np.all(np.abs(losses.mean(axis=0) - expected)[1:] < 3 * error[1:])


def test_draws_follow_the_law_in_single_precision_too():
    """Three million examples: one running sum of them would give each one or two of the numbers in [0, 1)."""
    examples, draws, chunk = 3_000_000, 6_000_000, 60_000
    rng = np.random.default_rng(0)
    law = (rng.uniform(0.5, 1.5, examples) * (rng.uniform(size=examples) > 0.2)).astype(np.float32)
    law /= law.sum()
    table = draw_table(jnp.asarray(law))
    keys = jax.random.split(jax.random.key(0), draws // chunk)
    drawn = np.asarray(jax.jit(lambda keys: jax.lax.map(lambda key: table.draw(key, chunk), keys))(keys)).ravel()
    count, drawable = np.bincount(drawn, minlength=examples), law > 0
    assert np.all(count[~drawable] == 0)
    expected = draws * law[drawable].astype(float) / law.sum(dtype=float)
    assert draws == count.sum()
    chi_squared, freedom = np.sum((count[drawable] - expected) ** 2 / expected), drawable.sum() - 1
    assert abs(chi_squared - freedom) < 5 * np.sqrt(2 * freedom)


def test_training_agrees_with_the_moments_on_a_hundred_features():
    """256 examples of a kernel whose targets its features cannot fit, with noise: 1,000 seeds."""
    whole = ss.torus(2.0, 2.0, 256)
    problem = ss.OperatorProblem(whole.features[:, :100], whole.targets)
    rate = float(0.4 / (problem.example_mass @ jnp.sum(problem.features**2, axis=1)))
    steps = np.array([0, 1, 8, 40, 120])
    weights = np.random.default_rng(5).exponential(size=256)
    options = {"noise_variance": 0.05, "max_steps": 127}

    def loss(dynamics, key=None):
        schedule = ss.static_weights(weights / weights.mean())
        return ss.simulate(problem, schedule, steps, dynamics=dynamics, key=key, throw=False).loss

    keys = jax.random.split(jax.random.key(2), 1000)
    training = jax.jit(jax.vmap(lambda key: loss(ss.PoolTraining(rate, 4, **options), key)), compiler_options=QUICK)
    losses, expected = np.asarray(training(keys)), np.asarray(loss(ss.PoolMoments(rate, 4, **options)))
    error = losses.std(axis=0) / np.sqrt(len(losses))
    assert np.all(error[1:] < 0.02 * expected[1:])
    assert np.all(np.abs(losses.mean(axis=0) - expected)[1:] < 3 * error[1:])


@pytest.mark.parametrize("draw", DRAWS)
def test_small_steps_converge_to_the_flow_at_first_order(draw):
    """Corrected draws flow as uniform weights do; this problem gives every example weight."""
    rng = np.random.default_rng(4)
    problem = ss.OperatorProblem(rng.standard_normal((9, 4)), rng.standard_normal(9))
    weights = rng.uniform(0.3, 2, 9)
    schedule = ss.static_weights(weights / weights.mean())
    times = np.array([0.0, 0.4, 1.2])
    flow = ss.simulate(problem, ss.uniform() if draw == "corrected" else schedule, times).loss[1:]

    def loss(rate):
        dynamics = ss.PoolMoments(rate, 1.0, draw=draw, max_steps=511)
        return ss.simulate(problem, schedule, np.rint(times / rate), dynamics=dynamics, throw=False).loss[1:]

    error = np.abs(np.stack([loss(rate) for rate in (8e-3, 4e-3, 2e-3)]) / flow - 1)
    orders = np.log2(np.asarray(error[:-1] / error[1:]))
    assert np.all(np.abs(orders[-1] - 1) < 0.05), (error, orders)
    assert np.all(error[0] > 1e-4)


@pytest.mark.parametrize("draw", DRAWS)
def test_the_rate_limit_is_above_the_spectral_radius_one_and_near_it(draw):
    """Against the (features^2 x features^2) matrix of one step."""
    problem, weights = data(seed=3)
    features, mass = np.asarray(problem.features), np.asarray(problem.example_mass)
    law, factor = law_of(draw, mass, weights)
    batch, unit = 3.0, np.eye(3)
    operator = features.T @ ((law * factor)[:, None] * features)

    def radius(rate):
        outer = np.einsum("ij,ik->ijk", features, features).reshape(-1, 9)
        step = np.eye(9) - rate * (np.kron(operator, unit) + np.kron(unit, operator))
        step += rate**2 * (outer.T @ ((law * factor**2)[:, None] * outer) / batch)
        step += rate**2 * (1 - 1 / batch) * np.kron(operator, operator)
        return np.max(np.linalg.eigvalsh(step))

    low, high = 1e-3, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if radius(middle) < 1 else (low, middle)

    def run(rate):
        dynamics = ss.PoolMoments(rate, batch, draw=draw, max_steps=3)
        return ss.simulate(problem, ss.static_weights(weights), [0, 3], dynamics=dynamics, throw=False)

    stable, unstable = run(0.999 * low), run(1.1 * low)
    assert stable.status == ss.Status.OK
    assert (ss.describe_status(unstable.status, unstable.faults), unstable.refresh) == ("unstable learning rate", 0)
    assert low * (1 - 1e-9) <= float(unstable.limit) < 1.1 * low
    with pytest.raises(ss.SimulationError, match="the largest stable value is"):
        unstable.raise_if_failed()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_long_run_settles(dtype):
    """Twenty thousand steps; rounding that one step does not contract would have grown by a hundred orders."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((200, 12))
    targets = features @ rng.standard_normal(12) + 0.1 * rng.standard_normal(200)
    problem = ss.OperatorProblem(features.astype(dtype), targets.astype(dtype))
    dynamics = ss.PoolMoments(0.1, 64.0, 0.1, max_steps=16_383)
    run = quickly(lambda: ss.simulate(problem, ss.uniform(), [0, 1000, 5000, 20_000], dynamics=dynamics))
    assert run.status == ss.Status.OK
    np.testing.assert_allclose(run.loss[2:], run.loss[1], rtol=1e-7 if dtype is np.float64 else 1e-3)


def test_the_rate_limit_sees_rare_outliers():
    """Two of a thousand examples set it; from far above it is found within a tenth."""
    rng = np.random.default_rng(0)
    features = 0.1 * rng.standard_normal((1000, 5))
    features[:2] *= 60
    problem = ss.OperatorProblem(features, rng.standard_normal(1000))
    outer = np.einsum("ij,ik->ijk", features, features).reshape(-1, 25)
    operator, unit = features.T @ features / 1000, np.eye(5)
    linear, quadratic = np.kron(operator, unit) + np.kron(unit, operator), outer.T @ outer / 1000
    low, high = 1e-4, 10.0
    for _ in range(60):
        middle = np.sqrt(low * high)
        stable = np.max(np.linalg.eigvalsh(np.eye(25) - middle * linear + middle**2 * quadratic)) < 1
        low, high = (middle, high) if stable else (low, middle)
    for factor in (1.2, 100.0):
        rate = factor * low
        dynamics = ss.PoolMoments(rate, 1.0, max_steps=3)
        run = ss.simulate(problem, ss.uniform(), [0, 3], dynamics=dynamics, throw=False)
        assert ss.describe_status(run.status, run.faults) == "unstable learning rate"
        assert low * (1 - 1e-9) <= float(run.limit) < 1.1 * low


@pytest.mark.parametrize("kind", [ss.PoolMoments, ss.PoolTraining])
def test_refusals(kind):
    problem, _ = data()
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"draw='corected' is not known\. Did you mean 'corrected'"):
        kind(0.1, 2, draw="corected")
    with pytest.raises(ValueError, match=r"batch_size is 0: (a batch has at least one example|it must be positive)"):
        kind(0.1, 0)
    with pytest.raises(ValueError, match=r"noise_variance is -1: it must not be negative"):
        kind(0.1, 1, -1.0)
    for most in (2.5, np.inf, np.nan):
        with pytest.raises(ValueError, match=rf"max_steps is {most}: it must be one whole number"):
            kind(0.1, 1, max_steps=most)
    many = ss.simulate(problem, ss.uniform(), [0, 40], dynamics=kind(0.01, 2, max_steps=7), key=key, throw=False)
    with pytest.raises(ss.SimulationError, match=r"the longest that it can run is 7 steps: refresh more often, or"):
        many.raise_if_failed()
    with pytest.raises(ValueError, match=r"times\[1\] is 2\.5, but these dynamics take steps: .* give whole numbers"):
        ss.simulate(problem, ss.uniform(), [0.0, 2.5], dynamics=kind(0.1, 2), key=key)


def test_training_needs_a_key_and_whole_batches():
    problem, _ = data()
    with pytest.raises(ValueError, match=r"PoolTraining draws random numbers: pass simulate\(key="):
        ss.simulate(problem, ss.uniform(), [0, 1], dynamics=ss.PoolTraining(0.1, 2))
    for batch in (2.5, lambda n: 2):
        with pytest.raises(ValueError, match=r"batch_size is .*: it must be one whole number; .*PoolMoments takes"):
            ss.PoolTraining(0.1, batch)
