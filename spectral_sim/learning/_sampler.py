"""Weights for a data loader: what a schedule asks for at each time, in files that other programs read."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._checks import check_choice, check_finite, check_ndim
from .._extras import require
from .._files import SavedFileError, read_arrays, scalar, write_arrays, write_whole
from .._schema import Malformed, array, choice, explained, items, number, read_json, record
from .._simulate import simulate
from .._trajectory import Trajectory
from .._types import Array, ArrayLike, Float
from ..problems import AbstractProblem
from ..schedules import AbstractStage

_VERSION = 1
_KEY = "spectral_sim.sampler_weights"
_SUFFIXES = (".npz", ".parquet")
_FIX = "Write it anew with save()."
_ARRAYS = record(
    version=scalar(choice(_VERSION)),
    times=array("f", shape=(None,), finite=True),
    weights=array("f", shape=(None, None), finite=True),
    mass=array("f", shape=(None,), finite=True),
    last=scalar(number()),
)


@dataclass(frozen=True, eq=False)
class SamplerWeights:
    """Sampling weights over time; those of times[n] are in force until times[n + 1].

    Arguments:
        times: shape (times,), increasing, in units of time.
        weights: density ratios, shape (times, examples): how many times more often than uniformly.
        mass: base mass, shape (examples,), sums to one; the weights of any time have mean one under it.
        last: the time up to which the last weights are in force.
    """

    times: Float[np.ndarray, "times"]
    weights: Float[np.ndarray, "times examples"]
    mass: Float[np.ndarray, "examples"]
    last: float

    def at(self, times: ArrayLike) -> "SamplerWeights":
        """The weights in force at other times.

        Arguments:
            times: shape (times,), increasing, between the first of these times and `last`.

        Raises:
            ValueError: a time at which no weights are known.
        """
        check_ndim("times", times, 1, "times")
        check_finite("times", times)
        asked = np.asarray(times, np.float64)
        if asked.size == 0 or (np.diff(asked) <= 0).any():
            raise ValueError("times are not increasing, or none are given: sort them and remove repeats.")
        for time in (asked[0], asked[-1]):
            if not self.times[0] <= time <= self.last:
                raise ValueError(
                    f"times holds {time:.6g}, but weights are known from {self.times[0]:.6g} to {self.last:.6g} only: "
                    "stay within, or learn a longer schedule."
                )
        row = np.searchsorted(self.times, asked, side="right") - 1
        return SamplerWeights(asked, self.weights[row], self.mass, self.last)

    def probabilities(self) -> Float[np.ndarray, "times examples"]:
        """Probability of drawing each example: base mass times weight, float64, summing to one at each time.

        NumPy's `Generator.choice(p=...)` takes a row as it is.
        """
        drawn = np.asarray(self.mass, np.float64) * np.asarray(self.weights, np.float64)
        return drawn / drawn.sum(axis=1, keepdims=True)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file, replaced at once, for `load_sampler_weights` and for other programs.

        `.npz` holds the arrays `times`, `weights`, `mass` and `last`. `.parquet` has one row for each example:
        `example` (its number), `mass`, and a column `weight_n` for each time, with the times in the metadata.

        Arguments:
            path: file ending in .npz or .parquet.

        Raises:
            ValueError: another suffix.
            ImportError: no pyarrow, for .parquet.
        """
        target = Path(path)
        check_choice("suffix of path", target.suffix, _SUFFIXES)
        if target.suffix == ".npz":
            arrays = {"version": _VERSION, "last": self.last}
            arrays |= {"times": self.times, "weights": self.weights, "mass": self.mass}
            write_arrays(target, arrays, compressed=True)
        else:
            pyarrow, parquet = _pyarrow()
            columns = {"example": np.arange(len(self.mass)), "mass": self.mass}
            columns |= {f"weight_{n}": row for n, row in enumerate(self.weights)}
            about = {"version": _VERSION, "times": self.times.tolist(), "last": self.last}
            table = pyarrow.table(columns).replace_schema_metadata({_KEY: json.dumps(about)})
            write_whole(target, lambda aside: parquet.write_table(table, aside, write_page_checksum=True))


def sampler_weights(
    problem: AbstractProblem, schedule: AbstractStage, times: ArrayLike, **options: Any
) -> SamplerWeights:
    """Run a schedule and keep what it asks for at each refresh; weights on groups are given to their examples.

    Arguments:
        problem: what it runs on.
        schedule: any schedule.
        times: refresh grid, shape (times,).
        **options: passed on to `simulate` (`dynamics`, `key`).

    Raises:
        SimulationError: the run failed.
    """
    return sampler_of(problem, simulate(problem, schedule, times, save=per_example, **options), times)


def sampler_of(problem: AbstractProblem, run: Trajectory, times: ArrayLike) -> SamplerWeights:
    """The same from a run that has kept `per_example`."""
    grid = np.asarray(times, np.float64)
    # the last time begins no interval
    return SamplerWeights(grid[:-1], np.asarray(run.saved)[:-1], np.asarray(problem.example_mass), float(grid[-1]))


def load_sampler_weights(path: str | os.PathLike[str]) -> SamplerWeights:
    """Read what `SamplerWeights.save` wrote, exactly.

    Arguments:
        path: file ending in .npz or .parquet.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another suffix.
        SavedFileError: another version, a damaged file, or one that holds something else.
        ImportError: no pyarrow, for .parquet.
    """
    source = Path(path)
    check_choice("suffix of path", source.suffix, _SUFFIXES)
    if not source.is_file():
        raise FileNotFoundError(f"path={str(source)!r} is not a file: check the name.")
    found = read_arrays(source, _ARRAYS, _FIX) if source.suffix == ".npz" else _read_parquet(source)
    shape = len(found["times"]), len(found["mass"])
    if found["weights"].shape != shape or not _is_consistent(**found):
        raise SavedFileError(
            f"{str(source)!r}: weights of shape {found['weights'].shape} do not fit times and mass of {shape}, or are "
            f"no weights of mean one at increasing times. {_FIX}"
        )
    return SamplerWeights(found["times"], found["weights"], found["mass"], found["last"])


def _is_consistent(times: np.ndarray, weights: np.ndarray, mass: np.ndarray, last: float, version: int) -> bool:
    """Whether arrays of the right shapes can be sampler weights."""
    rounding = 1e-3 if weights.dtype == np.float32 else 1e-6
    increasing = bool((np.diff(np.append(times, last)) > 0).all())
    good = bool((weights >= 0).all() and (mass >= 0).all())
    return increasing and good and bool(np.allclose(weights @ mass, 1, atol=rounding))


def _read_parquet(path: Path) -> dict[str, Any]:
    _, parquet = _pyarrow()

    def read() -> dict[str, Any]:
        try:
            table = parquet.read_table(path, page_checksum_verification=True)
            about = (table.schema.metadata or {})[_KEY.encode()]
            columns = {name: table[name].to_numpy() for name in table.column_names}
        except Exception as error:  # pyarrow has many ways to say that a file is damaged
            raise Malformed("", f"cannot be read as a table ({str(error) or type(error).__name__})") from error
        told = read_json(about, record(version=choice(_VERSION), times=items(number(), least=1), last=number()))
        rows = {f"weight_{n}": array("f", shape=(None,), finite=True) for n in range(len(told["times"]))}
        given = {"mass": array("f", shape=(None,), finite=True), "example": array("i", shape=(None,)), **rows}
        held = record(**given)(columns, "")
        weights = np.stack([held[name] for name in rows])
        return {**told, "times": np.asarray(told["times"], np.float64), "weights": weights, "mass": held["mass"]}

    return explained(repr(str(path)), _FIX, SavedFileError, read)


def per_example(observation: Any, weights: Array) -> Array:
    """A `save` function: weights, those on groups given to their examples."""
    return jnp.asarray(observation.problem.per_example(weights))


def _pyarrow() -> list[Any]:
    install = "pip install 'spectral_sim[data]', or use .npz."
    return [require(module, "a .parquet file", install) for module in ("pyarrow", "pyarrow.parquet")]
