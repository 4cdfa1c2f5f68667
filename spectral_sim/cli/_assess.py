"""The command `assess`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..problems import Dataset
from ._build import build_data_part, data_splits
from ._certify import certifier
from ._config import DEFAULT_BATCH, PICKING, Config, DataProblem, DynamicsConfig, LearnConfig, TimesConfig
from ._errors import UserError, explained
from ._job import run_job
from ._learn import learn_part
from ._options import (
    Drop,
    Encoding,
    Eval,
    EvalFraction,
    EvalWhere,
    FeaturesFrom,
    Force,
    Gram,
    Group,
    Inputs,
    Kernel,
    Method,
    Missing,
    MissingOption,
    NoiseColumn,
    NoStandardise,
    Precision,
    PrecisionOption,
    Resume,
    Split,
    SplitBy,
    SplitOption,
    Targets,
    Task,
    TaskOption,
    named_as_flags,
)
from ._output import OutputFolder
from ._running import reporting
from ._validation import trained_on_validation


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
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("assessment-output"),
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
    schedules: Annotated[
        str | None,
        typer.Option(help='Names of schedules to compare, with commas: "loss-proportional,easiest 70%".'),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Five schedules only.")] = False,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps; chosen by the spectrum.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of SGD; half of where it may diverge.", metavar="RATE")
    ] = None,
    batch_size: Annotated[str, typer.Option(help=f"Examples per training step; auto: {DEFAULT_BATCH}.")] = "auto",
    horizon: Annotated[float | None, typer.Option(help="Last time, in place of --steps.")] = None,
    times: Annotated[
        tuple[float, float, int] | None,
        typer.Option(metavar="FIRST LAST NUM", help="Refresh grid: 0, then NUM - 1 times evenly in the logarithm."),
    ] = None,
    splits: Annotated[int, typer.Option(min=1, help="Splits of the data to average over.")] = (
        Config.model_fields["splits"].default
    ),
    max_examples: Annotated[int, typer.Option(min=8, help="Most examples to train on in a split, drawn at random.")] = (
        Config.model_fields["max_examples"].default
    ),
    picking: Annotated[
        float, typer.Option(help="Part of the held-out rows that picks the best schedule, and that --learn sees.")
    ] = PICKING,
    seed: Annotated[int, typer.Option(help="Seed of the splits, the features and random stages.")] = 0,
    precision: PrecisionOption = Precision.float64,
    force: Force = False,
    search: Annotated[bool, typer.Option("--learn", help="Search for a schedule too; takes minutes.")] = False,
    search_steps: Annotated[int, typer.Option(min=1, help="Gradient steps of the search.")] = LearnConfig().steps,
    certify: Annotated[
        bool, typer.Option("--certify", help="Prove what no schedule can exceed; needs few features, or --by-group.")
    ] = False,
    resume: Resume = False,
) -> None:
    """Which schedule would pay for itself on your own data, and by how much."""
    with reporting() as (console, progress):
        folder = OutputFolder(output, force=force, resume=resume)
        ends = {"--horizon": horizon, "--times": times, "--steps": steps}
        ends = [name for name, value in ends.items() if value is not None]
        if len(ends) > 1:
            raise UserError(f"{' and '.join(ends)} are both given: each sets the last time; drop one.")
        if horizon is not None and not 0 < horizon < float("inf"):
            raise UserError(f"--horizon {horizon:g} is not possible: give a positive time.")
        if not 0 < picking < 1:
            raise UserError(f"--picking {picking:g} is not possible: give a part between 0 and 1.")
        if quick and schedules is not None:
            raise UserError("--quick and --schedules both say what is compared: drop one.")
        if by_group and group is None:
            raise UserError("--by-group needs --group: name the column that holds the groups.")
        own_features = features_from is not None or gram is not None
        if own_features and (kernel, method, features) != (None, None, None):
            raise UserError("--kernel, --method and --features make features of inputs; yours are given: drop them.")
        if noise_column is not None and by_group:
            raise UserError("--noise-column prunes by example and --by-group weighs groups: drop one.")

        source = DataProblem.model_construct(
            kind="data",
            path=str(data),
            target=target,
            group=group,
            inputs=inputs,
            drop=drop,
            missing=str(missing),
            task=str(target_task),
            standardise=not no_standardise,
            eval=eval_file,
            eval_where=eval_where,
            eval_fraction=eval_fraction,
            split=str(split),
            split_by=split_by,
            features_from=features_from,
            gram=gram,
            noise_column=noise_column,
            encoding=encoding,
            kernel=str(kernel or Kernel.rbf),
            method=None if method is None else str(method),
            features=features,
            by_group=by_group,
            seed=seed,
        )
        rate = "auto" if learning_rate is None else learning_rate
        dynamics = DynamicsConfig.model_construct(
            steps=steps, horizon=horizon, learning_rate=rate, batch_size=_batch_size(batch_size)
        )
        config = Config.model_construct(
            problem=source,
            dynamics=dynamics,
            times=None if times is None else TimesConfig.model_construct(first=times[0], last=times[1], num=times[2]),
            compare="quick" if quick else "all" if schedules is None else schedules.split(","),
            seed=seed,
        )
        where = f"assess {data}"
        with explained(where):
            progress.print(f"reading {data}")
            divided = data_splits(source, Path(), splits, max_examples, picking, named_as_flags)
            _tell(divided.data, progress)
        part = build_data_part(
            config,
            divided,
            Path(),
            str(precision),
            lambda place: where,
            {"file": str(data)},
            name=data.stem,
            title=f"{data.name}: {', '.join(target)}",
            subject=data.name,
        )
        prove = None
        if certify:
            prove = certifier(part, f"{where} --certify", progress)
        if search:
            folder.open()
            if part.picking is not None:
                with explained(where):
                    part.facts = (trained_on_validation(part.problem, part.picking, part.times),)
            part = learn_part(part, LearnConfig(steps=search_steps), folder, f"{where} --learn", progress)
        if prove is not None:
            part = prove(part)
        run_job([(part.name, lambda: part)], folder, f"Would curation pay on {data.name}?", console, progress)


def _batch_size(text: str) -> int:
    if text == "auto":
        return DEFAULT_BATCH
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"--batch-size {text} is not possible: give a whole number from 1, or auto.")
    return int(text)


def _tell(dataset: Dataset, progress: Console) -> None:
    """What was done with the columns, and what to look at."""
    for note in dataset.notes:
        progress.print(f"  {note}")
    for warning in dataset.warnings:
        progress.print(f"warning: {warning}", style="yellow")
