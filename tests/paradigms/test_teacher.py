"""What a teacher's curation gains, and where it stops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from helpers import quickly

import spectral_sim as ss
from spectral_sim.schedules._second_model import trained

MODES = 3000
TIMES = ss.log_times(1e-1, 1e5, 6 * 32 + 2)
SHARE = 0.02
INDEX = np.arange(1.0, MODES + 1)
ENERGY = INDEX**-2.0
KAPPA = float(np.sum(INDEX**-2.0))


@pytest.fixture(scope="module")
def problem():
    return ss.power_law(2.0, 2.0, num_modes=MODES)


def loss_of(energy):
    return 0.5 * np.sum(energy, axis=-1)


def taught(training_time, share):
    rules = ss.teacher(training_time), ss.proportional(1.0)
    return ss.chain(*rules, ss.mix(share)) if share else ss.chain(*rules)


@pytest.fixture(scope="module")
def runs(problem):
    """Losses for teachers of several ages, without and with a uniform share; and all modes seen."""
    ages = jnp.array([100.0, 1000.0, 10_000.0])

    def run(age):
        schedules = taught(age, 0), taught(age, SHARE)
        return [ss.simulate(problem, schedule, TIMES).loss for schedule in schedules]

    free = ss.chain(ss.proportional(1.0), ss.mix(SHARE))
    alone, shared = quickly(lambda: jax.vmap(run)(ages))
    return np.asarray(ages), np.asarray(alone), np.asarray(shared), np.asarray(ss.simulate(problem, free, TIMES).loss)


def known(age):
    """The teacher's frontier: modes whose energy has fallen by a factor e, 2 lam T >= 1."""
    return int(np.floor(np.sqrt(2 * age)))


def proportional_on(modes, budget):
    """Loss of w ~ E on the first modes in continuous time: 1/E_k = k^2 + 2 lam_k s, ds/dt = kappa / sum lam E."""
    s = np.concatenate([[0.0], np.geomspace(1e-3, 1e10, 4000)])
    k = np.arange(1.0, modes + 1)
    energy = 1 / (k**2 + 2 * k**-2.0 * s[:, None])
    times = scipy.integrate.cumulative_simpson(energy @ k**-2.0, x=s, initial=0) / budget
    return times, loss_of(energy)


def test_the_gain_stops_at_the_frontier_of_the_teacher(runs):
    ages, alone, shared, free = runs
    stops, frontiers = [], []
    for age, loss, mixed in zip(ages, alone, shared, strict=True):
        frontier = known(age)
        plateau = loss_of(ENERGY[frontier:])
        # before: the same as if everything were seen
        early = 0.5 * frontier / KAPPA >= TIMES
        np.testing.assert_allclose(mixed[early], free[early], rtol=0.01)
        # after: flat for ever without a uniform share, at the energy that the teacher does not know
        np.testing.assert_allclose(loss[-1], plateau, rtol=1e-6)
        late = 30 * frontier / KAPPA <= TIMES
        np.testing.assert_allclose(loss[late], plateau, rtol=1e-2)
        # while all that is seen is being drained the curve is that of its rule on the modes that are known
        times, residual = proportional_on(frontier, KAPPA)
        stop = ss.time_to_loss(TIMES, loss, 1.2 * plateau)
        expected = plateau + np.interp(np.log(TIMES[1:]), np.log(times[1:]), residual[1:])
        running = TIMES[1:] <= stop
        np.testing.assert_allclose(loss[1:][running], expected[running], rtol=0.02)
        stops.append(stop)
        frontiers.append(frontier)
    scaled = np.array(stops) * KAPPA / np.array(frontiers)
    assert np.all((scaled > 1.5) & (scaled < 2.2)), scaled  # t ~ k_T / kappa, whatever the teacher
    slope = np.polyfit(np.log(frontiers), np.log(stops), 1)[0]
    assert slope == pytest.approx(1, abs=0.05)


def test_then_the_uniform_share_alone_is_left(runs):
    ages, _, shared, _ = runs
    for age, loss in zip(ages, shared, strict=True):
        frontier = known(age)
        rest = loss_of(ENERGY[frontier:] * np.exp(-2 * SHARE * TIMES[:, None] * INDEX[frontier:] ** -2.0))
        late = 30 * frontier / KAPPA <= TIMES
        np.testing.assert_allclose(loss[late], rest[late], rtol=1e-2)
    # once the share has passed the frontier, that is uniform sampling at eps t
    uniform = loss_of(ENERGY * np.exp(-2 * SHARE * TIMES[:, None] * INDEX**-2.0))
    late = 6 * ages[0] / SHARE <= TIMES
    np.testing.assert_allclose(shared[0][late], uniform[late], rtol=1e-2)


def test_the_teacher_is_trained_and_not_assumed(problem):
    """A teacher with a heavier spectrum knows more after the same time: k_T = (2 T)^(1/exponent)."""
    for exponent in (1.3, 2.0, 2.7):
        stage = ss.teacher(40.0, exponent=exponent)
        seen = np.asarray(shown(stage, problem)) > 0
        assert seen.sum() == np.floor(80.0 ** (1 / exponent))
    by_hand = ss.teacher(40.0, eigenvalues=INDEX**-1.3)
    np.testing.assert_array_equal(shown(by_hand, problem), shown(ss.teacher(40.0, exponent=1.3), problem))


def test_the_frontier_of_a_teacher():
    """In modes, k_T = (T / u0)^(1/exponent), interpolated; on data the share of examples it has begun to fit."""
    law = ss.power_law(2.0, 2.0, max_mode=1e6, nodes=512)
    for age, threshold, exponent in ((1e3, 0.5, None), (1e3, 2.0, None), (50.0, 0.5, 1.3)):
        stage = ss.teacher(age, threshold=threshold, exponent=exponent)
        expected = (age / threshold) ** (1 / (exponent or 2.0))
        assert ss.analysis.teacher_frontier(law, stage) == pytest.approx(expected, rel=1e-3)
        assert ss.analysis.teacher_frontier(
            law, ss.chain(stage, ss.proportional(1.0), ss.mix(0.1))
        ) == ss.analysis.teacher_frontier(law, stage)
    assert ss.analysis.teacher_frontier(law, ss.complement(1e3)) == ss.analysis.teacher_frontier(law, ss.teacher(1e3))
    features = np.diag([3.0, 2.0, 0.1, 0.1])
    data = ss.OperatorProblem(features, [1.0, -1.0, 1.0, -1.0], mass=[0.1, 0.2, 0.3, 0.4])
    # residuals fall as exp(-p_i phi_i^2 T): by T = 1 at rates 0.9, 0.8, 0.003, 0.004
    assert ss.analysis.teacher_frontier(data, ss.teacher(1.0)) == pytest.approx(0.3)
    with pytest.raises(ValueError, match="no model that is trained beforehand"):
        ss.analysis.teacher_frontier(law, ss.chain(ss.complement(), ss.mix(0.1)))


def test_a_traced_training_time_that_is_not_positive_is_a_status():
    law = ss.power_law(2.0, 2.0, num_modes=12)
    times = ss.log_times(0.2, 5.0, 6)
    for build in (ss.teacher, lambda age: ss.teacher(age, shows="distance"), ss.complement):
        run = jax.vmap(lambda age, build=build: ss.simulate(law, ss.chain(build(age), ss.mix(0.1)), times, throw=False))
        np.testing.assert_array_equal(run(jnp.array([1.0, -5.0])).status, [ss.Status.OK, ss.Status.NON_FINITE_WEIGHTS])


@pytest.mark.parametrize("stage", [ss.self_scoring(), ss.teacher(0.01)])
def test_where_nothing_is_seen_weights_are_uniform(stage):
    law = ss.power_law(2.0, 2.0, num_modes=12)
    weights = ss.simulate(law, stage, [0.0, 0.1, 0.2], save=ss.save_weights).saved
    np.testing.assert_array_equal(weights[0], 1)


def shown(stage, problem, **changes):
    """What a stage shows of a learner that has not begun."""
    seen = ss.Observation(
        time=jnp.zeros(()),
        energy=problem.energies,
        log_energy=jnp.log(problem.energies),
        loss=jnp.zeros(()),
        state=None,
        initial_energy=problem.energies,
        mass=problem.mass,
        problem=problem,
    ).replace(**changes)
    return stage(seen.energy, seen, stage.init(problem))[0]


def test_the_distance_on_modes_is_what_the_learner_knows_beyond_the_teacher(problem):
    age, now = 30.0, 2000.0
    decay = INDEX**-2.0
    log_energy = jnp.log(ENERGY) - 2 * decay * now
    stage = ss.teacher(age, shows="distance")
    distance = shown(stage, problem, log_energy=log_energy, energy=jnp.exp(log_energy))
    expected = ENERGY * (np.exp(-decay * now) - np.exp(-decay * age)) ** 2
    np.testing.assert_allclose(distance, expected, rtol=1e-9, atol=1e-25)
    largest = INDEX[np.argmax(distance)]
    assert np.sqrt(age) < largest < np.sqrt(now)  # learnt already, by the learner alone


# On examples --------------------------------------------------------------------------------------------


def slope(times, loss, window):
    inside = (times >= window[0]) & (times <= window[1])
    return -np.polyfit(np.log(times[inside]), np.log(loss[inside]), 1)[0]


def test_the_distance_to_a_teacher_that_lags_misleads():
    """|f_student - f_teacher|^2 on the torus: slower than uniform sampling, and below the static exponent."""
    times = ss.log_times(1e-1, 1e3, 4 * 8 + 2)
    window = (1e1, 1e3)
    problems = [ss.torus(2.0, 2.0, 96, seed=seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *problems)
    misled = ss.chain(ss.teacher(10.0, shows="distance"), ss.proportional(1.0))
    run = jax.vmap(lambda problem: ss.simulate(problem, misled, times).loss)
    curated = np.asarray(quickly(lambda: run(stacked)))
    index = np.arange(1.0, 97)
    uniform = loss_of(index**-2.0 * np.exp(-2 * times[:, None] * index**-2.0))
    slopes = [slope(times, loss, window) for loss in curated]
    assert slope(times, uniform, window) > 0.5  # static
    assert np.all(np.array(slopes) < 0.4), slopes
    assert np.all(curated[:, -1] > 2 * uniform[-1])
    assert np.any(
        curated[:, times <= 10] < 0.98 * uniform[times <= 10]
    )  # at first, where the teacher is ahead, it helps


def test_on_examples_the_teacher_is_trained_exactly():
    """Against the eigendecomposition, with the teacher's own kernel; groups get means."""
    rng = np.random.default_rng(0)
    features, second = rng.normal(size=(10, 4)), rng.normal(size=(10, 3))
    targets, mass = rng.normal(size=(10, 2)), rng.uniform(0.5, 1, 10)
    groups = np.arange(10) % 4
    problem = ss.OperatorProblem(features, targets, mass=mass, groups=groups)
    p = mass / mass.sum()
    values, vectors = np.linalg.eigh(second.T @ (p[:, None] * second))
    theta = vectors @ (
        ((1 - np.exp(-values * 1.7)) / values)[:, None] * (vectors.T @ second.T @ (p[:, None] * targets))
    )
    residual = targets - second @ theta
    stage = ss.teacher(1.7, features=second, shows="distance")
    seen = ss.dynamics.OperatorFlow()
    observation = seen.observe(problem, seen.init(problem), jnp.zeros(()))
    observation = observation.replace(mass=problem.mass, problem=problem, initial_energy=observation.energy)
    distance = stage(observation.energy, observation, stage.init(problem))[0]
    per_example = np.sum((targets - residual) ** 2, axis=1)  # the learner still predicts zero
    expected = np.bincount(groups, p * per_example) / np.bincount(groups, p)
    np.testing.assert_allclose(distance, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ss.teacher(0.0), r"training_time is 0: it must be positive; give the time that the second model"),
        (lambda: ss.teacher(1.0, shows="residuals"), r"shows='residuals' is not known\. Did you mean 'residual'"),
        (lambda: ss.teacher(1.0, threshold=0.0), r"threshold is 0: it must be positive; give the progress"),
        (lambda: ss.teacher(1.0, sharpness=-1.0), r"sharpness is -1: it must be positive; inf makes a step"),
        (lambda: ss.teacher(1.0, sharpness=np.nan), r"sharpness is nan: it must be positive"),
        (lambda: ss.teacher(1.0, exponent=0.0), r"exponent is 0: it must be positive"),
        (lambda: ss.teacher(1.0, exponent=2.0, eigenvalues=[1.0]), r"exponent and eigenvalues are both given"),
        (lambda: ss.teacher(1.0, eigenvalues=[1.0, -1.0]), r"eigenvalues\[1\] is -1: it must not be negative"),
        (lambda: ss.teacher(1.0, cost=-1.0), r"cost is -1: it must not be negative; give the compute of a step"),
        (lambda: ss.complement(-3.0), r"training_time is -3: it must be positive"),
        (lambda: ss.self_scoring(0.0), r"threshold is 0: it must be positive"),
        (lambda: ss.self_scoring(0.5, 0.0), r"sharpness is 0: it must be positive; inf makes a step"),
    ],
)
def test_bad_hyperparameters(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("stage", [ss.teacher, ss.complement])
def test_a_second_model_of_another_size(stage, problem):
    data = ss.OperatorProblem(np.eye(5), np.arange(5.0))
    times = np.array([0.0, 1.0])
    cases = [
        (data, {"features": np.ones((4, 2))}, r"'s features has shape \(4, 2\) but a problem of 5 examples needs a le"),
        (data, {"features": np.ones(5)}, r"features must have shape \(examples, features\), got shape \(5,\)"),
        (data, {"exponent": 2.0}, "has a spectrum, but the problem is reweighted by example: give features instead"),
        (
            problem,
            {"features": np.ones((4, 2))},
            "has features, but the problem has modes only: give eigenvalues or ex",
        ),
        (problem, {"eigenvalues": [1.0, 0.5]}, rf"has eigenvalues of shape \(2,\), but the problem has {MODES} modes"),
    ]
    for task, options, message in cases:
        with pytest.raises(ValueError, match=message):
            ss.simulate(task, stage(1.0, **options), times)


def test_a_teacher_trained_for_long_in_float32_knows_what_one_in_float64_knows():
    """Its last directions are below the rounding of its kernel matrix; against singular values in float64."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(rows, 12)))[0] for rows in (40, 20))
    features = (left * np.sqrt(40 * np.geomspace(1, 1e-8, 12))) @ right.T
    targets = left @ rng.normal(size=(12, 1)) + 0.1 * rng.normal(size=(40, 1))
    problem = ss.OperatorProblem(features.astype(np.float32), targets.astype(np.float32))
    energy = trained(problem, problem.features, jnp.float32(1e7)).energy
    outside, values, _ = np.linalg.svd(np.asarray(problem.features, float), full_matrices=False)
    learnt = -np.expm1(-1e7 * values**2 / 40)
    wide = np.asarray(problem.targets, float)
    left_over = wide - outside @ (learnt[:, None] * (outside.T @ wide))
    np.testing.assert_allclose(energy, np.sum(left_over**2, axis=1), atol=1e-3 * np.mean(left_over**2))
