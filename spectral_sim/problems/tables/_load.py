"""From a file of the user's to a data set: every step in order."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ..._checks import check_choice
from ..._wording import option
from .._datasets import MIN_EXAMPLES, Dataset, number_groups, standardise_columns
from ._column import Column, column_of
from ._doubts import check_groups, restatements
from ._evaluation import Evaluation
from ._inputs import Piece, encode, join
from ._missing import MissingPolicy, check_have_values, complete_rows
from ._read_file import RawTable, one_table, read_table
from ._read_numpy import read_features, read_gram
from ._roles import Roles, assign_roles
from ._split import Split, repeated_rows
from ._targets import Targets, read_targets

_MAX_GROUPS = 20  # most levels of a column that is offered as groups
_WRONG = {"true": True, "1": True, "yes": True, "wrong": True, "false": False, "0": False, "no": False, "right": False}


def load_table(
    path: str | Path,
    target: str | Path | Sequence[str],
    *,
    group: str | Path | None = None,
    inputs: str | Sequence[str] | None = None,
    drop: str | Sequence[str] | None = None,
    missing: MissingPolicy = "error",
    task: Literal["auto", "regression", "classification"] = "auto",
    standardise: bool = True,
    eval: str | Path | None = None,
    eval_where: str | None = None,
    eval_fraction: float | None = None,
    split: Split = "random",
    split_by: str | None = None,
    features_from: str | Path | None = None,
    gram: str | Path | None = None,
    noise_column: str | None = None,
    encoding: str | None = None,
    seed: int = 0,
) -> Dataset:
    """Read inputs and targets from a file, hold a part out and standardise by the statistics of the training part.

    Targets. One target of text, of booleans, or of whole numbers with at most 20 different values is classification:
    one-hot, classes in sorted order. Other targets are regression: standardised numbers. More than 50 classes need
    `task="classification"`.

    Inputs. Numbers, booleans and dates (as days) are one input each. Text with at most 50 levels becomes one column for
    each level; text with more is hashed into 32 columns of plus or minus one, by the text alone. Lists of numbers are
    blocks: their entries get mean zero and one common scale, so that the shape of an embedding stays. Columns that only
    name rows (text that differs in most rows, row numbers, whole numbers called `id` and different in every row) and
    columns without a value are dropped. The notes of the result say what was done with each.

    Values. Cells and header are stripped. Empty cells and `nan`, `NA`, `N/A`, `null`, `?` in any case are missing; so
    are `none`, `-`, `.`, `missing` and `unknown` where all other values of the column are numbers.

    Arguments:
        path: file to read. `.csv` and `.tsv` (any separator; also `.gz` and `.zst`), `.jsonl`, `.parquet`, `.arrow`,
            `.feather`, or a folder that the `datasets` package saved: one row for each example. `.npz`: arrays by
            name. `.npy`: the inputs, shape (examples, dimensions), each column an input of its own.
        target: column of the targets, or several columns of numbers; for `.npy` the path of another `.npy`, shape
            (examples,) or (examples, outputs).
        group: column, array or `.npy` path with the group of each example; it is not an input.
        inputs: columns to use as inputs, by default all that remain; for `.npz` the array of inputs, by default "X",
            "inputs" or the only other one with two axes.
        drop: columns to leave out.
        missing: "error"; "drop" leaves out rows with a missing value; "mean" fills numbers with the mean of the
            training part and adds an input that says where, and leaves out rows without a target.
        task: "regression" or "classification" overrides the guess.
        standardise: False leaves inputs as they are; right for embeddings in `.npy` and `.npz` files.
        eval: file of the same columns to hold out, whole; training rows that repeat the inputs of one of its rows are
            left out.
        eval_where: "COLUMN=VALUE": rows to hold out, such as a target domain. The column is no input.
        eval_fraction: fraction of examples held out, in [0, 1); 0 for none; 0.25 if None.
        split: "random", by class for classification, with rows of equal inputs together; "group" holds out whole groups
            of `split_by` (by default `group`); "time" holds out the latest by `split_by`.
        split_by: column that the split goes by; it is no input unless it is named as one.
        features_from: `.npy` with features of each row, shape (rows, features), used as they are instead of inputs; the
            rows of `eval` follow those of `path`.
        gram: `.npy` with the kernel between all rows, shape (rows, rows), instead of inputs; rows as above.
        noise_column: column that is true where a label is known to be wrong. It is no input, and serves for comparison
            with pruning that knows it.
        encoding: of a text file, such as "latin-1"; UTF-8, or UTF-16 by its byte order mark, if None.
        seed: seed of the split.

    Returns:
        The data; its groups are the group values found in the training part, in sorted order.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is empty, damaged or of unknown type, an unknown name, a missing value under "error", a
            constant target, unequal lengths, or fewer than 8 examples.
        ImportError: pandas or pyarrow is not installed (all but `.npz` and `.npy`).
    """
    check_choice(option("missing"), missing, ("error", "drop", "mean"))
    check_choice(option("task"), task, ("auto", "regression", "classification"))
    evaluation = Evaluation.checked(eval, eval_where, eval_fraction, split, split_by, group, seed)
    if features_from is not None and gram is not None:
        raise ValueError(f"{option('features_from')} and {option('gram')} are both given: drop one.")
    path = Path(path)
    if eval is not None and path.suffix.lower() == ".npy":
        raise ValueError(f"{option('eval', str(eval))}: a .npy file has no names; put the arrays in .npz files.")
    table = read_table("path", path, encoding)
    if table.length < MIN_EXAMPLES:
        raise ValueError(f"{table.name} has {table.length} rows of data: give at least {MIN_EXAMPLES}.")
    roles = assign_roles(
        table,
        path,
        target,
        group=group,
        inputs=inputs,
        drop=drop,
        noise_column=noise_column,
        split_by=evaluation.split_by,
        eval_column=None if evaluation.where is None else evaluation.where[0],
        own_features=features_from is not None or gram is not None,
    )
    num_own = table.length
    if eval is not None:
        table = one_table(table, read_table("eval", eval, encoding), roles.all())
    own = None
    if features_from is not None:
        own = read_features(features_from, table.length)
    elif gram is not None:
        own = read_gram(gram, table.length)

    notes: list[str] = []
    warnings = [*roles.warnings]
    columns = _columns(table, roles.all(), num_own)
    for name in roles.others():
        if columns[name].kind == "block":
            raise ValueError(f"column {name!r} holds rows of numbers: groups, noise and splits go by one value a row.")
    target_columns = [columns[name] for name in roles.targets]
    check_have_values(target_columns)
    pieces = _pieces(columns, roles, notes) if own is None else []
    kept = complete_rows(
        target_columns,
        [columns[name] for name in roles.others()],
        [columns[piece.column] for piece in pieces],
        missing,
        notes,
    )
    rows = np.flatnonzero(kept)
    if len(rows) < MIN_EXAMPLES:
        raise ValueError(
            f"{option('missing', missing)} leaves {len(rows)} of {table.length} rows, and at least {MIN_EXAMPLES} are "
            f"needed: leave columns with many gaps out with {option('drop')}."
        )
    targets = read_targets(target_columns, task, kept, notes, warnings)
    repeats = _repeats(pieces, own if gram is None else None, rows)
    train, held_out = evaluation.divide(lambda name: columns[name], rows, targets, repeats, num_own, notes)
    warnings += restatements([columns[piece.column] for piece in pieces], targets, kept)

    values, eval_values, target_names = _target_values(targets, train, held_out, notes, warnings)
    if own is None:
        features, eval_features, names = join(pieces, train, held_out, standardise=standardise, notes=notes)
        scale = ", standardised on the training part" if standardise else ", as they are"
        notes.insert(0, f"{len(names)} inputs{scale}")
    else:
        seen = slice(None) if gram is None else train
        features, eval_features = own[train][:, seen], own[held_out][:, seen]
        notes.insert(0, f"features from {Path(str(features_from or gram)).name}, as they are")
    groups, eval_groups, group_names = None, None, ()
    if roles.group is not None:
        codes, levels = columns[roles.group].codes()
        warnings += check_groups(roles.group, codes, roles.targets, targets, kept)
        groups, _ = number_groups(codes[train])
        present = np.unique(codes[train])
        group_names = tuple(levels[code] for code in present)
        place = np.minimum(np.searchsorted(present, codes[held_out]), len(present) - 1)
        eval_groups = np.where(present[place] == codes[held_out], place, -1)
    wrong = None if roles.noise is None else _noise(columns[roles.noise], train, notes)
    notes.insert(0, f"{path.name}: {len(train)} training and {len(held_out)} held-out examples")
    return Dataset(
        name=path.name.split(".")[0] or path.name,
        inputs=features,
        targets=values,
        target_names=target_names,
        task=targets.task,
        groups=groups,
        group_names=group_names,
        eval_inputs=eval_features if len(held_out) else None,
        eval_targets=eval_values if len(held_out) else None,
        description="; ".join(notes) + ".",
        notes=tuple(notes),
        warnings=tuple(warnings),
        rows=train,
        eval_rows=held_out if eval is None else held_out - num_own,
        mislabelled=None if wrong is None else wrong[train],
        eval_groups=eval_groups,
        eval_mislabelled=None if wrong is None else wrong[held_out],
        inputs_are="inputs" if own is None else "features" if gram is None else "gram",
    )


def _columns(table: RawTable, names: list[str], num_own: int) -> dict[str, Column]:
    """What each used column holds; all of one length."""
    columns = {name: column_of(name, table.columns[name]) for name in names}
    for name, column in columns.items():
        if len(column.values) != table.length:
            raise ValueError(
                f"array {name!r} has {len(column.values)} rows but {table.name} has {table.length}: give arrays with "
                "the same leading axis."
            )
    return columns


def _pieces(columns: dict[str, Column], roles: Roles, notes: list[str]) -> list[Piece]:
    pieces = [encode(columns[name], roles.chosen, notes) for name in roles.inputs]
    found = [piece for piece in pieces if piece is not None]
    few = [columns[piece.column] for piece in found]
    few = [column.name for column in few if column.kind == "text" and 1 < len(column.levels) <= _MAX_GROUPS]
    if few and roles.group is None:
        notes.append(f"{' and '.join(map(repr, few[:3]))} could serve as groups: {option('group', few[0])}")
    if not found:
        raise ValueError(f"no column is left as an input: {'; '.join(notes)}; name them with {option('inputs')}.")
    return found


def _repeats(pieces: list[Piece], own: np.ndarray | None, rows: np.ndarray) -> np.ndarray:
    if not pieces and own is None:  # a Gram matrix does not say which rows are equal
        return np.arange(len(rows))
    return repeated_rows([own[rows]] if own is not None else [piece.values[rows] for piece in pieces])


def _target_values(
    targets: Targets, train: np.ndarray, held_out: np.ndarray, notes: list[str], warnings: list[str]
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Targets of both parts; numbers are standardised by the training part."""
    values, eval_values = targets.outputs(train), targets.outputs(held_out)
    constant = np.array([len(np.unique(column)) == 1 for column in values.T])
    if targets.task == "classification":
        if constant.all():
            name = targets.names[int(np.argmax(values[0]))]
            raise ValueError(f"target: all training rows are of class {name!r}; hold out other rows.")
        unseen = [name for name, empty in zip(targets.names, values.max(axis=0) == 0, strict=True) if empty]
        if unseen:
            warnings.append(f"no training row is of class {', '.join(map(repr, unseen))}: it cannot be learned")
        return values, eval_values, targets.names
    if constant.any():
        name = targets.names[int(np.argmax(constant))]
        raise ValueError(f"target: {name!r} is constant in the training part; change {option('seed')} or the split.")
    values, eval_values, means, deviations = standardise_columns(values, eval_values)
    for name, mean, deviation in zip(targets.names, means, deviations, strict=True):
        notes.append(f"target {name}: standardised (mean {mean:.6g}, standard deviation {deviation:.6g})")
    return values, eval_values, targets.names


def _noise(column: Column, train: np.ndarray, notes: list[str]) -> np.ndarray:
    """Which rows have a label known to be wrong; it is an error if all that train have."""
    codes, levels = column.codes()
    unknown = [level for level in levels if level.casefold() not in _WRONG]
    if unknown:
        raise ValueError(
            f"{option('noise_column', column.name)} holds {unknown[0]!r}: give true where a label is wrong, else false."
        )
    wrong = np.array([_WRONG[level.casefold()] for level in levels])[codes]
    known = int(wrong[train].sum())
    notes.append(f"{known} of {len(train)} training labels are known to be wrong (column {column.name!r})")
    if known == len(train):
        raise ValueError(f"{option('noise_column', column.name)} is true in every training row: none is left to keep.")
    return wrong
