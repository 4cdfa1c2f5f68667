"""What `load_table` makes of columns: dates, lists, identifiers, levels, gaps, parts of a split, own features."""

import datetime
import decimal
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from spectral_sim._wording import options_worded
from spectral_sim.problems import load_table

N = 80
CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases"


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"x": rng.normal(size=N), "z": rng.normal(size=N), "y": rng.normal(size=N)})


@pytest.fixture
def save(tmp_path):
    def write(table):
        path = tmp_path / "t.parquet"
        table = pa.Table.from_pandas(table, preserve_index=False) if isinstance(table, pd.DataFrame) else table
        pyarrow.parquet.write_table(table, path)
        return path

    return write


def raw(data) -> np.ndarray:
    """Inputs of all rows in the order of the file."""
    return data.inputs[np.argsort(data.rows)]


def load_all(path, target="y", **options):
    return load_table(path, target, eval_fraction=0, **options)


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float64(), 4), pa.large_list(pa.int16())])
def test_lists_are_blocks_that_keep_their_spectrum(save, frame, kind):
    block = np.round(np.random.default_rng(1).normal(size=(N, 4)) * [100, 30, 10, 3])
    table = pa.Table.from_pandas(frame).append_column("e", pa.array(block.tolist(), kind))
    data = load_all(save(table), drop=["x", "z"])
    centred = block - block.mean(axis=0)
    np.testing.assert_allclose(raw(data), centred / np.sqrt(np.mean(block.var(axis=0))), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(raw(load_all(save(table), drop=["x", "z"], standardise=False)), block)


def test_nested_lists_are_flattened(save, frame):
    block = np.arange(N * 4.0).reshape(N, 2, 2) % 7
    table = pa.Table.from_pandas(frame).append_column("e", pa.array(block.tolist()))
    data = load_all(save(table), drop=["x", "z"], standardise=False)
    np.testing.assert_array_equal(raw(data), block.reshape(N, 4))


def test_dates_are_days(save, frame, tmp_path):
    days = pd.date_range("2021-03-01", periods=N, freq="36h")
    expected = np.arange(N) * 1.5
    points, slashes = days.strftime("%d.%m.%Y %H:%M"), days.strftime("%m/%d/%Y %H:%M")
    for values in (days, days.tz_localize("UTC"), days.date, points, slashes):
        data = load_all(save(frame.assign(when=values)), inputs="when", standardise=False)
        found = raw(data)[:, 0]
        whole = values.dtype == object and not isinstance(values[0], str)  # dates without a time of day
        np.testing.assert_allclose(found - found[0], np.floor(expected) if whole else expected)
        assert any("a date, as days" in note for note in data.notes)
    frame.assign(when=days.strftime("%Y-%m-%dT%H:%M:%S")).to_csv(tmp_path / "t.csv", index=False)
    found = raw(load_all(tmp_path / "t.csv", inputs="when", standardise=False))[:, 0]
    np.testing.assert_allclose(found - found[0], expected)


def test_day_and_month_have_one_order(save, frame):
    texts = [f"{1 + i % 28:02d}/{1 + i % 12:02d}/2021" for i in range(N)]  # some days are above 12
    data = load_all(save(frame.assign(when=texts)), inputs="when", standardise=False)
    assert any("read as day first" in note for note in data.notes)
    expected = [np.datetime64(f"2021-{1 + i % 12:02d}-{1 + i % 28:02d}").astype(int) for i in range(N)]
    np.testing.assert_array_equal(raw(data)[:, 0], expected)


def test_nullable_and_decimal_numbers_booleans_and_times(save, frame):
    table = pa.Table.from_pandas(frame[["y"]])
    columns = {
        "whole": pa.array([None if i == 3 else i % 5 for i in range(N)], pa.int16()),
        "price": pa.array([decimal.Decimal(i) / 4 for i in range(N)], pa.decimal128(10, 2)),
        "flag": pa.array([i % 3 == 0 for i in range(N)]),
        "clock": pa.array([datetime.time(i % 24, 30) for i in range(N)]),
        "span": pa.array([datetime.timedelta(minutes=i * i % 50) for i in range(N)]),
        "nothing": pa.nulls(N),
    }
    for name, values in columns.items():
        table = table.append_column(name, values)
    data = load_all(save(table), missing="drop", standardise=False)
    i = np.delete(np.arange(N), 3)
    expected = [i % 5, i / 4, i % 3 == 0, i % 24 * 3600 + 1800, i * i % 50 * 60]
    np.testing.assert_allclose(raw(data), np.column_stack(expected))
    assert "column 'nothing' dropped: no row has a value" in data.notes


def test_what_names_rows_is_dropped_and_said(save, frame):
    names = {
        "doc_id": [f"d{i}" for i in range(N)],
        "row": np.arange(N),
        "userId": np.random.default_rng(0).permutation(N) * 7 + 100,
        "title": [f"item {i % 70}" for i in range(N)],
        "big": [2**60 + i for i in range(N)],
    }
    data = load_all(save(frame.assign(**names)))
    assert data.inputs.shape == (N, 2)
    for name in names:
        assert sum(f"column {name!r} dropped" in note for note in data.notes) == 1
    assert load_all(save(frame.assign(**names)), inputs=["x", "row"]).inputs.shape == (N, 2)
    assert load_all(save(frame.assign(count=np.arange(N) * 3))).inputs.shape == (
        N,
        3,
    )  # numbers that may mean something


def test_many_levels_are_hashed_by_the_text_alone(save, frame):
    five = pd.concat([frame] * 5, ignore_index=True).assign(shop=[f"s{i % 60}" for i in range(5 * N)])
    data = load_all(save(five), inputs="shop", standardise=False)
    assert data.inputs.shape == (5 * N, 32)
    assert set(np.unique(data.inputs)) == {-1.0, 1.0}
    levels = raw(data)
    np.testing.assert_array_equal(levels[0], levels[60])
    gram = levels[:60] @ levels[:60].T / 32
    assert np.abs(gram - np.eye(60)).max() < 0.8
    reordered = load_all(save(five.iloc[::-1].reset_index(drop=True)), inputs="shop", standardise=False)
    np.testing.assert_array_equal(raw(reordered)[::-1], levels)
    assert any("60 levels, more than the 50" in note for note in data.notes)


def test_the_task_is_guessed_stated_and_overridden(save, frame):
    path = save(frame.assign(grade=np.arange(N) % 5, age=np.arange(N) % 30))
    guessed = load_all(path, "grade")
    assert guessed.task == "classification"
    assert any("5 classes, one-hot (whole numbers with 5 different values" in note for note in guessed.notes)
    number = load_all(path, "grade", task="regression")
    assert number.task == "regression"
    assert any("class ids" in warning for warning in number.warnings)
    assert any("class ids" in warning for warning in load_all(path, "age").warnings)  # 0 to 29
    assert load_all(path, "age", task="classification").targets.shape == (N, 30)


def test_warnings_of_a_careful_colleague(save, frame):
    labels = np.array(["cat", "dog"])[np.arange(N) % 2]
    path = save(frame.assign(label=labels, code=np.arange(N) % 2, copy=2 * frame["y"] + 1, site=labels))
    warnings = load_all(path, "label", group="site").warnings
    assert any("'code' restates the target" in warning for warning in warnings)
    assert any("group 'site' restates the target" in warning for warning in warnings)
    assert any("group 'label' is the target itself" in w for w in load_all(path, "label", group="label").warnings)
    assert any("'copy' restates the target" in warning for warning in load_all(path, "y").warnings)
    assert any("given twice" in warning for warning in load_all(path, ["y", "y"]).warnings)
    assert any("are the same numbers" in w for w in load_all(save(frame.assign(v=frame["y"])), ["y", "v"]).warnings)
    assert load_all(save(frame)).warnings == ()


def test_a_class_without_a_training_row_is_named(save, frame):
    labels = np.array(["a", "b", "c"])[np.arange(N) % 3]
    data = load_table(save(frame.assign(label=labels, part=labels)), "label", eval_where="part=c")
    assert "no training row is of class 'c': it cannot be learned" in data.warnings
    assert set(data.eval_targets[:, 2]) == {1.0}


def test_a_random_split_has_each_class_in_proportion(save, frame):
    labels = np.repeat(["a", "b", "c"], [40, 32, 8])
    for seed in range(5):
        data = load_table(save(frame.assign(label=labels)), "label", seed=seed)
        np.testing.assert_array_equal(data.eval_targets.sum(axis=0), [10, 8, 2])
        assert sorted([*data.rows, *data.eval_rows]) == list(range(N))


def test_rows_of_equal_inputs_stay_together(save, frame):
    doubled = frame.copy()
    doubled.loc[N // 2 :, ["x", "z"]] = frame.loc[: N // 2 - 1, ["x", "z"]].to_numpy()
    data = load_table(save(doubled), "y")
    assert len(data.rows) == 60
    assert not {tuple(row) for row in data.inputs} & {tuple(row) for row in data.eval_inputs}
    assert any("40 rows repeat the inputs of another" in note for note in data.notes)


def test_split_by_group_and_by_time(save, frame):
    site, when = np.arange(N) % 8, np.random.default_rng(3).permutation(N)
    path = save(frame.assign(site=site, when=when))
    data = load_table(path, "y", split="group", split_by="site", drop="when")
    assert not set(site[data.rows]) & set(site[data.eval_rows])
    assert (len(data.rows), data.inputs.shape[1]) == (60, 2)
    data = load_table(path, "y", split="time", split_by="when")
    assert when[data.rows].max() < when[data.eval_rows].min()
    assert len(data.eval_rows) == 20


def test_a_domain_or_a_file_to_hold_out(save, frame, tmp_path):
    domain = np.where(np.arange(N) % 4 == 0, "news", "web")
    path = save(frame.assign(domain=domain))
    data = load_table(path, "y", eval_where="domain = news")
    assert sorted(data.eval_rows) == list(range(0, N, 4))
    assert data.inputs.shape[1] == 2
    other = tmp_path / "eval.csv"
    held_out = frame.iloc[:10].copy()
    held_out.loc[5:, "x"] += 100.0  # the first five repeat training rows
    held_out.assign(domain="new").to_csv(other, index=False)
    data = load_table(path, "y", eval=other, drop="domain")
    assert len(data.eval_targets) == 10
    assert len(data.rows) == N - 5
    assert not set(data.rows) & set(range(5))
    held_out.drop(columns="z").to_csv(other, index=False)
    with pytest.raises(ValueError, match=r"eval.csv' has no column 'z', which t.parquet has: .* drop='z'"):
        load_table(path, "y", eval=other, drop="domain")


def test_own_features_and_a_gram_matrix(save, frame, tmp_path):
    features = np.random.default_rng(4).normal(size=(N, 6))
    np.save(tmp_path / "f.npy", features)
    np.save(tmp_path / "k.npy", features @ features.T)
    path = save(frame)
    data = load_table(path, "y", features_from=tmp_path / "f.npy")
    np.testing.assert_array_equal(data.inputs, features[data.rows])
    np.testing.assert_array_equal(data.eval_inputs, features[data.eval_rows])
    assert data.inputs_are == "features"
    gram = load_table(path, "y", gram=tmp_path / "k.npy")
    np.testing.assert_allclose(gram.inputs, features[gram.rows] @ features[gram.rows].T)
    np.testing.assert_allclose(gram.eval_inputs, features[gram.eval_rows] @ features[gram.rows].T)
    np.save(tmp_path / "f.npy", features[:-1])
    with pytest.raises(ValueError, match="has 79 rows but the table has 80"):
        load_table(path, "y", features_from=tmp_path / "f.npy")
    np.save(tmp_path / "k.npy", np.triu(features @ features.T))
    with pytest.raises(ValueError, match="is not symmetric"):
        load_table(path, "y", gram=tmp_path / "k.npy")


def test_labels_known_to_be_wrong(save, frame):
    wrong = np.arange(N) % 5 == 0
    for values in (wrong, wrong.astype(int), np.where(wrong, "yes", "no")):
        data = load_table(save(frame.assign(bad=values)), "y", noise_column="bad")
        np.testing.assert_array_equal(data.mislabelled, wrong[data.rows])
        assert data.inputs.shape[1] == 2


def _write_stream(path, table):
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)


def test_a_datasets_folder(frame, tmp_path):
    table = pa.Table.from_pandas(frame).append_column("label", pa.array(np.arange(N) % 2))
    folder = tmp_path / "saved"
    folder.mkdir()
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, table.schema) as out,
    ):
        out.write_table(table)
    indices = pa.table({"indices": pa.array(np.arange(0, N, 2)[::-1].astype(np.uint64))})
    _write_stream(folder / "indices.arrow", indices)
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_indices_files": None}
    info = {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "x": {"_type": "Value"}}}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps(info))
    assert load_all(folder, "label", drop=["y"]).target_names == ("cat", "dog")
    (folder / "state.json").write_text(json.dumps({**state, "_indices_files": [{"filename": "indices.arrow"}]}))
    data = load_all(folder, inputs="x", standardise=False)
    np.testing.assert_array_equal(raw(data)[:, 0], frame["x"].to_numpy()[::2][::-1])
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["saved"]}))
    with pytest.raises(ValueError, match="holds the splits saved: name the folder of one"):
        load_table(tmp_path, "y")


def test_options_are_named_as_the_caller_writes_them(save, frame):
    frame.loc[3, "x"] = np.nan
    with pytest.raises(ValueError, match="missing='drop'"):
        load_table(save(frame), "y")
    with options_worded(lambda name, value: f"<{name}|{value}>"), pytest.raises(ValueError, match=r"<missing\|drop>"):
        load_table(save(frame), "y")


def test_text_of_twenty_thousand_values_takes_no_memory(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,name\n" + "".join(f"{i % 17},name {i}\n" for i in range(20_000)))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="'name' has 20000 classes in 20000 rows"):
            load_table(path, "name", task="classification")
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not CASES.is_dir(), reason="no folder with the shared cases beside the project")
@pytest.mark.parametrize(
    ("name", "target", "options", "inputs"),
    [
        ("embeddings_list_column.parquet", "label", {"group": "domain"}, 24),
        ("utf16.csv", "target", {}, 9),
        ("semicolon_decimal_comma.csv", "target", {}, 9),
        ("tabs.tsv.gz", "target", {}, 9),
        ("missing.csv", "target", {"missing": "drop"}, 9),
        ("missing.csv", "target", {"missing": "mean"}, 11),
        ("dates_titles_levels.csv", "target", {}, 42),
        ("datetime_nullable.parquet", "target", {"missing": "mean"}, 4),
        ("missing.csv", "target", {}, "give missing='mean'"),
        ("scores_all_nan.csv", "score", {}, "target 'score': no value is a number"),
    ],
)
def test_shared_cases(name, target, options, inputs):
    if isinstance(inputs, str):
        with pytest.raises(ValueError, match=inputs):
            load_table(CASES / name, target, **options)
        return
    data = load_table(CASES / name, target, **options)
    assert data.inputs.shape[1] == inputs
    if "decimal" in name or "tabs" in name:
        same = load_table(CASES / "utf16.csv", target)
        np.testing.assert_allclose(data.inputs, same.inputs)
        np.testing.assert_allclose(data.targets, same.targets)
