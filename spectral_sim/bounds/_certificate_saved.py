"""Certificates on disk: the facts and arrays of one, and the way back, each held against a schema."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._schema import Malformed, array, boolean, choice, either, items, nothing, number, record
from ._certificate_multiplier import Multiplier
from ._certificate_result import Certificate
from ._certificate_task import CertificateTask

_REAL = number(low=-1e300, high=1e300)
_POSITIVE = number(low=0.0, high=1e300)
_TASK_FACTS = {
    "time_scale": _POSITIVE,
    "loss_scale": _POSITIVE,
    "augmented": boolean(),
    "missed": _POSITIVE,
    "neglected": items(_POSITIVE, length=2),
    "reach": _POSITIVE,
    "rank_one": boolean(),
}
_TASK_ARRAYS = {"generators": (None, None, None), "shares": (None,), "terminal": (None, None), "start": (None,)}
_MULTIPLIER = {"knots": (None,), "control": (None, None, None), "prices": (None,) * 5, "transfers": (None,) * 3}
_OF_HORIZONS = ("horizon", "loss", "limit", "finished")

certificate_facts = record(
    cap=either(nothing(), _REAL), method=choice("scalable", "exact"), tasks=items(record(**_TASK_FACTS), least=1)
)


def described(certificate: Certificate) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a certificate is as plain facts, for `certificate_facts`, and as arrays."""
    arrays = {name: getattr(certificate, name) for name in (*_OF_HORIZONS, "instants")}
    for n, task in enumerate(certificate.tasks):
        arrays |= {f"task{n}.{name}": getattr(task, name) for name in _TASK_ARRAYS}
    for h, (row, shares) in enumerate(zip(certificate.multiplier, certificate.shares, strict=True)):
        arrays[f"shares{h}"] = shares
        for n, multiplier in enumerate(row):
            parts = {f"multiplier{h}.{n}.{name}": getattr(multiplier, name) for name in _MULTIPLIER}
            arrays |= {name: part for name, part in parts.items() if part is not None}
    tasks = [{name: getattr(task, name) for name in _TASK_FACTS} for task in certificate.tasks]
    facts = {"cap": certificate.cap, "method": certificate.method, "tasks": tasks}
    return facts, {f"certificate.{name}": np.asarray(value) for name, value in arrays.items()}


def rebuilt(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Certificate:
    """The certificate that `described` took apart.

    Raises:
        Malformed: an array is missing or of another form, or the multipliers do not prove the loss.
    """

    def take(name: str, shape: tuple[int | None, ...], kinds: str = "f") -> np.ndarray:
        name = f"certificate.{name}"
        return array(kinds, shape=shape)(arrays.get(name), name)

    horizon = take("horizon", (None,))
    loss, limit = (take(name, horizon.shape) for name in ("loss", "limit"))
    tasks = []
    for n, told in enumerate(facts["tasks"]):
        own = {name: take(f"task{n}.{name}", shape) for name, shape in _TASK_ARRAYS.items()}
        size, choices = len(own["start"]), len(own["shares"])
        if own["generators"].shape != (choices, size, size) or own["terminal"].shape != (size, size):
            raise Malformed(f"certificate.task{n}", "holds arrays that do not fit together")
        tasks.append(CertificateTask(**own, **{**told, "neglected": tuple(told["neglected"])}))
    rows = []
    for h in range(len(horizon)):
        row = []
        for n in range(len(tasks)):
            stored = {
                name: take(f"multiplier{h}.{n}.{name}", shape)
                for name, shape in _MULTIPLIER.items()
                if name in ("knots", "control") or f"certificate.multiplier{h}.{n}.{name}" in arrays
            }
            row.append(Multiplier(**stored))
        rows.append(tuple(row))
    instants = take("instants", (None,))
    choices = len(tasks[0].shares)
    certificate = Certificate(
        horizon,
        loss,
        limit,
        tuple(rows),
        tuple(tasks),
        facts["cap"],
        facts["method"],
        take("finished", horizon.shape, "b"),
        tuple(take(f"shares{h}", (len(instants), choices)) for h in range(len(horizon))),
        instants,
    )
    if not certificate.verified:
        raise Malformed("certificate", "does not prove the loss that it names")
    return certificate
