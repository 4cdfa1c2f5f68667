"""A fitted model of loss curves: predictions with intervals, scores beside published laws, a problem to simulate."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._shown import Line, Shown, View, digits
from ..dynamics import SGDMoments
from ..problems import ModalProblem
from ..schedules import AbstractStage
from ._curve import Curve, rates_of_steps
from ._curve_best import BestRates, best_rates
from ._curve_errors import CurveScore, mean_score
from ._curve_grid import CurveBatch, refine
from ._curve_model import CurveLaw
from ._curve_prediction import CurvePrediction, Reach, padded, predict_batch

LAW = "spectral law"
_POINTS = 128  # of a prediction whose steps are not given


@dataclass(frozen=True, eq=False, repr=False)
class CurveFit(Shown):
    """What `fit_curves` found.

    Arguments:
        curves: all curves by name, those held out included.
        hold_out: names of the curves that were not fitted.
        law: the constants of the fit; see `parameters` for what was fitted.
        point: the parameters on the real line, shape (7,), in the order of `parameters`: log(alpha - 1), log(beta - 1),
            the logit of eigenvalue_scale times the peak rate, log energy_scale, the logit of the floor over the
            smallest fitted loss, log noise_strength, and noise_exponent.
        covariance: of `point`, shape (7, 7), widened by how far left-out curves were missed.
        residual: standard deviation of a measured log loss about the fit, widened likewise.
        level: coverage that intervals aim at.
        scores: `CurveScore` by law and curve: of the spectral law, and of each baseline fitted to the same curves.
        cross_validation: mean over the fitted curves of the absolute error of the log loss where each is predicted from
            the others, by law; empty for one curve.
        exponents: error of left-out curves for each noise exponent that was tried.
        converged: whether the search stopped because it could do no better.
        warnings: what the curves cannot tell, and what went wrong.
    """

    curves: dict[str, Curve]
    hold_out: tuple[str, ...]
    law: CurveLaw
    point: np.ndarray
    covariance: np.ndarray
    residual: float
    level: float
    scores: dict[str, dict[str, CurveScore]]
    cross_validation: dict[str, float]
    exponents: dict[float, float]
    converged: bool
    warnings: tuple[str, ...]

    @property
    def fitted(self) -> tuple[str, ...]:
        """Names of the curves that were fitted."""
        return tuple(name for name in self.curves if name not in self.hold_out)

    @property
    def parameters(self) -> dict[str, float]:
        """alpha, beta, eigenvalue_scale, energy_scale, floor, noise_strength and noise_exponent."""
        return {name: float(value) for name, value in self.law.natural(self.point).items()}

    @property
    def problem(self) -> ModalProblem:
        """The fitted power law, for `simulate`, `sweep` and `learn`; its times are sums of learning rates."""
        return self.law.problem(self.parameters)

    @property
    def dynamics(self) -> SGDMoments:
        """The fitted dynamics at the largest fitted rate; replace `learning_rate` by any other."""
        return self.law.dynamics(self.parameters, float(self.law.peak))

    @property
    def reach(self) -> Reach:
        """What the fitted curves cover."""
        return Reach.of([self.curves[name] for name in self.fitted])

    def predict(
        self,
        learning_rate: Any,
        *,
        steps: Any = None,
        batch_size: float | None = None,
        schedule: AbstractStage | None = None,
    ) -> CurvePrediction:
        """The loss under other learning rates, batch sizes or weights of the data.

        Arguments:
            learning_rate: a rate for each step, shape (steps,), one number, or a function of the number of steps taken.
            steps: steps at which the loss is wanted, increasing; 128 of them up to the last rate if None.
            batch_size: examples in a step; that of the first fitted batch size if None.
            schedule: weights of the spectral parts of the data, refreshed wherever the grid is; uniform if None.

        Returns:
            A `CurvePrediction` with intervals of `level`.

        Raises:
            ValueError: rates that do not reach the last step or are not stable, or another batch size where the curves
                have but one.
        """
        noise = self.reach.check_batch_size(batch_size)
        if steps is None:
            if np.ndim(learning_rate) != 1:
                raise ValueError("steps is None: give the steps where the loss is wanted, or a rate for every step.")
            last = np.shape(learning_rate)[0]
            wanted = np.unique(
                np.linspace(last / min(_POINTS, last), last, min(_POINTS, last)).round().astype(np.int64)
            )
        else:
            wanted = np.atleast_1d(np.asarray(steps))
            if wanted.ndim != 1 or wanted.size == 0 or np.any(np.diff(wanted) <= 0) or wanted[0] < 0:
                raise ValueError("steps do not increase from 0 or above: give whole numbers in increasing order.")
            if np.any(np.rint(wanted) != wanted) or wanted[-1] < 1:
                raise ValueError("steps holds numbers that are not whole, or only 0: give whole numbers of steps.")
            wanted = wanted.astype(np.int64)
        rates = rates_of_steps(learning_rate, int(wanted[-1]))[: wanted[-1]]
        grid, held = refine(wanted, rates, max(float(rates.max()), 1e-300))
        unknown = np.zeros((1, wanted.size))
        one = CurveBatch(
            grid[None], held[None], np.array([noise]), np.searchsorted(grid, wanted)[None], unknown, unknown + 1
        )
        parts = predict_batch(self.law, self.point, self.covariance, self.residual, self.level, padded(one), schedule)
        loss, low, high = (part[0, : wanted.size] for part in parts)
        return CurvePrediction(wanted, loss, low, high, self.reach.warnings(rates))

    def predict_curve(self, name: str) -> CurvePrediction:
        """The prediction of one of the curves at the steps where it was measured.

        Arguments:
            name: a key of `curves`.

        Raises:
            ValueError: no such curve.
        """
        if name not in self.curves:
            raise ValueError(f"name is {name!r}, which is no curve: give one of {', '.join(self.curves)}.")
        curve = self.curves[name]
        several = len(self.reach.batch_sizes) > 1
        size = curve.batch_size if several else None
        return self.predict(curve.learning_rate, steps=curve.steps, batch_size=size)

    def best_rates(
        self,
        steps: int | None = None,
        *,
        highest: float | None = None,
        lowest: float | None = None,
        warm_up: int | None = None,
        batch_size: float | None = None,
        **options: Any,
    ) -> BestRates:
        """Learn the learning rates with the smallest predicted loss at the end of a run.

        The search is `learning.learn_control` on `problem`, which also learns batch sizes and weights.

        Arguments:
            steps: length of the run; that of the longest fitted curve if None.
            highest: largest rate; the largest that was fitted if None.
            lowest: least rate after the warm-up; the least that was fitted if None.
            warm_up: steps over which the largest rate that is allowed rises from 0 in a straight line; as many as in
                the fitted curve with the shortest warm-up if None, and no more than a quarter of the run.
            batch_size: examples in a step, as for `predict`.
            **options: passed on to `learn_control`, such as `families` and `search_steps`.

        Returns:
            A `BestRates`.

        Raises:
            ValueError: rates that hold nothing or are not stable, a warm-up as long as the run, or a batch size that
                the curves cannot tell of.
        """
        return best_rates(self, steps, highest, lowest, warm_up, batch_size, options)

    def report(self) -> str:
        """What was fitted, how well it predicts, and what it cannot tell, in lines of text."""
        lines = [f"fitted {', '.join(self.fitted)}"]
        lines += [f"  {name:18s} {value:.6g}" for name, value in self.parameters.items()]
        for title, names in (("fitted curves", self.fitted), ("held-out curves", self.hold_out)):
            if names:
                lines.append(f"mean over the {title}:")
                for law, scores in self.scores.items():
                    mean = mean_score(scores, names)
                    inside = "" if np.isnan(mean.coverage) else f"  within intervals {mean.coverage:.0%}"
                    lines.append(f"  {law:16s} MAE {mean.mae:.5f}  RMSE {mean.rmse:.5f}  R2 {mean.r2:.5f}{inside}")
        if self.cross_validation:
            lines.append("error of the log loss on fitted curves that were left out:")
            lines += [f"  {law:16s} {error:.5f}" for law, error in self.cross_validation.items()]
        lines += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fit to one .npz file, replacing it at once.

        Arguments:
            path: ending in .npz.

        Raises:
            ValueError: a path that does not end in .npz.
        """
        from ._curve_saved import write_curves

        write_curves(self, path)

    def _view(self) -> View:
        """Parameters and errors; the measured curves; points and predictions of each."""
        facts = {"fitted": ", ".join(self.fitted), "held out": ", ".join(self.hold_out) or "none"}
        facts["parameters"] = ", ".join(f"{name} {digits(value)}" for name, value in self.parameters.items())
        judged = self.hold_out or self.fitted
        errors = {law: mean_score(scores, judged).mae for law, scores in self.scores.items()}
        facts["error on held-out curves" if self.hold_out else "error on fitted curves"] = ", ".join(
            f"{law} {error:.5f}" for law, error in errors.items()
        )
        facts["warnings"] = "; ".join(self.warnings) or "none"
        arrays, coords = {}, {}
        for name, curve in self.curves.items():
            coords[f"steps_{name}"] = np.asarray(curve.steps)
            arrays[f"loss_{name}"] = ((f"steps_{name}",), np.asarray(curve.loss), f"measured loss of {name}")

        def lines() -> list[Line]:
            drawn = []
            for name, curve in self.curves.items():
                predicted = self.predict_curve(name)
                drawn.append(Line(name, np.asarray(curve.steps), np.asarray(curve.loss), points=True))
                drawn.append(
                    Line(f"{name}, predicted", predicted.steps, predicted.loss, False, predicted.low, predicted.high)
                )
            return drawn

        return View(facts, arrays, coords, lines, ("steps", "loss"), (False, False))


def load_curves(path: str | os.PathLike[str]) -> CurveFit:
    """The fit that `CurveFit.save` wrote, bit for bit.

    Arguments:
        path: of the .npz file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that holds no fit of curves, or is damaged; nothing in it is executed or unpickled.
    """
    from ._curve_saved import read_curves

    return read_curves(path)
