"""The exported weights in data loaders: the snippets of docs/assess.md, and numbers of rows beyond 2**24."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from spectral_sim import cli
from spectral_sim.cli._export import write_weights

ROWS = np.array([7, 3, 5, 0])


@pytest.fixture(scope="module")
def module():
    spec = importlib.util.spec_from_file_location("use_weights", Path(cli.__file__).parent / "_use_weights.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def weighted(module, tmp_path):
    """Row 3 alone up to step 10, rows 0 and 7 from there on."""
    weights = np.array([[1.0, 1, 1, 1], [0, 4, 0, 0], [0, 4, 0, 0], [2, 0, 0, 2]])
    write_weights(tmp_path / "weights.parquet", ROWS, weights, np.array([0, 0.0, 5.2, 9.5]))
    return module.WeightedRows(str(tmp_path / "weights.parquet"))


def test_weights_hold_from_their_step_on(weighted):
    assert weighted.steps.tolist() == [0, 10]  # within one step the last counts, and what stays is written once
    assert weighted.rows.tolist() == [0, 3, 5, 7]
    np.testing.assert_array_equal(weighted.probabilities(9), [0, 1, 0, 0])
    np.testing.assert_array_equal(weighted.probabilities(10), [0.5, 0, 0, 0.5])
    batches = list(weighted.batches(4, steps=12))
    assert batches[:10] == [[3] * 4] * 10
    assert set(batches[10] + batches[11]) <= {0, 7}


def test_more_rows_than_torch_can_draw_from(module):
    """Float32 cannot tell neighbours apart beyond 2**24; float64 draws the very last rows, and none of no weight."""
    count = 2**24 + 1_000
    weights = np.zeros(count)
    weights[-1_000::2] = 1.0
    drawn = module.draw_positions(np.cumsum(weights / weights.sum()), 20_000, np.random.default_rng(0))
    assert set(drawn.tolist()) == set(range(count - 1_000, count, 2))


def test_the_snippet_for_torch(weighted):
    data = pytest.importorskip("torch.utils.data", reason="torch is not installed")
    loader = data.DataLoader(np.arange(8) * 10, batch_sampler=weighted.batches(4, steps=3))
    assert [batch.tolist() for batch in loader] == [[30] * 4] * 3


def test_the_snippet_for_datasets(weighted):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    dataset = datasets.Dataset.from_dict({"text": [str(n) for n in range(8)]})
    assert set(dataset.select(weighted.draw(step=10, size=50))["text"]) == {"0", "7"}


def test_the_snippet_for_grain(weighted):
    grain = pytest.importorskip("grain", reason="grain is not installed")
    records = [n * 10 for n in range(8)]
    drawn = grain.MapDataset.source(weighted.draw(step=0, size=8)).map(lambda row: records[int(row)]).batch(4)
    assert [np.asarray(batch).tolist() for batch in drawn] == [[30] * 4] * 2
