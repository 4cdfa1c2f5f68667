"""Predicted and real training side by side, and how far to trust the prediction."""

import dataclasses
from typing import Any

import numpy as np

from .._shown import Line, Shown, View
from .._trajectory import Trajectory
from ._training_scores import Agreement, speedups

_ADAPTIVE = 0.6  # of trust where steps are no multiples of gradients
_DEPTH = 0.1  # of trust lost, about, for each e-fold of the training loss
# What the scores of `Agreement` are, in its order.
_WORDS = (
    "order of the schedules (Kendall's tau)",
    "mean |log(predicted / real)| of the loss",
    "mean error of the log change against uniform",
    "regret of the choice, in the log loss",
    "speed-ups on the right side of 1",
    "median |log(predicted / real)| of speed-ups",
)


@dataclasses.dataclass(frozen=True)
class Doubts:
    """What makes a prediction by a kernel doubtful, from one uniform run.

    Arguments:
        drift: 1 - cosine between the kernel that predicts and the kernel at the end of the run.
        clock: how many times faster the run goes through the predicted training curve; 1 if it keeps its pace.
        depth: how many e-folds the training loss falls.
        adaptive: whether the steps of the optimiser are no multiples of the gradients.
    """

    drift: float
    clock: float
    depth: float
    adaptive: bool

    @property
    def trust(self) -> float:
        """A number from 0 to 1 that falls with each of them: a rule of thumb, no probability."""
        pace = min(self.clock, 1 / self.clock)
        return (1 - self.drift) * pace * (_ADAPTIVE if self.adaptive else 1) / (1 + _DEPTH * max(self.depth, 0))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class TrainingComparison(Shown):
    """What `compare_training` returns.

    Arguments:
        names: of the schedules.
        baseline: which of them is uniform training.
        real: real runs, every array with leading axes (seeds, schedules).
        predicted: predictions, every array with a leading axis `schedules`.
        scores: of the prediction against each seed, their mean.
        ceiling: of each seed against each other seed, their mean: what a perfect prediction of one run reaches. NaN
            where all seeds are the same run, since nothing is random.
        doubts: what makes the prediction doubtful.
        measure: what the loss is called.
        predictor: how it was predicted.
    """

    names: tuple[str, ...]
    baseline: str
    real: Trajectory
    predicted: Trajectory
    scores: Agreement
    ceiling: Agreement
    doubts: Doubts
    measure: str
    predictor: str

    @property
    def steps(self) -> np.ndarray:
        """The refresh grid, shape (times,)."""
        return np.asarray(self.predicted.steps)[0]

    @property
    def tau(self) -> float:
        """Kendall's tau of the last losses over schedules; see `Agreement`, as for the scores below."""
        return self.scores.tau

    @property
    def curve_error(self) -> float:
        """Mean |log(predicted / real)| of the loss."""
        return self.scores.curve_error

    @property
    def gain_error(self) -> float:
        """Mean error of the log loss ratio to uniform training at the end."""
        return self.scores.gain_error

    @property
    def regret(self) -> float:
        """Log of the real loss of the schedule predicted to be best, over the least real one."""
        return self.scores.regret

    @property
    def trust(self) -> float:
        """How far to trust the prediction on such a network: from 0 to 1, a rule of thumb; see `Doubts`."""
        return self.doubts.trust

    def table(self) -> list[dict[str, Any]]:
        """One row for each schedule, the really best first.

        `real_loss` and `predicted_loss` are those at the end; `real_spread` is the standard deviation of the log of the
        real one over seeds; gains are log ratios to uniform training, below zero where the schedule helps; speed-ups
        are over uniform training, by the best loss so far at half of the steps. Real numbers are geometric means over
        seeds.
        """
        base = self.names.index(self.baseline)
        log_real = np.log(np.asarray(self.real.loss, np.float64))
        told = np.asarray(self.predicted.loss, np.float64)
        fast_real = np.exp(np.mean([np.log(speedups(np.exp(loss), self.steps, base)) for loss in log_real], axis=0))
        fast_told = speedups(told, self.steps, base)
        last = log_real[:, :, -1]
        rows = []
        for n, name in enumerate(self.names):
            row = {
                "schedule": name,
                "real_loss": np.exp(last[:, n].mean()),
                "real_spread": last[:, n].std(ddof=1),
                "predicted_loss": told[n, -1],
                "real_gain": (last[:, n] - last[:, base]).mean(),
                "predicted_gain": np.log(told[n, -1] / told[base, -1]),
                "real_speedup": fast_real[n],
                "predicted_speedup": fast_told[n],
            }
            rows.append({key: value if key == "schedule" else float(value) for key, value in row.items()})
        return sorted(rows, key=lambda row: row["real_loss"])

    def spoken(self) -> list[tuple[str, str, str]]:
        """Each score in words, its value, and what another real run scores; empty where that is not known."""
        pairs = zip(_WORDS, self.scores, self.ceiling, strict=True)
        return [(words, f"{told:.3g}", "" if np.isnan(other) else f"{other:.3g}") for words, told, other in pairs]

    def _view(self) -> View:
        """Scores beside those of another real run; real and predicted losses; predictions as lines, runs as points."""
        real, predicted = np.asarray(self.real.loss, np.float64), np.asarray(self.predicted.loss, np.float64)
        facts = {
            "runs": f"{len(self.names)} schedules, {len(real)} real seeds, against {self.baseline}",
            "loss": self.measure,
            "predicted by": f"the {self.predictor} kernel",
        }
        facts |= {words: f"{told} (another real run {other or 'unknown'})" for words, told, other in self.spoken()}
        facts["trust"] = f"{self.trust:.2f} of 1, a rule of thumb"
        arrays = {
            "real_loss": (("seeds", "schedules", "steps"), real, "loss of real runs"),
            "predicted_loss": (("schedules", "steps"), predicted, "loss that the kernel predicts"),
        }

        def lines() -> list[Line]:
            drawn = []
            for n, name in enumerate(self.names):
                drawn.append(Line(f"{name}, predicted", self.steps, predicted[n]))
                drawn.append(Line(name, self.steps, np.exp(np.log(real[:, n]).mean(axis=0)), points=True))
            return drawn

        coords = {"schedules": np.asarray(self.names), "steps": self.steps}
        return View(facts, arrays, coords, lines, ("steps", self.measure), (False, True))
