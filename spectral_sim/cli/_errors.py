"""What goes wrong through the user's input is told in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["UserError", "explained"]


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
