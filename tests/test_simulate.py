"""The loop: refreshes, failures, tables, keys, batches, and what refining the grid may change."""

import dataclasses
import itertools
import re
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import QUICK, make_problem, quickly

import spectral_sim as ss
from spectral_sim.schedules import AbstractStage

TIMES = ss.log_times(0.1, 30.0, 6)
FAILURES = {
    "nan": (ss.Status.NON_FINITE_WEIGHTS, "NaN or infinite"),
    "inf": (ss.Status.NON_FINITE_WEIGHTS, "NaN or infinite"),
    "negative": (ss.Status.NEGATIVE_WEIGHTS, "negative weight"),
    "zero": (ss.Status.ZERO_WEIGHTS, "all zero"),
    "state": (ss.Status.NON_FINITE_STATE, "loss became NaN or infinite"),
}


class FailsAt(AbstractStage):
    """Weights in proportion to energy^power, but for one refresh, where one of them (or all) is bad.

    The way in which they are is an array too, so that one compiled program serves every way.
    """

    kind = "allocate"
    closed_loop: ClassVar[bool] = True
    power: jax.Array = eqx.field(converter=jnp.asarray)
    at: jax.Array = eqx.field(converter=jnp.asarray)
    how: jax.Array = eqx.field(
        converter=lambda how: jnp.asarray(list(FAILURES).index(how) if type(how) is str else how)
    )

    def init(self, problem):
        return jnp.zeros(())

    def __call__(self, signal, observation, state):
        factor = jnp.asarray([jnp.nan, jnp.inf, -1.0, 0.0, 1.0])[self.how]
        hit = (jnp.arange(signal.size) == 0) | (self.how == list(FAILURES).index("zero"))
        score = (signal + 1e-3) ** self.power
        score = jnp.where((observation.index == self.at) & hit, factor, 1.0) * score
        return score, state + jnp.sum(score)


class BreaksAfter(ss.AbstractDynamics):
    """Modal flow whose state becomes NaN once a time is reached."""

    time: jax.Array = eqx.field(converter=jnp.asarray)

    def init(self, problem):
        return jnp.zeros_like(problem.eigenvalues), jnp.zeros(())

    def advance(self, problem, state, weights, duration, key):
        progress, time = state
        time = time + duration
        progress = ss.ModalFlow().advance(problem, progress, weights, duration, key)
        return progress + jnp.where(time >= self.time * (1 - 1e-9), jnp.log(-1.0 - progress**2), 0.0), time

    def observe(self, problem, state, time):
        return dataclasses.replace(ss.ModalFlow().observe(problem, state[0], time), state=state)


class Slowing(ss.AbstractDynamics):
    """Modal flow with a learning rate that falls with time; the state holds a clock, the same for a whole batch."""

    def init(self, problem):
        return jnp.zeros_like(problem.eigenvalues), jnp.zeros((), problem.dtype)

    def advance(self, problem, state, weights, duration, key):
        progress, time = state
        effective = duration * jnp.where(time > 2.0, 0.5, 1.0)
        return ss.ModalFlow().advance(problem, progress, weights, effective, key), time + duration

    def observe(self, problem, state, time):
        return dataclasses.replace(ss.ModalFlow().observe(problem, state[0], time), state=state)


class Rows(AbstractStage):
    """Weights that a table gives, one row a refresh."""

    kind = "allocate"
    closed_loop: ClassVar[bool] = False
    rows: ss.PerRefresh

    def __call__(self, signal, observation, state):
        return self.rows, state


NEVER = len(TIMES)  # a refresh that does not come


def failing(how, at, power=0.5):
    """A schedule and dynamics that fail at refresh `at`, where they do so by the state the first time it is seen."""
    lost = jnp.append(TIMES, 1e9)[at if how == "state" else NEVER]
    return FailsAt(power, at, how), BreaksAfter(lost)


@pytest.mark.parametrize(
    ("how", "at"), [(how, at) for how in FAILURES for at in (0, 1, 3) if (how, at) != ("state", 0)]
)
def test_statuses(how, at):
    problem = make_problem("modal")
    status, words = FAILURES[how]
    schedule, dynamics = failing(how, at)
    with pytest.raises(ss.SimulationError, match=rf"{words}.*\(at refresh {at}\); simulate\(throw=False\)"):
        ss.simulate(problem, schedule, TIMES, dynamics=dynamics, save=ss.save_weights)
    run = ss.simulate(problem, schedule, TIMES, dynamics=dynamics, save=ss.save_weights, throw=False)
    assert (run.status, run.refresh) == (status, at)
    with pytest.raises(ss.SimulationError, match=words):
        run.raise_if_failed()
    # what was recorded before stays, what comes from the bad refresh on is NaN
    good, dynamics = failing(how, NEVER)
    good = ss.simulate(problem, good, TIMES, dynamics=dynamics, save=ss.save_weights)
    assert (good.status, good.refresh) == (ss.Status.OK, -1)
    for recorded, expected in ((run.loss, good.loss), (run.saved, good.saved)):
        np.testing.assert_array_equal(recorded[:at], expected[:at])
        assert np.all(np.isnan(recorded[at:]))


@pytest.mark.parametrize("schedule", [ss.proportional(1.0), ss.uniform()])
def test_a_state_that_is_lost_is_not_blamed_on_the_schedule(schedule):
    run = ss.simulate(make_problem("modal"), schedule, TIMES, dynamics=BreaksAfter(TIMES[3]), throw=False)
    assert (run.status, run.refresh) == (ss.Status.NON_FINITE_STATE, 3)


@pytest.mark.parametrize("kind", ["modal", "operator"])
def test_a_problem_that_starts_lost(kind):
    problem = make_problem(kind)
    where = (lambda p: p.energies) if kind == "modal" else (lambda p: p.targets)
    problem = eqx.tree_at(where, problem, where(problem).at[1].set(jnp.nan))
    for schedule in (ss.proportional(1.0), ss.uniform()):
        run = ss.simulate(problem, schedule, TIMES, throw=False)
        assert (run.status, run.refresh) == (ss.Status.NON_FINITE_STATE, 0)
        assert np.all(np.isnan(run.loss))


def test_static_schedules_fail_at_the_first_refresh():
    problem = make_problem("modal")
    size = problem.mass.shape[0]
    for values, status in ((np.full(size, np.nan), 1), (-np.ones(size), 2), (np.zeros(size), 3)):
        run = ss.simulate(problem, ss.static_weights(values), TIMES, throw=False)
        assert (run.status, run.refresh) == (status, 0)
        assert np.all(np.isnan(run.loss))


def test_a_failure_under_jit_is_a_status():
    """Nothing can be raised under a trace: throw=True raises on the host only."""
    schedule, _ = failing("nan", 2)
    run = jax.jit(lambda: ss.simulate(make_problem("modal"), schedule, TIMES))()
    assert (run.status, run.refresh) == (1, 2)
    batch = eqx.filter_vmap(lambda at: ss.simulate(make_problem("modal"), FailsAt(0.5, at, "nan"), TIMES))
    run = batch(jnp.array([6, 6, 4, 1]))
    np.testing.assert_array_equal(run.refresh, [-1, -1, 4, 1])
    with pytest.raises(ss.SimulationError, match=r"at refresh 4 of member 2"):
        run.raise_if_failed()


def test_gradient_of_a_batch_whose_state_holds_a_clock():
    """A part of the state that no member changes, but that the dynamics read."""
    problem, powers = make_problem("modal"), jnp.array([0.5, 1.0])

    def loss(power):
        return ss.simulate(problem, ss.proportional(power), TIMES, dynamics=Slowing()).loss[-1]

    expected = jnp.stack([jax.grad(loss)(power) for power in powers])
    together = jax.grad(lambda powers: jnp.sum(jax.vmap(loss)(powers)))(powers)
    np.testing.assert_allclose(together, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["modal", "operator"])
def test_a_failed_member_changes_nothing_of_the_others(kind):
    """Bit for bit: results, gradients of every member, and gradients of the problem that all members share.

    One compiled batch runs with member 1 sound, and with member 1 failing in each way. Its own loss is masked out
    either way. In the last case its own energies (or targets) are NaN from the start.
    """
    problem = make_problem(kind)
    where = (lambda p: p.energies) if kind == "modal" else (lambda p: p.targets)

    def member(power, own, at, lost_at, how, shared):
        dynamics = BreaksAfter(jnp.append(TIMES, 1e9)[lost_at]) if kind == "modal" else None
        learner = eqx.tree_at(where, shared, own)
        schedule = FailsAt(power, at, how)
        run = ss.simulate(learner, schedule, TIMES, dynamics=dynamics, save=ss.save_summary, throw=False)
        return run, jnp.sum(jnp.log(run.loss)) + jnp.sum(run.saved["max_weight"])

    def total(moving, at, lost_at, how):
        powers, owns, shared = moving
        batch = jax.vmap(member, in_axes=(0, 0, 0, 0, None, None))
        runs, values = batch(powers, owns, at, lost_at, how, shared)
        return jnp.sum(jnp.where(jnp.arange(3) == 1, 0.0, values)), runs

    derivative = eqx.filter_jit(eqx.filter_grad(total, has_aux=True))
    sound = jnp.stack([where(problem), 1.3 * where(problem), 0.7 * where(problem)])
    powers, never, second = jnp.array([0.3, 0.5, 0.8]), jnp.array([NEVER] * 3), jnp.array([NEVER, 2, NEVER])
    gradient, runs = derivative((powers, sound, problem), never, never, jnp.asarray(0))
    assert not np.any(runs.status)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(eqx.filter(gradient, eqx.is_inexact_array)))
    for how in [*FAILURES, "leaf"] if kind == "modal" else ["nan", "inf", "negative", "zero", "leaf"]:
        code = jnp.asarray(0 if how == "leaf" else list(FAILURES).index(how))
        owns = sound.at[1, 2].set(jnp.nan) if how == "leaf" else sound
        at, lost_at = (never if how in ("state", "leaf") else second), (second if how == "state" else never)
        other, failed = derivative((powers, owns, problem), at, lost_at, code)
        np.testing.assert_array_equal(failed.status != 0, [False, True, False], err_msg=how)
        np.testing.assert_array_equal(failed.loss[::2], runs.loss[::2], err_msg=how)
        for ours, expected in ((other[0], gradient[0]), (other[1], gradient[1])):
            np.testing.assert_array_equal(ours[::2], expected[::2], err_msg=how)
        for ours, expected in zip(
            *(jax.tree.leaves(eqx.tree_at(where, g[2], None)) for g in (other, gradient)), strict=True
        ):
            np.testing.assert_array_equal(ours, expected, err_msg=f"{how}: a shared leaf of the problem")
    assert np.any(gradient[2].eigenvalues != 0 if kind == "modal" else gradient[2].features != 0)


def test_tables_are_rows_of_weights():
    problem = make_problem("modal")
    mass, drive = np.asarray(problem.mass), np.asarray(problem.eigenvalues)
    rows = np.random.default_rng(1).exponential(size=(len(TIMES), mass.size))
    run = ss.simulate(problem, Rows(ss.PerRefresh(rows)), TIMES, save=ss.save_weights)
    weights = rows[:-1] / (rows[:-1] @ mass)[:, None]
    np.testing.assert_allclose(run.saved[:-1], weights, rtol=1e-14)
    progress = np.concatenate([np.zeros((1, mass.size)), np.cumsum(np.diff(TIMES)[:, None] * drive * weights, axis=0)])
    np.testing.assert_allclose(run.loss, 0.5 * np.exp(-2 * progress) @ problem.energies, rtol=1e-13)
    # the entry of the last time is never in force and may be left out
    shorter = ss.simulate(problem, Rows(ss.PerRefresh(rows[:-1])), TIMES)
    np.testing.assert_array_equal(shorter.loss, run.loss)
    # static stages take tables too, also in a chain, and where a table fails the refresh is named
    run_static = ss.simulate(problem, ss.static_weights(ss.PerRefresh(rows)), TIMES)
    np.testing.assert_allclose(run_static.loss, run.loss, rtol=1e-14)
    rows[4] = -1
    failed = ss.simulate(problem, ss.static_weights(ss.PerRefresh(rows)), TIMES, throw=False)
    assert (failed.status, failed.refresh) == (ss.Status.NEGATIVE_WEIGHTS, 4)


def test_tables_in_a_chain_and_in_a_batch():
    problem = make_problem("grouped")
    powers = np.linspace(0.0, 1.0, 2 * len(TIMES)).reshape(2, -1)
    caps = np.linspace(4.0, 1.2, len(TIMES))

    def run(powers, caps):
        schedule = ss.chain(ss.proportional(ss.PerRefresh(powers)), ss.clip(0.0, caps))
        return ss.simulate(problem, schedule, TIMES, save=ss.save_weights)

    single = run(powers[1], ss.PerRefresh(caps)).saved
    assert np.all(single.max(axis=1)[:-1] <= caps[:-1])
    together = jax.vmap(run, in_axes=(0, None))(jnp.asarray(powers), ss.PerRefresh(caps))
    np.testing.assert_allclose(together.saved[1], single, rtol=1e-12)
    both = jax.vmap(run)(jnp.asarray(powers), ss.PerRefresh(jnp.stack([caps, caps])))
    np.testing.assert_allclose(both.saved, together.saved, rtol=1e-12)


@pytest.mark.parametrize("length", [1, 4, 7])
def test_tables_of_another_length_are_refused(length):
    schedule = ss.chain(ss.lag(ss.PerRefresh(np.ones(length))), ss.proportional(1.0))
    words = rf"PerRefresh table has shape \({length},\): its leading axis needs one entry for each of the 6 times"
    with pytest.raises(ValueError, match=words):
        ss.simulate(make_problem("modal"), schedule, TIMES)


def test_gradients_of_a_table_by_each_adjoint():
    """Rows, in reverse by each adjoint and forward by each, against finite differences."""
    problem = make_problem("modal")
    powers = jnp.linspace(0.3, 1.1, len(TIMES))
    direction = jnp.asarray(np.random.default_rng(2).normal(size=powers.shape))

    def objective(powers, adjoint=None):
        schedule = ss.chain(ss.lag(2.0), ss.proportional(ss.PerRefresh(powers)), ss.clip(0.2, 2.5))
        return jnp.sum(jnp.log(ss.simulate(problem, schedule, TIMES, adjoint=adjoint).loss))

    run = jax.jit(objective, compiler_options=QUICK)
    step = 1e-4
    at = [float(run(powers + k * step * direction)) for k in (-2, -1, 1, 2)]
    difference = (8 * (at[2] - at[1]) - (at[3] - at[0])) / (12 * step)
    assert abs(difference) > 1e-2
    gradients = []
    for adjoint in (None, "direct", "stored"):
        reverse, forward = quickly(
            lambda adjoint=adjoint: (
                jax.grad(objective)(powers, adjoint),
                jax.jvp(lambda p: objective(p, adjoint), (powers,), (direction,))[1],
            )
        )
        np.testing.assert_allclose(forward, difference, rtol=1e-8)
        np.testing.assert_allclose(reverse @ direction, forward, rtol=1e-12)
        gradients.append(reverse)
    np.testing.assert_allclose(gradients, np.broadcast_to(gradients[0], (3, len(TIMES))), rtol=1e-11, atol=1e-14)
    assert gradients[0][-1] == 0  # no interval follows the last time


def test_times_are_not_differentiable():
    problem = make_problem("modal")
    words = "times are constants of a run and cannot be differentiated"

    def last(times):
        return ss.simulate(problem, ss.uniform(), times).loss[-1]

    times = jnp.asarray(TIMES)
    with pytest.raises(TypeError, match=words):
        jax.grad(last)(times)
    with pytest.raises(TypeError, match=words):
        jax.jvp(last, (times,), (times,))
    # but a batch of grids is fine
    grids = jnp.stack([times, 2 * times])
    np.testing.assert_allclose(jax.vmap(last)(grids), [last(grid) for grid in grids], rtol=1e-13)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([[0.0, 1.0]], r"times must have shape \(times\), got shape \(1, 2\)"),
        ([0.0], "times has 1 entry; give the start 0 and at least one later time"),
        ([0.0, 1.0, np.nan], r"times\[2\] is nan: every entry must be finite"),
        ([0.0, np.inf], r"times\[1\] is inf: every entry must be finite"),
        ([0.5, 1.0], r"times\[0\] is 0.5: the grid starts at 0; prepend it, or use log_times"),
        ([0.0, 2.0, 1.0], r"times\[2\] is 1, not above times\[1\] = 2: times must increase; sort them"),
        ([0.0, 2.0, 2.0], r"times\[2\] is 2, not above times\[1\] = 2: .*remove repeats"),
        (np.ones(6) - 1, r"times\[1\] is 0, not above times\[0\] = 0"),
    ],
)
def test_bad_times(times, words):
    with pytest.raises(ValueError, match=words):
        ss.simulate(make_problem("modal"), ss.uniform(), times)


def test_log_times():
    times = ss.log_times(0.5, 50.0, 5)
    np.testing.assert_allclose(times, [0, 0.5, 0.5 * 100 ** (1 / 3), 0.5 * 100 ** (2 / 3), 50.0], rtol=1e-14)
    assert times.dtype == np.float64
    for arguments, words in (
        ((0.0, 1.0, 5), "first is 0: it must be positive"),
        ((1.0, 0.5, 5), "last=0.5 is not above first=1"),
        ((1.0, 2.0, 2), "num=2: give at least 3 times"),
    ):
        with pytest.raises(ValueError, match=words):
            ss.log_times(*arguments)


def test_arguments_of_the_wrong_kind():
    problem, uniform = make_problem("modal"), ss.uniform()
    with pytest.raises(TypeError, match=r"problem is a ndarray: give a problem, such as power_law"):
        ss.simulate(np.ones(3), uniform, TIMES)
    with pytest.raises(TypeError, match=r"schedule is 1.0: give a stage or a chain of stages, such as uniform\(\)"):
        ss.simulate(problem, 1.0, TIMES)
    with pytest.raises(TypeError, match="give a stage or a chain of stages"):
        ss.simulate(problem, ss.uniform, TIMES)  # the constructor, not called
    with pytest.raises(ValueError, match=r"adjoint='checkpoint' is not known. Did you mean 'checkpointed'\?"):
        ss.simulate(problem, uniform, TIMES, adjoint="checkpoint")
    with pytest.raises(TypeError, match="OperatorFlow advances a OperatorProblem, not a ModalProblem: leave dynamics"):
        ss.simulate(problem, uniform, TIMES, dynamics=ss.OperatorFlow())
    with pytest.raises(TypeError, match="ModalFlow advances a ModalProblem, not a OperatorProblem: leave dynamics"):
        ss.simulate(make_problem("operator"), uniform, TIMES, dynamics=ss.ModalFlow())
    with pytest.raises(ValueError, match=r"static_weights has values of shape \(3,\), but .* 12 weights: give one for"):
        ss.simulate(problem, ss.static_weights(np.ones(3)), TIMES)
    with pytest.raises(ValueError, match=r"returned weights of shape \(3,\), but .* 12 weights: return one for each"):
        ss.simulate(problem, Rows(ss.PerRefresh(np.ones((6, 3)))), TIMES)
    with pytest.raises(ValueError, match=r"returned weights of shape \(\), but .* 12 weights"):
        ss.simulate(problem, Rows(ss.PerRefresh(np.ones(6))), TIMES)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("clock", "step", r"Own.clock='step' is not known. Did you mean 'steps'\? Valid: steps, time"),
        ("adjoint", "store", r"Own.adjoint='store' is not known. Did you mean 'stored'\?"),
    ],
)
def test_what_a_dynamics_says_of_itself_is_checked(name, value, words):
    own = type("Own", (ss.ModalFlow,), {name: value})
    with pytest.raises(ValueError, match=words):
        ss.simulate(make_problem("modal"), ss.uniform(), TIMES, dynamics=own())


class Broken(ss.ModalFlow):
    """A dynamics that shows something else than an observation of its problem."""

    changes: dict | None = None

    def observe(self, problem, state, time):
        seen = super().observe(problem, state, time)
        return seen.energy if self.changes is None else seen.replace(**self.changes)


class Signal(Rows):
    """A rule that forgets to return its state."""

    def __call__(self, signal, observation, state):
        return signal


def test_what_breaks_the_protocol_is_named():
    problem = make_problem("modal")
    lone = Signal(ss.PerRefresh(np.ones((6, 12))))
    for schedule in (lone, ss.chain(lone, ss.clip(0.1, 4.0))):
        with pytest.raises(TypeError, match=r"Signal.__call__ returned a .*, not a pair: return \(signal, state\)"):
            ss.simulate(problem, schedule, TIMES)
    with pytest.raises(TypeError, match=r"Broken.observe returned a .*: return an Observation of time, energy"):
        ss.simulate(problem, ss.uniform(), TIMES, dynamics=Broken())
    for field, shape, wanted in (("energy", (3,), r"\(12,\)"), ("log_energy", (), r"\(12,\)"), ("loss", (1,), r"\(\)")):
        words = rf"Broken.observe returned {field} of shape {re.escape(str(shape))}: return shape {wanted}, as the "
        with pytest.raises(ValueError, match=words):
            ss.simulate(problem, ss.uniform(), TIMES, dynamics=Broken({field: jnp.ones(shape)}))


@pytest.mark.parametrize(
    ("measure", "words"),
    [
        ([0.5, 0.6], r"Weighted.mass sums to 1.1: a probability mass sums to one; divide it by its sum"),
        ([1.5, -0.5], r"Weighted.mass\[1\] is -0.5: it must not be negative; "),
        ([0.5, np.nan], r"Weighted.mass\[1\] is nan: every entry must be finite"),
        ([0.0, 0.0], r"Weighted.mass sums to 0: give at least one"),
    ],
)
def test_a_mass_that_is_none(measure, words):
    class Weighted(ss.ModalProblem):
        @property
        def mass(self):
            return jnp.asarray(measure)

    problem = Weighted(np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match=words):
        ss.simulate(problem, ss.uniform(), TIMES)
    jax.eval_shape(lambda problem: ss.simulate(problem, ss.uniform(), TIMES).loss, problem)  # values are not looked at


def test_save_functions_and_the_last_entry():
    problem = make_problem("held_out")
    schedule = ss.chain(ss.proportional(1.0), ss.mix(0.2))

    def everything(observation, weights):
        return {"seen": observation, "weights": weights, "summary": ss.save_summary(observation, weights)}

    run = ss.simulate(problem, schedule, TIMES, save=everything)
    seen, weights = run.saved["seen"], np.asarray(run.saved["weights"])
    assert ss.simulate(problem, schedule, TIMES).saved is None
    # entry n is the state at times[n]; the last one has the last weights, since no interval follows it
    np.testing.assert_array_equal(seen.time, run.times)
    np.testing.assert_array_equal(seen.index, np.arange(len(TIMES)))
    np.testing.assert_allclose(seen.duration[:-1], np.diff(TIMES), rtol=1e-15)
    np.testing.assert_array_equal(weights[-1], weights[-2])
    assert np.abs(weights[-2] - weights[-3]).max() > 1e-3
    # the observation is what it says
    theta, features = np.asarray(seen.state.parameters), np.asarray(problem.features)
    residual = np.asarray(problem.targets) - features @ theta
    mass = np.asarray(problem.example_mass)
    np.testing.assert_allclose(seen.state.residual, residual, rtol=1e-13)
    np.testing.assert_allclose(seen.energy, np.sum(residual**2, axis=-1), rtol=1e-13)
    np.testing.assert_allclose(seen.log_energy, np.log(np.sum(residual**2, axis=-1)), rtol=0, atol=1e-13)
    np.testing.assert_array_equal(seen.initial_energy, np.broadcast_to(seen.energy[0], seen.energy.shape))
    held_out = np.asarray(problem.eval_targets) - np.asarray(problem.eval_features) @ theta
    np.testing.assert_allclose(run.loss, 0.5 * np.mean(np.sum(held_out**2, axis=-1), axis=-1), rtol=1e-13)
    np.testing.assert_array_equal(seen.loss, run.loss)
    # the weights answer the observation beside them
    score = np.asarray(seen.energy[:-1])
    np.testing.assert_allclose(weights[:-1], 0.8 * score / (score @ mass)[:, None] + 0.2, rtol=1e-13)
    summary = run.saved["summary"]
    np.testing.assert_allclose(summary["train_loss"], 0.5 * np.sum(residual**2, axis=-1) @ mass, rtol=1e-13)
    np.testing.assert_array_equal(summary["max_weight"], weights.max(axis=1))
    np.testing.assert_allclose(summary["effective_sample_size"], 1 / (weights**2 @ mass), rtol=1e-13)
    assert seen.key is None


def test_keys_fold_by_refresh_and_by_position():
    problem = ss.power_law(2.0, 2.0, num_modes=400)
    grid = np.array([0.0, 1e-6, 2e-6, 3e-6])  # so short that the energies stand still
    key = jax.random.key(3)

    def noise_seen(grid, *stages, key=key):
        """log(weights / energies) but for a constant: what the observe stages did, at each refresh."""
        schedule = ss.chain(*stages, ss.proportional(1.0))
        run = ss.simulate(problem, schedule, grid, save=lambda o, w: (o.energy, w), key=key)
        change = np.log(run.saved[1][:-1] / run.saved[0][:-1])
        return change - change.mean(axis=1, keepdims=True)

    one = noise_seen(grid, ss.schedules.add_noise(0.5))
    two = noise_seen(grid, ss.schedules.add_noise(0.5), ss.schedules.add_noise(0.5)) - one  # the second draw alone
    draws = np.concatenate([one, two])
    np.testing.assert_allclose(draws.std(axis=1), 0.5, rtol=0.15)
    correlation = np.corrcoef(draws)
    assert np.abs(correlation - np.eye(len(draws))).max() < 0.2  # 4 standard errors
    # draws belong to refreshes: adding one later leaves the earlier alone, another key changes all
    np.testing.assert_allclose(
        noise_seen(np.append(grid, 4e-6), ss.schedules.add_noise(0.5))[:3], one, rtol=1e-9, atol=1e-12
    )
    other = noise_seen(grid, ss.schedules.add_noise(0.5), key=jax.random.key(4))
    assert np.abs(np.corrcoef(np.concatenate([one, other]))[:3, 3:]).max() < 0.2
    # a stage before it in the chain moves it to another position, and so to another draw
    moved = noise_seen(grid, ss.lag(0.0), ss.schedules.add_noise(0.5))
    assert np.abs(np.corrcoef(np.concatenate([one, moved]))[:3, 3:]).max() < 0.2


def test_vmap_over_the_problem():
    schedule = ss.chain(ss.proportional(1.0), ss.clip(0.1, 5.0))
    base = make_problem("operator")
    modal = make_problem("modal")
    rng = np.random.default_rng(8)
    cases = {
        "alpha": (lambda a: ss.power_law(a, 1.8, num_modes=20), jnp.array([1.2, 2.0, 3.1])),
        "beta": (lambda b: ss.power_law(1.7, b, max_mode=1e4, nodes=40), jnp.array([1.2, 2.0, 3.1])),
        "energies": (lambda e: ss.ModalProblem(modal.eigenvalues, e), jnp.asarray(rng.uniform(size=(3, 12)))),
        "targets": (lambda y: ss.OperatorProblem(base.features, y), jnp.asarray(rng.normal(size=(3, 12, 2)))),
        "mass": (
            lambda p: ss.OperatorProblem(base.features, base.targets, mass=p),
            jnp.asarray(rng.uniform(0.1, 1.0, size=(3, 12))),
        ),
        "initial_parameters": (
            lambda x: ss.OperatorProblem(base.features, base.targets, initial_parameters=x),
            jnp.asarray(rng.normal(size=(3, 5, 2))),
        ),
    }
    for name, (build, values) in cases.items():
        run = lambda value, build=build: ss.simulate(build(value), schedule, TIMES).loss
        together = quickly(lambda run=run, values=values: jax.vmap(run)(values))
        alone = jax.jit(run, compiler_options=QUICK)
        np.testing.assert_allclose(together, np.stack([alone(v) for v in values]), rtol=1e-11, err_msg=name)
        assert np.ptp(np.asarray(together)[:, 1:], axis=0).min() > 1e-6, name


def test_jit_of_simulate_and_of_its_arguments():
    problem, schedule = make_problem("operator"), ss.chain(ss.lag(1.0), ss.proportional(1.0))
    expected = ss.simulate(problem, schedule, TIMES).loss
    run = eqx.filter_jit(lambda problem, schedule, times: ss.simulate(problem, schedule, times).loss)
    np.testing.assert_allclose(run(problem, schedule, jnp.asarray(TIMES)), expected, rtol=1e-13)


# Refining the grid ---------------------------------------------------------------------------------------------------

COARSE = np.concatenate([[0.0], np.geomspace(0.5, 32.0, 7)])  # steps of a factor 2; 4, 8, ... are on it


def refined(times, factor):
    """Each interval in `factor` equal parts."""
    parts = [np.linspace(a, b, factor, endpoint=False) for a, b in itertools.pairwise(times)]
    return np.append(np.concatenate(parts), times[-1])


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *[("modal", n) for n in ("uniform", "static_weights", "power_tilt", "hard_pruning", "step", "water_filling")],
        *[("operator", n) for n in ("static_weights", "leverage_sampling", "random_pruning", "step")],
        ("shells", "water_filling"),
    ],
)
def test_refining_the_grid_changes_no_open_loop_result(kind, name):
    """Each interval is solved exactly, so only *decisions* depend on the grid; water-filling is nested in time."""
    problem = make_problem(kind)
    schedule = {
        "uniform": ss.uniform(),
        "static_weights": ss.static_weights(np.random.default_rng(0).exponential(size=problem.mass.shape)),
        "power_tilt": ss.power_tilt(0.7, cutoff=5.0),
        "hard_pruning": ss.chain(ss.hard_pruning(0.6, keep="easy"), ss.mix(0.1)),
        "random_pruning": ss.schedules.random_pruning(0.5, seed=4),
        "leverage_sampling": ss.chain(ss.schedules.leverage_sampling(), ss.clip(0.5, 2.0)),
        "step": ss.curriculum(16.0, start=0.3, pacing="step", steps=4),  # steps at 4, 8, 12, 16; 12 is put on the grid
        "water_filling": ss.water_filling(),
    }[name]
    times = np.sort(np.append(COARSE, 12.0))
    coarse = ss.simulate(problem, schedule, times).loss
    fine = ss.simulate(problem, schedule, refined(times, 4)).loss
    np.testing.assert_allclose(fine[::4], coarse, rtol=1e-12)


WITH_MEMORY = {
    "lag": lambda tau: ss.chain(ss.lag(tau), ss.proportional(1.0)),
    "delay": lambda tau: ss.chain(ss.delay(tau), ss.proportional(1.0)),
    "stale": lambda tau: ss.chain(ss.stale(tau), ss.proportional(1.0)),
    "smooth": lambda tau: ss.chain(ss.proportional(1.0), ss.smooth(tau)),
    "linear": lambda tau: ss.curriculum(3 * tau, start=0.2),
    "root": lambda tau: ss.curriculum(3 * tau, start=0.2, pacing="root"),
}


@pytest.mark.parametrize(("kind", "name"), [*[("modal", name) for name in WITH_MEMORY], ("operator", "delay")])
def test_refining_the_grid_converges(kind, name):
    """Memory is in units of time, so that results tend to a limit: first order, since weights are held.

    A lag and `smooth` do better, second order: they credit the newest value with the whole interval before it, which
    makes up for holding it over the interval after. Root mean square over the grid and over several time constants:
    with a single one, where a step falls between two refreshes makes the error jump.
    """
    problem = make_problem(kind)
    if name in ("linear", "root"):
        problem = ss.power_law(1.3, 1.6, num_modes=500)  # the pool grows by one mode at a time
    times = np.linspace(0.0, 12.0, 9)
    taus = jnp.linspace(2.1, 3.1, 16)

    def log_loss(tau, factor):
        return jnp.log(ss.simulate(problem, WITH_MEMORY[name](tau), refined(times, factor)).loss[::factor])

    factors = (1, 2, 4, 8)
    curves = [quickly(lambda f=f: jax.vmap(lambda tau: log_loss(tau, f))(taus)) for f in factors]
    moved = np.sqrt([np.mean((a - b) ** 2) for a, b in itertools.pairwise(curves)])
    orders = np.log2(moved[:-1] / moved[1:])
    assert moved[0] > 1e-3
    assert np.all(orders > 0), moved
    assert orders[-1] > (1.7 if name in ("lag", "smooth") else 0.7), orders
