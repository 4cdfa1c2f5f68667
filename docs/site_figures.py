"""The pictures of the site's pages, drawn by the library itself: one for each concept, and two of committed results."""

import json
from pathlib import Path

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import spectral_sim as ss
from spectral_sim.report import BOUND_COLOUR, PALETTE, new_figure

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results"
BLUE, RED, GREEN, PINK = PALETTE[:4]


def _new(width: float = 6.4, height: float = 3.6):
    figure = new_figure(width, height)
    return figure, figure.add_subplot()


def _save(figure, name: str) -> None:
    figure.savefig(HERE / "assets" / f"{name}.png", dpi=150)


def _tidy(axes, **labels) -> None:
    axes.set(**labels)
    axes.spines[["top", "right"]].set_visible(False)


def static_limit() -> None:
    """Static weights shift the curve, a capped oracle leaves the ideal one, an oracle has another slope."""
    problem = ss.power_law(2.0, 2.0, max_mode=1e8, nodes=256)
    times = ss.log_times(1e-1, 1e6, 113)
    schedules = {
        "uniform": ss.uniform(),
        "a tilt, fixed at the start": ss.power_tilt(0.5, cutoff=30.0),
        "oracle, weights up to 30": ss.chain(ss.water_filling(), ss.clip(0.0, 30.0)),
        "oracle": ss.water_filling(),
    }
    losses = ss.simulate_many(problem, schedules, times).loss
    figure, axes = _new()
    colours, shifts = ("black", BLUE, GREEN, RED), (9, 1, -9, 0)
    for name, loss, colour, shift in zip(schedules, losses, colours, shifts, strict=True):
        axes.loglog(times[1:], loss[1:], color=colour)
        axes.annotate(
            name,
            (times[-1], loss[-1]),
            (6, shift),
            textcoords="offset points",
            color=colour,
            va="center",
        )
    _tidy(
        axes,
        xlabel="training time",
        ylabel="loss",
        title="Slopes: 1/2 for fixed and for bounded weights, 1 for the oracle",
    )
    axes.set_xlim(0.1, 1e6)
    _save(figure, "static_limit")


def reweighting() -> None:
    """The same examples, drawn evenly and drawn by weight."""
    rng = np.random.default_rng(3)
    x = np.sort(rng.uniform(0, 1, 40))
    residual = np.abs(np.sin(7 * x)) * np.exp(-2 * x)
    weights = residual / residual.mean()
    figure, axes = _new(7.2, 3.0)
    axes.scatter(x, np.full(40, 2.9), s=26, color="black")
    axes.scatter(x, np.full(40, 2.2), s=26 * weights, color=RED)
    axes.text(1.03, 2.9, "uniform: w = 1", va="center")
    axes.text(1.03, 2.2, "curated: w(t), mean one", va="center", color=RED)
    axes.bar(x, residual * 1.6, width=0.012, color=BLUE)
    axes.text(1.03, 0.4, "what is still wrong", va="center", color=BLUE)
    axes.set(xlim=(-0.02, 1.36), ylim=(0, 3.3), xlabel="examples", yticks=[], xticks=[])
    axes.spines[["top", "right", "left"]].set_visible(False)
    _save(figure, "reweighting")


def frontier() -> None:
    """Residual energy per mode at three times, for uniform sampling and for the oracle."""
    problem = ss.power_law(2.0, 2.0, num_modes=3000)
    times = ss.log_times(0.1, 1e3, 65)
    schedules = {"uniform": ss.uniform(), "oracle": ss.water_filling()}
    energies = ss.simulate_many(problem, schedules, times, save=lambda seen, weights: seen.energy).saved
    figure = new_figure(7.2, 3.4)
    number, start = np.arange(1, 3001), np.asarray(problem.energies)
    for place, (name, energy) in enumerate(zip(schedules, energies, strict=True)):
        axes = figure.add_subplot(1, 2, place + 1)
        axes.loglog(number, start, color=BOUND_COLOUR, label="t = 0")
        for time, colour in ((10.0, BLUE), (100.0, GREEN), (1000.0, RED)):
            n = int(np.argmin(np.abs(times - time)))
            axes.loglog(number, np.maximum(energy[n], 1e-12), color=colour, label=f"t = {time:g}")
        _tidy(axes, xlabel="mode", title=name, ylim=(1e-7, 2))
        if place == 0:
            axes.set_ylabel("residual energy")
        else:
            axes.legend(frameon=False, loc="upper right")
    _save(figure, "frontier")


def refreshes() -> None:
    """The largest-residual rule on coarse and on fine refresh grids, beside water-filling."""
    problem = ss.power_law(2.0, 2.0, max_mode=1e6, nodes=128)
    figure, axes = _new()
    fine = ss.log_times(0.1, 1e3, 2 + 4 * 32)
    axes.loglog(fine[1:], ss.bounds.uniform_loss(problem, fine[1:]), color="black", label="uniform")
    for density, colour, line in ((2, PINK, "-"), (8, BLUE, "-"), (32, GREEN, (0, (5, 5)))):  # the last two agree
        times = ss.log_times(0.1, 1e3, 2 + 4 * density)
        loss = ss.simulate(problem, ss.proportional(1.0), times).loss
        axes.loglog(times[1:], loss[1:], color=colour, ls=line, label=f"by loss, {density} refreshes a decade")
    axes.loglog(
        fine[1:], ss.ideal_oracle(problem, fine[1:]).loss, color=BOUND_COLOUR, ls="--", label="no schedule is below"
    )
    axes.legend(frameon=False)
    _tidy(axes, xlabel="training time", ylabel="loss", title="The same rule, refreshed more or less often")
    _save(figure, "refreshes")


def data_space() -> None:
    """On examples the per-mode ideal is no bound, and following the loss can hurt."""
    problem = ss.torus(2.0, 2.0, 128)
    times = ss.log_times(0.1, 1e3, 41)
    schedules = {"uniform": ss.uniform(), "by loss": ss.proportional(1.0), "by loss squared": ss.proportional(2.0)}
    losses = ss.simulate_many(problem, schedules, times).loss
    figure, axes = _new()
    for name, loss, colour in zip(schedules, losses, ("black", BLUE, RED), strict=True):
        axes.loglog(times[1:], loss[1:], color=colour, label=name)
    axes.loglog(
        times[1:],
        ss.ideal_oracle(problem, times[1:]).loss,
        color=BOUND_COLOUR,
        ls=":",
        label="ideal on modes: a reference",
    )
    limit = ss.bounds.speed_limit(problem, times[1:])
    known = times[1:] < float(limit.vacuous_from)
    axes.loglog(times[1:][known], limit.loss[known], color=BOUND_COLOUR, ls="--", label="speed limit: a bound")
    axes.set_ylim(1e-4, 2)
    axes.legend(frameon=False)
    _tidy(axes, xlabel="training time", ylabel="loss", title="Weights on 128 examples of a torus")
    _save(figure, "data_space")


def gross_and_net() -> None:
    """What is left of a speed-up once the scoring passes are counted."""
    problem = ss.power_law(2.0, 2.0, max_mode=1e6, nodes=128)
    times = ss.log_times(0.1, 1e4, 2 + 5 * 16)
    rule = ss.chain(ss.proportional(1.0), ss.clip(0.0, 30.0))
    loss, uniform = ss.simulate(problem, rule, times).loss, ss.bounds.uniform_loss(problem, times)
    prices = np.geomspace(0.01, 100, 25)
    window = (1e2, 1e4)
    net = [ss.speedup(times, loss, uniform, window=window, cost_per_refresh=float(price)).value for price in prices]
    figure, axes = _new()
    axes.loglog(prices, net, color=BLUE, label="net")
    axes.axhline(ss.speedup(times, loss, uniform, window=window).value, color="black", label="gross")
    axes.axhline(1, color=BOUND_COLOUR, ls="--", label="no gain")
    axes.legend(frameon=False)
    _tidy(
        axes,
        xlabel="price of a refresh, in units of training time",
        ylabel="speed-up",
        title="Speed-up over uniform sampling",
    )
    _save(figure, "gross_and_net")


def mixtures() -> None:
    """Error on unseen mixtures against the number of runs, from the committed results."""
    found = json.loads((RESULTS / "mixtures.json").read_text(encoding="utf-8"))["table"]
    rows = [line["rows"] for line in found]
    figure, axes = _new()
    lines = {
        "lightgbm": "LightGBM",
        "kernel ridge": "kernel ridge",
        "mixing law": "mixing law",
        "as chosen error": "fit_mixture",
    }
    for (key, name), colour in zip(lines.items(), (BLUE, GREEN, BOUND_COLOUR, RED), strict=True):
        axes.loglog(rows, [line[key][0] for line in found], "o-", color=colour, label=name)
    axes.set_xticks(rows, [str(n) for n in rows])
    axes.set_yticks([0.1, 0.2, 0.5, 1.0], ["0.1", "0.2", "0.5", "1"])
    axes.minorticks_off()
    axes.legend(frameon=False)
    _tidy(
        axes,
        xlabel="runs fitted",
        ylabel="error / standard deviation",
        title="256 mixtures of 17 domains that no fit saw",
    )
    _save(figure, "mixtures")


def loss_curves() -> None:
    """Mean absolute error on held-out loss curves, by law, from the committed results."""
    found = json.loads((RESULTS / "loss_curves.json").read_text(encoding="utf-8"))
    laws = ("spectral law", "multi-power law", "momentum law", "power law")
    figure, axes = _new(7.2, 2.8)
    for place, (size, colour) in enumerate((("25M", BLUE), ("100M", RED))):
        errors = [found[size]["held_out"][law]["mae"] for law in laws]
        middle = np.arange(len(laws)) + 0.2 - 0.4 * place
        axes.barh(middle, errors, height=0.36, color=colour, label=size)
        for y, error in zip(middle, errors, strict=True):
            axes.text(error, y, f" {error:.4f}", va="center", fontsize=8)
    axes.set_yticks(np.arange(len(laws)), laws)
    axes.invert_yaxis()
    axes.legend(frameon=False, loc="upper right")
    axes.set_xlim(0, 0.033)
    _tidy(axes, xlabel="mean absolute error of the loss", title="Six learning-rate schedules predicted from three")
    _save(figure, "loss_curves")


if __name__ == "__main__":
    (HERE / "assets").mkdir(exist_ok=True)
    for draw in (static_limit, reweighting, frontier, refreshes, data_space, gross_and_net, mixtures, loss_curves):
        draw()
