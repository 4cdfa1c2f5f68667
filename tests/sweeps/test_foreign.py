"""Sweeps over parts of a user's own, written with public names only."""

import dataclasses
import typing

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import QUICK

import spectral_sim as ss
from spectral_sim import Observation
from spectral_sim.dynamics import AbstractDynamics
from spectral_sim.problems import AbstractProblem
from spectral_sim.schedules import AbstractStage
from spectral_sim.sweeps import AbstractMetric, Local, StoreError, Variable, open_table

QUICKLY = Local(QUICK)
TIMES = ss.log_times(0.1, 10.0, 5)


class Decay(AbstractProblem):
    """Two things that are learnt at rates of their own; `alpha` and `beta` are plain fields here."""

    alpha: jnp.ndarray = eqx.field(converter=jnp.asarray)
    beta: jnp.ndarray = eqx.field(converter=jnp.asarray)

    @property
    def mass(self):
        return jnp.full(2, 0.5, self.dtype)

    @property
    def dtype(self):
        return self.alpha.dtype

    def initial_loss(self):
        return self.training_loss(jnp.stack([self.beta, self.beta]))

    def training_loss(self, energy):
        return jnp.sum(energy) / 2

    def default_dynamics(self):
        return Fading(1.0)


class Fading(AbstractDynamics):
    """Energy fades at rate alpha of the dynamics times that of the problem."""

    alpha: jnp.ndarray = eqx.field(converter=jnp.asarray)
    shape: typing.Any = eqx.field(static=True, default=None)

    def init(self, problem):
        return jnp.stack([problem.beta, problem.beta])

    def advance(self, problem, state, weights, duration, key):
        rate = self.alpha if self.shape is None else self.alpha * self.shape(0)
        return state * jnp.exp(-2 * rate * problem.alpha * weights * duration)

    def observe(self, problem, state, time):
        return Observation(
            time=time, energy=state, log_energy=jnp.log(state), loss=problem.training_loss(state), state=state
        )


@ss.register
class TiltTo(AbstractStage):
    """More weight on the first of two."""

    share: jnp.ndarray = eqx.field(converter=jnp.asarray)
    kind: typing.ClassVar = "allocate"
    closed_loop: typing.ClassVar = False

    def __call__(self, signal, observation, state):
        return jnp.stack([2 * self.share, 2 - 2 * self.share]), state


@ss.register
@dataclasses.dataclass(frozen=True)
class FirstDrop(AbstractMetric):
    """`first_drop`: the loss at the first refresh over that at the start, scaled."""

    scale: float = 1.0

    def variables(self, times):
        return {"first_drop": Variable("loss at the first refresh over the initial one")}

    def __call__(self, run):
        return {"first_drop": self.scale * run.loss[1] / run.loss[0]}


PROBLEM = Decay(np.float64(0.7), np.float64(3.0))


def expected(share=0.5, rate=1.0, alpha=0.7, beta=3.0, time=TIMES[-1]):
    weights = np.array([2 * share, 2 - 2 * share])
    return np.sum(beta * np.exp(-2 * rate * alpha * weights * time)) / 2


def run(values, metrics=("final_loss", "FirstDrop"), **options):
    options = {"dynamics": Fading(np.float64(1.0)), "engine": QUICKLY, **options}
    return ss.sweep(PROBLEM, ss.grid(TiltTo(np.float64(0.5)), **values), TIMES, metrics=list(metrics), **options)


@pytest.mark.parametrize(
    ("path", "values", "name"),
    [
        ("TiltTo.share", [0.25, 0.75, 1.0], "share"),
        ("share", [0.25, 0.75, 1.0], "share"),
        ("dynamics.alpha", [0.5, 2.0], "rate"),
        ("problem.alpha", [0.3, 0.9], "alpha"),
        ("problem.beta", [0.5, 1.0], "beta"),
    ],
)
def test_every_number_of_a_foreign_part_can_be_swept(path, values, name, tmp_path):
    """A field that is called `alpha` is that field, whatever a power law calls so."""
    table = run({path: values}, store=tmp_path / "store")
    np.testing.assert_allclose(table.final_loss, [expected(**{name: value}) for value in values], rtol=1e-12)
    first = [expected(**{name: v}, time=TIMES[1]) / expected(**{name: v}, time=0.0) for v in values]
    np.testing.assert_allclose(table.first_drop, first, rtol=1e-12)
    column = table["TiltTo.share" if name == "share" else path]
    np.testing.assert_array_equal(column, values)
    assert open_table(tmp_path / "store").attrs["complete"] == 1


def test_unknown_numbers_and_names_are_told_apart():
    with pytest.raises(ValueError, match=r"'problem.gamma' is no array of this Decay.*problem\.(alpha|beta)"):
        run({"problem.gamma": [1.0, 2.0]})
    with pytest.raises(ValueError, match=r"'dynamics.beta' is no array of this Fading"):
        run({"dynamics.beta": [1.0, 2.0]})
    with pytest.raises(ValueError, match=r"'NotThere' is not known\..*decorated with @register"):
        run({"share": [0.5]}, metrics=["NotThere"])


@ss.register
class Bare(TiltTo):
    """A rule with a number that its class does not convert."""

    lean: float = 0.5


class BareFading(Fading):
    lean: float = 0.5


def test_a_python_number_is_told_how_to_become_an_array():
    fix = r"lean' is a Python number, .*: declare lean in Bare.* with eqx.field\(converter=jnp.asarray\)"
    for path in ("lean", "Bare.lean"):
        with pytest.raises(ValueError, match=fix):
            ss.grid(Bare(np.float64(0.5)), **{path: [0.1, 0.2]})
    with pytest.raises(ValueError, match=fix):
        run({"dynamics.lean": [0.1, 0.2]}, dynamics=BareFading(np.float64(1.0)))


@dataclasses.dataclass(frozen=True)
class Unlike(AbstractMetric):
    """A metric that does not return what it announces."""

    kind: str = "names"

    def variables(self, times):
        return {"pair": Variable("two numbers", ("part",), {"part": np.arange(2.0)})}

    def __call__(self, run):
        return {"names": {"other": run.loss[:2]}, "shape": {"pair": run.loss[:3]}, "type": run.loss}[self.kind]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("names", r"Unlike announces \['pair'\] and returns \['other'\]: return a dict"),
        ("type", r"Unlike announces \['pair'\] and returns \w*Tracer: return a dict"),
        ("shape", r"Unlike: 'pair' has shape \(3,\) and was announced with the axes \(part=2\): return that shape"),
    ],
)
def test_a_metric_that_breaks_its_word_is_named_before_the_sweep(kind, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        run({"share": [0.25, 0.75]}, metrics=[Unlike(kind)], store=tmp_path / "store")
    assert not [file for file in (tmp_path / "store").rglob("*") if "lock" not in file.name]


def closed_over(value):
    return lambda step: value


VARIED = {
    "schedule of optax": lambda value: {"dynamics": Fading(np.float64(1.0), optax.constant_schedule(value))},
    "closure": lambda value: {"dynamics": Fading(np.float64(1.0), closed_over(value))},
    "metric": lambda value: {"metrics": [FirstDrop(value)]},
}


@pytest.mark.parametrize("kind", VARIED)
def test_what_a_part_closes_over_tells_sweeps_apart(kind, tmp_path):
    """Functions of one name with other numbers inside are not the same sweep."""
    make, store = VARIED[kind], tmp_path / "store"
    table = run({"share": [0.25, 0.5]}, **make(1.0), store=store).load()
    with pytest.raises(StoreError, match=r"holds another sweep .* is 1.0 there and 2.0 here"):
        run({"share": [0.25, 0.5]}, **make(2.0), store=store)
    states = []
    again = run({"share": [0.25, 0.5]}, **make(1.0), store=store, progress=states.append)
    assert states[0].resumed == 2
    assert again.equals(table)


def test_a_batch_schedule_is_part_of_what_a_sweep_is(tmp_path):
    problem, steps = ss.power_law(alpha=2.0, beta=2.0, num_modes=32), np.arange(0, 65, 8)
    spec = ss.grid(ss.power_tilt(0.5, cutoff=30.0), exponent=[0.0, 0.5])

    def swept(batch, store):
        schedule = optax.piecewise_constant_schedule(batch, {1000: 0.5})
        dynamics = ss.SGDMoments(learning_rate=0.05, batch_size=schedule, noise_variance=1.0)
        return ss.sweep(problem, spec, steps, metrics=["final_loss"], dynamics=dynamics, store=store, engine=QUICKLY)

    one = swept(1.0, tmp_path / "store").load()
    with pytest.raises(StoreError, match=r"batch_size\.closure\.init_value is 1.0 there and 64.0 here"):
        swept(64.0, tmp_path / "store")
    np.testing.assert_array_equal(swept(1.0, tmp_path / "store").final_loss, one.final_loss)
    assert np.all(swept(64.0, None).final_loss < one.final_loss)


def test_a_function_that_cannot_be_told_is_refused_before_any_work():
    dynamics = Fading(np.float64(1.0), closed_over(iter([1.0])))
    seen = []
    with pytest.raises(TypeError, match=r"dynamics.shape.value is <list_iterator.*give an equinox Module"):
        run({"share": [0.5]}, dynamics=dynamics, progress=seen.append)
    assert not seen
