"""Random features of many widths, against the contour integral that each loss can be had by."""

import itertools
from typing import Any

import jax
import numpy as np

from .._simulate import simulate
from .._times import log_times
from ..numerics import shell_rule
from ..problems import random_features
from ..schedules import uniform
from ._case import Case, Settings, apart, ratio
from ._result import CaseResult, Figure
from ._timing import interleaved, spread

_ALPHA, _BETA, _MODES = 1.4, 2.0, 10**8
_NARROWEST, _WIDEST = 8.0, 4096.0
_FIRST, _LAST = 0.1, 1e7  # times
_COMPARED = 60.0  # width that the peer is given
_POINTS = 240  # of the peer's contour, on one half of it
_QUADRATURE = 640  # nodes that stand for the modes there
_AGREED = 1e-6


def _features(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    """Spectra are kept for the widths seen last, so every call has new widths, which differ in the ninth digit."""
    times = log_times(_FIRST, _LAST, sizes["times"])
    widths, fresh = np.geomspace(_NARROWEST, _WIDEST, sizes["widths"]), itertools.count()

    def losses(width: Any) -> Any:
        problem = random_features(_ALPHA, _BETA, num_modes=_MODES, width=width, nodes=sizes["nodes"])
        return simulate(problem, uniform(), times, throw=False).loss

    run = jax.jit(jax.vmap(losses))
    ours = lambda: run(widths * (1 + 1e-9 * next(fresh)))
    compared = times[1 :: max(1, sizes["times"] // 8)]
    seconds = interleaved({"ours": ours, "peer": lambda: _contour(_COMPARED, compared)}, settings.rounds)
    found = np.interp(np.log(compared), np.log(times[1:]), np.asarray(run(np.array([_COMPARED])))[0, 1:])
    result.figures += [
        Figure("seconds", spread(seconds["ours"]), "s", note="spectra and flow of all widths", target="features"),
        ratio(
            "times a contour integral for each loss",
            *(seconds["peer"], seconds["ours"]),
            factor=sizes["widths"] * len(times[1:]) / len(compared),
            difference=apart(found, _contour(_COMPARED, compared)),
            tolerance=_AGREED,
            note=f"{_POINTS} points and {_QUADRATURE} nodes an integral, NumPy",
        ),
    ]


def _contour(width: float, times: np.ndarray) -> np.ndarray:
    """Losses of the equivalent, each by a parabola around the spectrum between it and the pole at zero."""
    rule = shell_rule(_MODES, _QUADRATURE)
    modes, counts = rule.index**-_ALPHA, rule.multiplicity
    energies = counts * rule.index**-_BETA
    kappa = _root(lambda x: np.sum(counts * modes / (modes + x)) - width, modes)
    edge = _root(lambda x: np.sum(counts * (modes / (modes + x)) ** 2) - width, modes)
    vertex, losses = (edge * kappa) ** 0.5, []
    s = np.sinh(12 * (np.arange(_POINTS) + 0.5) / _POINTS) / np.sinh(12)
    ds = 12 * np.cosh(12 * (np.arange(_POINTS) + 0.5) / _POINTS) / np.sinh(12) / _POINTS
    for time in times:
        reach = 1.1 * modes[0] + 40 / time + vertex
        omega = -vertex + reach * (s**2 + 0.5j * s)
        inverse = 1 / (modes - omega[:, None])
        m = 1 - inverse @ (counts * modes) / width
        slope = 1 - inverse**2 @ (counts * modes**2) / width
        step = np.exp(-2 * time * omega * m) * slope * reach * (2 * s + 0.5j) * ds / (2j * np.pi)
        losses.append(np.sum(step * (inverse @ energies) / m).real)
    return np.array(losses) + 0.5 * np.sum(energies * kappa / (modes + kappa))


def _root(excess: Any, modes: np.ndarray) -> float:
    """Where a function of kappa, which falls, is zero."""
    low, high = np.log(1e-12 * modes[-1]), np.log(1e4)
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(np.exp(middle)) > 0 else (low, middle)
    return float(np.exp(low))


CASES = (
    Case(
        "features",
        "Random features of many widths on 1e8 modes, their equivalents and flow, float64",
        {"widths": 256, "nodes": 256, "times": 256},
        {"widths": 16, "nodes": 128, "times": 64},
        lambda sizes: 8 * sizes["widths"] * (4 * sizes["nodes"] + 2 * sizes["times"]) + 2**26,
        _features,
        scaled="widths",
    ),
)
