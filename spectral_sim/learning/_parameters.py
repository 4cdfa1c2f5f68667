"""What a search may change: leaves of a schedule and of a dynamics, by path, each within its limits."""

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
from ..schedules import AbstractStage, stage_name, stages_of

__all__ = ["Limits", "Parameters"]

Limits = Mapping[str, tuple[float | None, float | None]]


class Parameters(eqx.Module):
    """A schedule and a dynamics whose trainable leaves are made from free numbers.

    A leaf with a lower limit only is low + exp(free), one between two limits low + (high - low) sigmoid(free), and one
    with an upper limit only high - exp(free), so that no step of an optimiser leaves the limits. A leaf of a stage for
    which no limits are given is its free number, held to the range that the stage declares.

    Arguments:
        template: the schedule and the dynamics (or None) where the search begins.
        limits: low, high and whether they are part of the range, for each leaf that is trained, infinite where there is
            none; None for every other leaf.
        samples: the number of examples that all steps together draw, or None; batch sizes are rescaled to meet it.
    """

    template: tuple[AbstractStage, AbstractDynamics | None]
    limits: PyTree = eqx.field(static=True)
    samples: float | None = eqx.field(static=True, default=None)

    @classmethod
    def create(
        cls,
        schedule: AbstractStage,
        dynamics: AbstractDynamics | None,
        trainable: str | Iterable[str],
        limits: Limits | None,
        samples: float | None,
        grid: np.ndarray,
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
        defaults, held = _declared_limits(dynamics), _held_ranges(schedule)
        found: list[tuple[float, float, bool] | None] = []
        for name, leaf, is_chosen in zip(names, leaves, chosen, strict=True):
            own = [pair for path, pair in {**defaults, **limits}.items() if _is_under(name, path)]
            if own and not is_chosen and any(_is_under(name, path) for path in limits):
                raise ValueError(f"limits: {name!r} is not trained: add it to trainable, or leave its limits out.")
            declared = [pair for path, pair in held.items() if _is_under(name, path)]
            if not is_chosen:
                found.append(None)
            elif declared and not own:
                found.append((*_ends(declared[-1]), True))
            else:
                found.append((*_checked(name, leaf, own[-1] if own else (None, None)), False))
        if samples is not None:
            _check_samples(samples, dynamics, grid[-1], [n for n, limits in zip(names, found, strict=True) if limits])
        return cls(template, tuple(found), samples)

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
        return schedule, dynamics


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


def _declared_limits(dynamics: AbstractDynamics | None) -> dict[str, tuple[float | None, float | None]]:
    """Limits that the dynamics states for its own fields."""
    return {} if dynamics is None else {f"dynamics.{name}": pair for name, pair in dynamics.ranges.items()}


def _held_ranges(schedule: AbstractStage) -> dict[str, tuple[float | None, float | None]]:
    """Ranges that stages state for their own fields: outside them a stage cannot be built, or loaded again."""
    parts = _stages_by_path(schedule)
    return {f"{prefix}.{name}": pair for prefix, stage in parts for name, pair in stage.ranges.items()}


def _ends(pair: tuple[float | None, float | None]) -> tuple[float, float]:
    return -math.inf if pair[0] is None else float(pair[0]), math.inf if pair[1] is None else float(pair[1])


def _checked(name: str, leaf: Any, pair: tuple[float | None, float | None]) -> tuple[float, float]:
    low, high = _ends(pair)
    values = concrete(leaf)
    if not low < high:
        raise ValueError(f"limits: {name!r} has ({low:g}, {high:g}), which hold nothing: give low < high.")
    outside = ~((values > low) & (values < high))
    if outside.any():
        raise ValueError(
            f"{name!r} begins at {values[outside][0]:.6g}, not strictly inside its limits ({low:g}, {high:g}): begin "
            "inside, or pass other limits={...}."
        )
    return low, high


def _to_free(value: Array, low: float, high: float, held: bool) -> Array:
    if held or (math.isinf(low) and math.isinf(high)):
        return value
    if math.isinf(high):
        return jnp.log(value - low)
    if math.isinf(low):
        return jnp.log(high - value)
    return jnp.log((value - low) / (high - value))


def _from_free(free: Array, low: float, high: float, held: bool) -> Array:
    if held:
        return _held(free, low, high)
    if math.isinf(low) and math.isinf(high):
        return free
    if math.isinf(high):
        return low + jnp.exp(free)
    if math.isinf(low):
        return high - jnp.exp(free)
    return low + (high - low) * jax.nn.sigmoid(free)


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
