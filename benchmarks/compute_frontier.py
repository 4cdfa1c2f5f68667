"""The compute-optimal frontier of random features: the published exponents, and which schedules move them.

Widths are trained by one-pass SGD with batches of one. Compute is width times steps.
Run: python benchmarks/compute_frontier.py [--quick] [--output FOLDER]
"""

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import gamma, zeta

import spectral_sim as ss
from spectral_sim.analysis import compute_exponents, compute_frontier
from spectral_sim.problems import random_features
from spectral_sim.report import PALETTE, new_figure

jax.config.update("jax_enable_x64", True)
HERE = Path(__file__).parent
PUBLISHED = {  # (a, b): eigenvalues k^-2a, energies k^-2(a + b)
    "II": (0.7, 0.6),
    "III": (0.7, 0.9),
    "IVa": (0.3, 0.7),
    "IVa, far from its border": (0.4, 0.7),
}
CURATED = ("II", "III")
RATE = 0.05  # stable at weights up to 10 on nodes that stand for less than one eigenvalue
FASTEST = 0.16  # near the edge of stability at weights of one
OF_TRACE = 0.5  # the rate times the trace, below the trace class
MODES_PER_FEATURE = 4  # there
LATE = (1e14, 1e17, 1e20)  # where later windows begin, each of three decades
SCHEDULES = {
    "uniform": ss.uniform(),
    "power tilt 0.25": ss.power_tilt(0.25),
    "power tilt 0.5": ss.power_tilt(0.5),
    "power tilt 0.5, capped at 3": ss.chain(ss.power_tilt(0.5), ss.clip(0.3, 3.0)),
    "proportional, capped at 3": ss.chain(ss.proportional(1.0), ss.clip(0.3, 3.0)),
    "proportional, capped at 10": ss.chain(ss.proportional(1.0), ss.clip(0.1, 10.0)),
}


def problems_of(a: float, b: float, widths: np.ndarray) -> Any:
    """The equivalents of all widths as one batch."""
    found = []
    for width in widths:
        modes = 10**9 if a > 0.5 else int(MODES_PER_FEATURE * width)
        law = random_features(2 * a, 2 * (a + b), num_modes=modes, width=width, nodes=128)
        noise = law.noise_variance
        found.append(
            ss.ModalProblem(law.eigenvalues, law.energies, law.multiplicity, floor=law.floor, noise_variance=noise)
        )
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)


def frontier_of(problems: Any, widths: np.ndarray, schedule: Any, rate: Any, steps: np.ndarray, window: Any) -> Any:
    """The frontier under a schedule; `rate` is a number or the learning rate of each problem."""

    def losses(problem, rate):
        return ss.simulate(problem, schedule, steps, dynamics=ss.SGDMoments(rate, 1.0), throw=False).loss

    found = jax.jit(jax.vmap(losses))(problems, jnp.broadcast_to(rate, widths.shape))
    return compute_frontier(np.asarray(found)[:, 1:], widths, steps[1:], window=window)


def sum_of_parts(a: float, b: float, window: tuple[float, float]) -> tuple[float, float]:
    """Exponents of loss and width over a window below the trace class, of the sum of the three parts of the loss.

    The parts are those of the asymptotic theory for 1/2 < alpha < 1, beta > alpha + 1, with their amplitudes: infinite
    width, the noise that the loss of the first steps leaves, and the floor.
    """
    alpha, beta = 2 * a, 2 * (a + b)
    compute, widths = np.geomspace(*window, 60), np.geomspace(1, 1e20, 4001)
    rate = OF_TRACE / ((MODES_PER_FEATURE * widths) ** (1 - alpha) / (1 - alpha) + zeta(alpha))
    # kappa d^alpha, where the features are as many as the modes that they resolve; modes are a continuum k / d
    resolved = lambda kappa: quad(lambda k: 1 / (1 + kappa * k**alpha), 0, MODES_PER_FEATURE)[0] - 1
    kappa: Any = brentq(resolved, 1e-6, 1e6)
    floor = 0.5 * kappa * zeta(beta - alpha) * widths**-alpha
    best = []
    for f in compute:
        time = 2 * rate * f / widths
        limit = 0.5 * gamma((beta - 1) / alpha) / alpha * time ** (-(beta - 1) / alpha)
        noise = rate * gamma(2 - 1 / alpha) / alpha * time ** (1 / alpha - 2) * zeta(beta - alpha) / 4
        loss = limit + noise + floor
        best.append((loss.min(), widths[np.argmin(loss)]))
    slopes = np.polyfit(np.log(compute), np.log(best), 1)[0]
    return float(-slopes[0]), float(slopes[1])


def grids(quick: bool) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Widths, steps and the window of compute: three decades, inside what every schedule covers."""
    widths = np.geomspace(50, 1600 if quick else 25600, 9 if quick else 19)
    return (
        widths,
        ss.log_steps(10, 10**6 if quick else 10**8, 80 if quick else 180),
        (3e4, 6e5) if quick else (4e4, 6e7),
    )


def published(quick: bool) -> list[dict[str, Any]]:
    """Uniform sampling beside the published exponents."""
    widths, steps, window = grids(quick)
    rows = []
    for phase, (a, b) in PUBLISHED.items():
        problems = problems_of(a, b, widths)
        trace = jnp.sum(problems.eigenvalues * problems.multiplicity, axis=1)
        rate = FASTEST if a > 0.5 else OF_TRACE / trace
        row = measured(frontier_of(problems, widths, ss.uniform(), rate, steps, window))
        expected = compute_exponents(2 * a, 2 * (a + b))
        parts = None if a > 0.5 else sum_of_parts(a, b, window)
        late = None if a > 0.5 else {f"{first:.0e}": sum_of_parts(a, b, (first, 1e3 * first))[1] for first in LATE}
        rows.append(
            {"phase": phase, "a": a, "b": b, **row, "expected": [expected.loss, expected.width]}
            | {"parts": parts, "late": late}
        )
        print(rows[-1], flush=True)
    return rows


def curated(quick: bool) -> tuple[list[dict[str, Any]], dict[tuple[str, str], Any]]:
    """Every schedule at one learning rate, and how far it moves the exponents of uniform sampling."""
    widths, steps, window = grids(quick)
    rows, curves = [], {}
    for phase in CURATED:
        problems, own = problems_of(*PUBLISHED[phase], widths), None
        for name, schedule in SCHEDULES.items():
            begin = time.perf_counter()
            curves[phase, name] = frontier_of(problems, widths, schedule, RATE, steps, window)
            row = measured(curves[phase, name])
            own = own or row
            ends = np.log(row["window"])
            read = [
                np.interp(ends, np.log(c.compute), np.log(c.loss))
                for c in (curves[phase, name], curves[phase, "uniform"])
            ]
            row["ratios"] = np.exp(read[0] - read[1]).tolist()
            moved = {
                f"{key}_moved": [row[key] - own[key], float(np.hypot(row[f"{key}_stderr"], own[f"{key}_stderr"]))]
                for key in ("loss", "width")
            }
            rows.append({"phase": phase, "schedule": name, **row, **moved, "seconds": time.perf_counter() - begin})
            print(rows[-1], flush=True)
    return rows, curves


def measured(found: Any) -> dict[str, Any]:
    """Both exponents with their errors."""
    loss, width = found.loss_exponent, found.width_exponent
    return {
        "loss": loss.value,
        "loss_stderr": loss.stderr,
        "width": width.value,
        "width_stderr": width.stderr,
        "window": loss.window,
    }


def markdown(first: list[dict[str, Any]], second: list[dict[str, Any]], quick: bool) -> str:
    """Both tables, with what was done."""
    of = lambda row, key: f"{row[key]:.4f} ± {row[f'{key}_stderr']:.4f}"
    off = lambda row, n, key: f"{row[key] / row['expected'][n] - 1:+.1%}"
    window = first[0]["window"]
    lines = [
        "# The compute-optimal frontier",
        "",
        "Random features under one-pass SGD with batches of one, compute = width x steps. Loss falls as compute^-e, "
        f"the best width grows as compute^x, both fitted from {window[0]:.1e} to {window[1]:.1e}, with standard "
        f"errors that include the bend of the curve in that window; jax {jax.__version__}, {platform.machine()}"
        f"{', quick' if quick else ''}. Written by `python benchmarks/compute_frontier.py`.",
        "",
        "## Uniform sampling beside the published exponents",
        "",
        f"Phases II and III: 1e9 modes, learning rate {FASTEST}. Phase IVa lies outside the trace class: "
        f"{MODES_PER_FEATURE} modes a feature, learning rate {OF_TRACE} over the trace.",
        "",
        "| phase | a, b | e, measured | published | off by | x, measured | published | off by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in first:
        lines.append(
            f"| {row['phase']} | {row['a']}, {row['b']} | {of(row, 'loss')} | {row['expected'][0]:.4f} | "
            f"{off(row, 0, 'loss')} | {of(row, 'width')} | {row['expected'][1]:.4f} | {off(row, 1, 'width')} |"
        )
    lines += ["", "Outside the trace class, the three parts of the loss in the published theory, summed with their "]
    lines[-1] += "amplitudes, have these exponents, in the same window and in later ones of three decades:"
    lines += ["", "| a, b | e and x, same window | " + " | ".join(f"x from {first:.0e}" for first in LATE) + " |"]
    lines += ["|---" * (2 + len(LATE)) + "|"]
    for row in first:
        if row["parts"] is not None:
            late = " | ".join(f"{value:.3f}" for value in row["late"].values())
            lines.append(f"| {row['a']}, {row['b']} | {row['parts'][0]:.3f}, {row['parts'][1]:.3f} | {late} |")
    lines += [
        "",
        "## Under curation",
        "",
        f"1e9 modes, learning rate {RATE} for all, which the largest weights bear. `moved` is the difference to "
        "uniform sampling, and the last columns are the best loss over that of uniform sampling, at both ends of the "
        "window.",
        "",
        "| phase | schedule | e, loss | moved | x, width | moved | loss, first | loss, last |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in second:
        moved = [f"{row[f'{key}_moved'][0]:+.3f} ± {row[f'{key}_moved'][1]:.3f}" for key in ("loss", "width")]
        moved = ["", ""] if row["schedule"] == "uniform" else moved
        lines.append(
            f"| {row['phase']} | {row['schedule']} | {of(row, 'loss')} | {moved[0]} | {of(row, 'width')} | "
            f"{moved[1]} | "
            f"{row['ratios'][0]:.2f} | {row['ratios'][1]:.2f} |"
        )
    return "\n".join(lines) + "\n"


def draw(curves: dict[tuple[str, str], Any], path: Path) -> None:
    """Best loss against compute, times compute to the power that uniform sampling has in the limit."""
    figure = new_figure(10, 4.2)
    panels = figure.subplots(1, 2)
    for axes, phase in zip(panels, CURATED, strict=True):
        a, b = PUBLISHED[phase]
        power = compute_exponents(2 * a, 2 * (a + b)).loss
        for colour, name in zip(PALETTE, SCHEDULES, strict=False):
            found = curves[phase, name]
            label = f"{name}: {found.loss_exponent.value:.3f}"
            axes.loglog(found.compute, found.loss * found.compute**power, color=colour, label=label)
        axes.set(
            xlabel="compute, width x steps",
            ylabel=f"best loss x compute^{power:.3f}",
            title=f"phase {phase}: a = {a}, b = {b}",
        )
        axes.legend(frameon=False, fontsize=7, title="loss exponent", title_fontsize=8)
        axes.grid(True, which="major", lw=0.4, alpha=0.5)
    figure.savefig(path, dpi=140)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer widths and steps")
    parser.add_argument(
        "--output", type=Path, default=HERE / "results", help="folder for the tables, numbers and picture"
    )
    options = parser.parse_args()
    first = published(options.quick)
    second, curves = curated(options.quick)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "compute_frontier.md").write_text(markdown(first, second, options.quick), encoding="utf-8")
    numbers = json.dumps({"published": first, "curated": second}, indent=1)
    (options.output / "compute_frontier.json").write_text(numbers + "\n", encoding="utf-8")
    draw(curves, options.output / "compute_frontier.png")
