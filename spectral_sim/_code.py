"""Where a name comes from, and which globals the code of a function reads."""

import contextlib
import dis
import functools
import importlib
import inspect
import os
import sys
import sysconfig
import types
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

import numpy as np

_LIBRARY = __name__.partition(".")[0]
_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
# through these code reads what its names do not tell
_HIDDEN = (
    *(globals, eval, exec, compile, __import__),
    *(importlib.import_module, inspect.currentframe, sys._getframe, sys.modules, os.environ, os.getenv),
)
_HIDDEN_ATTRIBUTES = {"__globals__", "__builtins__", "f_globals", "f_locals", "f_back"}


def reaches_anything(value: Any) -> bool:
    """Whether code may read through a value what its names do not tell."""
    return isinstance(value, _HiddenAttribute) or any(value is hidden for hidden in _HIDDEN)


def installed_name(value: Any) -> str | None:
    """The name under which an installed package holds this very value; None if there is none."""
    if isinstance(value, types.ModuleType):
        return f"{value.__name__}{package_version(value.__name__)}" if is_installed(value.__name__) else None
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if isinstance(value, np.ufunc | types.BuiltinFunctionType):
        module, name = module or type(value).__module__, value.__name__
    if not (isinstance(module, str) and isinstance(name, str)) or not is_installed(module):
        return None
    try:
        found = functools.reduce(getattr, name.split("."), sys.modules[module])
    except (KeyError, AttributeError):
        return None
    return f"{module}.{name}{package_version(module)}" if found is value else None


@functools.cache
def is_installed(module: str) -> bool:
    """Whether a module is part of Python, of an installed package or of this library."""
    top = module.partition(".")[0]
    if top in ("__main__", "__mp_main__"):
        return False
    if top in sys.stdlib_module_names or top == _LIBRARY:
        return True
    files = [getattr(sys.modules.get(name), "__file__", None) for name in (module, top)]
    paths = [Path(file) for file in files if file is not None]
    folders = [Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")]
    return any("site-packages" in path.parts or any(map(path.is_relative_to, folders)) for path in paths)


def package_version(module: str) -> str:
    """The version of the package of a module, for its name; that of this library is compared wherever it matters."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == _LIBRARY:
        return ""
    return f" of {top} {getattr(sys.modules.get(top), '__version__', 'without a version')}"


def globals_read(function: types.FunctionType, cells: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every global that a function reads, by its dotted name; of a module of one's own the attribute that is read.

    Arguments:
        function: a function written in Python.
        cells: modules that it closes over, by name; they are read like globals.
    """
    scope = {**function.__globals__, **cells}
    builtins = scope.get("__builtins__", {})
    builtins = builtins if isinstance(builtins, dict) else vars(builtins)
    seen = set()
    for names, module in _names_read(function.__code__, scope, cells.keys()):
        if names[-1] in _HIDDEN_ATTRIBUTES:
            yield names, _HiddenAttribute()
            continue
        known = scope if module is None else vars(module)
        value = known.get(names[0], builtins.get(names[0]) if module is None else None)
        used = 1
        while isinstance(value, types.ModuleType) and used < len(names):
            inside = getattr(value, names[used], None)
            if is_installed(value.__name__) and not reaches_anything(inside):
                break
            value, used = inside, used + 1
        if names[:used] not in seen:
            seen.add(names[:used])
            yield names[:used], value


def _names_read(code: types.CodeType, scope: dict[str, Any], cells: Set) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Dotted names of globals, and names that the code imports by itself together with their module."""
    chain: tuple[str, ...] = ()
    level, wanted, module = 0, None, None
    for step in dis.get_instructions(code):
        if chain and step.opname in _ATTRIBUTE and step.argval not in _HIDDEN_ATTRIBUTES:
            chain = (*chain, step.argval)
            continue
        if chain:
            yield chain, None
            chain = ()
        if step.opname in _ATTRIBUTE and step.argval in _HIDDEN_ATTRIBUTES:
            yield (step.argval,), None
        elif step.opname in _GLOBAL or (step.opname == "LOAD_DEREF" and step.argval in cells):
            chain = (step.argval,)
        elif step.opname == "IMPORT_NAME":
            module = _imported("." * level + step.argval, scope.get("__package__") or "")
            if not wanted and module is not None:  # the whole module, of which anything may be read
                yield (module.__name__,), types.SimpleNamespace(**{module.__name__: module})
        elif step.opname == "IMPORT_FROM" and module is not None:
            yield (step.argval,), module
        elif step.opname in ("LOAD_CONST", "LOAD_SMALL_INT"):  # an import is preceded by its level and what it wants
            level, wanted = (step.argval, ()) if isinstance(step.argval, int) else (level, step.argval)
    if chain:
        yield chain, None
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_read(constant, scope, cells)


class _HiddenAttribute:
    """An attribute through which code may read anything."""


def _imported(name: str, package: str) -> types.ModuleType | None:
    with contextlib.suppress(ImportError):
        return importlib.import_module(name, package)
    return None
