"""How a message names an option: as a Python argument, unless whoever calls words its options otherwise."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Wording = Callable[[str, Any], str]


def _as_argument(name: str, value: Any) -> str:
    return name if value is None else f"{name}={value!r}"


_wording: ContextVar[Wording] = ContextVar("wording", default=_as_argument)


def option(name: str, value: Any = None) -> str:
    """An option as the caller writes it: `missing='mean'`, or just `missing` without a value."""
    return _wording.get()(name, value)


@contextmanager
def options_worded(wording: Wording) -> Iterator[None]:
    """Word the options in messages and notes in another way, such as `--missing mean`, until the block ends.

    Arguments:
        wording: (name of the argument, value or None) -> text.
    """
    token = _wording.set(wording)
    try:
        yield
    finally:
        _wording.reset(token)
