"""Mixture fits on disk."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _schema as schema
from ._mixture_boost import Boost
from ._mixture_law import MixtureLaw
from ._mixture_scale import ScaleMap
from ._mixture_scores import MixtureScore
from ._mixture_table import MixtureTable
from ._mixture_validation import Calibration
from ._saved import read_fit, write_fit

if TYPE_CHECKING:
    from ._mixture_fit import MixtureFit

_FORMAT, _VERSION = "spectral_sim.mixture", 1
_LAW = {
    **{name: ("losses",) for name in ("floor", "amplitude", "offset", "exponent")},
    **{"strength": ("losses", "domains"), "power": ("domains",)},
}
_SCALE = ("shift", "slope", "error")
_AXES = {
    "ratios": ("runs", "domains"),
    "losses": ("runs", "losses"),
    "residuals": ("runs", "losses"),
    **{f"{kind}.{name}": (kind, *axes) for kind in ("law", "laws") for name, axes in _LAW.items()},
    **{f"scale.{name}": ("losses",) for name in _SCALE},
}
_NAMES = schema.items(schema.text())
_FACTS = schema.record(
    format=schema.choice(_FORMAT),
    version=schema.choice(_VERSION),
    domains=_NAMES,
    metrics=_NAMES,
    runs=_NAMES,
    notes=_NAMES,
    table_notes=_NAMES,
    ridge=schema.number(),
    kind=schema.choice("power", "linear"),
    level=schema.number(low=0.0, high=1.0),
    method=schema.text(),
    scores=schema.mapping(schema.items(schema.number(finite=False), length=2)),
    ridges=schema.mapping(schema.number()),
    boost=schema.either(schema.nothing(), schema.items(schema.text(longest=2**30))),
)
_ARRAYS = schema.record(
    facts=schema.array("U", shape=()),
    **{name: schema.array("f", shape=(None,) * len(axes), finite=True) for name, axes in _AXES.items()},
)


def write_mixture(fit: "MixtureFit", path: str | os.PathLike[str]) -> None:
    """Write a fit, replacing the file at once."""
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
    for kind, laws in (("law", (fit.law,)), ("laws", fit.calibration.laws)):
        arrays |= {f"{kind}.{name}": np.stack([getattr(law, name) for law in laws]) for name in _LAW}
    write_fit(path, facts, arrays | {f"scale.{name}": getattr(fit.scale, name) for name in _SCALE})


def read_mixture(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The fields of the fit that `write_mixture` wrote, checked against its schema."""
    return read_fit(path, _FACTS, _ARRAYS, _fields)


def _fields(facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    sizes = {"domains": len(facts["domains"]), "losses": len(facts["metrics"]), "runs": len(facts["runs"]), "law": 1}
    sizes["laws"] = len(arrays["laws.floor"])
    for name, axes in _AXES.items():
        expected = tuple(sizes[axis] for axis in axes)
        if arrays[name].shape != expected:
            raise schema.Malformed(name, f"has shape {arrays[name].shape}, not {expected}")
    boost = facts["boost"]
    if boost is not None and len(boost) != sizes["losses"]:
        raise schema.Malformed("facts.boost", f"holds {len(boost)} models for {sizes['losses']} losses")
    law, *laws = (
        MixtureLaw(**{name: arrays[f"{kind}.{name}"][n] for name in _LAW})
        for kind in ("law", "laws")
        for n in range(sizes[kind])
    )
    names = {name: tuple(facts[name]) for name in ("domains", "metrics", "runs")}
    return {
        "table": MixtureTable(arrays["ratios"], arrays["losses"], **names, notes=tuple(facts["table_notes"])),
        "law": law,
        "ridge": facts["ridge"],
        "kind": facts["kind"],
        "boost": None if boost is None else Boost(tuple(boost)),
        "calibration": Calibration(arrays["ratios"], arrays["residuals"], tuple(laws), facts["level"]),
        "scores": {name: MixtureScore(*score) for name, score in facts["scores"].items()},
        "ridges": {float(ridge): error for ridge, error in facts["ridges"].items()},
        "scale": ScaleMap(**{name: arrays[f"scale.{name}"] for name in _SCALE}, method=facts["method"]),
        "notes": tuple(facts["notes"]),
    }
