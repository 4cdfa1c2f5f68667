"""Tables written by pandas and NumPy, read back: what becomes an input, a class or a group, and every refusal."""

import re
import sys

import numpy as np
import pandas as pd
import pytest

from spectral_sim.problems.tables import load_table

N = 40


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "length": rng.normal(5, 2, N),
            "count": rng.integers(0, 100, N),
            "colour": rng.choice(["red", "green", "blue"], N),
            "flag": rng.random(N) < 0.5,
            "site": rng.choice(["north", "south"], N),
            "species": rng.choice(["wolf", "bear", "lynx"], N),
            "rank": rng.integers(1, 4, N),
            "weight": rng.normal(70, 9, N),
        }
    )


def write(frame: pd.DataFrame, folder, suffix: str, **options):
    path = folder / f"table{suffix}"
    frame.to_csv(path, index=False, **options) if suffix == ".csv" else frame.to_parquet(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_regression_from_a_frame(frame, tmp_path, suffix):
    data = load_table(write(frame, tmp_path, suffix), "weight", group="site", inputs=["length", "count"], seed=4)
    assert (data.name, data.task, data.target_names) == ("table", "regression", ("weight",))
    assert (data.inputs.shape, data.targets.shape) == ((30, 2), (30, 1))
    assert (data.eval_inputs.shape, data.eval_targets.shape) == ((10, 2), (10, 1))
    train, held_out = (
        np.column_stack(pair) for pair in ((data.inputs, data.targets), (data.eval_inputs, data.eval_targets))
    )
    # Rows are found by rank of the length, which standardising keeps.
    raw = frame.sort_values("length")[["length", "count", "weight"]].to_numpy(float)
    order = np.argsort(np.concatenate([train, held_out])[:, 0])
    members = order < 30  # which rows, in order of length, are in the training part
    mean, deviation = raw[members].mean(axis=0), raw[members].std(axis=0)
    np.testing.assert_allclose(np.concatenate([train, held_out])[order], (raw - mean) / deviation, atol=1e-12)
    site = frame.sort_values("length")["site"].to_numpy()[members]
    assert data.group_names == ("north", "south")
    train_order = np.argsort(train[:, 0])
    assert [data.group_names[g] for g in data.groups[train_order]] == site.tolist()
    assert f"mean {mean[2]:.6g}, standard deviation {deviation[2]:.6g}" in data.description


def test_all_other_columns_are_inputs_and_text_becomes_one_hot(frame, tmp_path):
    data = load_table(write(frame, tmp_path, ".csv"), "weight", group="site", eval_fraction=0)
    assert data.eval_inputs is None
    assert data.eval_targets is None
    assert data.inputs.shape == (N, 2 + 3 + 1 + 3 + 1)  # length, count, colour x 3, flag, species x 3, rank
    order = np.argsort(data.inputs[:, 0])
    sorted_frame = frame.sort_values("length")
    colours = np.column_stack([sorted_frame["colour"] == level for level in ("blue", "green", "red")]).astype(float)
    np.testing.assert_allclose(data.inputs[order, 2:5], (colours - colours.mean(0)) / colours.std(0), atol=1e-12)
    np.testing.assert_array_equal(data.inputs[order, 5] > 0, sorted_frame["flag"])
    np.testing.assert_allclose(data.inputs.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(data.inputs.std(axis=0), 1, atol=1e-12)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("species", ("bear", "lynx", "wolf")),
        ("flag", ("False", "True")),
        ("rank", ("1", "2", "3")),
    ],
)
def test_classification_from_a_frame(frame, tmp_path, suffix, target, names):
    if suffix == ".parquet":
        frame["species"] = frame["species"].astype("category")
    data = load_table(write(frame, tmp_path, suffix), target, inputs="length", eval_fraction=0)
    assert (data.task, data.target_names) == ("classification", names)
    labels = [names[k] for k in data.targets.argmax(axis=1)]
    np.testing.assert_array_equal(np.sort(data.targets, axis=1), [[0, 0, 1][-len(names) :]] * N)
    assert [labels[i] for i in np.argsort(data.inputs[:, 0])] == frame.sort_values("length")[target].astype(
        str
    ).tolist()


def test_whole_numbers_with_many_values_and_several_targets_are_regression(frame, tmp_path):
    path = write(frame, tmp_path, ".csv")
    assert frame["count"].nunique() > 20
    assert load_table(path, "count", inputs="length").task == "regression"
    several = load_table(path, ["rank", "weight"], inputs=["length"], eval_fraction=0)
    assert (several.task, several.target_names) == ("regression", ("rank", "weight"))
    expected = frame.sort_values("length")[["rank", "weight"]].to_numpy(float)
    expected = (expected - expected.mean(axis=0)) / expected.std(axis=0)
    np.testing.assert_allclose(several.targets[np.argsort(several.inputs[:, 0])], expected, atol=1e-12)


def test_the_seed_chooses_the_held_out_part(frame, tmp_path):
    path = write(frame, tmp_path, ".csv")
    first, again, other = (load_table(path, "weight", seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.inputs, again.inputs)
    assert not np.array_equal(first.inputs, other.inputs)
    assert len(load_table(path, "weight", eval_fraction=0.5).eval_targets) == N // 2


def test_constant_inputs_are_dropped_with_a_note(frame, tmp_path):
    frame["same"] = 0.1
    data = load_table(write(frame, tmp_path, ".csv"), "weight", inputs=["length", "same", "count"])
    assert data.inputs.shape[1] == 2
    assert "constant inputs dropped: same" in data.description
    assert np.isfinite(data.inputs).all()


def test_saved_row_numbers_are_no_input(frame, tmp_path):
    path = tmp_path / "indexed.csv"
    frame[["length", "count", "weight"]].to_csv(path)
    assert load_table(path, "weight").inputs.shape[1] == 2


def test_groups_found_only_in_the_held_out_part_are_not_numbered(frame, tmp_path):
    frame["site"] = [f"site {i:02d}" for i in range(N)]
    data = load_table(write(frame, tmp_path, ".csv"), "weight", group="site")
    assert sorted(data.groups) == list(range(30))
    assert len(data.group_names) == 30


@pytest.mark.parametrize("names", [("X", "y"), ("inputs", "labels"), ("pixels", "y")])
def test_npz(tmp_path, names):
    inputs_name, target_name = names
    rng = np.random.default_rng(1)
    x, y, g = rng.normal(size=(N, 3)), rng.normal(size=(N, 2)), rng.integers(0, 3, N)
    arrays = {inputs_name: x, target_name: y, "g": g}
    if inputs_name == "X":
        arrays["extra"] = rng.normal(size=(N, 5))  # "X" wins over other arrays with two axes
    path = tmp_path / "arrays.npz"
    np.savez(path, **arrays)
    data = load_table(path, target_name, group="g", eval_fraction=0)
    order, back = np.argsort(data.inputs[:, 0]), np.argsort(x[:, 0])
    np.testing.assert_allclose(data.inputs[order], ((x - x.mean(0)) / x.std(0))[back], atol=1e-12)
    np.testing.assert_allclose(data.targets[order], ((y - y.mean(0)) / y.std(0))[back], atol=1e-12)
    assert data.target_names == (f"{target_name}[0]", f"{target_name}[1]")
    np.testing.assert_array_equal(data.groups[order], g[back])
    assert data.group_names == ("0", "1", "2")


def test_npz_with_named_inputs_and_text_targets(tmp_path):
    rng = np.random.default_rng(1)
    labels = np.array([b"cat", b"dog"])[rng.integers(0, 2, N)]
    path = tmp_path / "arrays.npz"
    np.savez(path, a=rng.normal(size=(N, 3)), b=rng.normal(size=(N, 4)), y=labels)
    data = load_table(path, "y", inputs="b")
    assert data.inputs.shape == (30, 4)
    assert (data.task, data.target_names) == ("classification", ("cat", "dog"))


def test_npy_files(tmp_path):
    rng = np.random.default_rng(2)
    x, y, g = rng.normal(size=(N, 3)).astype(np.float32), rng.integers(0, 4, (N, 1)), rng.choice(["a", "b"], N)
    paths = [tmp_path / f"{name}.npy" for name in ("inputs", "targets", "groups")]
    for path, array in zip(paths, (x, y, g), strict=True):
        np.save(path, array)
    data = load_table(paths[0], paths[1], group=str(paths[2]), eval_fraction=0)
    assert data.inputs.dtype == np.float64
    order, back = np.argsort(data.inputs[:, 0]), np.argsort(x[:, 0])
    np.testing.assert_array_equal(data.targets.argmax(axis=1)[order], y[back, 0])
    assert data.target_names == ("0", "1", "2", "3")
    assert [data.group_names[k] for k in data.groups[order]] == g[back].tolist()


def refused(message: str, *args, error: type[Exception] = ValueError, **options) -> None:
    with pytest.raises(error, match=re.escape(message)):
        load_table(*args, **options)


def test_wrong_paths(frame, tmp_path):
    refused("table.cvs' is not a file", tmp_path / "table.cvs", "y", error=FileNotFoundError)
    refused("is not a file", tmp_path, "y", error=FileNotFoundError)
    other = tmp_path / "table.parqet"
    other.write_text("x")
    refused("has an unknown suffix. Did you mean '.parquet'? Valid: .arrow, .csv,", other, "y")
    np.save(tmp_path / "x.npy", np.ones((N, 2)))
    refused("target='nowhere.npy' is not a file", tmp_path / "x.npy", "nowhere.npy", error=FileNotFoundError)
    refused(
        "group='nowhere.npy' is not a file",
        tmp_path / "x.npy",
        tmp_path / "x.npy",
        group="nowhere.npy",
        error=FileNotFoundError,
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz", ".npy"])
def test_empty_and_truncated_files(frame, tmp_path, suffix):
    path = tmp_path / f"table{suffix}"
    path.touch()
    refused("empty, damaged or no", path, path if suffix == ".npy" else "weight")
    if suffix == ".csv":
        path.write_text("length,weight\n")
        refused("has 0 rows of data: give at least 8", path, "weight")
        path.write_text("length,weight\n" + "1.0,2.0\n" * 10 + "3.")
        refused("Expected 2 columns, got 1: 3.; correct it", path, "weight")
        return
    if suffix == ".parquet":
        write(frame, tmp_path, suffix)
    elif suffix == ".npz":
        np.savez(path, X=np.ones((N, 3)), weight=np.ones(N))
    else:
        np.save(path, np.ones((N, 3)))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    refused("empty, damaged or no", path, path if suffix == ".npy" else "weight")
    path.write_bytes(b"no such format")
    refused("empty, damaged or no", path, path if suffix == ".npy" else "weight")


def test_a_damaged_member_of_an_archive(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez_compressed(path, X=np.arange(300.0).reshape(100, 3), y=np.arange(100.0))
    content = bytearray(path.read_bytes())
    content[100:120] = bytes(20)
    path.write_bytes(content)
    refused("path: array 'X' of arrays.npz is empty, damaged or no NumPy file", path, "y")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_unknown_columns(frame, tmp_path, suffix):
    path = write(frame, tmp_path, suffix)
    refused(f"target='wieght' is not in table{suffix}. Did you mean 'weight'?", path, "wieght")
    refused("target='wieght' is not in", path, ["rank", "wieght"])
    refused("group='sites' is not in", path, "weight", group="sites")
    refused("inputs='lenght' is not in", path, "weight", inputs=["lenght"])
    refused("inputs='weight' is the target too", path, "weight", inputs=["length", "weight"])
    refused("inputs is left without a column", path, "weight", inputs=[])
    refused("target is left without a column", path, [])


def test_unknown_arrays(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez(path, a=np.ones((N, 3)), b=np.ones((N, 2)), label=np.arange(N))
    refused("target='lable' is not in arrays.npz. Did you mean 'label'? Valid: a, b, label.", path, "lable")
    refused("group='g' is not in arrays.npz", path, "label", group="g")
    refused("inputs='X' is not in arrays.npz", path, "label", inputs="X")
    refused("inputs is not given and arrays.npz could mean any of ['a', 'b']: name one array", path, "label")
    np.save(tmp_path / "x.npy", np.ones((N, 2)))
    refused("inputs='X': a .npy file has no names", tmp_path / "x.npy", tmp_path / "x.npy", inputs="X")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("column", ["length", "weight", "colour", "site"])
def test_missing_values(frame, tmp_path, suffix, column):
    frame.loc[17, column] = None
    path = write(frame, tmp_path, suffix)
    role = "target" if column == "weight" else "column"
    refused(
        f"{role} '{column}': row 17 (the first is 0) is missing: leave such rows out with missing='drop'",
        path,
        "weight",
        group="site",
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_arrays_that_are_not_finite(tmp_path, value):
    rng = np.random.default_rng(0)
    for place in ("X", "y", "g"):
        arrays = {"X": rng.normal(size=(N, 3)), "y": rng.normal(size=(N, 2)), "g": np.ones(N)}
        arrays[place][(5, 1) if arrays[place].ndim == 2 else 5] = value
        np.savez(tmp_path / "arrays.npz", **arrays)
        column = {"X": "column 'X[1]'", "y": "target 'y[1]'", "g": "column 'g'"}[place]
        message = f"{column}: row 5 (the first is 0) is {'missing' if np.isnan(value) else value}"
        refused(message, tmp_path / "arrays.npz", "y", group="g")


def test_infinity_in_a_table(frame, tmp_path):
    frame.loc[3, "length"] = -np.inf
    path = write(frame, tmp_path, ".csv")
    refused("column 'length': row 3 (the first is 0) is -inf", path, "weight")
    refused("target 'length': row 3 (the first is 0) is -inf", path, "length")


def test_constant_columns(frame, tmp_path):
    frame["weight"] = 70.5
    frame["species"] = "wolf"
    path = write(frame, tmp_path, ".csv")
    refused("target: column 'weight' is constant (70.5): there is nothing to learn; choose another", path, "weight")
    refused("target: column 'species' is constant (wolf)", path, "species")
    refused("target: column 'weight' is constant", path, ["count", "weight"])
    refused("every input column is constant in the training part", path, "rank", inputs=["weight", "species"])
    frame["species"] = ["bear"] + ["wolf"] * (N - 1)
    path = write(frame, tmp_path, ".csv")
    for seed in range(5):  # the only bear always trains, and is warned of
        data = load_table(path, "species", eval_fraction=0.5, seed=seed)
        assert data.targets[:, 0].sum() == 1
        assert data.warnings == (
            "target 'species': class 'bear' has one row, of which nothing can be learned and measured",
        )


def test_columns_of_text(frame, tmp_path):
    frame["name"] = [f"animal {i}" for i in range(N)]
    frame["length"] = [str(value) for value in frame["length"]]
    frame.loc[7, "length"] = "?"
    path = write(frame, tmp_path, ".csv")
    assert load_table(path, "weight", inputs="name").inputs.shape[1] == 30  # each level that trains is an input
    refused("column 'length': row 7 (the first is 0) is missing", path, "weight", inputs="length")
    refused("target 'length': row 7 (the first is 0) is missing", path, "length", inputs="rank")
    refused("'species' is text, but several targets must all be numbers", path, ["species", "weight"], inputs="rank")
    numbers = frame.drop(index=7)
    path = write(numbers, tmp_path, ".parquet")
    assert load_table(path, "length", inputs="rank").task == "regression"  # all of the text is numbers


def test_unequal_lengths_and_wrong_shapes(tmp_path):
    path = tmp_path / "arrays.npz"

    def save(**arrays):
        np.savez(path, **{"X": np.ones((N, 3)), "y": np.arange(N), **arrays})

    save(y=np.arange(N - 1))
    refused("array 'y' has 39 rows but arrays.npz has 40", path, "y")
    save(g=np.arange(N + 1))
    refused("array 'y' has 40 rows but arrays.npz has 41", path, "y", group="g")
    save(y=np.ones((N, 2, 2)))
    refused("column 'y' has dtype float64 and shape (40, 2, 2)", path, "y")
    save(g=np.ones((N, 2)))
    refused("column 'g' holds rows of numbers", path, "y", group="g")
    save(X=np.full((N, 3), "a"))
    refused("column 'X' has dtype <U1 and shape (40, 3): give numbers", path, "y")
    save(y=np.ones(N, complex))
    refused("column 'y' has dtype complex128 and shape (40,)", path, "y")
    np.save(tmp_path / "x.npy", np.ones((N, 2)))
    np.save(tmp_path / "y.npy", np.ones(N + 2))
    refused("array 'y.npy' has 42 rows but x.npy has 40", tmp_path / "x.npy", tmp_path / "y.npy")


def test_objects_are_never_unpickled(tmp_path):
    objects = np.array([{"a": 1}] * N, dtype=object)
    np.save(tmp_path / "x.npy", np.ones((N, 2)))
    np.save(tmp_path / "y.npy", objects, allow_pickle=True)
    refused("target: y.npy is an object array, which is never unpickled", tmp_path / "x.npy", tmp_path / "y.npy")
    np.savez(tmp_path / "arrays.npz", X=np.ones((N, 2)), y=objects)
    refused("path: array 'y' of arrays.npz is an object array", tmp_path / "arrays.npz", "y")


def test_wrong_containers(tmp_path):
    with (tmp_path / "x.npy").open("wb") as file:
        np.savez(file, X=np.ones((N, 2)))
    refused("is not one array: write it with numpy.save", tmp_path / "x.npy", tmp_path / "x.npy")
    with (tmp_path / "x.npz").open("wb") as file:
        np.save(file, np.ones((N, 2)))
    refused("is not an archive of arrays: write it with numpy.savez", tmp_path / "x.npz", "y")


def test_rows_longer_than_the_header(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("length,weight\n" + "1.0,2.0,3.0\n" * 10)
    refused("Expected 2 columns, got 3", path, "weight")


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_too_few_rows(frame, tmp_path, suffix):
    if suffix == ".csv":
        path = write(frame[:7], tmp_path, suffix)
    else:
        path = tmp_path / "arrays.npz"
        np.savez(path, X=np.ones((7, 2)), weight=np.arange(7))
    refused("has 7 rows of data: give at least 8", path, "weight")


@pytest.mark.parametrize("fraction", [-0.1, 1, np.nan])
def test_impossible_fractions(fraction, tmp_path):
    refused(
        f"eval_fraction={fraction!r} is not possible: give a fraction in [0, 1)", tmp_path, "y", eval_fraction=fraction
    )


def test_a_fraction_that_leaves_nothing_to_train_on(frame, tmp_path):
    refused("eval_fraction=0.99 leaves 0 of 40 rows", write(frame, tmp_path, ".csv"), "weight", eval_fraction=0.99)


@pytest.mark.parametrize(("suffix", "module"), [(".csv", "pandas"), (".parquet", "pandas"), (".parquet", "pyarrow")])
def test_missing_packages_are_named(frame, tmp_path, monkeypatch, suffix, module):
    path = write(frame, tmp_path, suffix)
    monkeypatch.setitem(sys.modules, module, None)
    message = f"reading {suffix} needs the package {module!r}: pip install 'spectral_sim[data]'"
    refused(message, path, "weight", error=ImportError)
