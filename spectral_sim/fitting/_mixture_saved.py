"""Mixture fits on disk: one .npz file of arrays and a line of JSON."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._files import write_arrays
from ._mixture_boost import Boost
from ._mixture_intervals import Calibration
from ._mixture_law import MixtureLaw
from ._mixture_scale import ScaleMap
from ._mixture_scores import MixtureScore
from ._mixture_table import MixtureTable

if TYPE_CHECKING:
    from ._mixture_fit import MixtureFit

__all__ = ["read_fit", "write_fit"]

_FORMAT, _VERSION = "spectral_sim.mixture", 1
_LAW = tuple(MixtureLaw.__dataclass_fields__)
_SHAPES = {
    "ratios": ("runs", "domains"),
    "losses": ("runs", "losses"),
    "residuals": ("runs", "losses"),
    **{f"{kind}.{name}": (kind, *shape) for kind in ("law", "laws") for name, shape in zip(
        _LAW, (("losses",), ("losses",), ("losses",), ("losses", "domains"), ("domains",), ("losses",)), strict=True
    )},
    **{f"scale.{name}": ("losses",) for name in ("shift", "slope", "error")},
}  # fmt: skip
_FACTS = {
    "domains": list, "metrics": list, "runs": list, "notes": list, "table_notes": list, "ridge": float, "kind": str,
    "level": float, "method": str, "scores": dict, "ridges": dict, "boost": (list, type(None)),
}  # fmt: skip


def write_fit(fit: "MixtureFit", path: str | os.PathLike[str]) -> None:
    """Write a fit, replacing the file at once."""
    target = _path(path)
    facts = {
        "format": _FORMAT,
        "version": _VERSION,
        "domains": fit.table.domains,
        "metrics": fit.table.metrics,
        "runs": fit.table.runs,
        "table_notes": fit.table.notes,
        "notes": fit.notes,
        "ridge": fit.ridge,
        "kind": fit.kind,
        "level": fit.calibration.level,
        "method": fit.scale.method,
        "scores": {name: [score.error, score.spearman] for name, score in fit.scores.items()},
        "ridges": {repr(ridge): error for ridge, error in fit.ridges.items()},
        "boost": None if fit.boost is None else fit.boost.models,
    }
    arrays = {"ratios": fit.table.ratios, "losses": fit.table.losses, "residuals": fit.calibration.residuals}
    for name in _LAW:
        arrays[f"law.{name}"] = getattr(fit.law, name)[None]
        arrays[f"laws.{name}"] = np.stack([getattr(law, name) for law in fit.calibration.laws])
    arrays |= {f"scale.{name}": getattr(fit.scale, name) for name in ("shift", "slope", "error")}
    write_arrays(target, {"facts": np.array(json.dumps(facts)), **arrays}, compressed=True)


def read_fit(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The fields of the fit that `write_fit` wrote, checked against the schema."""
    source = _path(path)
    where = f"path={str(path)!r}"
    if not source.is_file():
        raise FileNotFoundError(f"{where} is not a file: check the name.")
    try:
        with np.load(source, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        facts = json.loads(str(arrays.pop("facts")))
        kind, version = facts["format"], facts["version"]
    except Exception as error:
        raise ValueError(f"{where} holds no mixture fit ({type(error).__name__}): write it with save().") from error
    if kind != _FORMAT or version != _VERSION:
        raise ValueError(f"{where} holds {kind!r} of version {version!r}, not {_FORMAT!r} of version {_VERSION}.")
    _check(facts, arrays, where)
    laws = [
        [
            MixtureLaw(**{name: arrays[f"{kind}.{name}"][n] for name in _LAW})
            for n in range(len(arrays[f"{kind}.floor"]))
        ]
        for kind in ("law", "laws")
    ]
    names = {name: tuple(facts[name]) for name in ("domains", "metrics", "runs")}
    boost = facts["boost"]
    return {
        "table": MixtureTable(arrays["ratios"], arrays["losses"], **names, notes=tuple(facts["table_notes"])),
        "law": laws[0][0],
        "ridge": facts["ridge"],
        "kind": facts["kind"],
        "boost": None if boost is None else Boost(tuple(boost)),
        "calibration": Calibration(arrays["ratios"], arrays["residuals"], tuple(laws[1]), facts["level"]),
        "scores": {name: MixtureScore(*score) for name, score in facts["scores"].items()},
        "ridges": {float(ridge): error for ridge, error in facts["ridges"].items()},
        "scale": ScaleMap(arrays["scale.shift"], arrays["scale.slope"], arrays["scale.error"], facts["method"]),
        "notes": tuple(facts["notes"]),
    }


def _check(facts: dict[str, Any], arrays: dict[str, np.ndarray], where: str) -> None:
    """Raise unless every fact has its type and every array its shape."""
    for name, kind in _FACTS.items():
        if not isinstance(facts.get(name), kind):
            raise ValueError(f"{where}: {name} is {facts.get(name)!r:.60}: the file is damaged; write it anew.")
    sizes = {"domains": len(facts["domains"]), "losses": len(facts["metrics"]), "runs": len(facts["runs"]), "law": 1}
    sizes["laws"] = len(arrays.get("laws.floor", ()))
    for name, axes in _SHAPES.items():
        expected = tuple(sizes[axis] for axis in axes)
        found = arrays.get(name)
        if found is None or found.shape != expected or found.dtype != np.float64 or not np.isfinite(found).all():
            shape = None if found is None else found.shape
            raise ValueError(f"{where}: {name} has shape {shape}, expected finite numbers of shape {expected}.")
    if facts["boost"] is not None and len(facts["boost"]) != sizes["losses"]:
        raise ValueError(f"{where}: {len(facts['boost'])} boosted models for {sizes['losses']} losses: write it anew.")


def _path(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    if target.suffix != ".npz":
        raise ValueError(f"path={str(path)!r} does not end in .npz: name a .npz file.")
    return target
