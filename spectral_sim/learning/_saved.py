"""Schedules and searches on disk: a readable JSON file, and the arrays beside it."""

import dataclasses
import hashlib
import json
import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._files import SavedFileError, read_arrays, read_facts, used, write_arrays, write_text
from .._registry import registered, registered_name
from .._schema import (
    Malformed,
    Schema,
    array,
    choice,
    either,
    explained,
    items,
    mapping,
    nothing,
    number,
    plain,
    record,
    text,
)
from .._types import PerRefresh
from ..dynamics import AbstractDynamics
from ..schedules import AbstractStage, chain, stages_of

_VERSION = 2
_LIBRARY = "spectral_sim"


def save_schedule(schedule: AbstractStage, path: str | os.PathLike[str]) -> None:
    """Write a schedule to `path` (JSON: its stages and options) and its arrays to the `.npz` file beside it.

    Arguments:
        schedule: a shipped stage, table or policy, a stage of your own that is registered, or a chain of them.
        path: file ending in .json.

    Raises:
        ValueError: another suffix, a stage that is not registered, or one with a field that is no array, number or
            text.
    """
    SavedSchedule(path, "schedule").write({}, schedule, {})


def load_schedule(path: str | os.PathLike[str]) -> AbstractStage:
    """Read a schedule: from `save_schedule`, or the one that `Learned.save` wrote.

    Arguments:
        path: the .json file; its arrays are looked for beside it.

    Raises:
        FileNotFoundError: either file is missing.
        SavedFileError: files of another version, damaged files, files that do not belong together, or a stage that is
            not registered.
    """
    return SavedSchedule(path, None).read()[1]


def real(value: Any, field: str) -> float:
    """A number, also an infinite one or NaN, for which JSON has no sign: they stand there as words."""
    if isinstance(value, str) and value in ("inf", "-inf", "nan"):
        return float(value)
    return float(number(low=-(2**1000), high=2**1000)(value, field))


class SavedSchedule:
    """A JSON file with a schedule and other facts, and an .npz file of the same name with its arrays.

    A hash over the facts and the arrays says that both files are those that were written together.

    Arguments:
        path: the .json file.
        kind: what it holds, "schedule" or "learned"; None for either.
        facts: schema of each fact beside the schedule.
        optional: schema of each fact that may be left out.
    """

    fix = "Save it anew, or copy both files again."

    def __init__(
        self,
        path: str | os.PathLike[str],
        kind: str | None,
        facts: dict[str, Schema] | None = None,
        optional: dict[str, Schema] | None = None,
    ):
        self._json = Path(path)
        self._npz = self._json.with_suffix(".npz")
        self._kind, self._facts = kind, facts
        self._optional = {"dynamics": either(nothing(), _part("dynamics")), **(optional or {})}
        if self._json.suffix != ".json":
            raise ValueError(f"path={str(path)!r} does not end in .json: the arrays go to the .npz file beside it.")

    def write(
        self,
        facts: dict[str, Any],
        schedule: AbstractStage,
        arrays: dict[str, np.ndarray],
        dynamics: AbstractDynamics | None = None,
    ) -> None:
        """Write both files, each replaced at once, the JSON file last."""
        leaves: dict[str, np.ndarray] = dict(arrays)
        stages = [_describe(stage, "stage", f"stage{n}", leaves) for n, stage in enumerate(stages_of(schedule))]
        told = {
            "format": f"{_LIBRARY}.{self._kind}",
            "version": _VERSION,
            "arrays": self._npz.name,
            **_plain(facts),
            "stages": stages,
            "dynamics": None if dynamics is None else _describe(dynamics, "dynamics", "dynamics", leaves),
        }
        write_arrays(self._npz, leaves, compressed=True)
        write_text(self._json, json.dumps({**told, "digest": _digest(told, leaves)}, indent=2) + "\n")

    def read(self) -> tuple[dict[str, Any], AbstractStage, dict[str, np.ndarray], AbstractDynamics | None]:
        """The facts, the schedule, all arrays and the dynamics."""
        for file in (self._json, self._npz):
            if not file.is_file():
                raise FileNotFoundError(
                    f"path={str(self._json)!r}: {file.name} is missing: a .json file and its .npz go together."
                )
        told = read_facts(self._json, plain(), self.fix)
        kinds = [f"{_LIBRARY}.{kind}" for kind in ([self._kind] if self._kind else ["schedule", "learned"])]
        head = {"format": choice(*kinds), "version": _version}
        known = {**head, "arrays": text(), "digest": text(), "stages": items(_part("stage"), least=1)}
        schema = record(self._optional, **known, **(self._facts or {}))
        if self._facts is None:  # whatever else stands beside the schedule is not looked at
            schema = record(self._optional, plain(), **known)
        self.checked(lambda: record(None, plain(), **head)(told, ""))
        facts = self.checked(lambda: schema(told, ""))
        leaves = read_arrays(self._npz, mapping(array("biuf")), self.fix)
        if _digest({name: value for name, value in told.items() if name != "digest"}, leaves) != facts["digest"]:
            raise SavedFileError(
                f"{str(self._json)!r}: digest does not fit: this file or {self._npz.name} holds other values than were "
                f"saved together. {self.fix}"
            )
        stages = [self._rebuild(spec, "stage", f"stage{n}", leaves) for n, spec in enumerate(facts["stages"])]
        schedule = used(self._json, "stages", self.fix, lambda: chain(*stages))
        told_dynamics = facts.get("dynamics")
        dynamics = None if told_dynamics is None else self._rebuild(told_dynamics, "dynamics", "dynamics", leaves)
        self._warn_of_rounding(leaves)
        return facts, schedule, leaves, dynamics

    def checked(self, check: Callable[[], Any]) -> Any:
        """What `check()` returns; what it finds malformed is an error of this file."""
        return explained(repr(str(self._json)), self.fix, SavedFileError, check)

    def _rebuild(self, spec: dict[str, Any], kind: str, path: str, leaves: dict[str, np.ndarray]) -> Any:
        try:
            cls = registered(kind, spec[kind])
        except LookupError as error:
            module = spec.get("module")
            where = f"import {module}, which defined it, first" if module else str(error)
            raise SavedFileError(
                f"{str(self._json)!r}: {path}.{kind} is {spec[kind]!r}, which is not registered: {where}."
            ) from error

        def make() -> Any:
            options = {name: value for name, value in spec.items() if name not in (kind, "module")}
            if hasattr(cls, "from_saved"):
                own = [name for name in leaves if name.startswith(f"{path}.")]
                return cls.from_saved(options, {name.removeprefix(f"{path}."): leaves[name] for name in own})
            return cls(**{name: self._field(value, leaves, f"{path}.{name}") for name, value in options.items()})

        return used(self._json, f"{path} ({spec[kind]})", self.fix, make)

    def _field(self, value: Any, leaves: dict[str, np.ndarray], path: str) -> Any:
        if isinstance(value, dict) and "per_refresh" in value:
            rows = leaves.get(f"{path}.rows")
            return PerRefresh(jnp.asarray(leaves[f"{path}.values"]), None if rows is None else jnp.asarray(rows))
        if isinstance(value, dict) and "array" in value:
            return jnp.asarray(leaves[path])
        for kind in ("stage", "dynamics"):
            if isinstance(value, dict) and isinstance(value.get(kind), str):
                return self._rebuild(value, kind, path, leaves)
        return tuple(value) if isinstance(value, list) else value

    def _warn_of_rounding(self, leaves: dict[str, np.ndarray]) -> None:
        """Warn where arrays of a schedule or dynamics are rounded; others stay as they are, in NumPy."""
        parts = [leaf for name, leaf in leaves.items() if name.startswith(("stage", "dynamics"))]
        if not jax.config.jax_enable_x64 and any(leaf.dtype == np.float64 for leaf in parts):  # pyright: ignore[reportAttributeAccessIssue]
            warnings.warn(
                f"{str(self._json)!r} holds float64 arrays, rounded to float32: enable jax_enable_x64.", stacklevel=4
            )


def _version(value: Any, field: str) -> int:
    if type(value) is not int or value != _VERSION:
        raise Malformed(field, f"is {str(value)[:20]}, this library reads {_VERSION}: use the version that wrote it")
    return value


def _part(kind: str) -> Schema:
    return record({"module": text()}, plain(), **{kind: text()})


def _describe(part: Any, kind: str, path: str, leaves: dict[str, np.ndarray]) -> dict[str, Any]:
    """A stage or dynamics as plain values; its arrays are put into `leaves` under the path of their field.

    A class whose fields are not plain says by `saved()` what is to be kept, options and arrays, and is made from them
    by its class method `from_saved(options, arrays)`.
    """
    cls = type(part)
    name = registered_name(cls)
    if name is None:
        raise ValueError(
            f"{cls.__name__} is not registered, so that a file could not name it: decorate the class with "
            "@spectral_sim.register, then save it again."
        )
    told: dict[str, Any] = {kind: name}
    if cls.__module__.split(".")[0] != _LIBRARY:
        told["module"] = cls.__module__
    if hasattr(part, "saved"):
        options, arrays = part.saved()
        leaves.update({f"{path}.{key}": np.asarray(leaf) for key, leaf in arrays.items()})
        return {**told, **options}
    fields = {field.name: getattr(part, field.name) for field in dataclasses.fields(part) if field.init}
    return {**told, **{key: _field(value, f"{path}.{key}", leaves) for key, value in fields.items()}}


def _field(value: Any, path: str, leaves: dict[str, np.ndarray]) -> Any:
    if isinstance(value, PerRefresh):
        leaves[f"{path}.values"] = np.asarray(value.values)
        if value.rows is not None:
            leaves[f"{path}.rows"] = np.asarray(value.rows)
        return {"per_refresh": path}
    if eqx.is_array(value) or isinstance(value, np.ndarray):
        leaves[path] = np.asarray(value)
        return {"array": path}
    for kind, base in (("stage", AbstractStage), ("dynamics", AbstractDynamics)):
        if isinstance(value, base):
            return _describe(value, kind, path, leaves)
    if isinstance(value, tuple) and all(isinstance(x, int | float) for x in value):
        return list(value)
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError(f"{path} is a {type(value).__name__}, which cannot be saved: save its parameters yourself.")


def _plain(value: Any) -> Any:
    """Numbers that JSON does not have become words that `float` reads."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _digest(told: dict[str, Any], leaves: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for name in sorted(leaves):
        leaf = np.asarray(leaves[name])
        digest.update(f"{name} {leaf.dtype.str} {leaf.shape}".encode() + leaf.tobytes())
    return digest.hexdigest()[:32]
