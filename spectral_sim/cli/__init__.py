"""The command line, `spectral-sim`."""

import sys
from typing import Any

__all__ = ["main"]


def main(defaults: dict[str, Any] | None = None, command: str | None = None) -> None:
    """Run `spectral-sim` on the arguments of this process.

    Arguments:
        defaults: other defaults of options, by command and option; those of the commands if None.
        command: the command to run, for a script that is one of them; the first argument if None.

    Raises:
        SystemExit: always, with the exit code: 0, 1 (something is not installed), 2 (bad input) or 130 (interrupted).
    """
    from .._extras import require

    try:
        for module in ("typer", "pydantic", "rich"):
            require(module, "the command line")
    except ImportError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    from ._app import app

    words = sys.argv[1:] if command is None else [command, *sys.argv[1:]]
    app(words, default_map=defaults)
