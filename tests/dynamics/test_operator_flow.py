"""OperatorFlow against independent solvers: SciPy's matrix exponential and an adaptive ODE solver."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from helpers import QUICK, make_problem

import spectral_sim as ss
from spectral_sim import PerRefresh

TIMES = np.array([0.0, 0.3, 1.0, 4.0, 20.0, 300.0])


class Given(ss.AbstractStage):
    """Weights read from a table."""

    kind = "allocate"
    closed_loop = False
    values: PerRefresh

    def __call__(self, signal, observation, state):
        return self.values, state


def data(rng, examples=12, features=5, outputs=3):
    """Random features and targets that no parameters fit."""
    return rng.standard_normal((examples, features)), rng.standard_normal((examples, outputs))


def weight_table(rng, mass, zeros=True):
    """Weights of mean one at each refresh, some of them exactly zero."""
    table = rng.exponential(size=(len(TIMES), len(mass)))
    if zeros:
        table[:, ::3] = 0
    return table / (table @ mass)[:, None]


def by_expm(features, targets, mass, table, start):
    """Parameters at each time: the exponential of the augmented linear system, interval by interval."""
    theta, path = start, [start]
    size, outputs = start.shape
    for weights, duration in zip(table, np.diff(TIMES), strict=False):
        weighted = features.T * (mass * weights)
        augmented = np.zeros((size + outputs, size + outputs))
        augmented[:size, :size], augmented[:size, size:] = -weighted @ features, weighted @ targets
        flow = scipy.linalg.expm(duration * augmented)
        theta = flow[:size, :size] @ theta + flow[:size, size:]
        path.append(theta)
    return np.stack(path)


def saved_parameters(observation, weights):
    return observation.state.parameters


@pytest.mark.parametrize("examples", [12, 3], ids=["more examples than features", "fewer"])
@pytest.mark.parametrize("given_mass", [False, True])
@pytest.mark.parametrize("method", ["auto", "chebyshev", "eigh"])
def test_against_matrix_exponential(examples, given_mass, method):
    rng = np.random.default_rng(examples)
    features, targets = data(rng, examples)
    mass = rng.uniform(0.5, 2, examples) if given_mass else np.ones(examples)
    mass /= mass.sum()
    start = rng.standard_normal((5, 3))
    table = weight_table(rng, mass)
    problem = ss.OperatorProblem(features, targets, mass=mass if given_mass else None, initial_parameters=start)
    flow = ss.OperatorFlow(method=method, tolerance=1e-12)
    run = ss.simulate(problem, Given(PerRefresh(table)), TIMES, dynamics=flow, save=saved_parameters)
    exact = by_expm(features, targets, mass, table, start)
    np.testing.assert_allclose(run.saved, exact, rtol=1e-10, atol=1e-10)
    losses = [0.5 * np.sum(mass[:, None] * (targets - features @ theta) ** 2) for theta in exact]
    np.testing.assert_allclose(run.loss, losses, rtol=1e-10)


def test_against_an_adaptive_solver():
    diffrax = pytest.importorskip("diffrax")
    rng = np.random.default_rng(5)
    features, targets = data(rng)
    mass = np.full(12, 1 / 12)
    table = weight_table(rng, mass)
    theta = jnp.zeros((5, 3))
    for weights, duration in zip(table, np.diff(TIMES), strict=False):

        def field(t, y, weighted):
            return weighted @ (targets - features @ y)

        theta = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            diffrax.Tsit5(),
            0.0,
            duration,
            None,
            theta,
            jnp.asarray(features.T * (mass * weights)),
            stepsize_controller=diffrax.PIDController(rtol=1e-10, atol=1e-12),
            max_steps=100_000,
        ).ys[0]
    run = ss.simulate(ss.OperatorProblem(features, targets), Given(PerRefresh(table)), TIMES, save=saved_parameters)
    np.testing.assert_allclose(run.saved[-1], theta, rtol=1e-7, atol=1e-8)


def test_long_times_reach_weighted_least_squares():
    """Targets are not realisable, so weights move the fixed point."""
    rng = np.random.default_rng(6)
    features, targets = data(rng)
    weights = rng.uniform(0.2, 3, 12)
    problem = ss.OperatorProblem(features, targets)
    run = ss.simulate(problem, ss.static_weights(weights), [0.0, 1e3, 1e6], save=saved_parameters)
    root = np.sqrt(weights)[:, None]
    fixed_point = np.linalg.lstsq(root * features, root * targets, rcond=None)[0]
    np.testing.assert_allclose(run.saved[-1], fixed_point, rtol=1e-9)
    plain = np.linalg.lstsq(features, targets, rcond=None)[0]
    assert np.abs(fixed_point - plain).max() > 0.01


def test_group_weights_are_example_weights():
    rng = np.random.default_rng(7)
    features, targets = data(rng)
    groups = np.arange(12) % 3
    mass = rng.uniform(0.5, 2, 12)
    mass /= mass.sum()
    by_group = np.array([0.2, 1.7, 0.6])
    grouped = ss.OperatorProblem(features, targets, mass=mass, groups=groups)
    plain = ss.OperatorProblem(features, targets, mass=mass)
    np.testing.assert_allclose(grouped.mass, np.bincount(groups, mass), rtol=1e-14)
    first = ss.simulate(grouped, ss.static_weights(by_group), TIMES, save=lambda o, w: o.energy)
    second = ss.simulate(plain, ss.static_weights(by_group[groups]), TIMES, save=lambda o, w: o.energy)
    np.testing.assert_allclose(first.loss, second.loss, rtol=1e-12)
    mean = np.stack([np.bincount(groups, mass * e) for e in np.asarray(second.saved)]) / np.bincount(groups, mass)
    np.testing.assert_allclose(first.saved, mean, rtol=1e-12)


def test_held_out_and_training_losses_are_both_observed():
    rng = np.random.default_rng(8)
    features, targets = data(rng)
    held_out, wanted = data(rng, examples=7)
    eval_mass = rng.uniform(1, 2, 7)
    problem = ss.OperatorProblem(features, targets, eval_features=held_out, eval_targets=wanted, eval_mass=eval_mass)
    run = ss.simulate(
        problem, ss.uniform(), TIMES, save=lambda o, w: (o.state.parameters, ss.save_summary(o, w)["train_loss"])
    )
    for n, theta in enumerate(np.asarray(run.saved[0])):
        share = eval_mass / eval_mass.sum()
        assert run.loss[n] == pytest.approx(0.5 * np.sum(share[:, None] * (wanted - held_out @ theta) ** 2), rel=1e-12)
        assert run.saved[1][n] == pytest.approx(0.5 * np.mean(np.sum((targets - features @ theta) ** 2, 1)), rel=1e-12)
    assert run.loss[0] == problem.initial_loss()


def test_float32_follows_its_inputs():
    rng = np.random.default_rng(9)
    features, targets = (x.astype(np.float32) for x in data(rng))
    single = ss.simulate(ss.OperatorProblem(features, targets), ss.proportional(1.0), TIMES)
    double = ss.simulate(ss.OperatorProblem(features.astype(float), targets.astype(float)), ss.proportional(1.0), TIMES)
    assert single.loss.dtype == np.float32
    np.testing.assert_allclose(single.loss, double.loss, rtol=1e-4)


def test_another_kind_of_problem_or_method_is_refused():
    with pytest.raises(TypeError, match="OperatorFlow advances a OperatorProblem, not a ModalProblem"):
        ss.simulate(ss.power_law(2.0, 2.0, num_modes=4), ss.uniform(), [0.0, 1.0], dynamics=ss.OperatorFlow())
    with pytest.raises(ValueError, match=r"method='eig' is not known\. Did you mean 'eigh'"):
        ss.OperatorFlow(method="eig")


def test_a_tolerance_beyond_the_reach_of_the_dtype_is_refused():
    features, targets = (x.astype(np.float32) for x in data(np.random.default_rng(10)))
    problem = ss.OperatorProblem(features, targets)
    with pytest.raises(ValueError, match="tolerance=1e-09 is below what float32 can reach: give at least 2e-07"):
        ss.simulate(problem, ss.uniform(), TIMES, dynamics=ss.OperatorFlow(tolerance=1e-9))
    for tolerance in (0.0, -1e-3, np.nan):
        with pytest.raises(ValueError, match="tolerance is"):
            ss.OperatorFlow(tolerance=tolerance)


@pytest.mark.parametrize("adjoint", [pytest.param("direct", marks=pytest.mark.slow), "stored"])
def test_gradients_of_a_whole_run_agree_between_methods(adjoint):
    """A batch of runs in reverse mode, and one in forward mode, against eigenvectors and against differences."""
    rng = np.random.default_rng(11)
    features, targets = data(rng)
    problem = ss.OperatorProblem(features, targets)
    tables = jnp.asarray(rng.exponential(size=(2, len(TIMES), 12)))

    def value(table, method):
        flow = ss.OperatorFlow(method=method, tolerance=1e-12)
        run = ss.simulate(problem, Given(PerRefresh(table)), TIMES, dynamics=flow, adjoint=adjoint, throw=False)
        return jnp.mean(jnp.log(run.loss))

    def gradients(method):
        return jax.jit(jax.vmap(jax.grad(lambda t: value(t, method))), compiler_options=QUICK)(tables)

    ours = gradients("chebyshev")
    np.testing.assert_allclose(ours, gradients("eigh"), rtol=1e-8, atol=1e-11)
    direction = jnp.asarray(rng.standard_normal(tables[0].shape)) * tables[0]
    along = lambda step: value(tables[0] + step * direction, "chebyshev")
    tangent = jax.jit(lambda: jax.jvp(along, (0.0,), (1.0,))[1], compiler_options=QUICK)()
    difference = (along(1e-5) - along(-1e-5)) / 2e-5
    assert float(jnp.sum(ours[0] * direction)) == pytest.approx(float(tangent), rel=1e-9)
    assert float(tangent) == pytest.approx(float(difference), rel=1e-6)


class Steady(ss.AbstractStage):
    """The same weights, asked for at every refresh, as a stranger's stage would be."""

    kind = "allocate"
    closed_loop = False
    values: jax.Array

    def __call__(self, signal, observation, state):
        return self.values * (1 + 0 * observation.time), state


def test_weights_that_never_change_are_decomposed_once():
    """20 features, where routes differ: the same losses and derivatives as interval by interval, in batches too."""
    rng = np.random.default_rng(12)
    problem = ss.OperatorProblem(*data(rng, examples=30, features=20))
    weights = jnp.asarray(rng.exponential(size=(2, 30)))

    def value(weights, stage, method):
        flow = ss.OperatorFlow(method=method)
        run = ss.simulate(problem, stage(weights), TIMES, dynamics=flow, throw=False)
        return jnp.mean(jnp.log(run.loss)), run.loss

    def both(stage, method):
        run = jax.vmap(jax.value_and_grad(lambda w: value(w, stage, method), has_aux=True))
        return jax.jit(run, compiler_options=QUICK)(weights)

    (_, loss), slope = both(ss.static_weights, "auto")
    (_, expected), expected_slope = both(Steady, "chebyshev")
    np.testing.assert_allclose(loss, expected, rtol=1e-9)
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-7, atol=1e-11)
    tangent = jax.jvp(lambda s: value(weights[0] + s * weights[1], ss.static_weights, "eigh")[0], (0.0,), (1.0,))[1]
    assert float(tangent) == pytest.approx(float(slope[0] @ weights[1]), rel=1e-8)


@pytest.mark.parametrize("stage", [ss.static_weights, Steady])
def test_eigenvectors_stand_before_the_loop_where_weights_are_static(stage):
    problem = ss.OperatorProblem(*data(np.random.default_rng(13)))
    run = lambda w: ss.simulate(problem, stage(w), TIMES, adjoint="direct", throw=False).loss
    program = str(jax.make_jaxpr(run)(jnp.ones(12)))
    assert program.count("eigh[") == 1
    assert (program.index("eigh[") < program.index("scan[")) == (stage is ss.static_weights)


def test_a_second_derivative_through_eigenvectors_held_is_refused():
    problem = ss.OperatorProblem(*data(np.random.default_rng(13)))
    run = lambda w: jnp.sum(ss.simulate(problem, ss.static_weights(w), TIMES, adjoint="direct", throw=False).loss)
    with pytest.raises(TypeError, match='method="chebyshev"'):
        jax.hessian(run)(jnp.ones(12))


def test_a_training_loss_that_rises_is_a_status():
    """A state further from the targets than before is refused, one that is nearer is not."""
    problem, weights = make_problem("operator"), jnp.ones(12)
    flow = ss.OperatorFlow()
    start = flow.init(problem)
    end = flow.advance(problem, start, weights, jnp.asarray(0.5), None)
    ((lower, _),), ((higher, _),) = (flow.verify(problem, *pair, weights)[:1] for pair in ((start, end), (end, start)))
    assert not lower
    assert higher


def by_numpy(problem, times, table):
    """Losses under the given weights, by eigenvectors of each interval's matrix in float64."""
    features, targets = np.asarray(problem.features, float), np.asarray(problem.targets, float)
    mass = np.full(len(targets), 1 / len(targets))
    theta, losses = np.zeros((features.shape[1], targets.shape[1])), []
    for weights, duration in zip(np.asarray(table, float), [*np.diff(times), 0.0], strict=True):
        residual = targets - features @ theta
        losses.append(0.5 * np.sum(mass[:, None] * residual**2))
        weighted = features.T * (mass * weights)
        values, vectors = np.linalg.eigh(weighted @ features)
        held = values > 1e-13 * values[-1]
        factor = np.where(held, -np.expm1(-duration * values) / np.where(held, values, 1), 0)
        theta = theta + vectors @ (factor[:, None] * (vectors.T @ (weighted @ residual)))
    return np.array(losses)


@pytest.mark.parametrize(("examples", "size"), [(60, 20), (24, 40), (500, 17)])
def test_late_levels_in_float32(examples, size):
    """To h kappa = 3e8, eps h kappa = 40, no basis singled out: in long intervals and in one, under several rules."""
    rng = np.random.default_rng(size)
    rank = min(examples, size) - 4
    left, right = (np.linalg.qr(rng.normal(size=(rows, rank)))[0] for rows in (examples, size))
    spectrum = np.geomspace(1, 1e-8, rank)  # of eigenvalues
    features = (left * np.sqrt(spectrum * examples / np.sum(spectrum))) @ right.T
    targets = left @ rng.normal(size=(rank, 1)) * np.sqrt(examples / rank) + 0.1 * rng.normal(size=(examples, 1))
    problem = ss.OperatorProblem(features.astype(np.float32), targets.astype(np.float32))
    rules = {
        "uniform": ss.uniform(),
        "proportional": ss.proportional(1.0),
        "clip": ss.chain(ss.proportional(1.0), ss.clip(0.1, 10.0)),
    }
    for times in (np.append(0, np.logspace(0, 8.5, 6)), np.array([0, 10.0, 3e8])):
        run = ss.simulate_many(problem, rules, times, save=lambda o, w: w)
        assert not np.any(run.status)
        for name, losses, table in zip(rules, run.loss, run.saved, strict=True):
            tolerance = 3e-3 if name == "uniform" else 3e-2  # weights of nearly zero hide examples from the flow
            np.testing.assert_allclose(losses, by_numpy(problem, times, table), rtol=tolerance, err_msg=name)


def test_losses_that_rounding_decides_are_refused():
    """So long an interval that the last directions are below the rounding of the features; float64 has them still."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(rows, 6)))[0] for rows in (50, 6))
    features = (left * np.geomspace(1, 1e-6, 6)) @ right.T
    targets = left.sum(axis=1)
    run = lambda dtype, method: ss.simulate(
        ss.OperatorProblem(features.astype(dtype), targets.astype(dtype)),
        ss.uniform(),
        [0.0, 1e3, 1e14],
        dynamics=ss.OperatorFlow(method=method),
        throw=False,
    )
    with pytest.raises(ss.SimulationError, match="rounding may decide the loss"):
        run(np.float32, "eigh").raise_if_failed()
    exact = run(np.float64, "eigh")
    assert exact.status == ss.Status.OK
    np.testing.assert_allclose(
        exact.loss[1], by_numpy(ss.OperatorProblem(features, targets), [0, 1e3], np.ones((2, 50)))[1]
    )


@pytest.mark.parametrize("kind", ["operator", "held_out", "grouped"])
def test_ordinary_runs_in_float32_go_on_to_the_end(kind):
    """To convergence, whether or not parameters fit the targets, in a few intervals and in many."""
    problem = make_problem(kind, np.float32)
    for times in ([0.0, 1e2, 1e5], ss.log_times(0.1, 1e5, 9)):
        run = ss.simulate_many(problem, {"uniform": ss.uniform(), "proportional": ss.proportional(1.0)}, times)
        assert not np.any(run.status)
