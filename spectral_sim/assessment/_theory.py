"""What theory says of a sweep, held against its table: each finding with its numbers and its error."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..analysis import compute_exponents, compute_frontier, fit_exponent
from ..sweeps import as_grid

_NEAR = 0.08  # of an exponent over a few decades of compute to the asymptotic one


@dataclass(frozen=True)
class Finding:
    """One statement of theory and what the table shows.

    Arguments:
        text: the statement with the measured and the predicted number, and the error.
        holds: whether they agree within that error.
    """

    text: str
    holds: bool


def findings(table: Any) -> list[Finding]:
    """Everything that the theory named in the attributes of a table says of it; empty if none is named.

    Arguments:
        table: of a sweep, an `xarray.Dataset`.
    """
    name = table.attrs.get("theory", "")
    return THEORIES[name](as_grid(table)) if name in THEORIES else []


def _static_limit(table: Any) -> list[Finding]:
    """Bounded static weights keep the exponent (beta - 1) / alpha, whatever the rule and the bound."""
    found = []
    beta = float(table.attrs["beta"])
    for alpha in np.asarray(table["problem.alpha"]):
        own = table.sel({"problem.alpha": alpha})
        exponent, error = np.asarray(own.exponent, np.float64), np.asarray(own.exponent_stderr, np.float64)
        expected = (beta - 1) / alpha
        off = np.abs(exponent - expected)
        found.append(
            Finding(
                f"alpha = {alpha:g}, beta = {beta:g}: {exponent.size} bounded rules have exponents "
                f"{exponent.min():.5f} to {exponent.max():.5f}, predicted (beta - 1) / alpha = {expected:.5f}; the "
                f"largest difference is {off.max():.1e} and the largest fitted error {error.max():.1e}.",
                bool(np.all(off <= 3 * error)),
            )
        )
    return found


def _crossover(table: Any) -> list[Finding]:
    """A capped oracle leaves the ideal curve at a time that grows as W^(1 / (alpha - 1))."""
    found = []
    caps = np.asarray(table["clip.high"], np.float64)
    for alpha in np.asarray(table["problem.alpha"]):
        own = table.sel({"problem.alpha": alpha})
        crossover = np.asarray(own.crossover, np.float64)
        fit = fit_exponent(caps, 1 / crossover, window=(caps[0], caps[-1]))  # its error holds the bend of the line too
        # an error of the crossover times that all caps share turns the line by at most this much
        shared = float(np.max(np.asarray(own.crossover_stderr) / crossover)) / np.log(caps[-1] / caps[0])
        slope, error, expected = fit.value, float(np.hypot(fit.stderr, shared)), 1 / (alpha - 1)
        text = (
            f"alpha = {alpha:g}: the crossover time grows as cap^{slope:.4f} (error {error:.4f}), predicted "
            f"1 / (alpha - 1) = {expected:.4f}"
        )
        if alpha == 2:
            amplitude = float(np.median(crossover / caps**expected))
            text += f"; at alpha = 2 it is {amplitude:.3f} times the cap, predicted 3.765"
        found.append(Finding(f"{text}.", bool(abs(slope - expected) <= 3 * error)))
    return found


def _practical_oracle(table: Any) -> list[Finding]:
    """A cap bounds the speed-up for ever; nothing beats water-filling; perfect sight nearly reaches it."""
    kept = table.gain_kept
    kinds = {"gross": "speedup", "net": "speedup_net"}
    most = {kind: float((table[name] / table["clip.high"]).max()) for kind, name in kinds.items() if name in table}
    ratio = max(most.values())
    over = table.over_ideal
    best = over.isel({"delay.tau": 0, "add_noise.sigma": 0, "clip.high": -1})
    worst = kept.isel({"delay.tau": -1, "add_noise.sigma": -1, "clip.high": 0})
    corner = kept.isel({"delay.tau": 0, "add_noise.sigma": 0, "clip.high": -1})
    return [
        Finding(
            "Weights up to W speed up at most W times: the largest speed-up over its cap is "
            f"{', '.join(f'{value:.4f} {kind}' for kind, value in most.items())}.",
            ratio <= 1 + 1e-3,
        ),
        Finding(
            f"No loss is below the ideal oracle's: the smallest ratio is {float(over.min()):.4f}.",
            float(over.min()) >= 1 - 1e-3,
        ),
        Finding(
            "Without delay or noise, under the widest cap, sampling in proportion to the residual ends at "
            f"{float(best):.3f} times the ideal loss, predicted 1.23 for alpha = beta = 2.",
            abs(float(best) - 1.23) < 0.02,
        ),
        Finding(
            f"Of the ideal gain in log loss {float(corner):.0%} survives there, {float(worst):.0%} with the longest "
            "delay, the most noise and the tightest cap.",
            float(worst) < float(corner) <= 1,
        ),
    ]


def _compute_frontier(table: Any) -> list[Finding]:
    """A power tilt that grows with the width moves the compute-optimal exponents, by 1 / (1 - tilt) of each rate."""
    found = []
    alpha, beta = float(table.attrs["alpha"]), float(table.attrs["beta"])
    widths, times = np.asarray(table["problem.width"]), np.asarray(table["times"])
    for tilt in np.asarray(table["power_tilt.exponent"]):
        own = table.loss.sel({"power_tilt.exponent": tilt}).transpose("problem.width", "times")
        fit = compute_frontier(np.asarray(own)[:, 1:], widths, times[1:])
        expected = compute_exponents(alpha, beta, noise=False, tilt=float(tilt))
        loss, width, (first, last) = fit.loss_exponent, fit.width_exponent, fit.loss_exponent.window
        found.append(
            Finding(
                f"tilt = {tilt:g}: with compute, width x time, from {first:.1e} to {last:.1e} the best loss falls as "
                f"compute^-{loss.value:.4f} (error {loss.stderr:.4f}), predicted {expected.loss:.4f}, and the best "
                f"width grows as compute^{width.value:.4f} (error {width.stderr:.4f}), predicted {expected.width:.4f}.",
                abs(loss.value / expected.loss - 1) < _NEAR and abs(width.value / expected.width - 1) < _NEAR,
            )
        )
    return found


THEORIES: dict[str, Callable[[Any], list[Finding]]] = {
    "static_limit": _static_limit,
    "crossover": _crossover,
    "practical_oracle": _practical_oracle,
    "compute_frontier": _compute_frontier,
}
"""What may be named as `theory` in the configuration of a sweep."""
