"""Loss exponents: the slope of log loss against log time, where it is one."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import ArrayLike, Float

from ._curve import as_curve, as_window, inside
from ._readings import LineFit, line_fit, slope_range

_DECADE = math.log(10.0)
_FEWEST_IN_WINDOW = 5  # a window given by the caller: a line and three points to judge it by
_FEWEST_POINTS = 8  # a window found here
_LARGEST_DRIFT = 0.02  # of the local slope across a window, relative to the slope
_SMALLEST_SLOPE = 1e-3  # below it a loss does not fall
_TIE = 1e-9  # log times this close are equal
_MOST_EDGES = 257  # ends of candidate windows; the search is quadratic in them


class NoPowerLawError(ValueError):
    """No stretch of the curve is straight enough in log-log to have an exponent."""


@dataclass(frozen=True)
class ExponentFit:
    """A loss exponent: loss ~ t^-value.

    Arguments:
        value: -d log L / d log t, positive for a falling loss.
        stderr: standard error of `value`: the scatter about the line, and half the change of the slope from the first
            half of the window to the second, added in squares. Independent noise alone makes the second about twice
            the first, so the error is on the safe side.
        window: first and last time fitted.
        r2: share of the variance of log L that the line explains; 0 for a flat curve.
    """

    value: float
    stderr: float
    window: tuple[float, float]
    r2: float


def fit_exponent(times: ArrayLike, loss: ArrayLike, window: tuple[float, float] | None = None) -> ExponentFit:
    """Fit the exponent of a loss curve, or refuse where it has none.

    Without `window` the fit takes the longest stretch (in log time) that is a power law: at least one decade and 8
    points, on which the loss falls with an exponent of at least 1e-3 and the local slope drifts by at most 2% of the
    slope in all. The local slope is that of a cubic in log-log, so that a slope which rises and falls again (a curve
    between its start and a floor) counts as drifting too; for a quadratic it is the usual linear drift. Every point
    counts the same: record at times spaced evenly in log time.

    An exponent holds for its window. A finite number of modes, or a floor, bends the curve long before it shows: the
    tail left out makes a finite sum too steep by about (2 lam_K t)^theta0 of its slope, which can look straight too.

    Arguments:
        times: refresh grid, shape (times,), increasing, in units of time; an entry 0 is left out.
        loss: loss at each time, shape (times,). NaN entries are left out, and so are zeros at the end of the curve
            (a decay that underflowed) unless a window is given.
        window: (t0, t1) to fit there, whatever the shape of the curve; found automatically if None.

    Returns:
        The exponent with its standard error, the first and last time fitted, and r2.

    Raises:
        NoPowerLawError: no window is given and no stretch is a power law; says how near the curve comes.
        ValueError: bad curve (see the message), a window outside the times or with fewer than 5 points, or a loss in
            it that has no logarithm.

    Source:
        Clauset, Shalizi and Newman, SIAM Review 51 (2009), for why a straight look is no evidence; the windows and the
        refusal are this project's own.
    """
    return fit_line(times, loss, window)[0]


def local_exponent(times: ArrayLike, loss: ArrayLike) -> Float[np.ndarray, "times"]:
    """Differentiate a loss curve, -d log L / d log t at each time, by centred differences (one-sided at the ends).

    Arguments:
        times: refresh grid, shape (times,), increasing, in units of time.
        loss: positive loss at each time, shape (times,); NaN entries give NaN there and beside them.

    Returns:
        Local exponents, shape (times,), NaN at time 0.

    Raises:
        ValueError: bad curve, fewer than two times after 0, or a loss that has no logarithm.

    Source:
        Second-order differences on an uneven grid (`numpy.gradient`).
    """
    grid, values = as_curve(times, loss=loss)
    later = grid > 0
    if later.sum() < 2:
        raise ValueError(f"times has {later.sum()} entry after 0; give at least two for a slope.")
    _check_logarithm(values, later & ~np.isnan(values), "cut the curve before it")
    exponent = np.full_like(grid, np.nan)
    exponent[later] = -np.gradient(np.log(values[later]), np.log(grid[later]))
    return exponent


def fit_line(
    times: ArrayLike, loss: ArrayLike, window: tuple[float, float] | None, names: tuple[str, str] = ("loss", "window")
) -> tuple[ExponentFit, LineFit]:
    """`fit_exponent` and the line behind it; `names` are those of the loss and the window in messages."""
    loss_name, window_name = names
    grid, values = as_curve(times, **{loss_name: loss})
    usable = (grid > 0) & ~np.isnan(values)
    if window is None:
        positive = np.flatnonzero(usable & (values != 0))
        usable[positive[-1] + 1 if positive.size else 0 :] = False
        _check_logarithm(values, usable, "mark it NaN, or pass a window without it", loss_name)
        grid, values = grid[usable], values[usable]
        first, last = _straightest(np.log(grid), np.log(values))
        grid, values = grid[first : last + 1], values[first : last + 1]
    else:
        span = as_window(window_name, window, grid)
        usable &= inside(grid, span)
        _check_logarithm(values, usable, f"end {window_name} before it, or start after it", loss_name)
        if usable.sum() < _FEWEST_IN_WINDOW:
            raise ValueError(
                f"{window_name}=({span[0]:.6g}, {span[1]:.6g}) holds {usable.sum()} points with a loss: a slope "
                f"and its error need {_FEWEST_IN_WINDOW}; widen it or record more times."
            )
        grid, values = grid[usable], values[usable]
    span = float(grid[0]), float(grid[-1])
    line = line_fit(grid, values, span)
    return ExponentFit(float(line.exponent), float(line.stderr), span, float(line.r2)), line


def _check_logarithm(values: np.ndarray, used: np.ndarray, fix: str, name: str = "loss") -> None:
    """Raise on the first used entry that is not positive and finite."""
    bad = used & ~((values > 0) & np.isfinite(values))
    if bad.any():
        n = int(np.argmax(bad))
        raise ValueError(f"{name}[{n}] is {values[n]:.6g}: its logarithm is needed, so it must be positive; {fix}.")


def _straightest(x: np.ndarray, y: np.ndarray) -> tuple[int, int]:
    """First and last point of the longest power-law window; raises `NoPowerLawError` if there is none."""
    if x.size < _FEWEST_POINTS or x[-1] - x[0] < _DECADE - _TIE:
        decades = (x[-1] - x[0]) / _DECADE if x.size else 0.0
        raise NoPowerLawError(
            f"no power-law window: {x.size} usable times after 0 (positive loss) over {decades:.2g} decades; record at "
            f"least {_FEWEST_POINTS} times over a decade."
        )
    first, last = _candidates(x)
    slope, drift = _shape(x, y, first, last)
    falling = slope <= -_SMALLEST_SLOPE
    if not falling.any():
        raise NoPowerLawError(
            f"no power-law window: the loss does not fall; its largest exponent over a decade is {max(-slope):.2g} and "
            f"at least {_SMALLEST_SLOPE:g} is needed. Simulate longer, or check that the schedule learns at all."
        )
    first, last, exponent = first[falling], last[falling], -slope[falling]
    drift = drift[falling] / exponent
    straight = drift <= _LARGEST_DRIFT
    if not straight.any():
        best = int(np.argmin(drift))
        start, end = np.exp(x[first[best]]), np.exp(x[last[best]])
        raise NoPowerLawError(
            f"no power-law window: the straightest stretch of a decade or more, t = {start:.3g} to {end:.3g}, has "
            f"exponent {exponent[best]:.3g} with a local slope that drifts by {drift[best]:.1%} of it, and at most "
            f"{_LARGEST_DRIFT:.0%} is allowed. Simulate longer or with more modes, or pass window=(t0, t1) to fit "
            "there all the same."
        )
    length = x[last] - x[first]
    longest = straight & (length >= length[straight].max() - _TIE)
    best = int(np.argmin(np.where(longest, drift, np.inf)))
    return int(first[best]), int(last[best])


def _candidates(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last points of every window that is long enough; ends are thinned evenly in log time on long curves."""
    edges = np.arange(x.size)
    if x.size > _MOST_EDGES:
        edges = np.unique(np.searchsorted(x, np.linspace(x[0], x[-1], _MOST_EDGES)))
    long = np.subtract.outer(x[edges], x[edges]).T >= _DECADE - _TIE
    full = np.subtract.outer(edges, edges).T >= _FEWEST_POINTS - 1
    first, last = np.nonzero(long & full)
    return edges[first], edges[last]


def _shape(x: np.ndarray, y: np.ndarray, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope of each window, and the range of the local slope of a cubic fit across it.

    Least squares from running sums, so that the cost does not depend on how many points a window holds: the moments
    about the centre of each window follow from those about a common origin by the binomial theorem, and the fit from
    polynomials orthogonal on its points (p1 = u, p2 and p3 by Gram-Schmidt).
    """
    half = (x[-1] - x[0]) / 2
    u, v = (x - x[0]) / half - 1, y - y.mean()
    powers = u ** np.arange(7)[:, None]
    terms = np.concatenate([powers, powers[:4] * v])
    sums = np.concatenate([np.zeros((11, 1)), np.cumsum(terms, axis=1)], axis=1)
    raw = (sums[:, last + 1] - sums[:, first]) / (last + 1 - first)
    centre = raw[1]
    shift = (-centre) ** np.arange(7)[:, None]

    def central(power: int, moments: np.ndarray) -> np.ndarray:
        return np.sum([math.comb(power, n) * shift[power - n] * moments[n] for n in range(power + 1)], axis=0)

    m2, m3, m4, m5, m6 = (central(power, raw[:7]) for power in range(2, 7))
    y1, y2, y3 = (central(power, raw[7:]) for power in range(1, 4))
    slope = y1 / m2
    square = m4 - m2**2 - m3**2 / m2  # <p2, p2>
    overlap = (m5 - m2 * m3 - m3 * m4 / m2) / square  # <u^3, p2> / <p2, p2>
    cube = m6 - m3**2 - m4**2 / m2 - overlap**2 * square  # <p3, p3>
    on_square = y2 - m2 * raw[7] - m3 * slope
    on_cube = y3 - m3 * raw[7] - m4 * slope - overlap * on_square
    bend, twist = on_square / square, on_cube / cube
    # the local slope is that of the line, which does not count for its range, plus linear u + 3 twist u^2
    linear = 2 * (bend - overlap * twist)
    span = slope_range(np.zeros_like(slope), linear / 2, twist, u[first] - centre, u[last] - centre)
    return slope / half, span / half
