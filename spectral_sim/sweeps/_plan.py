"""Everything that a chunk of rows is computed from, and the one compiled program that computes it."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .._clock import run_clock
from .._identity import describe, fingerprint
from .._simulate import simulate
from .._status import status_legend
from .._types import PyTree
from .._version import __version__
from .._where import where
from ._metric import AbstractMetric, MemberRun, Variable, check_announced
from ._paths import leaf_of, placed
from ._spec import SweepSpec

_ROWS = "schedules"
_LARGEST_CHUNK = 8192  # larger ones are no faster, and more is lost when one is
_CACHED = 2**16  # numbers of one array in a block
_TOGETHER = 4096  # values of a swept rate whose times are looked at in one batch
_COPIES = 12  # arrays of the size of the state that are alive at once: carry, weights, temporaries


def row_times(problem: Any, spec: SweepSpec, grid: np.ndarray, dynamics: Any) -> tuple[np.ndarray, bool]:
    """The times at which metrics see the loss, and whether they are steps.

    Dynamics with steps have an intrinsic time, the sum of their rates. Metrics count in it as long as all rows share
    it. Where a swept rate gives each row times of its own, they count steps, which rows do share.

    Arguments:
        problem: what is to be learnt.
        spec: the rows.
        grid: refresh grid on the clock of the dynamics.
        dynamics: how the learner moves; None for the default.
    """
    own = problem.default_dynamics() if dynamics is None else dynamics
    if own.clock == "time":
        return grid, False

    def durations(values: dict[str, Any]) -> Any:
        moved = placed(values, spec.schedule, problem, own, None)[2]
        return run_clock(moved, grid, problem.dtype)[1].durations

    alone = np.asarray(durations({}))
    for block in spec.blocks:
        for path, values in zip(block.paths, block.values, strict=True):
            if not path.startswith("dynamics."):
                continue
            distinct = np.unique(values, axis=0)
            for start in range(0, len(distinct), _TOGETHER):
                found = jax.vmap(lambda value, path=path: durations({path: value}))(distinct[start : start + _TOGETHER])
                if not np.array_equal(np.asarray(found), np.broadcast_to(alone, found.shape)):
                    return grid, True
    return np.asarray(run_clock(own, grid, problem.dtype)[1].times, np.float64), False


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """A sweep without the question of where it runs; travels between processes.

    Arguments:
        problem: what is to be learnt.
        spec: the rows.
        grid: refresh grid on the clock of the dynamics, float64.
        times: the same as metrics count it, see `row_times`.
        counts_steps: whether `times` are steps.
        dynamics: how the learner moves; None for the default.
        metrics: what is kept.
        key: seed of random stages, the data of a PRNG key and the name of its kind; None if there is none. All rows
            draw the same numbers, so that they differ by their parameters alone, unless "run.seed" is swept.
        chunk: rows of a chunk.
    """

    problem: Any
    spec: SweepSpec
    grid: np.ndarray
    times: np.ndarray
    counts_steps: bool
    dynamics: Any
    metrics: tuple[AbstractMetric, ...]
    key: tuple[np.ndarray, str] | None
    chunk: int

    @property
    def num_chunks(self) -> int:
        return -(-len(self.spec) // self.chunk)

    def rows(self, chunk: int) -> slice:
        """The rows of a chunk; the last one may be short."""
        return slice(chunk * self.chunk, min((chunk + 1) * self.chunk, len(self.spec)))

    @functools.cached_property
    def variables(self) -> dict[str, Variable]:
        """Every array of the table but the parameters."""
        found = {name: variable for metric in self.metrics for name, variable in metric.variables(self.times).items()}
        status = (
            Variable(status_legend(() if self.dynamics is None else self.dynamics.faults)),
            Variable("first bad refresh, -1 if none"),
        )
        return {**found, "status": status[0], "refresh": status[1]}

    @functools.cached_property
    def description(self) -> dict[str, Any]:
        """Everything that the results depend on, as plain JSON; not the size of chunks."""
        what = {
            "problem": self.problem,
            "times": self.grid,
            "dynamics": self.dynamics,
            "metrics": self.metrics,
            "key": self.key,
        }
        parts = {name: describe(part, name) for name, part in what.items()}
        return {**parts, "spec": self.spec.description, "dtype": str(np.dtype(self.problem.dtype))}

    @functools.cached_property
    def hash(self) -> str:
        return fingerprint(self.description)

    @property
    def versions(self) -> dict[str, str]:
        return {"spectral_sim": __version__, "jax": jax.__version__}

    def points(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """Values of rows by path, in the dtypes of the leaves that they replace."""
        return {
            path: np.asarray(values, leaf_of(path, self.spec.schedule, self.problem, self.dynamics).dtype)
            for path, values in self.spec.points(start, stop).items()
        }

    def member(self, parts: PyTree, point: dict[str, Any]) -> dict[str, Any]:
        """One row, under a trace."""
        problem, schedule, dynamics, key = parts
        key = None if key is None or self.key is None else jax.random.wrap_key_data(key, impl=self.key[1])
        schedule, problem, dynamics, key = placed(point, schedule, problem, dynamics, key)
        recorders = [metric for metric in self.metrics if metric.records]
        save = lambda observation, weights: [metric.record(observation, weights) for metric in recorders]
        options = {"dynamics": dynamics, "key": key, "adjoint": "direct", "throw": False}
        quick = schedule.static and (dynamics is None or dynamics.clock == "time")
        if quick and all(metric.weights_alone for metric in recorders):
            # the weights of the first interval are those of all: look at them once
            run = simulate(problem, schedule, self.grid, **options)
            recorded = simulate(problem, schedule, self.grid[:2], save=save, **options).saved if recorders else []
            recorded = jax.tree.map(lambda x: where(run.status == 0, x, jnp.full_like(x, jnp.nan)), recorded)
        else:
            run = simulate(problem, schedule, self.grid, save=save, **options)
            recorded = run.saved
        values = {}
        for metric in self.metrics:
            own = recorded[recorders.index(metric)] if metric.records else None
            seen = MemberRun(problem, schedule, dynamics, key, self.times, run.loss, own)
            found = metric(seen.on_steps(self.grid, run.times, self.counts_steps) if run.steps is not None else seen)
            check_announced(metric, found, self.times)
            values |= found
        return {**values, "status": run.status.astype(jnp.int8), "refresh": run.refresh}

    @property
    def parts(self) -> PyTree:
        """What the program is given besides the points."""
        return self.problem, self.spec.schedule, self.dynamics, None if self.key is None else self.key[0]

    def bytes_per_row(self) -> int:
        """Device memory that one row needs while its chunk runs, from the shapes of what the loop carries."""
        point = {path: values[0] for path, values in self.points(0, 1).items()}
        data = self.problem.as_operator()

        def state(point):
            schedule, problem, _, _ = placed(point, self.spec.schedule, self.problem, self.dynamics, None)
            swept = problem if any(path.startswith("problem.") for path in point) else None
            moving = [problem.mass] + ([] if data is None else [data.features])
            return schedule.init(problem), swept, moving

        shapes = jax.tree.leaves(jax.eval_shape(state, point))
        carried = sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in shapes)
        itemsize = np.dtype(self.problem.dtype).itemsize
        # on data problems an operator of features x features is built for every row
        if data is not None:
            carried += data.features.shape[1] ** 2 * itemsize
        recorded = 1 + sum(metric.records for metric in self.metrics)
        return _COPIES * carried + (4 + 2 * recorded) * self.grid.size * itemsize


def chunk_size(plan: Plan, devices: Sequence[Any], budget: int) -> int:
    """The largest chunk whose rows fit into a budget of bytes on each device: a power of two for each device."""
    rows = max(1, min(budget // plan.bytes_per_row(), _LARGEST_CHUNK // len(devices)))
    return min(2 ** int(np.log2(rows)), -(-len(plan.spec) // len(devices))) * len(devices)


def _block(plan: Plan, platform: str) -> int:
    """Rows that a device works on at a time.

    All at once on an accelerator, and where the loop does little. On a processor a closed loop passes over its arrays
    many times at each refresh: they are to stay in its cache.
    """
    if platform != "cpu" or plan.spec.schedule.static:
        return plan.chunk
    return max(1, _CACHED // max(plan.problem.mass.size, 1))


class Program:
    """The compiled program of a plan on some devices: chunks in, columns out.

    Rows are split over the devices along the axis `schedules`; each device runs its part by itself, so that a loop
    that one row needs more steps of holds up no other device.

    Arguments:
        plan: what to compute.
        devices: on which devices of this process; each gets the same number of rows.
        compiler_options: for XLA.
    """

    def __init__(self, plan: Plan, devices: Sequence[Any], compiler_options: dict[str, Any] | None = None):
        self.plan = plan
        self._padded = -(-plan.chunk // len(devices)) * len(devices)
        block = _block(plan, devices[0].platform)
        mesh = Mesh(np.array(devices), (_ROWS,))
        self._by_row = NamedSharding(mesh, PartitionSpec(_ROWS))
        arrays, static = eqx.partition(plan.parts, eqx.is_array)
        self._arrays = jax.device_put(arrays, NamedSharding(mesh, PartitionSpec()))

        def rows(arrays, points):
            row = lambda point: plan.member(eqx.combine(arrays, static), point)
            if block >= self._padded // len(devices):
                return jax.vmap(row)(points)
            return jax.lax.map(row, points, batch_size=block)

        split = jax.shard_map(
            rows,
            mesh=mesh,
            in_specs=(PartitionSpec(), PartitionSpec(_ROWS)),
            out_specs=PartitionSpec(_ROWS),
            check_vma=False,
        )
        self._compiled = jax.jit(split).lower(self._arrays, self._points(0)).compile(compiler_options)

    def _points(self, chunk: int) -> dict[str, jax.Array]:
        start = chunk * self.plan.chunk
        points = self.plan.points(start, start + self._padded)  # a chunk cut short repeats the last row
        return jax.device_put(points, self._by_row)

    def start(self, chunk: int) -> dict[str, jax.Array]:
        """Begin to compute a chunk; returns at once."""
        return self._compiled(self._arrays, self._points(chunk))

    def finish(self, chunk: int, columns: dict[str, jax.Array]) -> dict[str, np.ndarray]:
        """Wait for a chunk and bring its rows to the host."""
        rows = self.plan.rows(chunk)
        return {name: np.asarray(values)[: rows.stop - rows.start] for name, values in columns.items()}
