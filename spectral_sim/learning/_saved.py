"""Schedules and searches on disk: a readable JSON file, and the arrays beside it."""

import dataclasses
import hashlib
import json
import math
import os
import warnings
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._types import PerRefresh
from ..schedules import STAGES, AbstractStage, PolicySchedule, TableSchedule, chain, stage_name, stages_of

__all__ = ["Folder", "load_schedule", "save_schedule"]

VERSION = 1
_LIBRARY = "spectral_sim"
_CLASSES: dict[str, type[AbstractStage]] = {
    **STAGES,
    "policy_schedule": PolicySchedule,
    "table_schedule": TableSchedule,
}


def save_schedule(schedule: AbstractStage, path: str | os.PathLike[str]) -> None:
    """Write a schedule to `path` (JSON: its stages and options) and its arrays to the `.npz` file beside it.

    Arguments:
        schedule: a shipped stage, table or policy, or a chain of them.
        path: file ending in .json.

    Raises:
        ValueError: another suffix, or a stage that is not shipped.
    """
    Folder(path, "schedule").write({}, schedule, {})


def load_schedule(path: str | os.PathLike[str]) -> AbstractStage:
    """Read a schedule: from `save_schedule`, or the one that `Learned.save` wrote.

    Arguments:
        path: the .json file; its arrays are looked for beside it.

    Raises:
        FileNotFoundError: either file is missing.
        ValueError: files of another version, or files that do not belong together.
    """
    return Folder(path, None).read()[1]


class Folder:
    """A JSON file of version `VERSION` and the arrays beside it.

    Arguments:
        path: the .json file.
        kind: what it holds, "schedule" or "learned"; None for either.
    """

    def __init__(self, path: str | os.PathLike[str], kind: str | None):
        self._json = Path(path)
        self._npz = self._json.with_suffix(".npz")
        self._kind = kind
        if self._json.suffix != ".json":
            raise ValueError(f"path={str(path)!r} does not end in .json: the arrays go to the .npz file beside it.")

    def write(self, facts: dict[str, Any], schedule: AbstractStage, arrays: dict[str, np.ndarray]) -> None:
        """Write both files, each replaced at once, the JSON file last: it names the hash of the arrays."""
        leaves: dict[str, np.ndarray] = dict(arrays)
        stages = [_describe(stage, f"stage{n}", leaves) for n, stage in enumerate(stages_of(schedule))]
        digest = _digest(leaves)
        aside = self._npz.with_name(f".{self._npz.name}.part.npz")
        np.savez_compressed(aside, **leaves)  # pyright: ignore[reportArgumentType]
        text = json.dumps(
            {
                "format": f"{_LIBRARY}.{self._kind}",
                "version": VERSION,
                "arrays": self._npz.name,
                "digest": digest,
                **_plain(facts),
                "stages": stages,
            },
            indent=2,
        )
        part = self._json.with_name(f".{self._json.name}.part")
        part.write_text(text + "\n", encoding="utf-8")
        os.replace(aside, self._npz)
        os.replace(part, self._json)

    def read(self) -> tuple[dict[str, Any], AbstractStage, dict[str, np.ndarray]]:
        """The facts, the schedule and the other arrays."""
        where = f"path={str(self._json)!r}"
        for file in (self._json, self._npz):
            if not file.is_file():
                raise FileNotFoundError(f"{where}: {file.name} is missing: a .json file and its .npz go together.")
        try:
            facts = json.loads(self._json.read_text(encoding="utf-8"))
            kind, version = facts["format"], facts["version"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{where} is no file of this library ({error}): write it with save().") from error
        wanted = [f"{_LIBRARY}.{self._kind}"] if self._kind else [f"{_LIBRARY}.schedule", f"{_LIBRARY}.learned"]
        if kind not in wanted:
            raise ValueError(f"{where} holds {kind!r}, not {' or '.join(wanted)}: name another file.")
        if version != VERSION:
            raise ValueError(
                f"{where} has version {version}, this library reads version {VERSION}: learn it anew, or use the "
                "version of the library that wrote it."
            )
        with np.load(self._npz, allow_pickle=False) as file:
            leaves = {name: file[name] for name in file.files}
        if _digest(leaves) != facts["digest"]:
            raise ValueError(f"{where}: {self._npz.name} holds other arrays than were saved with it: copy both files.")
        if not jax.config.jax_enable_x64 and any(x.dtype == np.float64 for x in leaves.values()):  # pyright: ignore[reportAttributeAccessIssue]
            warnings.warn(f"{where} holds float64 arrays, rounded to float32: enable jax_enable_x64.", stacklevel=3)
        stages = [_rebuild(stage, f"stage{n}", leaves, where) for n, stage in enumerate(facts["stages"])]
        return facts, chain(*stages), leaves


def _describe(stage: AbstractStage, path: str, leaves: dict[str, np.ndarray]) -> dict[str, Any]:
    """A stage as plain values; its arrays are put into `leaves` under the path of their field."""
    name = stage_name(stage)
    if _CLASSES.get(name) is not type(stage):
        raise ValueError(
            f"{type(stage).__name__} is no shipped stage and cannot be saved: save its parameters yourself."
        )
    if isinstance(stage, PolicySchedule):
        network = stage.network
        for n, leaf in enumerate(jax.tree.leaves(eqx.filter(network, eqx.is_array))):
            leaves[f"{path}.network.{n}"] = np.asarray(leaf)
        cap = None if stage.cap is None else list(stage.cap)
        return {"stage": name, "network": {"width": network.width_size, "depth": network.depth}, "cap": cap}
    fields = {field.name: getattr(stage, field.name) for field in dataclasses.fields(stage)}
    return {"stage": name, **{key: _field(value, f"{path}.{key}", leaves) for key, value in fields.items()}}


def _field(value: Any, path: str, leaves: dict[str, np.ndarray]) -> Any:
    if isinstance(value, PerRefresh):
        leaves[f"{path}.values"] = np.asarray(value.values)
        if value.rows is not None:
            leaves[f"{path}.rows"] = np.asarray(value.rows)
        return {"per_refresh": path}
    if eqx.is_array(value) or isinstance(value, np.ndarray):
        leaves[path] = np.asarray(value)
        return {"array": path}
    if isinstance(value, tuple) and all(isinstance(x, int | float) for x in value):
        return list(value)
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError(f"{path} is a {type(value).__name__}, which cannot be saved: save its parameters yourself.")


def _rebuild(spec: dict[str, Any], path: str, leaves: dict[str, np.ndarray], where: str) -> AbstractStage:
    name = spec["stage"]
    if name not in _CLASSES:
        raise ValueError(f"{where} has the stage {name!r}, which this version of the library does not know.")
    try:
        if name == "policy_schedule":
            return _rebuild_policy(spec, path, leaves)
        options = {key: _rebuild_field(value, leaves) for key, value in spec.items() if key != "stage"}
        return _CLASSES[name](**options)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{where}: {path} ({name}) cannot be rebuilt ({error}): learn it anew.") from error


def _rebuild_policy(spec: dict[str, Any], path: str, leaves: dict[str, np.ndarray]) -> PolicySchedule:
    cap = None if spec["cap"] is None else (spec["cap"][0], spec["cap"][1])
    template = PolicySchedule.create(jax.random.key(0), cap=cap, **spec["network"])
    arrays, rest = eqx.partition(template, eqx.is_array)
    old, structure = jax.tree.flatten(arrays)
    new = [jnp.asarray(leaves[f"{path}.network.{n}"]) for n in range(len(old))]
    if [x.shape for x in new] != [x.shape for x in old]:
        raise TypeError("its network has other inputs than the policies of this version")
    return eqx.combine(jax.tree.unflatten(structure, new), rest)


def _rebuild_field(value: Any, leaves: dict[str, np.ndarray]) -> Any:
    if isinstance(value, dict) and "per_refresh" in value:
        path = value["per_refresh"]
        rows = leaves.get(f"{path}.rows")
        return PerRefresh(jnp.asarray(leaves[f"{path}.values"]), None if rows is None else jnp.asarray(rows))
    if isinstance(value, dict):
        return jnp.asarray(leaves[value["array"]])
    return tuple(value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    """Numbers that JSON does not have become words that `float` reads."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _digest(leaves: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(leaves):
        array = np.ascontiguousarray(leaves[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()[:16]
