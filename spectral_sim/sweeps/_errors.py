"""What goes wrong with a store."""

import contextlib
from collections.abc import Iterator
from typing import Any


class StoreError(RuntimeError):
    """A store cannot be used; the message names the file, says why, and what to do."""


@contextlib.contextmanager
def explained_store(store: Any, verb: str) -> Iterator[None]:
    """Failures of the disk in words; what has been committed stays."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{store} cannot be {verb}: {error.strerror or error}. What was finished is kept: put that right, "
            "and resume the sweep."
        ) from error
