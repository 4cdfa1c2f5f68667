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
from spectral_sim.report import draw_phases, self_scoring_phases

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


def demo() -> None:
    """Run the demo and draw what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        command = "from spectral_sim.cli import main; main()"
        subprocess.run([sys.executable, "-c", command, "demo", "--output", folder, "--force"], check=True)
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
    demo()
