"""Stores: what is committed counts, what is not is computed again, and nothing is ever mixed up."""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import QUICK

import spectral_sim as ss
from spectral_sim.sweeps import Local, StoreError, SweepInterrupted, open_table
from spectral_sim.sweeps._folder import LocalFolder

PROBLEM = ss.power_law(1.7, 1.9, max_mode=1e4, nodes=40)
TIMES = ss.log_times(0.1, 1e3, 17)
SPEC = ss.grid(ss.power_tilt(0.5, cutoff=30.0), exponent=np.linspace(0, 1, 11), cutoff=[3.0, 30.0, 300.0])
METRICS = "final_loss", "exponent", "loss"
QUICKLY = Local(QUICK)
ARRAYS = ["final_loss", "exponent", "exponent_stderr", "exponent_drift", "loss", "status", "refresh", "times"]
BEGUN = json.dumps({"format": 2, "begun": True, "arrays": [*ARRAYS, "power_tilt.exponent", "power_tilt.cutoff"]})


def run(store, spec=SPEC, **options):
    return ss.sweep(PROBLEM, spec, TIMES, metrics=METRICS, store=store, engine=QUICKLY, **{"chunk_size": 4, **options})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished store of nine chunks, and its table."""
    store = tmp_path_factory.mktemp("sweeps") / "finished"
    return store, run(store).load()


@pytest.fixture
def copy(finished, tmp_path):
    return Path(shutil.copytree(finished[0], tmp_path / "copy"))


def computed_again(store, **options):
    """How many rows a resumed sweep computes, and its table."""
    states = []
    table = run(store, progress=states.append, **options).load()
    return states[-1].done - states[0].resumed if states else 0, table


def assert_same(table, expected):
    assert set(table.variables) == set(expected.variables)
    for name in expected.variables:
        np.testing.assert_array_equal(table[name], expected[name], err_msg=name)


def test_a_store_holds_what_memory_would(finished):
    table = ss.sweep(PROBLEM, SPEC, TIMES, metrics=METRICS, chunk_size=4, engine=QUICKLY)
    assert_same(finished[1], table)
    assert finished[1].attrs["complete"] == 1
    assert set(finished[1].coords) == set(table.coords)


def test_a_finished_sweep_compiles_and_computes_nothing(finished, monkeypatch):
    monkeypatch.setattr("spectral_sim.sweeps._engines.Program", None)
    rows, table = computed_again(finished[0])
    assert rows == 0
    assert_same(table, finished[1])
    rows, _ = computed_again(finished[0], chunk_size=None)  # the store's own
    assert rows == 0


def test_a_chunk_counts_only_once_it_is_in_the_manifest_and_whole(copy, finished):
    (copy / "manifest" / "3.json").unlink()  # written, not committed
    (copy / "final_loss" / "c" / "5").unlink()  # committed, lost since
    with open(copy / "exponent" / "c" / "8", "r+b") as file:  # committed, cut short since; the last chunk has one row
        file.truncate(5)
    (copy / "manifest" / "7.json").write_text("{")  # half a manifest entry
    with pytest.warns(UserWarning, match=r"chunk \d counts as missing"):
        assert open_table(copy).attrs["complete"] == 0
    rows, table = computed_again(copy)
    assert rows == 4 + 4 + 4 + 1
    assert_same(table, finished[1])


def test_rows_that_are_missing_say_so(copy):
    shutil.rmtree(copy / "manifest")
    for array in ("status", "final_loss"):
        shutil.rmtree(copy / array / "c")
    table = open_table(copy)
    np.testing.assert_array_equal(table.status, -1)
    assert np.all(np.isnan(table.final_loss))
    assert (table.attrs["complete"], table.attrs["chunks_done"]) == (0, 0)


def test_a_store_that_was_only_begun_is_begun_again(copy, finished):
    (copy / "manifest.json").write_text(BEGUN)  # killed while the arrays were laid out
    rows, table = computed_again(copy)
    assert rows == 33
    assert_same(table, finished[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"spec": ss.grid(ss.power_tilt(0.5, cutoff=30.0), exponent=[0.25])},
            r"holds another sweep \(\w+, this is \w+\)",
        ),
        ({"chunk_size": 5}, "is in chunks of 4 rows, and chunk_size is 5"),
        ({"resume": False}, "holds a sweep already: go on with it by resume=True"),
    ],
)
def test_a_store_of_something_else_is_refused(finished, change, message):
    with pytest.raises(StoreError, match=message):
        run(finished[0], **change)


def test_what_differs_is_named_with_both_values(finished, copy):
    with pytest.raises(StoreError, match=r"times.sha256 is .* there and .* here|times.shape"):
        ss.sweep(PROBLEM, SPEC, ss.log_times(0.1, 1e3, 18), metrics=METRICS, store=finished[0], chunk_size=4)
    problem = ss.power_law(np.float32(1.7), np.float32(1.9), max_mode=1e4, nodes=40)
    with pytest.raises(StoreError, match="holds a sweep in float64, and this one is in float32"):
        ss.sweep(problem, SPEC, TIMES, metrics=METRICS, store=finished[0], chunk_size=4)
    manifest = json.loads((copy / "manifest.json").read_text())
    for name, version in (("jax", "0.1.2"), ("spectral_sim", "9.9")):
        changed = {**manifest, "versions": {**manifest["versions"], name: version}}
        (copy / "manifest.json").write_text(json.dumps(changed))
        with pytest.raises(StoreError, match=f"was written by {name} {version}, and this is {name} "):
            run(copy)


def test_folders_that_are_no_stores(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match="holds something that is no sweep"):
        run(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "zarr.json").write_text("{}")  # a Zarr group of somebody else's
    with pytest.raises(StoreError, match="holds something that is no sweep"):
        run(tmp_path / "data")
    with pytest.raises(StoreError, match="holds no sweep: check the address"):
        open_table(tmp_path / "nothing")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "manifest.json").write_text("{")
    with pytest.raises(
        StoreError, match=r"store/manifest.json is damaged .* cannot be read as JSON .*: line 1.*Restore the file"
    ):
        run(tmp_path / "store")


def test_a_second_sweep_is_refused_while_one_writes(tmp_path, finished):
    """Whatever it calls the store."""
    path = tmp_path / "a store"
    refused = []

    def second(state):
        for address in (path, path.as_uri()):
            with pytest.raises(StoreError, match=f"is being written by process {os.getpid()} on"):
                run(address)
            refused.append(address)

    assert_same(run(path.as_uri(), progress=second), finished[1])
    assert len(refused) == 18
    assert_same(open_table(path), finished[1])
    assert computed_again(path)[0] == 0
    assert not (path / "lock").exists()


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch, finished):
    write, calls = LocalFolder.write, []

    def failing(self, name, data):
        calls.append(name)
        if len(calls) == 6:  # the manifest, twice, three entries, and then
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, name, data)

    monkeypatch.setattr(LocalFolder, "write", failing)
    with pytest.raises(StoreError, match=r"cannot be written: No space left on device. What was finished is kept"):
        run(tmp_path / "store")
    assert open_table(tmp_path / "store").attrs["chunks_done"] == 3
    rows, table = computed_again(tmp_path / "store")
    assert rows == 33 - 3 * 4
    assert_same(table, finished[1])


def test_a_store_that_may_not_be_written(tmp_path, monkeypatch):
    def refused(self, name, data):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(LocalFolder, "write", refused)  # root may write anywhere, so permissions would prove nothing
    with pytest.raises(StoreError, match="cannot be written: Permission denied"):
        run(tmp_path / "store")


def test_an_address_of_fsspec(finished):
    fsspec = pytest.importorskip("fsspec")
    rows, table = computed_again("memory://sweeps/table")
    assert rows == 33
    assert_same(table, finished[1])
    rows, table = computed_again("memory://sweeps/table")
    assert rows == 0
    files = fsspec.filesystem("memory")
    files.rm("/sweeps/table/manifest/2.json")
    note = {"host": socket.gethostname(), "process": os.getpid()}
    files.pipe_file("/sweeps/table/lock", json.dumps(note).encode())
    with pytest.raises(StoreError, match="is being written by process"):
        run("memory://sweeps/table")
    files.rm("/sweeps/table/lock")
    assert computed_again("memory://sweeps/table")[0] == 4


def test_an_interrupt_finishes_the_chunk_in_flight_and_says_how_to_resume(tmp_path, finished):
    def interrupt(state):
        if state.done == 8:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    said = r"interrupted with \d+ of 33 rows in .*: go on with the same sweep by resume=True\."
    with pytest.raises(SweepInterrupted, match=said):
        run(tmp_path / "store", progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    done = open_table(tmp_path / "store").attrs["chunks_done"]
    assert 2 <= done < 9
    rows, table = computed_again(tmp_path / "store")
    assert rows == 33 - 4 * done
    assert_same(table, finished[1])


SLOW = """
import sys, time
import jax
jax.config.update("jax_enable_x64", True)
import test_store as t
import spectral_sim as ss
from spectral_sim.sweeps import _plan
start = _plan.Program.start
def slow(self, chunk):
    print(chunk, flush=True)
    time.sleep(0.05)
    return start(self, chunk)
_plan.Program.start = slow
t.run(sys.argv[1])
"""


def test_killed_at_any_moment_the_table_is_the_same_bit_for_bit(tmp_path, finished):
    """Three kills here, one while a store is begun; a script of twenty is a matter of a larger number."""
    here = os.path.dirname(__file__)
    paths = [here, os.path.dirname(here), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "JAX_PLATFORMS": "cpu"}
    store, started, kills = tmp_path / "store", [], 0
    for wait_for in (1, 3, 2):
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW, str(store)], env=environment, stdout=subprocess.PIPE, text=True
        )
        seen = []
        while len(seen) < wait_for and (line := process.stdout.readline()):
            seen.append(int(line))
        time.sleep(0.03 * kills)
        process.kill()
        seen += [int(line) for line in process.stdout.read().split()]
        process.wait()
        started += seen
        kills += 1
    done = open_table(store).attrs["chunks_done"]
    assert done < 9
    # at most two are lost by a kill: the one being computed and the one being written
    assert len(started) - done <= 2 * kills
    rows, table = computed_again(store)
    assert rows > 0
    assert_same(table, finished[1])
    assert jax.config.jax_enable_x64
