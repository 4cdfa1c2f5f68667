"""Schedules, searches and sampler weights on disk: what comes back is what was written, or a clear refusal."""

import json

import equinox as eqx
import jax
import numpy as np
import pyarrow.parquet
import pytest
from helpers import DATA_ONLY, EXAMPLES, example, make_problem

import spectral_sim as ss
from spectral_sim.learning._parameters import Parameters
from spectral_sim.learning._saved import _digest
from spectral_sim.schedules import stages_of

TIMES = ss.log_times(0.5, 50.0, 7)


def rewrite(path, **changes):
    """Change facts of a file and make its hash fit again, as only somebody who means to can."""
    facts = {**json.loads(path.read_text()), **changes}
    del facts["digest"]
    with np.load(path.with_suffix(".npz")) as file:
        digest = _digest(facts, dict(file))
    path.write_text(json.dumps({**facts, "digest": digest}))


@pytest.fixture(scope="module")
def found():
    problem = make_problem("grouped")
    table = ss.TableSchedule.create(problem, TIMES, cap=(0.1, 3.0), min_spacing=2.0)
    return ss.learn(
        problem, table, TIMES, objective=ss.terminal_log_loss(), steps=4, num_starts=2, key=jax.random.key(0)
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_stage_comes_back_exactly(name, tmp_path):
    problem = make_problem("operator" if EXAMPLES[name].refused == DATA_ONLY else "modal")
    schedule = example(name, problem)
    ss.learning.save_schedule(schedule, tmp_path / "schedule.json")
    assert eqx.tree_equal(ss.learning.load_schedule(tmp_path / "schedule.json"), schedule)


@pytest.mark.parametrize("name", EXAMPLES)
def test_whatever_a_search_makes_of_a_stage_can_be_loaded(name, tmp_path):
    """Free numbers far out on both sides: leaves are held to the range that the stage declares."""
    problem = make_problem("operator" if EXAMPLES[name].refused == DATA_ONLY else "modal")
    schedule = example(name, problem)
    assert all(hasattr(stage, field) for stage in stages_of(schedule) for field in stage.ranges)
    if not any(eqx.is_inexact_array(leaf) for leaf in jax.tree.leaves(schedule)):
        return
    parameters = Parameters.create(schedule, None, "schedule", None, None, TIMES)
    assert eqx.tree_equal(parameters.build(parameters.free(), TIMES)[0], schedule)
    for far in (-1e3, 1e3):
        built, _ = parameters.build([leaf + far for leaf in parameters.free()], TIMES)
        ss.learning.save_schedule(built, tmp_path / "schedule.json")
        assert eqx.tree_equal(ss.learning.load_schedule(tmp_path / "schedule.json"), built)


def test_a_leaf_at_the_end_of_its_range_is_learned():
    """A lower bound of zero is the end of its range: a search begins there, feels the slope and stays inside."""
    problem = make_problem("modal")
    start = ss.chain(ss.proportional(3.0), ss.clip(0.0, 4.0))
    found = ss.learn(problem, start, TIMES, objective=ss.terminal_log_loss(), steps=6, trainable="schedule.clip.low")
    low = float(ss.schedules.stage_at(found.schedule, "clip").low)
    assert 0.0 <= low <= 1.0
    assert np.isfinite(found.history).all()


@pytest.mark.parametrize("kind", ["policy", "table", "chain of tables"])
def test_learnable_schedules_come_back_exactly(kind, tmp_path):
    problem, key = make_problem("shells", np.float32), jax.random.key(3)
    table = ss.TableSchedule.create(problem, TIMES, num_basis=4, min_spacing=3.0, scale=1.0, key=key)
    varying = ss.chain(ss.proportional(ss.PerRefresh(np.linspace(0.5, 1.0, len(TIMES)))), ss.clip(0.1, 9.0))
    policy = ss.PolicySchedule.create(key, width=5, depth=2, drive=False)
    schedule = {"policy": policy, "table": table, "chain of tables": varying}[kind]
    ss.learning.save_schedule(schedule, tmp_path / "schedule.json")
    loaded = ss.learning.load_schedule(tmp_path / "schedule.json")
    assert eqx.tree_equal(loaded, schedule)
    np.testing.assert_array_equal(*(ss.simulate(problem, s, TIMES).loss for s in (loaded, schedule)))


def test_a_search_comes_back_exactly(found, tmp_path):
    found.save(tmp_path / "learned.json")
    loaded = ss.load_learned(tmp_path / "learned.json")
    assert eqx.tree_equal(loaded.schedule, found.schedule)
    assert loaded.gap == found.gap
    assert (loaded.value, loaded.best_start, loaded.steps) == (found.value, found.best_start, found.steps)
    np.testing.assert_array_equal(loaded.history, found.history)
    np.testing.assert_array_equal(loaded.failed_at, found.failed_at)
    for name in ("times", "weights", "mass", "last"):
        np.testing.assert_array_equal(getattr(loaded.sampler_weights(), name), getattr(found.sampler_weights(), name))
    assert eqx.tree_equal(ss.learning.load_schedule(tmp_path / "learned.json"), found.schedule)  # also a schedule file


def test_files_that_cannot_serve_say_why(found, tmp_path):
    path = tmp_path / "learned.json"
    with pytest.raises(FileNotFoundError, match=r"learned\.json is missing"):
        ss.load_learned(path)
    with pytest.raises(ValueError, match=r"does not end in \.json"):
        found.save(tmp_path / "learned.npz")
    found.save(path)
    facts = json.loads(path.read_text())
    arrays = path.with_suffix(".npz")
    for change, message in (
        ({"version": 1}, r"learned\.json' .*version is 1, this library reads 2: use the version that wrote it"),
        ({"digest": "0"}, "digest does not fit: this file or learned.npz holds other values than were saved together"),
        ({"value": found.value - 1}, "digest does not fit"),
        ({"steps": -4}, r"steps is -4, not 0 or more"),
        ({"extra": 1}, "extra is not known here"),
        ({"gap": [{"value": 1.0}]}, r"gap\[0\]\.uniform is missing"),
    ):
        path.write_text(json.dumps({**facts, **change}))
        with pytest.raises(ss.learning.SavedFileError, match=message):
            ss.load_learned(path)
    path.write_text(json.dumps(facts))
    rewrite(path, stages=[{"stage": "magic"}])
    with pytest.raises(ss.learning.SavedFileError, match=r"stage0\.stage is 'magic', which is not registered"):
        ss.load_learned(path)
    rewrite(path, stages=[{"stage": "magic", "module": "their.package"}])
    with pytest.raises(
        ss.learning.SavedFileError, match=r"not registered: import their\.package, which defined it, first"
    ):
        ss.load_learned(path)
    path.write_text("{}")
    with pytest.raises(ss.learning.SavedFileError, match="format is missing"):
        ss.load_learned(path)
    path.write_text(json.dumps(facts))
    arrays.write_bytes(arrays.read_bytes()[:-30])
    with pytest.raises(ss.learning.SavedFileError, match="cannot be read as arrays"):
        ss.load_learned(path)
    ss.learning.save_schedule(found.schedule, path)
    with pytest.raises(
        ss.learning.SavedFileError, match=r"format is 'spectral_sim\.schedule', not 'spectral_sim\.learned'"
    ):
        ss.load_learned(path)

    class Own(ss.AbstractStage):
        kind = "allocate"

        def init(self, problem):
            return None

        def __call__(self, signal, observation, state):
            return signal, state

    with pytest.raises(ValueError, match=r"Own is not registered.*decorate the class with @spectral_sim\.register"):
        ss.learning.save_schedule(Own(), path)


def test_a_policy_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "policy.json"
    ss.learning.save_schedule(ss.PolicySchedule.create(jax.random.key(0), width=4, depth=1), path)
    stage = json.loads(path.read_text())["stages"][0]
    rewrite(path, stages=[{**stage, "network": {"width": 5, "depth": 1}}])
    with pytest.raises(ValueError, match="its network has other inputs than the policies of this version"):
        ss.learning.load_schedule(path)


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_sampler_weights_are_those_of_the_run(found, suffix, tmp_path):
    problem, path = make_problem("grouped"), tmp_path / f"sampler{suffix}"
    run = ss.simulate(problem, found.schedule, TIMES, save=ss.save_weights)
    sampler = found.sampler_weights()
    np.testing.assert_array_equal(sampler.weights, np.asarray(run.saved)[:-1][:, np.asarray(problem.groups)])
    np.testing.assert_allclose(sampler.weights @ sampler.mass, 1, rtol=1e-12)
    np.testing.assert_allclose(sampler.probabilities().sum(axis=1), 1, rtol=1e-14)
    sampler.save(path)
    loaded = ss.learning.load_sampler_weights(path)
    for name in ("times", "weights", "mass", "last"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(sampler, name))
    # held from each refresh to the next, to the end of the run
    later = loaded.at([0.0, TIMES[2], TIMES[3] * 0.999, TIMES[-1]])
    np.testing.assert_array_equal(later.weights, sampler.weights[[0, 2, 2, -1]])
    np.testing.assert_array_equal(found.sampler_weights([1.0]).weights[0], sampler.at([1.0]).weights[0])
    with pytest.raises(ValueError, match="times holds 60, but weights are known from 0 to 50"):
        loaded.at([1.0, 60.0])


def test_a_parquet_file_is_plain_for_other_readers(found, tmp_path):
    path = tmp_path / "sampler.parquet"
    found.sampler_weights().save(path)
    table = pyarrow.parquet.read_table(path)
    assert table.num_rows == 12
    assert table.column_names[:3] == ["example", "mass", "weight_0"]


def test_sampler_files_that_cannot_serve_say_why(found, tmp_path):
    with pytest.raises(ValueError, match=r"suffix of path='\.csv' is not known"):
        found.sampler_weights().save(tmp_path / "sampler.csv")
    with pytest.raises(FileNotFoundError, match="is not a file"):
        ss.learning.load_sampler_weights(tmp_path / "sampler.npz")
    np.savez(tmp_path / "other.npz", a=np.ones(2))
    with pytest.raises(ValueError, match="is damaged or not what it should be: version is missing"):
        ss.learning.load_sampler_weights(tmp_path / "other.npz")
    parts = {name: getattr(found.sampler_weights(), name) for name in ("times", "weights", "mass", "last")}
    np.savez(tmp_path / "old.npz", version=0, **parts)
    with pytest.raises(ValueError, match="version is 0, not 1"):
        ss.learning.load_sampler_weights(tmp_path / "old.npz")


def test_sampler_weights_of_modes_are_those_of_the_modes():
    problem = make_problem("modal")
    sampler = ss.sampler_weights(
        problem, ss.chain(ss.schedules.add_noise(0.1), ss.proportional()), TIMES, key=jax.random.key(0)
    )
    assert sampler.weights.shape == (len(TIMES) - 1, 12)


@ss.register
class OwnTilt(ss.AbstractStage):
    """A stage of a user: weights by a power of the energy, from an option that is a text and a number."""

    kind = "allocate"
    power: jax.Array = eqx.field(converter=np.asarray)
    label: str = eqx.field(static=True, default="plain")

    def init(self, problem):
        return None

    def __call__(self, signal, observation, state):
        return signal**self.power, state


def test_an_own_stage_is_saved_and_loaded_by_its_name(tmp_path):
    path = tmp_path / "own.json"
    ss.learning.save_schedule(ss.chain(OwnTilt(0.5, "mine"), ss.clip(0.1, 5.0)), path)
    told = json.loads(path.read_text())["stages"][0]
    assert (told["stage"], told["module"], told["label"]) == ("OwnTilt", __name__, "mine")
    loaded = ss.learning.load_schedule(path)
    assert (loaded.stages[0].label, float(loaded.stages[0].power)) == ("mine", 0.5)


def test_float64_of_a_search_in_float32_is_no_reason_to_warn(found, tmp_path, recwarn):
    """Times and history are kept in float64; a schedule in float32 loses nothing."""
    problem = make_problem("grouped", np.float32)
    table = ss.TableSchedule.create(problem, TIMES)
    single = eqx.tree_at(lambda f: f.schedule, found, table)
    assert single.history.dtype == np.float64
    for learned, warned in ((single, False), (found, True)):
        learned.save(tmp_path / "learned.json")
        with jax.enable_x64(False):
            ss.load_learned(tmp_path / "learned.json")
        assert any("holds float64 arrays" in str(warning.message) for warning in recwarn) == warned
