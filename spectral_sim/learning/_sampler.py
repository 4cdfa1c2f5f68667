"""Weights for a data loader: what a schedule asks for at each time, in files that other programs read."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._checks import check_choice, check_finite, check_ndim
from .._simulate import simulate
from .._trajectory import Trajectory
from .._types import Array, ArrayLike, Float
from ..problems import AbstractProblem
from ..schedules import AbstractStage

__all__ = ["SamplerWeights", "load_sampler_weights", "per_example", "sampler_of", "sampler_weights"]

_VERSION = 1
_KEY = "spectral_sim.sampler_weights"
_SUFFIXES = (".npz", ".parquet")


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
        """Probability of drawing each example: base mass times weight, summing to one at each time."""
        drawn = self.mass * self.weights
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
        aside = target.with_name(f".{target.name}.part{target.suffix}")
        if target.suffix == ".npz":
            arrays: dict[str, Any] = {"times": self.times, "weights": self.weights, "mass": self.mass}
            np.savez_compressed(aside, version=_VERSION, last=self.last, **arrays)
        else:
            pyarrow, parquet = _pyarrow()
            columns = {"example": np.arange(len(self.mass)), "mass": self.mass}
            columns |= {f"weight_{n}": row for n, row in enumerate(self.weights)}
            about = {"version": _VERSION, "times": self.times.tolist(), "last": self.last}
            table = pyarrow.table(columns).replace_schema_metadata({_KEY: json.dumps(about)})
            parquet.write_table(table, aside)
        os.replace(aside, target)


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
        ValueError: another suffix, another version, or a file that holds something else.
        ImportError: no pyarrow, for .parquet.
    """
    source = Path(path)
    check_choice("suffix of path", source.suffix, _SUFFIXES)
    if not source.is_file():
        raise FileNotFoundError(f"path={str(source)!r} is not a file: check the name.")
    try:
        about, loaded = _read_npz(source) if source.suffix == ".npz" else _read_parquet(source)
    except ImportError:
        raise
    except Exception as error:
        raise ValueError(
            f"path={str(source)!r} holds no sampler weights ({type(error).__name__}: {error}): write it with save()."
        ) from error
    if about != _VERSION:
        raise ValueError(
            f"path={str(source)!r} has version {about}, this library reads version {_VERSION}: write it anew."
        )
    return loaded


def _read_npz(path: Path) -> tuple[int, SamplerWeights]:
    with np.load(path, allow_pickle=False) as file:
        found = SamplerWeights(file["times"], file["weights"], file["mass"], float(file["last"]))
        return int(file["version"]), found


def _read_parquet(path: Path) -> tuple[int, SamplerWeights]:
    _, parquet = _pyarrow()
    table = parquet.read_table(path)
    about = json.loads(table.schema.metadata[_KEY.encode()])
    weights = np.stack([table[f"weight_{n}"].to_numpy() for n in range(len(about["times"]))])
    times = np.asarray(about["times"], np.float64)
    return about["version"], SamplerWeights(times, weights, table["mass"].to_numpy(), float(about["last"]))


def per_example(observation: Any, weights: Array) -> Array:
    """A `save` function: weights, those on groups given to their examples."""
    return jnp.asarray(observation.problem.per_example(weights))


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError("parquet files need pyarrow: pip install 'spectral_sim[data]', or use .npz.") from error
    return pyarrow, pyarrow.parquet
