"""A training file and an evaluation file as one table."""

from typing import Any

import numpy as np

from ..._checks import nearest
from ..._extras import require
from ._read_file import RawTable
from ._wording import option


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
