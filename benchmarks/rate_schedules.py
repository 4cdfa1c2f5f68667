"""Learned rates and batches of one-pass SGD beside rates by hand and published optima, over 1e3 to 1e6 steps.

    python benchmarks/rate_schedules.py [--quick] [--output FOLDER]

Power laws with (alpha, beta) = (2, 3) and (2, 1.5), batches of one, label noise 1. Every family of rates is tuned, and
each best member is run again on a grid eight times finer than that of the learned rates, so that no family loses by
being held from knot to knot.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

import spectral_sim as ss  # noqa: E402
from spectral_sim.learning import (  # noqa: E402
    RateFamily,
    control_grid,
    learn_control,
    power_decay,
    published_decay,
    rate_families,
)
from spectral_sim.report import PALETTE, new_figure  # noqa: E402

HERE = Path(__file__).parent
LAWS = ((2.0, 3.0), (2.0, 1.5))
NOISY = ss.SGDMoments(0.1, 1.0, noise_variance=1.0)
IN_USE = tuple(rate_families())
FAMILIES = {**rate_families(), "cubic": power_decay(3.0), "square": power_decay(2.0)}
INTERVALS = 96


def final_loss(problem, steps, rates):
    """Loss at the end under given mean rates of the intervals of a grid."""
    dynamics = ss.SGDMoments(ss.PerRefresh(jnp.asarray(rates)), 1.0, noise_variance=1.0)
    return float(ss.simulate(problem, ss.uniform(), steps, dynamics=dynamics, adjoint="direct").loss[-1])


def rates_at_horizon(alpha, beta, steps):
    """Learned rates and rates by hand at one horizon."""
    problem = ss.power_law(alpha, beta, max_mode=1e8, nodes=128)
    found = learn_control(problem, steps, dynamics=NOISY, families=FAMILIES, grid=control_grid(steps, INTERVALS))
    fine = control_grid(steps, 8 * INTERVALS)
    by_hand = {}
    for name, best in found.by_hand.items():
        rates = FAMILIES[name].rates(fine / steps, best.peak, best.shape, 0.0)
        by_hand[name] = {
            "loss": final_loss(problem, fine, rates),
            "held_loss": best.loss,
            "peak": best.peak,
            "shape": best.shape,
        }
    share = (found.grid[:-1] + found.grid[1:]) / (2 * steps)
    length = np.diff(found.grid) / steps
    early = (share > 0.1) & (share < 0.6)
    slope = np.polyfit(np.log(1 - share[early]), np.log(found.learning_rate[early]), 1, w=np.sqrt(length[early]))[0]
    peak = float(found.learning_rate.max())
    limit = float(NOISY.largest_rate(problem, jnp.ones_like(problem.mass)))
    best = min(IN_USE, key=lambda name: by_hand[name]["loss"])
    return {
        "steps": steps,
        "learned": found.loss,
        "by_hand": by_hand,
        "best_by_hand": best,
        "learned_over_best": found.loss / by_hand[best]["loss"],
        "learned_over_worst_in_use": found.loss / max(by_hand[name]["loss"] for name in IN_USE),
        "largest_learned_rate": peak,
        "largest_stable_rate": limit,
        "exponent_of_learned_shape": float(slope),
        "share_near_largest_stable_rate": {
            f"{part:.0%}": float(length[found.learning_rate > part * limit].sum()) for part in (0.7, 0.8, 0.9)
        },
        "mean_rate_over_stable": float(np.sum(length * found.learning_rate) / limit),
        "share": share.tolist(),
        "rates": found.learning_rate.tolist(),
    }


def slope_of(rows, of):
    """Exponent of a quantity in the number of steps, over all horizons and between neighbours."""
    steps, values = np.log([row["steps"] for row in rows]), np.log([of(row) for row in rows])
    return float(np.polyfit(steps, values, 1)[0]), (np.diff(values) / np.diff(steps)).tolist()


def joint(alpha, beta, steps, samples):
    """Rate, batch and both under one budget of samples; the batch alone at the best constant rate."""
    problem = ss.power_law(alpha, beta, max_mode=1e8, nodes=128)
    even = ss.SGDMoments(0.1, samples / steps, noise_variance=1.0)
    rate = learn_control(problem, steps, dynamics=even, families={**rate_families(), "constant": CONSTANT})
    constant = rate.by_hand["constant"]
    held = ss.SGDMoments(constant.peak, 1.0, noise_variance=1.0)
    batch = learn_control(problem, steps, dynamics=held, control="batch_size", samples=samples)
    both = learn_control(problem, steps, dynamics=held, control=("learning_rate", "batch_size"), samples=samples)
    single = learn_control(problem, int(samples), dynamics=NOISY)
    return {
        "law": [alpha, beta],
        "steps": steps,
        "samples": samples,
        "constant": constant.loss,
        "rate": rate.loss,
        "batch": batch.loss,
        "both": both.loss,
        "batches_of_one": single.loss,
        "largest_batch": float(both.batch_size.max()),
        "smallest_batch": float(both.batch_size.min()),
    }


CONSTANT = RateFamily(lambda share, _: share)


def allocation(alpha, steps, samples, rate=0.02, noise=1.0):
    """Batches learned at a constant rate where all of the loss is noise, beside (int sqrt(k s))^2 / D."""
    problem = ss.power_law(alpha, 2.0, max_mode=1e6, nodes=128, energy_scale=1e-12)
    dynamics = ss.SGDMoments(rate, 1.0, noise)
    found = learn_control(problem, steps, dynamics=dynamics, control="batch_size", samples=samples)
    eigenvalues, multiplicity = np.asarray(problem.eigenvalues), np.asarray(problem.multiplicity)
    root = 0.0
    for begin in range(0, steps, 1000):
        left = np.arange(begin, min(begin + 1000, steps))[:, None]
        terms = multiplicity * eigenvalues**2 * np.exp(2 * left * np.log1p(-rate * eigenvalues))
        root += float(np.sum(np.sqrt(0.5 * rate**2 * noise * terms.sum(axis=1))))
    even = np.sum(0.5 * rate**2 * noise * multiplicity * eigenvalues**2 * (1 - np.exp(
        2 * steps * np.log1p(-rate * eigenvalues))) / (rate * eigenvalues * (2 - rate * eigenvalues)))  # fmt: skip
    return {
        "alpha": alpha,
        "steps": steps,
        "samples": samples,
        "learned": found.loss,
        "optimum": root**2 / samples,
        "even": float(even / (samples / steps)),
        "learned_over_optimum": found.loss / (root**2 / samples),
    }


def draw(found, path):
    """Learned rates over their largest, and how much families lose."""
    figure = new_figure(12, 4.2)
    panels = figure.subplots(1, 3)
    for axes, law in zip(panels, LAWS, strict=False):
        rows = found["rates"][f"{law[0]:g}, {law[1]:g}"]
        for colour, row in zip(PALETTE, rows, strict=False):
            rates = np.array(row["rates"]) / row["largest_learned_rate" if law[1] == 3.0 else "largest_stable_rate"]
            label = f"N = {row['steps']:.0e}".replace("e+0", "e") + f", largest {row['largest_learned_rate']:.3f}"
            axes.plot(row["share"], rates, color=colour, label=label)
        if law[1] == 3.0:
            share = np.linspace(0, 1, 200)
            axes.plot(share, (1 - share) ** 3, "k:", label="published, N to infinity")
        unit = "largest" if law[1] == 3.0 else "largest stable rate"
        title = "alpha = {:g}, beta = {:g}".format(*law)
        axes.set(xlabel="share of the run", ylabel=f"learned rate / {unit}", title=title, ylim=(0, 1.03))
        axes.legend(frameon=False, fontsize=8)
    axes = panels[2]
    for law, line in zip(LAWS, ("-", "--"), strict=True):
        rows = found["rates"][f"{law[0]:g}, {law[1]:g}"]
        for n, (colour, name) in enumerate(zip(PALETTE, IN_USE, strict=False)):
            loss = [100 * (row["by_hand"][name]["loss"] / row["learned"] - 1) for row in rows]
            label = name if line == "-" else None
            axes.semilogx(
                [row["steps"] for row in rows], loss, line, marker="o", ms=3, lw=3 - 0.7 * n, color=colour, label=label
            )
    axes.set(
        xlabel="steps N",
        ylabel="% above the learned loss",
        title="families, each tuned (dashed: beta = 1.5)",
        ylim=(0, None),
    )
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=140)


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="horizons to 1e4, and short runs elsewhere")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder for the numbers and the picture")
    options = parser.parse_args()
    horizons = (10**3, 10**4) if options.quick else (10**3, 10**4, 10**5, 10**6)
    found = {"rates": {}, "joint": [], "allocation": []}
    for law in LAWS:
        rows = found["rates"][f"{law[0]:g}, {law[1]:g}"] = []
        for steps in horizons:
            rows.append(rates_at_horizon(*law, steps))
            short = {k: v for k, v in rows[-1].items() if k not in ("share", "rates", "by_hand")}
            print(law, json.dumps(short), flush=True)
            print({name: f"{each['loss']:.6g}" for name, each in rows[-1]["by_hand"].items()}, flush=True)
    cubic = found["rates"]["2, 3"]
    found["cubic_peak_exponent"] = slope_of(cubic, lambda row: row["by_hand"]["cubic"]["peak"])
    found["loss_exponents"] = {law: slope_of(rows, lambda row: row["learned"]) for law, rows in found["rates"].items()}
    found["published"] = {f"{law[0]:g}, {law[1]:g}": published_decay(*law)._asdict() for law in LAWS}
    length = 1000 if options.quick else 10**4
    for law in LAWS:
        found["joint"].append(joint(*law, length, 10.0 * length))
        print(json.dumps(found["joint"][-1]), flush=True)
    for alpha in (1.5, 2.0):
        found["allocation"].append(allocation(alpha, length, 1e4 * length))
        print(json.dumps(found["allocation"][-1]), flush=True)
    print(json.dumps({name: found[name] for name in ("cubic_peak_exponent", "loss_exponents", "published")}, indent=1))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "rate_schedules.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    draw(found, options.output / "rate_schedules.png")


if __name__ == "__main__":
    main()
