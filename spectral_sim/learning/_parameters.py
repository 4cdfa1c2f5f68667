"""What a search may change: leaves of a schedule and of a dynamics, by path, each within its limits."""

import functools
import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import concrete, nearest
from .._types import Array, PerRefresh, PyTree
from ..dynamics import AbstractDynamics
from ..problems import AbstractProblem
from ..schedules import AbstractStage, stage_name, stages_of

Limits = Mapping[str, tuple[Any, Any]]  # by path (low, high): numbers, arrays like the leaf, None, or STABLE for high
STABLE = "stable"
_RATE = "dynamics.learning_rate"


class Parameters(eqx.Module):
    """A schedule and a dynamics whose trainable leaves are made from free numbers.

    A leaf with a lower limit only is low + exp(free), one between two limits low + (high - low) sigmoid(free), and one
    with an upper limit only high - exp(free), so that no step of an optimiser leaves the limits. A leaf of a stage for
    which no limits are given is its free number, held to the range that the stage declares.

    Arguments:
        template: the schedule and the dynamics (or None) where the search begins.
        limits: low, high and whether they are part of the range, for each leaf that is trained, infinite where there is
            none; None for every other leaf. Low and high are numbers, or tuples with one for each entry of the leaf.
        samples: the number of examples that all steps together draw, or None; batch sizes are rescaled to meet it.
        stable: problems on which the learning rate is to be stable at the batch sizes in force, whatever those become;
            none where its limits are numbers.
        held: whether the weights are uniform throughout, so that the rate may be as large as is stable under those.
    """

    template: tuple[AbstractStage, AbstractDynamics | None]
    limits: PyTree = eqx.field(static=True)
    samples: float | None = eqx.field(static=True, default=None)
    stable: tuple[AbstractProblem, ...] = ()
    held: bool = eqx.field(static=True, default=False)

    @classmethod
    def create(
        cls,
        schedule: AbstractStage,
        dynamics: AbstractDynamics | None,
        trainable: str | Iterable[str],
        limits: Limits | None,
        samples: float | None,
        grid: np.ndarray,
        problems: tuple[AbstractProblem, ...] = (),
    ) -> "Parameters":
        """Choose leaves by path.

        Raises:
            ValueError: a path that names no leaf, limits of a leaf that is not trained, or a leaf that does not begin
                strictly inside its limits; the message names it.
        """
        template = schedule, dynamics
        names, leaves = _named_leaves(template)
        trainable, limits = (trainable,) if isinstance(trainable, str) else tuple(trainable), dict(limits or {})
        for argument, paths in (("trainable", trainable), ("limits", limits)):
            for path in paths:
                if path != "schedule" and not any(_is_under(name, path) for name in names):
                    given = "" if dynamics is not None else " (no dynamics are given)"
                    raise ValueError(f"{argument}: {path!r} names no inexact array{given}.{nearest(path, names)}")
        chosen = [any(_is_under(name, path) for path in trainable) for name in names]
        if not any(chosen):
            raise ValueError(
                "the schedule has no inexact array leaf: there is nothing to learn; try TableSchedule.create()."
            )
        ranges = _held_ranges(schedule)
        defaults = {} if dynamics is None else {f"dynamics.{name}": pair for name, pair in dynamics.ranges.items()}
        held = not any(_is_under(name, "schedule") for name, yes in zip(names, chosen, strict=True) if yes)
        held = held and not schedule.curates
        stable = ()
        found: list[tuple[Any, Any, bool] | None] = []
        for name, leaf, is_chosen in zip(names, leaves, chosen, strict=True):
            own = [pair for path, pair in {**defaults, **limits}.items() if _is_under(name, path)]
            if own and not is_chosen and any(_is_under(name, path) for path in limits):
                raise ValueError(f"limits: {name!r} is not trained: add it to trainable, or leave its limits out.")
            declared = [pair for path, pair in ranges.items() if _is_under(name, path)]
            low, high = own[-1] if own else (None, None)
            if is_chosen and isinstance(high, str):
                _check_stable(name, high, dynamics)
                stable = problems
                high = concrete(_largest_rate(dynamics, problems, held))
            if not is_chosen:
                found.append(None)
            elif declared and not own:
                found.append((*_ends(declared[-1]), True))
            else:
                found.append((*_checked(name, leaf, (low, high)), False))
        if samples is not None:
            _check_samples(samples, dynamics, grid[-1], [n for n, limits in zip(names, found, strict=True) if limits])
        return cls(template, tuple(found), samples, stable, held)

    def free(self) -> list[Array]:
        """The free numbers of the template, one array for each trained leaf."""
        _, leaves = _named_leaves(self.template)
        pairs = zip(leaves, self.limits, strict=True)
        return [_to_free(jnp.asarray(leaf), *limits) for leaf, limits in pairs if limits is not None]

    def build(self, free: list[Array], grid: np.ndarray) -> tuple[AbstractStage, AbstractDynamics | None]:
        """The schedule and the dynamics that free numbers stand for.

        Arguments:
            free: as `free()` returns them.
            grid: where the run is refreshed, shape (times,); in steps, for a number of samples.
        """
        leaves, structure = jax.tree.flatten(eqx.filter(self.template, eqx.is_inexact_array))
        new, pairs = iter(free), zip(leaves, self.limits, strict=True)
        built = [leaf if limits is None else _from_free(next(new), *limits) for leaf, limits in pairs]
        schedule, dynamics = eqx.combine(jax.tree.unflatten(structure, built), self.template)
        if self.samples is not None and dynamics is not None:
            batches = _within_budget(dynamics, self.samples, np.diff(grid))
            dynamics = eqx.tree_at(lambda d: d.batch_size, dynamics, batches)
        if self.stable:
            dynamics = self._at_stable_rates(dynamics)
        return schedule, dynamics

    def _at_stable_rates(self, dynamics: Any) -> Any:
        """The dynamics with each rate at the same share of the stable range as it has at the batches of the start."""
        names, _ = _named_leaves(self.template)
        low, high, _ = next(own for name, own in zip(names, self.limits, strict=True) if own and _is_under(name, _RATE))
        table = isinstance(dynamics.learning_rate, PerRefresh)
        leaf = lambda d: d.learning_rate.values if table else d.learning_rate
        rate = leaf(dynamics)
        low, high = np.asarray(low, rate.dtype), np.asarray(high, rate.dtype)
        top = _largest_rate(dynamics, self.stable, self.held).astype(rate.dtype)
        return eqx.tree_at(leaf, dynamics, low + (top - low) * (rate - low) / (high - low))


def _named_leaves(template: tuple[AbstractStage, AbstractDynamics | None]) -> tuple[list[str], list[Array]]:
    """Every inexact array of the template, in the order of its leaves, and a path for each."""
    schedule, dynamics = template
    names, leaves = [], []
    for prefix, part in [*_stages_by_path(schedule), ("dynamics", dynamics)]:
        for path, leaf in jax.tree_util.tree_flatten_with_path(eqx.filter(part, eqx.is_inexact_array))[0]:
            names.append(prefix + "".join(f".{_key(key)}" for key in path))
            leaves.append(leaf)
    return names, leaves


def _stages_by_path(schedule: AbstractStage) -> list[tuple[str, AbstractStage]]:
    stages = stages_of(schedule)
    return [(f"schedule.{stage_name(stage)}" if len(stages) > 1 else "schedule", stage) for stage in stages]


def _key(key: Any) -> str:
    found = (getattr(key, name) for name in ("name", "idx", "key") if hasattr(key, name))
    return str(next(found, key))


def _is_under(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}.")


def _held_ranges(schedule: AbstractStage) -> dict[str, tuple[float | None, float | None]]:
    """Ranges that stages state for their own fields: outside them a stage cannot be built, or loaded again."""
    parts = _stages_by_path(schedule)
    return {f"{prefix}.{name}": pair for prefix, stage in parts for name, pair in stage.ranges.items()}


def _ends(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    """Low and high, infinite where there is none."""
    return -math.inf if pair[0] is None else pair[0], math.inf if pair[1] is None else pair[1]


def _checked(name: str, leaf: Any, pair: tuple[Any, Any]) -> tuple[Any, Any]:
    """The limits of a leaf as floats, or as tuples of them, once it is known to begin inside."""
    values = concrete(leaf)
    low, high = (np.asarray(bound, np.float64) for bound in _ends(pair))
    for bound in (low, high):
        if bound.ndim and bound.shape != values.shape:
            raise ValueError(f"limits: {name!r} has limits of shape {bound.shape}, not {values.shape}: one an entry.")
        if np.isinf(bound).any() and not np.isinf(bound).all():
            raise ValueError(f"limits: {name!r} has limits of which some are infinite: give finite ones, or None.")
    lows, highs = np.broadcast_to(low, values.shape), np.broadcast_to(high, values.shape)
    if not (low < high).all():
        at = tuple(np.argwhere(~np.broadcast_to(low < high, values.shape))[0])
        held = f"({lows[at]:g}, {highs[at]:g})"
        raise ValueError(f"limits: {name!r} has {held}, which hold nothing: give low < high.")
    outside = ~((values > low) & (values < high))
    if outside.any():
        held = f"({lows[outside][0]:g}, {highs[outside][0]:g})"
        raise ValueError(
            f"{name!r} begins at {values[outside][0]:.6g}, not strictly inside its limits {held}: begin inside, or "
            "pass other limits={...}."
        )
    return _hashable(low), _hashable(high)


def _hashable(bound: np.ndarray) -> Any:
    values = bound.tolist()
    return tuple(values) if isinstance(values, list) else values


def _to_free(value: Array, low: Any, high: Any, held: bool) -> Array:
    low, high = np.asarray(low, value.dtype), np.asarray(high, value.dtype)
    if held or (np.isinf(low).all() and np.isinf(high).all()):
        return value
    if np.isinf(high).all():
        return jnp.log(value - low)
    if np.isinf(low).all():
        return jnp.log(high - value)
    return jnp.log((value - low) / (high - value))


def _from_free(free: Array, low: Any, high: Any, held: bool) -> Array:
    if held:
        return _held(free, low, high)
    low, high = np.asarray(low, free.dtype), np.asarray(high, free.dtype)
    if np.isinf(low).all() and np.isinf(high).all():
        return free
    if np.isinf(high).all():
        return low + jnp.exp(free)
    if np.isinf(low).all():
        return high - jnp.exp(free)
    return low + (high - low) * jax.nn.sigmoid(free)


def _check_stable(name: str, high: str, dynamics: Any) -> None:
    if high != STABLE or name not in (_RATE, f"{_RATE}.values"):
        raise ValueError(f"limits: {name!r} has {high!r}: give numbers or None; only a learning rate may be 'stable'.")
    batch, rate = dynamics.batch_size, dynamics.learning_rate
    tables = all(isinstance(setting, PerRefresh) and setting.rows is None for setting in (batch, rate))
    changes = callable(batch) or concrete(batch).ndim > 0
    if changes and not (tables and len(batch.values) == len(rate.values)):
        raise ValueError(
            "limits: a learning rate that is to be 'stable' at batch sizes that change needs both as PerRefresh tables "
            "of one length."
        )


def _largest_rate(dynamics: Any, problems: tuple[AbstractProblem, ...], held: bool) -> Array:
    """The largest rate that is stable on every problem at the batch sizes of the dynamics."""
    each = [dynamics.largest_rate(problem, jnp.ones_like(problem.mass) if held else None) for problem in problems]
    if any(rate is None for rate in each):
        raise ValueError(f"limits: {type(dynamics).__name__} does not tell its largest stable rate: give a number.")
    return functools.reduce(jnp.minimum, each)


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _held(free: Array, low: float, high: float) -> Array:
    """The number, or the end of the range that it is beyond, with the slope there: so a search may come back."""
    return jnp.clip(free, low, high)


@_held.defjvp
def _held_jvp(low, high, primals, tangents):
    return _held(primals[0], low, high), tangents[0]


def _check_samples(samples: float, dynamics: Any, steps: float, trained: list[str]) -> None:
    if dynamics is None or dynamics.clock != "steps" or not any(_is_under(n, "dynamics.batch_size") for n in trained):
        raise ValueError(
            f"samples={samples:g} is a budget for the batches of all steps: pass dynamics with steps, and "
            "'dynamics.batch_size' in trainable, or leave samples out."
        )
    if np.ndim(concrete(dynamics.batch_size)) == 1 and not isinstance(dynamics.batch_size, PerRefresh):
        raise ValueError("samples needs batch_size to be one number or a PerRefresh table, not one number a step.")
    if not samples > steps:
        raise ValueError(f"samples={samples:g} is not above the {steps:g} steps of the run: each draws an example.")


def _within_budget(dynamics: Any, samples: float, steps: np.ndarray) -> Any:
    """Batch sizes B scaled to 1 + c (B - 1), so that all steps together draw `samples` examples and none draws less."""
    batch = dynamics.batch_size
    table = isinstance(batch, PerRefresh)
    each = batch.over(steps.size) if table else batch
    more = jnp.sum(jnp.asarray(steps, each.dtype) * (each - 1))
    scale = (samples - float(steps.sum())) / more
    scaled = lambda values: 1 + scale * (values - 1)
    return PerRefresh(scaled(batch.values), batch.rows) if table else scaled(batch)
