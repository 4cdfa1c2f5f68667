"""Data sets from the user's own files: a reader for each format, then one path for all of them."""

import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from .._checks import check_length, check_ndim, nearest
from ._datasets import MIN_EXAMPLES, Dataset, number_groups, require_extra, split, standardise

__all__ = ["load_table"]

_MAX_LEVELS = 20  # most values of a whole-number target that are classes, and of a text input that become columns
_INPUT_NAMES = ("X", "inputs")


@dataclass
class _Table:
    """What a file holds, before anything is computed from it. Arrays hold numbers, booleans or text."""

    inputs: np.ndarray  # (examples, dimensions), numbers
    input_names: list[str]
    targets: np.ndarray  # (examples, outputs)
    target_names: list[str]
    groups: np.ndarray | None  # (examples,)


def load_table(
    path: str | Path,
    target: str | Path | Sequence[str],
    *,
    group: str | Path | None = None,
    features: str | Sequence[str] | None = None,
    eval_fraction: float = 0.25,
    seed: int = 0,
) -> Dataset:
    """Read inputs and targets from a file, hold a part out and standardise by the statistics of the training part.

    One target of text, of booleans, or of whole numbers with at most 20 different values is classification: one-hot,
    classes in sorted order. Other targets are regression: standardised numbers. Inputs are standardised too; those that
    are constant in the training part are dropped, and the description says which.

    Arguments:
        path: file to read. `.csv` and `.parquet`: one row for each example; text columns become one-hot inputs if they
            have at most 20 levels; a column without a name (saved row numbers) is left out. `.npz`: arrays by name.
            `.npy`: the inputs, shape (examples, dimensions).
        target: column of the targets, or several columns of numbers; for `.npz` the name of an array, for `.npy` the
            path of another `.npy`, shape (examples,) or (examples, outputs).
        group: column, array or `.npy` path with the group of each example; it is not an input.
        features: columns to use as inputs, by default all that remain; for `.npz` the array of inputs, by default "X",
            "inputs" or the only other one with two axes.
        eval_fraction: fraction of examples held out, in [0, 1); 0 for none.
        seed: seed of the split.

    Returns:
        The data; its groups are the group values found in the training part, in sorted order.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is empty, damaged or of unknown type, an unknown name, a value that is missing, infinite
            or no number, a constant target, unequal lengths, or fewer than 8 examples.
        ImportError: pandas or pyarrow is not installed (`.csv` and `.parquet` only).
    """
    if not 0 <= eval_fraction < 1:
        raise ValueError(f"eval_fraction={eval_fraction!r} is not possible: give a fraction in [0, 1), 0 for none.")
    readers = {".csv": _read_frame, ".parquet": _read_frame, ".npz": _read_npz, ".npy": _read_npy}
    path = _check_path("path", path, readers)
    table = readers[path.suffix.lower()](path, target, group, features)
    _check_finite("features", table.inputs, table.input_names)
    _check_finite("target", table.targets, table.target_names)
    if table.groups is not None:
        _check_finite("group", table.groups[:, None], [str(group)])
    _check_varies(table, table.targets, "there is nothing to learn; choose another")
    num_train = len(table.inputs) - round(eval_fraction * len(table.inputs))
    if num_train < 2:
        raise ValueError(f"eval_fraction={eval_fraction} leaves {num_train} of {len(table.inputs)} rows: lower it.")
    return _to_dataset(path, table, num_train, seed)


def _to_dataset(path: Path, table: _Table, num_train: int, seed: int) -> Dataset:
    targets, target_names, is_classes = _encode_targets(table)
    groups = np.zeros(len(targets), int) if table.groups is None else table.groups
    train, held_out = split(table.inputs, targets, table.targets, groups, num_train=num_train, seed=seed)
    _check_varies(table, train[2], "which leaves nothing to learn in the training part; change seed or eval_fraction")
    varies = np.ptp(train[0], axis=0) > 0
    if not varies.any():
        raise ValueError(f"features: every input column of {path.name} is constant; give columns that vary.")
    inputs, eval_inputs, _, _ = standardise(train[0][:, varies], held_out[0][:, varies])
    notes = [
        f"{path.name}: {num_train} training and {len(eval_inputs)} held-out examples",
        f"{inputs.shape[1]} inputs, standardised on the training part",
    ]
    if is_classes:
        targets, eval_targets = train[1], held_out[1]
        notes.append(f"target {table.target_names[0]}: {len(target_names)} classes, one-hot")
    else:
        targets, eval_targets, mean, deviation = standardise(train[1], held_out[1])
        for name, m, s in zip(target_names, mean, deviation, strict=True):
            notes.append(f"target {name}: standardised (mean {m:.6g}, standard deviation {s:.6g})")
    if not varies.all():
        dropped = [name for name, kept in zip(table.input_names, varies, strict=True) if not kept]
        notes.append(f"constant inputs dropped: {', '.join(dropped)}")
    numbers, group_names = (None, ()) if table.groups is None else number_groups(train[3])
    return Dataset(
        name=path.stem,
        inputs=inputs,
        targets=targets,
        target_names=tuple(target_names),
        task="classification" if is_classes else "regression",
        groups=numbers,
        group_names=group_names,
        eval_inputs=eval_inputs if len(eval_inputs) else None,
        eval_targets=eval_targets if len(eval_inputs) else None,
        description="; ".join(notes) + ".",
    )


def _encode_targets(table: _Table) -> tuple[np.ndarray, list[str], bool]:
    """Targets as numbers, the name of each column, and whether they are classes."""
    targets, kind = table.targets, table.targets.dtype.kind
    if targets.shape[1] > 1 or kind == "f":
        return targets.astype(np.float64), table.target_names, False
    classes, numbers = np.unique(targets[:, 0], return_inverse=True)
    if kind in "iu" and len(classes) > _MAX_LEVELS:
        return targets.astype(np.float64), table.target_names, False
    doubt = _doubtful_text(targets[:, 0]) if len(classes) > _MAX_LEVELS else ""
    if doubt:  # one stray entry turns a column of numbers into text, hence into as many classes as values
        raise ValueError(
            f"target: {table.target_names[0]!r} is text with {len(classes)} different values{doubt}: make all of them "
            "numbers, or name another column."
        )
    return np.eye(len(classes))[numbers], [str(name) for name in classes], True


def _read_frame(path: Path, target: Any, group: Any, features: Any) -> _Table:
    """Columns of a `.csv` or `.parquet` file."""
    kind = path.suffix.lower()
    pandas = require_extra("pandas", f"reading {kind}")
    if kind == ".parquet":
        require_extra("pyarrow", f"reading {kind}")
    try:
        frame = pandas.read_csv(path, low_memory=False) if kind == ".csv" else pandas.read_parquet(path)
    except (ValueError, OSError) as error:
        raise ValueError(f"path={str(path)!r} is empty, damaged or no {kind} file: {error}; write it again.") from error
    if kind == ".csv" and not isinstance(frame.index, pandas.RangeIndex):  # pandas would shift every name by one
        raise ValueError(f"path={str(path)!r} has more values in a row than names in the header; make them equal.")
    frame.columns = [str(name) for name in frame.columns]
    _check_rows(path, len(frame))
    targets, groups, chosen = _as_names(target), _as_names(group), _as_names(features)
    for argument, names in (("target", targets), ("group", groups), ("features", chosen)):
        for name in names:
            _check_name(argument, name, frame.columns, path)
    if features is None:
        used = {*targets, *groups}
        # pandas calls a column of a .csv without a name "Unnamed: 0"
        chosen = [name for name in frame.columns if name not in used and not name.startswith("Unnamed: ")]
    elif set(chosen) & set(targets):
        raise ValueError(f"features holds the target {sorted(set(chosen) & set(targets))[0]!r}: take it out.")
    if not chosen or not targets:
        raise ValueError(f"{'features' if targets else 'target'} is left without a column of {path.name}; name one.")
    inputs, input_names = [], []
    for name in chosen:
        values = _series_values("features", frame[name])
        columns, names = _one_hot_input(name, values) if values.dtype.kind == "U" else (values[:, None], [name])
        inputs.append(columns)
        input_names += names
    return _Table(
        inputs=np.concatenate(inputs, axis=1).astype(np.float64),
        input_names=input_names,
        targets=_stack_targets([_series_values("target", frame[name]) for name in targets], targets),
        target_names=targets,
        groups=None if group is None else _series_values("group", frame[str(group)]),
    )


def _as_names(names: str | Path | Sequence[str] | None) -> list[str]:
    if names is None:
        return []
    return [str(names)] if isinstance(names, str | Path) else list(names)


def _series_values(argument: str, series: Any) -> np.ndarray:
    """A column of a frame as numbers, booleans or text; categories and dates are text."""
    missing = series.isna().to_numpy()
    if missing.any():
        _raise_value(argument, int(np.argmax(missing)), series.name, "missing or NaN")
    types = {"b": np.bool_, "i": np.int64, "u": np.uint64, "f": np.float64}
    if series.dtype.kind in types:
        return series.to_numpy(dtype=types[series.dtype.kind])
    return series.astype(str).to_numpy(dtype=np.str_)


def _one_hot_input(name: str, values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    levels, numbers = np.unique(values, return_inverse=True)
    if len(levels) > _MAX_LEVELS:
        raise ValueError(
            f"features: column {name!r} is text with {len(levels)} levels{_doubtful_text(values)}, more than the "
            f"{_MAX_LEVELS} that become one-hot inputs: make it numbers, or leave it out with features=[...]."
        )
    return np.eye(len(levels))[numbers], [f"{name}={level}" for level in levels]


def _read_npz(path: Path, target: Any, group: Any, features: Any) -> _Table:
    """Arrays of a `.npz` file."""
    if not isinstance(target, str) or not isinstance(features, str | None):
        raise ValueError(f"target={target!r}, features={features!r}: for .npz each is the name of one array.")
    archive = _read_numpy("path", path.name, lambda: np.load(path, allow_pickle=False))
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError(f"path={str(path)!r} is not an archive of arrays: write it with numpy.savez.")
    with archive:
        for argument, name in (("target", target), ("group", group), ("features", features)):
            if name is not None:
                _check_name(argument, name, archive.files, path)

        def read(name: str) -> np.ndarray:
            return _read_numpy("path", f"array {name!r} of {path.name}", lambda: archive[name])

        if features is None:
            others = [name for name in archive.files if name not in (target, group)]
            named = [name for name in _INPUT_NAMES if name in others] or [n for n in others if read(n).ndim == 2]
            if len(named) != 1:
                raise ValueError(f"features is None but {path.name} could mean any of {named}: name one array.")
            features = named[0]
        groups = None if group is None else read(str(group))
        return _from_arrays(path, (features, read(features)), (target, read(target)), groups)


def _read_npy(path: Path, target: Any, group: Any, features: Any) -> _Table:
    """Inputs, targets and groups, each from a `.npy` file of its own."""
    if features is not None:
        raise ValueError(f"features={features!r}: a .npy file has no names; leave features out.")
    arrays = []
    for argument, source in (("path", path), ("target", target), ("group", group)):
        if source is None:
            arrays.append(None)
            continue
        file = _check_path(argument, source, [".npy"])
        array = _read_numpy(argument, file.name, lambda file=file: np.load(file, allow_pickle=False))
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{argument}={str(file)!r} is not one array: write it with numpy.save.")
        arrays.append(array)
    return _from_arrays(path, (path.name, arrays[0]), (Path(target).name, arrays[1]), arrays[2])


def _from_arrays(path: Path, inputs: Any, targets: Any, groups: np.ndarray | None) -> _Table:
    (input_name, x), (target_name, y) = inputs, targets
    check_ndim("features", x, 2, "examples, dimensions")
    if x.dtype.kind not in "biuf":
        raise ValueError(f"features: {input_name} has dtype {x.dtype}; give numbers.")
    _check_rows(path, len(x))
    y = y[:, None] if y.ndim == 1 else y
    check_ndim("target", y, 2, "examples, outputs")
    check_length("target", y, len(x), f"{input_name} with {len(x)} rows")
    if groups is not None:
        check_ndim("group", groups, 1, "examples")
        check_length("group", groups, len(x), f"{input_name} with {len(x)} rows")
    names = [target_name] if y.shape[1] == 1 else [f"{target_name}[{j}]" for j in range(y.shape[1])]
    return _Table(
        inputs=x.astype(np.float64),
        input_names=[f"{input_name}[{j}]" for j in range(x.shape[1])],
        targets=_stack_targets([_text_or_numbers("target", column) for column in y.T], names),
        target_names=names,
        groups=None if groups is None else _text_or_numbers("group", groups),
    )


def _text_or_numbers(argument: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "biufSU":
        raise ValueError(f"{argument} has dtype {values.dtype}: give numbers, booleans or text.")
    return values.astype(np.str_) if values.dtype.kind == "S" else values


def _stack_targets(columns: list[np.ndarray], names: list[str]) -> np.ndarray:
    if len(columns) == 1:
        return columns[0][:, None]
    for name, values in zip(names, columns, strict=True):
        if values.dtype.kind == "U":
            raise ValueError(
                f"target: {name!r} is text, but several targets must all be numbers; name one for classes."
            )
    return np.column_stack(columns).astype(np.float64)


def _read_numpy(argument: str, what: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if "Object arrays" in str(error):  # unpickling one could run any code
            fix = "is an object array, which is never unpickled; save it as numbers or text, e.g. array.astype(float)"
        else:
            fix = f"is empty, damaged or no NumPy file ({error}); save it again"
        raise ValueError(f"{argument}: {what} {fix}.") from error


def _check_path(argument: str, path: str | Path, suffixes: Iterable[str]) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{argument}={str(path)!r} is not a file: check the name and the folder.")
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"{argument}={str(path)!r} has an unknown suffix.{nearest(path.suffix.lower(), suffixes)}")
    return path


def _check_rows(path: Path, num_rows: int) -> None:
    if num_rows < MIN_EXAMPLES:
        raise ValueError(f"path={str(path)!r} has {num_rows} rows of data: give at least {MIN_EXAMPLES}.")


def _check_name(argument: str, name: str, valid: Iterable[str], path: Path) -> None:
    if name not in valid:
        raise ValueError(f"{argument}={name!r} is not in {path.name}.{nearest(str(name), valid)}")


def _check_finite(argument: str, values: np.ndarray, names: list[str]) -> None:
    """Raise on the first NaN or infinity, by row and column; text has none."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        _raise_value(argument, row, names[column], str(values[row, column]))


def _raise_value(argument: str, row: int, column: Any, value: str) -> NoReturn:
    raise ValueError(
        f"{argument}: row {row} (the first is 0), column {column!r} is {value}: remove the row or fill in the value."
    )


def _check_varies(table: _Table, targets: np.ndarray, consequence: str) -> None:
    constant = (targets == targets[0]).all(axis=0)
    if constant.any():
        j = int(np.argmax(constant))
        raise ValueError(f"target: {table.target_names[j]!r} is constant ({targets[0, j]}): {consequence}.")


def _doubtful_text(values: np.ndarray) -> str:
    """What is odd about text that partly or wholly reads as numbers; empty where none of it does."""
    odd = [row for row, value in enumerate(values) if not _is_number(value)]
    if len(odd) == len(values):
        return ""
    return f" (row {odd[0]}, the first being 0, is {str(values[odd[0]])!r} among numbers)" if odd else " (all numbers)"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
