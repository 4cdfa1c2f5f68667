"""Which schedules move the compute-optimal frontier of random features, by how much, beside the published exponents.

Widths are trained under each schedule by one-pass SGD with batches of one. Compute is width times steps.
Run: python benchmarks/compute_frontier.py [--quick] [--output FOLDER]
"""

import argparse
import json
import platform
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import spectral_sim as ss
from spectral_sim.analysis import compute_exponents, compute_frontier
from spectral_sim.problems import random_features
from spectral_sim.report import PALETTE, new_figure

jax.config.update("jax_enable_x64", True)
HERE = Path(__file__).parent
LAWS = {"phase II": (0.7, 0.6), "phase III": (0.7, 0.9)}  # (a, b): eigenvalues k^-2a, energies k^-2(a + b)
RATE = 0.05  # stable at weights up to 10 on nodes that stand for less than one eigenvalue
SCHEDULES = {  # with their learning rates
    "uniform, rate 0.16": (ss.uniform(), 0.16),
    "uniform": (ss.uniform(), RATE),
    "power tilt 0.25": (ss.power_tilt(0.25), RATE),
    "power tilt 0.5": (ss.power_tilt(0.5), RATE),
    "proportional, capped at 3": (ss.chain(ss.proportional(1.0), ss.clip(0.3, 3.0)), RATE),
    "proportional, capped at 10": (ss.chain(ss.proportional(1.0), ss.clip(0.1, 10.0)), RATE),
}


def losses_of(problems, schedule, rate, steps):
    """Losses of every width under a schedule, shape (widths, steps)."""
    dynamics = ss.SGDMoments(rate, 1.0)
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *problems)
    run = lambda problem: ss.simulate(problem, schedule, steps, dynamics=dynamics, throw=False).loss
    return np.asarray(jax.jit(jax.vmap(run))(batch))[:, 1:]


def measure(quick):
    widths = np.geomspace(50, 800 if quick else 6400, 7 if quick else 13)
    steps = ss.log_steps(10, 10**5 if quick else 10**7, 60 if quick else 140)
    window = (3e4, 4e5) if quick else (3e4, 8e6)  # one for all, inside what every schedule covers
    rows, curves = [], {}
    for law, (a, b) in LAWS.items():
        alpha, beta = 2 * a, 2 * (a + b)
        problems = [random_features(alpha, beta, num_modes=10**7, width=width, nodes=128) for width in widths]
        expected = compute_exponents(alpha, beta)
        for name, (schedule, rate) in SCHEDULES.items():
            begin = time.perf_counter()
            found = compute_frontier(losses_of(problems, schedule, rate, steps), widths, steps[1:], window=window)
            curves[law, name] = found
            rows.append(
                {
                    "law": f"{law}: a = {a}, b = {b}",
                    "schedule": name,
                    "loss": found.loss_exponent.value,
                    "loss_stderr": found.loss_exponent.stderr,
                    "width": found.width_exponent.value,
                    "width_stderr": found.width_exponent.stderr,
                    "window": found.loss_exponent.window,
                    "expected": [expected.loss, expected.width] if name.startswith("uniform") else None,
                    "seconds": time.perf_counter() - begin,
                }
            )
            print(rows[-1], flush=True)
    return rows, curves


def markdown(rows, quick):
    lines = [
        "# The compute-optimal frontier under curation",
        "",
        f"Random features on 1e7 modes, one-pass SGD with batches of one at a rate of {RATE} where none is named, "
        f"compute = width x steps; jax {jax.__version__}, {platform.machine()}{', quick' if quick else ''}. "
        "Loss falls as compute^-e, the best width grows as compute^x; "
        "fitted over one window for all, with standard errors that include the bend of the curve in it. "
        "Written by `python benchmarks/compute_frontier.py`.",
        "",
        "| law | schedule | e, loss | x, width | window of compute | asymptotic e, x of uniform |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        expected = "" if row["expected"] is None else "{:.4f}, {:.4f}".format(*row["expected"])
        lines.append(
            f"| {row['law']} | {row['schedule']} | {row['loss']:.3f} ± {row['loss_stderr']:.3f} | "
            f"{row['width']:.3f} ± {row['width_stderr']:.3f} | {row['window'][0]:.1e} to {row['window'][1]:.1e} | "
            f"{expected} |"
        )
    return "\n".join(lines) + "\n"


def draw(curves, path):
    figure = new_figure(10, 4.2)
    panels = figure.subplots(1, 2)
    for axes, law in zip(panels, LAWS, strict=True):
        for colour, name in zip(PALETTE, SCHEDULES, strict=False):
            found = curves[law, name]
            label = f"{name}: {found.loss_exponent.value:.2f}"
            axes.loglog(found.compute, found.loss, color=colour, label=label)
        axes.set(
            xlabel="compute, width x steps", ylabel="best loss", title="{}: a = {}, b = {}".format(law, *LAWS[law])
        )
        axes.legend(frameon=False, fontsize=8, title="loss exponent", title_fontsize=8)
        axes.grid(True, which="major", lw=0.4, alpha=0.5)
    figure.savefig(path, dpi=140)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer widths and steps")
    parser.add_argument(
        "--output", type=Path, default=HERE / "results", help="folder for the table, numbers and picture"
    )
    options = parser.parse_args()
    rows, curves = measure(options.quick)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "compute_frontier.md").write_text(markdown(rows, options.quick), encoding="utf-8")
    (options.output / "compute_frontier.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    draw(curves, options.output / "compute_frontier.png")
