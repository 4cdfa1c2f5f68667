"""Small files of a store: written at once or not at all, on a local disk or at any address that fsspec knows."""

import contextlib
import importlib
import os
import secrets
import threading
import urllib.parse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .._extras import require
from .._files import write_durably

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

_creating = threading.Lock()  # not every file system in memory creates a file in one step


def open_folder(address: str | os.PathLike[str]) -> "Folder":
    """A folder by its path, by "file://" and its path, or by an address such as "s3://bucket/sweep"."""
    text = os.fspath(address)
    path = _local_path(text)
    return RemoteFolder(text) if path is None else LocalFolder(path)


def check_folder(address: str | os.PathLike[str]) -> None:
    """Raise ImportError unless the package that an address needs is installed."""
    if _local_path(os.fspath(address)) is None:
        _fsspec(os.fspath(address))


def _local_path(address: str) -> Path | None:
    """The path that an address stands for; None if it is none of this machine."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        root = address.removeprefix("file:")  # "file:/path" names the same file as "file:///path"
        return Path(root if root.startswith("/") else address).expanduser()
    if scheme.lower() not in ("file", "local"):
        return None
    host, slash, path = rest.partition("/")
    # after "file://" comes a host, which may be left out; some leave out the root instead
    local = f"/{path}" if slash and host in ("", "localhost") else rest
    return Path(urllib.parse.unquote(local))


class LocalFolder:
    """A folder on a disk of this machine (or one that it mounts)."""

    can_hold = fcntl is not None

    def __init__(self, path: Path):
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def zarr(self) -> Any:
        """The same folder as a store of zarr."""
        from zarr.storage import LocalStore

        return LocalStore(self.path)

    def sizes(self) -> dict[str, int]:
        """Every file in it and below, with its size."""
        found = {}
        for folder, _, names in os.walk(self.path):
            for name in names:
                file = Path(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    found[file.relative_to(self.path).as_posix()] = file.stat().st_size
        return found

    def read(self, name: str) -> bytes | None:
        with contextlib.suppress(FileNotFoundError):
            return (self.path / name).read_bytes()
        return None

    def write(self, name: str, data: bytes) -> None:
        """Replace a file: flushed to the disk under another name, then renamed."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_durably(target, lambda file: file.write(data))
        _flush(target.parent)

    def flush(self, names: Iterable[str]) -> None:
        """Force files onto the disk."""
        for name in names:
            _flush(self.path / name)

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def create(self, name: str, data: bytes) -> Any:
        """Make a file with its content at once where there is none, and hold it until what is returned is closed.

        Returns:
            None if there is one already.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        aside = self.path / f".{name[:12]}.{secrets.token_hex(8)}.part"
        file = _held(aside, data)
        try:
            os.link(aside, self.path / name)
        except FileExistsError:
            file.close()
            return None
        except OSError:  # a file system without links: the content comes a moment after the file
            file.close()
            try:
                return _held(self.path / name, data)
            except FileExistsError:
                return None
        finally:
            aside.unlink()
        return file

    def is_held(self, name: str) -> bool | None:
        """Whether a process holds a file that it created; None if that cannot be told."""
        if fcntl is None:
            return None
        with contextlib.suppress(FileNotFoundError), open(self.path / name, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            except OSError:  # a file system without locks
                return None
        return False


class RemoteFolder:
    """A folder behind fsspec; on object stores a file appears whole or not at all."""

    can_hold = False

    def __init__(self, address: str):
        self.address = address
        self._files, self._root = _fsspec(address).core.url_to_fs(address)

    @property
    def zarr(self) -> Any:
        """The same folder as a store of zarr."""
        from zarr.storage import FsspecStore

        return FsspecStore.from_url(self.address)

    def __str__(self) -> str:
        return self.address

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def sizes(self) -> dict[str, int]:
        """Every file in it and below, with its size."""
        self._files.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            files = self._files.find(self._root, detail=True)
            start = len(self._root.rstrip("/")) + 1
            return {path[start:]: int(about["size"] or 0) for path, about in files.items()}
        return {}

    def read(self, name: str) -> bytes | None:
        with contextlib.suppress(FileNotFoundError):
            return self._files.cat_file(self._at(name))
        return None

    def write(self, name: str, data: bytes) -> None:
        """Replace a file."""
        self._files.makedirs(self._at(name).rsplit("/", 1)[0], exist_ok=True)
        self._files.pipe_file(self._at(name), data)

    def flush(self, names: Iterable[str]) -> None:
        """Nothing to do: what was written is there."""

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._at(name))

    def create(self, name: str, data: bytes) -> Any:
        """Make a file where there is none, in one step where the file system offers that; None if there is one."""
        self._files.makedirs(self._root, exist_ok=True)
        self._files.invalidate_cache()
        with _creating:
            if self._files.exists(self._at(name)):  # for file systems that would overwrite it
                return None
            try:
                self._create(self._at(name), data)
            except FileExistsError:
                return None
        return contextlib.ExitStack()  # holds nothing

    def _create(self, path: str, data: bytes) -> None:
        base = importlib.import_module("fsspec").AbstractFileSystem
        if not self._files.async_impl and type(self._files).pipe_file is base.pipe_file:
            # that would look first and write then; file systems with real files can do it in one step
            with contextlib.suppress(NotImplementedError, ValueError), self._files.open(path, "xb") as file:
                file.write(data)
                return
        self._files.pipe_file(path, data, mode="create")

    def is_held(self, name: str) -> bool | None:
        """None: a file behind fsspec cannot be held."""
        return None


Folder = LocalFolder | RemoteFolder


def _held(path: Path, data: bytes) -> Any:
    """A new file with its content on the disk, held by this process if the file system can do that."""
    file = open(path, "x+b")  # noqa: SIM115 - held until it is closed
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    file.write(data)
    file.flush()
    os.fsync(file.fileno())
    return file


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _fsspec(address: str) -> Any:
    return require("fsspec", f"the store {address}", "pip install fsspec (and the package for its protocol)")
