"""Files as named columns, before anything is made of them. pyarrow and pandas do the reading."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..._checks import nearest
from ..._extras import require
from ..._wording import option
from ._read_numpy import read_array, read_npz
from ._read_text import TableFault, read_delimited

_COMPRESSED = (".gz", ".zst")


@dataclass(frozen=True)
class RawTable:
    """Named columns of one length.

    Arguments:
        name: name of the file, for messages.
        columns: pyarrow chunked arrays or NumPy arrays by name, in the order of the file.
        length: number of rows.
    """

    name: str
    columns: dict[str, Any]
    length: int


def read_table(argument: str, path: str | Path, encoding: str | None = None) -> RawTable:
    """Read a file, or a folder that the `datasets` package wrote, into columns.

    Arguments:
        argument: the option that the path was given by, for messages.
        path: the file or folder.
        encoding: of a text file; UTF-8, or what its byte order mark says, if None.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is empty, damaged, of an unknown kind, or too short, or columns of equal names.
        ImportError: pandas or pyarrow is not installed.
    """
    path = Path(path)
    if path.is_dir() and ((path / "state.json").is_file() or (path / "dataset_dict.json").is_file()):
        return _from_arrow(argument, path, _read_arrow("a datasets folder", lambda: _read_folder(argument, path), path))
    if not path.is_file():
        raise FileNotFoundError(f"{option(argument, str(path))} is not a file: check the name and the folder.")
    kind = _kind(path)
    if kind not in (*_READERS, ".npz", ".npy"):
        valid = (*_READERS, ".npz", ".npy")
        raise ValueError(f"{option(argument, str(path))} has an unknown suffix.{nearest(kind, valid)}")
    if encoding is not None and kind not in (".csv", ".tsv"):
        raise ValueError(f"{option('encoding', encoding)} is for .csv and .tsv, not {kind}: leave it out.")
    if kind in (".npz", ".npy"):
        arrays = read_npz(argument, path) if kind == ".npz" else {path.name: read_array(argument, path)}
        length = max((len(array) for array in arrays.values() if array.ndim), default=0)
        return RawTable(path.name, arrays, length)
    require("pandas", f"reading {kind}")
    require("pyarrow", f"reading {kind}")
    return _from_arrow(argument, path, _read_arrow(f"a {kind} file", lambda: _READERS[kind](path, encoding), path))


def one_table(first: RawTable, second: RawTable, names: list[str]) -> RawTable:
    """The rows of the first table, then those of the second.

    Arguments:
        first: the training file.
        second: the evaluation file.
        names: columns that are used; others may differ.

    Raises:
        ValueError: a column that the second file lacks, or that holds something else there.
    """
    columns: dict[str, Any] = {}
    for name in names:
        if name not in second.columns:
            raise ValueError(
                f"{option('eval', second.name)} has no column {name!r}, which {first.name} has: add it, or leave it "
                f"out with {option('drop', name)}.{nearest(name, list(second.columns)[:40])}"
            )
        columns[name] = _joined(name, first.columns[name], second.columns[name], second.name)
    return RawTable(first.name, columns, first.length + second.length)


def _joined(name: str, first: Any, second: Any, file: str) -> Any:
    arrays = isinstance(first, np.ndarray), isinstance(second, np.ndarray)
    try:
        if all(arrays):
            return np.concatenate([first, second])
        if any(arrays):
            raise ValueError("one file holds arrays and the other a table")
        pyarrow = require("pyarrow", "reading tables")
        parts = [pyarrow.table({name: _plain(part)}) for part in (first, second)]
        return pyarrow.concat_tables(parts, promote_options="permissive").column(0)
    except (ValueError, TypeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{option('eval', file)}: column {name!r} does not match the first file: {reason}.") from error


def _plain(column: Any) -> Any:
    """A column without a dictionary of its own, which two files do not share."""
    pyarrow = require("pyarrow", "reading tables")
    return column.cast(column.type.value_type) if pyarrow.types.is_dictionary(column.type) else column


def _kind(path: Path) -> str:
    """The suffix that says what is in a file; compression of text files is looked through."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] and suffixes[-1] in _COMPRESSED and len(suffixes) > 1:
        return suffixes[-2] if suffixes[-2] in (".csv", ".tsv", ".jsonl", ".ndjson") else suffixes[-1]
    return suffixes[-1] if suffixes else ""


def _read_arrow(what: str, read: Callable[[], Any], path: Path) -> Any:
    pyarrow = require("pyarrow", "reading tables")
    try:
        return read()
    except TableFault:
        raise
    except (ValueError, OSError, KeyError, TypeError, pyarrow.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{str(path)!r} is empty, damaged or not {what}: {reason}; correct it or write it again."
        ) from error


def _from_arrow(argument: str, path: Path, table: Any) -> RawTable:
    names = [str(name).strip() for name in table.column_names]
    for position, name in enumerate(names):
        if not name:
            names[position] = f"Unnamed: {position}"
        elif name in names[:position]:
            raise ValueError(
                f"{option(argument, path.name)}: two columns are called {name!r}: give each a name of its own."
                f"{no_header(names)}"
            )
    return RawTable(path.name, dict(zip(names, table.columns, strict=True)), table.num_rows)


def no_header(names: Collection[str]) -> str:
    """A sentence for messages, where names of columns look like a row of data; else empty."""
    numbers = sum(name.replace(".", "", 1).replace("-", "", 1).isdigit() for name in names)
    return " The first line holds numbers: it must hold the names." if numbers > len(names) / 2 else ""


def _read_parquet(path: Path, encoding: str | None) -> Any:
    table = require("pyarrow.parquet", "reading .parquet").read_table(path)
    told = (table.schema.metadata or {}).get(b"huggingface")
    return table if told is None else _name_classes(table, json.loads(told)["info"].get("features") or {})


def _read_ipc(path: Path, encoding: str | None) -> Any:
    """Arrow's file format (Feather is one), or its stream format."""
    pyarrow = require("pyarrow", "reading .arrow")
    ipc = require("pyarrow.ipc", "reading .arrow")
    with pyarrow.memory_map(str(path)) as source:
        try:
            return ipc.open_file(source).read_all()
        except pyarrow.ArrowInvalid:
            source.seek(0)
            return ipc.open_stream(source).read_all()


def _read_json_lines(path: Path, encoding: str | None) -> Any:
    """One JSON object on each line; types are found over the whole file."""
    pyarrow = require("pyarrow", "reading .jsonl")
    reader = require("pyarrow.json", "reading .jsonl")
    with pyarrow.input_stream(str(path)) as stream:
        data = stream.read()
    if not data.strip():
        raise ValueError("it has no line")
    block = min(len(data) + 1, 2**30)
    return reader.read_json(pyarrow.BufferReader(data), read_options=reader.ReadOptions(block_size=block))


def _read_folder(argument: str, path: Path) -> Any:
    """A folder written by `Dataset.save_to_disk`: Arrow files, the rows chosen from them, names of classes."""
    pyarrow = require("pyarrow", "reading a datasets folder")
    if (path / "dataset_dict.json").is_file():
        splits = json.loads((path / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
        raise TableFault(
            f"{option(argument, str(path))} holds the splits {', '.join(map(str, splits))}: name the folder of one, "
            f"such as {str(path / str(splits[0]))!r}, and a held-out one by {option('eval')}."
        )
    state = json.loads((path / "state.json").read_text(encoding="utf-8"))

    def read(files: Any) -> Any:
        return pyarrow.concat_tables([_read_ipc(path / Path(file["filename"]).name, None) for file in files])

    table = read(state["_data_files"])
    if state.get("_indices_files"):
        table = table.take(read(state["_indices_files"]).column(0))
    if (path / "dataset_info.json").is_file():
        info = json.loads((path / "dataset_info.json").read_text(encoding="utf-8"))
        table = _name_classes(table, info.get("features") or {})
    return table


def _name_classes(table: Any, features: dict[str, Any]) -> Any:
    """Whole numbers that stand for named classes as these names; a number below 0 stands for none."""
    pyarrow = require("pyarrow", "reading tables")
    for name, feature in features.items():
        if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel" or "names" not in feature:
            continue
        numbers = table.column(name).to_numpy()
        names = np.array([*map(str, feature["names"]), None], dtype=object)
        valid = np.isfinite(numbers) & (numbers >= 0) & (numbers < len(names) - 1)
        chosen = names[np.where(valid, numbers, len(names) - 1).astype(int)]
        table = table.set_column(table.column_names.index(name), name, pyarrow.array(chosen, pyarrow.string()))
    return table


_READERS: dict[str, Callable[[Path, str | None], Any]] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
    ".arrow": _read_ipc,
    ".feather": _read_ipc,
}
