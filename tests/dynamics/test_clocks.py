"""Clocks: grids of whole steps, rates and batches as leaves, intrinsic time as an output, and faults by name."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import QUICK, make_problem, quickly

import spectral_sim as ss

STEPS = np.array([0, 3, 10, 40, 100])


def step_by_step(problem, rates, batches, strengths, steps):
    """Loss at each of `steps` under uniform weights, in NumPy; rates, batches and noise are those of each step."""
    eigenvalues, energy, multiplicity = (
        np.asarray(x) for x in (problem.eigenvalues, problem.energies, problem.multiplicity)
    )
    losses = [0.5 * multiplicity @ energy]
    for n in range(steps[-1]):
        move = rates[n] * eigenvalues
        noise = multiplicity @ energy / batches[n] + strengths[n]
        energy = (1 - 2 * move + (1 + 1 / batches[n]) * move**2) * energy + move**2 * noise
        losses.append(0.5 * multiplicity @ energy)
    return np.array(losses)[steps]


def held(values, steps):
    """A value of each interval at every step of it."""
    return np.repeat(values, np.diff(steps))


def test_rates_batches_and_weights_are_learned_together():
    """Gradients in the rate table, the batch table and the weights, in one call, against central differences."""
    problem = ss.power_law(1.7, 1.9, max_mode=1e4, nodes=32)
    rng = np.random.default_rng(0)
    leaves = {
        "rates": rng.uniform(0.05, 0.2, 4),
        "batches": rng.uniform(2, 9, 4),
        "strength": np.array(0.02),
        "exponent": np.array(0.5),
        "power": np.array(0.6),
    }
    leaves = jax.tree.map(jnp.asarray, leaves)

    def loss(leaves):
        dynamics = ss.SGDMoments(
            ss.PerRefresh(leaves["rates"]),
            ss.PerRefresh(leaves["batches"]),
            noise_strength=leaves["strength"],
            noise_exponent=leaves["exponent"],
            reference_rate=0.1,
        )
        # closed loop, and one that reads the time that has passed and is to come: both follow from the rates
        schedule = ss.chain(ss.lag(2.0), ss.proportional(leaves["power"]), ss.clip(0.2, 6.0))
        run = ss.simulate(problem, schedule, STEPS, dynamics=dynamics, throw=False)
        return jnp.mean(jnp.log(run.loss[1:])) + 0.01 * jnp.log(run.times[-1])

    value, slope = (jax.jit(f, compiler_options=QUICK) for f in (loss, jax.grad(loss)))
    gradient = slope(leaves)
    for name, found in gradient.items():
        flat = np.atleast_1d(leaves[name])
        for i in range(flat.size):
            step = 1e-5 * flat[i]
            at = [np.copy(flat) for _ in range(2)]
            at[0][i], at[1][i] = flat[i] - step, flat[i] + step
            low, high = (float(value(leaves | {name: jnp.asarray(x.reshape(np.shape(leaves[name])))})) for x in at)
            difference = (high - low) / (2 * step)
            assert abs(difference) > 1e-5, name
            assert np.atleast_1d(found)[i] == pytest.approx(difference, rel=1e-6), (name, i)


def test_noise_by_its_strength_and_its_exponent():
    problem = ss.power_law(1.7, 1.9, max_mode=1e4, nodes=32)
    rates, batches = np.array([0.05, 0.2, 0.1, 0.02]), np.array([2.0, 4, 8, 16])
    run = lambda *settings, **more: (
        ss.simulate(problem, ss.uniform(), STEPS, dynamics=ss.SGDMoments(ss.PerRefresh(rates), *settings, **more)).loss
    )
    given = {
        "variance": ((ss.PerRefresh(batches), 0.3), {}),
        "strength": ((ss.PerRefresh(batches),), {"noise_strength": ss.PerRefresh(0.3 / batches)}),
        "full gradients": ((np.inf,), {"noise_strength": 0.02}),
        "exponent": ((4.0,), {"noise_strength": 0.05, "noise_exponent": 0.7}),
        "exponent of a given rate": ((4.0, 0.2), {"noise_exponent": -0.7, "reference_rate": 0.05}),
    }
    losses = quickly(lambda: {name: run(*args, **more) for name, (args, more) in given.items()})
    over = lambda each: held(each * np.ones(4), STEPS)
    exact = lambda batch, noise: step_by_step(problem, over(rates), over(batch), over(noise), STEPS)
    np.testing.assert_allclose(losses["variance"], exact(batches, 0.3 / batches), rtol=1e-9)
    np.testing.assert_allclose(losses["strength"], losses["variance"], rtol=1e-12)
    np.testing.assert_allclose(losses["full gradients"], exact(np.inf, 0.02), rtol=1e-9)
    np.testing.assert_allclose(losses["exponent"], exact(4.0, 0.05 * (rates / 0.2) ** 0.7), rtol=1e-9)
    by_rate = exact(4.0, 0.2 / 4 * (rates / 0.05) ** -0.7)
    np.testing.assert_allclose(losses["exponent of a given rate"], by_rate, rtol=1e-9)


def test_full_gradients_on_a_pool_are_gradient_descent():
    problem = make_problem("operator")
    features, targets, mass = (np.asarray(x) for x in (problem.features, problem.targets, problem.example_mass))
    theta = np.zeros((5, 2))
    for _ in range(10):
        theta += 0.1 * features.T @ (mass[:, None] * (targets - features @ theta))
    expected = 0.5 * mass @ np.sum((targets - features @ theta) ** 2, axis=1)
    run = ss.simulate(problem, ss.uniform(), [0, 4, 10], dynamics=ss.PoolMoments(0.1, np.inf))
    assert run.loss[-1] == pytest.approx(expected, rel=1e-12)
    options = {"draw": "sampled", "max_steps": 7}
    noisy = [
        ss.simulate(problem, ss.uniform(), [0, 4, 10], dynamics=dynamics).loss
        for dynamics in (ss.PoolMoments(0.1, 4.0, 0.2, **options), ss.PoolMoments(0.1, 4.0, noise_strength=0.05))
    ]
    np.testing.assert_allclose(noisy[0], noisy[1], rtol=1e-13)


CLOSED = {
    "water-filling": ss.water_filling,
    "all that read the time": lambda: ss.chain(
        ss.stale(1.0), ss.delay(1.0), ss.lag(1.0), ss.proportional(1.0), ss.smooth(1.0)
    ),
}


@pytest.mark.parametrize("name", CLOSED)
def test_steps_at_a_rate_of_zero_do_nothing(name):
    """At the start, in the middle and at the end; time stands still, and derivatives are finite."""
    problem = ss.power_law(1.7, 1.9, max_mode=1e4, nodes=32)
    steps = np.array([0, 5, 9, 30, 50, 60, 70, 99])
    rates = np.array([0.0, 0.0, 0.05, 0.1, 0.0, 0.03, 0.0])

    def run(rates):
        dynamics = ss.SGDMoments(ss.PerRefresh(rates), 4.0, 0.01, noise_exponent=0.5)
        return ss.simulate(problem, CLOSED[name](), steps, dynamics=dynamics, throw=False)

    def score(rates):
        found = run(rates)
        return jnp.sum(jnp.log(found.loss)), found

    slope, found = jax.jit(jax.grad(score, has_aux=True), compiler_options=QUICK)(jnp.asarray(rates))
    assert found.status == ss.Status.OK
    np.testing.assert_allclose(found.times, np.append(0, np.cumsum(rates * np.diff(steps))), rtol=1e-14)
    stands = np.flatnonzero(rates == 0)
    np.testing.assert_array_equal(found.loss[stands], found.loss[stands + 1])
    assert np.isfinite(slope).all()


def test_objectives_and_fits_read_the_grid_of_steps():
    """Their windows are in steps, as the grid is; a schedule that slows the clock down gains nothing by it."""
    problem, steps = ss.power_law(2.0, 2.0, max_mode=1e8, nodes=96), ss.log_steps(1, 1e5, 120)
    dynamics = ss.SGDMoments(optax.warmup_constant_schedule(0.0, 0.1, 30), 64.0)
    run = ss.simulate(problem, ss.uniform(), steps, dynamics=dynamics)
    np.testing.assert_array_equal(run.grid, steps)
    inside = (steps >= 1e3) & (steps <= 1e5)
    x, y = np.log(steps[inside]), np.log(np.asarray(run.loss)[inside])
    assert float(ss.anytime_log_loss((1e3, 1e5))(run)) == pytest.approx(np.trapezoid(y, x) / np.ptp(x), rel=1e-3)
    assert ss.fit_exponent(run.grid, run.loss, window=(1e3, 1e5)).value == pytest.approx(0.5, rel=0.03)
    assert np.exp(ss.learning.soft_time_to_target(0.02, 1e-3)(run)) == pytest.approx(
        ss.time_to_loss(steps, run.loss, 0.02), rel=0.1
    )


@pytest.mark.parametrize("kind", ["modal", "operator"])
def test_one_rate_a_step_a_table_and_a_function_are_the_same_run(kind):
    problem = make_problem(kind)
    build = {"modal": ss.SGDMoments, "operator": ss.PoolMoments}[kind]
    schedule = optax.warmup_cosine_decay_schedule(0.0, 0.15, 10, 100, 0.01)
    every = np.array([float(schedule(n)) for n in range(110)])
    means = [part.mean() for part in np.split(every[:100], STEPS[1:-1])]
    settings = {
        "function": schedule,
        "steps": every,
        "table": ss.PerRefresh(means),
        "longer": ss.PerRefresh([*means, 9]),
    }
    runs = quickly(
        lambda: {
            name: ss.simulate(problem, ss.proportional(0.5), STEPS, dynamics=build(rate, 3.0, 0.01))
            for name, rate in settings.items()
        }
    )
    for run in runs.values():
        np.testing.assert_allclose(run.times, np.append(0, np.cumsum(means * np.diff(STEPS))), rtol=1e-12)
        np.testing.assert_allclose(run.loss, runs["table"].loss, rtol=1e-12)
        np.testing.assert_array_equal(run.steps, STEPS)


def test_functions_of_the_step_over_long_intervals():
    """Sampled at 4,096 of a million steps: cosines to 1e-6; constants exactly."""
    problem, steps = ss.ModalProblem([1.0], [1.0]), np.array([0, 10, 10_000, 3_000_000])
    cosine = optax.cosine_decay_schedule(1e-3, 3_000_000)
    dynamics = ss.SGDMoments(cosine, 1e3)
    run = ss.simulate(problem, ss.uniform(), steps, dynamics=dynamics)
    every = 1e-3 * 0.5 * (1 + np.cos(np.pi * np.arange(3_000_000) / 3_000_000))
    np.testing.assert_allclose(run.times, np.append(0, np.cumsum(every))[steps], rtol=1e-6)
    constant, number = (
        ss.simulate(problem, ss.uniform(), steps, dynamics=ss.SGDMoments(rate, 1e3)).times
        for rate in (optax.constant_schedule(1e-3), 1e-3)
    )
    np.testing.assert_array_equal(constant, number)


def test_functions_see_whole_steps():
    """So that they may look things up."""
    table = jnp.asarray([0.1, 0.2, 0.05, 0.05])
    dynamics = ss.SGDMoments(lambda step: table[step], 4.0)
    run = ss.simulate(make_problem("modal"), ss.uniform(), [0, 1, 2, 4], dynamics=dynamics)
    np.testing.assert_allclose(run.times, [0, 0.1, 0.3, 0.4], rtol=1e-15)


@pytest.mark.parametrize(
    ("grid", "settings", "message"),
    [
        ([0, 1.5], (0.1,), r"times\[1\] is 1\.5, but these dynamics take steps: .* whole numbers, such as log_steps"),
        ([1, 5], (0.1,), r"times\[0\] is 1: the grid starts at 0"),
        ([0, 5, 5], (0.1,), r"times\[2\] is 5, not above times\[1\] = 5"),
        ([0, 1e19], (0.1,), r"times\[1\] is 1e\+19, and steps are counted up to 9223372036854775807: give fewer"),
        ([0, 5], (np.array([0.1, 0.2]),), r"learning_rate has shape \(2,\), one number a step, but .* ends at step 5"),
        ([0, 5], (0.1, np.array([2.0, 3.0])), r"batch_size has shape \(2,\), one number a step"),
        ([0, 5], (lambda n: 0.1 - 0.05 * n,), r"learning_rate is -0\.05 at step 3: give a function that is 0 or above"),
        ([0, 5], (0.1, lambda n: 3 - n), r"batch_size is 0 at step 3: give a function that is 1 or above"),
        ([0, 5], (lambda n: jnp.ones(2),), r"learning_rate has shape \(2,\) at a refresh: give one number"),
        ([0, 1, 2], (ss.PerRefresh([0.1]),), r"a PerRefresh table has shape \(1,\): .* one entry for each of the 3"),
    ],
)
def test_grids_and_settings_that_no_run_could_use(grid, settings, message):
    with pytest.raises(ValueError, match=message):
        ss.simulate(make_problem("modal"), ss.uniform(), grid, dynamics=ss.SGDMoments(*settings))


def test_grids_that_are_traced():
    problem = make_problem("modal")
    run = lambda rate, steps: ss.simulate(problem, ss.uniform(), steps, dynamics=ss.SGDMoments(rate, 3.0)).loss
    traced = jax.jit(lambda steps: run(0.1, steps))(STEPS)
    np.testing.assert_allclose(traced, run(0.1, STEPS), rtol=1e-12)
    with pytest.raises(
        ValueError, match=r"learning_rate is given for every step, and the refresh grid is traced: close"
    ):
        jax.jit(lambda steps: run(lambda n: 0.1, steps))(STEPS)
    with pytest.raises(TypeError, match="times are constants of a run and cannot be differentiated"):
        jax.grad(lambda steps: run(0.1, steps)[-1])(STEPS * 1.0)


def test_log_steps():
    steps = ss.log_steps(1, 1e6, 201)
    assert (steps[0], steps[1], steps[-1]) == (0, 1, 1_000_000)
    assert steps.dtype == np.int64
    assert np.all(np.diff(steps) > 0)
    assert np.ptp(np.diff(np.log(steps[steps > 1000]))) < 1e-3
    with pytest.raises(ValueError, match=r"first=0\.5: a grid of steps is refreshed after whole steps"):
        ss.log_steps(0.5, 10, 5)


class Sign(ss.AbstractDynamics):
    """Sign descent: every residual amplitude shrinks by the same amount in a step."""

    clock = "steps"
    faults = ("step too long: a step of {limit} passes the smallest amplitude; shorten it",)
    rate: jax.Array = eqx.field(converter=jnp.asarray)

    def init(self, problem):
        return jnp.sqrt(problem.energies)

    def advance(self, problem, state, weights, duration, key):
        return jnp.maximum(state - self.rate * duration * weights, 0)

    def observe(self, problem, state, time):
        energy = state**2
        loss = problem.training_loss(energy)
        return ss.Observation(time=time, energy=energy, log_energy=jnp.log(energy), loss=loss, state=state)

    def check(self, problem, state, weights, duration):
        return [(jnp.any(state < self.rate), self.rate)]

    def on_steps(self, steps):
        return self, self.rate * jnp.diff(steps)


def test_dynamics_of_ones_own_take_steps_and_name_their_faults():
    problem = ss.ModalProblem([1.0, 0.5], [1.0, 0.25])
    run = ss.simulate(problem, ss.uniform(), [0, 2, 4, 8], dynamics=Sign(0.05))
    np.testing.assert_allclose(run.times, [0, 0.1, 0.2, 0.4])
    amplitudes = np.array([[1.0, 0.5], [0.9, 0.4], [0.8, 0.3], [0.6, 0.1]])
    np.testing.assert_allclose(run.loss, 0.5 * np.sum(amplitudes**2, axis=1))
    run = ss.simulate(problem, ss.uniform(), [0, 2, 4, 8], dynamics=Sign(0.2), throw=False)
    assert (int(run.status), int(run.refresh), float(run.limit)) == (16, 1, 0.2)
    assert ss.describe_status(run.status, run.faults) == "step too long"
    assert ss.describe_status(16) == "fault 0 of the dynamics"
    with pytest.raises(ss.SimulationError, match=r"^a step of 0\.2 passes the smallest amplitude; shorten it \(at ref"):
        run.raise_if_failed()
    many = jax.vmap(lambda rate: ss.simulate(problem, ss.uniform(), [0, 2, 4], dynamics=Sign(rate), throw=False))
    with pytest.raises(ss.SimulationError, match=r"a step of 0\.7 passes .* \(at refresh 0 of member 1\)"):
        many(jnp.array([0.1, 0.7])).raise_if_failed()


def test_a_check_answers_for_every_fault():
    class Silent(Sign):
        faults = ()

    with pytest.raises(ValueError, match=r"Silent\.check and verify return 1 entries, but the class names 0 faults"):
        ss.simulate(ss.ModalProblem([1.0], [1.0]), ss.uniform(), [0, 2], dynamics=Silent(0.1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_time_and_steps_of_long_runs(dtype):
    """A rate that divides nothing; whole steps beyond what single precision counts."""
    with jax.enable_x64(dtype is np.float64):
        problem = ss.ModalProblem(np.ones(1, dtype), np.ones(1, dtype))
        steps = np.array([0, 1, 20_000_001, 20_000_002, 1_999_999_999])
        rate = 3.3e-9
        run = ss.simulate(problem, ss.uniform(), steps, dynamics=ss.SGDMoments(rate, 1e3))
        np.testing.assert_array_equal(run.steps, steps)
        assert run.times.dtype == dtype
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(run.times, rate * steps, rtol=4 * eps)
        np.testing.assert_allclose(
            run.loss, 0.5 * np.exp(-2 * rate * steps), rtol=1e-7 if dtype is np.float64 else 1e-5
        )
