"""SGDMoments against real SGD, the scan that takes every step, gradient flow, and published exponents."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.linalg
import scipy.optimize
from helpers import QUICK, make_problem, quickly

import spectral_sim as ss
from spectral_sim.dynamics import _sgd_moments, largest_stable_rate
from spectral_sim.numerics import SHORTEST_POWER


def spectrum(problem):
    return (np.asarray(x) for x in (problem.eigenvalues, problem.energies, problem.multiplicity))


def step_by_step(problem, weights, rates, batches, noise, counts):
    """Energies at each count: the recursion in NumPy; weights, rates and batches are those of each interval."""
    eigenvalues, energy, multiplicity = spectrum(problem)
    path = [energy]
    for weight, rate, batch, steps in zip(weights, rates, batches, np.diff(counts).astype(int), strict=True):
        sampled = eigenvalues * weight
        keep = 1 - 2 * rate * sampled + (1 + 1 / batch) * rate**2 * sampled**2
        for _ in range(steps):
            seen = np.sum(multiplicity * weight * energy) + noise
            energy = keep * energy + rate**2 / batch * eigenvalues * sampled * seen
        path.append(energy)
    return np.stack(path)


def some_weights(problem, intervals, seed=0):
    table = np.random.default_rng(seed).exponential(size=(intervals, len(problem.mass)))
    return table / (table @ np.asarray(problem.mass))[:, None]


class Given(ss.AbstractStage):
    """Weights read from a table."""

    kind = "allocate"
    closed_loop = False
    values: ss.PerRefresh

    def __call__(self, signal, observation, state):
        return self.values, state


def test_real_sgd_agrees_within_sampling_error():
    """20,000 runs of SGD on Gaussian features with label noise: other weights in each of five intervals."""
    rng = np.random.default_rng(1)
    eigenvalues, energies = np.arange(1.0, 7) ** -1.3, np.arange(1.0, 7) ** -1.7
    problem = ss.ModalProblem(eigenvalues, energies)
    rate, batch, noise, runs = 0.25, 3, 0.3, 20_000
    counts = np.array([0, 1, 4, 10, 25, 60])
    weights = some_weights(problem, 5)
    residual = np.broadcast_to(np.sqrt(energies / eigenvalues), (runs, 6)).copy()
    mean, error = [], []
    for weight, steps in zip(weights, np.diff(counts), strict=True):
        for _ in range(steps):
            features = rng.standard_normal((runs, batch, 6)) * np.sqrt(eigenvalues * weight)
            labels = np.sqrt(noise) * rng.standard_normal((runs, batch))
            wrong = np.einsum("rbk,rk->rb", features, residual) - labels
            residual -= rate / batch * np.einsum("rbk,rb->rk", features, wrong)
        losses = 0.5 * residual**2 @ eigenvalues
        mean.append(losses.mean())
        error.append(losses.std() / np.sqrt(runs))
    dynamics = ss.SGDMoments(rate, batch, noise)
    run = quickly(lambda: ss.simulate(problem, Given(ss.PerRefresh(weights)), counts, dynamics=dynamics))
    mean, error = np.array(mean), np.array(error)
    assert np.all(error < 0.02 * mean)
    assert np.all(np.abs(run.loss[1:] - mean) < 3 * error)


def test_many_steps_at_once_are_the_steps_one_by_one():
    """Short and long intervals, with tables of weights, learning rates and batches."""
    problem = ss.power_law(1.6, 1.9, max_mode=1e5, nodes=48)
    counts = np.array([0, 1, 3, 10, 17, 25, 60, 400, 5000])
    rng = np.random.default_rng(2)
    weights = some_weights(problem, 8)
    rates, batches = rng.uniform(0.1, 0.4, 8) / float(problem.trace), rng.uniform(1, 9, 8)
    assert set(np.diff(counts) < SHORTEST_POWER) == {True, False}
    expected = step_by_step(problem, weights, rates, batches, 0.02, counts)
    dynamics = ss.SGDMoments(ss.PerRefresh(rates), ss.PerRefresh(batches), 0.02)
    table = Given(ss.PerRefresh(weights))
    run = ss.simulate(problem, table, counts, dynamics=dynamics, save=lambda o, w: (o.energy, o.state.steps))
    np.testing.assert_allclose(run.times, np.concatenate([[0], np.cumsum(rates * np.diff(counts))]), rtol=1e-15)
    np.testing.assert_array_equal(run.steps, counts)
    np.testing.assert_allclose(run.saved[0], expected, rtol=1e-9)
    np.testing.assert_array_equal(run.saved[1], counts)
    np.testing.assert_allclose(run.loss, 0.5 * expected @ np.asarray(problem.multiplicity), rtol=1e-11)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("eigenvalues", "batch", "rate", "steps", "noise"),
    [
        ([1.0, 0.5], 4.0, 0.3, 100, 0.0),
        ([1.0, 0.5], 4.0, 0.3, 200, 0.0),
        ([1.0, 0.5], 4.0, 0.3, 1000, 1e-9),
        (1 / np.arange(1.0, 21), 8.0, 0.2, 2000, 0.0),
        ([1.0, 0.9, 0.8], 1e3, 0.9, 11, 0.0),
    ],
)
def test_one_interval_over_which_the_loss_falls_by_many_orders(eigenvalues, batch, rate, steps, noise, dtype):
    """To 1e-27 of what it was; a recursion of positive numbers, NumPy's is precise however far it falls."""
    energies = np.asarray(eigenvalues) ** 2
    exact = step_by_step(ss.ModalProblem(eigenvalues, energies), [1.0], [rate], [batch], noise, np.array([0, steps]))
    problem = ss.ModalProblem(np.asarray(eigenvalues, dtype), energies.astype(dtype))
    dynamics = ss.SGDMoments(rate, batch, noise)
    run = quickly(lambda: ss.simulate(problem, ss.uniform(), [0, steps], dynamics=dynamics))
    assert exact[1].sum() < 1e-4 * exact[0].sum()
    assert run.loss[1] == pytest.approx(0.5 * exact[1].sum(), rel=1e-4 if dtype is np.float32 else 1e-9)


def test_easy_targets_in_one_interval_and_in_many():
    """The loss falls by nineteen orders through a power law of ever slower modes; 1e8 steps."""
    rate = float(0.4 / ss.power_law(2.0, 8.0, max_mode=1e7, nodes=96).trace)
    counts = np.unique(np.rint(np.append(0, np.geomspace(1, 1e8, 200))))
    for dtype, tolerance in ((np.float64, 1e-9), (np.float32, 1e-3)):
        law = ss.power_law(dtype(2), dtype(8), max_mode=1e7, nodes=96)
        dynamics = ss.SGDMoments(rate, 1e6)
        many, one = quickly(
            lambda law=law, dynamics=dynamics: [
                ss.simulate(law, ss.uniform(), steps, dynamics=dynamics).loss[-1] for steps in (counts, counts[[0, -1]])
            ]
        )
        assert many < 1e-15
        assert one == pytest.approx(float(many), rel=tolerance)


@pytest.mark.parametrize("one_interval", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_hundred_million_steps(dtype, one_interval):
    """Against a symmetric eigendecomposition in double precision, refreshed along the way or not at all."""
    problem = ss.power_law(2.0, 2.0, max_mode=1e7, nodes=96)
    eigenvalues, energies, multiplicity = spectrum(problem)
    rate, batch, noise = float(0.4 / problem.trace), 2.0, 1e-5
    weight = eigenvalues**-0.2 / np.sum(np.asarray(problem.mass) * eigenvalues**-0.2)
    counts = np.array([0, 1e8]) if one_interval else np.unique(np.rint(ss.log_times(1, 1e8, 101)))
    sampled = eigenvalues * weight
    # E / (lam sqrt(lam~)) * sqrt(m lam~)... symmetric in the variable sqrt(m w / (lam lam~)) E
    scale = np.sqrt(multiplicity * weight / (eigenvalues * sampled))
    vector = scale * eigenvalues * sampled
    generator = np.diag(sampled * (2 - (1 + 1 / batch) * rate * sampled)) - rate / batch * np.outer(vector, vector)
    values, vectors = scipy.linalg.eigh(generator)
    start, source = vectors.T @ (scale * energies), vectors.T @ (rate / batch * noise * vector)
    decay = np.exp(counts[:, None] * np.log1p(-rate * values))
    expected = (decay * start - np.expm1(counts[:, None] * np.log1p(-rate * values)) / values * source) @ vectors.T
    expected = 0.5 * (expected / scale) @ multiplicity
    law = ss.power_law(dtype(2), dtype(2), max_mode=1e7, nodes=96)
    dynamics = ss.SGDMoments(rate, batch, noise)
    run = quickly(lambda: ss.simulate(law, ss.power_tilt(0.2), counts, dynamics=dynamics))
    assert run.loss.dtype == dtype
    assert run.status == ss.Status.OK
    np.testing.assert_allclose(run.loss, expected, rtol=1e-3 if dtype is np.float32 else 1e-8)


def test_small_steps_converge_to_gradient_flow_at_first_order():
    problem = ss.power_law(1.7, 1.9, max_mode=1e4, nodes=48)
    times = np.array([0.0, 1.0, 4.0, 20.0, 100.0])
    flow = ss.simulate(problem, ss.power_tilt(0.4), times).loss[1:]
    rates = 1e-4 / 2.0 ** np.arange(4)
    tilt = ss.power_tilt(0.4)
    loss = [ss.simulate(problem, tilt, np.rint(times / rate), dynamics=ss.SGDMoments(rate, 2.0)).loss for rate in rates]
    error = np.abs(np.asarray(loss)[:, 1:] / flow - 1)
    orders = np.log2(error[:-1] / error[1:])
    assert np.all(np.abs(orders - 1) < 0.02)
    assert np.all(error[0] > 5e-6)


def exponent(alpha, beta, window, rate=0.2):
    problem = ss.power_law(alpha, beta, max_mode=1e10, nodes=384)
    dynamics = ss.SGDMoments(float(rate / problem.trace), 1.0)
    run = ss.simulate(problem, ss.uniform(), ss.log_steps(1, 1e9, 181), dynamics=dynamics)
    return ss.fit_exponent(run.times, run.loss, window=window).value


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 2.0), (1.5, 2.0)])
def test_the_forcing_limited_exponent_is_that_of_gradient_flow(alpha, beta):
    assert exponent(alpha, beta, (1e4, 1e7)) == pytest.approx((beta - 1) / alpha, rel=0.02)


@pytest.mark.parametrize(("alpha", "beta"), [(1.5, 6.0), (2.0, 8.0)])
def test_the_noise_limited_exponent_governs_where_targets_are_easy(alpha, beta):
    """Steps inject noise in proportion to the loss; it decays as t^-(2 - 1/alpha), however fast the signal does."""
    assert (beta - 1) / alpha > 1.5 * (2 - 1 / alpha)
    assert exponent(alpha, beta, (1e4, 1e7)) == pytest.approx(2 - 1 / alpha, rel=0.02)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_largest_stable_rate_of_any_spectrum(dtype):
    """Also where it takes many steps to find: eigenvalues and multiplicities over decades; never above the true one."""
    rng, size, members = np.random.default_rng(0), 120, 200
    spread = rng.uniform(0, 8, (members, 1))
    eigenvalues = np.exp(rng.normal(size=(members, size)) * spread).astype(dtype)
    multiplicity = np.exp(rng.normal(size=(members, size)) * rng.uniform(0, 6, (members, 1))).astype(dtype)
    batch = np.exp(rng.uniform(0, 18, members)).astype(dtype)

    def largest(eigenvalues, multiplicity, batch):
        problem = ss.ModalProblem(eigenvalues, jnp.ones(size, dtype), multiplicity)
        return largest_stable_rate(problem, jnp.ones(size, dtype), batch)

    found = np.asarray(jax.jit(jax.vmap(largest))(eigenvalues, multiplicity, batch), float)
    lam, count, inverse = eigenvalues.astype(float), multiplicity.astype(float), 1 / batch.astype(float)[:, None]
    top = np.max((1 + inverse) * lam, axis=1)
    noise = lambda x: np.sum(count * lam * inverse / (2 * x[:, None] - (1 + inverse) * lam), axis=1)
    low, high = top / 2, top / 2 + np.sum(count * lam * inverse, axis=1)
    for _ in range(200):
        middle = (low + high) / 2
        unstable = (middle <= top / 2) | (noise(np.maximum(middle, top / 2 * (1 + 1e-16))) > 1)
        low, high = np.where(unstable, middle, low), np.where(unstable, high, middle)
    np.testing.assert_allclose(found * high, 1, rtol=200 * np.finfo(dtype).eps)


def test_the_slope_of_the_largest_stable_rate():
    number = np.arange(1.0, 30.0)
    rate = lambda scale: largest_stable_rate(
        ss.ModalProblem(scale * number**-1.2, number**-1.5), jnp.ones(29) + scale * jnp.linspace(-0.5, 0.5, 29), 3.0
    )
    slope = float(jax.jit(jax.grad(rate))(1.1))
    assert slope == pytest.approx(float(rate(1.1 + 1e-5) - rate(1.1 - 1e-5)) / 2e-5, rel=1e-7)


def test_the_largest_stable_rate_is_a_spectral_radius_of_one():
    problem = ss.power_law(1.4, 2.0, max_mode=1e4, nodes=32)
    eigenvalues, _, multiplicity = spectrum(problem)
    weight = some_weights(problem, 1)[0]
    sampled = eigenvalues * weight
    for batch in (1.0, 7.0, 1e4):
        largest = float(largest_stable_rate(problem, weight, batch))
        step = np.diag(1 - 2 * largest * sampled + (1 + 1 / batch) * largest**2 * sampled**2)
        step += largest**2 / batch * np.outer(eigenvalues * sampled, multiplicity * weight)
        assert np.max(np.abs(np.linalg.eigvals(step))) == pytest.approx(1, abs=1e-10)
        assert largest >= 2 / ((1 + 2 / batch) * float(problem.trace)) * (1 - 1e-12)  # stable for any weights


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_large_batches_are_stable_up_to_that_of_full_gradients(dtype):
    problem = ss.ModalProblem(np.array([1.0, 0.5], dtype), np.ones(2, dtype))
    for batch in (1e7, 1e9, 1e12):
        assert float(largest_stable_rate(problem, jnp.ones(2, dtype), jnp.asarray(batch, dtype))) == pytest.approx(2)
        run = ss.simulate(problem, ss.uniform(), [0, 1, 10], dynamics=ss.SGDMoments(1.9, batch))
        assert run.status == ss.Status.OK


def test_an_unstable_rate_is_a_status_that_names_the_largest_stable_one():
    problem = ss.ModalProblem([1.0, 0.5], [1.0, 1.0])
    largest = float(largest_stable_rate(problem, np.ones(2), 4.0))
    for factor in (0.999, 1.001):
        rate = factor * largest
        run = ss.simulate(
            problem,
            ss.uniform(),
            [0, 5, 50],
            dynamics=ss.SGDMoments(rate, 4.0),
            throw=False,
        )
        assert ss.describe_status(run.status, run.faults) == ("ok" if factor < 1 else "unstable learning rate")
    assert run.refresh == 0
    assert float(run.limit) == pytest.approx(largest, rel=1e-12)
    with pytest.raises(ss.SimulationError, match=rf"the largest stable value is {largest:.6g} \(at refresh 0\)"):
        run.raise_if_failed()


def test_one_unstable_member_of_a_batch_spoils_no_other():
    problem = ss.power_law(1.7, 1.9, max_mode=1e4, nodes=32)
    steps = np.array([0, 40, 400, 4000])

    def run(rate):
        return ss.simulate(problem, ss.proportional(0.5), steps, dynamics=ss.SGDMoments(rate, 2.0), throw=False)

    def total(rates):
        return jnp.nansum(jnp.log(jax.vmap(run)(rates).loss))

    rates = jnp.array([0.2, 0.25, 4.0, -0.3])
    batch = jax.jit(jax.vmap(run), compiler_options=QUICK)(rates)
    words = [ss.describe_status(status, batch.faults) for status in batch.status]
    assert words == ["ok", "ok", "unstable learning rate", "bad learning rate"]
    assert float(batch.limit[3]) == pytest.approx(-0.3)
    slope = jax.jit(jax.grad(total), compiler_options=QUICK)
    gradient, among_good = slope(rates), slope(rates.at[2:].set(0.2))
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient[:2], among_good[:2], rtol=1e-10)
    np.testing.assert_array_equal(gradient[2:], 0)


def test_a_member_that_diverges_does_not_hold_up_its_batch(monkeypatch):
    """It overflows; from then on an interval is still one part for it, and for the others."""
    parts, whole = [], _sgd_moments.rank_one_power

    def counted(*operands):
        jax.debug.callback(lambda: parts.append(None))
        return whole(*operands)

    monkeypatch.setattr(_sgd_moments, "rank_one_power", counted)
    problem = ss.power_law(1.7, 1.9, max_mode=1e4, nodes=32)
    steps = 4000 * np.arange(31)

    def run(rate):
        return ss.simulate(problem, ss.uniform(), steps, dynamics=ss.SGDMoments(rate, 2.0, 0.01), throw=False)

    runs = jax.jit(jax.vmap(run))(jnp.array([0.2, 8.0]))
    jax.block_until_ready(runs.loss)
    jax.effects_barrier()
    assert [ss.describe_status(x, runs.faults) for x in runs.status] == ["ok", "unstable learning rate"]
    assert np.isfinite(runs.loss[0]).all()
    assert 30 <= len(parts) <= 90


SCHEDULES = {
    "constant": optax.constant_schedule(0.1),
    "warm-up and cosine": optax.warmup_cosine_decay_schedule(0.02, 0.2, 50, 2000, 0.01),
    "warm-up, stable, decay": optax.join_schedules(
        [
            optax.linear_schedule(0.02, 0.2, 50),
            optax.constant_schedule(0.2),
            optax.exponential_decay(0.2, 100, 0.5),
        ],
        [50, 1000],
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_optax_schedules_of_the_step(name):
    """A learning rate and a batch that follow the step, averaged between refreshes, as the recursion does by step."""
    schedule = SCHEDULES[name]
    problem = ss.power_law(1.7, 1.9, max_mode=1e4, nodes=32)
    counts = np.unique(np.rint(np.append(0, np.geomspace(1, 2000, 30)))).astype(int)
    grow = optax.linear_schedule(2.0, 40.0, 1500)
    every = np.array(jax.vmap(lambda n: jnp.array([schedule(n), grow(n)]))(jnp.arange(2000)))
    pieces = np.split(every, counts[1:-1])
    rates, batches = [x[:, 0].mean() for x in pieces], [1 / (1 / x[:, 1]).mean() for x in pieces]
    weights = np.ones((len(rates), 32))
    expected = step_by_step(problem, weights, rates, batches, 0.01, counts) @ np.asarray(problem.multiplicity) / 2
    given = {"function": (schedule, grow), "array": (every[:, 0], np.append(every[:, 1], 7.0))}
    runs = quickly(
        lambda: {
            kind: ss.simulate(problem, ss.uniform(), counts, dynamics=ss.SGDMoments(*settings, 0.01))
            for kind, settings in given.items()
        }
    )
    for run in runs.values():
        assert run.status == ss.Status.OK
        np.testing.assert_allclose(run.loss, expected, rtol=1e-9)
        np.testing.assert_allclose(np.diff(run.times), rates * np.diff(counts), rtol=1e-11)


def test_a_schedule_of_the_step_may_carry_traced_numbers():
    problem = ss.power_law(1.7, 1.9, max_mode=1e4, nodes=32)
    counts = np.array([0, 10, 100])

    def batch_after(scale, steps):
        return scale * (1 + steps / 50)

    def loss(scale):
        batch = jax.tree_util.Partial(batch_after, scale)
        return ss.simulate(problem, ss.uniform(), counts, dynamics=ss.SGDMoments(0.1, batch), throw=False).loss

    means = [1 / np.mean(1 / batch_after(4.0, np.arange(*ends))) for ends in ((0, 10), (10, 100))]
    together = jax.jit(jax.vmap(loss), compiler_options=QUICK)(jnp.array([1.0, 4.0, 0.5]))
    expected = step_by_step(problem, np.ones((2, 32)), [0.1, 0.1], means, 0.0, counts)
    np.testing.assert_allclose(together[1], 0.5 * expected @ np.asarray(problem.multiplicity), rtol=1e-9)
    assert np.isnan(together[2]).all()  # a batch of half an example


RATES = {
    "warm-up from zero and cosine": optax.warmup_cosine_decay_schedule(0.0, 0.2, 300, 5000, 0.0),
    "warm-up, stable, decay": optax.join_schedules(
        [optax.linear_schedule(0.0, 0.2, 300), optax.constant_schedule(0.2), optax.linear_schedule(0.2, 0.0, 1500)],
        [300, 3500],
    ),
}


@pytest.mark.parametrize("name", RATES)
def test_means_of_a_schedule_against_every_step_of_it(name):
    """Time is the schedule's own sum; the loss is off by less than a thousandth, and by ever less on denser grids."""
    schedule, problem = RATES[name], ss.power_law(1.7, 1.9, max_mode=1e4, nodes=32)
    every = np.asarray(jax.vmap(schedule)(jnp.arange(5000)), float)
    steps = np.arange(5001.0)
    exact = step_by_step(problem, np.ones((5000, 32)), every, np.full(5000, 4.0), 0.01, steps)
    expected = 0.5 * exact @ np.asarray(problem.multiplicity)
    errors = []
    for refreshes in (125, 250, 500):
        counts = np.linspace(0, 5000, refreshes + 1)
        run = quickly(
            lambda counts=counts: ss.simulate(
                problem, ss.uniform(), counts, dynamics=ss.SGDMoments(schedule, 4.0, 0.01)
            )
        )
        np.testing.assert_allclose(run.times, np.append(0, np.cumsum(every))[counts.astype(int)], rtol=1e-6)
        errors.append(np.abs(run.loss[1:] / expected[counts[1:].astype(int)] - 1).max())
    assert errors[-1] < 1e-3
    assert errors[-1] < 0.45 * errors[-2] < 0.45**2 * errors[-3]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_steps_are_counted_in_whole_numbers(dtype):
    counts = np.array([0, 2e7, 2e7 + 1, 2e7 + 2, 2e7 + 13])
    problem = ss.ModalProblem(np.ones(1, dtype), np.ones(1, dtype))
    dynamics = ss.SGDMoments(2.0**-20, 1e3, 0.1)
    run = ss.simulate(problem, ss.uniform(), counts, dynamics=dynamics, save=lambda o, w: o.state.steps)
    np.testing.assert_array_equal(run.saved, counts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((ss.PerRefresh([0.1, -0.2]),), r"learning_rate\[1\] is -0\.2: it must not be negative; give a step in"),
        ((0.1, 0.5), r"batch_size is 0\.5: a batch has at least one example"),
        ((0.1, ss.PerRefresh([4.0, 0.0])), r"batch_size\[1\] is 0: a batch has at least one example"),
        ((0.1, np.nan), r"batch_size is nan: a batch has at least one example"),
        ((None,), r"learning_rate is None: give a step in units of time"),
        ((0.1, 1.0, lambda n: 0.1), r"noise_variance is a function: give a number or a PerRefresh table"),
        ((0.1, None), r"batch_size is None: give a number of examples"),
        ((0.1, 1.0, None), r"noise_variance is None: give sigma\^2, 0 for labels without noise"),
        ((0.1, 2.0, -1.0), r"noise_variance is -1: it must not be negative; give sigma\^2"),
        ((0.1, 2.0, 0.0, -1.0), r"noise_strength is -1: it must not be negative; give sigma\^2 / B"),
        ((0.1, 2.0, 0.3, 0.5), r"noise_variance is 0\.3 and noise_strength 0\.5: give one; the strength is the"),
        ((0.1, 2.0, 0.0, 0.1, np.nan), r"noise_exponent is nan"),
        ((0.1, 2.0, 0.0, 0.1, 1.0, 0.0), r"reference_rate is 0: it must be positive; give the rate at which"),
    ],
)
def test_bad_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        ss.SGDMoments(*arguments)


@pytest.mark.parametrize("name", ["learning_rate", "batch_size", "noise_variance", "noise_strength", "noise_exponent"])
def test_settings_are_one_number_at_each_refresh(name):
    settings = {"learning_rate": 0.1, name: np.array([[0.1, 0.2]]) + (name == "batch_size")}
    with pytest.raises(ValueError, match=rf"{name} has shape \(1, 2\) at a refresh: give one number, or a PerRefresh"):
        ss.simulate(make_problem("modal"), ss.uniform(), [0, 1], dynamics=ss.SGDMoments(**settings))


def test_data_problems_are_refused():
    with pytest.raises(TypeError, match="SGDMoments advances a ModalProblem"):
        ss.simulate(ss.torus(2.0, 2.0, 8), ss.uniform(), [0, 1], dynamics=ss.SGDMoments(0.1))
