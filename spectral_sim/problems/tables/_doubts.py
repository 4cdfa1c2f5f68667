"""What a careful colleague would ask about a table: inputs and groups that restate the target."""

import numpy as np

from ._column import Column
from ._targets import Targets

_SAME = 1 - 1e-9  # of a squared correlation


def restatements(columns: list[Column], targets: Targets, rows: np.ndarray) -> list[str]:
    """Warnings of inputs that say the same as the target in other words.

    Arguments:
        columns: the inputs.
        targets: the targets.
        rows: which rows count, a mask.
    """
    found = [column.name for column in columns if column.values.ndim == 1 and _restates(column, targets, rows)]
    return [
        f"input {name!r} restates the target: every value of one belongs to one value of the other; leave it out if it "
        "would not be known"
        for name in found
    ]


def _restates(column: Column, targets: Targets, rows: np.ndarray) -> bool:
    here = rows & ~column.missing
    if here.sum() < 3:
        return False
    if targets.task == "classification":
        codes, levels = column.codes()
        # more values than classes restate nothing, unless classes are ranges of them, which is a rule to be learned
        return len(levels) <= 4 * len(targets.names) and _one_to_one(codes[here], targets.values[here, 0])
    if column.kind == "text":
        return False
    values = column.values[here]
    return any(_correlation(values, target) > _SAME for target in targets.values[here].T)


def _one_to_one(first: np.ndarray, second: np.ndarray) -> bool:
    pairs = np.unique(np.column_stack([first, second]), axis=0)
    return len(pairs) == len(np.unique(first)) == len(np.unique(second)) > 1


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Squared correlation; 0 where one of them never varies."""
    x, y = x - x.mean(), y - y.mean()
    scale = np.sum(x**2) * np.sum(y**2)
    return float(np.sum(x * y) ** 2 / scale) if scale > 0 else 0.0


def check_groups(
    name: str, labels: np.ndarray, target_names: list[str], targets: Targets, rows: np.ndarray
) -> list[str]:
    """Warnings of groups that are the target.

    Arguments:
        name: of the group column.
        labels: group number of each row.
        target_names: columns of the target.
        targets: the targets.
        rows: which rows count, a mask.
    """
    if name in target_names:
        return [f"the group {name!r} is the target itself: weights by group are weights by what is to be predicted"]
    if targets.task == "classification" and _one_to_one(labels[rows], targets.values[rows, 0]):
        return [f"the group {name!r} restates the target: every group is one class"]
    return []
