"""What a column is: numbers, whole numbers, booleans, dates, text or a block of numbers in each row."""

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..._extras import require
from ..._wording import option
from ._read_text import MISSING

Kind = Literal["number", "whole", "boolean", "date", "text", "block"]

_MISSING_AMONG_NUMBERS = (*MISSING, "none", "-", "--", ".", "n.a.", "missing", "unknown")
_LARGEST_WHOLE = 2**53  # beyond it neighbours are one number in double precision
_SECONDS_A_DAY = 86400.0
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?")


@dataclass(frozen=True, eq=False)
class Column:
    """The values of one column.

    Arguments:
        name: its name.
        kind: "number", "whole", "boolean" (0 and 1), "date" (days since 1970), "text" or "block".
        values: NaN where missing, shape (rows,), or (rows, width) for a block; for text the position in `levels`,
            -1 where missing.
        levels: the different texts in sorted order.
        note: what was done to read it, for the user; may be empty.
        stray: for text that holds numbers too: the first row that is none, and what share of the rows are numbers.
        standalone: for a block from a NumPy array, whose columns are inputs of their own.
    """

    name: str
    kind: Kind
    values: np.ndarray
    levels: tuple[str, ...] = ()
    note: str = ""
    stray: tuple[int, float] | None = None
    standalone: bool = False

    @property
    def missing(self) -> np.ndarray:
        """Which rows have no value, or an infinite one; shape (rows,)."""
        if self.kind == "text":
            return self.values < 0
        missing = np.logical_not(np.isfinite(self.values))
        return np.asarray(missing.any(axis=1)) if self.values.ndim == 2 else missing

    def codes(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """The number of each row's value, -1 where missing, and the different values as text, in order."""
        if self.kind == "text":
            return self.values, self.levels
        found = ~self.missing
        values, numbers = np.unique(self.values[found], return_inverse=True)
        codes = np.full(len(self.values), -1)
        codes[found] = numbers
        return codes, tuple(self.text(value) for value in values)

    def text(self, value: float) -> str:
        """A value as a user would write it."""
        if self.kind == "boolean":
            return str(bool(value))
        if self.kind == "date":
            return str(np.datetime64("1970-01-01T00:00:00") + np.timedelta64(round(value * _SECONDS_A_DAY), "s"))
        return str(int(value)) if self.kind == "whole" else f"{value:.12g}"

    def shown(self, row: int) -> str:
        """What stands in a row, for messages."""
        if self.kind == "text":
            return repr(self.levels[self.values[row]]) if self.values[row] >= 0 else "missing"
        value = np.atleast_1d(self.values[row])
        if np.isinf(value).any():
            return str(value[np.isinf(value)][0])
        return "missing" if np.isnan(value).any() else self.text(float(value[0]))


def column_of(name: str, raw: Any) -> Column:
    """Find out what a column holds.

    Arguments:
        name: its name.
        raw: a NumPy array, shape (rows,) or (rows, width), or a pyarrow chunked array.

    Raises:
        ValueError: values that can be neither inputs nor targets, such as images, structures and uneven lists.
    """
    return _from_numpy(name, raw) if isinstance(raw, np.ndarray) else _from_arrow(name, raw)


def _from_numpy(name: str, raw: np.ndarray) -> Column:
    if raw.dtype.kind in "SU" and raw.ndim == 1:
        levels, codes = np.unique(raw.astype(np.str_), return_inverse=True)
        return _from_texts(name, levels.tolist(), codes)
    if raw.dtype.kind not in "biuf" or raw.ndim not in (1, 2):
        raise ValueError(
            f"column {name!r} has dtype {raw.dtype} and shape {raw.shape}: give numbers, booleans or text, "
            "one value or one row of numbers for each example."
        )
    if raw.ndim == 2:
        return Column(name, "block", raw.astype(np.float64), standalone=True)
    kind: Kind = "boolean" if raw.dtype.kind == "b" else "whole" if raw.dtype.kind in "iu" else "number"
    return Column(name, kind, raw.astype(np.float64))


def _from_arrow(name: str, raw: Any) -> Column:
    pyarrow = require("pyarrow", "reading tables")
    types = pyarrow.types
    array = raw.combine_chunks() if isinstance(raw, pyarrow.ChunkedArray) else raw
    array = array.combine_chunks() if isinstance(array, pyarrow.ChunkedArray) else array
    kind = array.type
    if types.is_null(kind):
        return Column(name, "number", np.full(len(array), np.nan))
    if types.is_dictionary(kind) or types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        encoded = array if types.is_dictionary(kind) else array.dictionary_encode()
        if not types.is_dictionary(kind) or types.is_string(kind.value_type) or types.is_large_string(kind.value_type):
            codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
            return _from_texts(name, encoded.dictionary.to_pylist(), codes)
        return _from_arrow(name, encoded.dictionary_decode())
    if types.is_boolean(kind):
        return Column(name, "boolean", _floats(array.cast(pyarrow.int8())))
    if types.is_integer(kind):
        return _from_integers(name, array)
    if types.is_floating(kind) or types.is_decimal(kind):
        return _from_floats(name, _floats(array))
    if types.is_date(kind) or types.is_timestamp(kind):
        micro = _floats(array.cast(pyarrow.timestamp("us"), safe=False).cast(pyarrow.int64()))
        return Column(name, "date", micro / (1e6 * _SECONDS_A_DAY), note="a date, as days")
    if types.is_duration(kind) or types.is_time(kind):
        unit = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
        whole = array.cast(pyarrow.int32()).cast(pyarrow.int64()) if types.is_time32(kind) else array
        return Column(name, "number", _floats(whole.cast(pyarrow.int64())) / unit, note="a time, as seconds")
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return Column(name, "block", _block(name, array))
    raise ValueError(f"column {name!r} holds {kind}, which is no number and no text: leave it out: {_left_out(name)}.")


def _left_out(name: str) -> str:
    return option("drop", name)


def _floats(array: Any) -> np.ndarray:
    """Numbers in double precision, NaN where missing."""
    pyarrow = require("pyarrow", "reading tables")
    return np.array(array.cast(pyarrow.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def _from_integers(name: str, array: Any) -> Column:
    values = _floats(array)
    if np.nanmax(np.abs(values), initial=0.0) < _LARGEST_WHOLE:
        return Column(name, "whole", values)
    encoded = array.dictionary_encode()  # numbers this long are names, and would run together in double precision
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    levels = [str(value) for value in encoded.dictionary.to_pylist()]
    order = np.argsort(levels)
    places = np.argsort(order)
    codes = np.where(codes < 0, -1, places[codes]) if len(levels) else codes
    return Column(name, "text", codes, tuple(levels[i] for i in order), note="numbers beyond 2^53, as names")


def _from_floats(name: str, values: np.ndarray) -> Column:
    """Numbers; whole ones with gaps are whole numbers, which pandas turns into floating point to hold the gaps."""
    finite = np.isfinite(values)
    gaps = np.isnan(values).any()
    whole = gaps and finite.any() and (np.abs(values[finite]) < _LARGEST_WHOLE).all()
    return Column(name, "whole" if whole and (values[finite] % 1 == 0).all() else "number", values)


def _block(name: str, array: Any) -> np.ndarray:
    """Lists of numbers as a matrix, NaN where a list or a number in it is missing."""
    pyarrow = require("pyarrow", "reading tables")
    compute = require("pyarrow.compute", "reading tables")
    types = pyarrow.types
    inner_type = array.type.value_type
    here = array.is_valid().to_numpy(zero_copy_only=False)
    present = array.drop_null()
    lengths = compute.list_value_length(present).to_numpy(zero_copy_only=False)
    if len(lengths) == 0:
        return np.full((len(array), 1), np.nan)
    if lengths.min() != lengths.max() or lengths[0] == 0:
        row = int(np.flatnonzero(here)[int(np.argmax(lengths != lengths[0]))]) if lengths[0] else 0
        raise ValueError(
            f"column {name!r} holds lists of {lengths.min()} to {lengths.max()} entries (row {row} differs from the "
            f"first): make all of one length, or leave it out: {_left_out(name)}."
        )
    flat = present.flatten()
    if types.is_list(inner_type) or types.is_large_list(inner_type) or types.is_fixed_size_list(inner_type):
        numbers = _block(name, flat)
    elif types.is_integer(inner_type) or types.is_floating(inner_type) or types.is_boolean(inner_type):
        numbers = _floats(flat.cast(pyarrow.int8()) if types.is_boolean(inner_type) else flat)
    else:
        raise ValueError(
            f"column {name!r} holds lists of {inner_type}, not of numbers: leave it out: {_left_out(name)}."
        )
    rows = numbers.reshape(len(present), -1)
    values = np.full((len(array), rows.shape[1]), np.nan)
    values[here] = rows
    return values


def _from_texts(name: str, texts: list[Any], codes: np.ndarray) -> Column:
    """Text, or what was written as text: numbers with stray markers of missing values, booleans, dates.

    Arguments:
        name: of the column.
        texts: the different texts.
        codes: position in `texts` for each row, -1 where missing.
    """
    stripped = ["" if text is None else str(text).strip() for text in texts]
    real = [text for text in stripped if text.casefold() not in MISSING]
    numbers = np.array([_number(text) for text in stripped], dtype=np.float64)
    others = [
        text
        for text, number in zip(stripped, numbers, strict=True)
        if np.isnan(number) and text.casefold() not in _MISSING_AMONG_NUMBERS
    ]
    lookup = np.append(numbers, np.nan)  # position -1 is a missing value
    if not others and (~np.isnan(numbers)).any():
        whole = all(re.fullmatch(r"[-+]?\d+", text) for text in real if text.casefold() not in _MISSING_AMONG_NUMBERS)
        small = np.nanmax(np.abs(numbers), initial=0.0) < _LARGEST_WHOLE
        return Column(name, "whole" if whole and small else "number", lookup[codes])
    if not real:
        return Column(name, "number", np.full(len(codes), np.nan))
    if {text.casefold() for text in real} == {"true", "false"}:
        truth = {"true": 1.0, "false": 0.0}
        return Column(name, "boolean", np.append([truth.get(t.casefold(), np.nan) for t in stripped], np.nan)[codes])
    days, note = _days(stripped, real)
    if days is not None:
        return Column(name, "date", np.append(days, np.nan)[codes], note=note)
    levels = sorted(set(real))
    if all(text.startswith("[") and text.endswith("]") for text in levels) and len(levels) > 1:
        raise ValueError(
            f"column {name!r} holds lists written as text, such as {levels[0][:40]!r}: save them as lists in a "
            f".parquet file, or leave the column out: {_left_out(name)}."
        )
    places = {level: place for place, level in enumerate(levels)}
    new = np.array([places.get(text, -1) for text in stripped] + [-1], dtype=np.int64)[codes]
    is_number = ~np.isnan(lookup[codes])
    stray = None
    if is_number.any():
        stray = int(np.argmax((new >= 0) & ~is_number)), float(is_number.sum() / max((new >= 0).sum(), 1))
    return Column(name, "text", new, tuple(levels), stray=stray)


def _number(text: str) -> float:
    """The number that a text is; NaN where it is none."""
    if not text or text[-1].isalpha() or "_" in text:  # "nan", "infinity" and "1_000" are no numbers of a table
        return np.inf if text.casefold() in ("inf", "+inf") else -np.inf if text.casefold() == "-inf" else np.nan
    try:
        return float(text)
    except ValueError:
        return np.nan


def _days(texts: list[str], real: list[str]) -> tuple[np.ndarray | None, str]:
    """Days since 1970 of texts that are all dates, NaN where one is missing, and how they were read."""
    if not all(_DATE.fullmatch(text) for text in real):
        return None, ""
    pandas = require("pandas", "reading dates")
    wanted = pandas.Series([text if text.casefold() not in MISSING else None for text in texts], dtype=object)

    def read(day_first: bool) -> Any:
        return pandas.to_datetime(wanted, errors="coerce", format="mixed", dayfirst=day_first, utc=True)

    year_first = all(re.match(r"\d{4}", text) for text in real)
    point = all("." in text.split(" ")[0] for text in real)  # 31.12.2021
    orders = (False,) if year_first else (True, False) if point else (False, True)
    for day_first in orders:
        parsed = _in_order(read, real, wanted, day_first, year_first)
        if parsed is not None:
            days = parsed.to_numpy(dtype="datetime64[us]").astype(np.float64) / (1e6 * _SECONDS_A_DAY)
            days[parsed.isna().to_numpy()] = np.nan
            order = "" if year_first else f" (read as {'day' if day_first else 'month'} first)"
            return days, f"a date, as days{order}"
    return None, ""


def _in_order(read: Any, real: list[str], wanted: Any, day_first: bool, year_first: bool) -> Any:
    """Dates in one order of day and month; None where one of them cannot be in it."""
    if not year_first:
        # pandas swaps day and month where they do not fit, row by row; a column has one order
        parts = [re.split(r"[-/.]", text.split(" ")[0].split("T")[0]) for text in real]
        if any(int(part[1 if day_first else 0]) > 12 for part in parts):
            return None
    parsed = read(day_first)
    return parsed if int(parsed.notna().sum()) >= int(wanted.notna().sum()) else None
