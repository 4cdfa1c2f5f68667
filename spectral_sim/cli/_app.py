"""The commands of `spectral-sim`: demo, simulate, learn, and those of other files."""

from importlib import resources
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from .._extras import require
from ._assess import assess
from ._bench import bench
from ._build import build_part
from ._certify import certifier
from ._config import DEFAULT_BATCH, Config, LearnFile
from ._demo import PARTS, demo_parts
from ._demo_network import show_network
from ._errors import UserError, explained
from ._fit import fit
from ._job import run_job
from ._learn import learn_part
from ._options import Force, Precision, PrecisionOption, Resume, named_as_keys
from ._output import OutputFolder
from ._part import Part
from ._predict import predict
from ._read_config import read_config
from ._running import compile_quickly, keep_compiled, reporting
from ._sweep import report, sweep

app = typer.Typer(
    help="How much faster would a model learn if its training data were curated?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

C = TypeVar("C", bound=Config)

_Config = Annotated[Path | None, typer.Argument(help="Configuration (TOML).", show_default=False)]
_Output = Annotated[Path | None, typer.Option(help="Folder for the results; CONFIG-output.")]
_Precision = Annotated[Precision | None, typer.Option(help="Overrides that of the file.")]
_ShowExample = Annotated[bool, typer.Option("--example", help="Print an example configuration and stop.")]


@app.callback()
def shared(
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Compile anew, and keep nothing in the user's cache folder.")
    ] = False,
) -> None:
    """How much faster would a model learn if its training data were curated?"""
    if not no_cache:
        keep_compiled()


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("demo-output"),
    force: Force = False,
    resume: Resume = False,
    fast: Annotated[bool, typer.Option("--fast", help="A small version that takes seconds.")] = False,
    precision: PrecisionOption = Precision.float64,
    batch_size: Annotated[int, typer.Option(min=1, help="Examples per training step.")] = DEFAULT_BATCH,
) -> None:
    """Where curation pays and where it does not: wrong labels, a mixture of domains, clean digits."""
    compile_quickly()
    with reporting() as (console, progress):
        with explained("demo"):
            require("sklearn", "the demo")
        folder = OutputFolder(output, PARTS, force, resume)
        parts = demo_parts(fast, str(precision), batch_size)
        run_job(parts, folder, "Does curation pay? Three answers that are known", console, progress)
        show_network(output / "network", fast, console, progress)


@app.command()
def simulate(
    config: _Config = None,
    output: _Output = None,
    precision: _Precision = None,
    force: Force = False,
    resume: Resume = False,
    example: _ShowExample = False,
) -> None:
    """Run the problem and the schedules of a configuration file."""
    if example:
        typer.echo(_example("_example.toml"), nl=False)
        return
    with reporting() as (console, progress):
        folder, settings, part = _described(config, output, precision, force, resume, Config)
        if settings.certify:
            with named_as_keys():
                part = certifier(part, f"{config}: certify", progress)(part)
        run_job([(part.name, lambda: part)], folder, part.title, console, progress)


@app.command()
def learn(
    config: _Config = None,
    output: _Output = None,
    precision: _Precision = None,
    force: Force = False,
    resume: Resume = False,
    example: _ShowExample = False,
) -> None:
    """Search for a schedule by gradients, and say how near to the best it is."""
    if example:
        typer.echo(_example("_learn_example.toml"), nl=False)
        return
    with reporting() as (console, progress):
        folder, settings, part = _described(config, output, precision, force, resume, LearnFile)
        certify = None
        if settings.certify:
            with named_as_keys():
                certify = certifier(part, f"{config}: certify", progress)
        folder.open()
        beside = Path() if config is None else config.parent
        part = learn_part(part, settings.learn, folder, f"{config}: learn", progress, beside)
        if certify is not None:
            part = certify(part)
        run_job([(part.name, lambda: part)], folder, part.title, console, progress)


def _example(name: str) -> str:
    return resources.files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def _described(
    config: Path | None, output: Path | None, precision: Precision | None, force: bool, resume: bool, model: type[C]
) -> tuple[OutputFolder, C, Part]:
    """The folder for the results, the configuration, and the comparison that it describes."""
    if config is None:
        raise UserError("CONFIG is missing: name a TOML file; --example prints one.")
    folder = OutputFolder(output or Path(f"{config.stem}-output"), force=force, resume=resume)
    settings = read_config(config, model)
    return folder, settings, build_part(settings, config, str(precision or settings.precision))


app.command()(assess)
app.command()(sweep)
app.command()(report)
app.command()(bench)
app.command()(predict)
app.add_typer(fit, name="fit")
