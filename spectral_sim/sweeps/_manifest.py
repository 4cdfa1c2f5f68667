"""What a store says of itself, each kind of file with one schema.

`manifest.json` says what the sweep is and how its arrays were laid out; `manifest/3.json` says that chunk 3 of the rows
is there. Both hold a checksum of every file that they speak of. What else they say that numbers depend on is in them
twice, or in the files that they check.
"""

import hashlib
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from .._identity import fingerprint
from .._schema import Malformed, choice, explained, integer, items, mapping, plain, read_json, record, text
from ._errors import StoreError
from ._spec import MOST_ROWS

FORMAT = 2
MANIFEST, ENTRIES = "manifest.json", "manifest"
_FIX = "Restore the file, or give the sweep another folder."


class Sum(NamedTuple):
    """What the content of a file is checked by.

    Arguments:
        bytes: its length.
        sha256: its hash.
    """

    bytes: int
    sha256: str


def sum_of(data: bytes) -> Sum:
    """The checksum of the content of a file."""
    return Sum(len(data), hashlib.sha256(data).hexdigest())


def _sum(value: Any, field: str) -> Sum:
    return Sum(**record(bytes=integer(low=0), sha256=text(longest=64))(value, field))


_BEGUN = record(format=choice(FORMAT), begun=choice(True), arrays=items(text()))
_FINISHED = record(
    format=choice(FORMAT),
    title=text(),
    hash=text(longest=64),
    description=plain(),
    versions=mapping(text()),
    dtype=text(),
    device_kind=text(),
    rows=integer(low=1, high=MOST_ROWS),
    chunk=integer(low=1, high=MOST_ROWS),
    blocks=items(record(paths=items(text(), least=1), length=integer(low=1, high=MOST_ROWS)), least=1),
    files=mapping(_sum),
)
_ENTRY = record(
    None, plain(), chunk=integer(low=0), rows=items(integer(low=0), length=2), files=mapping(_sum)
)  # and notes on who computed it


def entry_name(chunk: int) -> str:
    """Where the entry of a chunk lies."""
    return f"{ENTRIES}/{chunk}.json"


def read_manifest(folder: Any, data: bytes) -> dict[str, Any]:
    """A manifest from its bytes: of a store that is laid out, or, with a key `begun`, of one that is not yet.

    Raises:
        StoreError: a file of another format or of something else, or a damaged one.
    """
    return explained(f"{folder}/{MANIFEST}", _FIX, StoreError, lambda: _manifest(folder, data))


def read_entry(folder: Any, chunk: int, data: bytes, rows: slice, files: Mapping[str, int]) -> dict[str, Sum]:
    """The checksums of the files of a chunk, from the bytes of its entry.

    Arguments:
        folder: for messages.
        chunk: which one it is to be.
        data: what the file holds.
        rows: the rows of that chunk.
        files: its files and their lengths.

    Raises:
        StoreError: another chunk's entry, or a damaged one.
    """

    def read() -> dict[str, Sum]:
        entry = read_json(data, _ENTRY)
        for name, ours in (("chunk", chunk), ("rows", [rows.start, rows.stop])):
            if entry[name] != ours:
                raise Malformed(name, f"is {entry[name]}, not {ours}")
        check_files(entry["files"], files)
        return entry["files"]

    return explained(f"{folder}/{entry_name(chunk)}", "Run the same sweep again to compute it anew.", StoreError, read)


def check_files(files: Mapping[str, Sum], expected: Mapping[str, int | None]) -> None:
    """Raise Malformed unless checksums are those of the expected files, with the expected lengths."""
    for name in sorted(files.keys() ^ expected.keys()):
        raise Malformed(f"files.{name}", "is missing" if name in expected else "is no file of this store")
    for name, length in expected.items():
        if length is not None and files[name].bytes != length:
            raise Malformed(f"files.{name}.bytes", f"is {files[name].bytes}, and its numbers take {length}")


def _manifest(folder: Any, data: bytes) -> dict[str, Any]:
    value = read_json(data, plain())
    if not isinstance(value, dict) or "format" not in value:
        raise Malformed("format", "is missing: this is the manifest of something else")
    if isinstance(value["format"], int) and value["format"] in range(FORMAT):
        raise StoreError(
            f"{folder} holds a sweep in format {value['format']}, and this version of the library reads {FORMAT}: give "
            "another folder, or the version that wrote it."
        )
    if "begun" in value:
        return _BEGUN(value, "")
    manifest = _FINISHED(value, "")
    product = math.prod(block["length"] for block in manifest["blocks"])
    for name, ours in (("rows", product), ("hash", fingerprint(manifest["description"]))):
        if manifest[name] != ours:
            raise Malformed(name, f"is {manifest[name]}, and the rest makes it {ours}")
    return manifest
