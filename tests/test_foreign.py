"""Classes that the library has never seen, a dozen lines each, through everything it does; and who asks for whom."""

import ast
import dataclasses
import inspect
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import spectral_sim as ss
from spectral_sim import dynamics, problems, schedules
from spectral_sim.assessment import Entry, run_assessment
from spectral_sim.report import report_html
from spectral_sim.sweeps import AbstractMetric, Variable
from spectral_sim.testing import check_dynamics, check_metric, check_objective, check_problem, check_stage

TIMES = ss.log_times(0.1, 20.0, 8)


class Springs(ss.AbstractProblem):
    """Displacements that relax at rates of their own, to a floor that no training removes."""

    rates: jax.Array
    displacements: jax.Array
    floor: jax.Array

    @property
    def mass(self):
        return jnp.full(self.rates.shape, 1 / self.rates.size, self.dtype)

    @property
    def dtype(self):
        return self.rates.dtype

    def initial_loss(self):
        return self.training_loss(self.displacements**2)

    def training_loss(self, energy):
        return self.floor + 0.5 * jnp.sum(self.mass * energy)

    def default_dynamics(self):
        return Relaxation(1.0)

    def lower_bound(self, times):
        still = self.displacements**2 * jnp.exp(-2 * self.rates * self.rates.size * jnp.asarray(times)[:, None])
        return ss.problems.Bound(jax.vmap(self.training_loss)(still), "all weight on each")


@ss.register
class Relaxation(ss.AbstractDynamics):
    """x' = -alpha rate w x, with a clock that is a Python number at the start."""

    alpha: jax.Array = eqx.field(converter=jnp.asarray)

    def init(self, problem):
        return problem.displacements, 0.0

    def advance(self, problem, state, weights, duration, key):
        return state[0] * jnp.exp(-self.alpha * problem.rates * weights * duration), state[1] + duration

    def observe(self, problem, state, time):
        energy = state[0] ** 2
        return ss.Observation(time, energy, jnp.log(energy), problem.training_loss(energy), state)


@ss.register
class Slowly(ss.AbstractStage):
    """Weights that turn from uniform to the residual; its state is a Python number."""

    kind = "allocate"
    pace: jax.Array = eqx.field(converter=jnp.asarray, default=0.5)

    def init(self, problem):
        return 0.0

    def __call__(self, signal, observation, state):
        share = -jnp.expm1(-self.pace * state)
        mean = jnp.sum(observation.mass * signal)
        return 1 - share + share * signal / mean, state + observation.duration


class MeanLoss(ss.learning.AbstractObjective):
    """The mean of the loss over the refreshes."""

    def check(self, times, floor):
        assert floor < 1e3

    def __call__(self, trajectory):
        return jnp.mean(trajectory.loss)


@ss.register
@dataclasses.dataclass(frozen=True)
class HalfTime(AbstractMetric):
    """The loss half way through."""

    def variables(self, times):
        return {"half_way": Variable("loss half way through")}

    def __call__(self, run):
        return {"half_way": run.loss[run.loss.shape[0] // 2]}


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    return Springs(jnp.asarray(np.geomspace(1.0, 0.05, 9)), jnp.asarray(rng.uniform(0.5, 2.0, 9)), jnp.asarray(0.01))


def test_every_check_passes_in_one_line(problem):
    check_problem(problem, TIMES)
    check_dynamics(Relaxation(0.7), problem, TIMES)
    check_stage(Slowly(0.4), problem, TIMES)
    check_objective(MeanLoss(), problem, TIMES)
    check_metric(HalfTime(), problem, TIMES)


def test_every_check_passes_under_dynamics_with_steps():
    class Stepped(ss.ModalProblem):
        def default_dynamics(self):
            return ss.SGDMoments(0.05, 4.0)

        def lower_bound(self, times):
            return None

    number = np.arange(1.0, 7.0)
    stepped = Stepped(number**-1.3, number**-1.6)
    check_stage(Slowly(0.4), stepped, parts=("run",))
    check_objective(ss.anytime_log_loss(), stepped)
    check_metric(HalfTime(), stepped)
    plain = ss.ModalProblem(number**-1.3, number**-1.6)
    check_stage(ss.proportional(0.5), plain, dynamics=ss.SGDMoments(0.05, 4.0), parts=("run",))
    check_objective(MeanLoss(), plain, dynamics=ss.SGDMoments(0.05, 4.0))
    check_metric(HalfTime(), plain, dynamics=ss.SGDMoments(0.05, 4.0))


def test_a_stage_is_checked_under_dynamics_that_draw():
    rng = np.random.default_rng(0)
    data = ss.OperatorProblem(rng.normal(size=(6, 3)), rng.normal(size=(6, 1)))
    check_stage(ss.proportional(0.5), data, dynamics=ss.PoolTraining(0.05, 2, 0.05), parts=("run",))


def test_simulate_against_the_closed_form(problem):
    """Uniform weights: every energy falls as exp(-2 rate t)."""
    run = ss.simulate(problem, ss.uniform(), TIMES)
    energy = np.asarray(problem.displacements) ** 2 * np.exp(-2 * np.outer(TIMES, problem.rates))
    np.testing.assert_allclose(run.loss, 0.01 + energy.mean(axis=1) / 2, rtol=1e-12)


def test_jit_vmap_and_grad(problem):
    loss = lambda pace: ss.simulate(problem, ss.chain(Slowly(pace), ss.clip(0.2, 4.0)), TIMES).loss[-1]
    paces = jnp.array([0.1, 1.0])
    together = jax.jit(jax.vmap(loss))(paces)
    np.testing.assert_allclose(together, [loss(pace) for pace in paces], rtol=1e-12)
    slope = jax.grad(loss)(0.5)
    np.testing.assert_allclose(slope, (loss(0.5 + 1e-5) - loss(0.5 - 1e-5)) / 2e-5, rtol=1e-6)
    assert abs(slope) > 1e-5


def test_learn_with_its_gap_and_save_and_load(problem, tmp_path):
    found = ss.learn(problem, Slowly(0.1), TIMES, objective=MeanLoss(), steps=8, optimizer=optax.adam(0.1))
    gap = found.gap[0]
    assert gap.kind == "all weight on each"
    assert 0 < gap.gap < gap.uniform - gap.optimum
    ss.learning.save_schedule(found.schedule, tmp_path / "found.json")
    loaded = ss.learning.load_schedule(tmp_path / "found.json")
    runs = [ss.simulate(problem, schedule, TIMES).loss for schedule in (found.schedule, loaded)]
    np.testing.assert_array_equal(*runs)


def test_a_problem_without_a_bound_leaves_the_gap_unstated():
    class Unbounded(Springs):
        def lower_bound(self, times):
            return None

    plain = Unbounded(jnp.array([1.0, 0.5]), jnp.array([1.0, 2.0]), jnp.asarray(0.0))
    found = ss.learn(plain, Slowly(0.1), TIMES, objective=MeanLoss(), steps=2)
    assert found.gap[0].kind is None
    assert found.gap[0].gap is None


def test_sweep_with_a_store_and_resume(problem, tmp_path):
    """Over leaves of the stage and of the dynamics, one of them called alpha."""
    spec = ss.grid(ss.chain(Slowly(), ss.clip(0.2, 4.0)), **{"Slowly.pace": [0.1, 1.0], "dynamics.alpha": [0.5, 1.0]})
    options = {"dynamics": Relaxation(1.0), "metrics": [HalfTime(), "final_loss", "speedup_net"], "chunk_size": 2}
    table = ss.sweep(problem, spec, TIMES, store=tmp_path / "sweep", **options)
    again = ss.sweep(problem, spec, TIMES, store=tmp_path / "sweep", resume=True, **options)
    assert table.equals(again)
    for row in range(4):
        point = table.isel(schedules=row)
        schedule = ss.chain(Slowly(float(point["Slowly.pace"])), ss.clip(0.2, 4.0))
        run = ss.simulate(problem, schedule, TIMES, dynamics=Relaxation(float(point["dynamics.alpha"])))
        np.testing.assert_allclose(point["half_way"], run.loss[len(TIMES) // 2], rtol=1e-12)


class Calendar(Slowly):
    """An open loop that says nothing of what it looks at."""

    closed_loop = False

    def __call__(self, signal, observation, state):
        return jnp.ones_like(signal) + observation.time, state


class Coached(Slowly):
    """A stage with a model of its own, trained for 3 beforehand and alongside at half the price."""

    kind = "observe"

    def __call__(self, signal, observation, state):
        return signal, state

    def training_cost(self, problem):
        return ss.schedules.TrainingCost(before=3.0, rate=0.5)


def test_nothing_of_a_users_is_free_that_does_not_say_so(problem):
    options = {"cost_per_example": 0.1}
    price = 0.9 * np.append(np.ones(len(TIMES) - 1), 0)  # nine weights, each taken for an example
    for schedule in (Slowly(), Calendar(), ss.chain(ss.stale(0.0), Slowly())):
        np.testing.assert_allclose(ss.analysis.curation_cost(problem, schedule, TIMES, **options).per_refresh, price)
    cost = ss.analysis.curation_cost(problem, ss.chain(Coached(), ss.proportional()), TIMES, **options)
    assert cost.fixed == 3.0
    np.testing.assert_allclose(cost.per_refresh, price + np.append(0.5 * np.diff(TIMES), 0), rtol=1e-12)
    assert not ss.analysis.curation_cost(problem, ss.uniform(), TIMES, **options).per_refresh.any()


def test_a_report(problem):
    entries = [Entry("slowly", Slowly(1.0)), Entry("clipped", ss.chain(ss.proportional(), ss.clip(0.2, 4.0)))]
    assessment = run_assessment("springs", problem, entries, TIMES)
    assert [run.status for run in assessment.runs] == [0, 0, 0]
    assert "all weight on each" in [curve.name for curve in assessment.bounds]
    page = report_html([assessment], title="springs")
    assert "slowly" in page
    assert "all weight on each" in page


# What is refused, and how ------------------------------------------------------------------------------------------


def test_what_is_left_out_is_named(problem):
    class NoKind(ss.AbstractStage):
        def __call__(self, signal, observation, state):
            return signal, state

    with pytest.raises(TypeError, match="kind"):
        NoKind()

    class Misspelt(NoKind):
        kind = "alocate"

    for build in (lambda: ss.chain(Misspelt(), ss.clip(0.1, 2.0)), lambda: ss.simulate(problem, Misspelt(), TIMES)):
        with pytest.raises(ValueError, match=r"Misspelt.kind='alocate' is not known. Did you mean 'allocate'"):
            build()

    class NoLoss(ss.AbstractProblem):
        mass = dtype = None

    with pytest.raises(TypeError, match="initial_loss"):
        NoLoss()


@pytest.mark.parametrize(
    ("first", "then"),
    [(0.0, lambda state: (state, state)), (jnp.zeros(2), lambda state: state[:1]), (0, lambda state: state + 0.5)],
)
def test_a_state_that_changes_is_shown_before_and_after(problem, first, then):
    class Changes(Slowly):
        def init(self, problem):
            return first

        def __call__(self, signal, observation, state):
            return signal, then(state)

    with pytest.raises(TypeError, match=r"state of Changes changes.*it was\n.*\nand became\n.*\nReturn the structure"):
        ss.simulate(problem, ss.chain(Changes(), ss.clip(0.1, 2.0)), TIMES)


def test_the_state_of_a_dynamics_that_changes_is_shown_too(problem):
    class Grows(Relaxation):
        def advance(self, problem, state, weights, duration, key):
            return (*super().advance(problem, state, weights, duration, key), 1.0)

    with pytest.raises(TypeError, match=r"state of Grows changes.*it was\n.*\nand became\n"):
        ss.simulate(problem, ss.uniform(), TIMES, dynamics=Grows(1.0))


def test_a_state_of_words_and_a_false_constant_are_refused(problem):
    class Words(Slowly):
        def init(self, problem):
            return {"mode": "fast"}

    with pytest.raises(TypeError, match=r"state of Words holds 'fast' at \['mode'\]"):
        ss.simulate(problem, Words(), TIMES)

    class NotConstant(Slowly):
        constants = True

    with pytest.raises(ValueError, match="NotConstant declares its state constant, but returns another array"):
        ss.simulate(problem, NotConstant(), TIMES)


def test_features_that_need_more_say_what(problem):
    with pytest.raises(
        ValueError, match=r"Springs does not say what is difficult: give the stage a score=.*or define difficulty\(\)"
    ):
        ss.simulate(problem, ss.hard_pruning(0.5), TIMES)
    with pytest.raises(ValueError, match=r"power_tilt asks for per-mode weights"):
        ss.simulate(problem, ss.power_tilt(0.5), TIMES)
    with pytest.raises(ValueError, match=r"teacher trains a second model.*define as_modal\(\) or as_operator\(\)"):
        ss.simulate(problem, ss.chain(ss.teacher(3.0), ss.proportional()), TIMES)
    with pytest.raises(TypeError, match=r"ideal_oracle needs modes, and Springs has none"):
        ss.ideal_oracle(problem, TIMES)


def test_a_stranger_may_lend_the_modes_of_another_problem(problem):
    """What asks for modes runs on any problem that has them."""
    inner = ss.power_law(2.0, 2.0, num_modes=9)

    class Lent(Springs):
        @property
        def mass(self):
            return inner.mass

        def as_modal(self):
            return inner

    lent = Lent(inner.eigenvalues, jnp.sqrt(inner.energies), jnp.asarray(0.0))
    weights = ss.simulate(lent, ss.power_tilt(0.5), TIMES, save=ss.save_weights).saved
    expected = ss.simulate(inner, ss.power_tilt(0.5), TIMES, save=ss.save_weights).saved
    np.testing.assert_allclose(weights, expected, rtol=1e-12)


# Who asks for whom -------------------------------------------------------------------------------------------------

ROOT = Path(inspect.getfile(ss)).parent
FAMILIES = {
    "problems": {n for n, c in vars(problems).items() if inspect.isclass(c) and issubclass(c, ss.AbstractProblem)},
    "dynamics": {n for n, c in vars(dynamics).items() if inspect.isclass(c) and issubclass(c, ss.AbstractDynamics)},
    "schedules": {n for n, c in vars(schedules).items() if inspect.isclass(c) and issubclass(c, ss.AbstractStage)},
}


MODULES = {*FAMILIES, "ss", "spectral_sim"}


def concrete_names_asked_for(source, part):
    """Concrete classes of other families in an isinstance, a match, a comparison, a table or a collection of names.

    A class is found by its bare name, as an attribute of its package, or in comparisons as the text that names it. What
    only raises a TypeError is the type of an argument, and may be concrete; keys that are texts name runs and cases.
    """
    tree = ast.parse(source)
    own = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    typed = [
        node.test.operand
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        and isinstance(node.test, ast.UnaryOp)
        and isinstance(node.body[0], ast.Raise)
        and "TypeError" in ast.unparse(node.body[0])
    ]
    foreign = {n for family, names in FAMILIES.items() if family != part for n in names if not n.startswith("Abstract")}
    found = []

    def name(node):
        if isinstance(node, ast.Name) and node.id in foreign - own:
            return node.id
        if isinstance(node, ast.Attribute) and node.attr in foreign and ast.unparse(node.value) in MODULES:
            return node.attr
        return None

    def text(node):  # "uniform" is what a run calls its yardstick, whatever that is
        return node.value if isinstance(node, ast.Constant) and node.value in foreign - {"uniform"} else None

    def names(*nodes):
        return {known for node in nodes for inner in ast.walk(node) if (known := name(inner))}

    def those(nodes):
        return {known for node in nodes if node is not None and (known := name(node) or text(node))}

    for node in ast.walk(tree):
        asked = set()
        if isinstance(node, ast.Call) and node not in typed and ast.unparse(node.func) in ("isinstance", "issubclass"):
            asked = names(node.args[1])
        elif isinstance(node, ast.MatchClass):
            asked = names(node.cls)
        elif isinstance(node, ast.MatchValue):
            asked = those([node.value])
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            asked = those(inner for side in sides for inner in getattr(side, "elts", [side]))
        elif isinstance(node, ast.Dict):
            asked = {known for key in node.keys if (known := name(key))}
        elif isinstance(node, ast.Tuple | ast.List | ast.Set) and not isinstance(
            getattr(node, "ctx", None), ast.Store | ast.Del
        ):
            asked = those(node.elts)
            asked = asked if len(asked) > 1 else set()
        found += [(node.lineno, name) for name in asked]
    return found


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ("isinstance(x, ModalProblem | int)", ["ModalProblem"]),
        ("isinstance(x, (int, problems.ModalProblem))", ["ModalProblem"]),
        ("KINDS = (teacher, complement)", ["complement", "teacher"]),
        ("KINDS = [schedules.teacher, ss.complement]", ["complement", "teacher"]),
        ("NAMES = {'teacher', 'complement'}", ["complement", "teacher"]),
        ("type(x) is SGDMoments", ["SGDMoments"]),
        ("dynamics.SGDMoments == type(x)", ["SGDMoments"]),
        ("type(x).__name__ == 'SGDMoments'", ["SGDMoments"]),
        ("type(x) in (SGDMoments, int)", ["SGDMoments"]),
        ("COSTS = {schedules.clip: 1}", ["clip"]),
        ("COSTS = {'clip': 1, 'mix': 2}", []),
        ("if not isinstance(x, ModalProblem): raise TypeError('give modes')", []),
        ("if not isinstance(x, ModalProblem): x = 2", ["ModalProblem"]),
        ("clip = x - 1\nif clip == 2: pass", []),
        ("entry = {'teacher': who, 'name': name}", []),
        ("match x:\n case ModalProblem(): pass", ["ModalProblem"]),
        ("match name:\n case 'clip': pass", ["clip"]),
        ("chain(clip(1, 2), schedules.clip(1, 2))", []),
        ("x.clip == 2", []),
    ],
)
def test_the_search_finds_what_it_looks_for(source, asked):
    assert sorted(name for _, name in concrete_names_asked_for(source, "report")) == asked


def test_a_family_may_ask_for_its_own_classes():
    assert concrete_names_asked_for("isinstance(x, ModalProblem)", "problems") == []


def test_no_module_outside_a_family_asks_for_its_classes():
    asked = {}
    for file in sorted(ROOT.rglob("*.py")):
        place = file.relative_to(ROOT)
        if file.name != "__init__.py" and (names := concrete_names_asked_for(file.read_text("utf-8"), place.parts[0])):
            asked[place.as_posix()] = names
    assert not asked, f"ask the part itself instead: {asked}"
