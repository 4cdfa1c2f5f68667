"""The command `bench`."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ..benchmark import (
    CASES,
    CaseResult,
    Results,
    chosen_cases,
    compare,
    device_of,
    judged,
    load_results,
    machine,
    markdown,
    run_suite,
    shown,
    slug,
    write_plots,
)
from ._errors import UserError, explained
from ._progress import steps
from ._running import device_per_core, running


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, few rounds: two or three minutes.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, gpu, tpu, ...; what JAX prefers.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for the results; the machine's in --results.", show_default=False),
    ] = None,
    results: Annotated[Path, typer.Option(help="Folder of results, with a folder for each machine.")] = Path(
        "bench-output"
    ),
    only: Annotated[
        list[str] | None, typer.Option(help=f"A case to run, of {', '.join(CASES)}; repeat it.", show_default=False)
    ] = None,
    compare_files: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--compare", metavar="BEFORE AFTER", help="Compare two results.json instead.", show_default=False),
    ] = None,
) -> None:
    """Measure this machine: how near the library comes to its limits, and to other programs for the same task."""
    device_per_core()
    with running("matplotlib", what="the benchmark suite") as progress:
        if compare_files is not None:
            given = {"--quick": quick, "--device": device, "--output": output, "--only": only}
            others = [name for name, value in given.items() if value]
            if others:
                raise UserError(f"--compare only reads two files: leave out {', '.join(others)}.")
            _compare(*compare_files)
            return
        with explained(""):
            cases = chosen_cases(only or ())
            found = machine(device_of(device))
        folder = output or results / (slug(found) + ("-quick" if quick else ""))
        path = folder / "results.json"
        with explained(f"--output {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".tmp").touch()
        try:
            with steps(progress, "bench") as shown_steps:
                measured = run_suite(
                    path,
                    quick=quick,
                    device=device,
                    only=[case.name for case in cases],
                    tell=lambda name, index, total: shown_steps.start(index, total, name),
                )
        except OSError as error:
            raise UserError(f"--output {folder}: {' '.join(str(error).split())}") from error
        except BaseException:
            # an interrupted run shows what it has, as a whole one does; what stopped it counts, not what follows
            with suppress(Exception):
                _write(load_results(path), folder)
            raise
        with explained(f"--output {folder}"):
            _write(measured, folder)
        chosen = [case for case in measured.cases if case.name in {case.name for case in cases}]
        _print(chosen, measured)
        progress.print(f"wrote {folder}: results.json, results.md and plots")
        if any(case.status == "failed" or case.later.startswith("failed") for case in chosen):
            raise typer.Exit(1)


def _write(results: Results, folder: Path) -> None:
    (folder / "results.md").write_text(markdown(results), encoding="utf-8")
    write_plots(results, folder)


def _print(cases: list[CaseResult], results: Results) -> None:
    for case in cases:
        typer.echo(f"{case.name}: {_state(case)}")
        for figure in case.figures:
            judgement = judged(figure, results.quick, results.platform)
            typer.echo(f"  {figure.name}: {shown(figure)}" + (f"  [{judgement}]" if judgement else ""))


def _state(case: CaseResult) -> str:
    if case.status != "done":
        return f"{case.status}, {case.reason}"
    return f"{case.later}; kept from before:" if case.later else f"{case.seconds:.0f} s"


def _compare(before: Path, after: Path) -> None:
    with explained(""):
        old, new = load_results(before), load_results(after)
        found = compare(old, new)
    for name, results in (("before", old), ("after", new)):
        commits = ", ".join(dict.fromkeys(case.commit or "unknown" for case in results.cases))
        typer.echo(f"{name}: {slug(results.machine)}, jax {results.versions['jax']}, commit {commits}")
    if not found.changes:
        raise UserError(f"{before} and {after} have nothing in common.")
    width = max(len(f"{change.case}: {change.name}") for change in found.changes)
    for change in found.changes:
        relative = "" if change.relative is None else f"{change.relative:+.1%}"
        marks = [change.direction, "other sizes" if change.sizes_differ else ""]
        words = "".join(f"  {mark}" for mark in marks if mark)
        name = f"{change.case}: {change.name}"
        typer.echo(f"{name:{width}}  {change.before:10.4g} -> {change.after:10.4g}  {relative:>7}{words}".rstrip())
    for file, names in (("before", found.only_before), ("after", found.only_after)):
        for name in names:
            typer.echo(f"only {file}: {name}")
