"""Files that are read back: between "it parses" and "it is used" each is held against one schema.

A schema is a function of a value and of the name of its field. It returns the value, as it is to be used, or raises
`Malformed`. Larger schemas are made of smaller ones:

    entry = record(rows=items(integer(low=0), length=2), note=text(), optional={"host": text()})

Nothing that is read is executed or unpickled.
"""

import io
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Schema = Callable[[Any, str], Any]
_DEEPEST = 250  # levels of plain values
_SHOWN = 60  # characters of a value in a message


class Malformed(ValueError):
    """What was read is not what it should be.

    Arguments:
        field: which part of the file, such as "blocks[2].length"; empty for all of it.
        reason: what is wrong with it.
    """

    def __init__(self, field: str, reason: str):
        super().__init__(f"{field} {reason}" if field else reason)
        self.field, self.reason = field, reason


def explained(file: Any, fix: str, error: type[Exception], read: Callable[[], Any]) -> Any:
    """What `read()` returns; where it finds something malformed, one error that names the file, the field and the fix.

    Arguments:
        file: how to call the file.
        fix: what to do about it.
        error: the class to raise.
        read: reads and checks.
    """
    try:
        return read()
    except Malformed as found:
        raise error(f"{file} is damaged or not what it should be: {found}. {fix}") from found


def read_json(data: bytes, schema: Schema) -> Any:
    """JSON from bytes, held against a schema.

    Raises:
        Malformed: no JSON, JSON that is nested without end, or JSON of another form.
    """
    try:
        value = json.loads(data)
    except RecursionError as error:
        raise Malformed("", "is nested too deeply to be read") from error
    except ValueError as error:  # also text that is no Unicode, and numbers of too many digits
        raise Malformed("", f"cannot be read as JSON ({error})") from error
    return schema(value, "")


def read_npz(data: bytes, schema: Schema) -> dict[str, Any]:
    """The arrays of an `.npz` file from its bytes, held against a schema of a mapping; nothing is unpickled.

    Raises:
        Malformed: no such file, one that was cut, one that holds objects, or arrays of another form.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            value = {name: file[name] for name in file.files}
    except (MemoryError, RecursionError) as error:
        raise Malformed("", "claims more than can be read") from error
    except Exception as error:  # zipfile, zlib, numpy and ast each have classes of their own for what is cut
        raise Malformed("", f"cannot be read as arrays ({str(error) or type(error).__name__})") from error
    return schema(value, "")


def record(optional: Mapping[str, Schema] | None = None, extra: Schema | None = None, /, **required: Schema) -> Schema:
    """A dictionary with given keys.

    Arguments:
        optional: schemas of keys that may be left out.
        extra: schema of any other key; none may be there if None.
        required: schemas of keys that must be there.
    """
    known = {**required, **(optional or {})}

    def check(value: Any, field: str) -> dict[str, Any]:
        pairs = _dictionary(value, field)
        missing = [name for name in required if name not in pairs]
        if missing:
            raise Malformed(_join(field, missing[0]), "is missing")
        unknown = [name for name in pairs if name not in known]
        if unknown and extra is None:
            raise Malformed(_join(field, unknown[0]), "is not known here")
        return {name: known.get(name, extra)(item, _join(field, name)) for name, item in pairs.items()}  # pyright: ignore[reportOptionalCall]

    return check


def mapping(item: Schema, *, key: Schema | None = None) -> Schema:
    """A dictionary with any keys.

    Arguments:
        item: schema of the values.
        key: schema of the keys, which are texts in any case.
    """

    def check(value: Any, field: str) -> dict[str, Any]:
        pairs = _dictionary(value, field)
        for name in pairs:
            if key is not None:
                key(name, f"a key of {field or 'the file'}")
        return {name: item(part, _join(field, name)) for name, part in pairs.items()}

    return check


def items(item: Schema, *, length: int | None = None, least: int = 0) -> Schema:
    """A list of values of one kind.

    Arguments:
        item: schema of each value.
        length: how many there are; any number if None.
        least: how many there are at least.
    """

    def check(value: Any, field: str) -> list[Any]:
        number = len(_of_kind(value, field, list, "a list"))
        if number < least or (length is not None and number != length):
            raise Malformed(field, f"has {number} entries, not {f'{least} or more' if length is None else length}")
        return [item(part, f"{field}[{n}]") for n, part in enumerate(value)]

    return check


def integer(*, low: int | None = None, high: int | None = None) -> Schema:
    """A whole number, in a range if one is given."""

    return lambda value, field: _within(_of_kind(value, field, int, "a whole number"), field, low, high)


def number(*, low: float | None = None, high: float | None = None, finite: bool = True) -> Schema:
    """A number, in a range if one is given.

    Arguments:
        low: smallest value.
        high: largest value.
        finite: whether infinities and NaN are refused.
    """

    def check(value: Any, field: str) -> float:
        _of_kind(value, field, (int, float), "a number")
        if isinstance(value, float) and finite and not math.isfinite(value):
            raise _not(value, field, "a finite number")
        return _within(value, field, low, high)

    return check


def text(*, longest: int = 2**20) -> Schema:
    """A string."""

    def check(value: Any, field: str) -> str:
        if len(_of_kind(value, field, str, "a text")) > longest:
            raise Malformed(field, f"has {len(value)} characters, and {longest} is the most")
        return value

    return check


def choice(*values: Any) -> Schema:
    """One of some plain values; `1`, `1.0` and `True` are not the same."""

    def check(value: Any, field: str) -> Any:
        if not any(type(value) is type(known) and value == known for known in values):
            raise _not(value, field, " or ".join(map(repr, values)))
        return value

    return check


def boolean() -> Schema:
    """True or False."""
    return choice(True, False)


def nothing() -> Schema:
    """None."""
    return choice(None)


def either(*schemas: Schema) -> Schema:
    """The first of some schemas that fits."""

    def check(value: Any, field: str) -> Any:
        reasons = []
        for schema in schemas:
            try:
                return schema(value, field)
            except Malformed as error:
                reasons.append(error)
        raise next((error for error in reasons if error.field != field), reasons[0])

    return check


def plain() -> Schema:
    """Any value of JSON that is not nested deeper than values of ours are."""

    def check(value: Any, field: str, depth: int = 0) -> Any:
        if depth > _DEEPEST:
            raise Malformed(field[:_SHOWN], "is nested too deeply")
        if isinstance(value, dict):
            pairs = _dictionary(value, field).items()
            return {name: check(item, _join(field, name), depth + 1) for name, item in pairs}
        if isinstance(value, list):
            return [check(item, f"{field}[{n}]", depth + 1) for n, item in enumerate(value)]
        if value is not None and not isinstance(value, str | bool | int | float):
            raise _not(value, field, "a plain value")
        return value

    return check


def array(kinds: str, *, shape: tuple[int | None, ...] | None = None, finite: bool = False) -> Schema:
    """A NumPy array.

    Arguments:
        kinds: letters of `dtype.kind` that are allowed, such as "f" or "iu".
        shape: its shape, None for an axis of any length; any shape if None.
        finite: whether every entry is finite.
    """

    def check(value: Any, field: str) -> np.ndarray:
        _of_kind(value, field, np.ndarray, "an array")
        if value.dtype.kind not in kinds:
            raise Malformed(field, f"holds {value.dtype}")
        wanted = value.shape if shape is None else shape
        if value.ndim != len(wanted) or any(n not in (None, m) for n, m in zip(wanted, value.shape, strict=True)):
            raise Malformed(field, f"has the shape {value.shape}, not {shape}")
        if finite and not np.all(np.isfinite(value)):
            raise Malformed(field, "holds values that are not finite")
        return value

    return check


def _of_kind(value: Any, field: str, kind: type | tuple[type, ...], words: str) -> Any:
    """The value, which is of some type; True and False are no numbers."""
    if isinstance(value, bool) or not isinstance(value, kind):
        raise _not(value, field, words)
    return value


def _dictionary(value: Any, field: str) -> dict[str, Any]:
    for name in _of_kind(value, field, dict, "a dictionary"):
        _of_kind(name, f"a key of {field or 'the file'}", str, "a text")
    return value


def _within(value: Any, field: str, low: Any, high: Any) -> Any:
    if (low is not None and value < low) or (high is not None and value > high):
        span = f"{low} or more" if high is None else f"{high} or less" if low is None else f"from {low} to {high}"
        raise _not(value, field, span)
    return value


def _not(value: Any, field: str, expected: str) -> Malformed:
    try:
        shown = repr(value)
    except ValueError:  # a whole number of too many digits to be written
        shown = "a number of very many digits"
    except RecursionError:
        shown = "nested without end"
    shown = shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
    return Malformed(field, f"is {shown}, not {expected}")


def _join(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name
