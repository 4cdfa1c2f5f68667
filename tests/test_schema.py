"""Schemas: what fits passes unchanged, what does not is named by its field, and nothing else is ever raised."""

import io
import json
import pickle

import numpy as np
import pytest

from spectral_sim._schema import (
    Malformed,
    array,
    boolean,
    choice,
    either,
    explained,
    integer,
    items,
    mapping,
    nothing,
    number,
    plain,
    read_json,
    read_npz,
    record,
    text,
)

ENTRY = record(
    {"note": plain()},
    chunk=integer(low=0),
    rows=items(integer(low=0), length=2),
    files=mapping(record(bytes=integer(low=0), sha256=text(longest=64))),
    kind=choice("grid", "random"),
    rate=either(nothing(), number(low=0)),
    whole=boolean(),
)
GOOD = {
    "chunk": 3,
    "rows": [0, 4],
    "files": {"loss/c/0": {"bytes": 8, "sha256": "ab"}},
    "kind": "grid",
    "rate": None,
    "whole": True,
    "note": {"host": ["a", 1, None]},
}


def read(value):
    return read_json(json.dumps(value).encode(), ENTRY)


def test_what_fits_is_returned_as_it_is():
    assert read(GOOD) == GOOD
    assert read({**GOOD, "rate": 2}) == {**GOOD, "rate": 2}
    assert read({key: value for key, value in GOOD.items() if key != "note"})["chunk"] == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chunk": -4}, "chunk is -4, not 0 or more"),
        ({"chunk": True}, "chunk is True, not a whole number"),
        ({"chunk": 1.0}, "chunk is 1.0, not a whole number"),
        ({"chunk": -int("9" * 4000)}, r"chunk is -9+\.\.\., not 0 or more"),
        ({"rows": [1]}, "rows has 1 entries, not 2"),
        ({"rows": {"0": 1}}, "rows is {'0': 1}, not a list"),
        ({"rows": [0, None]}, r"rows\[1\] is None, not a whole number"),
        ({"files": []}, r"files is \[\], not a dictionary"),
        ({"files": {"a": {"bytes": 1}}}, "files.a.sha256 is missing"),
        ({"files": {"a": {"bytes": 1, "sha256": "a" * 65}}}, "files.a.sha256 has 65 characters"),
        ({"kind": "sobol"}, "kind is 'sobol', not 'grid' or 'random'"),
        ({"kind": ["grid"]}, "kind is"),
        ({"rate": -1.0}, "rate is -1.0, not None|rate is -1.0, not 0 or more"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"whole": 1}, "whole is 1, not True or False"),
        ({"other": 1}, "other is not known here"),
    ],
)
def test_what_does_not_fit_is_named_by_its_field(change, message):
    with pytest.raises(Malformed, match=message):
        read({**GOOD, **change})


def test_a_field_that_is_left_out_is_named():
    for name in GOOD.keys() - {"note"}:
        with pytest.raises(Malformed, match=f"{name} is missing") as caught:
            read({key: value for key, value in GOOD.items() if key != name})
        assert caught.value.field == name


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 400 + b"]" * 400,
        b"1" * 10_000,
        b"NaN",
        b"9" * 5_000,
        json.dumps(GOOD)[:-40].encode(),
    ],
)
def test_any_bytes_end_in_one_class(data):
    with pytest.raises(Malformed):
        read_json(data, ENTRY)


@pytest.mark.parametrize("levels", [400, 100_000])
def test_what_is_nested_without_end_is_refused(levels):
    for data in (b"[" * levels + b"]" * levels, b'{"a":' * levels + b"1" + b"}" * levels):
        with pytest.raises(Malformed, match="is nested too deeply"):
            read_json(data, plain())


def test_the_error_names_file_field_and_fix():
    with pytest.raises(
        RuntimeError, match=r"^entry 3 is damaged or not what it should be: chunk is 'x'.*\. Run again\.$"
    ):
        explained("entry 3", "Run again.", RuntimeError, lambda: read({**GOOD, "chunk": "x"}))
    assert explained("entry 3", "Run again.", RuntimeError, lambda: read(GOOD)) == GOOD


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


ARRAYS = record(done=array("iu", shape=()), history=array("f", shape=(None, 2), finite=True))


def test_arrays_are_held_against_their_kind_and_shape():
    good = {"done": np.array(3), "history": np.ones((4, 2))}
    assert read_npz(npz(**good), ARRAYS)["history"].shape == (4, 2)
    for change, message in (
        ({"done": np.array(3.0)}, "done holds float64"),
        ({"history": np.ones(4)}, r"history has the shape \(4,\), not \(None, 2\)"),
        ({"history": np.full((4, 2), np.nan)}, "history holds values that are not finite"),
        ({"more": np.ones(1)}, "more is not known here"),
    ):
        with pytest.raises(Malformed, match=message):
            read_npz(npz(**{**good, **change}), ARRAYS)


class Opened:
    seen = False

    def __reduce__(self):
        return _open, ()


def _open():
    Opened.seen = True


def test_damaged_or_hostile_arrays_end_in_one_class_and_run_nothing():
    whole = npz(done=np.array(3), history=np.ones((4, 2)))
    rng = np.random.default_rng(0)
    for n in range(60):
        data = bytearray(whole)
        if n % 2:
            data = data[: rng.integers(len(data))]
        else:
            for place in rng.integers(len(data), size=4):
                data[place] ^= 1 << rng.integers(8)
        try:
            found = read_npz(bytes(data), ARRAYS)
        except Malformed:
            continue
        np.testing.assert_array_equal(found["history"], 1.0)
    for data in (pickle.dumps(Opened()), npz(done=np.array([Opened()], object)), b""):
        with pytest.raises(Malformed, match="cannot be read as arrays"):
            read_npz(data, ARRAYS)
    assert not Opened.seen
