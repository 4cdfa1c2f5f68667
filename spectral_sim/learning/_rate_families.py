"""Learning rates that are written by hand: families with a peak and at most one more number, tuned at a horizon."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from .._checks import check_positive
from .._types import Array, Float

_PEAKS, _SHAPES, _ROUNDS = 16, 9, 4  # members of a family in a round; each round looks closer around the best
_LEAST = 1e-15  # of the peak
_SMALLEST = 1e-4  # of the largest rate: where peaks begin if no least rate is given


class RateFamily(NamedTuple):
    """Rates that fall from a peak as a function of the share of the run that is over.

    Arguments:
        area: (share, shape) -> integral of rate over peak from the start to that share, so that means are exact.
        shapes: smallest and largest value of the free number of the shape; None where there is no such number.
    """

    area: Callable[[Any, Any], Any]
    shapes: tuple[float, float] | None = None

    def rates(self, shares: np.ndarray, peak: float, shape: float | None, lowest: Any = 0.0) -> np.ndarray:
        """Mean rate of each interval between some shares of the run; the peak falls to `lowest`.

        Arguments:
            shares: shares of the run that bound the intervals, 0 to 1, shape (intervals + 1,).
            peak: the rate at the start.
            shape: the free number of the shape; None where there is none.
            lowest: the rate that the peak falls to.

        Returns:
            Rates in the unit of the peak, shape (intervals,).
        """
        means = np.maximum(np.diff(self.area(shares, shape)) / np.diff(shares), _LEAST)  # rounding may give zero
        return lowest + (peak - lowest) * means


class RatesByHand(NamedTuple):
    """The best member of a family.

    Arguments:
        peak: its largest rate.
        shape: its free number; None for a family without one.
        loss: at the end of the run.
        learning_rate: mean rate of each interval, shape (intervals,).
    """

    peak: float
    shape: float | None
    loss: float
    learning_rate: Float[np.ndarray, "intervals"]


def power_decay(exponent: float | None = None) -> RateFamily:
    """Learning rates peak (1 - share)^exponent; the exponent is tuned too if None.

    Arguments:
        exponent: 1 for a line down to zero, below 1 for rates that fall late, above 1 for rates that fall early.
    """
    area = lambda share, p: (1 - (1 - share) ** (p + 1)) / (p + 1)
    return RateFamily(area, (0.1, 10.0)) if exponent is None else RateFamily(lambda share, _: area(share, exponent))


def rate_families() -> dict[str, RateFamily]:
    """The families that are in common use, by name.

    "power decay" with a free exponent, "cosine" to zero, "linear" to zero, and "stable then decay": the peak, and a
    straight line to zero over a share of the run that is free.
    """
    stable = lambda share, last: share - np.maximum(share - 1 + last, 0) ** 2 / (2 * last)
    return {
        "power decay": power_decay(),
        "cosine": RateFamily(lambda share, _: (share + np.sin(np.pi * share) / np.pi) / 2),
        "linear": RateFamily(lambda share, _: share - share**2 / 2),
        "stable then decay": RateFamily(stable, (0.01, 1.0)),
    }


def tune_families(
    log_loss: Callable[[Array], Array],
    families: Mapping[str, RateFamily],
    grid: np.ndarray,
    lowest: np.ndarray,
    highest: np.ndarray,
) -> dict[str, RatesByHand]:
    """The best member of each family: all numbers on a grid, which closes in on the best of them.

    Arguments:
        log_loss: rates of shape (members, intervals) -> log loss at the end, NaN for a run that fails.
        families: by name.
        grid: whole steps, shape (times,).
        lowest: the rate that all fall to, for each interval, shape (intervals,).
        highest: largest rate of each interval, shape (intervals,); a member is cut there.
    """
    shares, top = grid / grid[-1], float(highest.max())
    first = np.log(max(1.02 * float(lowest.max()), _SMALLEST * top)), np.log(top)
    spans = {name: (first, None if f.shapes is None else tuple(np.log(f.shapes))) for name, f in families.items()}
    best: dict[str, RatesByHand] = {}
    for _ in range(_ROUNDS):
        members = {name: _members(families[name], *span) for name, span in spans.items()}
        tables = {
            name: np.stack([np.minimum(families[name].rates(shares, *each, lowest), highest) for each in rows])
            for name, rows in members.items()
        }
        values = np.asarray(log_loss(jnp.asarray(np.concatenate(list(tables.values())))), np.float64)
        values = np.where(np.isfinite(values), values, np.inf)
        begin = 0
        for name, rows in members.items():
            part, begin = values[begin : begin + len(rows)], begin + len(rows)
            n = int(np.argmin(part))
            loss = float(np.exp(part[n]))
            if name not in best or loss < best[name].loss:
                best[name] = RatesByHand(*rows[n], loss, tables[name][n])
            found, shapes = best[name], families[name].shapes
            spans[name] = (
                _closer(found.peak, spans[name][0], _PEAKS, first),
                None if shapes is None else _closer(found.shape, spans[name][1], _SHAPES, np.log(shapes)),
            )
    return best


def _members(family: RateFamily, peaks: Any, shapes: Any) -> list[tuple[float, float | None]]:
    tried = np.exp(np.linspace(peaks[0], peaks[1], _PEAKS)).tolist()
    if shapes is None:
        return [(peak, None) for peak in tried]
    return [(peak, shape) for shape in np.exp(np.linspace(shapes[0], shapes[1], _SHAPES)).tolist() for peak in tried]


def _closer(value: Any, span: Any, count: int, limits: Any) -> tuple[float, float]:
    """The span of logarithms that reaches to the neighbours of a value, within limits."""
    width = (span[1] - span[0]) / (count - 1)
    return max(np.log(value) - width, limits[0]), min(np.log(value) + width, limits[1])


class PublishedDecay(NamedTuple):
    """What is known of the best learning rates of one-pass SGD for a long run of N steps on a noisy power law.

    Arguments:
        exponent: of the decay, peak (1 - n / N)^exponent; None where rates stay the largest that are stable for most
            of the run, and decay over a vanishing part of it.
        peak_exponent: the peak goes as N to the power of minus this; 0 where it is the largest stable rate.
        loss_exponent: so does the loss.
    """

    exponent: float | None
    peak_exponent: float
    loss_exponent: float


def published_decay(alpha: float, beta: float) -> PublishedDecay:
    """Give the published optimum for eigenvalues k^-alpha and energies k^-beta, both exponents above 1.

    Arguments:
        alpha: exponent of the eigenvalues.
        beta: exponent of the energies.

    Source:
        Li et al. (COLT 2026), with source exponent s = (beta - 1) / alpha and capacity exponent alpha.
    """
    check_positive("alpha - 1", alpha - 1, "eigenvalues k^-alpha need alpha above 1")
    check_positive("beta - 1", beta - 1, "energies k^-beta need beta above 1")
    source = (beta - 1) / alpha
    if source < 1 - 1 / alpha:
        return PublishedDecay(None, 0.0, source)
    peak = (source - 1 + 1 / alpha) / (source + 1 / alpha)
    return PublishedDecay(2 * alpha - 1, peak, source * (1 - peak))
