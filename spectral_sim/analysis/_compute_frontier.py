"""The best loss for each amount of compute: which width to train, for how long, and how both grow."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .._checks import check_finite, check_length, check_ndim, check_positive
from .._types import ArrayLike
from ._exponent import ExponentFit, fit_exponent

_POINTS_PER_DECADE = 16


@dataclass(frozen=True)
class ComputeFrontier:
    """The lower envelope of loss curves over compute.

    Arguments:
        compute: where an inner width is best, in the unit of `flops`, evenly spaced in the logarithm, shape (points,).
        loss: least loss for that much compute, shape (points,).
        width: width that reaches it, between the widths given, shape (points,).
        loss_exponent: loss ~ compute^-value.
        width_exponent: width ~ compute^value.
    """

    compute: Float[np.ndarray, " points"]
    loss: Float[np.ndarray, " points"]
    width: Float[np.ndarray, " points"]
    loss_exponent: ExponentFit
    width_exponent: ExponentFit


@dataclass(frozen=True)
class ComputeExponents:
    """Exponents of the compute-optimal frontier by asymptotics.

    Arguments:
        loss: loss ~ compute^-loss.
        width: width ~ compute^width.
        balance: names of the two parts of the loss that are equal there.
    """

    loss: float
    width: float
    balance: tuple[str, str]


def compute_frontier(
    loss: ArrayLike,
    widths: ArrayLike,
    steps: ArrayLike,
    flops: ArrayLike | None = None,
    *,
    window: tuple[float, float] | None = None,
) -> ComputeFrontier:
    """Take the lower envelope over widths of loss against compute, and fit its exponents.

    At each amount of compute the curves are read off between their points, linearly in log loss against log compute;
    the best width is where a parabola through the three best values in log width is least. Amounts of compute at which
    the smallest or the largest width is best are left out: the true optimum may lie beyond.

    Arguments:
        loss: loss of each width after each number of steps, positive, shape (widths, steps).
        widths: widths, increasing, at least 3, shape (widths,).
        steps: numbers of steps, or times, increasing and positive, shape (steps,).
        flops: compute of each entry, increasing along steps, shape (widths, steps); width times steps if None.
        window: first and last compute of the fits; if None the longest stretch on which the loss is a power law.

    Returns:
        The frontier. Both exponents are fitted over the same window, with standard errors.

    Raises:
        ValueError: arrays that do not fit together or are not increasing, or no compute at which an inner width is
            best.
        NoPowerLawError: no window on which the frontier is a power law.
    """
    check_ndim("loss", loss, 2, "widths, steps")
    losses, widths, steps = (np.asarray(value, np.float64) for value in (loss, widths, steps))
    check_length("widths", widths, losses.shape[0], f"loss with {losses.shape[0]} rows")
    check_length("steps", steps, losses.shape[1], f"loss with {losses.shape[1]} columns")
    if len(widths) < 3:
        raise ValueError(f"widths has {len(widths)} entries: give at least 3, so that one of them can be inside.")
    compute = widths[:, None] * steps if flops is None else np.asarray(flops, np.float64)
    if compute.shape != losses.shape:
        raise ValueError(f"flops has shape {compute.shape} and loss {losses.shape}: give the compute of every entry.")
    for name, value in (("loss", losses), ("widths", widths), ("steps", steps), ("flops", compute)):
        check_finite(name, value)
        check_positive(name, value, "leave out the start, which costs nothing" if name in ("steps", "flops") else "")
    for name, value in (("widths", widths), ("steps", steps), ("flops", compute)):
        if (np.diff(value, axis=-1) <= 0).any():
            raise ValueError(f"{name} must increase along its last axis: sort it, and what belongs to it.")
    grid, envelope, best = _envelope(np.log(compute), np.log(losses), np.log(widths))
    if len(grid) < 8:
        raise ValueError(
            f"an inner width is best at {len(grid)} amounts of compute only: add wider and narrower models, or more "
            "steps."
        )
    fitted = fit_exponent(grid, envelope, window)
    growth = fit_exponent(grid, 1 / best, fitted.window)
    return ComputeFrontier(grid, envelope, best, fitted, ExponentFit(*(getattr(growth, f) for f in _FIELDS)))


_FIELDS = ("value", "stderr", "window", "r2")


def _envelope(compute: np.ndarray, loss: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute, least loss and best width where that lies inside; all arguments are logarithms."""
    low, high = np.sort(compute[:, 0])[1], np.sort(compute[:, -1])[-2]  # at least two curves are there
    number = max(2, int((high - low) / np.log(10) * _POINTS_PER_DECADE) + 1)
    grid = np.linspace(low, high, number)
    read = np.stack([np.interp(grid, x, y, np.inf, np.inf) for x, y in zip(compute, loss, strict=True)])
    best = np.argmin(read, axis=0)
    inside = (best > 0) & (best < len(width) - 1)
    rows = np.flatnonzero(inside)
    near = read[best[rows] + np.array([[-1], [0], [1]]), rows]
    finite = np.isfinite(near).all(axis=0)
    rows, near = rows[finite], near[:, finite]
    positions = width[best[rows] + np.array([[-1], [0], [1]])]
    left, right = positions[1] - positions[0], positions[2] - positions[1]
    down, up = (near[1] - near[0]) / left, (near[2] - near[1]) / right
    bend = (up - down) / (left + right)
    shift = np.where(bend > 0, -(down * right + up * left) / (left + right) / (2 * np.where(bend > 0, bend, 1)), 0)
    least = near[1] + shift * (down * right + up * left) / (left + right) + bend * shift**2
    return np.exp(grid[rows]), np.exp(least), np.exp(positions[1] + shift)


def compute_exponents(alpha: float, beta: float, *, noise: bool = True, tilt: float = 0.0) -> ComputeExponents:
    """Exponents of the compute-optimal frontier of `random_features`, for compute = width x steps.

    After time t = rate x steps at width d the loss is a sum of powers: the limit of infinite width,
    t^-((beta - 1) / alpha); the floor, d^-min(alpha, beta - 1); where beta > alpha + 1 > 2 the distortion of the
    features, d^-1 t^-(1 - 1/alpha); and the noise of the batches, rate x t^-(2 - 1/alpha), for alpha > 1/2. At fixed
    compute the largest of them is least where two are equal.

    Above alpha = 1 the rate is constant. Below it the trace grows with the number of modes, which is then taken in
    proportion to the width, and the largest stable rate falls as d^(alpha - 1).

    Weights lam_k^-tilt turn each rate of decay k^-alpha into k^-(alpha (1 - tilt)) and leave the floor, which divides
    the powers of t by 1 - tilt. Weights that stay bounded as the width grows change no exponent.

    Arguments:
        alpha: eigenvalue exponent, positive, not 1.
        beta: energy exponent, above 1.
        noise: whether batches are finite; False for gradient flow.
        tilt: exponent of `power_tilt`, with alpha (1 - tilt) above 1; only without noise.

    Returns:
        The exponents.

    Raises:
        ValueError: energies whose sum diverges, alpha = 1, where logarithms stand in for powers, a tilt under which the
            weights have no mean, or a tilt with noise.

    Source:
        Paquette, Paquette, Xiao and Pennington, 4+3 phases of compute-optimal neural scaling laws (2024); alpha and
        beta there are alpha / 2 and (beta - alpha) / 2 here. The tilt is this library's own; a shipped sweep holds it.
    """
    _check_exponents(alpha, beta, noise, tilt)
    # each part of the loss as powers of width and of time
    parts = {"infinite width": (0.0, (beta - 1) / alpha), "floor": (min(alpha, beta - 1), 0.0)}
    if alpha > 1 and beta > alpha + 1:
        parts["distorted features"] = (1.0, 1 - 1 / alpha)
    falls = max(0.0, 1 - alpha)  # the rate, as a power of the width
    if noise and alpha > 0.5:
        parts["batch noise"] = (falls, 2 - 1 / alpha)
    names = list(parts)
    powers = np.array([(width - falls * time, time / (1 - tilt)) for width, time in parts.values()])

    def slowest(share: float) -> float:
        return float(np.min(powers @ [share, 1 - share]))

    found = ComputeExponents(-np.inf, np.nan, ("", ""))
    for i, one in enumerate(powers):
        for j, other in enumerate(powers[:i]):
            apart = (one - other) @ [1, -1]
            share = (other - one)[1] / apart if apart else -1.0
            if 0 <= share <= 1 and slowest(share) > found.loss and np.isclose(slowest(share), one @ [share, 1 - share]):
                found = ComputeExponents(slowest(share), float(share), (names[j], names[i]))
    return found


def _check_exponents(alpha: float, beta: float, noise: bool, tilt: float) -> None:
    """Raise ValueError for numbers that no closed form covers."""
    check_positive("alpha", alpha, "give an exponent above 0")
    if alpha == 1:
        raise ValueError("alpha is 1, where logarithms stand in for powers: give an exponent above or below.")
    if not beta > 1:
        raise ValueError(f"beta is {beta:g}: the sum of the energies diverges; give an exponent above 1.")
    if tilt and noise:
        raise ValueError(f"tilt is {tilt:g} with noise, whose part under weights has no closed form: give noise=False.")
    if tilt and not alpha * (1 - tilt) > 1:
        raise ValueError(
            f"tilt is {tilt:g} at alpha = {alpha:g}: the weights have no mean over infinitely many modes; give a tilt "
            f"below {1 - 1 / alpha:.4g}."
        )
