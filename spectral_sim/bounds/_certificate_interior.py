"""The scalable route to a multiplier: a primal-dual interior point method that keeps the structure in time."""

import dataclasses
from collections.abc import Callable

import numpy as np

from ._certificate_conditions import Conditions
from ._certificate_cone import inverse_root, is_inside, longest_step, symmetrised
from ._certificate_newton import BandMatrix, Symmetric
from ._certificate_task import CertificateTask
from ._certificate_transfers import Consensus, least_transfers

_STEPS = 60
_START = 1e-2  # size of the first multiplier next to the terminal form: of 1e-4 to 1 the one with the fewest steps
_MOMENTS = 10.0  # size of the first moments next to the start: much less makes some searches diverge, more costs a step
_MIXED = (0.1, 0.2, 0.4, 0.6, 0.8, 0.9)  # parts of the first multiplier that are tried where a search is resumed
_FEASIBLE = 1e-4  # residual of the primal constraints, relative, below which its objective is taken for an upper bound


@dataclasses.dataclass
class Part:
    """The feasible control matrices of one output, their slacks, and the moments dual to them; or changes of these.

    Arguments:
        control: shape (nodes, state, state).
        slacks, moments: shape (conditions, choices, state, state); with a cap the prices follow as further choices.
        last_slack, last_moment: of the condition at the horizon, shape (state, state).
    """

    control: np.ndarray
    slacks: np.ndarray
    moments: np.ndarray
    last_slack: np.ndarray
    last_moment: np.ndarray

    def moved(self, change: "Part", primal: float, dual: float) -> "Part":
        """After a step: `dual` of the way in the multiplier, `primal` of the way in the moments."""
        return Part(
            self.control + dual * change.control,
            self.slacks + dual * change.slacks,
            self.moments + primal * change.moments,
            self.last_slack + dual * change.last_slack,
            self.last_moment + primal * change.last_moment,
        )

    @property
    def product(self) -> float:
        return float(np.vdot(self.moments, self.slacks) + np.vdot(self.last_moment, self.last_slack))


@dataclasses.dataclass
class InteriorPoint:
    """Where the method stands.

    Arguments:
        parts: one for each output.
        upper: no multipliers on these pieces give a larger bound, in units of the task; infinite while not known.
        steps: Newton steps made.
        finished: whether the bound is within the tolerance of `upper`.
        interrupted: whether the keyboard ended the search.
    """

    parts: list[Part]
    upper: float = np.inf
    steps: int = 0
    finished: bool = False
    interrupted: bool = False

    @property
    def controls(self) -> list[np.ndarray]:
        return [part.control for part in self.parts]


class InteriorMethod:
    """Maximise the bound over the multipliers of one output, or of several that serve one schedule.

    Each slack S = slope - A^T P - P A and its moment matrix X follow the path X S = mu I (the direction of Helmberg,
    Rendl, Vanderbei and Wolkowicz, with Mehrotra's corrector). The multipliers are feasible from the first step on, so
    an interrupt from the keyboard ends the search and loses nothing.

    Arguments:
        tasks: one for each output.
        knots: from 0 to the horizon in units of the task, shape (pieces + 1,).
        degree: of the polynomial on each piece, at least 1.
        cap: largest weight, above 1; None for none. Not for several outputs.

    Source:
        Helmberg, Rendl, Vanderbei, Wolkowicz, "An interior-point method for semidefinite programming", SIAM J. Optim. 6
        (1996).
    """

    def __init__(self, tasks: list[CertificateTask], knots: np.ndarray, degree: int, cap: float | None):
        space = Symmetric(len(tasks[0].start))
        self.linked = len(tasks) > 1
        self.outputs = [Conditions(task, knots, degree, cap, self.linked, space) for task in tasks]

    @np.errstate(over="ignore", invalid="ignore")
    def solve(
        self,
        tolerance: float,
        before: InteriorPoint | None = None,
        known: np.ndarray | None = None,
        told: Callable[[float], None] | None = None,
    ) -> InteriorPoint:
        """Follow the path.

        Arguments:
            tolerance: stop when the bound is this near to its upper bound, relative.
            before: where a search over fewer choices stopped, to go on from; not with a cap.
            known: which of the choices these are, shape (choices,).
            told: called before each step with the bound of the multipliers under the choices that take part.
        """
        point = self._begin()
        if before is not None and known is not None:
            point = self._resume(point, before, known)
        best = point  # a search that diverges, which is rare, ends far below where it began
        try:
            while point.steps < _STEPS and not self._settled(point, tolerance):
                if told is not None:
                    told(self._value(point))
                point = self._step(point)
                best = max(best, point, key=self._value)  # NaN is not
        except KeyboardInterrupt:
            point.interrupted = True
        except np.linalg.LinAlgError:
            pass  # rounding has the last word near the end of the path: the multiplier is feasible all the same
        return dataclasses.replace(point, parts=best.parts)

    def prices(self, point: InteriorPoint) -> np.ndarray | None:
        """With a cap the prices of the conditions, shape (conditions, choices, state, state)."""
        conditions = self.outputs[0]
        if conditions.burden is None:
            return None
        durations = np.array([duration for _, _, duration in conditions.rows])
        return point.parts[0].slacks[:, len(conditions.generators) :] / durations[:, None, None, None]

    def shares(self, point: InteriorPoint) -> np.ndarray:
        """The part of the time of each choice in the relaxed problem's best schedule, shape (conditions, choices).

        The moments of a condition are q_i s s^T where the relaxation is exact.
        """
        choices = len(self.outputs[0].generators)
        traces = np.sum([np.trace(part.moments[:, :choices], axis1=2, axis2=3) for part in point.parts], axis=0)
        return traces / traces.sum(axis=1, keepdims=True)

    def _begin(self) -> InteriorPoint:
        """Feasible multipliers -diag(f I, g), f and g falling in time, and multiples of the identity as moments."""
        parts = []
        for conditions in self.outputs:
            task, count, size = conditions.task, conditions.nodes - 1, len(conditions.task.start)
            unit = _START * max(float(np.linalg.norm(each.task.terminal, 2)) for each in self.outputs)
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
            slacks, last = conditions.slacks(control, prices)
            scale = _MOMENTS * max(float(each.task.start @ each.task.start) for each in self.outputs) / size
            moments = np.broadcast_to(scale * np.eye(size), slacks.shape).copy()
            parts.append(Part(control, slacks, moments, task.terminal + last, scale * np.eye(size)))
        return InteriorPoint(parts)

    def _resume(self, begun: InteriorPoint, point: InteriorPoint, known: np.ndarray) -> InteriorPoint:
        """The point of a search over fewer choices, moved towards the first one until all conditions hold.

        Choices that are new to it get the mean of the moments. Far from the end of its path, it saves half the steps.
        """
        given = [c.slacks(control) for c, control in zip(self.outputs, point.controls, strict=True)]
        if self.linked:
            least = [np.stack([least_transfers(row) for row in slacks]) for slacks, _ in given]
            excess = np.mean(least, axis=0)
            for (slacks, _), lent in zip(given, least, strict=True):
                slacks[:, :, -1, -1] += lent - excess
        for share in _MIXED:
            parts = []
            for c, first, part, (slacks, last) in zip(self.outputs, begun.parts, point.parts, given, strict=True):
                slack = (1 - share) * slacks + share * first.slacks
                last_slack = (1 - share) * (c.task.terminal + last) + share * first.last_slack
                if not (is_inside(slack) and is_inside(last_slack)):
                    break
                moments = np.repeat(part.moments.mean(axis=1, keepdims=True), slack.shape[1], axis=1)
                moments[:, known] = part.moments
                control = (1 - share) * part.control + share * first.control
                parts.append(Part(control, slack, moments, last_slack, part.last_moment))
            else:
                return InteriorPoint(parts)
        return begun

    def _settled(self, point: InteriorPoint, tolerance: float) -> bool:
        residual, scale, upper = 0.0, 0.0, 0.0
        for conditions, part in zip(self.outputs, point.parts, strict=True):
            drive, of_prices = conditions.adjoint(part.moments, part.last_moment)
            residual = max(residual, np.abs(conditions.gain + drive).max())
            if of_prices is not None:
                residual = max(residual, np.abs(of_prices).max())
            scale = max(scale, np.abs(conditions.gain).max())
            upper += float(np.sum(conditions.task.terminal * part.last_moment))
        if self.linked:
            corners = np.stack([part.moments[:, :, -1, -1] for part in point.parts])
            residual = max(residual, np.abs(corners - corners.mean(axis=0)).max())
        if residual < _FEASIBLE * scale:
            point.upper = min(point.upper, upper)
        short = point.upper - self._value(point)
        point.finished = bool(np.isfinite(point.upper) and short <= tolerance * abs(point.upper))
        return point.finished

    def _value(self, point: InteriorPoint) -> float:
        pairs = zip(self.outputs, point.parts, strict=True)
        return sum(float(np.sum(conditions.gain[0] * part.control[0])) for conditions, part in pairs)

    def _step(self, point: InteriorPoint) -> InteriorPoint:
        order = sum(part.control.shape[1] * (np.prod(part.slacks.shape[:2]) + 1) for part in point.parts)
        gap = sum(part.product for part in point.parts) / order
        inverses = [
            (symmetrised(np.linalg.inv(part.slacks)), symmetrised(np.linalg.inv(part.last_slack)))
            for part in point.parts
        ]
        systems = []
        for conditions, part, inverse in zip(self.outputs, point.parts, inverses, strict=True):
            systems.append(conditions.system(part.moments, inverse[0], part.last_moment, inverse[1]))
            systems[-1].factor()
        consensus = Consensus(self.outputs, systems) if self.linked else None
        roots = [
            [inverse_root(each) for each in (part.slacks, part.last_slack, part.moments, part.last_moment)]
            for part in point.parts
        ]

        def direction(centring: float, corrections: list):
            aims = [
                tuple(centring * gap * g - c for g, c in zip(inverse, correction, strict=True))
                for inverse, correction in zip(inverses, corrections, strict=True)
            ]
            changes, dual, primal = [], 1.0, 1.0
            for part, aim, inverse, root, (control, slack, last) in zip(
                point.parts, aims, inverses, roots, self._newton(systems, consensus, aims), strict=True
            ):
                moment = aim[0] - part.moments - symmetrised(part.moments @ slack @ inverse[0])
                last_moment = aim[1] - part.last_moment - symmetrised(part.last_moment @ last @ inverse[1])
                for factor, change in ((root[0], slack), (root[1], last)):
                    dual = longest_step(factor, change, dual)
                for factor, change in ((root[2], moment), (root[3], last_moment)):
                    primal = longest_step(factor, change, primal)
                changes.append(Part(control, slack, moment, last, last_moment))
            return changes, primal, dual

        changes, primal, dual = direction(0.0, [(0.0, 0.0)] * len(point.parts))
        ahead = sum(part.moved(c, primal, dual).product for part, c in zip(point.parts, changes, strict=True))
        centring = max(min(1.0, ahead / order / gap) ** 2, 1e-3)
        corrections = [
            (symmetrised(c.moments @ c.slacks @ inverse[0]), symmetrised(c.last_moment @ c.last_slack @ inverse[1]))
            for c, inverse in zip(changes, inverses, strict=True)
        ]
        changes, primal, dual = direction(centring, corrections)
        moved = [part.moved(c, primal, dual) for part, c in zip(point.parts, changes, strict=True)]
        return InteriorPoint(moved, point.upper, point.steps + 1)

    def _newton(self, systems: list[BandMatrix], consensus: Consensus | None, aims: list):
        """For each output the change of its control matrices, slacks and last slack."""
        if consensus is not None:
            return consensus.solve(aims)
        (conditions,), (aim,) = self.outputs, aims
        drive, of_prices = conditions.adjoint(*aim)
        vectors, prices = conditions.solve(systems[0], conditions.gain + drive, of_prices)
        control = conditions.space.matrix(vectors)
        return [(control, *conditions.slacks(control, prices))]
