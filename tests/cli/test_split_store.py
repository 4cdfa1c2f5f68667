"""What an interrupted comparison keeps, and what it does not take for its own."""

import dataclasses
import json

import equinox as eqx
import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.assessment import Entry, Recorded, Split, run_assessment
from spectral_sim.cli import _job
from spectral_sim.cli._part import Part
from spectral_sim.cli._split_store import SplitStore


@pytest.fixture
def split():
    problem = ss.power_law(2.0, 2.0, num_modes=4)
    taught = ss.chain(ss.teacher(5.0), ss.proportional(1.0))
    return Split(
        problem, [Entry("uniform", ss.uniform()), Entry("taught", taught, dynamics=ss.SelfGenerated(0.5, 1.0))]
    )


@pytest.fixture
def part(split):
    return Part("toy", split.problem, split.entries, ss.log_times(0.1, 10.0, 6), title="Toy", description="")


def recorded(value, error=None):
    return Recorded(np.full(3, value), {"rows": np.full((3, 2), value)}, 0, -1, error, ("a fault",))


def test_what_is_kept_comes_back_as_it_was(part, split, tmp_path):
    store = SplitStore(tmp_path, part)
    assert store.load(0, split) == {}
    store.save(0, split, {0: recorded(1.0), 1: recorded(2.0, 1e-9)})
    store.save(1, split, {0: recorded(3.0)})
    again = SplitStore(tmp_path, part)
    found = again.load(0, split)
    assert found.keys() == {0, 1}
    assert found[0].quadrature_error is None
    assert found[1].quadrature_error == 1e-9
    assert found[1].faults == ("a fault",)
    np.testing.assert_array_equal(found[1].saved["rows"], np.full((3, 2), 2.0))
    np.testing.assert_array_equal(again.load(1, split)[0].loss, np.full(3, 3.0))
    again.clear()
    assert list(tmp_path.iterdir()) == []


def test_one_other_number_anywhere_and_nothing_is_read(part, split, tmp_path, monkeypatch):
    SplitStore(tmp_path, part).save(0, split, {0: recorded(1.0)})
    moved = eqx.tree_at(lambda p: p.energies, split.problem, split.problem.energies.at[3].multiply(1 + 1e-12))
    entry = split.entries[1]
    stages = ss.chain(ss.teacher(5.0), ss.proportional(1.0 + 1e-12))
    others = [
        dataclasses.replace(split, problem=moved),
        dataclasses.replace(split, picking=np.ones(3)),
        *(
            dataclasses.replace(split, entries=[split.entries[0], dataclasses.replace(entry, **change)])
            for change in ({"schedule": stages}, {"dynamics": ss.SelfGenerated(0.5, 1.001)}, {"seed": 3})
        ),
    ]
    for other in others:
        assert SplitStore(tmp_path, part).load(0, other) == {}
    for change in ({"seed": 1}, {"times": part.times * (1 + 1e-12)}):
        assert SplitStore(tmp_path, dataclasses.replace(part, **change)).load(0, split) == {}
    assert SplitStore(tmp_path, part).load(1, split) == {}
    assert SplitStore(tmp_path, part).load(0, split).keys() == {0}
    monkeypatch.setattr("spectral_sim.cli._split_store.__version__", "another")
    assert SplitStore(tmp_path, part).load(0, split) == {}


def test_a_damaged_file_is_not_read(part, split, tmp_path):
    (tmp_path / "splits.npz").write_bytes(b"PK\x03\x04 cut short")
    assert SplitStore(tmp_path, part).load(0, split) == {}


def test_a_comparison_goes_on_where_it_was(tmp_path):
    """What is known is not computed again: a false number that was kept shows in the result."""
    problem = ss.power_law(2.0, 2.0, num_modes=4)
    split = Split(problem, [Entry("uniform", ss.uniform()), Entry("oracle", ss.water_filling())])
    part = Part("toy", problem, split.entries, ss.log_times(0.1, 10.0, 6), title="Toy", description="")
    options = {"store": SplitStore(tmp_path, part)}
    first = run_assessment(part.name, part.problem, part.entries, part.times, **options)
    kept = SplitStore(tmp_path, part).load(0, split)
    np.testing.assert_array_equal(kept[1].loss, first.runs[1].loss)
    false = dataclasses.replace(kept[1], loss=kept[1].loss * 0.5)
    SplitStore(tmp_path, part).save(0, split, kept | {1: false})
    options = {"store": SplitStore(tmp_path, part)}
    again = run_assessment(part.name, part.problem, part.entries, part.times, **options)
    np.testing.assert_allclose(again.runs[1].loss, first.runs[1].loss * 0.5)
    np.testing.assert_array_equal(again.reference.loss, first.reference.loss)


def test_a_table_that_was_changed_after_a_stop_is_computed_anew(run, tmp_path, monkeypatch):
    """One cell is another, the shape is the same: numbers are those of a run from the start."""
    rng = np.random.default_rng(0)
    cells = np.round(rng.normal(size=(60, 3)), 3)

    def write():
        rows = [",".join(map(str, row)) for row in cells.tolist()]
        (tmp_path / "table.csv").write_text("\n".join(["a,b,price", *rows]), encoding="utf-8")

    def losses(folder, *more, code=0):
        options = ["--target", "price", "--schedules", "uniform", "--splits", "3", "--features", "5"]
        result = run("assess", tmp_path / "table.csv", *options, "--output", tmp_path / folder, *more)
        assert result.exit_code == code, result.output
        return json.loads((tmp_path / folder / "summary.json").read_text(encoding="utf-8"))["schedules"]

    write()
    with monkeypatch.context() as stopped:
        stopped.setattr(_job, "write_plots", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        old = losses("out", code=130)
    assert (tmp_path / "out" / "splits.npz").exists()
    (tmp_path / "out" / "weights.parquet").write_bytes(b"of the old table")
    cells[7, 1] += 0.5
    write()
    new, fresh = losses("out", "--resume"), losses("fresh")
    assert new == fresh
    assert new != old
    assert not (tmp_path / "out" / "weights.parquet").exists()
