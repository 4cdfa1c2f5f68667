"""The search: how near it comes to a known optimum, and what it does when things go wrong."""

import subprocess
import sys
import time
import warnings
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import spectral_sim as ss
from spectral_sim.problems import Bound


def adam(peak, steps):
    return optax.adam(optax.cosine_decay_schedule(peak, steps))


@pytest.mark.parametrize(("alpha", "beta"), [(1.25, 1.3), (2.0, 2.0), (3.0, 1.3)])
def test_anytime_learning_comes_within_a_hundredth_of_water_filling(alpha, beta):
    problem = ss.power_law(alpha, beta, max_mode=1e7)
    times = ss.log_times(1.0, 1e4, 65)
    found = ss.learn(
        problem,
        ss.TableSchedule.create(problem, times),
        times,
        objective=ss.anytime_log_loss(),
        optimizer=adam(0.3, 500),
        steps=500,
        num_starts=2,
        key=jax.random.key(0),
    )
    gap = found.gap[0]
    assert gap.kind == "water-filling"
    assert 0 < gap.gap < 0.01 < gap.uniform - gap.optimum
    assert np.isfinite(found.history).all()
    assert found.history.shape == (500, 2)
    ideal = np.log(ss.ideal_oracle(problem, times).loss[1:])
    reached = np.log(ss.simulate(problem, found.schedule, times).loss[1:])
    assert np.trapezoid(reached - ideal, np.log(times[1:])) / np.log(1e4) == pytest.approx(gap.gap, abs=1e-9)


@pytest.mark.parametrize("cap", [3.0, 30.0])
def test_terminal_learning_under_a_cap_reaches_the_envelope(cap):
    problem = ss.power_law(2.0, 2.0, max_mode=1e6)
    times = ss.log_times(1.0, 1e3, 33)
    table = ss.TableSchedule.create(problem, times, cap=(0.0, cap))
    found = ss.learn(problem, table, times, objective=ss.terminal_log_loss(), optimizer=adam(0.3, 400), steps=400)
    run = ss.simulate(problem, found.schedule, times, save=ss.save_summary)
    assert run.saved["max_weight"].max() <= cap
    assert found.gap[0].kind == "capped envelope"
    assert 0 <= found.gap[0].gap < 0.01


def test_data_schedules_stay_above_the_speed_limit_and_beat_uniform():
    problem = ss.torus(2.0, 2.0, 32)
    times = ss.log_times(1.0, 300.0, 17)
    table = ss.TableSchedule.create(problem, times)
    found = ss.learn(problem, table, times, objective=ss.anytime_log_loss(), optimizer=adam(0.1, 60), steps=60)
    gap = found.gap[0]
    assert gap.kind == "speed limit"
    assert gap.optimum < gap.value < gap.uniform - 0.1
    rules = {"uniform": ss.uniform(), "loss-proportional": ss.proportional(1.0)}
    compared = ss.learning.compare_by_hand(problem, ss.anytime_log_loss(), times, schedules=rules)
    assert compared.values["uniform"] == pytest.approx(gap.uniform, rel=1e-9)
    assert gap.value < compared.best_value
    assert found.effective_sample_size[0].shape == (16,)
    assert (
        ss.simulate(problem, found.schedule, times).loss >= ss.bounds.speed_limit(problem, times).loss * (1 - 1e-12)
    ).all()


def test_hyperparameters_of_a_practical_chain_are_learned():
    problem = ss.power_law(2.0, 2.0, max_mode=1e5)
    times = ss.log_times(1.0, 1e3, 33)
    start = ss.chain(ss.proportional(0.3), ss.mix(0.5))
    found = ss.learn(problem, start, times, objective=ss.anytime_log_loss(), optimizer=adam(0.02, 60), steps=60)
    assert found.value < float(found.history[0, 0]) - 0.05
    assert ss.schedules.stage_at(found.schedule, "mix").eps < 0.5


def test_several_problems_are_judged_by_the_worst():
    family = [ss.power_law(alpha, 2.0, max_mode=1e5, nodes=64) for alpha in (1.5, 2.5)]
    times = ss.log_times(1.0, 1e3, 17)
    policy = ss.PolicySchedule.create(jax.random.key(0), width=8, depth=1)
    found = ss.learn(family, policy, times, objective=ss.anytime_log_loss(), optimizer=adam(0.01, 30), steps=30)
    assert len(found.gap) == 2
    assert found.value == pytest.approx(max(gap.value for gap in found.gap), rel=1e-9)
    other = ss.torus(2.0, 2.0, 16)  # the same policy runs on data
    assert np.isfinite(ss.simulate(other, found.schedule, times).loss).all()


def small_search(policy=False, **options):
    problem = ss.power_law(2.0, 2.0, num_modes=50)
    times = ss.log_times(1.0, 100.0, 9)
    table = ss.TableSchedule.create(problem, times, num_basis=4)
    if policy:
        table = ss.PolicySchedule.create(jax.random.key(0), width=4, depth=1)
    settings = {
        "objective": ss.anytime_log_loss(),
        "steps": 20,
        "num_starts": 3,
        "key": jax.random.key(3),
        "report_every": 5,
    }
    return ss.learn(problem, table, times, **{**settings, **options})


def test_a_killed_search_resumes_to_the_same_result_bit_for_bit(tmp_path):
    whole = small_search()
    path = tmp_path / "search.npz"

    def kill(progress):
        if progress.step == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small_search(checkpoint=path, report=kill)
    resumed = small_search(checkpoint=path)
    np.testing.assert_array_equal(resumed.history, whole.history)
    np.testing.assert_array_equal(resumed.schedule.log_weights.values, whole.schedule.log_weights.values)
    assert resumed.value == whole.value
    with pytest.raises(ValueError, match="written by another search"):
        small_search(checkpoint=path, spread=0.7)
    with pytest.raises(ValueError, match="written by another search"):
        small_search(checkpoint=path, optimizer=optax.adam(0.3))
    with pytest.raises(ValueError, match="in a folder that does not exist"):
        small_search(checkpoint=tmp_path / "nowhere" / "search.npz")
    path.write_bytes(b"not an archive")
    with pytest.raises(ValueError, match="cannot be read"):
        small_search(checkpoint=path)


KILLED = """
import sys
import jax
jax.config.update("jax_enable_x64", True)
sys.path[:0] = sys.argv[2:]
import spectral_sim as ss
from test_learn import small_search
small_search(policy=True, checkpoint=sys.argv[1], steps=1000, report_every=1)
"""


def kill_and_resume(path, command, pause):
    """Start a search in a process of its own and kill it some time after its checkpoint has moved on."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not path.exists() or path.stat().st_mtime_ns == before:
            if child.poll() is not None:
                break
            time.sleep(0.01)
        time.sleep(pause)
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_search_killed_at_any_moment_resumes_to_the_same_result(kills, tmp_path):
    """SIGKILL, wherever the search and the writing of its checkpoint are at the time."""
    path, folder = tmp_path / "search.npz", Path(__file__).parent
    command = [sys.executable, "-c", KILLED, str(path), str(folder), str(folder.parent)]
    for pause in np.random.default_rng().uniform(0, 0.5, kills):
        kill_and_resume(path, command, pause)
    with np.load(path) as stored:
        assert 0 < int(stored["done"]) < 1000 or kills > 1
    options = {"policy": True, "steps": 1000, "report_every": 100}
    resumed, whole = small_search(checkpoint=path, **options), small_search(**options)
    np.testing.assert_array_equal(resumed.history, whole.history)
    assert eqx.tree_equal(resumed.schedule, whole.schedule)


def test_a_search_interrupted_at_every_checkpoint_gives_the_same_result(tmp_path):
    """Each step is done by a search that finds the file of the one before."""
    path = tmp_path / "search.npz"

    def interrupt(progress):
        raise KeyboardInterrupt

    options = {"steps": 20, "report_every": 1}
    for _ in range(20):
        with pytest.raises(KeyboardInterrupt):
            small_search(checkpoint=path, report=interrupt, **options)
    resumed, whole = small_search(checkpoint=path, **options), small_search(**options)
    np.testing.assert_array_equal(resumed.history, whole.history)
    assert eqx.tree_equal(resumed.schedule, whole.schedule)
    assert resumed.value == whole.value


def optimizer_closing_over(rate):
    return optax.sgd(lambda count: rate / (1 + count))


def test_a_checkpoint_belongs_to_one_search(tmp_path):
    """Also where two searches differ in nothing but a number that a function closes over."""
    path = tmp_path / "search.npz"
    small_search(checkpoint=path, optimizer=optimizer_closing_over(0.1), steps=2)
    small_search(checkpoint=path, optimizer=optimizer_closing_over(0.1), steps=2)
    for other in (
        {"optimizer": optimizer_closing_over(0.2)},
        {"adjoint": "stored"},
        {"trainable": ("schedule.log_weights",)},
    ):
        if "trainable" in other:  # the same leaves by another path are the same search
            small_search(checkpoint=path, **{"optimizer": optimizer_closing_over(0.1), "steps": 2, **other})
            continue
        with pytest.raises(ss.learning.SavedFileError, match="written by another search"):
            small_search(checkpoint=path, **{"optimizer": optimizer_closing_over(0.1), "steps": 2, **other})


class OwnProblem(ss.AbstractProblem):
    """Two modes of a user, with no more than what is required, and dynamics of its own."""

    strength: jax.Array

    @property
    def mass(self):
        return jnp.full(2, 0.5, self.dtype)

    @property
    def dtype(self):
        return self.strength.dtype

    def initial_loss(self):
        return jnp.sum(self.strength) / 2

    def training_loss(self, energy):
        return jnp.sum(energy) / 2

    def default_dynamics(self):
        return OwnFlow()


class Bounded(OwnProblem):
    """The same with a bound."""

    def lower_bound(self, times):
        loss = np.exp(-2 * np.asarray(times)) * self.initial_loss()
        return Bound(loss, "all at once")


class OwnFlow(ss.AbstractDynamics):
    """Energies that decay at a rate of their weight."""

    rate: float = 1.0

    def init(self, problem):
        return problem.strength

    def advance(self, problem, state, weights, duration, key):
        return state * jnp.exp(-self.rate * weights * duration)

    def observe(self, problem, state, time):
        return ss.Observation(time, state, jnp.log(state), problem.training_loss(state), state)


class WithoutDefault(Bounded):
    """A problem with a bound that does not say for which dynamics."""

    def default_dynamics(self):
        raise TypeError("no default dynamics")


@pytest.mark.parametrize("kind", [OwnProblem, Bounded])
def test_a_problem_of_a_user_is_learned_with_its_gap(kind, tmp_path):
    problem, times = kind(jnp.array([1.0, 0.2])), ss.log_times(0.1, 4.0, 5)
    table = ss.TableSchedule(ss.PerRefresh(jnp.zeros((5, 2))))
    found = ss.learn(problem, table, times, objective=ss.terminal_log_loss(), steps=10)
    gap = found.gap[0]
    assert found.value == gap.value < gap.uniform - 0.05
    if kind is OwnProblem:
        assert gap.gap is gap.optimum is gap.kind is None
    else:
        assert gap.kind == "all at once"
        assert gap.optimum == pytest.approx(np.log(0.6) - 8, rel=1e-12)
        assert gap.gap == gap.value - gap.optimum > 0
    found.save(tmp_path / "own.json")
    assert ss.load_learned(tmp_path / "own.json").gap == found.gap


def test_a_bound_is_not_claimed_for_steps_that_it_does_not_cover():
    """Water-filling bounds gradient flow; steps of SGD are other dynamics."""
    problem = ss.power_law(2.0, 2.0, num_modes=6)
    own = ss.learning.measure_gap(problem, ss.uniform(), ss.terminal_log_loss(), np.array([0.0, 1.0]))
    sgd = ss.learning.measure_gap(
        problem, ss.uniform(), ss.terminal_log_loss(), np.array([0.0, 1.0]), dynamics=ss.SGDMoments(0.5, 4.0)
    )
    assert own.kind == "water-filling"
    assert sgd.kind is sgd.gap is None


def test_a_bound_is_claimed_for_the_settings_of_the_default_alone():
    strength, times = jnp.array([1.0, 0.2]), np.array([0.0, 1.0])
    kinds = [
        ss.learning.measure_gap(problem, ss.uniform(), ss.terminal_log_loss(), times, dynamics=OwnFlow(rate)).kind
        for problem in (Bounded(strength), WithoutDefault(strength))
        for rate in (1.0, 3.0)
    ]
    assert kinds == ["all at once", None, None, None]


def test_few_examples_left_are_warned_of():
    """Groups, of which one holds almost all that is to be learned."""
    rng = np.random.default_rng(0)
    features, groups = rng.normal(size=(40, 4)), np.arange(40) // 4
    targets = np.where(groups == 3, 10.0, 0.0)[:, None] * features[:, :1]
    problem, times = ss.OperatorProblem(features, targets, groups=groups), ss.log_times(0.01, 1.0, 5)
    options = {"objective": ss.terminal_log_loss(), "steps": 40, "optimizer": optax.adam(1.0)}
    with pytest.warns(UserWarning, match=r"effective sample size of \d.* of 40 at t = .*Learn under a cap"):
        found = ss.learn(problem, ss.TableSchedule.create(problem, times), times, **options)
    drawn = found.samplers[0].mass * found.samplers[0].weights
    np.testing.assert_allclose(found.effective_sample_size[0], drawn.sum(axis=1) ** 2 / (drawn**2).sum(axis=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        ss.learn(problem, ss.TableSchedule.create(problem, times, cap=(0.5, 2.0)), times, **options)


def test_a_cap_is_not_learned_away():
    problem, times = ss.power_law(2.0, 2.0, num_modes=50), ss.log_times(1.0, 100.0, 9)
    policy = ss.PolicySchedule.create(jax.random.key(0), width=4, depth=1, cap=(0.1, 3.0))
    options = {"steps": 20, "optimizer": optax.adam(0.1), "num_starts": 3, "key": jax.random.key(0)}
    found = ss.learn(problem, policy, times, objective=ss.terminal_log_loss(), **options)
    weights = found.sampler_weights().weights
    assert weights.max() <= 3.0
    assert weights.min() >= 0.1
    assert found.gap[0].kind == "capped envelope"
    # the bounds of a clip are hyperparameters: they are learned, and stay where weights of mean one exist
    clipped = ss.chain(ss.proportional(1.0), ss.clip(0.9, 1.1))
    found = ss.learn(problem, clipped, times, objective=ss.terminal_log_loss(), **options)
    assert np.isfinite(found.history).all()
    assert found.sampler_weights().weights.max() > 1.2


def test_losses_outside_the_window_do_not_count():
    """However low they are: one that has underflowed would make everything NaN."""
    problem, times = ss.ModalProblem(np.ones(2), np.ones(2)), ss.log_times(0.01, 1e5, 15)
    run = ss.simulate(problem, ss.uniform(), times)
    assert run.loss[-1] == 0
    window = ss.anytime_log_loss((0.01, 1.0))
    assert np.isfinite(window(run))
    gradient = jax.grad(lambda c: window(ss.simulate(problem, ss.static_weights(c), times)))(np.array([1.0, 2.0]))
    assert np.isfinite(gradient).all()


def test_precisions_may_be_mixed():
    times, options = ss.log_times(1.0, 100.0, 9), {"objective": ss.terminal_log_loss(), "steps": 2}
    single = [ss.power_law(np.float32(alpha), np.float32(2.0), num_modes=20) for alpha in (1.5, 2.0)]
    table = ss.TableSchedule.create(single[0], times, num_basis=3)
    found = ss.learn(single, table, times, across="worst_gap", **options)
    assert found.value == pytest.approx(max(gap.gap for gap in found.gap), rel=1e-4)
    assert np.isfinite(ss.learn(ss.power_law(2.0, 2.0, num_modes=20), table, times, **options).value)


class Fragile(ss.AbstractStage):
    """Weights whose gradient is infinite below zero."""

    kind = "allocate"
    closed_loop = False
    power: jax.Array

    def init(self, problem):
        return None

    def __call__(self, signal, observation, state):
        return observation.problem.eigenvalues ** jnp.sqrt(self.power), state


def test_a_failed_start_is_marked_and_the_others_go_on():
    problem = ss.power_law(2.0, 2.0, num_modes=50)
    found = ss.learn(
        problem,
        Fragile(jnp.array(0.05)),
        ss.log_times(1.0, 100.0, 9),
        objective=ss.anytime_log_loss(),
        steps=5,
        num_starts=8,
        spread=1.0,
        optimizer=optax.sgd(1e-3),
        key=jax.random.key(0),
    )
    failed = found.failed_at >= 0
    assert 0 < failed.sum() < 8
    assert not failed[found.best_start]
    assert np.isfinite(found.history[:, ~failed]).all()
    assert np.isnan(found.history[:, failed]).any(axis=0).all()


def test_patience_stops_a_search_that_no_longer_improves():
    assert small_search(steps=400, patience=10, optimizer=optax.sgd(0.0)).steps < 30


def test_bad_arguments_are_named():
    problem = ss.power_law(2.0, 2.0, num_modes=20)
    times = ss.log_times(1.0, 100.0, 9)
    table = ss.TableSchedule.create(problem, times)
    with pytest.raises(ValueError, match=r"window=\(0\.1, 10\.0\) is not within the times 1 to 100"):
        ss.learn(problem, table, times, objective=ss.anytime_log_loss((0.1, 10.0)))
    with pytest.raises(ValueError, match=r"target is -1.*must be positive"):
        ss.learning.soft_time_to_target(-1.0)
    data = ss.OperatorProblem(np.eye(3)[:, :1], np.array([1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match="the least loss that any parameters reach"):
        ss.learn(data, ss.TableSchedule.create(data, times), times, objective=ss.learning.soft_time_to_target(0.1))
    with pytest.raises(ValueError, match="no inexact array leaf"):
        ss.learn(problem, ss.uniform(), times, objective=ss.terminal_log_loss())
    with pytest.raises(ValueError, match=r"pass learn\(key="):
        ss.learn(problem, table, times, objective=ss.terminal_log_loss(), num_starts=2)
    with pytest.raises(ValueError, match=r"cap=\(0.0, 0.5\) admits no weights of mean one"):
        ss.TableSchedule.create(problem, times, cap=(0.0, 0.5))
