"""Delimited text: its encoding, separator and decimal mark are found, then pyarrow reads it."""

import codecs
import csv
import io
import re
from collections import Counter
from pathlib import Path
from typing import Any

from ..._extras import require
from ..._wording import option

MISSING = ("", "nan", "na", "n/a", "#n/a", "null", "?", "<na>", "nat")
"""Texts that mean a missing value, in small letters."""

_SEPARATORS = ",;\t|"
_SAMPLE_BYTES, _SAMPLE_ROWS = 2**16, 60
_COMMA_NUMBER = re.compile(r"[-+]?(\d{1,3}(\.\d{3})+|\d+),\d+([eE][-+]?\d+)?")
_POINT_NUMBER = re.compile(r"[-+]?\d+\.\d+([eE][-+]?\d+)?")


class TableFault(ValueError):
    """A fault of a file whose message is complete: readers that explain errors of others pass it on."""


def read_delimited(path: Path, encoding: str | None) -> Any:
    """Read a `.csv` or `.tsv` file, compressed or not, into a pyarrow table."""
    pyarrow = require("pyarrow", "reading .csv")
    with pyarrow.input_stream(str(path)) as stream:
        data = stream.read()
    if not data.strip():
        raise ValueError("it has no line")
    encoding = _encoding(path.name, data, encoding)
    sample = _sample(data, encoding)
    separator = _separator(sample)
    if separator is None:
        return _read_spaced(data, encoding)
    rows = list(csv.reader(sample, delimiter=separator, skipinitialspace=True))
    comma = separator != "," and _decimal_comma([cell.strip() for row in rows[1:] for cell in row])
    return _read(data, encoding, separator, comma)


def _encoding(name: str, data: bytes, given: str | None) -> str:
    """The encoding of a text: as given, by its byte order mark, or UTF-8 if it is that."""
    if given is not None:
        try:
            codecs.lookup(given)
            data[:_SAMPLE_BYTES].decode(given, "strict" if len(data) <= _SAMPLE_BYTES else "ignore")
        except (LookupError, UnicodeDecodeError) as error:
            raise TableFault(
                f"{name} cannot be read with {option('encoding', given)} ({error}): name its encoding."
            ) from error
        return given
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if data.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if b"\0" in data[:4]:  # every other byte of Latin letters
        return "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableFault(
            f"{name}: line {line} holds the byte 0x{data[error.start]:02x}, which is not UTF-8; it may be Latin-1: "
            f"give {option('encoding', 'latin-1')}."
        ) from error
    return "utf-8"


def _sample(data: bytes, encoding: str) -> list[str]:
    """The first lines, whole."""
    lines = data[:_SAMPLE_BYTES].decode(encoding, "ignore").splitlines()
    if len(data) > _SAMPLE_BYTES and len(lines) > 1:
        lines = lines[:-1]
    return [line for line in lines if line.strip()][:_SAMPLE_ROWS]


def _separator(sample: list[str]) -> str | None:
    """The separator by which most lines have as many cells as the header; None for runs of spaces."""
    best, best_score = ",", (0.0, 1)
    for separator in _SEPARATORS:
        widths = Counter(len(row) for row in csv.reader(sample[1:], delimiter=separator, skipinitialspace=True))
        header = len(next(csv.reader(sample[:1], delimiter=separator, skipinitialspace=True)))
        if header > 1:
            score = (widths[header] / max(len(sample) - 1, 1), header)
            best, best_score = max((best, best_score), (separator, score), key=lambda pair: pair[1])
    if best_score == (0.0, 1):
        header = len(sample[0].split())
        if header > 1 and len(sample) > 1 and all(len(line.split()) == header for line in sample[1:]):
            return None
    return best


def _decimal_comma(cells: list[str]) -> bool:
    comma = any(_COMMA_NUMBER.fullmatch(cell) for cell in cells)
    return comma and not any(_POINT_NUMBER.fullmatch(cell) for cell in cells)


def _read(data: bytes, encoding: str, separator: str, comma: bool) -> Any:
    pyarrow = require("pyarrow", "reading .csv")
    reader = require("pyarrow.csv", "reading .csv")
    compute = require("pyarrow.compute", "reading .csv")
    # one block, as far as there can be: the type of a column is found in the first one alone
    block = min(len(data) + 1, 2**30)
    names = {"utf-8-sig": "utf8", "utf-8": "utf8"}
    parse = reader.ParseOptions(delimiter=separator, newlines_in_values=True)
    markers = [form for text in MISSING for form in {text, text.upper(), text.capitalize(), "NaN", "NaT"}]
    options: dict[str, Any] = {"null_values": sorted(set(markers)), "strings_can_be_null": True}

    def read(**more: Any) -> Any:
        return reader.read_csv(
            pyarrow.BufferReader(data),
            read_options=reader.ReadOptions(block_size=block, encoding=names.get(encoding, encoding)),
            parse_options=parse,
            convert_options=reader.ConvertOptions(**options, decimal_point="," if comma else ".", **more),
        )

    try:
        table = read()
    except pyarrow.ArrowInvalid as error:
        if "conversion error" not in str(error):
            raise
        # cells of one column that are of different kinds: all are read as text, and numbers found afterwards
        header = next(csv.reader(_sample(data, encoding)[:1], delimiter=separator))
        table = read(column_types=dict.fromkeys(header, pyarrow.string()))
    if comma:  # cells such as 1.234,5, or with a space, were left as text
        for position, column in enumerate(table.columns):
            if pyarrow.types.is_string(column.type):
                table = table.set_column(position, table.column_names[position], _with_points(compute, column))
    return table


def _with_points(compute: Any, column: Any) -> Any:
    """Numbers such as 1.234,5 with a decimal point; a column in which anything else stands is left as it is."""
    trimmed = compute.utf8_trim_whitespace(column)
    if not compute.all(compute.match_substring_regex(trimmed, r"^[-+]?[0-9.]*(,[0-9]+)?$")).as_py():
        return column
    return compute.replace_substring(compute.replace_substring(trimmed, ".", ""), ",", ".")


def _read_spaced(data: bytes, encoding: str) -> Any:
    """Columns set apart by runs of spaces."""
    pandas = require("pandas", "reading .csv")
    pyarrow = require("pyarrow", "reading .csv")
    frame = pandas.read_csv(io.BytesIO(data), sep=r"\s+", encoding=encoding, keep_default_na=False, na_values=[""])
    return pyarrow.Table.from_pandas(frame, preserve_index=False)
