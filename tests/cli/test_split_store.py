"""What an interrupted comparison keeps, and what it does not take for its own."""

import dataclasses

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.assessment import Entry, Recorded, run_assessment
from spectral_sim.cli._job_part import Part
from spectral_sim.cli._split_store import SplitStore


@pytest.fixture
def part():
    problem = ss.power_law(2.0, 2.0, num_modes=4)
    entries = [Entry("uniform", ss.uniform()), Entry("oracle", ss.water_filling())]
    return Part("toy", problem, entries, ss.log_times(0.1, 10.0, 6), title="Toy", description="")


def recorded(value, error=None):
    return Recorded(np.full(3, value), {"rows": np.full((3, 2), value)}, 0, -1, error, ("a fault",))


def test_what_is_kept_comes_back_as_it_was(part, tmp_path):
    store = SplitStore(tmp_path, part)
    assert store.load(0) == {}
    store.save(0, {0: recorded(1.0), 1: recorded(2.0, 1e-9)})
    store.save(1, {0: recorded(3.0)})
    again = SplitStore(tmp_path, part)
    found = again.load(0)
    assert found.keys() == {0, 1}
    assert found[0].quadrature_error is None
    assert found[1].quadrature_error == 1e-9
    assert found[1].faults == ("a fault",)
    np.testing.assert_array_equal(found[1].saved["rows"], np.full((3, 2), 2.0))
    np.testing.assert_array_equal(again.load(1)[0].loss, np.full(3, 3.0))
    again.clear()
    assert list(tmp_path.iterdir()) == []


def test_another_comparison_and_a_damaged_file_are_not_read(part, tmp_path):
    SplitStore(tmp_path, part).save(0, {0: recorded(1.0)})
    assert SplitStore(tmp_path, dataclasses.replace(part, seed=1)).load(0) == {}
    (tmp_path / "splits.npz").write_bytes(b"PK\x03\x04 cut short")
    assert SplitStore(tmp_path, part).load(0) == {}


def test_a_comparison_goes_on_where_it_was(part, tmp_path):
    """What is known is not computed again: a false number that was kept shows in the result."""
    options = {"store": SplitStore(tmp_path, part)}
    first = run_assessment(part.name, part.problem, part.entries, part.times, **options)
    kept = SplitStore(tmp_path, part).load(0)
    np.testing.assert_array_equal(kept[1].loss, first.runs[1].loss)
    false = dataclasses.replace(kept[1], loss=kept[1].loss * 0.5)
    SplitStore(tmp_path, part).save(0, {1: false})
    options = {"store": SplitStore(tmp_path, part)}
    again = run_assessment(part.name, part.problem, part.entries, part.times, **options)
    np.testing.assert_allclose(again.runs[1].loss, first.runs[1].loss * 0.5)
    np.testing.assert_array_equal(again.reference.loss, first.reference.loss)
