"""The weights of the schedule that a comparison picked, for a data loader."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .._extras import require
from .._files import write_whole
from ..assessment import Assessment, Entry, claim, table
from ..learning import sampler_weights
from ..problems.tables import read_table
from ._data import LearningTask, learning_task
from ._features import Features
from ._part import Export
from ._splits import DataSplits

_KEY = "spectral_sim.weights"
_SHOWN = 5  # rows with the most weight, and as many with the least
_SHOWN_COLUMNS, _LONGEST = 7, 24


def exporter(
    splits: DataSplits,
    features: Features,
    again: Callable[[LearningTask, str], Sequence[Entry]],
    times: np.ndarray,
    made: dict[str, Any],
    rows_of: Callable[[np.ndarray], list[dict[str, Any]]],
) -> Export:
    """A function that runs the picked schedule on all rows that train, and writes its weights.

    Arguments:
        splits: of the data; the weights are for all rows of its training part.
        features: how inputs become features.
        again: makes the schedules of a name for a task; none for one that suits any rows as it is.
        times: refresh grid.
        made: as for `learning_task`.
        rows_of: rows of the user's data by number, as titles and values.

    Returns:
        A function that takes the comparison, its folder and its schedules, and gives back the comparison with rows of
        the most and the least weight.
    """

    def export(assessment: Assessment, folder: Path, compared: Sequence[Entry]) -> Assessment:
        numbers = table(assessment)
        picked = numbers.picked
        if picked is None or assessment.steps is None:
            return assessment
        variant = next(run.variant for run in assessment.runs if run.name == picked.name)
        rate = assessment.steps.learning_rate
        options = {**made, "learning_rate": rate}
        # what is held out has no part in the weights
        data = dataclasses.replace(splits.data, eval_inputs=None, eval_targets=None)
        task = learning_task(data, features, seed=splits.seed, **options)

        def is_picked(entry: Entry) -> bool:
            return (entry.name, entry.variant) == (picked.name, variant)

        entry = next(filter(is_picked, [*again(task, picked.name), *compared]))
        if entry.first_only and len(data.inputs) != assessment.settings["training_examples"]:
            raise ValueError(f"{entry.name} has a weight for each example of the first split, and none for others")
        own = task.problem if entry.problem is None else entry.problem
        key = jax.random.key(splits.seed if entry.seed is None else entry.seed)
        found = sampler_weights(own, entry.schedule, times, adjoint="direct", key=key, dynamics=entry.dynamics)
        rows = np.arange(len(splits.data.inputs)) if splits.data.rows is None else splits.data.rows
        about = {"schedule": entry.name, "pays": claim(picked, numbers) == "pays"}
        write_weights(folder / "weights.parquet", rows, found.weights, times[:-1] / rate, about)
        script = resources.files(__package__ or "").joinpath("_use_weights.py").read_text(encoding="utf-8")
        (folder / "use_weights.py").write_text(script, encoding="utf-8")
        mean = np.average(np.asarray(found.weights, np.float64), axis=0, weights=np.diff(times))
        order = np.argsort(-mean, kind="stable")
        shown = np.unique(np.concatenate([order[:_SHOWN], order[-_SHOWN:]]))
        shown = shown[np.argsort(-mean[shown], kind="stable")]
        examples = [
            {"row": int(row), f"mean weight ({entry.name})": f"{weight:.3g}", **values}
            for row, weight, values in zip(rows[shown], mean[shown], rows_of(rows[shown]), strict=True)
        ]
        return dataclasses.replace(assessment, examples=tuple(examples))

    return export


def rows_of_file(path: Path, target: list[str], encoding: str | None) -> Callable[[np.ndarray], list[dict[str, Any]]]:
    """Reads rows of the file as they stand there: the target and some other columns."""

    def rows_of(rows: np.ndarray) -> list[dict[str, Any]]:
        columns = read_table("path", path, encoding).columns
        names = [name.strip() for name in target if name.strip() in columns]
        names += [name for name in columns if name not in names]
        shown = {name: columns[name] for name in names[:_SHOWN_COLUMNS] if np.ndim(columns[name]) == 1}
        return [{name: _short(values[int(row)]) for name, values in shown.items()} for row in rows]

    return rows_of


def _short(value: Any) -> str:
    value = value.as_py() if hasattr(value, "as_py") else value
    text = f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def write_weights(
    path: Path, rows: np.ndarray, weights: np.ndarray, steps: np.ndarray, about: dict[str, Any] | None = None
) -> None:
    """Write probabilities of rows over steps, replacing the file at once.

    Columns: `row`, the number of the row in the user's file, counted from 0; then `from_step_N`, the probability of
    each row from step N on, float64, which sums to one. Weights that stay the same are written once.

    Arguments:
        path: of the file.
        rows: row number of each example, shape (examples,).
        weights: density ratios, shape (refreshes, examples).
        steps: step at which each refresh falls, shape (refreshes,); of those within one step the last counts.
        about: further plain values for the metadata.
    """
    pyarrow, parquet = (require(name, "weights.parquet") for name in ("pyarrow", "pyarrow.parquet"))
    order = np.argsort(rows, kind="stable")
    columns: dict[str, np.ndarray] = {"row": np.asarray(rows, np.int64)[order]}
    begins = np.ceil(np.round(steps, 6)).astype(np.int64)
    last: np.ndarray | None = None
    for number, begin in enumerate(begins):
        if number + 1 < len(begins) and begins[number + 1] == begin:
            continue
        probability = np.asarray(weights[number], np.float64)[order]
        probability = probability / probability.sum()
        if last is None or not np.array_equal(probability, last):
            columns[f"from_step_{begin}"] = last = probability
    told = json.dumps({"version": 1, "steps": [int(name[10:]) for name in columns if name != "row"], **(about or {})})
    table = pyarrow.table(columns).replace_schema_metadata({_KEY: told})
    write_whole(path, lambda aside: parquet.write_table(table, aside))
