"""One writer for a store, wherever it lies.

Who writes a store owns the file `lock` there: a note of who that is. The note is created together with its content,
and only where there is none; nobody ever overwrites one. Local folders and those behind fsspec share this protocol.

The note of an owner that is gone is taken away by whoever makes a second file first, which bears the name of that very
note: so of two that find it one goes on. Whether an owner is gone, the system tells at once where the file lies on a
local disk, because the owner holds it; elsewhere only a process of the same machine can be asked for.
"""

import hashlib
import json
import os
import secrets
import socket
from typing import Any

from .._schema import Malformed, boolean, either, integer, nothing, read_json, record, text
from ._errors import StoreError

LOCK = "lock"
_TRIES = 20
_NOTE = record(
    {"started": either(nothing(), integer()), "token": text(), "held": boolean()}, host=text(), process=integer(low=1)
)


class Lock:
    """The right to write a folder.

    Arguments:
        folder: where.
    """

    def __init__(self, folder: Any):
        self._folder = folder
        self._hold: Any = None
        self._note = b""

    def take(self) -> None:
        """Take the folder for this process until `release`.

        Raises:
            StoreError: somebody else has it.
        """
        process = os.getpid()
        note = {
            "host": socket.gethostname(),
            "process": process,
            "started": _start_of(process),
            "token": secrets.token_hex(16),
            "held": self._folder.can_hold,
        }
        self._note = json.dumps(note).encode()
        for _ in range(_TRIES):
            self._hold = self._folder.create(LOCK, self._note)
            if self._hold is not None:
                # a file system that cannot create a file only where there is none may have let two through
                if self._folder.read(LOCK) == self._note:
                    return
                self._hold.close()
            self._clear()
        raise StoreError(f"{self._folder} changes hands too fast to be taken: try again.")

    def release(self) -> None:
        """Give the folder back."""
        if self._hold is not None:
            if self._folder.read(LOCK) == self._note:
                self._folder.remove(LOCK)
            self._hold.close()
            self._hold = None

    def _clear(self) -> None:
        """Take away the note of an owner that is gone; raise StoreError if it is not."""
        found = self._folder.read(LOCK)
        if found is None:  # given back since
            return
        owner = self._owner(found)
        held = self._folder.is_held(LOCK) if owner.get("held") else None
        gone = not held if held is not None else _is_gone(owner)
        if not gone:
            raise StoreError(
                f"{self._folder} is being written by process {owner['process']} on {owner['host']}: wait for it, stop "
                f"it, or give this sweep a store of its own. If it is gone, delete the file '{LOCK}' there."
            )
        claim = f"{LOCK}.{hashlib.sha256(found).hexdigest()[:32]}"
        hold = self._folder.create(claim, self._note)
        if hold is None:
            raise StoreError(
                f"{self._folder} is being taken over by another process: try again. If there is none, delete the files "
                f"'{LOCK}' and '{claim}' there."
            )
        try:
            if self._folder.read(LOCK) == found:  # only who has the claim may remove it
                self._folder.remove(LOCK)
        finally:
            self._folder.remove(claim)
            hold.close()

    def _owner(self, data: bytes) -> dict[str, Any]:
        try:
            return read_json(data, _NOTE)
        except Malformed as error:
            raise StoreError(
                f"{self._folder}/{LOCK} is no note of a writer ({error}): if nothing writes there, delete that file."
            ) from error


def _start_of(process: int) -> int | None:
    """When a process began, in ticks since the machine did: numbers of processes are used again. None if unknown."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def _is_gone(owner: dict[str, Any]) -> bool:
    if owner["host"] != socket.gethostname():
        return False
    try:
        os.kill(owner["process"], 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass
    return owner.get("started") is not None and _start_of(owner["process"]) not in (owner["started"], None)
