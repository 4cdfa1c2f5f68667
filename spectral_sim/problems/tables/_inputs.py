"""From columns to inputs: one-hot levels, hashed levels, blocks, filled gaps, and the scale of each."""

import hashlib
import re
from dataclasses import dataclass

import numpy as np

from ..._wording import option
from ._column import Column

MAX_LEVELS = 50  # most levels of a text input that become a column each
HASHED_COLUMNS = 32
_ID_NAME = re.compile(
    r"(.*[_ .-])?(id|uuid|guid|index|key|rowid|row_?(number|names?)?|unnamed: \d+|__index_level_\d+__)"
)


@dataclass(frozen=True, eq=False)
class Piece:
    """Inputs made of one column.

    Arguments:
        column: name of the column.
        names: of the inputs.
        values: shape (rows, inputs), NaN where missing.
        together: whether the inputs have one scale, as the entries of an embedding do.
    """

    column: str
    names: list[str]
    values: np.ndarray
    together: bool = False


def encode(column: Column, chosen: bool, notes: list[str]) -> Piece | None:
    """Inputs of a column; None for one that tells nothing of other rows, such as an identifier.

    Arguments:
        column: the column.
        chosen: whether the user named it as an input, so that it is not left out.
        notes: what was done is added here.
    """
    name, missing = column.name, column.missing
    if missing.all():
        if chosen:
            raise ValueError(f"column {name!r} has no value in any row: leave it out of {option('inputs')}.")
        notes.append(f"column {name!r} dropped: no row has a value")
        return None
    if column.note:
        notes.append(f"column {name!r}: {column.note}")
    if column.kind == "block":
        names = [f"{name}[{j}]" for j in range(column.values.shape[1])]
        return Piece(name, names, _finite(column.values), together=not column.standalone)
    if column.stray is not None and column.stray[1] >= 0.5 and len(column.levels) > MAX_LEVELS:
        row, _ = column.stray
        raise ValueError(
            f"column {name!r}: row {row} (the first is 0) is {column.shown(row)} among numbers: make it a number, "
            f"leave it empty, or leave the column out: {option('drop', name)}."
        )
    if not chosen and _is_identifier(column):
        notes.append(
            f"column {name!r} dropped: an identifier, other in every row; to keep it, name it in {option('inputs')}"
        )
        return None
    if column.kind != "text":
        return Piece(name, [name], _finite(column.values[:, None]))
    return _encode_text(column, chosen, notes)


def _finite(values: np.ndarray) -> np.ndarray:
    """Values with NaN for an infinity, which is as good as missing."""
    return np.where(np.isinf(values), np.nan, values) if np.isinf(values).any() else values


def _encode_text(column: Column, chosen: bool, notes: list[str]) -> Piece | None:
    name, rows, levels = column.name, len(column.values), column.levels
    if len(levels) <= MAX_LEVELS:
        values = np.zeros((rows, len(levels)))
        here = column.values >= 0
        values[np.flatnonzero(here), column.values[here]] = 1
        values[~here] = np.nan
        if len(levels) > 2 or column.missing.any():
            notes.append(f"column {name!r}: {len(levels)} levels, one-hot")
        return Piece(name, [f"{name}={level}" for level in levels], values)
    if not chosen and len(levels) > 0.5 * np.sum(column.values >= 0):
        notes.append(
            f"column {name!r} dropped: text with {len(levels)} different values in {rows} rows, such as "
            f"{levels[0][:40]!r}; to keep it, hashed, name it in {option('inputs')}"
        )
        return None
    notes.append(
        f"column {name!r}: {len(levels)} levels, more than the {MAX_LEVELS} that become a column each, hashed into "
        f"{HASHED_COLUMNS} columns"
    )
    signs = np.vstack([[_signs(level) for level in levels], np.full(HASHED_COLUMNS, np.nan)])
    return Piece(name, [f"{name}#{j}" for j in range(HASHED_COLUMNS)], signs[column.values])


def _signs(level: str) -> np.ndarray:
    """Plus or minus one in each column, by the text alone: two levels are nearly orthogonal, whatever the target."""
    digest = np.frombuffer(hashlib.blake2b(level.encode(), digest_size=HASHED_COLUMNS // 8).digest(), np.uint8)
    return np.unpackbits(digest) * 2.0 - 1


def _is_identifier(column: Column) -> bool:
    """Whether values only name rows: other in each, and either text, or row numbers, or called so."""
    values = column.values
    if column.kind not in ("text", "whole") or column.missing.any():
        return False
    if len(np.unique(values)) < len(values):
        return bool(_ID_NAME.fullmatch(column.name.casefold())) and column.name.casefold().startswith("unnamed: ")
    if column.kind == "text" or _ID_NAME.fullmatch(column.name.casefold()) or re.search(r"[a-z]I[Dd]$", column.name):
        return True
    ordered = np.sort(values)
    return bool(ordered[0] in (0, 1) and (np.diff(ordered) == 1).all())


def join(
    pieces: list[Piece], train: np.ndarray, held_out: np.ndarray, *, standardise: bool, notes: list[str]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Inputs of both parts: gaps filled by the training mean beside an indicator, constants dropped, scaled.

    Arguments:
        pieces: the inputs of each column.
        train: rows of the training part.
        held_out: rows that are held out.
        standardise: whether inputs get mean 0 and deviation 1 in the training part; entries of a block keep their
            proportions, they get mean 0 and a common deviation.
        notes: what was done is added here.

    Returns:
        Inputs of the training part, of the held-out part, and their names.
    """
    parts: list[np.ndarray] = []
    eval_parts: list[np.ndarray] = []
    names: list[str] = []
    constant: list[str] = []
    for piece in pieces:
        values, eval_values = piece.values[train], piece.values[held_out]
        gaps, eval_gaps = _gaps(values), _gaps(eval_values)
        if gaps.any() or eval_gaps.any():
            values, eval_values = _filled(values, eval_values)
        varies = values.max(axis=0) > values.min(axis=0)
        constant += [name for name, moves in zip(piece.names, varies, strict=True) if not moves]
        names += [name for name, moves in zip(piece.names, varies, strict=True) if moves]
        values, eval_values = values[:, varies], eval_values[:, varies]
        if standardise and varies.any():
            values, eval_values = _scaled(values, eval_values, together=piece.together)
        parts.append(values)
        eval_parts.append(eval_values)
        if 0 < gaps.sum() < len(gaps):
            names.append(f"{piece.column} missing")
            if standardise:
                gaps, eval_gaps = _scaled(gaps, eval_gaps, together=False)
            parts.append(gaps)
            eval_parts.append(eval_gaps)
    if not names:
        raise ValueError("every input column is constant in the training part; give columns that vary.")
    if constant:
        more = f" and {len(constant) - 12} more" if len(constant) > 12 else ""
        notes.append(f"constant inputs dropped: {', '.join(constant[:12])}{more}")
    return np.hstack(parts), np.hstack(eval_parts), names


def _gaps(values: np.ndarray) -> np.ndarray:
    """One where something is missing in a row, shape (rows, 1)."""
    return np.asarray(np.isnan(values).any(axis=1, keepdims=True), np.float64)


def _filled(train: np.ndarray, held_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = ~np.isnan(train)
    mean = np.where(found, train, 0).sum(axis=0) / np.maximum(found.sum(axis=0), 1)
    return np.where(found, train, mean), np.where(np.isnan(held_out), mean, held_out)


def _scaled(train: np.ndarray, held_out: np.ndarray, *, together: bool) -> tuple[np.ndarray, np.ndarray]:
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    scale = np.sqrt(np.mean(deviation**2)) if together else deviation
    return (train - mean) / scale, (held_out - mean) / scale
