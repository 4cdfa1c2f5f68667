"""Fit three public loss curves, predict six others, and compare with published laws fitted to the same three.

    python benchmarks/published/loss_curves.py --data DIR [--output FILE]

DIR holds loss_25M.csv and loss_100M.csv (columns curve, step, loss): validation losses of language models of two sizes
under nine learning-rate schedules. The published split fits cosine_24000, constant_24000 and wsdcon_9. The exponent of
the noise is chosen by cross-validation over those three. Compilation is timed on its own: a first fit fills the program
cache, a second one of the same shapes is timed.
"""

import argparse
import csv
import json
import os
import platform
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

from spectral_sim.fitting import Curve, CurveFit, fit_curves  # noqa: E402
from spectral_sim.fitting._curve_errors import mean_score  # noqa: E402
from spectral_sim.fitting._curve_grid import curve_batch  # noqa: E402
from spectral_sim.fitting._curve_model import log_losses, log_losses_and_slopes  # noqa: E402

FITTED = ("cosine_24000", "constant_24000", "wsdcon_9")
PEAK, FLOOR, WARM_UP = 3e-4, 3e-5, 2160
TARGETS = {"25M": (0.0040, 0.0048, 0.998), "100M": (0.0038, 0.0055, 0.998)}


def rates_of(name: str) -> np.ndarray:
    """The learning rate of every step of a curve, by its name."""
    kind, *numbers = name.split("_")
    if kind == "wsdcon":
        steps = np.arange(16_000)
        rates = np.where(steps < 8000, PEAK, float(numbers[0]) * 1e-5)
    else:
        last = int(numbers[-1])
        steps = np.arange(last)
        if kind == "constant":
            rates = np.full(last, PEAK)
        elif kind == "cosine":
            rates = FLOOR + (PEAK - FLOOR) * (1 + np.cos(np.pi * (steps - WARM_UP) / (last - WARM_UP))) / 2
        else:
            begin = int(numbers[0])
            share = np.clip((steps - begin) / (last - begin), 0, 1)
            rates = PEAK ** (1 - share) * FLOOR**share if kind == "wsd" else PEAK + (FLOOR - PEAK) * share
    return np.where(steps < WARM_UP, PEAK * steps / WARM_UP, rates)


def load(path: Path) -> dict[str, Curve]:
    """The curves of one model size; a loss at step s was measured after s + 1 updates."""
    rows: dict[str, list[tuple[int, float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["curve"], []).append((int(row["step"]) + 1, float(row["loss"])))
    return {name: Curve(*zip(*points, strict=True), rates_of(name)) for name, points in rows.items()}


def gradient_error(fit: CurveFit) -> float:
    """Largest difference of the slopes of the log loss from central differences, over the largest slope."""
    names = fit.fitted
    batch = curve_batch([fit.curves[name] for name in names], float(fit.law.peak), None)
    point = jnp.asarray(fit.point)
    _, slopes = log_losses_and_slopes(fit.law, point, batch)
    worst = 0.0
    for n in range(point.size):
        step = 1e-4
        ahead, behind = (log_losses(fit.law, point.at[n].add(sign * step), batch) for sign in (1, -1))
        difference = (ahead - behind) / (2 * step)
        worst = max(worst, float(jnp.max(jnp.abs(difference - slopes[..., n])) / jnp.max(jnp.abs(slopes[..., n]))))
    return worst


def measure(path: Path, size: str) -> dict:
    """One model size: scores, times and the gradient."""
    curves = load(path)
    hold_out = tuple(name for name in curves if name not in FITTED)
    fits, walls, processor = [], [], []
    for _ in range(2):
        wall, cpu = time.perf_counter(), time.process_time()
        fits.append(fit_curves(curves, hold_out=hold_out))
        walls.append(time.perf_counter() - wall)
        processor.append(time.process_time() - cpu)
    fit = fits[-1]
    print(f"== {size}\n{fit.report()}\nexponents tried: {fit.exponents}", flush=True)
    held = {law: mean_score(scores, fit.hold_out)._asdict() for law, scores in fit.scores.items()}
    mean = mean_score(fit.scores["spectral law"], fit.hold_out)
    mae, rmse, r2 = TARGETS[size]
    return {
        "held_out": held,
        "each": {name: fit.scores["spectral law"][name]._asdict() for name in fit.hold_out},
        "met": {"mae": mean.mae <= mae, "rmse": mean.rmse <= rmse, "r2": mean.r2 >= r2},
        "parameters": fit.parameters,
        "exponents": fit.exponents,
        "cross_validation": fit.cross_validation,
        "converged": fit.converged,
        "fit_seconds": walls[1],
        "compile_seconds": walls[0] - walls[1],
        "fit_processor_seconds": processor[1],
        "compile_processor_seconds": processor[0] - processor[1],
        "gradient_error": gradient_error(fit),
        "warnings": fit.warnings,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with loss_25M.csv and loss_100M.csv")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    options = parser.parse_args()
    found: dict = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "load": os.getloadavg()}
    for size in TARGETS:
        found[size] = measure(options.data / f"loss_{size}.csv", size)
        print(json.dumps({key: value for key, value in found[size].items() if key != "each"}, indent=1), flush=True)
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
