"""The command `bench`."""

from pathlib import Path
from typing import Annotated

import typer

from ..benchmark import (
    CASES,
    CaseResult,
    chosen_cases,
    compare,
    device_of,
    load_results,
    machine,
    markdown,
    run_suite,
    shown,
    slug,
    verdict,
    write_plots,
)
from ._errors import UserError, explained
from ._progress import steps
from ._running import device_per_core, running

__all__ = ["bench"]


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, few rounds: two or three minutes.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, gpu, tpu, ...; what JAX prefers.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the results; benchmarks/results/MACHINE.", show_default=False)
    ] = None,
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
            _compare(*compare_files)
            return
        with explained(""):
            cases = chosen_cases(only or ())
            found = machine(device_of(device))
        folder = output or Path("benchmarks/results") / (slug(found) + ("-quick" if quick else ""))
        path = folder / "results.json"
        with explained(f"--output {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".tmp").touch()
        results = None
        try:
            with steps(progress, "bench") as shown_steps:
                results = run_suite(
                    path,
                    quick=quick,
                    device=device,
                    only=[case.name for case in cases],
                    tell=lambda name, index, total: shown_steps.start(index, total, name),
                )
        finally:
            # an interrupted run shows what it has, as a whole one does
            results = results or load_results(path)
            (folder / "results.md").write_text(markdown(results), encoding="utf-8")
            with explained("plots"):
                write_plots(results, folder)
        _print([case for case in results.cases if case.name in {chosen.name for chosen in cases}], quick)
        progress.print(f"wrote {folder}: results.json, results.md and plots", highlight=False, markup=False)


def _print(cases: list[CaseResult], quick: bool) -> None:
    for case in cases:
        typer.echo(f"{case.name}: {_state(case)}")
        for figure in case.figures:
            judged = verdict(figure, quick)
            typer.echo(f"  {figure.name}: {shown(figure)}" + (f"  [{judged}]" if judged else ""))


def _state(case: CaseResult) -> str:
    return f"{case.seconds:.0f} s" if case.status == "done" else f"{case.status}, {case.reason}"


def _compare(before: Path, after: Path) -> None:
    with explained(""):
        old, new = load_results(before), load_results(after)
        changes = compare(old, new)
    if not changes:
        raise UserError(f"{before} and {after} have no figure in common.")
    for name, results in (("before", old), ("after", new)):
        commits = ", ".join(dict.fromkeys(case.commit or "unknown" for case in results.cases))
        typer.echo(f"{name}: {slug(results.machine)}, jax {results.versions['jax']}, commit {commits}")
    width = max(len(f"{change.case}: {change.figure}") for change in changes)
    for change in changes:
        mark = "  beyond the spread" if change.beyond else ""
        name = f"{change.case}: {change.figure}"
        typer.echo(f"{name:{width}}  {change.before:10.4g} -> {change.after:10.4g}  {change.relative:+7.1%}{mark}")
