"""What is recorded of every run: losses, weights averaged over rows of a heat map, and residual energy per mode."""

import itertools
from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._observation import Observation
from .._save import save_summary
from .._types import Array, Float, Int, PyTree
from .._where import where
from ..numerics import group_sums, mass_rank, squared_norms
from ..problems import AbstractProblem, ModalProblem, OperatorProblem
from ..schedules import difficulty

_QUANTILES = 20
_MOST_MODES = 128


@dataclass(frozen=True)
class Rows:
    """The rows of the weight heat map.

    Arguments:
        label: what they are.
        names: name of each row.
        position: where each row stands on its axis.
        log: whether that axis is logarithmic.
        named: whether rows are known by name and not by position.
    """

    label: str
    names: tuple[str, ...]
    position: np.ndarray
    log: bool = False
    named: bool = False


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues under uniform sampling, neighbouring modes put together where there are very many.

    Arguments:
        index: mode number, shape (modes,).
        eigenvalues: shape (modes,), per unit of time; NaN where a problem does not say.
        entry: what an entry is called.
    """

    index: np.ndarray
    eigenvalues: np.ndarray
    entry: str = "mode"


class Record(eqx.Module):
    """A `save` function: `save_summary`, `rows` and `row_energy` (times, rows), `mode_energy` (times, modes), `drive`.

    On data `picking_loss` too, the loss on the held-out rows that serve for picking a schedule; the loss itself where
    there are none.

    The drive is tr M_w / tr M. Above 1 a schedule is faster partly by training on examples with larger features, as a
    larger learning rate would be; on modes it is 1.

    Arguments:
        row: row of each mode or example.
        row_mass: base mass of each mode or example.
        mode_bin: bin of each mode; None on data.
        mode_count: multiplicity of each mode; None on data.
        eigenvalues: of the data's operator, shape (features,); None on modes.
        eigenvectors: shape (features, features); None on modes.
        norms: squared norm of each example's features, shape (examples,); None on modes.
        picking: mass of the held-out rows that serve for picking, shape (held_out,); None for none.
        num_rows: number of rows.
        num_bins: number of bins of modes.
    """

    row: Int[Array, "entries"]
    row_mass: Float[Array, "entries"]
    mode_bin: Int[Array, "modes"] | None
    mode_count: Float[Array, "modes"] | None
    eigenvalues: Float[Array, "features"] | None
    eigenvectors: Float[Array, "features features"] | None
    norms: Float[Array, "examples"] | None
    picking: Float[Array, "held_out"] | None
    num_rows: int = eqx.field(static=True)
    num_bins: int = eqx.field(static=True)

    def __call__(self, observation: Observation, weights: Float[Array, "weights"]) -> PyTree:
        problem = observation.problem
        if self.mode_bin is None:
            weights_shown, energy = problem.per_example(weights), self._data_energy(observation)
            own = getattr(observation.state, "residual", None)  # a dynamics of a user may keep another state
            residual = problem.per_example(observation.energy) if own is None else jnp.sum(own**2, axis=1)
            assert self.norms is not None
            base = problem.example_mass * self.norms
            drive = jnp.sum(base * weights_shown) / jnp.sum(base)
        else:
            weights_shown, drive, residual = weights, jnp.ones_like(observation.loss), observation.energy
            energy = _mean(observation.energy, self.mode_count, self.mode_bin, self.num_bins)
        rows, row_energy = (_mean(x, self.row_mass, self.row, self.num_rows) for x in (weights_shown, residual))
        means = {"rows": rows, "row_energy": row_energy, "mode_energy": energy, "drive": drive}
        return {**save_summary(observation, weights), **means, "picking_loss": self._picking_loss(observation)}

    def _picking_loss(self, observation: Observation) -> Float[Array, ""]:
        parameters = getattr(observation.state, "parameters", None)
        if self.picking is None or parameters is None:
            return observation.loss
        features, targets, _ = observation.problem.evaluation
        return 0.5 * jnp.sum(self.picking * jnp.sum((targets - features @ parameters) ** 2, axis=1))

    def _data_energy(self, observation: Observation) -> Float[Array, "features"]:
        """lam_k |a_k|^2 of the training residual in the eigenbasis of uniform sampling, summed over outputs."""
        assert self.eigenvalues is not None
        assert self.eigenvectors is not None
        problem, residual = observation.problem, getattr(observation.state, "residual", None)
        if residual is None:
            return jnp.full_like(self.eigenvalues, jnp.nan)
        drive = problem.features.T @ (problem.example_mass[:, None] * residual)
        known = self.eigenvalues > 0
        power = jnp.sum((self.eigenvectors.T @ drive) ** 2, axis=1)
        return where(known, power / where(known, self.eigenvalues, 1), 0)


def recorder(
    problem: AbstractProblem, group_names: tuple[str, ...] = (), picking: np.ndarray | None = None
) -> tuple[Record, Rows, Spectrum]:
    """The recorder of a comparison, with what its rows and modes are.

    Arguments:
        problem: the problem of the comparison. Members with weights per group run on the same data and share it.
        group_names: names of the groups, where `problem` itself is reweighted by group.
        picking: mass of the held-out rows that a schedule is picked on, shape (held_out,).

    Returns:
        The `save` function, the rows of the heat map, and the spectrum.
    """
    modal, data = problem.as_modal(), problem.as_operator()
    if modal is not None:
        return _modal_recorder(modal)
    return _plain_recorder(problem) if data is None else _data_recorder(data, group_names, picking)


def _plain_recorder(problem: AbstractProblem) -> tuple[Record, Rows, Spectrum]:
    """Weights in the order that the problem has them, neighbours put together; nothing is known of modes."""
    size = len(problem.mass)
    count = min(_QUANTILES, size)
    row = jnp.asarray(np.arange(size) * count // size, jnp.int32)
    position = np.arange(1.0, count + 1)
    edges = np.searchsorted(np.asarray(row), np.arange(count + 1)) + 1
    names = tuple(f"{a}" if b == a + 1 else f"{a}-{b - 1}" for a, b in itertools.pairwise(edges))
    record = Record(row, problem.mass, row, problem.mass, None, None, None, None, count, count)
    return record, Rows("weight number", names, position), Spectrum(position, np.full(count, np.nan), "weight")


def _data_recorder(
    problem: OperatorProblem, group_names: tuple[str, ...], picking: np.ndarray | None
) -> tuple[Record, Rows, Spectrum]:
    rank, values, vectors, norms = _data_facts(problem)
    if problem.groups is not None:
        assert problem.num_groups is not None
        names = group_names or tuple(f"group {i}" for i in range(problem.num_groups))
        rows = Rows("group", names, np.arange(problem.num_groups, dtype=float), named=True)
        row = problem.groups
    else:
        count = min(_QUANTILES, len(problem.mass))
        row = jnp.asarray(np.clip(np.asarray(rank) * count, 0, count - 1).astype(np.int32))
        edges = np.linspace(0, 100, count + 1)
        names = tuple(f"{low:.0f}-{high:.0f}%" for low, high in itertools.pairwise(edges))
        rows = Rows("difficulty quantile, easy to hard (%)", names, (edges[:-1] + edges[1:]) / 2)
    picked_on = None if picking is None else jnp.asarray(picking / np.sum(picking), problem.dtype)
    sizes = len(rows.names), len(values)
    record = Record(row, problem.example_mass, None, None, values, vectors, norms, picked_on, *sizes)
    return record, rows, Spectrum(np.arange(1.0, len(values) + 1), np.asarray(values, np.float64))


@eqx.filter_jit
def _data_facts(problem: OperatorProblem) -> tuple[Array, Array, Array, Array]:
    """Mid-rank of each weight by difficulty, eigenvalues and eigenvectors of M, squared norms of features."""
    place = mass_rank(difficulty(problem), problem.mass)
    rank = place.below + place.tied / 2
    values, vectors = jnp.linalg.eigh(problem.features.T @ (problem.example_mass[:, None] * problem.features))
    values, vectors = values[::-1], vectors[:, ::-1]
    null = values <= values[0] * jnp.finfo(problem.dtype).eps * len(values)
    return rank, where(null, 0, values), vectors, squared_norms(problem.features)


def _modal_recorder(problem: ModalProblem) -> tuple[Record, Rows, Spectrum]:
    index = np.asarray(problem.index, np.float64)
    position = np.log(index / index[0]) / max(np.log(index[-1] / index[0]), 1e-300)
    bins = np.arange(len(index)) if len(index) <= _MOST_MODES else np.floor(position * (_MOST_MODES - 1))
    number = np.unique(bins, return_inverse=True)[1].astype(np.int32)
    count, total = np.asarray(problem.multiplicity, np.float64), number.max() + 1

    def mean(values):
        return np.bincount(number, count * values, total) / np.bincount(number, count, total)

    spectrum = Spectrum(np.exp(mean(np.log(index))), mean(np.asarray(problem.eigenvalues, np.float64)))
    rows = Rows("mode number", tuple(f"{k:.4g}" for k in spectrum.index), spectrum.index, log=True)
    mode_bin = jnp.asarray(number)
    count = problem.multiplicity
    record = Record(mode_bin, count, mode_bin, count, None, None, None, None, int(total), int(total))
    return record, rows, spectrum


def _mean(values: Array, mass: Array | None, number: Array, count: int) -> Array:
    """Mean of the entries with the same number, weighted by mass."""
    mass = jnp.ones_like(values) if mass is None else mass
    size = group_sums(mass, number, count)
    return group_sums(mass * values, number, count) / where(size > 0, size, 1)
