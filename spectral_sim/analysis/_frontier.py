"""Where learning stands: resolution frontiers, and the time at which one power law gives way to another."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import ArrayLike, Float

from .._checks import check_positive
from ..problems import AbstractProblem, ModalProblem
from ..schedules import AbstractStage, stages_of
from ._exponent import ExponentFit, fit_line
from ._readings import meeting

_SAME_EXPONENT = 1e-9  # two lines fitted to the same power law differ by rounding
_LARGEST_LOG = 700.0  # exp() of more overflows


@dataclass(frozen=True)
class CrossoverTime:
    """Where two power laws meet.

    Arguments:
        value: the time at which both give the same loss.
        stderr: its standard error, from those of the two fits.
        early: exponent of the early power law.
        late: exponent of the late one.
    """

    value: float
    stderr: float
    early: ExponentFit
    late: ExponentFit


def frontier(problem: ModalProblem, log_energy: ArrayLike, threshold: float = 1.0) -> float | Float[np.ndarray, "..."]:
    """Resolution frontier k*: the number of leading modes that have been learnt.

    A mode is learnt once its residual energy has fallen by `threshold` e-folds. The frontier is interpolated in log
    index between the last of the learnt leading modes and the first that is not learnt; a mode learnt beyond a gap does
    not count. Modes without energy at the start hold nothing to learn and are skipped.

    Arguments:
        problem: what was learnt, with the `index` of each entry.
        log_energy: log E_k along a trajectory, shape (..., modes).
        threshold: e-folds of energy, positive.

    Returns:
        The frontier, shape (...) (a float for a single state), 0 before the first mode is learnt, the last index once
        every one is (a lower bound), NaN where a log energy is NaN.

    Raises:
        ValueError: a problem without modes, log energies of another number of modes, or a threshold that is not
            positive.
    """
    if not hasattr(problem, "index"):
        raise ValueError(f"problem is {type(problem).__name__}, which has no modes: the frontier needs a ModalProblem.")
    check_positive("threshold", threshold, "1 means a fall of the energy by a factor e")
    energies = np.asarray(problem.energies, dtype=np.float64)
    index = np.asarray(problem.index, dtype=np.float64)
    values = np.asarray(log_energy, dtype=np.float64)
    if values.shape[-1:] != index.shape:
        raise ValueError(
            f"log_energy has shape {values.shape} but problem has {index.size} modes: its last axis must be the modes."
        )
    active = energies > 0
    log_index = np.log(index[active])
    fall = (np.log(energies[active]) - values[..., active]).reshape(-1, log_index.size)
    learnt = fall >= threshold
    first = np.where(learnt.all(axis=1), log_index.size, np.argmin(learnt, axis=1))  # first mode not learnt
    edge = np.where(first > 0, index[active][-1], 0.0)
    rows = np.flatnonzero((first > 0) & (first < log_index.size))
    right, left = first[rows], first[rows] - 1
    part = 1 - (threshold - fall[rows, right]) / (fall[rows, left] - fall[rows, right])  # of the way to the right
    edge[rows] = np.exp(log_index[left] + part * (log_index[right] - log_index[left]))
    edge[np.isnan(fall).any(axis=1)] = np.nan
    return edge.reshape(values.shape[:-1]) if values.ndim > 1 else float(edge[0])


def teacher_frontier(problem: AbstractProblem, schedule: AbstractStage) -> float:
    """How far a model that has been trained beforehand can see, from its training as it is simulated.

    Something is known once the progress of that model has reached the stage's threshold: of a teacher half is then
    visible, and below it nothing if the sharpness is infinite. For `complement`, which has no threshold, it is a fall
    of the energy by a factor e. The gain from curation by it stops at a time of the order of frontier / trace.

    Arguments:
        problem: what is to be learnt.
        schedule: a `teacher` or a `complement` with a training time, or a chain with one; the first counts.

    Returns:
        On modes the number of leading modes that are known, interpolated as by `frontier`; on data the share of the
        examples (or groups) that are, by their mass.

    Raises:
        ValueError: no such stage, one that does not suit the problem, or a table of thresholds or training times.
    """
    models = (stage.second_model(problem) for stage in stages_of(schedule))
    trained = [model for model in models if model is not None and model.training_time is not None]
    if not trained:
        raise ValueError("the schedule has no model that is trained beforehand: give a teacher(...) or a chain of one.")
    model = trained[0]
    if model.varies:
        raise ValueError(
            "training_time or threshold is a PerRefresh table: how far a model can see is a matter of one number."
        )
    threshold = float(np.asarray(model.threshold))
    progress, modal = np.asarray(model.progress(), np.float64), problem.as_modal()
    if modal is None:
        return float(np.asarray(problem.mass, np.float64) @ (progress >= threshold))
    with np.errstate(divide="ignore"):
        log_energy = np.log(np.asarray(modal.energies, np.float64)) - 2 * progress
    return float(frontier(modal, log_energy, 2 * threshold))


def crossover_time(
    times: ArrayLike,
    loss: ArrayLike,
    early: tuple[float, float],
    late: tuple[float, float],
    *,
    early_loss: ArrayLike | None = None,
) -> CrossoverTime:
    """Time at which two power laws meet, each fitted on its own window.

    Arguments:
        times: refresh grid, shape (times,), increasing, in units of time.
        loss: the curve whose late power law is wanted, shape (times,).
        early: (t0, t1), window of the early power law.
        late: (t0, t1), window of the late one.
        early_loss: curve of the early power law on the same times, shape (times,); `loss` if None. For a capped
            schedule it is the ideal oracle's, which the capped curve follows only for a while.

    Returns:
        The time, its standard error, and the two exponents with theirs.

    Raises:
        ValueError: exponents that are equal within twice their standard error, so that the lines need not meet, or meet
            at no time a float can hold; windows and curves as in `fit_exponent`.

    Source:
        First-order propagation of the errors of level and slope, which are independent about the mean log time.
    """
    source, name = (loss, "loss") if early_loss is None else (early_loss, "early_loss")
    (first, early_line), (last, late_line) = (
        fit_line(times, source, early, (name, "early")),
        fit_line(times, loss, late, ("loss", "late")),
    )
    resolved = abs(first.value - last.value) > max(2 * math.hypot(first.stderr, last.stderr), _SAME_EXPONENT)
    meet, error = (float(number) for number in meeting(early_line, late_line))
    if not resolved or abs(meet) > _LARGEST_LOG:
        raise ValueError(
            f"early and late have exponents {first.value:.4g} +- {first.stderr:.2g} and "
            f"{last.value:.4g} +- {last.stderr:.2g}: equal within error, so their power laws meet at "
            "no definite time; choose windows on either side of the bend, or simulate longer."
        )
    value = math.exp(meet)
    return CrossoverTime(value, value * error, first, last)
