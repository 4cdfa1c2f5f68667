"""A stable description of everything a result depends on, and its hash."""

import dataclasses
import hashlib
import json
import types
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["describe", "difference", "fingerprint"]

_SHOWN = 16  # entries of an array that are written out; longer ones are told by a hash


def describe(value: Any) -> Any:
    """`value` as plain JSON that is the same in every process: no addresses, no order of insertion, no rounding.

    Raises:
        TypeError: something that has no description of its own, such as an open file.
    """
    if isinstance(value, str | bool | int | float | None):
        return value
    if eqx.is_array(value) or isinstance(value, np.generic):
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            value = jax.random.key_data(jnp.asarray(value))
        array = np.ascontiguousarray(value)
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        short = {"values": array.tolist()} if array.size <= _SHOWN else {}
        return {"dtype": str(array.dtype), "shape": list(array.shape), "sha256": digest[:32], **short}
    if isinstance(value, types.FunctionType | type):
        return f"{value.__module__}.{value.__qualname__}"
    if dataclasses.is_dataclass(value):
        fields = {field.name: describe(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"type": f"{type(value).__module__}.{type(value).__qualname__}", **fields}
    if isinstance(value, dict):
        return {str(key): describe(item) for key, item in sorted(value.items())}
    if isinstance(value, tuple | list):
        return [describe(item) for item in value]
    raise TypeError(f"{value!r} has no stable description: a sweep is made of modules, arrays, numbers and functions.")


def fingerprint(description: Any) -> str:
    """Hash of a description."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def difference(ours: Any, theirs: Any, place: str = "") -> str:
    """The first place at which two descriptions differ, with both values; empty if they do not."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.get("type") == theirs.get("type"):
        for key in sorted(ours.keys() | theirs.keys(), key=lambda key: (key == "sha256", key)):
            found = difference(ours.get(key), theirs.get(key), f"{place}.{key}" if place else key)
            if found:
                return found
        return ""
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return next((found for n, pair in pairs if (found := difference(*pair, f"{place}[{n}]"))), "")
    return "" if ours == theirs else f"{place} is {_short(theirs)} there and {_short(ours)} here"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
