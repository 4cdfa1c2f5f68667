"""The command line, `spectral-sim`."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run `spectral-sim`: demo, assess, simulate, sweep, report or bench.

    Raises:
        SystemExit: always, with the exit code: 0, 1 (something is not installed), 2 (bad input) or 130 (interrupted).
    """
    from ..report import require

    try:
        for module in ("typer", "pydantic", "rich"):
            require(module, "the command line")
    except ImportError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    from ._app import app

    app()
