"""The entry point: many runs, one table."""

import contextlib
import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from .._checks import check_choice, check_times
from .._extras import require
from .._schema import Malformed, plain
from .._types import ArrayLike, PRNGKeyArray
from .._wording import option
from ..dynamics import AbstractDynamics
from ..problems import AbstractProblem
from ._engines import AbstractEngine, Local, Processes
from ._errors import StoreError
from ._metric import AbstractMetric
from ._metrics import as_metrics
from ._paths import SEED, check_values, is_schedule_path
from ._plan import Plan, row_times
from ._plan import chunk_size as fitting_chunk
from ._ray import Ray
from ._reading import check_store_packages, open_table
from ._spec import SweepSpec
from ._store import Store
from ._table import attributes_of, columns_of, parameters, to_dataset

DEFAULT_METRICS = "final_loss", "exponent", "max_weight"
"""What `sweep` measures of each row where no metrics are named."""

_BUDGET = 512 * 2**20
_ENGINES: dict[str, Callable[[], AbstractEngine]] = {"local": Local, "processes": Processes, "ray": Ray}


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C during a sweep: the chunk in flight was finished; the message says how to go on."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a sweep is.

    Arguments:
        rows: number of rows.
        done: rows that are there.
        resumed: rows that were there at the start.
        failed: rows of this run whose status is not 0.
        seconds: since the start.
    """

    rows: int
    done: int
    resumed: int
    failed: int
    seconds: float

    @property
    def rate(self) -> float:
        """Rows per second, compilation included."""
        return (self.done - self.resumed) / self.seconds if self.seconds > 0 else 0.0

    @property
    def remaining(self) -> float:
        """Seconds to go at this rate; infinite before the first chunk."""
        return (self.rows - self.done) / self.rate if self.rate > 0 else float("inf")


def sweep(
    problem: AbstractProblem,
    schedules: SweepSpec,
    times: ArrayLike,
    *,
    metrics: Sequence[str | AbstractMetric] | str | AbstractMetric = DEFAULT_METRICS,
    store: str | os.PathLike[str] | None = None,
    resume: bool = True,
    chunk_size: int | None = None,
    engine: str | AbstractEngine = "local",
    dynamics: AbstractDynamics | None = None,
    key: PRNGKeyArray | None = None,
    memory: int = _BUDGET,
    title: str = "",
    attributes: dict[str, Any] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Any:
    """Run every row of a spec and reduce each to a few numbers, in chunks through one compiled program.

    Rows are split over all local devices. Results do not depend on the size of chunks, the number of devices or the
    engine beyond rounding: with others, the last digits may differ. With a store, every chunk is committed as it is
    finished; whatever stops the sweep, the same call goes on from there and, on the same devices, gives the same table.

    Arguments:
        problem: what is to be learnt.
        schedules: the rows; from `grid`, `sobol` or `random_search`.
        times: refresh grid, shape (times,), starting at 0. For dynamics with steps whole numbers of steps, as in
            `simulate`; metrics count in intrinsic time all the same, or in steps where swept rates give each row times
            of its own (the attribute `clock` of the table says which).
        metrics: names or metrics of `spectral_sim.sweeps`: what to keep of each row. Names take their defaults.
            "speedup" is gross; "speedup_net" beside it counts what curating costs too, on modes without passes over the
            data unless `NetSpeedup(cost_per_refresh=...)` prices them.
        store: folder, or any address that fsspec knows; the table stays in memory if None. A process that is killed
            loses at most the chunk in hand and the one being written.
        resume: go on with a store of the same sweep; if False, a store that is there is refused.
        chunk_size: rows of a chunk; as many as fit `memory` if None.
        engine: "local", "ray", "processes" (those of `jax.distributed`), or an engine with options.
        dynamics: how the learner moves; the default of the problem if None. Speed-ups are over uniform sampling under
            the same, but over that of real data where it is `SelfGenerated`.
        key: PRNG key of random stages. All rows draw the same numbers; sweep "run.seed" for others.
        memory: bytes that a chunk may take on each device.
        title: kept with the table.
        attributes: further plain values kept with the table, by name.
        progress: called after every chunk.

    Returns:
        An `xarray.Dataset` of variables along `schedules` (and `times`, `at` or `target`), a `status` and `refresh` for
        each row, swept parameters as coordinates. A member that fails is a row with a status and NaN. With a store the
        arrays are read when they are looked at.

    Raises:
        ValueError: bad times, paths, values, metrics or chunk size.
        TypeError: something that is no problem, spec, metric or engine, or a function of yours whose behaviour cannot
            be told from that of another one.
        StoreError: a store of another sweep, dtype or version, one that another process writes, a damaged one, or one
            that cannot be written; what was finished is kept.
        SweepInterrupted: Ctrl-C, once the chunk in flight is there; a second Ctrl-C stops at once.
        ImportError: xarray (or zarr, ray, fsspec) is needed and not installed.
    """
    begin = time.perf_counter()
    runner = _engine(engine)
    require("xarray", "the table of a sweep")
    if store is not None:
        check_store_packages(store)
    plan = _plan(problem, schedules, times, metrics, chunk_size, dynamics, key)
    _check_attributes(attributes, attributes_of(plan, title))
    if plan.chunk == 0:
        plan = dataclasses.replace(plan, chunk=fitting_chunk(plan, range(runner.devices), memory))
    if store is None:
        return _in_memory(plan, runner, title, _Meter(plan, progress, begin)).assign_attrs(attributes or {})
    with Store(store) as place:
        manifest = place.manifest()
        if manifest is None:
            columns_of(plan)  # finds what does not fit together before anything is written
            place.begin(plan, title, {**attributes_of(plan, title), **(attributes or {})})
            done: set[int] = set()
        else:
            if not resume:
                again = f"go on with it by {option('resume', True)}, name another store, or delete it"
                raise StoreError(f"{place} holds a sweep already: {again}.")
            if chunk_size is None:
                plan = dataclasses.replace(plan, chunk=manifest["chunk"])
            done = place.resume(plan, manifest)
        meter = _Meter(plan, progress, begin, done)
        todo = [chunk for chunk in range(plan.num_chunks) if chunk not in done]

        if todo or runner.together:
            with _patient() as stopping, _Writer(plan, place, meter) as writer:
                runner.run(plan, todo, writer.keep, stopping)
            if meter.done < len(plan.spec):
                raise SweepInterrupted(
                    f"interrupted with {meter.done:,} of {len(plan.spec):,} rows in {place}: go on with the same sweep "
                    f"by {option('resume', True)}."
                )
    return open_table(store)


class _Writer:
    """Writes chunks in a thread of its own, one after the other, while the next ones are computed."""

    def __init__(self, plan: Plan, place: Store, meter: "_Meter"):
        self._plan, self._place, self._meter = plan, place, meter
        self._thread = ThreadPoolExecutor(1)
        self._writing: tuple[Future, dict[str, np.ndarray]] | None = None

    def __enter__(self) -> "_Writer":
        return self

    def keep(self, chunk: int, columns: dict[str, np.ndarray], note: dict[str, Any]) -> None:
        self._settle()  # one at a time: a disk that is slow holds up the computation, not the memory
        rows = self._plan.rows(chunk)
        everything = {**columns, **parameters(self._plan, rows)}
        self._writing = self._thread.submit(self._place.write, chunk, rows, everything, note), columns

    def _settle(self) -> None:
        if self._writing is not None:
            (written, columns), self._writing = self._writing, None
            written.result()
            self._meter.add(columns)

    def __exit__(self, kind: Any, *error: Any) -> None:
        try:
            if kind is None or not issubclass(kind, StoreError):
                self._settle()
        finally:
            self._thread.shutdown()


class _Meter:
    """Counts rows and tells the caller."""

    def __init__(self, plan: Plan, report: Callable[[Progress], None] | None, begin: float, done: Any = ()):
        self._plan, self._report, self._begin = plan, report, begin
        self._resumed = sum(plan.rows(chunk).stop - plan.rows(chunk).start for chunk in done)
        self.done, self._failed = self._resumed, 0
        if done:
            self._tell()

    def add(self, columns: dict[str, np.ndarray]) -> None:
        self.done += len(columns["status"])
        self._failed += int(np.count_nonzero(columns["status"]))
        self._tell()

    def _tell(self) -> None:
        if self._report is not None:
            seconds = time.perf_counter() - self._begin
            self._report(Progress(len(self._plan.spec), self.done, self._resumed, self._failed, seconds))


def _plan(problem, schedules, times, metrics, chunk_size, dynamics, key) -> Plan:
    if not isinstance(problem, AbstractProblem):
        raise TypeError(f"problem is a {type(problem).__name__}: give a problem, such as power_law(...).")
    if not isinstance(schedules, SweepSpec):
        raise TypeError(f"schedules is {schedules!r}: give rows, such as grid(power_tilt(0.5), exponent=[0, 1]).")
    check_times(times)
    if chunk_size is not None and (int(chunk_size) != chunk_size or chunk_size < 1):
        raise ValueError(f"chunk_size is {chunk_size}: give a whole number of rows, at least 1.")
    grid = np.array(times, np.float64)
    for block in schedules.blocks:
        for path, values in zip(block.paths, block.values, strict=True):
            if not is_schedule_path(path):
                check_values(path, values, problem, dynamics)
    if schedules.schedule.needs_key and key is None and SEED not in schedules.paths:
        raise ValueError(f"the schedule draws random numbers: pass sweep(key=jax.random.key(0)), or sweep {SEED!r}.")
    seed = None if key is None else (np.asarray(jax.random.key_data(key)), str(jax.random.key_impl(key)))
    chunk = 0 if chunk_size is None else min(int(chunk_size), len(schedules))
    shown, counts_steps = row_times(problem, schedules, grid, dynamics)
    return Plan(problem, schedules, grid, shown, counts_steps, dynamics, as_metrics(metrics, shown), seed, chunk)


def _engine(engine: Any) -> AbstractEngine:
    if isinstance(engine, str):
        check_choice("engine", engine, _ENGINES)
        engine = _ENGINES[engine]()
    if not isinstance(engine, AbstractEngine):
        raise TypeError(f"engine is {engine!r}: give 'local', 'processes', 'ray' or an engine of spectral_sim.sweeps.")
    engine.check()
    return engine


def _check_attributes(attributes: dict[str, Any] | None, own: dict[str, Any]) -> None:
    for name, value in (attributes or {}).items():
        if name in own:
            raise ValueError(f"attributes has {name!r}, which every table has of its own: give it another name.")
        try:
            plain()(value, f"attributes[{name!r}]")
        except Malformed as error:
            raise TypeError(f"{error}: give texts, numbers, and lists or dictionaries of them.") from error


def _in_memory(plan: Plan, runner: AbstractEngine, title: str, meter: _Meter) -> Any:
    table = {
        name: np.empty(column.shape, column.dtype)
        for name, column in columns_of(plan).items()
        if column.dims[0] == "schedules"
    }

    def keep(chunk: int, columns: dict[str, np.ndarray], note: dict[str, Any]) -> None:
        rows = plan.rows(chunk)
        for name, values in {**columns, **parameters(plan, rows)}.items():
            table[name][rows] = values
        meter.add(columns)

    runner.run(plan, range(plan.num_chunks), keep, lambda: False)
    return to_dataset(plan, table, title)


@contextlib.contextmanager
def _patient() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C wait for the chunk in flight; the second one stops at once, as usual."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield asked.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def wait(number: int, frame: Any) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, wait)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
