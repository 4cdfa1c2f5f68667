"""Files of arrays and facts: written whole, read back against a schema, one class of error."""

import csv
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from ._schema import Schema, explained, read_json, read_npz


class SavedFileError(ValueError):
    """A file that cannot serve; the message names the file, the field and what to do."""


def read_facts(path: Path, schema: Schema, fix: str) -> dict[str, Any]:
    """The values of a JSON file; raises `SavedFileError` unless they are as the schema says."""
    return explained(repr(str(path)), fix, SavedFileError, lambda: read_json(path.read_bytes(), schema))


def read_arrays(path: Path, schema: Schema, fix: str) -> dict[str, Any]:
    """The arrays of an .npz file; raises `SavedFileError` unless they are as the schema says."""
    return explained(repr(str(path)), fix, SavedFileError, lambda: read_npz(path.read_bytes(), schema))


def used(path: Path, field: str, fix: str, make: Callable[[], Any]) -> Any:
    """What `make()` makes of a field that fits its schema; where its own checks refuse the values, `SavedFileError`."""
    try:
        return make()
    except SavedFileError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = str(error).strip() or type(error).__name__
        raise SavedFileError(f"{str(path)!r}: {field} cannot be rebuilt ({reason}). {fix}") from error


def scalar(schema: Schema) -> Schema:
    """A number or a text that an .npz file holds as an array without axes."""

    def check(value: Any, field: str) -> Any:
        plain = isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "iufU"
        return schema(value.item() if plain else value, field)

    return check


def write_arrays(path: Path, arrays: dict[str, Any], *, compressed: bool) -> None:
    """Write an .npz file that outlasts a power cut."""
    save: Any = np.savez_compressed if compressed else np.savez
    write_durably(path, lambda file: save(file, **arrays))


def write_durably(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """As `write_whole` of an open file, which is on the disk before it is in its place."""

    def write_aside(aside: Path) -> None:
        with aside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())

    write_whole(path, write_aside)


def write_text(path: Path, text: str) -> None:
    """Write a file of text, as UTF-8."""
    write_whole(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as CSV."""

    def write(aside: Path) -> None:
        with aside.open("w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file)  # which leaves None empty
            lines.writerow(header)
            lines.writerows(rows)

    write_whole(path, write)


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """`write(aside)` to the side and move what it wrote into place, so that a file is always whole."""
    aside = path.with_name(f".{path.name}.part")
    write(aside)
    aside.replace(path)
