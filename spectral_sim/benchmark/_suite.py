"""Runs cases one after the other, each in its own right, and keeps what has been measured."""

import datetime
import difflib
import itertools
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ._accelerator_cases import CASES as _ACCELERATOR
from ._case import Case, Settings
from ._closed_cases import CASES as _CLOSED
from ._compile_cases import CASES as _COMPILE
from ._dynamics_cases import CASES as _DYNAMICS
from ._features_cases import CASES as _FEATURES
from ._gradient_cases import CASES as _GRADIENT
from ._limits import OPERATIONS_PER_EXP, copy_pass, exp_pass, gemm
from ._machine import commit, device_of, free_bytes, machine, peak_bytes, versions
from ._modal_cases import CASES as _MODAL
from ._operator_cases import CASES as _OPERATOR
from ._plots import PLOTS
from ._result import CaseResult, Figure, Results, load_results, save_results
from ._scaling_cases import CASES as _SCALING
from ._timing import interleaved, one_blas_thread, spread
from ._whole_cases import CASES as _WHOLE

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        *(*_MODAL, *_CLOSED, *_OPERATOR, *_DYNAMICS, *_FEATURES, *_GRADIENT),
        *(*_WHOLE, *_COMPILE, *_SCALING, *_ACCELERATOR),
    )
}
"""Every case by its name, in the order in which they are run."""

_ROUNDS, _QUICK_ROUNDS = 9, 3


def chosen_cases(names: Iterable[str]) -> tuple[Case, ...]:
    """The cases of these names, all if there are none.

    Arguments:
        names: of cases, in any order; the suite's order is kept.

    Raises:
        ValueError: an unknown name; the message suggests the nearest.
    """
    wanted = set(names)
    for name in wanted:
        if name not in CASES:
            near = difflib.get_close_matches(name, CASES, 1, 0.4)
            hint = f"do you mean {near[0]}? " if near else ""
            raise ValueError(f"there is no case {name!r}; {hint}The cases are {', '.join(CASES)}.")
    return tuple(case for case in CASES.values() if not wanted or case.name in wanted)


def run_suite(
    path: Path,
    *,
    quick: bool = False,
    device: str | None = None,
    only: Iterable[str] = (),
    tell: Callable[[str, int, int], None] = lambda name, index, total: None,
) -> Results:
    """Run cases and write the file anew after each, so that nothing measured is lost.

    Arguments:
        path: the JSON file. Cases that it holds stay until they are run again with success; a file from another machine
            or other versions is put aside, with the tables and plots beside it.
        quick: fewer rounds and smaller sizes; targets are not judged.
        device: platform to run on, as JAX names it; the default one if None.
        only: names of the cases to run; all if empty.
        tell: called with the name, the index and the number of cases before each.

    Returns:
        Everything measured.

    Raises:
        ValueError: an unknown case, or a device that is not there.
        OSError: the file cannot be written.
    """
    cases, chosen = chosen_cases(only), device_of(device)
    settings = Settings(quick, _QUICK_ROUNDS if quick else _ROUNDS, chosen.platform)
    results = Results(quick, machine(chosen), versions())
    earlier = _earlier(path, results)
    if earlier is not None:
        results.cases, results.limits = earlier.cases, earlier.limits
    save_results(results, path)
    with jax.default_device(chosen), one_blas_thread():
        tell("limits", 0, len(cases) + 1)
        results.limits = _highest(measure_limits(settings), results.limits)
        for index, case in enumerate(cases, start=1):
            tell(case.name, index, len(cases) + 1)
            _replace(results.cases, run_case(case, settings, chosen))
            save_results(results, path)
    return results


def run_case(case: Case, settings: Settings, device: Any) -> CaseResult:
    """Run one case; whatever goes wrong in it becomes its reason."""
    sizes = case.chosen(settings)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    result = CaseResult(case.name, case.title, "done", date=now, commit=commit(), sizes=sizes)
    if case.platforms and settings.platform not in case.platforms:
        result.status, result.reason = "skipped", f"only on {' or '.join(case.platforms)}; this is {settings.platform}"
        return result
    refusal = _too_large(case, sizes, free_bytes(device))
    if refusal:
        result.status, result.reason = "skipped", refusal
        return result
    begin = time.perf_counter()
    try:
        case.run(settings, sizes, result)
    except Exception as error:  # a case that fails is a row, and the others go on
        where = traceback.extract_tb(error.__traceback__)[-1]
        words = " ".join(str(error).split())[:300]
        result.status = "failed"
        result.reason = f"{type(error).__name__}: {words} ({Path(where.filename).name}, line {where.lineno})"
    result.seconds = time.perf_counter() - begin
    result.peak_bytes = peak_bytes(device)
    jax.clear_caches()
    return result


def measure_limits(settings: Settings) -> list[Figure]:
    """The roofs: products in float32 and float64, exponentials in a fused pass, copies."""
    small = 256 if settings.quick else 1024
    log_energy, times = np.zeros(512, np.float32), np.linspace(0, 1, 256, dtype=np.float32)
    rates = np.full((small, 512), -1, np.float32)
    calls: dict[str, tuple[Callable[[], Any], float, str]] = {
        "exponentials": (exp_pass(log_energy, rates, times), OPERATIONS_PER_EXP * float(small * 512 * 256), "op/s"),
        "float32 products": (*gemm(np.float32), "flop/s"),
        "copy": (*copy_pass(), "B/s"),
    }
    if jax.config.values["jax_enable_x64"]:
        calls["float64 products"] = (*gemm(np.float64), "flop/s")
    seconds = interleaved({name: call for name, (call, _, _) in calls.items()}, settings.rounds)
    return [Figure(name, spread(work / seconds[name]), unit) for name, (_, work, unit) in calls.items()]


def _earlier(path: Path, results: Results) -> Results | None:
    """What was measured before on this machine with these versions; others are put aside, not overwritten."""
    if not path.exists():
        return None
    try:
        old = load_results(path)
        if (old.quick, old.machine, old.versions) == (results.quick, results.machine, results.versions):
            return old
    except ValueError:
        pass
    written = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
    for file in (path, path.with_suffix(".md"), *(path.with_name(name) for name in PLOTS)):
        if file.exists():
            _put_aside(file, f"{written:%Y%m%dT%H%M%S}")
    return None


def _put_aside(file: Path, mark: str) -> None:
    """Rename a file so that nothing is overwritten."""
    for count in itertools.count(1):
        place = file.with_name(f"{file.stem}-{mark}{f'-{count}' if count > 1 else ''}{file.suffix}")
        if not place.exists():
            file.rename(place)
            return


def _highest(new: list[Figure], old: list[Figure]) -> list[Figure]:
    """Limits are what the machine can do: other programs beside one of the runs do not lower them."""
    before = {figure.name: figure for figure in old}
    pairs = [(figure, before.get(figure.name, figure)) for figure in new]
    return [max(pair, key=lambda figure: figure.value.median if figure.value else 0.0) for pair in pairs]


def _replace(cases: list[CaseResult], new: CaseResult) -> None:
    """Put a case in the place of the one before; one that is done stays when the new run is not, and says so."""
    old = next((case for case in cases if case.name == new.name), None)
    if old is not None and old.status == "done" and new.status != "done":
        old.later = f"{new.status} on {new.date}: {new.reason}"
        return
    cases[:] = [case for case in cases if case.name != new.name] + [new]
    order = list(CASES)
    cases.sort(key=lambda case: order.index(case.name) if case.name in order else len(order))


def _too_large(case: Case, sizes: dict[str, int], free: float) -> str:
    """Why a case does not fit into memory and the size that would, "" if it fits."""
    needed = case.bytes(sizes)
    if needed <= free:
        return ""
    size = sizes[case.scaled]
    while size > 0 and case.bytes({**sizes, case.scaled: size}) > free:
        size //= 2
    fits = f"{size} {case.scaled} would fit" if size else f"not even one of {case.scaled} would fit"
    return f"needs {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free: {fits}"
