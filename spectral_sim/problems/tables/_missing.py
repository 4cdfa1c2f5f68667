"""What becomes of rows with missing values."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ..._wording import option
from ._column import Column

MissingPolicy = Literal["error", "drop", "mean"]


def complete_rows(
    targets: Sequence[Column],
    others: Sequence[Column],
    inputs: Sequence[Column],
    policy: MissingPolicy,
    notes: list[str],
) -> np.ndarray:
    """Which rows can be used, as a mask.

    Arguments:
        targets: rows without one of these train nothing and are left out under "drop" and "mean".
        others: group, label noise and what the split goes by; treated as targets are.
        inputs: rows without one of these are left out under "drop", and filled later under "mean".
        policy: what the user chose.
        notes: counts are added here.

    Raises:
        ValueError: a missing value under "error".
    """
    kept = np.ones(len(targets[0].values), bool)
    for kind, columns in (("target", targets), ("column", others), ("column", inputs)):
        for column in columns:
            missing = column.missing
            count = int(missing.sum())
            if not count:
                continue
            if policy == "error":
                _refuse(kind, column, missing)
            if policy == "mean" and columns is inputs:
                how = "filled by the training mean, with an indicator"
                notes.append(f"column {column.name!r}: {count} missing values {how}")
                continue
            notes.append(f"{kind} {column.name!r}: {count} rows without a value left out")
            kept &= ~missing
    if not kept.all():
        notes.append(f"{int(kept.sum())} of {len(kept)} rows are used")
    return kept


def check_have_values(targets: Sequence[Column]) -> None:
    """Raise on a target without any value."""
    for column in targets:
        if column.missing.all():
            raise ValueError(
                f"target {column.name!r}: no value is a number or a name, all {len(column.values)} are missing: name "
                f"another column with {option('target')}."
            )


def _refuse(kind: str, column: Column, missing: np.ndarray) -> None:
    row, count = int(np.argmax(missing)), int(missing.sum())
    shown = column.shown(row)
    name = column.name
    if column.values.ndim == 2:
        name += f"[{int(np.argmin(np.isfinite(column.values[row])))}]"
    more = f" ({count} such values in {len(missing)} rows)" if count > 1 else ""
    raise ValueError(
        f"{kind} {name!r}: row {row} (the first is 0) is {shown}{more}: leave such rows out with "
        f"{option('missing', 'drop')}, or give {option('missing', 'mean')}, which fills gaps of inputs and marks them."
    )
