"""Stores that were damaged or made up: what is read is what was written, or an error that names the file."""

import copy as copying
import json
import os
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers import QUICK

import spectral_sim as ss
from spectral_sim.sweeps import Local, LossAt, StoreError, open_table

PROBLEM = ss.power_law(1.7, 1.9, num_modes=8)
TIMES = ss.log_times(0.1, 1e2, 9)
SPEC = ss.grid(ss.power_tilt(0.5, cutoff=30.0), exponent=np.linspace(0, 1, 7))
METRICS = "final_loss", LossAt([1.0, 10.0])
CHUNKS = 4


def run(store, **options):
    options = {"metrics": METRICS, "chunk_size": 2, "engine": Local(QUICK), **options}
    return ss.sweep(PROBLEM, SPEC, TIMES, store=store, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    store = tmp_path_factory.mktemp("sweeps") / "finished"
    return store, run(store).load()


@pytest.fixture
def copy(finished, tmp_path):
    return Path(shutil.copytree(finished[0], tmp_path / "copy"))


def computed_again(store):
    states = []
    table = run(store, progress=states.append).load()
    return states[-1].done - states[0].resumed if states else 0, table


def changed(data, kind):
    if kind == "zeros":
        return b"\0" * len(data)
    if kind == "one bit":
        return data[:3] + bytes([data[3] ^ 4]) + data[4:]
    if kind == "of another chunk":
        return data[::-1]
    return {"cut": data[:-3], "longer": data + b"\0" * 8, "empty": b""}[kind]


@pytest.mark.parametrize("file", ["final_loss/c/1", "status/c/1", "loss_at/c/1/0", "power_tilt.exponent/c/1"])
@pytest.mark.parametrize("kind", ["zeros", "one bit", "of another chunk", "cut", "longer", "empty"])
def test_a_changed_chunk_is_refused_by_readers_by_name(copy, finished, file, kind):
    data = (copy / file).read_bytes()
    data = data if len(data) > 3 else bytes([1, 2, 3, 4])
    (copy / file).write_bytes(changed(data, kind))
    table, name = open_table(copy), file.partition("/")[0]
    assert table.attrs["complete"] == 1  # nothing was read yet
    with pytest.raises(StoreError, match=rf"copy/{file} was changed .*Run the same sweep again"):
        table[name].load()
    for other in set(finished[1].variables) - {name}:
        np.testing.assert_array_equal(table[other], finished[1][other])


def test_changed_and_missing_chunks_are_computed_again(copy, finished):
    for n, kind in enumerate(("zeros", "one bit", "cut")):
        file = copy / "final_loss" / "c" / str(n)
        file.write_bytes(changed(file.read_bytes(), kind))
    (copy / "loss_at" / "c" / "3" / "0").unlink()
    rows, table = computed_again(copy)
    assert rows == 7
    assert table.equals(finished[1])
    assert computed_again(copy)[0] == 0


def test_only_what_was_damaged_is_computed_again(copy, finished):
    (copy / "refresh" / "c" / "2").write_bytes(b"\1" * 8)
    rows, table = computed_again(copy)
    assert rows == 2
    assert table.equals(finished[1])


@pytest.mark.parametrize("gone", ["final_loss/c/1", "loss_at/c/1/0", "status/c/1"])
def test_a_chunk_that_lost_a_file_counts_as_missing_and_is_told(copy, finished, gone):
    (copy / gone).unlink()
    with pytest.warns(UserWarning, match=rf"chunk 1 counts as missing: .*copy/{gone} is missing"):
        table = open_table(copy)
    assert (table.attrs["complete"], table.attrs["chunks_done"]) == (0, CHUNKS - 1)
    np.testing.assert_array_equal(table.status, [0, 0, -1, -1, 0, 0, 0])
    np.testing.assert_array_equal(np.isnan(table.final_loss), [0, 0, 1, 1, 0, 0, 0])
    rows = [0, 1, 4, 5, 6]
    np.testing.assert_array_equal(table.loss_at[rows], finished[1].loss_at[rows])


def test_a_file_of_a_chunk_that_is_not_entered_is_not_read(copy):
    """A kill between the numbers and the entry leaves numbers that may be cut."""
    (copy / "manifest" / "1.json").unlink()
    (copy / "final_loss" / "c" / "1").write_bytes(b"\0\0\0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = open_table(copy).load()
    assert np.isnan(table.final_loss[2:4]).all()
    assert computed_again(copy)[0] == 2


@pytest.mark.parametrize("file", ["at/c/0", "zarr.json", "manifest.json"])
def test_a_damaged_layout_is_refused_by_readers_and_writers(copy, file):
    data = (copy / file).read_bytes()
    (copy / file).write_bytes(data[:-1])
    with pytest.raises(StoreError, match=rf"copy/{file} (was changed|is damaged)"):
        open_table(copy).load()
    if file != "at/c/0":  # which resume does not look at
        with pytest.raises(StoreError, match=f"copy/{file}"):
            run(copy)


EDITS = {
    "manifest.json": [
        ("rows", -4),
        ("rows", 2.5),
        ("chunk", 0),
        ("chunk", 10**30),
        ("blocks", []),
        ("blocks", [{"paths": ["x"]}]),
        ("blocks", [{"paths": ["x"], "length": 7}]),
        ("versions", None),
        ("versions", {"jax": 3}),
        ("files", {}),
        ("files", {"../../etc/passwd": {"bytes": 1, "sha256": ""}}),
        ("hash", "0"),
        ("description", {}),
        ("dtype", 64),
        ("title", None),
        ("format", "2"),
        ("format", 3),
        ("more", 1),
    ],
    "manifest/1.json": [
        ("chunk", 2),
        ("chunk", -1),
        ("rows", [0, 2]),
        ("rows", "2:4"),
        ("files", {}),
        ("files", {"final_loss/c/1": {"bytes": 16, "sha256": "0"}}),
        ("files", None),
    ],
}


@pytest.mark.parametrize(("file", "field", "value"), [(f, *edit) for f, edits in EDITS.items() for edit in edits])
def test_what_parses_but_is_malformed_is_named(copy, finished, file, field, value):
    path = copy / file
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    if file == "manifest.json":
        with pytest.raises(StoreError, match=rf"copy.*({field}|blocks|hash|format|zarr.json).*(Restore|give|delete)"):
            open_table(copy)
    else:
        with pytest.warns(UserWarning, match=rf"chunk 1 counts as missing: .*copy/{file} is damaged.*{field}"):
            assert open_table(copy).attrs["complete"] == 0
        assert computed_again(copy)[1].equals(finished[1])


def mutations(rng, data):
    """A malformed version of a JSON file: bytes cut or flipped, or a value of another kind, size or depth."""
    kind = rng.integers(7)
    if kind == 0:
        return data[: rng.integers(len(data))]
    if kind == 1:
        cut = bytearray(data)
        for place in rng.integers(len(cut), size=3):
            cut[place] ^= 1 << rng.integers(8)
        return bytes(cut)
    value = json.loads(data)
    holder, key = place_in(rng, value)
    if kind == 2:
        del holder[key]
    elif kind == 3:
        holder[key] = [None, True, -4, 0.5, "x", [], {}, float("nan"), 10**40][rng.integers(9)]
    elif kind == 4:
        other, there = place_in(rng, value)
        holder[key] = copying.deepcopy(other[there])
    elif kind == 5:
        depth = int(rng.choice([50, 400, 100_000]))
        return json.dumps(value).encode().replace(b":", b":" + b"[" * depth + b"]" * depth + b",", 1)
    else:
        holder[key] = int(rng.choice([-1, 2**31, 2**62]))
    return json.dumps(value).encode()


def place_in(rng, value):
    """A random place in nested lists and dictionaries."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[rng.integers(len(keys))]
    inner = value[key]
    if isinstance(inner, dict | list) and inner and rng.random() < 0.7:
        return place_in(rng, inner)
    return value, key


@pytest.mark.parametrize("file", ["manifest.json", "zarr.json", "manifest/2.json", "status/c/2", "at/c/0"])
def test_a_malformed_store_ends_in_store_error_or_is_read_right(copy, finished, file):
    """Thirty versions of each; those of zarr's own file come with a checksum that fits."""
    rng = np.random.default_rng(sum(file.encode()))
    path, good, manifest = copy / file, (copy / file).read_bytes(), (copy / "manifest.json").read_bytes()
    ends = {"refused": 0, "incomplete": 0, "right": 0}
    for _ in range(30):
        if file.endswith(".json"):
            bad = mutations(rng, good)
        else:
            bad = bytes(rng.integers(256, size=rng.integers(20), dtype=np.uint8))
        path.write_bytes(bad)
        if file == "zarr.json":
            from spectral_sim.sweeps._manifest import sum_of

            told = json.loads(manifest)
            told["files"][file] = sum_of(bad)._asdict()
            (copy / "manifest.json").write_text(json.dumps(told))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                table = open_table(copy).load()
        except StoreError:
            ends["refused"] += 1
            continue
        there = np.asarray(table.status) >= 0
        ends["right" if there.all() else "incomplete"] += 1
        for name in finished[1].data_vars:
            np.testing.assert_array_equal(table[name][there], finished[1][name][there], err_msg=name)
    assert ends["refused"] + ends["incomplete"] > 20


def test_nothing_in_a_store_is_run_or_unpickled(copy, tmp_path):
    """Arrays of objects, as zarr's older format holds them pickled, and in this format with a checksum that fits."""
    proof = tmp_path / "proof"

    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {proof}",)

    root = tmp_path / "evil"
    (root / "final_loss").mkdir(parents=True)
    array = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "compressor": None, "fill_value": None}
    array |= {"order": "C", "filters": [{"id": "pickle", "protocol": 5}]}
    about = {"_ARRAY_DIMENSIONS": ["schedules"]}
    both = {"final_loss/.zarray": array, "final_loss/.zattrs": about}
    whole = {"zarr_consolidated_format": 1, "metadata": {".zgroup": {"zarr_format": 2}, ".zattrs": {}, **both}}
    for name, value in {".zgroup": {"zarr_format": 2}, ".zattrs": {}, ".zmetadata": whole, **both}.items():
        (root / name).write_text(json.dumps(value))
    (root / "final_loss" / "0").write_bytes(pickle.dumps(Hostile()))
    good = json.loads((copy / "manifest.json").read_text())
    for manifest in ({"format": 1, "title": "t", "rows": 1, "chunk": 1, "blocks": []}, good):
        (root / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(StoreError):
            open_table(root).load()
    from spectral_sim.sweeps._manifest import sum_of

    for codec in ("pickle", "numcodecs.pickle", "zstd", "vlen-utf8"):
        layout = json.loads((copy / "zarr.json").read_text())
        layout["consolidated_metadata"]["metadata"]["final_loss"]["codecs"] = [{"name": codec}]
        data = json.dumps(layout).encode()
        (copy / "zarr.json").write_bytes(data)
        good["files"]["zarr.json"] = sum_of(data)._asdict()
        (copy / "manifest.json").write_text(json.dumps(good))
        with pytest.raises(StoreError, match=r"final_loss.codecs\[0\].name is"):
            open_table(copy).load()
    assert not proof.exists()


def test_a_store_of_an_older_format_is_told(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "format": 1}))
    with pytest.raises(StoreError, match="holds a sweep in format 1, and this version of the library reads 2"):
        open_table(copy)


BEGUN = {"format": 2, "begun": True, "arrays": ["final_loss", "status"]}


@pytest.mark.parametrize(
    ("manifest", "others"),
    [
        (BEGUN, ["thesis.tex"]),
        (BEGUN, ["final_loss/notes.txt"]),
        (BEGUN, ["photos/c/1"]),
        (BEGUN, ["manifest/list.json"]),
        ({"format": 1, "begun": True}, ["thesis.tex"]),
        ({"begun": True}, []),
        ({"name": "app", "version": "1.0"}, ["index.html"]),
        (None, ["manifest/3.json"]),
        (None, ["zarr.json", "final_loss/c/0"]),
        (None, ["lockers.txt"]),
        (None, [".thesis.part"]),
    ],
)
def test_a_folder_of_something_else_keeps_every_file(tmp_path, manifest, others):
    """Also one with a file that looks like a manifest of ours: a sweep removes only what a sweep can have written."""
    files = {name: "years of work" for name in others}
    if manifest is not None:
        files["manifest.json"] = json.dumps(manifest)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(StoreError, match=r"holds something that is no sweep \(|manifest.json is damaged|in format 1"):
        run(tmp_path)
    assert {p.relative_to(tmp_path).as_posix(): p.read_text() for p in tmp_path.rglob("*") if p.is_file()} == files


def test_what_a_killed_beginning_left_is_taken_away(tmp_path, finished):
    """Also where another sweep, with other arrays, had begun there."""
    left = [
        "zarr.json",
        "final_loss/zarr.json",
        "final_loss/c/0",
        "loss_at/c/3/0",
        "other/zarr.json",
        "manifest/7.json",
    ]
    hidden = [".manifest.json.part", "manifest/.2.json.part", "other/c/1." + "a" * 32 + ".partial"]
    for name in (*left, *hidden):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{")
    begun = {**BEGUN, "arrays": ["final_loss", "loss_at", "other"]}
    (tmp_path / "manifest.json").write_text(json.dumps(begun))
    assert run(tmp_path).load().equals(finished[1])
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and ("other" in str(p) or "part" in p.name)]
