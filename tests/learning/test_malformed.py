"""Files that are cut, changed bit by bit or made up: each ends in one class of error, or in what was written."""

import io
import json
import pickle
import zipfile

import equinox as eqx
import jax
import numpy as np
import pytest
from helpers import make_problem

import spectral_sim as ss
from spectral_sim.learning._saved import _digest

TIMES = ss.log_times(0.5, 50.0, 5)


class Payload:
    """Something that would run if it were unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


def search(path, **options):
    problem = ss.power_law(2.0, 2.0, num_modes=10)
    table = ss.TableSchedule.create(problem, TIMES, num_basis=3)
    settings = {"objective": ss.terminal_log_loss(), "steps": 4, "report_every": 2, **options}
    return ss.learning.search(problem, table, TIMES, checkpoint=path, **settings)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One file of each format, what reads it, and what it gives."""
    folder = tmp_path_factory.mktemp("written")
    problem = make_problem("grouped")
    schedule = ss.chain(ss.TableSchedule.create(problem, TIMES, cap=(0.2, 4.0)), ss.mix(0.25))
    found = ss.learn(problem, schedule, TIMES, objective=ss.terminal_log_loss(), steps=1)
    ss.learning.save_schedule(schedule, folder / "schedule.json")
    found.save(folder / "learned.json")
    for suffix in ("npz", "parquet"):
        found.sampler_weights().save(folder / f"sampler.{suffix}")

    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(folder / "search.npz", report=interrupt)
    readers = {
        "schedule.json": ss.learning.load_schedule,
        "schedule.npz": lambda path: ss.learning.load_schedule(path.with_suffix(".json")),
        "learned.json": ss.load_learned,
        "learned.npz": lambda path: ss.load_learned(path.with_suffix(".json")),
        "sampler.npz": ss.learning.load_sampler_weights,
        "sampler.parquet": ss.learning.load_sampler_weights,
        "search.npz": search,
    }
    content = {name: (folder / name).read_bytes() for name in readers}
    return folder, {name: (read, content[name], leaves(read(folder / name))) for name, read in readers.items()}


def leaves(value):
    """Everything that a result holds, to be compared."""
    parts = vars(value) if isinstance(value, ss.learning.SamplerWeights) else value
    return [np.asarray(leaf) if eqx.is_array_like(leaf) else repr(leaf) for leaf in jax.tree.leaves(parts)]


def outcome(path, read, data):
    """What changed bytes are read as, or the error that they end in."""
    original = path.read_bytes()
    path.write_bytes(data)
    try:
        return read(path)
    except ss.learning.SavedFileError as error:
        return error
    finally:
        path.write_bytes(original)


def ends_well(path, read, data, expected):
    """Whether changed bytes are refused; otherwise what is read is what was written."""
    found = outcome(path, read, data)
    if isinstance(found, ss.learning.SavedFileError):
        assert path.stem in str(found)
        return True
    found = leaves(found)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    return False


def arrays_of(data):
    with np.load(io.BytesIO(data)) as file:
        return dict(file)


def archive(arrays, allow_pickle=False):
    buffer = io.BytesIO()
    if allow_pickle:
        with zipfile.ZipFile(buffer, "w") as file:
            for name, value in arrays.items():
                part = io.BytesIO()
                np.lib.format.write_array(part, np.asarray(value), allow_pickle=True)
                file.writestr(f"{name}.npy", part.getvalue())
    else:
        np.savez(buffer, **arrays)
    return buffer.getvalue()


FORMATS = (
    "schedule.json",
    "schedule.npz",
    "learned.json",
    "learned.npz",
    "sampler.npz",
    "sampler.parquet",
    "search.npz",
)


@pytest.mark.parametrize("name", FORMATS)
def test_cut_and_flipped_files(written, name):
    """A dozen lengths and three dozen single bits of each."""
    folder, formats = written
    read, data, expected = formats[name]
    path, rng = folder / name, np.random.default_rng(len(name))
    for length in [0, 1, len(data) - 1, *rng.integers(2, len(data) - 1, 9)]:
        assert ends_well(path, read, data[:length], expected) or name.endswith(".json")  # a final newline may go
    refused = 0
    for bit in rng.integers(0, 8 * len(data), 36):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << (bit % 8)
        refused += ends_well(path, read, bytes(changed), expected)
    assert refused > 8  # the rest flips what nobody reads, such as dates in an archive
    assert not ends_well(path, read, data, expected)


@pytest.mark.parametrize("name", ["schedule.npz", "learned.npz", "sampler.npz", "search.npz"])
def test_arrays_of_other_types_shapes_and_names(written, name):
    folder, formats = written
    read, data, expected = formats[name]
    path, arrays = folder / name, arrays_of(data)
    objects = np.empty(1, object)
    objects[0] = Payload()
    for key, value in arrays.items():
        others = [value[None], np.zeros(3, "datetime64[s]"), np.zeros((2, 0)), np.ones(2, complex), np.array("text")]
        for other in others:
            assert ends_well(path, read, archive({**arrays, key: other}), expected), (key, other.dtype, other.shape)
        assert ends_well(path, read, archive({**arrays, key: objects}, allow_pickle=True), expected)
        assert ends_well(path, read, archive({k: v for k, v in arrays.items() if k != key}), expected)
    assert ends_well(path, read, archive({**arrays, "more": np.ones(2)}), expected)
    for junk in (b"", b"PK", pickle.dumps(Payload()), archive({}), b"\x93NUMPY" + bytes(200), b"{" * 100):
        assert ends_well(path, read, junk, expected)


@pytest.mark.parametrize(
    ("field", "value"),
    [("done", -4), ("done", 3), ("done", 5), ("done", 2.0), ("version", 1), ("fingerprint", "0"), ("history", np.nan)],
)
def test_a_checkpoint_that_says_something_else_is_refused(written, field, value):
    folder, formats = written
    read, data, _ = formats["search.npz"]
    found = outcome(folder / "search.npz", read, archive({**arrays_of(data), field: np.asarray(value)}))
    assert isinstance(found, ss.learning.SavedFileError)
    assert field in str(found)


DEEP = "[" * 100_000 + "]" * 100_000
STRANGE = (None, True, -1, 2.5, 10**400, "x", [], {}, [1, "a"], {"stage": 3}, {"array": 5}, {"per_refresh": "nowhere"})


@pytest.mark.parametrize("name", ["schedule.json", "learned.json"])
def test_facts_of_other_types(written, name):
    """The hash is made to fit, so that it is the schema and the classes that refuse, or nothing is wrong."""
    folder, formats = written
    read, data, expected = formats[name]
    path, facts = folder / name, json.loads(data)
    stored = arrays_of(path.with_suffix(".npz").read_bytes())
    for junk in (
        b"",
        b"null",
        b"[]",
        b"3",
        DEEP.encode(),
        b'{"a":' * 5000,
        b"\xff\xfe",
        b"1" * 5000,
        pickle.dumps(Payload()),
    ):
        assert ends_well(path, read, junk, expected)

    def with_hash(told):
        told = {key: value for key, value in told.items() if key != "digest"}
        return json.dumps({**told, "digest": _digest(told, stored)}).encode()

    for key in facts:
        assert ends_well(path, read, with_hash({k: v for k, v in facts.items() if k != key}), expected) or key in (
            "digest",
            "dynamics",
        )
        for value in STRANGE:
            if key == "digest" or value == facts[key]:
                continue
            try:
                ends_well(path, read, with_hash({**facts, key: value}), expected)
            except AssertionError:  # a fact that is as good as another, read as it stands
                assert key in ("arrays", "value", "gap", "last", "best_start", "dynamics")
    for n, stage in enumerate(facts["stages"]):
        for key in stage:
            for value in (*STRANGE, "uniform"):
                changed = [*facts["stages"]]
                changed[n] = {**stage, key: value}
                found = outcome(path, read, with_hash({**facts, "stages": changed}))
                if not isinstance(found, ss.learning.SavedFileError):  # another value of a field may be as good
                    schedule = getattr(found, "schedule", found)
                    assert np.isfinite(ss.simulate(make_problem("grouped"), schedule, TIMES).loss).all(), (key, value)
