"""The same data divided anew into what trains and what is held out, as often as a comparison asks for it."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..problems import Dataset
from ..problems.tables import repeated_rows, split_rows

_KEPT = 0.75  # of the rows of either part, where what is held out is fixed
_FEWEST = 45  # held-out rows from which on some of them serve for picking


@dataclass(frozen=True)
class DataSplits:
    """Splits of one data set.

    Arguments:
        data: as the user asked for it.
        how: "random": all rows are divided anew. "again": read anew with another seed. "fixed": what is held out was
            chosen by the user, so that three quarters of the rows of either part are drawn.
        load: reads the data with a seed, for "again".
        count: number of splits.
        most: most examples of either part that a split has.
        seed: of the splits.
        picking_share: part of the held-out rows that serves for picking a schedule, and does not score it.
    """

    data: Dataset
    how: Literal["random", "again", "fixed"]
    load: Callable[[int], Dataset]
    count: int
    most: int
    seed: int
    picking_share: float = 1 / 3

    def __post_init__(self) -> None:
        for name, value in (("splits", self.count), ("max_examples", self.most)):
            if value < 1:
                raise ValueError(f"{name} is {value}: give at least 1.")

    @property
    def overlap(self) -> float:
        """What the rows that splits share add to the variance of a mean over them; see `assessment.interval`."""
        if self.how == "fixed":  # a jackknife that leaves out a part of the rows each time
            return _KEPT / (1 - _KEPT)
        # A mean over splits varies by k / (1 - k) times the variance of one split, beyond 1 / splits of it, where k is
        # the share of all rows that is in each: of training rows as far as training varies, of held-out rows as far as
        # measuring does. Which of the two does is not known: the geometric mean.
        train, held_out = (len(part) for part in self._rows(self.dataset(0)))
        everything = sum(len(part) for part in self._rows(self.data))
        odds = [part / (everything - part) for part in (train, held_out) if 0 < part < everything]
        return float(np.prod(odds)) ** 0.5 if len(odds) == 2 else 0.0

    def dataset(self, number: int) -> Dataset:
        """The data of a split."""
        data, rng = self.data, np.random.default_rng((self.seed, number))
        if data.eval_inputs is None:
            return _reduced(data, rng.permutation(len(data.inputs))[: self.most], np.arange(0))
        if self.how == "again" and number:
            data = self.load(self.seed + number)
        if self.how == "random" and number:
            data = _divided_anew(data, self.seed + number)
        rows, held_out = self._rows(data)
        share = _KEPT if self.how == "fixed" and self.count > 1 else 1.0
        chosen = [
            rng.permutation(part)[: max(2, min(self.most, round(share * len(part))))] for part in (rows, held_out)
        ]
        if share == 1 and len(chosen[0]) == len(rows) and len(chosen[1]) == len(held_out):
            return data
        return _reduced(data, *map(np.sort, chosen))

    def picking(self, data: Dataset) -> np.ndarray | None:
        """Which held-out examples serve for picking a schedule, the same rows in all splits; None if they are few."""
        if data.eval_inputs is None or len(data.eval_inputs) < _FEWEST:
            return None
        if data.eval_rows is None:
            return np.random.default_rng(self.seed).random(len(data.eval_inputs)) < self.picking_share
        return np.random.default_rng(self.seed).random(int(data.eval_rows.max()) + 1)[data.eval_rows] < (
            self.picking_share
        )

    def _rows(self, data: Dataset) -> tuple[np.ndarray, np.ndarray]:
        return np.arange(len(data.inputs)), np.arange(0 if data.eval_inputs is None else len(data.eval_inputs))


def _divided_anew(data: Dataset, seed: int) -> Dataset:
    """All rows divided at random by class, rows with equal inputs together."""
    assert data.eval_inputs is not None
    inputs = np.concatenate([data.inputs, data.eval_inputs])
    repeats = repeated_rows([inputs])
    if len(inputs) - len(np.unique(repeats)) > len(inputs) / 2:  # as `load_table` does: they are split as they fall
        repeats = np.arange(len(inputs))
    targets = _both(data.targets, data.eval_targets)
    classes = targets.argmax(axis=1) if data.task == "classification" else None
    rows = np.arange(len(inputs))
    fraction = len(data.eval_inputs) / len(inputs)
    train, held_out = split_rows(rows, fraction, split="random", by=None, classes=classes, repeats=repeats, seed=seed)
    return _taken(data, train, held_out)


def _reduced(data: Dataset, train: np.ndarray, held_out: np.ndarray) -> Dataset:
    """Some examples of either part."""
    return _taken(data, train, len(data.inputs) + held_out)


def _taken(data: Dataset, train: np.ndarray, held_out: np.ndarray) -> Dataset:
    """Rows of both parts, one after the other, as the training and the held-out part."""
    num = len(data.inputs)
    changed: dict[str, Any] = {}
    if data.inputs_are == "gram":  # held-out rows stay held out: the kernel between them is not known
        kernel = data.inputs if data.eval_inputs is None else np.concatenate([data.inputs, data.eval_inputs])
        changed |= {"inputs": kernel[train][:, train], "eval_inputs": kernel[held_out][:, train]}
    else:
        inputs = _both(data.inputs, data.eval_inputs)
        changed |= {"inputs": inputs[train], "eval_inputs": inputs[held_out]}
    for name, other in (
        ("targets", "eval_targets"),
        ("rows", "eval_rows"),
        ("groups", "eval_groups"),
        ("mislabelled", "eval_mislabelled"),
    ):
        ours, theirs = getattr(data, name), getattr(data, other)
        if ours is not None and (theirs is not None or train.max(initial=0) < num):
            both = _both(ours, theirs)
            changed |= {name: both[train]}
            if theirs is not None:
                changed |= {other: both[held_out]}
    if not len(held_out):
        changed |= {"eval_inputs": None, "eval_targets": None}
    return dataclasses.replace(data, **changed)


def _both(ours: np.ndarray, theirs: np.ndarray | None) -> np.ndarray:
    return ours if theirs is None else np.concatenate([ours, theirs])
