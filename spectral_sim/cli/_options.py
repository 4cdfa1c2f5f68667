"""Options that several commands share, and how messages about the user's data name them."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .._wording import options_worded

# what may be chosen, each value under its own name
Precision = StrEnum("Precision", ["float64", "float32"])
Kernel = StrEnum("Kernel", ["rbf", "linear", "arc_cosine"])
Method = StrEnum("Method", ["nystrom", "random", "exact"])
Missing = StrEnum("Missing", ["error", "drop", "mean"])
Task = StrEnum("Task", ["auto", "regression", "classification"])
Split = StrEnum("Split", ["random", "group", "time"])

Force = Annotated[bool, typer.Option("--force", help="Replace earlier results in the output folder.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what was interrupted in the output folder.")]
PrecisionOption = Annotated[Precision, typer.Option(help="Floating-point type.")]
Targets = Annotated[
    list[str], typer.Option("--target", help="Column (or array) to predict; repeat it for several.", show_default=False)
]
Group = Annotated[str | None, typer.Option("--group", help="Column with the group of each example.")]
Inputs = Annotated[
    list[str] | None, typer.Option("--inputs", help="Column to use as an input; repeat it. All others if left out.")
]
Drop = Annotated[list[str] | None, typer.Option("--drop", help="Column to leave out; repeat it for several.")]
MissingOption = Annotated[
    Missing, typer.Option("--missing", help="Rows with gaps: an error, left out, or filled by the mean and marked.")
]
TaskOption = Annotated[Task, typer.Option("--task", help="What the target is, where the guess is wrong.")]
NoStandardise = Annotated[
    bool, typer.Option("--no-standardise", help="Inputs as they are, as for embeddings in .npy and .npz files.")
]
Eval = Annotated[Path | None, typer.Option("--eval", help="File of the same columns to hold out.")]
EvalWhere = Annotated[
    str | None, typer.Option("--eval-where", metavar="COLUMN=VALUE", help="Rows to hold out, such as a domain.")
]
EvalFraction = Annotated[
    float | None, typer.Option("--eval-fraction", help="Part of the examples to hold out, 0 for none; 0.25.")
]
SplitOption = Annotated[
    Split, typer.Option("--split", help="Hold out at random by class, whole groups, or the latest rows.")
]
SplitBy = Annotated[str | None, typer.Option("--split-by", help="Column of the groups or times of --split.")]
FeaturesFrom = Annotated[
    Path | None, typer.Option("--features-from", help=".npy with features of each row, instead of inputs.")
]
Gram = Annotated[Path | None, typer.Option("--gram", help=".npy with the kernel between all rows, instead of inputs.")]
NoiseColumn = Annotated[
    str | None,
    typer.Option("--noise-column", help="Column that is true where a label is known to be wrong; for comparison."),
]
Encoding = Annotated[str | None, typer.Option("--encoding", help="Of a text file, such as latin-1; UTF-8.")]


@contextmanager
def named_as_flags() -> Iterator[None]:
    """Let messages about data name flags: `--missing mean`."""
    with options_worded(_as_flag):
        yield


@contextmanager
def named_as_keys() -> Iterator[None]:
    """Let messages about data name keys of a configuration: `missing = "mean"`."""
    with options_worded(_as_key):
        yield


def _as_flag(name: str, value: Any) -> str:
    if name == "path":
        return "DATA" if value is None else str(value)
    flag = "--no-standardise" if name == "standardise" else f"--{name.replace('_', '-')}"
    if value is None or value is True or name == "standardise":
        return flag
    text = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"{flag} {_quoted(text)}"


def _quoted(text: str) -> str:
    return f'"{text}"' if not text or any(letter in text for letter in " '\"&|;()<>$*") else text


def _as_key(name: str, value: Any) -> str:
    if value is None:
        return name
    if isinstance(value, bool):
        return f"{name} = {str(value).lower()}"
    return f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}"
