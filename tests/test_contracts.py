"""What every shipped stage and every dynamics owes the loop, checked over the registry."""

import functools

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from helpers import DATA_KINDS, EXAMPLES, KINDS, QUICK, disturbed, example, leaf_values, make_problem, quickly, stage_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import spectral_sim as ss
from spectral_sim.schedules import STAGES, difficulty, leverage, stage_at, stage_name
from spectral_sim.testing import check_stage

TIMES = ss.log_times(0.1, 30.0, 6)
KEY = jax.random.key(5)
ADMITTED = [(name, kind) for name in EXAMPLES for kind in KINDS if kind not in EXAMPLES[name].refused]
ON_MODES = [
    (name, "modal")
    for name in (
        "band_limit",
        "curriculum",
        "frontier_band",
        "hard_pruning",
        "power_tilt",
        "shell_average",
        "water_filling",
    )
]
# Every stage meets modes, groups and one of the other kinds with every change; the rest of them in the nightly tests.
_TURNS = tuple(kind for kind in KINDS if kind not in ("modal", "grouped"))
BY_TURNS = [
    pytest.param(name, kind, marks=[pytest.mark.slow] if kind in _TURNS and kind != _TURNS[turn % 3] else [])
    for turn, name in enumerate(EXAMPLES)
    for kind in KINDS
    if (name, kind) in ADMITTED
]
TUNABLE = [name for name in EXAMPLES if EXAMPLES[name].leaves]


def key_for(schedule):
    return KEY if schedule.needs_key else None


def record(observation, weights):
    return weights, observation.energy


def lower_bound(problem):
    """The proven bound on the training or held-out loss of every schedule."""
    bound = ss.ideal_oracle if isinstance(problem, ss.ModalProblem) else ss.bounds.speed_limit
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
    assert {stage_of(name) for name in EXAMPLES} == set(STAGES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_registry_names_and_leaves(name):
    """The registry is spelt as the constructors are, and every hyperparameter that is an array is in the table."""
    own = stage_of(name)
    stage = stage_at(example(name, make_problem("modal")), own)
    assert type(stage) is STAGES[own]
    assert stage_name(stage) == own
    assert getattr(ss.schedules, own) is STAGES[own]
    arrays = {field for field in stage.__dataclass_fields__ if eqx.is_array(getattr(stage, field))}
    assert arrays >= set(EXAMPLES[name].leaves)
    every = {leaf for other in EXAMPLES if stage_of(other) == own for leaf in EXAMPLES[other].leaves}
    assert arrays <= every


def variants(name, problem, forms=(lambda x: x, np.asarray, jnp.asarray)):
    """The other values of every hyperparameter, given in each form."""
    leaves = leaf_values(name, problem)
    base = {leaf: values[0] for leaf, values in leaves.items()}
    others = [(leaf, value) for leaf, values in leaves.items() for value in values[1:]]
    return [EXAMPLES[name].build(**base | {leaf: form(value)}) for leaf, value in others for form in forms]


@pytest.mark.parametrize(("name", "kind"), BY_TURNS)
def test_contract(name, kind):
    """One compiled run serves every check of one stage on one kind of problem.

    In a batch, and without jit, once on modes and once on examples, where that is another computation.
    """
    problem, on_examples = make_problem(kind), "modal" in EXAMPLES[name].refused
    parts = ["run"]
    if kind == "modal" or (kind == "grouped" and (name in TUNABLE or on_examples)):
        parts.append("batches")
    if kind == "modal" or (kind == "grouped" and on_examples):
        parts.append("eager")
    options = {"variants": variants(name, problem), "other": disturbed(problem)}
    check_stage(example(name, problem), problem, TIMES, parts=parts, **options)


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n in EXAMPLES for k in EXAMPLES[n].refused])
def test_refusals(name, kind):
    problem = make_problem(kind)
    words = (
        r"(asks for per-mode weights.*or problems\.modal_view|has a spectrum, but the problem is reweighted by example)"
    )
    words = words if kind in DATA_KINDS else "scores examples by their"
    with pytest.raises(ValueError, match=f"{stage_of(name)} {words}"):
        ss.simulate(problem, example(name, problem), TIMES)


@pytest.mark.parametrize("name", [n for n in EXAMPLES if STAGES[stage_of(n)].needs_key])
def test_random_stages_need_a_key(name):
    problem = make_problem("modal")
    schedule = example(name, problem)
    with pytest.raises(ValueError, match=r"pass simulate\(key="):
        ss.simulate(problem, schedule, TIMES)
    stage = stage_at(schedule, name)
    seen = observe(problem)
    with pytest.raises(ValueError, match=rf"{name} draws random numbers: pass simulate\(key="):
        stage(seen.energy, seen, stage.init(problem))


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


# on modes where that is another computation than on examples
@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, k in ADMITTED if k == "grouped" or (n, k) in ON_MODES])
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
    chained = [ss.lag(2.0), ss.schedules.add_noise(0.3), ss.proportional(0.7), ss.clip(0.2, 3.0), ss.smooth(1.0)]
    with jax.enable_x64(False):
        problem = make_problem.__wrapped__(kind, np.float32)
        run = ss.simulate(problem, ss.chain(*chained), TIMES, save=ss.save_summary, key=KEY)
    chex.assert_type(jax.tree.leaves((run.times, run.loss, run.saved)), jnp.float32)
    assert run.status == ss.Status.OK


@pytest.mark.parametrize("name", TUNABLE)
def test_constant_table_equals_plain_value(name):
    """Every inexact hyperparameter may be a `PerRefresh` table by itself."""
    problem = make_problem("operator" if "modal" in EXAMPLES[name].refused else "modal")
    plain = {leaf: values[0] for leaf, values in leaf_values(name, problem).items()}
    tables = {
        leaf: ss.PerRefresh(jnp.stack([jnp.asarray(value)] * len(TIMES)))
        for leaf, value in plain.items()
        if leaf != "seed"
    }
    schedules = [EXAMPLES[name].build(**plain | {leaf: table}) for leaf, table in tables.items()]
    key = key_for(schedules[0])
    run = lambda schedule: ss.simulate(problem, schedule, TIMES, key=key).loss
    expected, *tabled = quickly(lambda: [run(each) for each in (EXAMPLES[name].build(**plain), *schedules)])
    for leaf, loss in zip(tables, tabled, strict=True):
        np.testing.assert_allclose(loss, expected, rtol=1e-13, err_msg=leaf)


WITH_SLOPE = [n for n in TUNABLE if set(EXAMPLES[n].leaves) - set(EXAMPLES[n].flat)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [(n, k) for n, k in ADMITTED if (k == "modal" and n in TUNABLE) or (k == "operator" and n in WITH_SLOPE)],
)
def test_gradients(name, kind):
    """Reverse mode against forward mode and central differences, through a whole run, where the slope is not tiny."""
    problem, flat = make_problem(kind), EXAMPLES[name].flat
    sloped = {leaf: leaf not in flat for leaf in leaf_values(name, problem)}
    check_stage(example(name, problem), problem, TIMES, parts=["gradients"], sloped=sloped)


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_caps_hold_at_the_end_of_a_run(dtype):
    """The driver's own normalisation must not scale a weight past its cap because a long sum was rounded."""
    rng = np.random.default_rng(0)
    eigenvalues = np.sort(rng.uniform(1, 2, 20_000).astype(dtype))[::-1]
    problem = ss.ModalProblem(eigenvalues, rng.exponential(size=20_000).astype(dtype) ** 3)
    caps = jnp.geomspace(1.2, 30.0, 40, dtype=dtype)

    def run(high):
        schedule = ss.chain(ss.proportional(1.0), ss.clip(0.1, high))
        return ss.simulate(problem, schedule, np.array([0.0, 1.0]), save=ss.save_weights).saved

    weights = np.asarray(quickly(lambda: jax.vmap(run)(caps)))
    np.testing.assert_array_equal(weights.max(axis=(1, 2)), caps)


# What each stage does, against NumPy -------------------------------------------------------------------------------


def play(stage, problem, times, signals, key=None):
    """What a stage answers when it is shown a given signal at each refresh, outside a run."""
    state, answers = stage.init(problem), []
    durations = np.append(np.diff(times), 1.0)
    for n, (time, duration, signal) in enumerate(zip(times, durations, signals, strict=True)):
        folded = None if key is None else jax.random.fold_in(key, n)
        seen = observe(problem, jnp.asarray(signal), n, time, duration, folded)
        answer, state = stage(jnp.asarray(signal), seen, state)
        answers.append(np.asarray(answer))
    return np.stack(answers)


PLAIN = {"eigenvalues": np.arange(1.0, 7.0) ** -1.5, "energies": np.array([3.0, 1.0, 0.5, 2.0, 0.1, 0.7])}


def plain_problem():
    return ss.ModalProblem(PLAIN["eigenvalues"], PLAIN["energies"])


def decays(times):
    return PLAIN["energies"] * np.exp(-2 * np.outer(times, PLAIN["eigenvalues"]))


def test_lag_is_a_first_order_filter():
    """s' = (x - s) / tau for x = exp(-a t): s = (exp(-a t) - a tau exp(-t / tau)) / (1 - a tau)."""
    tau, a = 0.7, 2 * PLAIN["eigenvalues"]
    errors = []
    for steps in (400, 800):
        times = np.linspace(0.0, 2.0, steps + 1)
        exact = np.exp(-a * times[-1]) - a * tau * np.exp(-times[-1] / tau)
        seen = play(ss.lag(tau), plain_problem(), times, decays(times))[-1]
        errors.append(np.abs(seen - PLAIN["energies"] * exact / (1 - a * tau)).max())
    assert errors[0] < 5e-3
    assert errors[1] < 0.55 * errors[0]


def test_lag_does_not_depend_on_refreshes_that_show_nothing_new():
    """A signal that steps once: the answer depends on the time since, not on how many refreshes lie in between."""
    for times in ([0.0, 1.0, 4.0], [0.0, 1.0, 1.5, 2.0, 3.9, 4.0]):
        signals = [np.ones(6)] + [np.full(6, 3.0)] * (len(times) - 1)
        # at t = 1 the new value is credited with the whole interval before it
        expected = 3 - 2 * np.exp(-4.0 / 2.5)
        np.testing.assert_allclose(play(ss.lag(2.5), plain_problem(), times, signals)[-1], expected, rtol=1e-14)


@pytest.mark.parametrize("tau", [0.0, 0.3, 2.0, 50.0])
@pytest.mark.parametrize("slots", [1, 8])
def test_delay_shows_the_past(tau, slots):
    """Energies that decay exponentially are interpolated exactly, on any grid, dense or coarse beside the delay."""
    grids = np.linspace(0, 5, 60), ss.log_times(0.01, 20.0, 23), np.array([0.0, 0.1, 3.0, 3.2, 9.0])
    for times in grids:
        seen = play(ss.delay(tau, slots=slots), plain_problem(), times, decays(times))
        np.testing.assert_allclose(seen, decays(np.maximum(times - tau, 0)), rtol=1e-11)


def test_stale_scores_once_per_period():
    times = np.array([0.0, 0.4, 0.9, 1.0, 1.7, 2.1, 2.2, 5.0, 5.5])
    scored_at = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 2.1, 2.1, 5.0, 5.0])  # at the first refresh a period after the last
    np.testing.assert_array_equal(play(ss.stale(1.0), plain_problem(), times, decays(times)), decays(scored_at))
    # a period that fits the grid does not slip because times are rounded
    times = np.linspace(0, 3.0, 31)
    seen = play(ss.stale(0.3), plain_problem(), times, decays(times))
    np.testing.assert_array_equal(seen, decays(times[(np.arange(31) // 3) * 3]))


def test_subsample_keeps_the_last_score():
    problem = ss.power_law(2.0, 2.0, num_modes=2000)
    signals = np.arange(1.0, 6.0)[:, None] * np.ones(2000)
    seen = play(ss.schedules.subsample(0.3), problem, np.arange(5.0), signals, KEY)
    np.testing.assert_array_equal(seen[0], signals[0])  # everything is scored once
    fresh = seen[1:] == signals[1:]
    np.testing.assert_array_equal(seen[1:][~fresh], seen[:-1][~fresh])
    np.testing.assert_allclose(fresh.mean(axis=1), 0.3, atol=0.04)  # 4 standard errors
    assert abs(np.mean(fresh[0] & fresh[1]) - 0.09) < 0.03


def test_noise_has_mean_one_whatever_its_width():
    problem = ss.power_law(2.0, 2.0, num_modes=20_000)
    factor = play(ss.schedules.add_noise(0.8), problem, [0.0], [np.ones(20_000)], KEY)[0]
    assert factor.mean() == pytest.approx(1.0, abs=0.03)
    assert np.log(factor).std() == pytest.approx(0.8, rel=0.03)


def test_shell_averages():
    problem = ss.ModalProblem(np.arange(1.0, 9.0) ** -1.0, np.arange(1.0, 9.0), np.array([1, 1, 1, 1, 2, 2, 3, 4.0]))
    signal = np.array([8.0, 1.0, 3.0, 5.0, 2.0, 4.0, 9.0, 1.0])
    index, count = np.asarray(problem.index), np.asarray(problem.multiplicity)
    shell = np.floor(4 * np.log(index) / np.log(index[-1] + 0.5)).astype(int)
    assert len(set(shell)) > 2
    expected = (np.bincount(shell, count * signal) / np.bincount(shell, count))[shell]
    np.testing.assert_allclose(play(ss.shell_average(4), problem, [0.0], [signal])[0], expected, rtol=1e-14)
    # examples are bucketed by what they score: quarters of eight, by rank
    examples = ss.OperatorProblem(np.eye(8), np.arange(8.0))
    rank = np.argsort(np.argsort(signal, kind="stable"))
    expected = (np.bincount(rank // 2, signal) / 2)[rank // 2]
    np.testing.assert_allclose(play(ss.shell_average(4), examples, [0.0], [signal])[0], expected, rtol=1e-14)


def test_rules():
    """Scores of each allocate stage, up to a constant."""
    problem, signal = plain_problem(), np.array([3.0, 1.0, 0.0, 2.0, 0.1, 0.7])
    mass = PLAIN["eigenvalues"] / PLAIN["eigenvalues"].sum()
    with np.errstate(divide="ignore"):
        depth = np.log(signal / 3.0)
    cases = [
        (ss.proportional(1.7), signal**1.7),
        (ss.proportional(0.0), signal > 0),  # what shows no residual gets no weight, at any power
        (ss.proportional(-0.5), np.where(signal > 0, np.maximum(signal, 1e-9) ** -0.5, 0)),
        (ss.schedules.greedy(), signal == 3.0),
        (ss.schedules.frontier_band(1.5), np.maximum(depth + 1.5, 0) / PLAIN["eigenvalues"]),
        (ss.softmax(0.4), np.exp(signal / (0.4 * (mass @ signal)))),
        (ss.chain(ss.schedules.band_limit(3.5), ss.proportional(1.0)), signal * [1, 1, 1, 0, 0, 0]),
        (ss.power_tilt(0.6), PLAIN["eigenvalues"] ** -0.6),
        (ss.power_tilt(0.6, cutoff=3.0), np.minimum(np.arange(1.0, 7.0), 3.0) ** 0.9),
        (ss.uniform(), np.ones(6)),
        (ss.static_weights(signal), signal),
    ]
    for stage, score in cases:
        answer = play(stage, problem, [0.0], [signal])[0]
        np.testing.assert_allclose(answer / answer.sum(), score / score.sum(), rtol=1e-12, err_msg=str(stage))


@pytest.mark.parametrize("seed", range(4))
def test_top_fraction_keeps_the_least_that_suffices(seed):
    rng = np.random.default_rng(seed)
    mass = rng.uniform(0.2, 1.0, 20)
    problem = ss.OperatorProblem(np.eye(20), np.arange(20.0), mass=mass)
    signal = 10.0 ** rng.uniform(-300, 300, 20) if seed else rng.integers(0, 4, 20).astype(float)
    for fraction in (0.01, 0.3, 0.77, 1.0):
        kept = play(ss.top_fraction(fraction), problem, [0.0], [signal])[0] > 0
        share = mass / mass.sum()
        assert share[kept].sum() >= fraction * (1 - 1e-12)
        threshold = signal[kept].min()
        np.testing.assert_array_equal(kept, signal >= threshold)  # ties are kept together
        assert share[signal > threshold].sum() < fraction


def probe_errors(problem):
    """Squared residuals of a ridge regression whose penalty is the mean eigenvalue, and its leverages."""
    features, targets, mass = (np.asarray(x) for x in (problem.features, problem.targets, problem.example_mass))
    covariance = features.T @ (mass[:, None] * features)
    ridged = covariance + np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    fit = np.linalg.solve(ridged, features.T @ (mass[:, None] * targets))
    leverage = np.einsum("ik,kl,il->i", features, np.linalg.inv(ridged), features)
    return np.sum((targets - features @ fit) ** 2, axis=1), leverage


@pytest.mark.parametrize("kind", ["operator", "grouped"])
def test_difficulty_and_leverage(kind):
    problem = make_problem(kind)
    for ours, examples in zip((difficulty(problem), leverage(problem)), probe_errors(problem), strict=True):
        if kind == "grouped":
            mass, groups = np.asarray(problem.example_mass), np.asarray(problem.groups)
            examples = np.bincount(groups, mass * examples) / np.bincount(groups, mass)
        np.testing.assert_allclose(ours, examples, rtol=1e-10)


def test_pruning_and_curricula_go_by_difficulty():
    problem = make_problem("operator")  # twelve examples of equal mass
    order = np.argsort(probe_errors(problem)[0])
    signal = [np.ones(12)]

    def kept(stage, time=0.0):
        """The examples that are kept whole; one at the border has what is left of the fraction."""
        weights = np.asarray(play(stage, problem, [time], signal)[0])
        return set(np.flatnonzero(weights >= (1 - 1e-9) * weights.max()))

    assert kept(ss.hard_pruning(0.25)) == set(order[-3:])
    assert kept(ss.hard_pruning(0.25, keep="easy")) == set(order[:3])
    assert kept(ss.hard_pruning(0.01)) == {order[-1]}  # never nothing
    assert kept(ss.hard_pruning(1.0)) == set(range(12))
    # modes: the first are the easiest, and the fraction is of their mass
    mass = PLAIN["eigenvalues"] / PLAIN["eigenvalues"].sum()
    easy = play(ss.hard_pruning(0.8, keep="easy"), plain_problem(), [0.0], [np.ones(6)])[0]
    full = np.cumsum(mass) <= 0.8
    expected = np.where(full, 1.0, 0.0)
    expected[full.sum()] = (0.8 - mass[full].sum()) / mass[full.sum()]  # the one at the border gets what is left
    np.testing.assert_allclose(easy / (mass @ easy), expected / 0.8, rtol=1e-12, atol=1e-15)
    draws = [kept(ss.schedules.random_pruning(0.5, seed=seed)) for seed in range(6)]
    assert {len(draw) for draw in draws} == {6}
    assert len({frozenset(draw) for draw in draws}) > 3
    # the pool at a third of the way, from a quarter of the mass to all of it
    pools = {"linear": 6, "root": 7, "step": 5}  # 0.25 + 0.75 / 3, sqrt(0.0625 + 0.9375 / 3), one step of four
    for pacing, size in pools.items():
        stage = ss.curriculum(9.0, start=0.25, pacing=pacing)
        assert kept(stage, 3.0) == set(order[:size]), pacing
        assert kept(stage, 0.0) == set(order[:3]), pacing
        assert kept(stage, 9.0) == set(range(12)), pacing
    reverse = ss.curriculum(9.0, start=0.25, order="hard_to_easy")
    assert kept(reverse, 3.0) == set(order[-6:])


def test_scores_given_by_hand():
    """Examples of one score share their weight, the order is that of the score, and infinity is the hardest of all."""
    problem = make_problem("operator")
    score = np.array([3.0, 1, 1, 1, 0, 5, np.inf, 2, 2, 4, 7, 6])
    hard = play(ss.hard_pruning(0.25, score=score), problem, [0.0], [np.ones(12)])[0]
    np.testing.assert_array_equal(np.flatnonzero(hard), [6, 10, 11])
    easy = play(ss.hard_pruning(1 / 6, keep="easy", score=score), problem, [0.0], [np.ones(12)])[0]
    np.testing.assert_allclose(easy, np.where(score == 1, 1 / 3, score == 0), rtol=1e-12)
    stage = ss.curriculum(8.0, start=1 / 12, order="hard_to_easy", score=score)
    pool = play(stage, problem, [0.0, 8 / 11, 8.0], np.ones((3, 12)))
    np.testing.assert_allclose(pool, [score == np.inf, score >= 7, np.ones(12)], atol=1e-12)
    for short in (ss.curriculum(8.0, score=score[:5]), ss.hard_pruning(0.5, score=score[:5]), ss.excess(score[:5])):
        with pytest.raises(ValueError, match=r"of shape \(5,\), but the problem is reweighted by 12 weights"):
            ss.simulate(problem, short, TIMES)


def test_excess_is_what_the_reference_gets_right():
    """Energies are twice the losses; where nothing is in excess, weights are uniform."""
    problem, reference = make_problem("operator"), np.linspace(0.0, 1.0, 12)
    signals = np.stack([np.linspace(2.0, 1.0, 12), np.zeros(12)])
    seen = play(ss.excess(reference), problem, [0.0, 1.0], signals)
    np.testing.assert_allclose(seen, [np.maximum(signals[0] - 2 * reference, 0), np.ones(12)], rtol=1e-14)


def test_forgetting_counts_what_goes_from_right_to_wrong():
    """Against a count in NumPy, with the answers of a learner, and by a threshold where it gives none."""
    problem = make_problem("operator")
    right = np.random.default_rng(0).random((7, 12)) < 0.5
    right[:, 0] = False
    stage = ss.schedules.forgetting(0.5)
    for told in (True, False):
        state = stage.init(problem)
        for n in range(7):
            seen = observe(problem, jnp.ones(12), n)
            seen = (
                seen.replace(correct=jnp.asarray(right[n], float))
                if told
                else seen.replace(energy=jnp.where(right[n], 0.4, 0.6))
            )
            answer, state = stage(jnp.ones(12), seen, state)
            count = np.sum(right[: n + 1][:-1] & ~right[: n + 1][1:], axis=0)
            np.testing.assert_array_equal(answer, np.where(right[: n + 1].any(axis=0), count, n + 1))


# What they refuse ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ss.lag(-1.0), r"tau is -1: it must not be negative; give a time constant in units of time"),
        (lambda: ss.lag(np.nan), r"tau is nan: every entry must be finite"),
        (lambda: ss.smooth(-0.5), r"tau is -0\.5: it must not be negative; give a time constant"),
        (lambda: ss.delay(-2.0), r"tau is -2: it must not be negative; give a delay"),
        (lambda: ss.delay(1.0, slots=0), r"slots is 0: it must be positive; keep at least one snapshot"),
        (lambda: ss.stale(-1.0), r"period is -1: it must not be negative; give a period"),
        (
            lambda: ss.schedules.add_noise(-0.1),
            r"sigma is -0\.1: it must not be negative; give the standard deviation of the log",
        ),
        (lambda: ss.shell_average(0), r"num_shells is 0: it must be positive; give at least one shell"),
        (lambda: ss.schedules.band_limit(0.0), r"k_max is 0: it must be positive; give a mode number"),
        (lambda: ss.schedules.subsample(1.5), r"fraction is 1\.5: give a fraction in \(0, 1\]"),
        (lambda: ss.proportional(np.inf), r"power is inf: every entry must be finite; give a finite power"),
        (lambda: ss.schedules.frontier_band(0.0), r"width is 0: it must be positive; give a depth in e-folds"),
        (lambda: ss.softmax(0.0), r"temperature is 0: it must be positive"),
        (lambda: ss.top_fraction(0.0), r"fraction is 0: it must be positive; give a fraction in \(0, 1\]"),
        (lambda: ss.power_tilt(np.nan), r"exponent is nan: every entry must be finite; give a finite tilt"),
        (lambda: ss.power_tilt(0.5, cutoff=0.0), r"cutoff is 0: it must be positive; give a mode number"),
        (lambda: ss.schedules.random_pruning(-0.2), r"fraction is -0\.2: .*give a fraction in \(0, 1\]"),
        (lambda: ss.hard_pruning(1.01), r"fraction is 1\.01: give a fraction in \(0, 1\]"),
        (
            lambda: ss.hard_pruning(0.5, keep="hrad"),
            r"keep='hrad' is not known\. Did you mean 'hard'\? Valid: easy, hard",
        ),
        (lambda: ss.curriculum(0.0), r"end is 0: it must be positive; give the time at which the pool is complete"),
        (lambda: ss.curriculum(1.0, start=0.0), r"start is 0: .*give a fraction in \(0, 1\]"),
        (
            lambda: ss.curriculum(1.0, order="easy_hard"),
            r"order='easy_hard' is not known\. Did you mean 'easy_to_hard'",
        ),
        (
            lambda: ss.curriculum(1.0, pacing="linaer"),
            r"pacing='linaer' is not known\. Did you mean 'linear'\? Valid: l",
        ),
        (lambda: ss.curriculum(1.0, steps=0), r"steps is 0: it must be positive; give at least one step"),
        (lambda: ss.curriculum(1.0, score=[1.0, np.nan]), r"score\[1\] is nan: give a number, or inf for the hardest"),
        (lambda: ss.hard_pruning(0.5, score_cost=-1.0), r"score_cost is -1: it must not be negative; give what the sc"),
        (lambda: ss.excess([0.2, -0.1]), r"reference\[1\] is -0\.1: it must not be negative; give the loss of the ref"),
        (lambda: ss.schedules.forgetting(1.5), r"threshold is 1\.5: give a fraction in \(0, 1\]"),
        (lambda: ss.clip(-0.1, 2.0), r"low is -0\.1: it must not be negative"),
        (lambda: ss.clip(1.2, 2.0), r"clip\(low=1\.2, high=2\) admits no weights of mean one: choose low <= 1 <= high"),
        (lambda: ss.clip(0.1, 0.8), r"clip\(low=0\.1, high=0\.8\) admits no weights of mean one"),
        (lambda: ss.clip(0.1, np.inf), r"high is inf: every entry must be finite"),
        (lambda: ss.clip(0.1, ss.PerRefresh([2.0, 0.5])), r"clip\(low=0\.1, high=0\.5\) admits no weights of mean one"),
        (lambda: ss.mix(1.1), r"eps is 1\.1: give a share between 0 and 1"),
        (lambda: ss.mix(-0.1), r"eps is -0\.1: it must not be negative"),
        (lambda: ss.mix(ss.PerRefresh([0.1, 2.0])), r"eps\[1\] is 2: give a share between 0 and 1"),
        (lambda: ss.lag(ss.PerRefresh([1.0, 0.0, -3.0])), r"tau\[2\] is -3: it must not be negative"),
    ],
)
def test_bad_hyperparameters(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_chains():
    lag, rule, cap = ss.lag(1.0), ss.proportional(1.0), ss.clip(0.1, 3.0)
    assert ss.chain(rule) is rule
    nested = ss.chain(ss.chain(lag, rule), ss.chain(cap))
    assert [stage_name(stage) for stage in nested.stages] == ["lag", "proportional", "clip"]
    assert stage_at(nested, "clip") is cap
    assert stage_at(rule, "proportional") is rule
    with pytest.raises(
        ValueError, match=r"chain\(\) needs at least one stage; uniform\(\) is the schedule that changes"
    ):
        ss.chain()
    with pytest.raises(TypeError, match=r"chain\(\) argument 1 is 0\.5: give stages, such as proportional"):
        ss.chain(rule, 0.5)
    words = (
        r"lag \(observe\) stands after proportional \(allocate\), whose effect it would undo: put stages in the order"
    )
    with pytest.raises(ValueError, match=words):
        ss.chain(rule, lag)
    with pytest.raises(ValueError, match=r"proportional \(allocate\) stands after clip \(constrain\)"):
        ss.chain(cap, rule)
    with pytest.raises(
        KeyError, match=r"the schedule has no stage named 'lagg'\. Did you mean 'lag'\? Valid: clip, lag"
    ):
        stage_at(nested, "lagg")
    with pytest.raises(KeyError, match=r"the schedule has 2 stages named 'add_noise'"):
        stage_at(ss.chain(ss.schedules.add_noise(0.1), ss.schedules.add_noise(0.2), rule), "add_noise")


@pytest.mark.parametrize("name", [n for n in EXAMPLES if "operator" not in EXAMPLES[n].refused])
def test_no_stage_beats_the_speed_limit_on_the_torus(name):
    """On each basis; the three problems run as one batch."""
    problems = [ss.torus(2.0, 2.0, 16, basis) for basis in ("fourier", "haar", "random")]
    schedule, key = example(name, problems[0]), KEY
    arrays = jax.tree.map(lambda *x: jnp.stack(x), *problems)
    loss = quickly(lambda: jax.vmap(lambda problem: ss.simulate(problem, schedule, TIMES, key=key).loss)(arrays))
    for problem, curve in zip(problems, np.asarray(loss), strict=True):
        limit = lower_bound(problem)
        assert np.all(curve >= limit * (1 - 1e-12))
        assert limit[2] > 0.01 * limit[0]
