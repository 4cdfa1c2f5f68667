"""Small files of a store: written at once or not at all, on a local disk or at any address that fsspec knows."""

import contextlib
import json
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .._extras import require

__all__ = ["Folder", "StoreError", "open_folder"]


class StoreError(RuntimeError):
    """A store cannot be used; the message says why and what to do."""


def open_folder(address: str | os.PathLike) -> "Folder":
    """A folder by its path, or by an address such as "s3://bucket/sweep" or "memory://sweep"."""
    text = os.fspath(address)
    return RemoteFolder(text) if "://" in text else LocalFolder(Path(text))


class LocalFolder:
    """A folder on a disk of this machine (or one that it mounts)."""

    def __init__(self, path: Path):
        self.path = path
        self.zarr: Any = str(path)
        self._lock: Any = None

    def __str__(self) -> str:
        return str(self.path)

    def names(self, folder: str = "") -> set[str]:
        with contextlib.suppress(FileNotFoundError):
            return set(os.listdir(self.path / folder))
        return set()

    def read(self, name: str) -> bytes | None:
        with contextlib.suppress(FileNotFoundError):
            return (self.path / name).read_bytes()
        return None

    def write(self, name: str, data: bytes) -> None:
        """Replace a file: flushed to the disk under another name, then renamed."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.part")
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _flush(target.parent)

    def flush(self, names: Iterable[str]) -> dict[str, int]:
        """Force files onto the disk; returns their sizes."""
        sizes = {}
        for name in names:
            sizes[name] = os.stat(self.path / name).st_size
            _flush(self.path / name)
        return sizes

    def size(self, name: str) -> int:
        with contextlib.suppress(FileNotFoundError):
            return os.stat(self.path / name).st_size
        return -1

    def remove(self, name: str) -> None:
        import shutil

        target = self.path / name
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)

    def lock(self) -> None:
        """Take the folder for this process until `unlock`; the system gives it back if the process dies.

        Raises:
            StoreError: another process has it.
        """
        try:
            import fcntl
        except ImportError:  # not on Windows
            return
        self.path.mkdir(parents=True, exist_ok=True)
        file = open(self.path / "lock", "a+", encoding="utf-8")  # noqa: SIM115 - held until unlock()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            owner = file.read().strip() or "another process"
            file.close()
            raise StoreError(
                f"{self} is being written by {owner}: wait for it, stop it, or give this sweep a store of its own."
            ) from error
        file.truncate(0)
        file.write(_me())
        file.flush()
        self._lock = file

    def unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class RemoteFolder:
    """A folder behind fsspec; on object stores a file appears whole or not at all."""

    def __init__(self, address: str):
        fsspec = require("fsspec", f"the store {address}", "pip install fsspec (and the package for its protocol)")
        self.address = address
        self._files, self._root = fsspec.core.url_to_fs(address)
        self._locked = False

    @property
    def zarr(self) -> Any:
        from zarr.storage import FsspecStore

        return FsspecStore.from_url(self.address)

    def __str__(self) -> str:
        return self.address

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def names(self, folder: str = "") -> set[str]:
        self._files.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            return {path.rstrip("/").rsplit("/", 1)[-1] for path in self._files.ls(self._at(folder), detail=False)}
        return set()

    def read(self, name: str) -> bytes | None:
        with contextlib.suppress(FileNotFoundError):
            return self._files.cat_file(self._at(name))
        return None

    def write(self, name: str, data: bytes) -> None:
        self._files.makedirs(self._at(name).rsplit("/", 1)[0], exist_ok=True)
        self._files.pipe_file(self._at(name), data)

    def flush(self, names: Iterable[str]) -> dict[str, int]:
        return {name: self.size(name) for name in names}

    def size(self, name: str) -> int:
        with contextlib.suppress(FileNotFoundError):
            return int(self._files.size(self._at(name)))
        return -1

    def remove(self, name: str) -> None:
        self._files.rm(self._at(name), recursive=True)

    def lock(self) -> None:
        """Leave a note of who writes here; unlike a local lock it outlives a process that is killed.

        Raises:
            StoreError: somebody else's note is there, and on this machine its process is alive.
        """
        note = self.read("lock")
        owner = json.loads(note) if note else None
        if owner and not (owner["host"] == socket.gethostname() and _is_gone(owner["process"])):
            raise StoreError(
                f"{self} is being written by process {owner['process']} on {owner['host']}: wait for it; if it is "
                "gone, delete the file 'lock' there."
            )
        self.write("lock", json.dumps({"host": socket.gethostname(), "process": os.getpid()}).encode())
        self._locked = True

    def unlock(self) -> None:
        if self._locked:
            self.remove("lock")
            self._locked = False


Folder = LocalFolder | RemoteFolder


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _me() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
