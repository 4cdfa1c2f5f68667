"""The search for the parameters of loss curves: linear least squares give starts, a trust region does the rest."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import scipy

from ._curve_grid import CurveBatch
from ._curve_model import NAMES, CurveLaw, law_parts, log_losses_and_slopes
from ._curve_tape import Tape

HUBER = 1e-3  # where errors of the log loss begin to count less than their square
_EXPONENT = NAMES.index("noise_exponent")
# Range of starts and middle of each parameter on the real line, in the order of NAMES.
_LOW = np.array([np.log(0.03), np.log(0.02), -14.0, -15.0, -12.0, -20.0, -1.0])
_HIGH = np.array([np.log(5.0), np.log(5.0), 12.0, 20.0, 12.0, 15.0, 3.0])
_MIDDLE = np.array([np.log(0.6), np.log(0.4), -4.0, 2.0, 1.5, 1.0, 0.0])
_PULL = 3e-4  # per unit from the middle, against errors of the log loss: decides only what the curves leave open


@dataclass(frozen=True)
class Found:
    """Where a search ended.

    Arguments:
        point: parameters on the real line, shape (7,).
        cost: sum of Huber losses, over HUBER squared.
        converged: whether the search stopped because it could do no better.
        evaluations: how often the law was evaluated.
    """

    point: np.ndarray
    cost: float
    converged: bool
    evaluations: int


class CurveSearch:
    """Least squares on a batch of curves; curves are left out by weights, so that one program serves all.

    Arguments:
        law: what is fitted.
        batch: to which curves.
        tape: keeps what each search has found.
    """

    def __init__(self, law: CurveLaw, batch: CurveBatch, tape: Tape):
        self.law, self.batch, self.tape = law, batch, tape
        self._last: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def evaluate(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Errors of the log loss, shape (curves, points), and their derivatives, shape (curves, points, 7)."""
        if self._last is None or not np.array_equal(self._last[0], point):
            values, slopes = log_losses_and_slopes(self.law, jnp.asarray(point, float), self.batch)
            mask = self.batch.mask
            # a run that fails is as bad as can be, and tells nothing of where to go
            fine = np.isfinite(values)
            error = np.where(fine, np.asarray(values, np.float64) - self.batch.log_loss, 10.0) * mask
            slopes = np.where(fine[..., None], np.asarray(slopes, np.float64), 0.0) * mask[..., None]
            self._last = point.copy(), error, slopes
        return self._last[1:]

    def run(
        self, start: np.ndarray, *, keep: np.ndarray | None = None, exponent: float | None = None, most: int = 60
    ) -> Found:
        """The best parameters near a start.

        Arguments:
            start: parameters on the real line, shape (7,).
            keep: which curves count, shape (curves,), boolean; all if None.
            exponent: value at which the noise exponent is held; it is free if None.
            most: most evaluations.
        """
        found = self.tape.take(lambda: self._search(start, keep, exponent, most))
        return Found(found[:-3], float(found[-3]), bool(found[-2]), int(found[-1]))

    def _search(self, start: np.ndarray, keep: np.ndarray | None, exponent: float | None, most: int) -> np.ndarray:
        """The fields of a `Found` in a row."""
        free = np.arange(len(NAMES)) if exponent is None else np.delete(np.arange(len(NAMES)), _EXPONENT)
        full = np.clip(start, _LOW, _HIGH)
        if exponent is not None:
            full[_EXPONENT] = exponent
        rows = (self.batch.mask > 0).ravel() if keep is None else ((self.batch.mask > 0) & keep[:, None]).ravel()
        pull = _PULL * np.eye(len(NAMES))[free][:, free]

        def whole(part):
            point = full.copy()
            point[free] = part
            return point

        def errors(part):
            error, _ = self.evaluate(whole(part))
            return np.concatenate([error.ravel()[rows], _PULL * (part - _MIDDLE[free])])

        def slopes(part):
            _, slope = self.evaluate(whole(part))
            return np.concatenate([slope.reshape(-1, len(NAMES))[rows][:, free], pull])

        result = scipy.optimize.least_squares(
            errors,
            full[free],
            slopes,
            loss="huber",
            f_scale=HUBER,
            x_scale=1.0,
            max_nfev=most,
            ftol=1e-4,
            xtol=1e-6,
            gtol=1e-12,
        )
        return np.append(whole(result.x), [result.cost / HUBER**2, result.status > 0, result.nfev])


def screen(law: CurveLaw, batch: CurveBatch, seed: int, count: int) -> np.ndarray:
    """Starts for a search, best first, shape (count, 7).

    Exponents, the eigenvalue scale and the noise exponent are drawn; the loss is linear in the energy scale, the noise
    and the floor, which non-negative least squares on relative errors then gives.
    """
    drawn = scipy.stats.qmc.Halton(4, seed=seed).random(count)
    low, high = np.array([np.log(0.15), np.log(0.05), -7.0]), np.array([np.log(2.0), np.log(1.5), 2.0])
    measured = batch.mask > 0
    target = np.exp(batch.log_loss[measured])
    points, costs = [], []
    for row in drawn:
        point = _MIDDLE.copy()
        point[:3] = low + row[:3] * (high - low)
        point[_EXPONENT] = row[3] - 0.25
        quiet, loud = (
            np.asarray(part, np.float64)[measured] for part in law_parts(law, jnp.asarray(point, float), batch)
        )
        columns = np.stack([quiet, loud, np.full_like(quiet, float(law.lowest))], axis=1) / target[:, None]
        if not np.isfinite(columns).all():
            continue
        size = np.linalg.norm(columns, axis=0)
        amounts = scipy.optimize.nnls(columns / size, np.ones(len(target)))[0] / size
        costs.append(scipy.special.huber(HUBER, columns @ amounts - 1).sum())
        floor = np.clip(amounts[2], 1e-3, 0.995)
        with np.errstate(divide="ignore"):
            point[3:6] = np.log(amounts[0]), np.log(floor / (1 - floor)), np.log(amounts[1])
        points.append(np.clip(point, _LOW, _HIGH))
    return np.array(points)[np.argsort(costs, kind="stable")]
