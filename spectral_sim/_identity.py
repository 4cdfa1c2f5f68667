"""What a value is, in a form that is the same in every process: the identity of sweeps, searches and programs.

Two values with the same identity give the same results. Anything callable is told by what it computes: its code, its
defaults, what it closes over, and the globals that it reads. What belongs to an installed package is told by its name
and the version of the package. Code is compared as bytecode, so the identity of a function of your own depends on the
version of Python.
"""

import dataclasses
import enum
import functools
import hashlib
import json
import types
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._code import globals_read, installed_name, is_installed, package_version, reaches_anything

_SHOWN = 16  # entries of an array that are written out; longer ones are told by a hash
_LONGEST_INT = 2**63
_DEEPEST = 90  # descriptions are stored, and what reads them back takes so many levels and no more
# of a class: what Python, dataclasses and abc derive from the rest
_DERIVED = {
    "__abstractmethods__",
    "__abstractclassvars__",
    "__abstractvars__",
    "__annotations__",
    "__annotate__",
    "__annotate_func__",
    "__annotations_cache__",
    "__dataclass_fields__",
    "__dataclass_params__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__match_args__",
    "__module__",
    "__orig_bases__",
    "__parameters__",
    "__qualname__",
    "__slotnames__",
    "__static_attributes__",
    "__weakref__",
    "_abc_impl",
}
_PLAIN: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    complex: complex.__complex__,
    bytes: lambda value: b"".join([value]),
    bytearray: lambda value: b"".join([value]),
}
_FIX = (
    "what it computes cannot be told from that of another one: give an equinox Module, a jax.tree_util.Partial of "
    "arrays, or a function of a module that reads only numbers, arrays and functions."
)


def identity(value: Any) -> str:
    """A hash of everything that a value computes with; the same in every process.

    Arguments:
        value: numbers, arrays, pytrees, modules, functions, schedules of the step, optimisers, or containers of them.

    Returns:
        32 hexadecimal digits.

    Raises:
        TypeError: the value holds something whose behaviour cannot be told, such as an open file or a generator; the
            message names it.
    """
    return fingerprint(describe(value))


def describe(value: Any, name: str = "value") -> Any:
    """`value` as plain JSON that is the same in every process: no addresses, no order of insertion, no rounding.

    Arguments:
        value: as for `identity`.
        name: what to call it in messages.

    Raises:
        TypeError: as `identity`.
    """
    return _Description().of(value, name)


def fingerprint(description: Any) -> str:
    """Hash of a description."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def difference(ours: Any, theirs: Any, place: str = "") -> str:
    """The first place at which two descriptions differ, with both values; empty if they do not."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.get("type") == theirs.get("type"):
        for key in sorted(ours.keys() | theirs.keys(), key=lambda key: (key in ("sha256", "code"), key)):
            found = difference(ours.get(key), theirs.get(key), f"{place}.{key}" if place else key)
            if found:
                return found
        return ""
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return next((found for n, pair in pairs if (found := difference(*pair, f"{place}[{n}]"))), "")
    return "" if ours == theirs else f"{place} is {_short(theirs)} there and {_short(ours)} here"


class _Description:
    """One walk over a value; remembers functions and classes, and where it is, so that cycles end."""

    def __init__(self):
        self._known: dict[int, tuple[Any, Any]] = {}  # the value too: its address must not be given to another one
        self._inside: list[int] = []

    def of(self, value: Any, place: str) -> Any:
        if value is None or type(value) in (str, bool, float, np.float64):
            return value
        if type(value) is int:
            return value if abs(value) < _LONGEST_INT else {"int": hex(value)}
        if type(value) in (complex, type(...)):
            return {type(value).__name__: str(value)}
        if isinstance(value, np.dtype):
            return {"dtype": str(value)}
        if type(value) in (bytes, bytearray):
            return {"bytes": _sha(bytes(value))}
        if reaches_anything(value):
            raise TypeError(f"{place} may reach any value: {_FIX}")
        if isinstance(value, jax.Array | np.ndarray | np.generic):
            return self._array(value, place)
        if (name := installed_name(value)) is not None:
            return {"name": name}
        if id(value) in self._known:
            return self._known[id(value)][1]
        if id(value) in self._inside:
            return {"cycle": getattr(value, "__qualname__", type(value).__qualname__)}
        if len(self._inside) >= _DEEPEST:
            raise TypeError(f"{place[:80]}... is nested deeper than {_DEEPEST} levels: {_FIX}")
        self._inside.append(id(value))
        try:
            found = self._compound(value, place)
        finally:
            self._inside.pop()
        if isinstance(value, types.FunctionType | type):
            self._known[id(value)] = value, found
        return found

    def _array(self, value: Any, place: str) -> Any:
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            data = self._array(jax.random.key_data(jnp.asarray(value)), place)
            return {**data, "key": str(jax.random.key_impl(value))}
        array = np.ascontiguousarray(value)
        if array.dtype.hasobject:
            return {"objects": list(array.shape), "values": self.of(array.ravel().tolist(), place)}
        short = {"values": array.tolist()} if array.size <= _SHOWN and array.dtype.kind in "biuf" else {}
        return {"dtype": str(array.dtype), "shape": list(np.shape(value)), "sha256": _sha(array.tobytes()), **short}

    def _compound(self, value: Any, place: str) -> Any:
        if isinstance(value, types.FunctionType):
            return self._function(value, place)
        if isinstance(value, type):
            return self._class(value, place)
        if isinstance(value, types.MethodType):
            return {"method": self.of(value.__func__, place), "self": self.of(value.__self__, f"{place}.__self__")}
        if isinstance(value, functools.partial):
            parts = value.func, value.args, value.keywords
            return {"type": type(value).__name__, "partial": [self.of(part, place) for part in parts]}
        if isinstance(value, staticmethod | classmethod):
            return {type(value).__name__: self.of(value.__func__, place)}
        if isinstance(value, property):
            return {"property": [self.of(part, place) for part in (value.fget, value.fset, value.fdel)]}
        if isinstance(value, functools.cached_property):
            return {"cached_property": self.of(value.func, place)}
        if isinstance(value, types.ModuleType | Iterator):  # an iterator is another one each time that it is asked
            raise self._refused(value, place)
        if isinstance(value, enum.Enum):
            return {**self._typed(value, place), "member": value.name}
        for kind, plain in _PLAIN.items():  # a subclass may compute otherwise than its base
            if isinstance(value, kind):
                more = self.of(getattr(value, "__dict__", {}), place)
                return {**self._typed(value, place), "value": self.of(plain(value), place), "attributes": more}
        if dataclasses.is_dataclass(value):
            return {**self._typed(value, place), **self._fields(value, place)}
        if type(value) in (dict, types.MappingProxyType):
            if all(isinstance(key, str) for key in value):
                return {key: self.of(item, f"{place}.{key}") for key, item in sorted(value.items())}
            items = [[self.of(key, place), self.of(item, f"{place}[{key!r}]")] for key, item in value.items()]
            return {"items": sorted(items, key=json.dumps)}
        names = getattr(value, "_fields", None) if isinstance(value, tuple) else None
        if names is not None:
            return {**self._typed(value, place), **{n: self.of(getattr(value, n), f"{place}.{n}") for n in names}}
        if type(value) in (tuple, list):
            return [self.of(item, f"{place}[{n}]") for n, item in enumerate(value)]
        if type(value) in (set, frozenset):
            return {"set": sorted((self.of(item, place) for item in value), key=json.dumps)}
        wrapped = getattr(value, "__wrapped__", None)
        if wrapped is not None and type(value).__name__ in ("PjitFunction", "_lru_cache_wrapper"):
            return {"wrapper": type(value).__name__, "function": self.of(wrapped, place)}
        return self._object(value, place)

    def _typed(self, value: Any, place: str) -> dict[str, Any]:
        """The type of an instance: its name, and the code of a class of one's own."""
        kind = type(value)
        known = installed_name(kind)
        return {"type": known} if known else {"type": kind.__qualname__, "class": self.of(kind, place)}

    def _fields(self, value: Any, place: str) -> dict[str, Any]:
        names = [field.name for field in dataclasses.fields(value)]
        cached = {name for name in vars(type(value)) if isinstance(vars(type(value))[name], functools.cached_property)}
        names += sorted(set(getattr(value, "__dict__", ())) - set(names) - cached - _DERIVED)
        return {name: self.of(getattr(value, name, None), f"{place}.{name}") for name in names}

    def _object(self, value: Any, place: str) -> Any:
        """An object as pickle would rebuild it, though nothing is pickled: whatever it is made of."""
        try:
            reduced = value.__reduce_ex__(2)
        except Exception as error:
            raise self._refused(value, place) from error
        if isinstance(reduced, str):
            return {"name": f"{type(value).__module__}.{reduced}"}
        make, arguments, *more = reduced
        parts = [self.of(make, place), self.of(arguments, place)]
        for part in more:
            if isinstance(part, dict):  # the state; what wraps a function carries the name of its module too
                part = {key: item for key, item in part.items() if key not in _DERIVED}
            parts.append(self.of(list(part) if isinstance(part, Iterator) else part, place))
        return {"object": type(value).__qualname__, "parts": parts}

    def _function(self, function: types.FunctionType, place: str) -> dict[str, Any]:
        code = function.__code__
        found: dict[str, Any] = {"function": function.__qualname__, "code": fingerprint(self._code(code, place))}
        if function.__defaults__ or function.__kwdefaults__:
            found["defaults"] = self.of([function.__defaults__, function.__kwdefaults__], f"{place}.__defaults__")
        cells = {n: _content(c) for n, c in zip(code.co_freevars, function.__closure__ or (), strict=True)}
        modules = {name: value for name, value in cells.items() if isinstance(value, types.ModuleType)}
        held = {name: self.of(value, f"{place}.{name}") for name, value in cells.items() if name not in modules}
        if held:
            found["closure"] = held
        top = function.__module__
        if top is not None and is_installed(top):
            return {**found, "function": f"{top}.{function.__qualname__}{package_version(top)}"}
        reads = {
            ".".join(names): self._brief(value, f"{place}.{'.'.join(names)}")
            for names, value in globals_read(function, modules)
        }
        return {**found, "globals": reads} if reads else found

    def _code(self, code: types.CodeType, place: str) -> list[Any]:
        constants = [
            self._code(constant, place) if isinstance(constant, types.CodeType) else self.of(constant, place)
            for constant in code.co_consts
        ]
        names = [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
        counts = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags]
        return [_sha(code.co_code), _sha(code.co_exceptiontable), constants, *map(list, names), counts]

    def _class(self, cls: type, place: str) -> dict[str, Any]:
        members = {
            name: self._brief(value, f"{cls.__qualname__}.{name}")
            for name, value in sorted(vars(cls).items())
            if name not in _DERIVED and not isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType)
        }
        found = {"class": cls.__qualname__, "members": members}
        bases = [self.of(base, place) for base in cls.__bases__ if base is not object]
        fields = [
            [field.name, self._brief([field.default, field.default_factory, dict(field.metadata)], place)]
            for field in vars(cls).get("__dataclass_fields__", {}).values()
        ]
        return {**found, "bases": bases, "fields": fields}

    def _brief(self, value: Any, place: str) -> Any:
        """A description, or its hash where it is long: what functions share would be written out again and again."""
        description = self.of(value, place)
        return fingerprint(description) if isinstance(description, dict | list) else description

    @staticmethod
    def _refused(value: Any, place: str) -> TypeError:
        text = repr(value)
        return TypeError(f"{place} is {text if len(text) <= 80 else text[:77] + '...'}: {_FIX}")


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return {"empty": True}


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
