"""Links from names in backticks to the reference of the API."""

import importlib
import inspect
import re
from collections.abc import Iterable
from pathlib import Path

_SPAN = re.compile(r"(?<![\[`\w])`(?:ss\.)?([A-Za-z_][\w.]*)(?:\([^`]*\))?`(?![\]`])")
_FENCE = re.compile(r"^ *(```|~~~)")


def packages() -> list[str]:
    """The public packages of the library; the command line is documented by its commands."""
    root = Path(importlib.import_module("spectral_sim").__file__ or "").parent
    return sorted(path.parent.name for path in root.glob("*/__init__.py") if path.parent.name != "cli")


def addresses() -> dict[str, str]:
    """Address in the reference of each name that a code span may use: `power_law`, `analysis.frontier`, `Status`."""
    found, places = {}, {}
    for package in packages():
        module = importlib.import_module(f"spectral_sim.{package}")
        for name in module.__all__:
            address = f"spectral_sim.{package}.{name}"
            value = getattr(module, name)
            found[f"{package}.{name}"] = address
            if not isinstance(value, str | tuple | dict):
                places.setdefault(id(value), address)
            if name[0].isupper() or "_" in name or package == "schedules":  # other names are words of English too
                found.setdefault(name, address)
    root = importlib.import_module("spectral_sim")
    for name in root.__all__:
        value = getattr(root, name)
        if not inspect.ismodule(value):
            found[name] = places.get(id(value), f"spectral_sim.{name}")
    return found


_ADDRESSES: dict[str, str] = {}


def address_of(name: str) -> str | None:
    """Address in the reference of a public name, or of a member of a public class."""
    if not _ADDRESSES:
        _ADDRESSES.update(addresses())
    cls, _, member = name.rpartition(".")
    return _ADDRESSES.get(name) or (_ADDRESSES.get(cls) if cls[:1].isupper() and member else None)


def linked(text: str, own: Iterable[str] = ()) -> str:
    """`text` with code spans that are public names made into links; headings and fenced code stay as they are.

    Names in `own` mean something else there, such as an argument, and stay as they are too.
    """
    own = set(own)

    def link(match: re.Match[str]) -> str:
        address = None if match[1] in own else address_of(match[1])
        return f"[{match[0]}][{address}]" if address else match[0]

    lines, fenced = [], False
    for line in text.split("\n"):
        if _FENCE.match(line):
            fenced = not fenced
        plain = fenced or line.startswith("#") or line.startswith("    >>>")
        lines.append(line if plain else _SPAN.sub(link, line))
    return "\n".join(lines)
