"""Options that several commands share."""

from enum import StrEnum
from typing import Annotated

import typer

__all__ = ["Force", "Kernel", "Method", "Precision", "PrecisionOption", "Resume"]


class Precision(StrEnum):
    """Floating-point type of a run."""

    float64 = "float64"
    float32 = "float32"


class Kernel(StrEnum):
    """Kernel on the inputs of a data set."""

    rbf = "rbf"
    linear = "linear"
    arc_cosine = "arc_cosine"


class Method(StrEnum):
    """How a kernel becomes features."""

    nystrom = "nystrom"
    random = "random"
    exact = "exact"


Force = Annotated[bool, typer.Option("--force", help="Replace earlier results in the output folder.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what was interrupted in the output folder.")]
PrecisionOption = Annotated[Precision, typer.Option(help="Floating-point type.")]
