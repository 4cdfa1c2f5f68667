"""What every shipped stage and every dynamics owes the loop, checked over the registry."""

import functools

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from helpers import DATA_KINDS, EXAMPLES, KINDS, QUICK, disturbed, example, leaf_values, make_problem, quickly
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import spectral_sim as ss
from spectral_sim.schedules import STAGES, stage_at, stage_name

TIMES = ss.log_times(0.1, 30.0, 6)
KEY = jax.random.key(5)
ADMITTED = [(name, kind) for name in EXAMPLES for kind in KINDS if kind not in EXAMPLES[name].refused]
TUNABLE = [name for name in EXAMPLES if EXAMPLES[name].leaves]


def key_for(schedule):
    return KEY if schedule.needs_key else None


def record(observation, weights):
    return weights, observation.energy


def lower_bound(problem):
    """The proven bound on the training or held-out loss of every schedule."""
    bound = ss.ideal_oracle if isinstance(problem, ss.ModalProblem) else ss.speed_limit
    return np.asarray(bound(problem, TIMES).loss)


def observe(problem, energy=None, index=0, time=0.0, duration=1.0, key=None):
    """What a stage would be shown, for calling it outside a run."""
    energy = problem.energies if energy is None else energy
    return ss.Observation(
        time=jnp.asarray(time),
        energy=energy,
        log_energy=jnp.log(energy),
        loss=jnp.zeros(()),
        state=None,
        initial_energy=energy,
        duration=jnp.asarray(duration),
        index=jnp.asarray(index),
        key=key,
        mass=problem.mass,
        problem=problem,
    )


def test_every_stage_has_an_example():
    assert set(EXAMPLES) == set(STAGES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_registry_names_and_leaves(name):
    """The registry is spelt as the constructors are, and every hyperparameter that is an array is in the table."""
    stage = stage_at(example(name, make_problem("modal")), name)
    assert type(stage) is STAGES[name]
    assert stage_name(stage) == name
    assert getattr(ss, name) is STAGES[name]
    arrays = {field for field in stage.__dataclass_fields__ if eqx.is_array(getattr(stage, field))}
    assert arrays == set(EXAMPLES[name].leaves)


@pytest.mark.parametrize(("name", "kind"), ADMITTED)
def test_contract(name, kind):
    """One compiled run serves every check of one stage on one kind of problem."""
    problem = make_problem(kind)
    leaves = leaf_values(name, problem)
    schedule = example(name, problem)
    key = key_for(schedule)
    traces = []

    def save(observation, weights):
        traces.append(None)
        return record(observation, weights)

    def run(problem, schedule, key=key):
        return ss.simulate(problem, schedule, TIMES, save=save, key=key)

    base = run(problem, schedule)
    traced = len(traces)
    weights, energy = (np.asarray(x) for x in base.saved)

    # weights are a density ratio under the problem's mass at every refresh
    mass = np.asarray(problem.mass)
    assert weights.shape == (len(TIMES), len(mass))
    assert np.all(weights >= 0)
    np.testing.assert_allclose(weights @ mass, 1, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(weights[-1], weights[-2])

    # dtypes follow the problem
    chex.assert_type([base.times, base.loss, *base.saved], jnp.float64)
    chex.assert_shape([base.times, base.loss], (len(TIMES),))
    assert base.status == ss.Status.OK
    assert base.refresh == -1

    # no schedule beats the bound, and the loss is that of the energies
    assert np.all(base.loss >= lower_bound(problem) * (1 - 1e-12))
    np.testing.assert_allclose(base.loss[0], problem.initial_loss(), rtol=1e-14)
    if kind != "held_out":
        np.testing.assert_allclose(base.loss, jax.vmap(problem.training_loss)(energy), rtol=1e-13)

    # one trace for every other value, whether given as a number or as an array, alone or with others
    for leaf, values in leaves.items():
        for value in values[1:]:
            for given_as in (lambda x: x, np.asarray, jnp.asarray):
                chosen = {other: all_values[0] for other, all_values in leaves.items()} | {leaf: given_as(value)}
                other = run(problem, EXAMPLES[name].build(**chosen))
                np.testing.assert_allclose(other.saved[0] @ mass, 1, rtol=0, atol=1e-12)
                assert np.all(other.saved[0] >= 0)
    assert len(traces) == traced, "a changed value traced the run again"

    # what the class says of itself
    if schedule.static:
        np.testing.assert_array_equal(weights, np.broadcast_to(weights[0], weights.shape))
        assert not schedule.closed_loop
    other = run(disturbed(problem), schedule)
    assert len(traces) == traced
    change = np.abs(other.saved[0] - weights).max()
    assert (change > 1e-3) if schedule.closed_loop else (change < 1e-14)
    if schedule.needs_key:
        again, redrawn = run(problem, schedule), run(problem, schedule, jax.random.key(6))
        np.testing.assert_array_equal(again.loss, base.loss)
        assert np.abs(redrawn.saved[0] - weights).max() > 1e-3


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n in EXAMPLES for k in EXAMPLES[n].refused])
def test_refusals(name, kind):
    problem = make_problem(kind)
    words = "asks for per-mode weights.*use .*or modal_view" if kind in DATA_KINDS else "scores examples by their"
    with pytest.raises(ValueError, match=f"{name} {words}"):
        ss.simulate(problem, example(name, problem), TIMES)


@pytest.mark.parametrize("name", [n for n in EXAMPLES if STAGES[n].needs_key])
def test_random_stages_need_a_key(name):
    problem = make_problem("modal")
    schedule = example(name, problem)
    with pytest.raises(ValueError, match=r"pass simulate\(key="):
        ss.simulate(problem, schedule, TIMES)
    stage = stage_at(schedule, name)
    seen = observe(problem)
    with pytest.raises(ValueError, match=rf"{name} draws random numbers: pass simulate\(key="):
        stage(seen.energy, seen, stage.init(problem))


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, k in ADMITTED if k in ("modal", "grouped")])
def test_jit_vmap_and_loop_agree(name, kind):
    """jit of the run, run without jit, and vmap over the hyperparameters at once: the same; each traced once."""
    problem = make_problem(kind)
    leaves = leaf_values(name, problem)
    key = key_for(example(name, problem))

    def run(leaves):
        return ss.simulate(problem, EXAMPLES[name].build(**leaves), TIMES, save=ss.save_weights, key=key)

    chex.clear_trace_counter()
    run = chex.assert_max_traces(run, n=2)  # one for jit alone, one for jit of vmap, whatever the values
    jitted, batched = (jax.jit(f, compiler_options=QUICK) for f in (run, jax.vmap(run)))
    members = [{leaf: jnp.asarray(values[0]) for leaf, values in leaves.items()}]
    for leaf, values in leaves.items():
        members += [members[0] | {leaf: jnp.asarray(value)} for value in values[1:]]
    looped = [jitted(member) for member in members]
    if kind == "modal" or "modal" in EXAMPLES[name].refused:
        with jax.disable_jit():
            alone = run(members[0])
        chex.assert_trees_all_close(alone, looped[0], rtol=1e-11, atol=1e-14)
    if leaves:
        together = batched(jax.tree.map(lambda *x: jnp.stack(x), *members))
        chex.assert_trees_all_close(together, jax.tree.map(lambda *x: jnp.stack(x), *looped), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", [n for n in TUNABLE if len(EXAMPLES[n].leaves) > 1])
def test_vmap_over_one_leaf_alone(name):
    problem = make_problem("modal")
    leaves = leaf_values(name, problem)
    base = {leaf: jnp.asarray(values[0]) for leaf, values in leaves.items()}

    def loss(leaves):
        return ss.simulate(problem, EXAMPLES[name].build(**leaves), TIMES).loss

    alone = jax.jit(loss, compiler_options=QUICK)
    for leaf, values in leaves.items():
        batch = jax.vmap(loss, in_axes=({other: 0 if other == leaf else None for other in leaves},))
        together = jax.jit(batch, compiler_options=QUICK)(base | {leaf: jnp.asarray(values)})
        looped = [alone(base | {leaf: jnp.asarray(value)}) for value in values]
        np.testing.assert_allclose(together, np.stack(looped), rtol=1e-11)


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, k in ADMITTED if k in ("modal", "grouped")])
def test_float32_problem_stays_float32(name, kind):
    """Although x64 is on and the schedule's leaves are float64."""
    problem = make_problem(kind, np.float32)
    schedule = example(name, problem)
    run = quickly(lambda: ss.simulate(problem, schedule, TIMES, save=record, key=key_for(schedule)))
    chex.assert_type([run.times, run.loss, *run.saved], jnp.float32)
    weights, energy = run.saved
    np.testing.assert_allclose(np.asarray(weights) @ np.asarray(problem.mass), 1, atol=3e-6)
    assert np.all(weights >= 0)
    assert np.all(np.isfinite(energy))
    assert np.all(run.loss >= lower_bound(make_problem(kind)) * (1 - 1e-4))


@pytest.mark.parametrize("kind", KINDS)
def test_float32_without_x64(kind):
    chained = [ss.lag(2.0), ss.noise(0.3), ss.proportional(0.7), ss.clip(0.2, 3.0), ss.smooth(1.0)]
    with jax.enable_x64(False):
        problem = make_problem.__wrapped__(kind, np.float32)
        run = ss.simulate(problem, ss.chain(*chained), TIMES, save=ss.save_summary, key=KEY)
    chex.assert_type(jax.tree.leaves((run.times, run.loss, run.saved)), jnp.float32)
    assert run.status == ss.Status.OK


@pytest.mark.parametrize(
    ("name", "leaf"), [(name, leaf) for name in TUNABLE for leaf in EXAMPLES[name].leaves if leaf != "seed"]
)
def test_constant_table_equals_plain_value(name, leaf):
    """Every inexact hyperparameter may be a `PerRefresh` table by itself."""
    problem = make_problem("modal")
    plain = {other: values[0] for other, values in leaf_values(name, problem).items()}
    table = ss.PerRefresh(jnp.stack([jnp.asarray(plain[leaf])] * len(TIMES)))
    schedules = EXAMPLES[name].build(**plain), EXAMPLES[name].build(**plain | {leaf: table})
    expected, tabled = quickly(
        lambda: [ss.simulate(problem, schedule, TIMES, key=key_for(schedule)).loss for schedule in schedules]
    )
    np.testing.assert_allclose(tabled, expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("name", "kind"), [(n, k) for n, k in ADMITTED if k in ("modal", "operator") and EXAMPLES[n].leaves]
)
def test_gradients(name, kind):
    """Reverse mode against forward mode and central differences, through a whole run, where the slope is not tiny."""
    problem = make_problem(kind)
    key = key_for(example(name, problem))
    leaves = {leaf: jnp.asarray(v[0], float) for leaf, v in leaf_values(name, problem).items() if leaf != "seed"}
    score = np.random.default_rng(3).normal(size=len(TIMES) - 1)

    def objective(leaves):
        return score @ jnp.log(ss.simulate(problem, EXAMPLES[name].build(**leaves), TIMES, key=key).loss[1:])

    # one direction for each leaf; entries of a vector leaf get random parts of it
    shapes = {leaf: np.random.default_rng(4).normal(size=x.shape) if x.ndim else 1.0 for leaf, x in leaves.items()}
    directions = [{leaf: shapes[leaf] * (leaf == chosen) for leaf in leaves} for chosen in leaves]

    @functools.partial(jax.jit, compiler_options=QUICK)
    def both(leaves):
        tangent = jax.tree.map(jnp.asarray, directions[0])
        return jax.grad(objective)(leaves), jax.jvp(objective, (leaves,), (tangent,))[1]

    value = jax.jit(objective, compiler_options=QUICK)
    gradient, forward = both(leaves)
    for n, (leaf, direction) in enumerate(zip(leaves, directions, strict=True)):
        reverse = float(np.sum(gradient[leaf] * direction[leaf]))
        step = 1e-4 * float(np.max(np.abs(leaves[leaf])))
        moves = [jax.tree.map(lambda d, i=i, step=step: i * step * d, direction) for i in (-2, -1, 1, 2)]
        at = [float(value(jax.tree.map(jnp.add, leaves, move))) for move in moves]
        difference = (8 * (at[2] - at[1]) - (at[3] - at[0])) / (12 * step)
        np.testing.assert_allclose(reverse, difference, rtol=1e-7, atol=1e-9, err_msg=leaf)
        if n == 0:
            np.testing.assert_allclose(forward, reverse, rtol=1e-11, atol=1e-14, err_msg=leaf)
        assert (abs(reverse) > 1e-3) == (leaf not in EXAMPLES[name].flat), f"{leaf}: {reverse}"


# Constrain stages on any score. A score is sparse, dense or zero, and spans the range of a double.
SIZE = 8
scores = hnp.arrays(float, SIZE, elements=st.one_of(st.just(0.0), st.floats(1e-3, 1e3), st.floats(1e-140, 1e140)))
masses = hnp.arrays(float, SIZE, elements=st.one_of(st.just(0.0), st.floats(1e-6, 1.0), st.just(1.0)))
masses = masses.filter(lambda mass: mass.sum() > 1e-3).map(lambda mass: mass / mass.sum())
bounds = st.tuples(
    st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
    st.one_of(st.sampled_from([1.0, 1e6]), st.floats(1, 2), st.floats(1, 1e3)),
)


@functools.partial(jax.jit, static_argnums=0)
def constrain(name, score, mass, leaves):
    """A constrain stage at the first refresh, asked outside a run."""
    problem = ss.OperatorProblem(jnp.eye(SIZE), jnp.arange(1.0, SIZE + 1), mass=mass)
    seen = observe(problem, score).replace(mass=mass)
    stage = STAGES[name](**leaves)
    return stage(score, seen, stage.init(problem))[0]


def clipped_by_bisection(score, mass, low, high):
    """clip(c s, low, high) of mean one, found by SciPy in log c; what no c reaches goes to entries of zero score."""
    positive = (score > 0) & (mass > 0)
    held, rest = mass[positive].sum(), mass[~(score > 0)].sum()
    if high * held + low * rest <= 1:
        share = (1 - high * held) / rest if rest > 0 else 0.0
        return np.where(score > 0, high, np.clip(share, low, high))

    def weights(log_scale):
        with np.errstate(divide="ignore"):
            return np.exp(np.clip(np.log(score) + log_scale, -800, 700).clip(None, np.log(high) + 1)).clip(low, high)

    def excess(log_scale):
        return mass @ weights(log_scale) - 1

    depth = np.log(score[positive])
    bottom, top = np.log(max(low, 1e-9)) - depth.max() - 30, np.log(high) - depth.min() + 1
    root = bottom if excess(bottom) >= 0 else scipy.optimize.brentq(excess, bottom, top, xtol=1e-14, rtol=1e-15)
    return weights(root)


def assert_same_share(weights, expected, mass, rtol):
    """Equal samples drawn of each entry; what is left over for an entry of little mass is known to rounding only."""
    np.testing.assert_allclose(mass * weights, mass * expected, rtol=rtol, atol=2e-15)


@given(scores, masses, bounds)
def test_clip_is_the_projection(score, mass, bound):
    low, high = bound
    leaves = {"low": low, "high": high}
    weights = np.asarray(constrain("clip", score, mass, leaves))
    assert np.all(weights <= high)  # no tolerance: a cap is a cap
    assert np.all(weights >= low)
    np.testing.assert_allclose(mass @ weights, 1, rtol=0, atol=1e-12)
    # idempotent, and a matter of proportions only
    for same in (weights, 1e-9 * score, 1e9 * score):
        again = np.asarray(constrain("clip", same, mass, leaves))
        assert_same_share(again, weights, mass, rtol=1e-12)


@given(scores, masses, bounds)
def test_clip_matches_bisection(score, mass, bound):
    low, high = bound
    score = np.where(mass @ score > 0, score, np.ones(SIZE))  # zero wherever there is mass: uniform
    weights = np.asarray(constrain("clip", score, mass, {"low": low, "high": high}))
    assert_same_share(weights, clipped_by_bisection(score, mass, low, high), mass, rtol=1e-10)


def test_entries_of_zero_score_share_what_the_cap_leaves():
    mass = np.full(SIZE, 1 / SIZE)
    score = np.array([5.0, 1.0, 0, 0, 0, 0, 0, 0])
    weights = constrain("clip", score, mass, {"low": 0.1, "high": 2.5})
    np.testing.assert_allclose(weights, [2.5, 2.5] + [0.5] * 6, rtol=1e-15)  # (8 - 2 * 2.5) / 6
    weights = constrain("clip", np.zeros(SIZE), mass, {"low": 0.0, "high": 2.5})
    np.testing.assert_array_equal(weights, np.ones(SIZE))


@pytest.mark.parametrize(("name", "leaf", "values"), [("mix", "eps", (0.0, 0.2, 1.0)), ("smooth", "tau", (0.0, 3.0))])
def test_other_constraints_return_mean_one(name, leaf, values):
    @given(scores, masses)
    def check(score, mass):
        plain = score / (mass @ score) if mass @ score > 0 else np.ones(SIZE)
        for value in values:
            weights = np.asarray(constrain(name, score, mass, {leaf: value}))
            np.testing.assert_allclose(mass @ weights, 1, rtol=0, atol=1e-12)
            floor = value if name == "mix" else 0  # at the first refresh there is nothing to smooth
            np.testing.assert_allclose(weights, (1 - floor) * plain + floor, rtol=1e-12, atol=1e-300)

    check()


@pytest.mark.parametrize("constraint", [ss.clip(0.2, 3.0), ss.mix(0.3), ss.smooth(2.0)])
def test_a_constraint_alone_acts_on_the_current_energies(constraint):
    """The signal starts as the residual energy, so a schedule without an allocate stage follows the learner."""
    problem = make_problem("modal")
    alone = ss.simulate(problem, constraint, TIMES, save=ss.save_weights)
    in_chain = ss.simulate(problem, ss.chain(ss.proportional(1.0), constraint), TIMES, save=ss.save_weights)
    np.testing.assert_allclose(alone.saved, in_chain.saved, rtol=1e-12)
    assert constraint.closed_loop
    assert not constraint.static


@pytest.mark.parametrize("name", [n for n in EXAMPLES if "modal" not in EXAMPLES[n].refused])
def test_a_mode_that_is_never_learnt_stops_no_run(name):
    """It carries no mass, so weights that see only its residual say nothing: the run goes on, uniformly."""
    problem = ss.ModalProblem([1.0, 0.5, 0.25, 0.0], [1.0, 1.0, 1.0, 2.0])
    schedule = example(name, problem)
    run = ss.simulate(problem, schedule, np.append(TIMES, [300.0, 3000.0]), key=key_for(schedule), throw=False)
    assert run.status == ss.Status.OK
    assert np.all(np.diff(run.loss) <= 1e-15)


@pytest.mark.parametrize("high", [1.5, 30.0])
def test_cap_holds_in_float32_with_many_weights(high):
    """The driver's own normalisation must not scale a weight past its cap because a long sum was rounded."""
    rng = np.random.default_rng(0)
    eigenvalues = np.sort(rng.uniform(1, 2, 50_000).astype(np.float32))[::-1]
    problem = ss.ModalProblem(eigenvalues, rng.exponential(size=50_000).astype(np.float32) ** 3)
    schedule = ss.chain(ss.proportional(1.0), ss.clip(0.1, high))
    weights = ss.simulate(problem, schedule, np.array([0.0, 1.0]), save=ss.save_weights).saved
    assert np.max(weights) == np.float32(high)
