"""One writer for a store, by whatever address, and whoever died there before."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from spectral_sim.sweeps import StoreError
from spectral_sim.sweeps._folder import LocalFolder, RemoteFolder, open_folder
from spectral_sim.sweeps._lock import Lock

fsspec = pytest.importorskip("fsspec")

ROOT = Path(__file__).resolve().parents[2]


class OnDisk(RemoteFolder):
    """A local folder behind fsspec, as a share that another machine mounts too would be."""

    def __init__(self, path):
        self.address = f"share://{path}"
        self._files, self._root = fsspec.filesystem("file"), str(path)


@pytest.fixture(params=["local", "file", "memory", "share"])
def folder(request, tmp_path):
    """A function that opens the same folder again and again, as further writers would."""
    if request.param == "memory":
        address = f"memory://{tmp_path.name}-{request.node.name}"
        return lambda: open_folder(address)
    make = {"local": open_folder, "file": lambda path: open_folder(Path(path).as_uri()), "share": OnDisk}
    return lambda: make[request.param](tmp_path / "a store")


def note(**changes):
    own = {"host": socket.gethostname(), "process": os.getpid(), "started": None, "token": "0", "held": False}
    return json.dumps({**own, **changes}).encode()


def gone():
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_second_writer_is_refused_until_the_first_is_done(folder):
    first, second = Lock(folder()), Lock(folder())
    first.take()
    for _ in range(3):
        with pytest.raises(StoreError, match=f"is being written by process {os.getpid()} on {socket.gethostname()}"):
            second.take()
    second.release()  # of nothing: the first one still has it
    with pytest.raises(StoreError, match="is being written"):
        second.take()
    first.release()
    second.take()
    second.release()
    assert not [name for name in folder().sizes() if "lock" in name]


def test_of_many_at_once_one_gets_it(folder):
    barrier, got, refused = threading.Barrier(8), [], []

    def contend():
        lock = Lock(folder())
        barrier.wait()
        try:
            lock.take()
            got.append(lock)
        except StoreError:
            refused.append(lock)

    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 7)
    got[0].release()


def test_the_note_of_a_process_that_is_gone_is_taken_over(folder):
    folder().write("lock", note(process=gone()))
    lock = Lock(folder())
    lock.take()
    assert json.loads(folder().read("lock"))["process"] == os.getpid()
    lock.release()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells when a process began")
def test_another_process_with_the_number_of_one_that_is_gone_does_not_hold_it(folder):
    folder().write("lock", note(started=1))
    lock = Lock(folder())
    lock.take()
    assert json.loads(folder().read("lock"))["process"] == os.getpid()
    lock.release()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (note(host="elsewhere"), "is being written by process .* on elsewhere.*If it is gone, delete the file 'lock'"),
        (note(process=1), "is being written by process 1 on"),
        (b"process 12 on here", "lock is no note of a writer .*if nothing writes there, delete that file"),
        (b"", "lock is no note of a writer"),
        (b"[" * 100_000, "lock is no note of a writer .*nested"),
        (note(process="1"), "lock is no note of a writer .*process is '1', not a whole number"),
    ],
    ids=["elsewhere", "running", "words", "empty", "deep", "wrong type"],  # a note holds the number of this process
)
def test_a_note_that_may_be_somebodys_is_left_alone(folder, text, message):
    folder().write("lock", text)
    with pytest.raises(StoreError, match=message):
        Lock(folder()).take()
    assert folder().read("lock") == text


def test_of_those_that_find_a_note_of_nobody_one_takes_it_over(folder):
    """Also where one of them was slow: it looked before the others took over, and acts after."""
    folder().write("lock", note(process=gone()))
    slow = folder()
    read, looked = slow.read, []

    def late(name):
        found = read(name)
        if not looked:
            looked.append(name)
            winner.take()  # between the look and the act of the slow one
        return found

    winner = Lock(folder())
    slow.read = late
    with pytest.raises(StoreError, match="is being written by"):
        Lock(slow).take()
    assert looked
    winner.release()


SCRIPT = """
import sys, time
from spectral_sim.sweeps._folder import open_folder
from spectral_sim.sweeps._lock import Lock
lock = Lock(open_folder(sys.argv[1]))
lock.take()
print("taken", flush=True)
time.sleep(60)
"""


def holding(address):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    other = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(address)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert other.stdout.readline() == "taken\n"
    return other


def test_processes_share_one_protocol_whatever_they_call_the_folder(tmp_path):
    """One by its path, one by file://, one through fsspec; killed, it gives the folder back."""
    path = tmp_path / "a store"
    kinds = {"path": open_folder, "file": lambda path: open_folder(path.as_uri()), "share": OnDisk}
    for address in (path, path.as_uri()):
        other = holding(address)
        try:
            for make in kinds.values():
                with pytest.raises(StoreError, match=f"is being written by process {other.pid} on"):
                    Lock(make(path)).take()
        finally:
            other.kill()
            other.wait()
        for make in kinds.values():
            lock = Lock(make(path))
            lock.take()
            for second in kinds.values():
                with pytest.raises(StoreError, match=f"is being written by process {os.getpid()} on"):
                    Lock(second(path)).take()
            lock.release()


def test_a_file_url_is_its_path(tmp_path):
    for text in (
        f"file://{tmp_path}/a",
        f"file:{tmp_path}/a",
        f"file://localhost{tmp_path}/a",
        f"FILE://{tmp_path}/a",
        f"local://{tmp_path}/a",
    ):
        found = open_folder(text)
        assert isinstance(found, LocalFolder)
        assert found.path == tmp_path / "a"
    assert open_folder((tmp_path / "a b%c").as_uri()).path == tmp_path / "a b%c"
    assert open_folder("file://here/below").path == Path("here/below")
    assert open_folder("a:b").path == Path("a:b")
    assert open_folder("~/sweep").path == Path.home() / "sweep"
