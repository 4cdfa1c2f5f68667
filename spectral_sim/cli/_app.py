"""The commands of `spectral-sim`: demo, assess, simulate, learn, and those of other files."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .._extras import require
from .._times import log_times
from ..assessment import REFRESHES_PER_DECADE, default_entries, default_times
from ..problems import load_table
from ._bench import bench
from ._build import build_part
from ._certify import certify_part, check_certifiable
from ._config import LearnConfig, LearnFile
from ._data import Features, known_noise, learning_task
from ._data_options import (
    Drop,
    Encoding,
    Eval,
    EvalFraction,
    EvalWhere,
    FeaturesFrom,
    Gram,
    Group,
    Inputs,
    Missing,
    MissingOption,
    NoiseColumn,
    NoStandardise,
    Split,
    SplitBy,
    SplitOption,
    Targets,
    Task,
    TaskOption,
    named_as_flags,
)
from ._demo import PARTS, demo_parts
from ._demo_network import show_network
from ._errors import UserError, explained
from ._fit import fit
from ._job import Part, run_job
from ._learn import learn_part
from ._output import OutputFolder
from ._predict import predict
from ._read_config import read_config
from ._running import running
from ._sweep import report, sweep

__all__ = ["app"]

_PIPED_WIDTH = 160

app = typer.Typer(
    help="How much faster would a model learn if its training data were curated?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted search in the output folder.")]
PrecisionOption = Annotated[Precision, typer.Option(help="Floating-point type.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Examples per training step, for the price of scoring.")]


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("demo-output"),
    force: Force = False,
    fast: Annotated[bool, typer.Option("--fast", help="A small version that takes seconds.")] = False,
    precision: PrecisionOption = Precision.float64,
    batch_size: BatchSize = 64,
) -> None:
    """Compare some twenty schedules on two real data sets: handwritten digits and image patches."""
    with _reporting() as (console, progress):
        with explained("demo"):
            for module in ("sklearn", "PIL"):
                require(module, "the demo")
        folder = OutputFolder(output, PARTS, force)
        parts = demo_parts(fast, precision.value, batch_size)
        run_job(parts, folder, "Does curation pay? Digits and image patches", console, progress)
        show_network(output / "network", fast, console, progress)


@app.command()
def assess(
    data: Annotated[
        Path,
        typer.Argument(
            help="Your data: .csv or .tsv (also .gz, .zst), .parquet, .arrow, .feather, .jsonl, .npz, .npy, or a "
            "folder saved by datasets.",
            show_default=False,
        ),
    ],
    target: Targets,
    output: Annotated[Path, typer.Option(help="Folder for the results.", show_default=False)],
    group: Group = None,
    inputs: Inputs = None,
    drop: Drop = None,
    missing: MissingOption = Missing.error,
    target_task: TaskOption = Task.auto,
    no_standardise: NoStandardise = False,
    eval_file: Eval = None,
    eval_where: EvalWhere = None,
    eval_fraction: EvalFraction = None,
    split: SplitOption = Split.random,
    split_by: SplitBy = None,
    features_from: FeaturesFrom = None,
    gram: Gram = None,
    noise_column: NoiseColumn = None,
    encoding: Encoding = None,
    by_group: Annotated[bool, typer.Option("--by-group", help="Weights on groups, not on examples.")] = False,
    kernel: Annotated[Kernel | None, typer.Option(help="Kernel on the inputs; rbf.")] = None,
    features: Annotated[int | None, typer.Option(min=1, help="Number of features; 128, or one per example.")] = None,
    method: Annotated[
        Method | None, typer.Option(help="How the kernel becomes features; exact if linear, else nystrom.")
    ] = None,
    horizon: Annotated[float | None, typer.Option(help="Last time; chosen by the spectrum.")] = None,
    times: Annotated[
        tuple[float, float, int] | None,
        typer.Option(metavar="FIRST LAST NUM", help="Refresh grid: 0, then NUM - 1 times evenly in the logarithm."),
    ] = None,
    batch_size: BatchSize = 64,
    seed: Annotated[int, typer.Option(help="Seed of the split, the features and random stages.")] = 0,
    precision: PrecisionOption = Precision.float64,
    force: Force = False,
    search: Annotated[bool, typer.Option("--learn", help="Search for a schedule too; takes minutes.")] = False,
    steps: Annotated[int, typer.Option(min=1, help="Gradient steps of the search.")] = LearnConfig().steps,
    certify: Annotated[
        bool, typer.Option("--certify", help="Prove what no schedule can exceed; needs few features, or --by-group.")
    ] = False,
    resume: Resume = False,
) -> None:
    """Compare some twenty schedules on your own data."""
    with _reporting() as (console, progress):
        if resume and not search:
            raise UserError("--resume goes on with a search: add --learn.")
        folder = OutputFolder(output, force=force, resume=resume)
        if horizon is not None and times is not None:
            raise UserError("--horizon and --times are both given: --times sets the last time too; drop one.")
        if horizon is not None and not 0 < horizon < float("inf"):
            raise UserError(f"--horizon {horizon:g} is not possible: give a positive time.")
        if by_group and group is None:
            raise UserError("--by-group needs --group: name the column that holds the groups.")
        own_features = features_from is not None or gram is not None
        if own_features and (kernel, method, features) != (None, None, None):
            raise UserError("--kernel, --method and --features make features of inputs; yours are given: drop them.")
        if noise_column is not None and by_group:
            raise UserError("--noise-column prunes by example and --by-group weighs groups: drop one.")
        with explained(f"assess {data}"):
            progress.print(f"reading {data}", highlight=False, markup=False)
            with named_as_flags():
                dataset = load_table(
                    data,
                    target,
                    group=group,
                    inputs=inputs[0] if inputs is not None and len(inputs) == 1 else inputs,
                    drop=drop,
                    missing=missing.value,
                    task=target_task.value,
                    standardise=not no_standardise,
                    eval=eval_file,
                    eval_where=eval_where,
                    eval_fraction=eval_fraction,
                    split=split.value,
                    split_by=split_by,
                    features_from=features_from,
                    gram=gram,
                    noise_column=noise_column,
                    encoding=encoding,
                    seed=seed,
                )
            for note in dataset.notes:
                progress.print(f"  {note}", highlight=False, markup=False)
            for warning in dataset.warnings:
                progress.print(f"warning: {warning}", style="yellow", highlight=False, markup=False)
            task = learning_task(
                dataset,
                Features((kernel or Kernel.rbf).value, None if method is None else method.value, features),
                precision=precision.value,
                batch_size=batch_size,
                seed=seed,
                by_group=by_group,
            )
            if times is None:
                grid = default_times(task.modal, REFRESHES_PER_DECADE, horizon)
            else:
                grid = log_times(*times)
        part = Part(
            name=data.stem,
            problem=task.problem,
            entries=default_entries(
                task.problem,
                grid,
                reference=task.reference_model(),
                groups=None if by_group else task.groups,
                epoch=task.epoch,
            )
            + known_noise(task),
            times=grid,
            title=f"{data.name}: {', '.join(target)}",
            subject=data.name,
            description=task.description,
            cost=task.charge,
            seed=seed,
            settings={**task.settings, "file": str(data)},
            group_names=task.group_names if by_group else (),
        )
        if certify:
            check_certifiable(part)
        if search:
            folder.open()
            part = learn_part(part, LearnConfig(steps=steps), folder, f"assess {data} --learn", progress)
        if certify:
            part = certify_part(part, f"assess {data} --certify", progress)
        run_job([(part.name, lambda: part)], folder, f"Would curation pay on {data.name}?", console, progress)


@app.command()
def simulate(
    config: Annotated[Path | None, typer.Argument(help="Configuration (TOML).", show_default=False)] = None,
    output: Annotated[Path | None, typer.Option(help="Folder for the results; CONFIG-output.")] = None,
    precision: Annotated[Precision | None, typer.Option(help="Overrides that of the file.")] = None,
    force: Force = False,
    example: Annotated[bool, typer.Option("--example", help="Print an example configuration and stop.")] = False,
) -> None:
    """Run the problem and the schedules of a configuration file."""
    if example:
        typer.echo(_example("_example.toml"), nl=False)
        return
    with _reporting() as (console, progress):
        if config is None:
            raise UserError("CONFIG is missing: name a TOML file; --example prints one.")
        folder = OutputFolder(output or Path(f"{config.stem}-output"), force=force)
        settings = read_config(config)
        part = build_part(settings, config, settings.precision if precision is None else precision.value)
        run_job([(part.name, lambda: part)], folder, part.title, console, progress)


@app.command()
def learn(
    config: Annotated[Path | None, typer.Argument(help="Configuration (TOML).", show_default=False)] = None,
    output: Annotated[Path | None, typer.Option(help="Folder for the results; CONFIG-output.")] = None,
    precision: Annotated[Precision | None, typer.Option(help="Overrides that of the file.")] = None,
    force: Force = False,
    resume: Resume = False,
    example: Annotated[bool, typer.Option("--example", help="Print an example configuration and stop.")] = False,
) -> None:
    """Search for a schedule by gradients, and say how near to the best it is."""
    if example:
        typer.echo(_example("_learn_example.toml"), nl=False)
        return
    with _reporting() as (console, progress):
        if config is None:
            raise UserError("CONFIG is missing: name a TOML file; --example prints one.")
        folder = OutputFolder(output or Path(f"{config.stem}-output"), force=force, resume=resume)
        settings = read_config(config, LearnFile)
        part = build_part(settings, config, settings.precision if precision is None else precision.value)
        folder.open()
        part = learn_part(part, settings.learn, folder, f"{config}: learn", progress, config.parent)
        run_job([(part.name, lambda: part)], folder, part.title, console, progress)


def _example(name: str) -> str:
    return resources.files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


app.command()(sweep)
app.command()(report)
app.command()(bench)
app.command()(predict)
app.add_typer(fit, name="fit")


@contextmanager
def _reporting() -> Iterator[tuple[Console, Console]]:
    """Consoles for results and for progress, for a command that writes a report."""
    # a pipe or a file has no width of its own
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    with running("scipy", "xarray", "matplotlib", "plotly", what="the report") as progress:
        yield console, progress
