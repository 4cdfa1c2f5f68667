"""The phase diagram of self-scoring: where it tracks the frontier, and where it keeps the static exponent."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._extras import require
from .._simulate import simulate
from .._times import log_times
from ..problems import ModalProblem
from ..schedules import chain, mix, proportional, self_scoring
from ._style import new_figure

_BEFORE = 1e-3  # the first refresh after the start, over the start of the window


@dataclass(frozen=True)
class Phases:
    """Loss exponents under self-scoring.

    Arguments:
        exponent: shape (densities, sharpness, thresholds).
        refreshes_per_decade: shape (densities,).
        sharpness: q, shape (sharpness,); may end with infinity.
        threshold: u0, shape (thresholds,).
        static: exponent of uniform sampling over the same window.
        window: times that the exponents are fitted on.
        share: uniform share eps.
        alpha: eigenvalue exponent of the problem.
        beta: energy exponent of the problem.
    """

    exponent: np.ndarray
    refreshes_per_decade: tuple[int, ...]
    sharpness: np.ndarray
    threshold: np.ndarray
    static: float
    window: tuple[float, float]
    share: float
    alpha: float
    beta: float


def self_scoring_phases(
    problem: ModalProblem,
    *,
    sharpness: Sequence[float],
    threshold: Sequence[float],
    refreshes_per_decade: Sequence[int],
    share: float = 0.2,
    window: tuple[float, float] = (1e5, 1e9),
) -> Phases:
    """Simulate self-scoring with a uniform share on a grid of its parameters.

    Exponents are those of late times, share x t >> 1: before, the curves of steep visibility bend, and slopes may be
    below the static one. By default a step is within 0.1% of it.

    Arguments:
        problem: from `power_law`, with modes well beyond the ideal frontier at the end of the window; steep visibility
            needs more quadrature nodes than smooth weights do, and the more of them the denser the refreshes.
        sharpness: values of q, positive; infinity for a step.
        threshold: values of u0, positive.
        refreshes_per_decade: densities of the refresh grid.
        share: uniform share eps.
        window: times between which the exponent is fitted, in log-log, by least squares.

    Returns:
        The exponents.

    Raises:
        ValueError: a problem that is not from `power_law`, values that are not positive, or a window that is empty.
    """
    if problem.law is None:
        raise ValueError("problem is no power law: the exponents of other problems mean nothing; use power_law().")
    if not 0 < window[0] < window[1] < np.inf:
        raise ValueError(f"window is {window}: give an earlier and a later time, both positive.")
    q, u0 = (np.asarray(values, float) for values in (sharpness, threshold))
    chain(self_scoring(u0, q), mix(share))  # refuses and names a value that does not fit, before anything is simulated
    grid = jnp.asarray(np.stack(np.meshgrid(q, u0, indexing="ij"), axis=-1).reshape(-1, 2))
    exponents, static = [], 0.0
    for density in refreshes_per_decade:
        first = window[0] * _BEFORE
        times = log_times(first, window[1], 2 + round(np.log10(window[1] / first) * density))

        def loss(member, times=times):
            rule = chain(self_scoring(member[1], member[0]), proportional(1.0), mix(share))
            return simulate(problem, rule, times, adjoint="direct", throw=False).loss

        late = times >= window[0] * (1 - 1e-9)
        slope = lambda curves, times=times, late=late: -np.polyfit(np.log(times[late]), np.log(curves.T[late]), 1)[0]
        exponents.append(slope(np.asarray(jax.jit(jax.vmap(loss))(grid))).reshape(len(q), len(u0)))
        decay = np.exp(-2 * np.asarray(problem.eigenvalues) * times[:, None])
        uniform = 0.5 * decay @ np.asarray(problem.multiplicity * problem.energies) + float(problem.floor)
        static = float(slope(uniform[None])[0])
    alpha, beta = (float(problem.law.numbers()[name]) for name in ("alpha", "beta"))
    return Phases(np.stack(exponents), tuple(refreshes_per_decade), q, u0, static, window, share, alpha, beta)


def draw_phases(phases: Phases, path: Path | None = None) -> Any:
    """One map for each refresh density, coloured from the static exponent to the ideal one, beta - 1.

    Arguments:
        phases: from `self_scoring_phases`.
        path: where to write it as PNG, if anywhere.

    Returns:
        The matplotlib figure.
    """
    require("matplotlib", "a map")
    count, ideal = len(phases.refreshes_per_decade), phases.beta - 1
    figure = new_figure(3.3 * count + 1.2, 4.3)
    mesh: Any = None
    grid = figure.subplots(1, count, sharey=True, squeeze=False)[0]
    for axes, density, values in zip(grid, phases.refreshes_per_decade, phases.exponent, strict=True):
        mesh = axes.imshow(values, origin="lower", aspect="auto", vmin=phases.static, vmax=ideal, cmap="viridis")
        for (row, column), value in np.ndenumerate(values):
            dark = value < (phases.static + ideal) / 2
            colour = "white" if dark else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color=colour)
        axes.set_xticks(range(len(phases.threshold)), [f"{value:g}" for value in phases.threshold])
        axes.set_yticks(range(len(phases.sharpness)), [_number(value) for value in phases.sharpness])
        axes.set(title=f"{density} refreshes a decade", xlabel="visibility threshold $u_0$")
    grid[0].set_ylabel("sharpness $q$")
    below = "min" if phases.exponent.min() < phases.static - 0.005 else "neither"
    bar = figure.colorbar(mesh, ax=list(grid), aspect=25, extend=below)
    bar.set_label("loss exponent", labelpad=-40)  # beside the bar: its numbers stand at the ends
    bar.set_ticks([phases.static, ideal], labels=[f"{phases.static:.2f} static", f"{ideal:.2f} ideal"])
    start, end = (f"10^{{{np.log10(time):.3g}}}" for time in phases.window)
    figure.suptitle(
        "Self-scoring: soft visibility tracks the frontier, hard visibility looks backwards\n"
        f"$\\lambda_k = k^{{-{phases.alpha:g}}}$, $E_k(0) = k^{{-{phases.beta:g}}}$, uniform share {phases.share:g}, "
        f"exponents between $t = {start}$ and ${end}$",
        fontsize=11,
    )
    if path is not None:
        figure.savefig(path, dpi=130)
    return figure


def _number(value: float) -> str:
    return "step" if np.isinf(value) else f"{value:g}"
