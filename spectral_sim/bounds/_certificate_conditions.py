"""The conditions on a multiplier for the scalable route, and the normal equations that they lead to."""

import numpy as np

from ._certificate_capped import PricedRow
from ._certificate_newton import BandMatrix, Symmetric
from ._certificate_task import CertificateTask
from ._certificate_transfers import Links


class Conditions:
    """The conditions on one multiplier as linear maps, each multiplied by the duration of its piece over the degree.

    Arguments:
        task: what the multiplier is about.
        knots: from 0 to the horizon in units of the task, shape (pieces + 1,).
        degree: of the polynomial on each piece, at least 1.
        cap: largest weight, above 1; None for none.
        linked: whether transfers join the conditions to those of other outputs.
        space: symmetric matrices of the size of the state as vectors.
    """

    def __init__(
        self, task: CertificateTask, knots: np.ndarray, degree: int, cap: float | None, linked: bool, space: Symmetric
    ):
        self.task, self.generators, self.linked, self.space = task, task.generators, linked, space
        self.burden = None if cap is None else cap * task.shares
        if cap is not None:
            eye = np.eye(len(task.start))[None]
            self._maps = np.stack([2 * self.space.kronecker(eye, a[None], (True, False)) for a in self.generators])
        self.priced: list[PricedRow] = []
        self.links: list[Links] = []
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
        """Control matrices as vectors, and prices, from the factored system and the right sides of `adjoint`."""
        vectors, count = self.space.vector(right), self.space.count
        if of_prices is None:
            return system.solve(vectors), None
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
        return found, self.space.matrix(np.stack(prices))

    def system(self, moments: np.ndarray, inverse: np.ndarray, last_moment, last_inverse) -> BandMatrix:
        """The matrix of sum_i tr(dS_i X_i dS_i S_i^-1) in the control matrices.

        With dS = E - A^T F - F A, E the slope and F the control matrix of a condition, and G the inverse slack, it has
        the parts tr(E X E G), twice -tr(E G F A X) - tr(E X F A G), and
        2 tr(F A X F A G) + tr(F X F A G A^T) + tr(F G F A X A^T).
        """
        system = BandMatrix(self.nodes, self.space.count)
        join, turned = np.concatenate, self.generators.swapaxes(1, 2)
        choices, count, self.priced, self.links = len(self.generators), self.space.count, [], []
        for row, (at, slope, duration) in enumerate(self.rows):
            x, g = moments[row, :choices], inverse[row, :choices]
            ax, ag = self.generators @ x, self.generators @ g
            slopes = self.space.kronecker(x, g, (True, True))
            mixed = -duration * self.space.kronecker(join([g, x]), join([ax, ag]), (True, False))
            own = self._quadratic(ax, ag)
            own = duration**2 * (own + own.T)
            own += duration**2 * self.space.kronecker(join([x, g]), join([ag @ turned, ax @ turned]), (True, True))
            if self.burden is not None:
                priced = PricedRow(self.space, self._maps, self.burden, duration, moments[row], inverse[row])
                less = priced.reduction()
                slopes -= less[:count, :count]
                mixed -= less[:count, count:]
                own -= less[count:, count:]
                self.priced.append(priced)
            if self.linked:
                links = Links(self.space, self.generators, duration, x, g)
                of_slopes, of_own = links.scaled[:, :count], links.scaled[:, count:]
                slopes -= of_slopes.T @ of_slopes
                mixed -= of_slopes.T @ of_own
                own -= of_own.T @ of_own
                slopes[-1, :] = slopes[:, -1] = mixed[-1, :] = 0.0  # the corner is that of the links
                self.links.append(links)
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
        if self.linked:
            corner = np.zeros((count, count))
            corner[-1, -1] = 1.0
            for node in range(self.nodes - 1):
                system.add(node, node, corner)
        last = self.space.kronecker(last_moment[None], last_inverse[None], (True, True))
        system.add(self.nodes - 1, self.nodes - 1, last)
        return system

    def _quadratic(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """The form sum_i tr(F A_i X_i F A_i G_i) from the products with X and G; of A_i = x y^T it is a dyad."""
        if self.task.rank_one:
            return self.space.vector(first).T @ self.space.vector(second)
        return self.space.kronecker(first, second, (False, False))
