"""The reference of the command line, made from the commands themselves."""

from enum import Enum
from typing import Any

import typer


def command_line() -> str:
    """Every command with its arguments and options, as Markdown."""
    from spectral_sim.cli._app import app

    return "\n".join(_pages("spectral-sim", typer.main.get_command(app), level=2))


def _pages(path: str, command: Any, level: int) -> list[str]:
    if hasattr(command, "commands"):
        lines = [] if level == 2 else [f"{'#' * level} {path}", "", command.help or "", ""]
        for name, inner in sorted(command.commands.items()):
            lines += _pages(f"{path} {name}", inner, level if level == 2 else level + 1)
        return lines
    lines = [f"{'#' * level} {path}", "", _text(command.help), "", f"```text\n{path} {_usage(command)}\n```", ""]
    rows = [_row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
    if rows:
        table = [("argument or option", "meaning", "default"), ("---",) * 3, *rows]
        columns = 3 if any(default for *_, default in rows) else 2
        lines += [*(f"| {' | '.join(row[:columns])} |" for row in table), ""]
    return lines


def _usage(command: Any) -> str:
    words = [_word(p) for p in command.params if p.param_type_name == "argument"]
    return " ".join([*words, "[OPTIONS]"])


def _word(argument: Any) -> str:
    return _named(argument) if argument.required else f"[{_named(argument)}]"


def _row(parameter: Any) -> tuple[str, str, str]:
    default = parameter.default
    shown = "" if default is None or default is False or callable(default) or default == () else str(default)
    shown = f"{default:.3g}" if isinstance(default, float) else shown
    shown = str(getattr(default, "value", shown))
    if parameter.param_type_name == "argument":
        name = f"`{_named(parameter)}`"
    else:
        flags = [*parameter.opts, *parameter.secondary_opts]
        name = ", ".join(f"`{flag}`" for flag in flags)
        shown = f"`{flags[0]}`" if default is True else shown
        kind = parameter.type_descriptor.annotation
        if isinstance(kind, type) and issubclass(kind, Enum):
            name += " " + " \\| ".join(str(choice.value) for choice in kind)
    return name, _cell(getattr(parameter, "help", "") or ""), _cell(shown)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace(" | ", " \\| ").replace("<", "&lt;")


def _text(text: str | None) -> str:
    return "\n".join(line.strip() for line in (text or "").replace("\b", "").splitlines())


def _named(argument: Any) -> str:
    return argument.metavar or argument.name.upper()
