"""Draws the pictures of this folder anew: `make figures`.

The demo runs into a temporary folder first, so this takes some minutes.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
from PIL import Image

jax.config.update("jax_enable_x64", True)

import spectral_sim as ss
from spectral_sim.analysis import compute_exponents, compute_frontier
from spectral_sim.report import PALETTE, draw_phases, new_figure, self_scoring_phases
from spectral_sim.sweeps import as_grid, open_table

HERE = Path(__file__).parent
WIDTH = 1600  # of the demo's picture


def self_scoring() -> None:
    """The phase diagram of self-scoring; against twice the nodes no exponent moves by more than 0.004."""
    phases = self_scoring_phases(
        ss.power_law(2.0, 2.0, max_mode=1e11, nodes=16_384),
        sharpness=[0.25, 0.5, 1.0, 1.5, 2.0, 4.0, 8.0, np.inf],
        threshold=[0.05, 0.15, 0.5, 1.5, 5.0],
        refreshes_per_decade=[8, 32, 128],
    )
    draw_phases(phases, HERE / "self_scoring.png")


def frontier() -> None:
    """The shipped sweep of the compute-optimal frontier: loss curves with their envelope, and the best width."""
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "compute_frontier.zarr")
        run_command("sweep", "compute_frontier", "--store", store)
        table = as_grid(open_table(store)).load()
    widths, times = np.asarray(table["problem.width"]), np.asarray(table["times"])[1:]
    figure = new_figure(10, 4.4)
    left, right = figure.subplots(1, 2)
    for colour, tilt in zip(PALETTE, np.asarray(table["power_tilt.exponent"]), strict=False):
        own = table.loss.sel({"power_tilt.exponent": tilt}).transpose("problem.width", "times")
        losses = np.asarray(own)[:, 1:]
        found = compute_frontier(losses, widths, times)
        expected = compute_exponents(table.attrs["alpha"], table.attrs["beta"], noise=False, tilt=float(tilt))
        if tilt in (0.0, 0.3):
            for width, loss in zip(widths[::3], losses[::3], strict=True):
                left.loglog(width * times, loss, color=colour, lw=0.5, alpha=0.6)
        texts = [
            f"tilt {tilt:g}: {fit.value:.4f} ± {fit.stderr:.4f} ({value:.4f})"
            for fit, value in ((found.loss_exponent, expected.loss), (found.width_exponent, expected.width))
        ]
        left.loglog(found.compute, found.loss, color=colour, lw=2, label=texts[0])
        right.loglog(found.compute, found.width, color=colour, lw=2, label=texts[1])
        anchor = np.sqrt(found.compute[0] * found.compute[-1])
        at = np.exp(np.interp(np.log(anchor), np.log(found.compute), np.log(found.width)))
        right.loglog(found.compute, at * (found.compute / anchor) ** expected.width, color=colour, lw=1, ls=":")
    left.set(xlabel="compute, width x time", ylabel="loss", xlim=(1e2, 1e8), ylim=(1e-7, 1))
    right.set(xlabel="compute, width x time", ylabel="best width; dotted: the predicted slope")
    for axes, title in ((left, "loss exponent (predicted)"), (right, "width exponent (predicted)")):
        axes.legend(frameon=False, fontsize=8, title=title, title_fontsize=8)
        axes.grid(True, which="major", lw=0.4, alpha=0.5)
    figure.savefig(HERE / "compute_frontier.png", dpi=140)


def run_command(*words: str) -> None:
    """Run `spectral-sim` in a process of its own."""
    subprocess.run([sys.executable, "-c", "from spectral_sim.cli import main; main()", *words], check=True)


def demo() -> None:
    """Run the demo and draw what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        run_command("demo", "--output", folder, "--force")
        demo_picture(Path(folder))


def demo_picture(folder: Path) -> None:
    """The loss curves of two parts of the demo, one above the other."""
    parts = [Image.open(folder / part / "loss.png").convert("RGB") for part in ("wrong_labels", "domains")]
    heights = [round(part.height * WIDTH / part.width) for part in parts]
    whole = Image.new("RGB", (WIDTH, sum(heights)), "white")
    for part, height, top in zip(parts, heights, (0, heights[0]), strict=True):
        whole.paste(part.resize((WIDTH, height), Image.Resampling.LANCZOS), (0, top))
    whole.save(HERE / "demo.png", optimize=True)


if __name__ == "__main__":
    self_scoring()
    frontier()
    demo()
