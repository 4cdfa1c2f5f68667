"""What the loss is measured on: a file, the rows that a column names, or a part that is split off."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..._checks import check_choice, nearest
from ..._wording import option
from ._column import Column
from ._split import SPLITS, Split, split_rows
from ._targets import Targets

_DEFAULT_FRACTION = 0.25


@dataclass(frozen=True)
class Evaluation:
    """How rows are held out; see `load_table` for each field. Create it with `checked`."""

    file: str | Path | None
    where: tuple[str, str] | None
    fraction: float
    split: Split
    split_by: str | None
    seed: int

    @classmethod
    def checked(
        cls,
        file: str | Path | None,
        where: str | None,
        fraction: float | None,
        split: Split,
        split_by: str | None,
        group: str | Path | None,
        seed: int,
    ) -> "Evaluation":
        """The evaluation that the options ask for.

        Raises:
            ValueError: options that exclude each other, or an impossible fraction.
        """
        check_choice(option("split"), split, SPLITS)
        if fraction is not None and not 0 <= fraction < 1:
            raise ValueError(
                f"{option('eval_fraction', fraction)} is not possible: give a fraction in [0, 1), 0 for none."
            )
        given = {"eval": file, "eval_where": where, "eval_fraction": fraction}
        named = [option(name) for name, value in given.items() if value is not None]
        if split != "random" and (file is not None or where is not None):
            named.append(option("split", split))
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} are given: each says what is held out; drop one.")
        if split == "random" and split_by is not None:
            raise ValueError(
                f"{option('split_by', split_by)} goes with {option('split', 'group')} or {option('split', 'time')}."
            )
        if split == "group" and split_by is None and group is not None:
            split_by = str(group)
        if split != "random" and split_by is None:
            raise ValueError(f"{option('split', split)} needs {option('split_by')}: name the column that it goes by.")
        return cls(
            file=file,
            where=None if where is None else _parsed(where),
            fraction=_DEFAULT_FRACTION if fraction is None else fraction,
            split=split,
            split_by=None if split_by is None else split_by.strip(),
            seed=seed,
        )

    def divide(
        self,
        column: Callable[[str], Column],
        rows: np.ndarray,
        targets: Targets,
        repeats: np.ndarray,
        num_own: int,
        notes: list[str],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers of the training part and of the held-out part.

        Arguments:
            column: a column by name.
            rows: row numbers that can be used.
            targets: of all rows.
            repeats: a number for each of `rows`, which rows of equal inputs share.
            num_own: rows of the training file; those of the evaluation file follow.
            notes: what was done is added here.
        """
        num_repeats = len(rows) - len(np.unique(repeats))
        crowded = num_repeats > len(rows) / 2
        if crowded:
            notes.append(f"{num_repeats} of {len(rows)} rows repeat the inputs of another; they are split as they fall")
            repeats = np.arange(len(rows))
        elif num_repeats:
            notes.append(f"{num_repeats} rows repeat the inputs of another; no two stand on both sides of the split")
        if self.file is not None or self.where is not None:
            apart = rows >= num_own if self.where is None else _matches(column(self.where[0]), self.where[1])[rows]
            return self._set_apart(rows, apart, repeats, notes)
        by = None if self.split_by is None else self._split_values(column(self.split_by))[rows]
        train, held_out = split_rows(
            np.arange(len(rows)),
            self.fraction,
            split=self.split,
            by=by,
            classes=targets.values[rows, 0].astype(int) if targets.task == "classification" else None,
            repeats=repeats,
            seed=self.seed,
        )
        if by is not None:
            counts = f"{len(np.unique(by[train]))} values train, {len(np.unique(by[held_out]))} are held out"
            notes.append(f"{self.split} split by {self.split_by!r}: {counts}")
            train = train[~np.isin(repeats[train], repeats[held_out])]
        return rows[train], rows[held_out]

    def _set_apart(
        self, rows: np.ndarray, apart: np.ndarray, repeats: np.ndarray, notes: list[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Both parts where the user says which rows are held out; training rows that repeat one of them go."""
        repeated = ~apart & np.isin(repeats, repeats[apart])
        if repeated.any():
            notes.append(f"{int(repeated.sum())} training rows left out: they repeat the inputs of held-out rows")
        train, held_out = rows[~apart & ~repeated], rows[apart]
        if len(train) < 2 or len(held_out) == 0:
            told = option("eval", str(self.file)) if self.where is None else option("eval_where", "=".join(self.where))
            raise ValueError(f"{told} leaves {len(train)} rows to train on and {len(held_out)} to hold out.")
        return np.random.default_rng(self.seed).permutation(train), held_out

    def _split_values(self, column: Column) -> np.ndarray:
        if self.split == "time" and column.kind in ("text", "block"):
            raise ValueError(f"{option('split_by', self.split_by)} is {column.kind}, which has no order: name a date.")
        return column.codes()[0] if self.split == "group" else column.values


def _parsed(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"{option('eval_where', text)}: write COLUMN=VALUE.")
    return name.strip(), value.strip()


def _matches(column: Column, value: str) -> np.ndarray:
    """Rows whose value is the one that is written; numbers may be written in any form."""
    codes, levels = column.codes()
    wanted = [k for k, level in enumerate(levels) if level == value]
    if not wanted and column.kind != "text":
        wanted = [k for k, level in enumerate(levels) if _same_value(level, value)]
    if not wanted:
        shown = levels if len(levels) <= 40 else (*levels[:40], "...")
        raise ValueError(f"{option('eval_where', f'{column.name}={value}')} matches no row.{nearest(value, shown)}")
    return codes == wanted[0]


def _same_value(level: str, value: str) -> bool:
    try:
        return float(level) == float(value)
    except ValueError:
        return level.casefold() == value.casefold() or level.startswith(f"{value}T")
