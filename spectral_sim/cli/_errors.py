"""What goes wrong through the user's input is told in one line."""

import types
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class UserError(Exception):
    """A mistake in the input; its message says where, what, and how to put it right."""


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Turn what the library refuses into a `UserError` that starts with `where`.

    Only for reading and building, where a ValueError can be about nothing but the input.
    """
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{where}: {message}" if where else message) from error


def check_type(value: Any, annotation: Any, where: str) -> None:
    """Raise unless a value suits the annotation of an option.

    Options are single numbers, words, or (with a named axis) lists of numbers.
    """
    if isinstance(annotation, types.UnionType):
        annotation = next(part for part in typing.get_args(annotation) if part is not type(None))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is str:
        fits, wanted = isinstance(value, str), "a word in quotes"
    elif annotation is int or ("int32" in getattr(annotation, "dtypes", ()) and "float32" not in annotation.dtypes):
        fits, wanted = is_number and isinstance(value, int), "a whole number"
    elif getattr(annotation, "dim_str", ""):
        fits = isinstance(value, list) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
        wanted = "a list of numbers"
    else:
        fits, wanted = is_number, "a number"
    if not fits:
        raise UserError(f"{where} = {value!r}: give {wanted}.")
