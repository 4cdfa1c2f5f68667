"""Fits of curves on disk."""

import os
from typing import Any

import numpy as np

from .. import _schema as schema
from ._curve import Curve, check_curves, check_hold_out
from ._curve_errors import CurveScore
from ._curve_fit import CurveFit
from ._curve_model import NAMES, CurveLaw
from ._saved import read_fit, write_fit

_FORMAT, _VERSION = "spectral_sim.curves", 1
_FIELDS = ("steps", "loss", "learning_rate")
_NUMBER = schema.number()
_SCORES = schema.mapping(schema.mapping(schema.items(schema.number(finite=False), length=len(CurveScore._fields))))
_FACTS = schema.record(
    format=schema.choice(_FORMAT),
    version=schema.choice(_VERSION),
    names=schema.items(schema.text(), least=1),
    batch_sizes=schema.items(schema.either(schema.nothing(), schema.number(low=0.0))),
    hold_out=schema.items(schema.text()),
    max_mode=schema.number(low=1.0),
    nodes=schema.integer(low=1),
    level=schema.number(low=0.0, high=1.0),
    scores=_SCORES,
    cross_validation=schema.mapping(_NUMBER),
    exponents=schema.items(schema.items(_NUMBER, length=2)),
    converged=schema.boolean(),
    warnings=schema.items(schema.text()),
)
_COUNT = len(NAMES)
_ARRAYS = schema.record(
    None,
    schema.array("if", shape=(None,)),
    facts=schema.array("U", shape=()),
    point=schema.array("f", shape=(_COUNT,), finite=True),
    covariance=schema.array("f", shape=(_COUNT, _COUNT), finite=True),
    scales=schema.array("f", shape=(3,), finite=True),
)


def write_curves(fit: CurveFit, path: str | os.PathLike[str]) -> None:
    """Write a fit, replacing the file at once."""
    facts = {
        "format": _FORMAT,
        "version": _VERSION,
        "names": list(fit.curves),
        "batch_sizes": [curve.batch_size for curve in fit.curves.values()],
        "hold_out": list(fit.hold_out),
        "max_mode": fit.law.max_mode,
        "nodes": fit.law.nodes,
        "level": fit.level,
        "scores": fit.scores,
        "cross_validation": fit.cross_validation,
        "exponents": [list(pair) for pair in fit.exponents.items()],
        "converged": fit.converged,
        "warnings": list(fit.warnings),
    }
    arrays = {
        "point": fit.point,
        "covariance": fit.covariance,
        "scales": np.array([fit.law.peak, fit.law.lowest, fit.residual], np.float64),
    }
    for n, curve in enumerate(fit.curves.values()):
        arrays |= {f"curves.{n}.{name}": getattr(curve, name) for name in _FIELDS}
    write_fit(path, facts, arrays)


def read_curves(path: str | os.PathLike[str]) -> CurveFit:
    """The fit that `write_curves` wrote, checked against its schema."""
    return read_fit(path, _FACTS, _ARRAYS, _made)


def _made(facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> CurveFit:
    curves = {}
    if len(facts["batch_sizes"]) != len(facts["names"]):
        raise schema.Malformed(
            "facts.batch_sizes", f"has {len(facts['batch_sizes'])} entries, not {len(facts['names'])}"
        )
    for n, (name, batch_size) in enumerate(zip(facts["names"], facts["batch_sizes"], strict=True)):
        missing = [field for field in _FIELDS if f"curves.{n}.{field}" not in arrays]
        if missing:
            raise schema.Malformed(f"curves.{n}.{missing[0]}", "is missing")
        steps, loss, rates = (arrays[f"curves.{n}.{field}"] for field in _FIELDS)
        try:
            curves[name] = Curve(steps, loss, rates, batch_size)
        except ValueError as error:
            raise schema.Malformed(f"curves.{n}", f"is no curve ({error})") from error
    try:
        held = check_hold_out(facts["hold_out"], check_curves(curves))
    except ValueError as error:
        raise schema.Malformed("facts", f"do not fit the curves ({error})") from error
    for law, scores in facts["scores"].items():
        if set(scores) != set(curves):
            raise schema.Malformed(f"facts.scores.{law}", f"has scores of {sorted(scores)}, not of {sorted(curves)}")
    peak, lowest, residual = arrays["scales"].tolist()
    return CurveFit(
        curves=curves,
        hold_out=held,
        law=CurveLaw(peak, lowest, facts["max_mode"], facts["nodes"]),
        point=arrays["point"],
        covariance=arrays["covariance"],
        residual=residual,
        level=facts["level"],
        scores={
            law: {name: CurveScore(*each) for name, each in scores.items()} for law, scores in facts["scores"].items()
        },
        cross_validation=facts["cross_validation"],
        exponents=dict(map(tuple, facts["exponents"])),
        converged=facts["converged"],
        warnings=tuple(facts["warnings"]),
    )
