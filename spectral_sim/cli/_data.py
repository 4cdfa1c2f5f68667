"""Data sets as problems, and the parts of a job that are made of them."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import numpy as np

from .._types import cast_inexact
from ..assessment import Entry, Steps, default_times
from ..problems import Dataset, ModalProblem, OperatorProblem, modal_view
from ..schedules import static_weights
from ._features import Features, made_features, mapped

_LONGER = 4  # than uniform sampling takes to its lowest held-out loss, for what it learns later
_FORWARD = 1 / 3  # of the compute of a training step on the same examples


@dataclass(frozen=True)
class LearningTask:
    """A data problem and what follows from it.

    Arguments:
        problem: the problem.
        charge: time units for scoring every example once.
        steps: how steps of SGD become time.
        groups: group number of each training example, or None.
        group_names: names of the groups.
        description: of the data and the features.
        settings: for the results.
        second_features: training inputs mapped in another way, shape (examples, features).
        data: what it was made of.
        picking: mass of the held-out rows that a schedule is picked on, shape (held_out,), or None.
    """

    problem: OperatorProblem
    charge: float
    steps: Steps
    groups: np.ndarray | None
    group_names: tuple[str, ...]
    description: str
    settings: dict[str, Any]
    second_features: Callable[[Features], np.ndarray]
    data: Dataset
    picking: np.ndarray | None = None

    @functools.cached_property
    def modal(self) -> ModalProblem:
        """The spectrum of the problem."""
        return eqx.filter_jit(modal_view)(cast_inexact(self.problem, np.float64))[0]

    def default_last(self) -> float:
        """When uniform sampling has been at its lowest held-out loss for three times as long as it took to get there.

        Without held-out data, when the training loss has visibly flattened.
        """
        data = self.problem
        latest = float(default_times(self.modal)[-1])
        if data.eval_features is None or data.eval_mass is None:
            return latest
        mass, features, targets = (np.asarray(x, np.float64) for x in (data.example_mass, data.features, data.targets))
        values, vectors = np.linalg.eigh(features.T @ (mass[:, None] * features))
        values = np.maximum(values, values[-1] * 1e-14)
        drive = vectors.T @ (features.T @ (mass[:, None] * targets))
        seen, wanted = np.asarray(data.eval_features, np.float64) @ vectors, np.asarray(data.eval_targets, np.float64)
        held_out = np.asarray(data.eval_mass) if self.picking is None else np.asarray(data.eval_mass) + self.picking
        times = np.geomspace(self.steps.learning_rate, latest, 60)
        loss = [
            np.sum(held_out[:, None] * (wanted - seen @ ((-np.expm1(-values * t) / values)[:, None] * drive)) ** 2)
            for t in times
        ]
        return float(min(latest, _LONGER * times[int(np.argmin(loss))]))

    @functools.cached_property
    def reference_model(self) -> tuple[str, np.ndarray]:
        """A model of another kind, by name and features: arc-cosine ones, or RBF ones where the learner has those."""
        kernel = "rbf" if self.settings["kernel"] == "arc_cosine" else "arc_cosine"
        number = None if self.settings["method"] == "exact" else self.settings["features"]
        return {"rbf": "an RBF model", "arc_cosine": "an arc-cosine model"}[kernel], self.second_features(
            Features(kernel, None, number)
        )

    @property
    def epoch(self) -> float:
        """Time units that one pass of training over the data takes."""
        return 3 * self.charge


def learning_task(
    data: Dataset,
    features: Features,
    *,
    precision: str,
    batch_size: int,
    seed: int,
    by_group: bool = False,
    learning_rate: float | None = None,
    examples: int | None = None,
    picking: np.ndarray | None = None,
    like: "LearningTask | None" = None,
) -> LearningTask:
    """Map the inputs of a data set to features.

    Arguments:
        data: the data.
        features: how to map them.
        precision: "float32" or "float64".
        batch_size: examples per training step.
        seed: seed of landmarks and random features.
        by_group: whether weights are on groups.
        learning_rate: of SGD; if None the largest at which every direction shrinks at every step on average, without
            swinging past its end.
        examples: how many examples there are to train on, where `data` holds some of them.
        picking: which held-out examples serve for picking a schedule, shape (held_out,); they do not score it.
        like: the task of another split: same steps and price, and as many rows, those that lack having no mass.

    Raises:
        ValueError: features that do not fit the data, or weights on groups that there are none of.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: give at least 1.")
    if learning_rate is not None and not 0 < learning_rate < float("inf"):
        raise ValueError(f"learning_rate is {learning_rate:g}: give a positive number, or leave it out.")
    if by_group and data.groups is None:
        raise ValueError("weights by group need groups: name the column that holds them.")
    # features and spectrum in float64 whatever the precision of the run: whitening divides by small eigenvalues
    made = made_features(data, features, seed)
    groups = None if data.groups is None else np.unique(data.groups, return_inverse=True)[1]
    held_out: dict[str, Any] = {}
    picked: np.ndarray | None = None
    if made.held_out is not None and data.eval_targets is not None:
        parts = [made.held_out, data.eval_targets, np.ones(len(made.held_out))]
        if picking is not None:
            parts[2] = (~picking).astype(float)
            parts.append(picking.astype(float))
        if like is not None:
            assert like.problem.eval_features is not None
            parts = [_as_long(part, len(like.problem.eval_features)) for part in parts]
        names = ("eval_features", "eval_targets", "eval_mass")
        held_out = {name: part.astype(precision, copy=False) for name, part in zip(names, parts, strict=False)}
        picked = parts[3] if picking is not None else None
    train = [made.training, data.targets, np.ones(len(made.training))]
    if like is not None:
        train = [_as_long(part, like.problem.num_examples) for part in train]
        groups = None if groups is None else _as_long(groups, like.problem.num_examples, pad=int(groups[0]))
    problem = OperatorProblem(
        train[0].astype(precision, copy=False),
        train[1].astype(precision, copy=False),
        mass=train[2].astype(precision, copy=False),
        groups=groups if by_group else None,
        **held_out,
    )

    inputs = made.inputs

    def second_features(other: Features) -> np.ndarray:
        found = np.asarray(mapped(inputs, other, seed)[0](inputs)).astype(precision, copy=False)
        return found if like is None else _as_long(found, like.problem.num_examples)

    if like is not None:
        return LearningTask(
            problem, like.charge, like.steps, groups, data.group_names, "", like.settings, second_features, data, picked
        )
    kappa = float(problem.trace)
    chosen = _largest_rate(made.training, batch_size) if learning_rate is None else learning_rate
    total = len(made.training) if examples is None else examples
    steps = Steps(chosen, batch_size, total)
    charge = _FORWARD * steps.per_epoch * chosen
    count = problem.features.shape[1] - made.intercept
    num_held_out = 0 if data.eval_inputs is None else len(data.eval_inputs)
    intercept = " and an intercept" if made.intercept else ""
    of_them = "" if total == len(made.training) else f" (drawn anew for each split, of {total:,})"
    description = (
        f"{data.description} Trained on {len(made.training):,} examples{of_them}, {num_held_out:,} held out; "
        f"{made.kernel}, {count} features ({made.method}){intercept}. SGD in batches of {batch_size} at learning rate "
        f"{chosen:.3g}{' (half of where it may diverge)' if learning_rate is None else ''}, as gradient flow that "
        f"advances by the learning rate each step. Scoring all {total:,} examples once takes the compute of "
        f"{steps.per_epoch * _FORWARD:,.3g} steps."
    )
    settings = {
        "data": data.name,
        "training_examples": len(made.training),
        "examples_there_are": total,
        "held_out_examples": num_held_out,
        "outputs": list(data.target_names),
        "kernel": made.kernel.removesuffix(" kernel"),
        "bandwidth": features.bandwidth,
        "method": made.method,
        "features": count,
        "kappa": kappa,
        "batch_size": batch_size,
        "learning_rate": chosen,
        "time_per_scoring": charge,
        "dtype": precision,
        "seed": seed,
        "by_group": by_group,
    }
    if data.warnings:
        description += f" To be looked at: {'; '.join(data.warnings)}."
    return LearningTask(
        problem, charge, steps, groups, data.group_names, description, settings, second_features, data, picked
    )


def known_noise(task: LearningTask) -> list[Entry]:
    """Pruning that knows which labels are wrong, to compare with; nobody could run it. None where nothing is known."""
    wrong = task.data.mislabelled
    if wrong is None:
        return []
    if task.problem.groups is not None:
        raise ValueError("labels known to be wrong are pruned by example: leave out weights by group, or that column.")
    kept = static_weights(_as_long((~wrong).astype(np.float64), task.problem.num_examples))
    return [Entry("known wrong labels pruned", kept, is_ceiling=True)]


def _largest_rate(features: np.ndarray, batch_size: int) -> float:
    """1 / (R^2 / B + (1 - 1/B) lam_max), half of where the mean square of SGD may grow.

    One step on a batch of B draws changes E[a a^T] by -2 eta M and by at most eta^2 (R^2 / B + (1 - 1/B) lam_max) M,
    with R the longest feature and lam_max the largest eigenvalue of M = Phi^T P Phi.
    """
    largest = float(np.linalg.eigvalsh(features.T @ features / len(features))[-1])
    longest = float(np.max(np.sum(features**2, axis=1)))
    return 1 / (longest / batch_size + (1 - 1 / batch_size) * largest)


def _as_long(values: np.ndarray, length: int, pad: int = 0) -> np.ndarray:
    """The first rows, or all of them and zeros behind, so that the length is as asked for."""
    if len(values) >= length:
        return values[:length]
    return np.concatenate([values, np.full((length - len(values), *values.shape[1:]), pad, values.dtype)])
