"""What is kept of each row: numbers reduced on the device, so that memory does not grow with the number of rows."""

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from .._checks import check_finite, check_positive, nearest
from .._observation import Observation
from .._registry import register, registered
from .._types import Array, PyTree
from ..analysis import crossing_times, interpolated, line_fit, meeting
from ._metric import AbstractMetric, MemberRun, Variable, chosen_rows, chosen_window
from ._speedups import AnytimeSpeedup, NetSpeedup


@dataclasses.dataclass(frozen=True)
class FinalLoss(AbstractMetric):
    """`final_loss`: the loss at the last time."""

    def variables(self, times: np.ndarray) -> dict[str, Variable]:
        return {"final_loss": Variable(f"loss at t = {times[-1]:.4g}")}

    def __call__(self, run: MemberRun) -> dict[str, Array]:
        return {"final_loss": run.loss[-1]}


@dataclasses.dataclass(frozen=True)
class LossAt(AbstractMetric):
    """`loss_at`: the loss at chosen times.

    Arguments:
        at: times inside the refresh grid.
    """

    at: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", tuple(float(time) for time in self.at))

    def variables(self, times: np.ndarray) -> dict[str, Variable]:
        at = np.asarray(self.at)
        check_finite("at", at)
        if at.size == 0 or at.min() < 0 or at.max() > times[-1]:
            raise ValueError(f"loss_at: at = {list(self.at)}: give times between 0 and {times[-1]:.6g}.")
        return {"loss_at": Variable("loss at chosen times", ("at",), {"at": at})}

    def __call__(self, run: MemberRun) -> dict[str, Array]:
        return {"loss_at": interpolated(run.times, run.loss, np.asarray(self.at))}


@dataclasses.dataclass(frozen=True)
class LossCurve(AbstractMetric):
    """`loss`: the whole curve. Memory grows with the number of times."""

    def variables(self, times: np.ndarray) -> dict[str, Variable]:
        return {"loss": Variable("loss under the uncurated distribution", ("times",), {"times": times})}

    def __call__(self, run: MemberRun) -> dict[str, Array]:
        return {"loss": run.loss}


@dataclasses.dataclass(frozen=True)
class Exponent(AbstractMetric):
    """`exponent`, `exponent_stderr` and `exponent_drift`: the slope of log loss in a window, as `fit_exponent` fits it.

    The window is the same for every row, so nothing is refused: a curve that is no power law there shows by its drift,
    the range of the local slope relative to the slope (`fit_exponent` refuses from 0.02 on).

    Arguments:
        window: (t0, t1); the last two decades if None.
    """

    window: tuple[float, float] | None = None

    def variables(self, times: np.ndarray) -> dict[str, Variable]:
        rows = chosen_rows("exponent", self.window, times)
        where = f"from t = {times[rows[0]]:.4g} to {times[rows[-1]]:.4g}"
        return {
            "exponent": Variable(f"loss exponent {where}"),
            "exponent_stderr": Variable("standard error of the exponent"),
            "exponent_drift": Variable("range of the local exponent in the window, relative to the exponent"),
        }

    def __call__(self, run: MemberRun) -> dict[str, Array]:
        fit = line_fit(run.times, run.loss, chosen_window(self.window, run.times))
        return {"exponent": fit.exponent, "exponent_stderr": fit.stderr, "exponent_drift": fit.drift}


@dataclasses.dataclass(frozen=True)
class TimeToLoss(AbstractMetric):
    """`time_to_loss`: when the loss first reaches a target, infinite if never.

    Arguments:
        targets: positive losses.
    """

    targets: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(float(target) for target in self.targets))

    def variables(self, times: np.ndarray) -> dict[str, Variable]:
        targets = np.asarray(self.targets)
        if targets.size == 0:
            raise ValueError("time_to_loss: targets is empty: give at least one loss.")
        check_positive("targets", targets, "a loss target lies above zero")
        return {"time_to_loss": Variable("first time at or below a loss", ("target",), {"target": targets})}

    def __call__(self, run: MemberRun) -> dict[str, Array]:
        return {"time_to_loss": crossing_times(run.times, run.loss, jnp.asarray(self.targets, run.loss.dtype))}


@dataclasses.dataclass(frozen=True)
class MaxWeight(AbstractMetric):
    """`max_weight`: the largest density ratio of the run."""

    records: ClassVar[bool] = True
    weights_alone: ClassVar[bool] = True

    def variables(self, times: np.ndarray) -> dict[str, Variable]:
        return {"max_weight": Variable("largest density ratio")}

    def record(self, observation: Observation, weights: Array) -> PyTree:
        return jnp.max(weights)

    def __call__(self, run: MemberRun) -> dict[str, Array]:
        return {"max_weight": jnp.max(run.recorded)}


@dataclasses.dataclass(frozen=True)
class GainKept(AbstractMetric):
    """`gain_kept`: how much of the ideal oracle's gain over uniform sampling survives, in the logarithm of the loss.

    The mean of log(L_uniform / L) over a window of log time, over that of log(L_uniform / L_ideal): 1 is the ideal, 0
    uniform sampling. Modal problems; elsewhere the per-mode ideal is no bound.

    Arguments:
        window: (t0, t1); the last two decades if None.
    """

    window: tuple[float, float] | None = None

    def variables(self, times: np.ndarray) -> dict[str, Variable]:
        chosen_rows("gain_kept", self.window, times)
        return {"gain_kept": Variable("share of the ideal gain in log loss that survives")}

    def __call__(self, run: MemberRun) -> dict[str, Array]:
        rows = chosen_rows("gain_kept", self.window, run.times)
        gain = lambda loss: jnp.mean(jnp.log(run.uniform_loss[rows]) - jnp.log(loss[rows]))
        return {"gain_kept": gain(run.loss) / gain(run.ideal_loss)}


@dataclasses.dataclass(frozen=True)
class OverIdeal(AbstractMetric):
    """`over_ideal`: the last loss over that of the ideal oracle; on modal problems at least 1."""

    def variables(self, times: np.ndarray) -> dict[str, Variable]:
        return {"over_ideal": Variable(f"loss over the ideal oracle's at t = {times[-1]:.4g}")}

    def __call__(self, run: MemberRun) -> dict[str, Array]:
        return {"over_ideal": run.loss[-1] / run.ideal_loss[-1]}


@dataclasses.dataclass(frozen=True)
class Crossover(AbstractMetric):
    """`crossover` and `crossover_stderr`: where the ideal power law gives way to that of the row.

    Lines through the ideal oracle's loss in an early window and through the row's in a late one, as `crossover_time`.

    Arguments:
        early: (t0, t1) in which the ideal oracle's loss is a power law.
        late: (t0, t1) in which the row's is.
    """

    early: tuple[float, float]
    late: tuple[float, float]

    def variables(self, times: np.ndarray) -> dict[str, Variable]:
        chosen_rows("crossover", self.early, times)
        chosen_rows("crossover", self.late, times)
        return {
            "crossover": Variable("time at which the ideal oracle's power law and the late one meet"),
            "crossover_stderr": Variable("standard error of that time"),
        }

    def __call__(self, run: MemberRun) -> dict[str, Array]:
        ideal, own = line_fit(run.times, run.ideal_loss, self.early), line_fit(run.times, run.loss, self.late)
        log_time, error = meeting(ideal, own)
        return {"crossover": jnp.exp(log_time), "crossover_stderr": jnp.exp(log_time) * error}


METRICS: dict[str, type[AbstractMetric]] = {
    "final_loss": FinalLoss,
    "loss_at": LossAt,
    "loss": LossCurve,
    "exponent": Exponent,
    "time_to_loss": TimeToLoss,
    "speedup": AnytimeSpeedup,
    "speedup_net": NetSpeedup,
    "max_weight": MaxWeight,
    "gain_kept": GainKept,
    "over_ideal": OverIdeal,
    "crossover": Crossover,
}
"""Every shipped metric by the name of its first variable."""

for _name, _class in METRICS.items():
    register(_class, name=_name)


def as_metrics(metrics: Any, times: np.ndarray) -> tuple[AbstractMetric, ...]:
    """Names become metrics with their defaults; raises for what is no metric, or does not suit the times."""
    if isinstance(metrics, str | AbstractMetric):
        metrics = (metrics,)
    built = []
    for metric in metrics:
        if isinstance(metric, str):
            try:
                cls = registered("metric", metric)
            except LookupError as error:
                own = " One of your own goes by its name once it is decorated with @register."
                raise ValueError(f"metrics: {metric!r} is not known.{nearest(metric, METRICS)}{own}") from error
            try:
                metric = cls()
            except TypeError as error:
                made = f"{'sweeps.' if metric in METRICS else ''}{cls.__name__}(...)"
                raise ValueError(f"metrics: {metric!r} needs options: pass {made}.") from error
        if not isinstance(metric, AbstractMetric):
            raise TypeError(f"metrics: {metric!r} is no metric: give names or metrics of spectral_sim.sweeps.")
        built.append(metric)
    if not built:
        raise ValueError("metrics is empty: give at least one, such as 'final_loss'.")
    names = [name for metric in built for name in metric.variables(times)]
    for n, name in enumerate(names):
        if name in names[:n] or name in ("status", "refresh"):
            raise ValueError(f"metrics: {name!r} is given twice: a table has one column of a name.")
    return tuple(built)
