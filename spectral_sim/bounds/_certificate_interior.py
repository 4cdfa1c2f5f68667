"""The scalable route to a multiplier: a primal-dual interior point method that keeps the structure in time."""

import dataclasses

import numpy as np

from ._certificate_capped import PricedRow
from ._certificate_multiplier import Multiplier
from ._certificate_newton import BandMatrix, Symmetric
from ._certificate_task import CertificateTask

_TO_BOUNDARY = 0.95  # part of the way to the boundary of the cone that a step goes
_STEPS = 60
_START = 1e-2  # size of the first multiplier next to the terminal form: of 1e-4 to 1 the one with the fewest steps
_FEASIBLE = 1e-4  # residual of the primal constraints, relative, below which its objective is taken for an upper bound


@dataclasses.dataclass
class InteriorPoint:
    """Where the method stands: feasible control matrices, their slacks, and the moments dual to them.

    Arguments:
        control: shape (nodes, state, state).
        slacks, moments: shape (conditions, choices, state, state); with a cap the prices follow as further choices.
        last_slack, last_moment: of the condition at the horizon, shape (state, state).
        upper: no multiplier on these pieces gives a larger bound, in units of the task; infinite while not known.
        steps: Newton steps made.
        finished: whether the bound is within the tolerance of `upper`.
        interrupted: whether the keyboard ended the search.
    """

    control: np.ndarray
    slacks: np.ndarray
    moments: np.ndarray
    last_slack: np.ndarray
    last_moment: np.ndarray
    upper: float = np.inf
    steps: int = 0
    finished: bool = False
    interrupted: bool = False


def interior_multiplier(
    task: CertificateTask, knots: np.ndarray, degree: int, cap: float | None, tolerance: float
) -> tuple[Multiplier, InteriorPoint]:
    """Maximise the bound over multipliers on given pieces.

    Each slack S = slope - A^T P - P A and its moment matrix X follow the path X S = mu I (the direction of Helmberg,
    Rendl, Vanderbei and Wolkowicz, with Mehrotra's corrector). The multiplier is feasible from the first step on, so
    an interrupt from the keyboard ends the search and loses nothing.

    Arguments:
        task: the problem.
        knots: from 0 to the horizon in units of the task, shape (pieces + 1,).
        degree: of the polynomial on each piece, at least 1.
        cap: largest weight, above 1; None for none.
        tolerance: stop when the bound is this near to its upper bound, relative.

    Source:
        Helmberg, Rendl, Vanderbei, Wolkowicz, "An interior-point method for semidefinite programming", SIAM J. Optim. 6
        (1996).
    """
    conditions = _Conditions(task, knots, degree, cap)
    point = _begin(conditions)
    try:
        while point.steps < _STEPS and not _settled(conditions, point, tolerance):
            point = _step(conditions, point)
    except KeyboardInterrupt:
        point.interrupted = True
    except np.linalg.LinAlgError:
        pass  # rounding has the last word near the end of the path: the multiplier is feasible all the same
    prices = None
    if cap is not None:
        durations = np.array([duration for _, _, duration in conditions.rows])
        prices = point.slacks[:, len(task.generators) :] / durations[:, None, None, None]
        prices = prices.reshape(len(knots) - 1, degree + 1, *task.generators.shape)
    return Multiplier(knots, point.control, prices), point


def shares_of(task: CertificateTask, point: InteriorPoint) -> np.ndarray:
    """The part of the time that each choice has in the relaxed problem's best schedule, shape (conditions, choices).

    The moments of a condition are q_i s s^T where the relaxation is exact.
    """
    traces = np.trace(point.moments[:, : len(task.generators)], axis1=2, axis2=3)
    return traces / traces.sum(axis=1, keepdims=True)


def memory_needed(task: CertificateTask, pieces: int, degree: int, capped: bool) -> float:
    """Bytes that a search holds at its peak, about."""
    choices, size = task.generators.shape[:2]
    nodes, rows, count = degree * pieces + 1, pieces * (degree + 1), size * (size + 1) // 2
    priced = rows * ((choices * count) ** 2 + 4 * choices * count**2) if capped else 0
    return 8.0 * (3 * nodes * count**2 + 8 * rows * choices * size**2 + 8 * count**2 + size**4 + priced)


class _Conditions:
    """The conditions as linear maps, each multiplied by the duration of its piece over the degree."""

    def __init__(self, task: CertificateTask, knots: np.ndarray, degree: int, cap: float | None):
        self.task, self.generators = task, task.generators
        self.space = Symmetric(len(task.start))
        self.burden = None if cap is None else cap * task.shares
        if cap is not None:
            eye = np.eye(len(task.start))[None]
            self._maps = np.stack([2 * self.space.kronecker(eye, a[None], (True, False)) for a in self.generators])
        self.priced: list[PricedRow] = []
        self.nodes = degree * (len(knots) - 1) + 1
        self.rows: list[tuple[int, dict[int, float], float]] = []
        for piece, duration in enumerate(np.diff(knots)):
            for order in range(degree + 1):
                at = degree * piece + order
                slope = {at: (2 * order - degree) / degree}
                if order > 0:
                    slope[at - 1] = -order / degree
                if order < degree:
                    slope[at + 1] = (degree - order) / degree
                self.rows.append((at, slope, duration / degree))
        self.gain = np.zeros((self.nodes, *task.terminal.shape))
        self.gain[0] = np.outer(task.start, task.start)

    def slacks(self, control: np.ndarray, prices: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The linear parts of all slacks; with a cap those of the prices follow."""
        out = np.empty((len(self.rows), *self.generators.shape))
        for row, (at, slope, duration) in enumerate(self.rows):
            half = control[at] @ self.generators
            out[row] = sum(c * control[n] for n, c in slope.items()) - duration * (half + half.swapaxes(1, 2))
        if prices is not None and self.burden is not None:
            out += prices - np.tensordot(prices, self.burden, axes=((1,), (0,)))[:, None]
            out = np.concatenate([out, prices], axis=1)
        return out, -control[-1]

    def adjoint(self, moments: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The transpose of `slacks`, shapes (nodes, state, state) and (conditions, choices, state, state)."""
        choices, out = len(self.generators), np.zeros_like(self.gain)
        for row, (at, slope, duration) in enumerate(self.rows):
            total = moments[row, :choices].sum(axis=0)
            for n, c in slope.items():
                out[n] += c * total
            drive = np.tensordot(self.generators, moments[row, :choices], axes=((0, 2), (0, 1)))
            out[at] -= duration * (drive + drive.T)
        out[-1] -= last
        if self.burden is None:
            return out, None
        total = moments[:, :choices].sum(axis=1, keepdims=True)
        return out, moments[:, :choices] - self.burden[:, None, None] * total + moments[:, choices:]

    def solve(self, system: BandMatrix, right: np.ndarray, of_prices: np.ndarray | None):
        """Control matrices and prices from the factored system and the right sides that `adjoint` gives."""
        vectors, count = self.space.vector(right), self.space.count
        if of_prices is None:
            return self.space.matrix(system.solve(vectors)), None
        flat = self.space.vector(of_prices).reshape(len(self.rows), -1)
        for row, (at, slope, _) in enumerate(self.rows):
            taken = self.priced[row].reduce(flat[row])
            for n, c in slope.items():
                vectors[n] -= c * taken[:count]
            vectors[at] -= taken[count:]
        found = system.solve(vectors)
        prices = [
            self.priced[row].recover(flat[row], np.sum([c * found[n] for n, c in slope.items()], axis=0), found[at])
            for row, (at, slope, _) in enumerate(self.rows)
        ]
        return self.space.matrix(found), self.space.matrix(np.stack(prices))

    def system(self, point: InteriorPoint, inverse: np.ndarray, last_inverse: np.ndarray) -> BandMatrix:
        """The matrix of sum_i tr(dS_i X_i dS_i S_i^-1) in the control matrices.

        With dS = E - A^T F - F A, E the slope and F the control matrix of a condition, and G the inverse slack, it has
        the parts tr(E X E G), twice -tr(E G F A X) - tr(E X F A G), and
        2 tr(F A X F A G) + tr(F X F A G A^T) + tr(F G F A X A^T).
        """
        system = BandMatrix(self.nodes, self.space.count)
        join, turned = np.concatenate, self.generators.swapaxes(1, 2)
        choices, count, self.priced = len(self.generators), self.space.count, []
        for row, (at, slope, duration) in enumerate(self.rows):
            x, g = point.moments[row, :choices], inverse[row, :choices]
            ax, ag = self.generators @ x, self.generators @ g
            slopes = self.space.kronecker(x, g, (True, True))
            mixed = -duration * self.space.kronecker(join([g, x]), join([ax, ag]), (True, False))
            own = self._quadratic(ax, ag)
            own = duration**2 * (own + own.T)
            own += duration**2 * self.space.kronecker(join([x, g]), join([ag @ turned, ax @ turned]), (True, True))
            if self.burden is not None:
                priced = PricedRow(self.space, self._maps, self.burden, duration, point.moments[row], inverse[row])
                less = priced.reduction()
                slopes -= less[:count, :count]
                mixed -= less[:count, count:]
                own -= less[count:, count:]
                self.priced.append(priced)
            system.add(at, at, own)
            for n, c in slope.items():
                for other, factor in slope.items():
                    if other <= n:
                        system.add(n, other, c * factor * slopes)
                if n == at:
                    system.add(at, at, c * (mixed + mixed.T))
                elif n > at:
                    system.add(n, at, c * mixed)
                else:
                    system.add(at, n, c * mixed.T)
        last = self.space.kronecker(point.last_moment[None], last_inverse[None], (True, True))
        system.add(self.nodes - 1, self.nodes - 1, last)
        return system

    def _quadratic(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """The form sum_i tr(F A_i X_i F A_i G_i) from the products with X and G; of A_i = x y^T it is a dyad."""
        if self.task.rank_one:
            return self.space.vector(first).T @ self.space.vector(second)
        return self.space.kronecker(first, second, (False, False))


def _begin(conditions: _Conditions) -> InteriorPoint:
    """A feasible multiplier -diag(f I, g), f and g falling in time, and moments that are multiples of the identity."""
    task, count, size = conditions.task, conditions.nodes - 1, len(conditions.task.start)
    unit = _START * float(np.linalg.norm(task.terminal, 2))
    level = unit * (1.0 + count - np.arange(count + 1))
    diagonal = level[:, None] * np.ones(size)
    if task.augmented:
        # the last entry falls by f e^2 / 2 faster; see `repaired`
        step = max(duration for _, _, duration in conditions.rows) * task.missed * level[0]
        diagonal[:, -1] += step * (count - np.arange(count + 1))
    control = -diagonal[:, :, None] * np.eye(size)
    prices = None
    if conditions.burden is not None:
        price = unit / (2 * max(conditions.burden.sum() - 1, 0.5))
        prices = np.broadcast_to(price * np.eye(size), (len(conditions.rows), *task.generators.shape))
    slacks, last_slack = conditions.slacks(control, prices)
    scale = float(task.start @ task.start) / size
    moments = np.broadcast_to(scale * np.eye(size), slacks.shape).copy()
    return InteriorPoint(control, slacks, moments, task.terminal + last_slack, scale * np.eye(size))


def _settled(conditions: _Conditions, point: InteriorPoint, tolerance: float) -> bool:
    drive, of_prices = conditions.adjoint(point.moments, point.last_moment)
    residual = max(np.abs(conditions.gain + drive).max(), 0.0 if of_prices is None else np.abs(of_prices).max())
    if residual < _FEASIBLE * np.abs(conditions.gain).max():
        point.upper = min(point.upper, float(np.sum(conditions.task.terminal * point.last_moment)))
    value = float(np.sum(conditions.gain[0] * point.control[0]))
    point.finished = bool(np.isfinite(point.upper) and point.upper - value <= tolerance * abs(point.upper))
    return point.finished


def _step(conditions: _Conditions, point: InteriorPoint) -> InteriorPoint:
    inverse, last_inverse = _sym(np.linalg.inv(point.slacks)), _sym(np.linalg.inv(point.last_slack))
    order = len(point.control[0]) * (point.slacks.shape[0] * point.slacks.shape[1] + 1)
    gap = (np.vdot(point.moments, point.slacks) + np.vdot(point.last_moment, point.last_slack)) / order
    system = conditions.system(point, inverse, last_inverse)
    system.factor()
    roots = _inverse_root(point.slacks), _inverse_root(point.last_slack)
    moment_roots = _inverse_root(point.moments), _inverse_root(point.last_moment)

    def direction(centring: float, correction, last_correction):
        aim, last_aim = centring * gap * inverse - correction, centring * gap * last_inverse - last_correction
        drive, of_prices = conditions.adjoint(aim, last_aim)
        control, prices = conditions.solve(system, conditions.gain + drive, of_prices)
        slack, last = conditions.slacks(control, prices)
        moment = aim - point.moments - _sym(point.moments @ slack @ inverse)
        last_moment = last_aim - point.last_moment - _sym(point.last_moment @ last @ last_inverse)
        lengths = (
            min(_longest(moment_roots[0], moment), _longest(moment_roots[1], last_moment)),
            min(_longest(roots[0], slack), _longest(roots[1], last)),
        )
        return control, slack, last, moment, last_moment, lengths

    _, slack, last, moment, last_moment, (primal, dual) = direction(0.0, 0.0, 0.0)
    ahead = np.vdot(point.moments + primal * moment, point.slacks + dual * slack)
    ahead += np.vdot(point.last_moment + primal * last_moment, point.last_slack + dual * last)
    centring = max(min(1.0, ahead / order / gap) ** 2, 1e-3)
    corrections = _sym(moment @ slack @ inverse), _sym(last_moment @ last @ last_inverse)
    control, slack, last, moment, last_moment, (primal, dual) = direction(centring, *corrections)
    return InteriorPoint(
        point.control + dual * control,
        point.slacks + dual * slack,
        point.moments + primal * moment,
        point.last_slack + dual * last,
        point.last_moment + primal * last_moment,
        point.upper,
        point.steps + 1,
    )


def _inverse_root(matrices: np.ndarray) -> np.ndarray:
    return np.linalg.inv(np.linalg.cholesky(matrices))


def _longest(root: np.ndarray, change: np.ndarray) -> float:
    """The part of a change that keeps matrices positive definite, with a margin; at most 1."""
    least = float(np.linalg.eigvalsh(root @ change @ root.swapaxes(-1, -2)).min())
    return 1.0 if least >= 0 else min(1.0, -_TO_BOUNDARY / least)


def _sym(matrices: np.ndarray) -> np.ndarray:
    return (matrices + matrices.swapaxes(-1, -2)) / 2
