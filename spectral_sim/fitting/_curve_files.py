"""Loss curves in files that training leaves behind: CSV tables, exports of trackers, trainer states, event files."""

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .._extras import require
from .._wording import option
from ._csv import read_csv
from ._curve import Curve, interpolate_rates

# Rows of one curve: step -> value, for losses and for rates.
_Values = dict[str, dict[int, float]]
_STEPS, _CURVES = ("step", "steps", "global_step"), ("curve", "run", "name")
_RATES = ("learning_rate", "lr", "rate")
_ENDS = ("__MIN", "__MAX", "_step")
_LATE = 0.02  # part of a run before the first recorded rate from which a warm-up may have been missed


def read_logs(
    path: str | Path,
    *,
    rates: str | Path | None = None,
    rate_column: str | None = None,
    loss_column: str | None = None,
) -> dict[str, Curve]:
    """Curves from a log, by name.

    A `.json` file is the `trainer_state.json` of a Trainer. A `.csv` file has a row for each measurement (columns
    `step`, `loss`, and `curve` if there are several), or is an export of Weights & Biases: `Step`, and a column
    "run - metric" for each run. A folder, or a file with "tfevents" in its name, holds TensorBoard scalars. Rates
    that were recorded now and then are joined by straight lines; a warning says where the first came late, since a
    warm-up before it would be missed.

    Arguments:
        path: the file or folder.
        rates: CSV of rates, with columns `step` and `learning_rate` (and `curve`), or an export of the rate.
        rate_column: column, key or tag of the rates in the log itself; "learning_rate" or "lr" if None.
        loss_column: column, key, metric or tag of the losses; "loss" if None.

    Raises:
        ValueError: names the file and what is wrong with it.
        FileNotFoundError: a file is missing.
        ImportError: event files without the package tensorboard.
    """
    path = Path(path)
    losses, found = _read(path, loss_column or "loss", rate_column)
    if rates is not None:
        if rate_column is not None:
            both = f"{option('rates', str(rates))} and {option('rate_column', rate_column)}"
            raise ValueError(f"{both} are both given: drop one.")
        found = read_rates(rates)
    if not losses:
        raise ValueError(f"{path.name} has no {loss_column or 'loss'!r}: name the losses by {option('loss_column')}.")
    curves = {}
    for name, points in losses.items():
        own = found.get(name) or (next(iter(found.values())) if len(found) == 1 else None)
        if not own:
            raise ValueError(
                f"{path.name} has no rates of {name!r}: give a file of rates ({option('rates')}), or the name of their "
                f"column ({option('rate_column')})."
            )
        steps = np.array(list(points))
        recorded = sorted(own)
        if recorded[-1] < steps.max():
            raise ValueError(
                f"{path.name}: rates of {name!r} end at step {recorded[-1]}, before its last loss at {steps.max()}: "
                "give rates up to the last step."
            )
        if recorded[0] > max(1, _LATE * recorded[-1]):
            warnings.warn(
                f"{path.name}: rates of {name!r} begin at step {recorded[0]}; the first is taken for all steps before. "
                "If there was a warm-up, give a file of rates that begins at step 1.",
                stacklevel=2,
            )
        try:
            rate = interpolate_rates(recorded, [own[step] for step in recorded])
            curves[name] = Curve(steps, np.array(list(points.values())), rate)
        except ValueError as error:
            raise ValueError(f"{path.name}, curve {name!r}: {error}") from error
    return curves


def read_rates(path: str | Path) -> dict[str, dict[int, float]]:
    """Recorded rates of a CSV: step -> rate for each curve; the name is empty where there is no column of curves.

    Arguments:
        path: of the file, with the columns step and learning_rate, and one of curves if there are several.

    Raises:
        ValueError: a table without these columns, or of other than numbers.
    """
    path = Path(path)
    values, _ = _table(path, None, None)
    return values


def _read(path: Path, loss: str, rate: str | None) -> tuple[_Values, _Values]:
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: check the name.")
    if path.is_dir() or "tfevents" in path.name:
        return _events(path, loss, rate)
    if path.suffix == ".json":
        return _trainer_state(path, loss, rate or "learning_rate")
    return _table(path, loss, rate)


def _trainer_state(path: Path, loss: str, rate: str) -> tuple[_Values, _Values]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["log_history"]
        rows = [(int(entry["step"]), entry) for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name} is no trainer_state.json: it has no log_history of steps.") from error
    name = path.parent.name if path.stem == "trainer_state" and path.parent.name else path.stem
    parts = []
    for key in (loss, rate):
        parts.append({step: _number(path, key, entry[key]) for step, entry in rows if key in entry})
    return ({name: parts[0]} if parts[0] else {}), ({name: parts[1]} if parts[1] else {})


def _events(path: Path, loss: str, rate: str | None) -> tuple[_Values, _Values]:
    module = require(
        "tensorboard.backend.event_processing.event_accumulator", "reading event files", "pip install tensorboard"
    )
    files = [path] if path.is_file() else sorted({file.parent for file in path.rglob("*tfevents*")})
    if not files:
        raise ValueError(f"{path} holds no event files: name a folder of TensorBoard.")
    losses, rates = {}, {}
    for file in files:
        reader = module.EventAccumulator(str(file), size_guidance={module.SCALARS: 0})
        reader.Reload()
        tags = reader.Tags()["scalars"]
        name = file.name if file.is_dir() else file.parent.name or file.name
        for wanted, into in (((loss,), losses), ((rate,) if rate else _RATES, rates)):
            tag = next((tag for tag in tags if tag in wanted or tag.rsplit("/", 1)[-1] in wanted), None)
            if tag is not None:
                into[name] = {event.step: float(event.value) for event in reader.Scalars(tag)}
    return losses, rates


def _table(path: Path, loss: str | None, rate: str | None) -> tuple[_Values, _Values]:
    """Losses and rates of a CSV; with no name of losses, its rates twice."""
    header, rows = read_csv(path)
    lower = [name.lower() for name in header]
    clock = next((lower.index(name) for name in _STEPS if name in lower), None)
    if clock is None:
        raise ValueError(f"{path.name} has no column 'step': its columns are {', '.join(header) or 'missing'}.")
    wide = [n for n, name in enumerate(header) if " - " in name and not name.endswith(_ENDS)]
    rate_names = (rate.lower(),) if rate else _RATES
    if wide:
        losses = _wide(path, header, rows, clock, wide, loss.lower() if loss else None)
        rates = _wide(path, header, rows, clock, wide, *rate_names)
        return (rates if loss is None else losses), rates
    label = next((lower.index(name) for name in _CURVES if name in lower), None)
    parts = []
    for names in ((loss.lower(),) if loss else rate_names, rate_names):
        column = next((lower.index(name) for name in names if name in lower), None)
        if column is None and rate and names == rate_names:
            raise ValueError(f"{path.name} has no column {rate!r}: its columns are {', '.join(header)}.")
        parts.append({} if column is None else _long(path, header, rows, clock, label, column))
    if loss is None and not parts[1]:
        raise ValueError(f"{path.name} has no column 'learning_rate': its columns are {', '.join(header)}.")
    return parts[0], parts[1]


def _long(path: Path, header: list[str], rows: list, clock: int, label: int | None, column: int) -> _Values:
    found: _Values = {}
    for number, row in enumerate(rows, 2):
        if not row[column]:
            continue  # trackers leave cells empty where a value was not recorded
        where = f"{header[column]}, line {number}"
        name = path.stem if label is None else row[label]
        _put(path, found.setdefault(name, {}), row[clock], row[column], where)
    return found


def _wide(path: Path, header: list[str], rows: list, clock: int, wide: list[int], *metrics: str | None) -> _Values:
    """Columns "run - metric" whose metric, or its last part, is one of those wanted."""
    found: _Values = {}
    for column in wide:
        run, metric = header[column].rsplit(" - ", 1)
        if metric.lower() in metrics or metric.lower().rsplit("/", 1)[-1] in metrics:
            if run in found:
                raise ValueError(f"{path.name} has two columns of {run!r} for {metric!r}: name one in full.")
            found[run] = {}
            for number, row in enumerate(rows, 2):
                if row[column]:
                    _put(path, found[run], row[clock], row[column], f"{header[column]}, line {number}")
    return found


def _put(path: Path, values: dict[int, float], step: str, value: str, where: str) -> None:
    number = _number(path, f"step, {where}", step)
    if not math.isfinite(number) or number != int(number):
        raise ValueError(f"{path.name}: step, {where} is {step!r}: give a whole number.")
    if int(number) in values:
        raise ValueError(f"{path.name}: {where} repeats step {int(number)}: give each step once, or name the curves.")
    values[int(number)] = _number(path, where, value)


def _number(path: Path, where: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path.name}: {where} is {value!r}, which is no number.") from error
