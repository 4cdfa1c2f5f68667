"""Measure the mixture law against published regressions on a public table of mixtures and losses.

    python benchmarks/published/mixtures.py --data DIR

DIR holds regmix_train_1m.csv and regmix_test_1m.csv: an index, shares of domains (r_*) and validation losses (L_*).
Rows are drawn from the first file with five seeds; everything is chosen by cross-validation on those rows; the second
file only scores. Baselines are given the setting that does best on the second file, which favours them.
"""

import argparse
import csv
import json
import os
import platform
import resource
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import jax
import numpy as np
from scipy.linalg import expm

import spectral_sim
from spectral_sim.fitting import fit_mixture, fit_phases, score_mixture
from spectral_sim.fitting._mixture_baselines import BASELINES, lightgbm_trees

TARGETS = {16: (0.36, 0.94), 32: (0.28, 0.965), 64: (0.19, 0.98), 128: (0.14, 0.986), 512: (0.115, 0.990)}
SETTINGS = {
    **BASELINES,
    "lightgbm": tuple(
        partial(lightgbm_trees, trees=trees, leaves=leaves, least=least)
        for trees, leaves, least in ((200, 6, 3), (200, 4, 2), (400, 6, 3), (200, 12, 3), (200, 6, 1))
    ),
}


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Shares and losses of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    table = np.array(rows, np.float64)
    ratios, losses = (table[:, [n for n, name in enumerate(header) if name.startswith(k)]] for k in ("r_", "L_"))
    return ratios / ratios.sum(axis=1, keepdims=True), losses


def measure(train, test, rows: int, seed: int, coverage: float) -> dict:
    """One draw of rows: the fit and every baseline at every setting, scored on the second file."""
    chosen = np.random.default_rng(seed).permutation(len(train[0]))[:rows]
    ratios, losses = train[0][chosen], train[1][chosen]
    begin = time.perf_counter()
    fit = fit_mixture(ratios, losses, intervals=coverage, seed=seed)
    seconds = time.perf_counter() - begin
    low, high = fit.interval(test[0])
    out = {
        "rows": rows,
        "seed": seed,
        "seconds": seconds,
        "ridge": fit.ridge,
        "boosted": fit.boost is not None,
        "coverage": float(np.mean((low <= test[1]) & (test[1] <= high))),
        "on folds": {name: vars(score) for name, score in fit.scores.items()},
        "as chosen": vars(score_mixture(fit.predict(test[0]), test[1])),
        "law": vars(score_mixture(fit.predict(test[0], boosted=False), test[1])),
    }
    for name, settings in SETTINGS.items():
        out[name] = [vars(score_mixture(predict(ratios, losses, test[0]), test[1])) for predict in settings]
    return out


def cold_seconds(data: Path, rows: int) -> tuple[float, float]:
    """Seconds and processor seconds of a fresh process: import, reading, a fit with cross-validation and baselines."""
    script = (
        f"import sys; sys.path[:0] = {[str(Path(__file__).parent)]!r}; from pathlib import Path; import mixtures as m\n"
        f"r, y = m.load(Path({str(data)!r}) / 'regmix_train_1m.csv'); m.fit_mixture(r[:{rows}], y[:{rows}])"
    )
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", script], check=True)
    seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def phase_table(seed: int, commuting: bool, runs: int = 96, domains: int = 3, losses: int = 3, noise: float = 0.002):
    """Two phases and the losses of operators that act on three directions, with noise; commuting ones are diagonal."""
    rng = np.random.default_rng(seed)
    ratios, fractions = rng.dirichlet(np.full(domains, 0.7), (runs, 2)), np.array([0.5, 0.5])
    if commuting:
        operators = np.stack([np.diag(rng.exponential(1.0, 3)) for _ in range(domains)])
    else:
        vectors = rng.standard_normal((domains, 3))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        operators = 3 * vectors[:, :, None] * vectors[:, None, :]
    start = rng.standard_normal((losses, 3))
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    table = np.empty((runs, losses))
    for n in range(runs):
        left = start.T
        for k, part in enumerate(fractions):
            left = expm(-part * np.tensordot(ratios[n, k], operators, 1)) @ left
        table[n] = 2 + 2 * np.sum(left**2, axis=0)
    return ratios, table * np.exp(noise * rng.standard_normal(table.shape)), fractions


def order_power(tables: int) -> dict:
    """In how many synthetic tables an order effect is found, with one in the truth and without."""
    out: dict = {"tables": tables}
    for name, commuting in (("found", False), ("invented", True)):
        fits = [fit_phases(*phase_table(seed, commuting), seed=seed) for seed in range(100, 100 + tables)]
        out[name] = sum(fit.knows_order for fit in fits)
        out[f"{name} statistics"] = [fit.gains for fit in fits]
        out[f"{name} kinds"] = [fit.kind for fit in fits]
        print(name, out[name], "of", tables, file=sys.stderr)
    return out


def null_gain(ratios: np.ndarray, losses: np.ndarray) -> float:
    """Largest difference between the loss of a dynamic schedule and that of the static mixture of its totals."""
    fit = fit_mixture(ratios, losses, boost="none")
    problem = fit.problem()
    times = np.linspace(0, 1, 9)
    worst = 0.0
    for seed in range(5):
        shares = np.random.default_rng(seed).dirichlet(np.ones(ratios.shape[1]), 8)
        table = spectral_sim.static_weights(spectral_sim.PerRefresh(shares / np.asarray(problem.mass)))
        end = float(spectral_sim.simulate(problem, table, times).loss[-1])
        worst = max(worst, abs(end - float(fit.predict(shares.mean(axis=0)).mean())))
    return worst


def summary(runs: list[dict]) -> list[dict]:
    """Mean and range over seeds for each number of rows."""
    out = []
    for rows in sorted({run["rows"] for run in runs}):
        these = [run for run in runs if run["rows"] == rows]
        line = {"rows": rows, "seeds": len(these), "boosted": sum(run["boosted"] for run in these)}
        for name in ("as chosen", "law"):
            for kind in ("error", "spearman"):
                values = [run[name][kind] for run in these]
                line[f"{name} {kind}"] = [float(np.mean(values)), float(np.min(values)), float(np.max(values))]
        for name in SETTINGS:
            means = np.mean([[score["error"] for score in run[name]] for run in these], axis=0)
            best = int(np.argmin(means))
            spearman = float(np.mean([run[name][best]["spearman"] for run in these]))
            line[name] = [float(means[best]), spearman, best]
        line["coverage"] = [float(np.mean([run["coverage"] for run in these])),
                            min(run["coverage"] for run in these), max(run["coverage"] for run in these)]  # fmt: skip
        line["seconds"] = float(np.median([run["seconds"] for run in these]))
        out.append(line)
    return out


def markdown(result: dict) -> str:
    """The tables of the documentation."""
    names = list(SETTINGS)
    lines = [
        "| rows | error | range over seeds | target | met | Spearman | target | met | law alone | boosted | "
        + " | ".join(names) + " |",
        "|" + "---|" * (10 + len(names)),
    ]  # fmt: skip
    for line in result["table"]:
        target, order = TARGETS.get(line["rows"], (np.nan, np.nan))
        error, low, high = line["as chosen error"]
        spearman = line["as chosen spearman"][0]
        cells = [
            str(line["rows"]), f"{error:.3f}", f"{low:.3f} to {high:.3f}", f"{target:g}",
            "yes" if error <= target else "no",
            f"{spearman:.4f}", f"{order:g}", "yes" if spearman >= order else "no", f"{line['law error'][0]:.3f}",
            f"{line['boosted']} of {line['seeds']}", *(f"{line[name][0]:.3f}" for name in names),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| rows | coverage of 90% intervals | range over seeds | seconds of a fit |", "|---|---|---|---|"]
    for line in result["table"]:
        mean, low, high = line["coverage"]
        lines.append(f"| {line['rows']} | {mean:.3f} | {low:.3f} to {high:.3f} | {line['seconds']:.1f} |")
    wall, processor = result["cold seconds"]
    lines += [
        "",
        f"A fit of 64 rows in a fresh process, imports included: {wall:.1f} s, {processor:.1f} s of processor time "
        f"({result['machine']}).",
    ]
    if "order" in result:
        order = result["order"]
        lines += [
            "",
            f"Order effects in synthetic tables: found in {order['found']} of {order['tables']} with one, "
            f"and in {order['invented']} of {order['tables']} without.",
        ]
    lines += ["", f"Largest difference of a dynamic schedule to the mixture of its totals: {result['null gain']:.1e}."]
    return "\n".join(lines)


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the two tables")
    parser.add_argument("--rows", type=int, nargs="+", default=list(TARGETS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="file for the numbers (JSON)")
    parser.add_argument("--skip-order", action="store_true", help="leave out the synthetic tables of phases")
    options = parser.parse_args()
    train, test = (load(options.data / f"regmix_{part}_1m.csv") for part in ("train", "test"))
    runs = []
    for rows in options.rows:
        for seed in range(options.seeds):
            runs.append(measure(train, test, rows, seed, 0.9))
            print(rows, seed, runs[-1]["as chosen"], f"coverage {runs[-1]['coverage']:.3f}", file=sys.stderr)
    result = {
        "version": spectral_sim.__version__,
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.machine()}",
        "cold seconds": min(cold_seconds(options.data, 64) for _ in range(3)),
        "null gain": null_gain(train[0][:64], train[1][:64]),
        "table": summary(runs),
        "runs": runs,
    }
    if not options.skip_order:
        result["order"] = order_power(tables=20)
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(markdown(result))


if __name__ == "__main__":
    main()
