"""Tables with something wrong: each loads as it should, or is refused by column, reason and an option that exists."""

import inspect
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from spectral_sim.problems import load_table

N = 60


def _column(cells, name="x0"):
    """A table of numbers with one column replaced, as text of a .csv file."""
    rows = [f"{cell},{i * 7 % 11 / 2},{i * 5 % 13 / 4 + 0.1}" for i, cell in enumerate(cells)]
    return "\n".join([f"{name},x1,y", *rows]) + "\n"


def _numbers(stray="", at=7):
    cells = [f"{i * 3 % 17 / 2}" for i in range(N)]
    if stray != "":
        cells[at] = stray
    return cells


def _frame(**columns):
    frame = {"x1": [i * 7 % 11 / 2 for i in range(N)], "y": [i * 5 % 13 / 4 + 0.1 for i in range(N)]}
    return pa.table({**columns, **frame})


GOOD = _column(_numbers())
TARGETS = [f"{i * 7 % 13 * 0.5}" for i in range(N)]


def _target(stray):
    return _column([*TARGETS[:5], stray, *TARGETS[6:]], "score")


# name: (file, content, target, options, part of the message)
REFUSED = {
    **{
        f"stray {marker!r} among inputs": ("t.csv", _column(_numbers(marker)), "y", {}, "column 'x0': row 7")
        for marker in (" nan", "NA", "?", " ", "N/A", "null", "NaN ", "-", "none", "#N/A", "<NA>", "missing")
    },
    **{
        f"stray {marker!r} in the target": ("t.csv", _target(marker), "score", {}, "target 'score': row 5")
        for marker in (" nan", "NA", "?", "-", " ", "None")
    },
    "infinity": ("t.csv", _column(_numbers("inf")), "y", {}, "column 'x0': row 7 (the first is 0) is inf"),
    "a count of gaps": (
        "t.csv",
        _column(["", "?"] * 30),
        "x1",
        {"drop": "y", "inputs": "x0"},
        "'x0' has no value in any",
    ),
    "no target value": ("t.csv", _column(["nan"] * N), "x0", {}, "target 'x0': no value is a number or a name, all 60"),
    "text among numbers": ("t.csv", _column([*(f"{i}.5" for i in range(N - 1)), "abc"]), "y", {}, "drop='x0'"),
    "text in a target": ("t.csv", _target("abc"), "score", {}, "row 5, the first being 0, is 'abc' among numbers"),
    "too many classes": (
        "t.csv",
        "x,y\n" + "".join(f"{i % 7},k{i % 55}\n" for i in range(300)),
        "y",
        {},
        "'y' has 55 classes in 300 rows: give task='classification'",
    ),
    "every row a class": (
        "t.csv",
        _column([f"t{i}" for i in range(N)]),
        "x0",
        {"task": "classification"},
        "'x0' has 60 classes in 60 rows: almost every row",
    ),
    "text as a number": ("t.csv", _column(["a", "b"] * 30), "x0", {"task": "regression"}, "give task='classification'"),
    "constant target": ("t.csv", _column(["4"] * N), "x0", {}, "column 'x0' is constant (4)"),
    "constant text": ("t.csv", _column(["a"] * N), "x0", {}, "column 'x0' is constant (a)"),
    "constant inputs": (
        "t.csv",
        "x,y\n" + "".join(f"1,{i}.5\n" for i in range(N)),
        "y",
        {},
        "every input column is constant",
    ),
    "only identifiers": (
        "t.csv",
        "id,y\n" + "".join(f"{i},{i * 7 % 5}.5\n" for i in range(N)),
        "y",
        {},
        "name them with inputs",
    ),
    "only the target": (
        "t.csv",
        "y\n" + "".join(f"{i * 7 % 5}.5\n" for i in range(N)),
        "y",
        {},
        "inputs is left without",
    ),
    "unknown target": ("t.csv", GOOD, "z", {}, "target='z' is not in t.csv"),
    "unknown input": ("t.csv", GOOD, "y", {"inputs": ["x9"]}, "inputs='x9' is not in t.csv"),
    "unknown drop": ("t.csv", GOOD, "y", {"drop": "x9"}, "drop='x9' is not in t.csv"),
    "unknown group": ("t.csv", GOOD, "y", {"group": "x9"}, "group='x9' is not in t.csv"),
    "unknown noise": ("t.csv", GOOD, "y", {"noise_column": "x9"}, "noise_column='x9' is not in t.csv"),
    "unknown split": ("t.csv", GOOD, "y", {"split": "time", "split_by": "x9"}, "split_by='x9' is not in t.csv"),
    "unknown value": ("t.csv", GOOD, "y", {"eval_where": "x1=99"}, "eval_where='x1=99' matches no row"),
    "no value": ("t.csv", GOOD, "y", {"eval_where": "x1"}, "eval_where='x1': write COLUMN=VALUE"),
    "target dropped": ("t.csv", GOOD, "y", {"drop": "y"}, "drop='y' is also target='y'"),
    "target an input": ("t.csv", GOOD, "y", {"inputs": ["y"]}, "inputs='y' is the target too"),
    "input dropped": ("t.csv", GOOD, "y", {"drop": "x0", "inputs": ["x0"]}, "drop='x0' is also inputs='x0'"),
    "split without column": ("t.csv", GOOD, "y", {"split": "group"}, "split='group' needs split_by"),
    "column without split": ("t.csv", GOOD, "y", {"split_by": "x1"}, "split_by='x1' goes with split='group'"),
    "two evaluations": (
        "t.csv",
        GOOD,
        "y",
        {"eval_where": "x1=1", "eval_fraction": 0.5},
        "eval_where and eval_fraction are",
    ),
    "time of text": (
        "t.csv",
        _column(["a", "b", "c"] * 20),
        "y",
        {"split": "time", "split_by": "x0"},
        "split_by='x0' is text, which has no order",
    ),
    "one group": ("t.csv", _column(["a"] * N), "y", {"split": "group", "split_by": "x0"}, "there is one group only"),
    "noise of words": ("t.csv", _column(["a", "b"] * 30), "y", {"noise_column": "x0"}, "noise_column='x0' holds 'a'"),
    "all noise": ("t.csv", _column(["1"] * N), "y", {"noise_column": "x0"}, "is true in every training row"),
    "unknown policy": ("t.csv", GOOD, "y", {"missing": "mode"}, "missing='mode' is not known"),
    "unknown task": ("t.csv", GOOD, "y", {"task": "ranking"}, "task='ranking' is not known"),
    "classes of two": (
        "t.csv",
        GOOD,
        ["y", "x1"],
        {"task": "classification"},
        "task='classification' takes one target",
    ),
    "too little left": (
        "t.csv",
        _column([*["1", "2", "3"], *[""] * 57]),
        "y",
        {"missing": "drop"},
        "missing='drop' leaves 3",
    ),
    "equal names": ("t.csv", GOOD.replace("x1", "x0"), "y", {}, "two columns are called 'x0'"),
    "equal names but for spaces": ("t.csv", GOOD.replace("x1", " x0 "), "y", {}, "two columns are called 'x0'"),
    "no header": ("t.csv", GOOD.split("\n", 1)[1], "y", {}, "The first line holds numbers"),
    "short row": ("t.csv", GOOD + "1.0,2.0\n", "y", {}, "Expected 3 columns, got 2"),
    "long row": ("t.csv", GOOD + "1.0,2.0,3.0,4.0\n", "y", {}, "Expected 3 columns, got 4"),
    "seven rows": ("t.csv", "\n".join(GOOD.split("\n")[:8]), "y", {}, "t.csv has 7 rows of data"),
    "header only": ("t.csv", "x0,x1,y\n", "y", {}, "has 0 rows of data"),
    "nothing": ("t.csv", "", "y", {}, "is empty, damaged"),
    "blank lines": ("t.csv", "\n\n \n", "y", {}, "is empty, damaged"),
    "Latin-1": ("t.csv", GOOD.replace("x0", "größe").encode("latin-1"), "y", {}, "give encoding='latin-1'"),
    "unknown encoding": ("t.csv", GOOD, "y", {"encoding": "klingon"}, "cannot be read with encoding='klingon'"),
    "encoding of arrays": ("t.parquet", _frame(), "y", {"encoding": "utf-8"}, "encoding='utf-8' is for .csv and .tsv"),
    "no gzip": ("t.csv.gz", GOOD, "y", {}, "is empty, damaged"),
    "no zstd": ("t.tsv.zst", GOOD, "y", {}, "is empty, damaged"),
    "no parquet": ("t.parquet", GOOD, "y", {}, "is empty, damaged or not a .parquet file"),
    "no arrow": ("t.arrow", GOOD, "y", {}, "is empty, damaged or not a .arrow file"),
    "no JSON": ("t.jsonl", GOOD, "y", {}, "is empty, damaged or not a .jsonl file"),
    "unknown kind": ("t.xlsx", GOOD, "y", {}, "has an unknown suffix"),
    "uneven lists": ("t.parquet", _frame(e=[[1.0] * (2 + (i == 9)) for i in range(N)]), "y", {}, "row 9 differs"),
    "lists of text": ("t.parquet", _frame(e=[["a", "b"]] * N), "y", {}, "not of numbers: leave it out: drop='e'"),
    "lists as text": ("t.parquet", _frame(e=[f"[{i}, 2]" for i in range(N)]), "y", {}, "holds lists written as text"),
    "a gap in a list": (
        "t.parquet",
        _frame(e=[[1.0 * i, None if i == 4 else 2.0 * (i % 3)] for i in range(N)]),
        "y",
        {},
        "column 'e[1]': row 4 (the first is 0) is missing",
    ),
    "structures": ("t.parquet", _frame(e=[{"a": i} for i in range(N)]), "y", {}, "column 'e' holds struct"),
    "pictures": ("t.parquet", _frame(e=[b"\x89PNG"] * N), "y", {}, "column 'e' holds binary"),
    "lists as groups": (
        "t.parquet",
        _frame(e=[[i, 2 * i] for i in range(N)]),
        "y",
        {"group": "e"},
        "'e' holds rows of numbers",
    ),
}


def _write(folder, name, content):
    path = folder / name
    if isinstance(content, pa.Table):
        pyarrow.parquet.write_table(content, path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_named(case, tmp_path):
    name, content, target, options, message = REFUSED[case]
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load_table(_write(tmp_path, name, content), target, **options)
    text = str(caught.value)
    assert "\n" not in text
    # every option that a message writes with a value is an argument of load_table
    valid = set(inspect.signature(load_table).parameters)
    assert {found for found in re.findall(r"\b([a-z_]+)=['\[\d]", text)} <= valid


def test_there_are_many_of_them():
    assert len(REFUSED) >= 60


@pytest.mark.parametrize("marker", [" nan", "NA", "?", " ", "none", "null"])
def test_gaps_are_filled_or_left_out(tmp_path, marker):
    path = _write(tmp_path, "t.csv", _column(_numbers(marker)))
    dropped = load_table(path, "y", missing="drop", eval_fraction=0)
    assert dropped.inputs.shape == (N - 1, 2)
    assert any("column 'x0': 1 rows without a value left out" in note for note in dropped.notes)
    filled = load_table(path, "y", missing="mean", eval_fraction=0)
    assert filled.inputs.shape == (N, 3)
    row = int(np.flatnonzero(filled.rows == 7)[0])
    assert abs(filled.inputs[row, 0]) < 1e-12  # the mean, standardised
    assert filled.inputs[row, 1] == filled.inputs[:, 1].max() > 0  # the indicator


def test_a_stray_marker_makes_no_class(tmp_path):
    data = load_table(_write(tmp_path, "t.csv", _target(" nan")), "score", missing="drop")
    assert (data.task, len(data.rows) + len(data.eval_rows)) == ("regression", N - 1)
    labels = ["cat" if i % 2 else "dog" if i else "dog " for i in range(N)]
    data = load_table(_write(tmp_path, "t.csv", _column(labels, " label ")), "label")
    assert data.target_names == ("cat", "dog")


def _zstd(text: str) -> bytes:
    return pa.compress(text.encode(), codec="zstd", asbytes=True)


FORMATS = {
    "a.csv": lambda f, p: f.to_csv(p, index=False),
    "tabs.tsv": lambda f, p: f.to_csv(p, index=False, sep="\t"),
    "bars.csv": lambda f, p: f.to_csv(p, index=False, sep="|"),
    "spaces.csv": lambda f, p: p.write_text(f.to_string(index=False)),
    "decimal.csv": lambda f, p: f.to_csv(p, index=False, sep=";", decimal=","),
    "tabs_in.csv": lambda f, p: f.to_csv(p, index=False, sep="\t", decimal=","),
    "packed.csv.gz": lambda f, p: f.to_csv(p, index=False),
    "packed.tsv.zst": lambda f, p: p.write_bytes(_zstd(f.to_csv(index=False, sep="\t"))),
    "mark.csv": lambda f, p: f.to_csv(p, index=False, encoding="utf-8-sig"),
    "wide.csv": lambda f, p: f.to_csv(p, index=False, encoding="utf-16"),
    "bare.csv": lambda f, p: f.to_csv(p, index=False, encoding="utf-16-le"),
    "a.parquet": lambda f, p: f.to_parquet(p),
    "a.feather": lambda f, p: pyarrow.feather.write_feather(f, p),
    "a.jsonl": lambda f, p: f.to_json(p, orient="records", lines=True, double_precision=15),
}


@pytest.mark.parametrize("name", FORMATS)
def test_one_table_in_every_format(tmp_path, name):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=N).round(3), "b": rng.choice(["red", "blue"], N)})
    frame["y"] = rng.normal(size=N).round(3)
    FORMATS[name](frame, tmp_path / name)
    data = load_table(tmp_path / name, "y", eval_fraction=0)
    a = frame["a"].to_numpy()[data.rows]
    np.testing.assert_allclose(data.inputs[:, 0], (a - a.mean()) / a.std(), atol=1e-9)
    np.testing.assert_array_equal(data.inputs[:, 1] > 0, frame["b"].to_numpy()[data.rows] == "blue")
