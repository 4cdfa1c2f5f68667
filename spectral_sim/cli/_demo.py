"""The demonstration: wrong labels, where curation pays; a mixture of domains, where it pays too; clean digits."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

from .._types import PerRefresh
from ..assessment import REFRESHES_PER_DECADE, Entry, default_times
from ..learning import search, terminal_log_loss
from ..problems import Dataset, digits
from ..schedules import TableSchedule, chain, clip, proportional, static_weights
from ._build import standard_entries
from ._data import LearningTask, known_noise
from ._features import Features
from ._part import Part, data_part, first_task
from ._splits import DataSplits
from ._validation import on_picking_rows, trained_on_validation

_WRONG = 0.3
_TARGET_SHARE = 0.1
_NAMES = ("random 70%", "easiest 70%", "hardest 70%", "loss-proportional", "practical oracle")
_QUANTILES, _CHANGES, _SEARCH_STEPS, _SEARCH_RATE = 16, 4, 15, 0.3
_FEW = ("random 70%", "easiest 70%", "loss-proportional")


def demo_parts(fast: bool, precision: str, batch_size: int) -> list[tuple[str, Callable[[], Part]]]:
    """Name and builder of each part; data is read when a part is built.

    A further part is one more name and builder in the list.
    """
    options = {"fast": fast, "precision": precision, "batch_size": batch_size}
    return [
        ("wrong_labels", lambda: _wrong_labels(**options)),
        ("domains", lambda: _domains(**options)),
        ("clean_digits", lambda: _clean_digits(**options)),
    ]


PARTS = tuple(name for name, _ in demo_parts(True, "float64", 1))


def _wrong_labels(**options: Any) -> Part:
    """Three tenths of the training labels are wrong; a twentieth of all rows are trusted and set aside."""
    data = digits()
    rng = np.random.default_rng(1)
    wrong = rng.random(len(data.targets)) < _WRONG
    shift = rng.integers(1, data.targets.shape[1], len(data.targets))
    labels = (data.targets.argmax(axis=1) + np.where(wrong, shift, 0)) % data.targets.shape[1]
    spoilt = dataclasses.replace(
        data,
        name="wrong_labels",
        targets=np.eye(data.targets.shape[1])[labels],
        mislabelled=wrong,
        groups=None,
        group_names=(),
        eval_groups=None,
        description=f"Handwritten digits; {wrong.sum()} of {len(wrong)} training labels are wrong, no held-out one is.",
    )
    title = f"Digits with {_WRONG:.0%} wrong labels"
    return _part("wrong_labels", title, spoilt, "fixed", known_noise, trusted=True, **options)


def _domains(**options: Any) -> Part:
    """Two domains of digits; what counts is the one that is a tenth of the training data."""
    data = digits(1500)
    assert data.eval_inputs is not None
    rng = np.random.default_rng(2)
    rare = rng.random(len(data.inputs)) < _TARGET_SHARE
    mixed = dataclasses.replace(
        data,
        name="domains",
        inputs=np.where(rare[:, None], _turned(data.inputs), data.inputs),
        eval_inputs=_turned(data.eval_inputs),
        groups=rare.astype(int),
        group_names=("upright", "turned"),
        eval_groups=np.ones(len(data.eval_inputs), int),
        description=f"Handwritten digits; {rare.sum()} of {len(rare)} training images are turned by a quarter, and so "
        "are all that are held out.",
    )

    def by_domain(task: LearningTask) -> list[Entry]:
        assert task.groups is not None
        fourfold = np.where(task.groups > 0, 4.0, 2 / 3)
        return [
            Entry("turned images 4 times", static_weights(fourfold), meaning="Turned images four times as often."),
            Entry(
                "domains by loss",
                chain(proportional(1.0), clip(0.1, 10.0)),
                task.problem.with_groups(task.groups),
                meaning="Either domain in proportion to its present mean squared error.",
            ),
        ]

    return _part("domains", "A domain that is a tenth of the data", mixed, "fixed", by_domain, **options)


def _clean_digits(**options: Any) -> Part:
    """Clean data that is all alike: little to gain."""
    return _part("clean_digits", "Clean digits", digits(), "random", lambda task: [], **options)


def _part(
    name: str,
    title: str,
    data: Dataset,
    how: Any,
    more: Callable[[LearningTask], list[Entry]],
    *,
    fast: bool,
    precision: str,
    batch_size: int,
    trusted: bool = False,
) -> Part:
    splits = DataSplits(data, how, lambda seed: data, 3 if fast else 5, 400 if fast else 10_000, 0, 0.15)
    features = Features("rbf", "nystrom", 48 if fast else 128)
    made: dict[str, Any] = {"precision": precision, "batch_size": batch_size}
    task = first_task(splits, features, **made)
    per_decade = REFRESHES_PER_DECADE // 2 if fast else REFRESHES_PER_DECADE
    times = default_times(task.modal, per_decade, task.default_last(), task.steps.learning_rate)

    learned = [] if fast or not trusted else [_learned(task, times)]
    facts = ()
    if trusted and task.picking is not None:
        facts = (trained_on_validation(task.problem, task.picking, times),)

    def entries(task: LearningTask) -> list[Entry]:
        return standard_entries(task, times, _FEW if fast else _NAMES) + more(task) + learned

    return data_part(
        name,
        splits,
        features,
        task=task,
        entries=entries,
        times=times,
        title=title,
        subject=title[0].lower() + title[1:],
        facts=facts,
        **made,
    )


def _learned(task: LearningTask, times: np.ndarray) -> Entry:
    """Weights by difficulty, found by gradients of the loss on the rows that are trusted.

    The search changes them a few times only; what is held between two changes is exact, so that it looks no closer.
    """
    changes = np.linspace(0, len(times) - 1, _CHANGES + 1).astype(int)
    begin = TableSchedule.create(task.problem, times[changes], num_basis=_QUANTILES)
    rate = optax.adam(optax.cosine_decay_schedule(_SEARCH_RATE, _SEARCH_STEPS))
    seen = on_picking_rows(task.problem, task.picking)
    objective = terminal_log_loss()
    found: Any = search(seen, begin, times[changes], objective=objective, steps=_SEARCH_STEPS, optimizer=rate).schedule
    row = np.searchsorted(changes, np.arange(len(times)), side="right") - 1
    held = PerRefresh(found.log_weights.values, jnp.asarray(row, jnp.int32))
    meaning = "By quantiles of difficulty, over time, found by gradients of the loss on trusted rows."
    return Entry("learned on trusted rows", TableSchedule(held), meaning=meaning)


def _turned(images: np.ndarray) -> np.ndarray:
    """Images turned by a quarter."""
    side = round(images.shape[1] ** 0.5)
    return np.rot90(images.reshape(-1, side, side), axes=(1, 2)).reshape(images.shape)
