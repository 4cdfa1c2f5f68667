"""Host-side validation: every message names the argument, the offending value or index, and the fix.

Checks of values run on concrete arrays only; under a trace they are skipped (statuses take over inside the loop).
"""

import difflib
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from ._types import PerRefresh

_MASS_ROUNDING = 1e-3  # of a sum of masses: float16 keeps three digits


def is_concrete(*values: Any) -> bool:
    """Whether the entries of `values` may be looked at: none is being traced, or lies in part with other processes."""
    return not any(isinstance(leaf, Tracer) or _elsewhere(leaf) for leaf in jax.tree.leaves(values))


def _elsewhere(leaf: Any) -> bool:
    """Whether a part of an array is out of reach of this process, and no copy of it is at hand."""
    return isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated)


def concrete(value: Any) -> np.ndarray:
    """A value that is not being traced, as an array; the table of a `PerRefresh`."""
    return np.asarray(value.values if isinstance(value, PerRefresh) else value)


def first_index(mask: np.ndarray) -> str:
    """The first True position of `mask`, written as an index: `[3]` or `[3, 1]`; empty for a scalar."""
    where = np.argwhere(mask)[0]
    return f"[{', '.join(str(i) for i in where)}]" if where.size else ""


def nearest(name: str, valid: Iterable[str]) -> str:
    """The end of an error message: the nearest valid name, and all of them."""
    valid = sorted(valid)
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{hint} Valid: {', '.join(valid)}."


def check_choice(name: str, value: Any, valid: Iterable[str]) -> None:
    """Raise unless `value` is one of `valid`."""
    valid = list(valid)
    if value not in valid:
        raise ValueError(f"{name}={value!r} is not known.{nearest(str(value), valid)}")


def check_ndim(name: str, value: Any, ndim: int, axes: str) -> None:
    """Raise unless `value` has `ndim` axes; shapes are known under a trace too."""
    if np.ndim(value) != ndim:
        raise ValueError(f"{name} must have shape ({axes}), got shape {tuple(np.shape(value))}; reshape it.")


def check_scalar(name: str, value: Any) -> None:
    """Raise unless a hyperparameter is one number at each refresh; shapes are known under a trace too."""
    if np.ndim(value) != 0:
        raise ValueError(
            f"{name} has shape {tuple(np.shape(value))} at a refresh: give one number, or a PerRefresh table with one "
            "for each refresh; vmap runs several values at once."
        )


def check_whole(name: str, value: Any, fix: str) -> None:
    """Raise unless `value` is one whole number, known before anything is traced, of at least 1."""
    number = isinstance(value, int | float | np.integer | np.floating)
    if not number or not np.isfinite(value) or int(value) != value:
        raise ValueError(f"{name} is {value!r}: it must be one whole number; {fix}.")
    check_positive(name, value, fix)


def check_length(name: str, value: Any, length: int, reason: str) -> None:
    """Raise unless the leading axis of `value` has `length` entries."""
    if np.shape(value)[:1] != (length,):
        raise ValueError(f"{name} has shape {tuple(np.shape(value))} but {reason} needs a leading axis of {length}.")


def check_finite(name: str, value: Any, fix: str = "remove or impute it") -> None:
    """Raise on the first NaN or infinity."""
    if not is_concrete(value):
        return
    if all(_finite(part) for part in _parts(value)):
        return
    array = concrete(value)
    bad = ~np.isfinite(array)
    if bad.any():
        raise ValueError(f"{name}{first_index(bad)} is {array[bad][0]}: every entry must be finite; {fix}.")


def _parts(value: Any) -> list[np.ndarray]:
    """A value as arrays that need no copy: what each device holds, where it is spread over several."""
    shards = getattr(value, "addressable_shards", None)
    return [concrete(value)] if shards is None else [np.asarray(shard.data) for shard in shards]


def _finite(array: np.ndarray) -> bool:
    """Whether no entry is NaN or infinite, without an array of answers."""
    return array.size == 0 or bool(np.isfinite(np.min(array)) and np.isfinite(np.max(array)))


def check_entries(name: str, value: Any, is_good: Callable[[np.ndarray], Any], fix: str) -> None:
    """Raise on the first entry that is not good, and where there is none."""
    if not is_concrete(value):
        return
    array = concrete(value)
    if array.size == 0:
        raise ValueError(f"{name} is empty: {fix}.")
    bad = ~np.asarray(is_good(array))
    if bad.any():
        raise ValueError(f"{name}{first_index(bad)} is {array[bad][0]:.6g}: {fix}.")


def check_non_negative(name: str, value: Any, fix: str = "set it to zero or above") -> None:
    """Raise on the first negative or non-finite entry."""
    check_finite(name, value)
    check_entries(name, value, lambda x: x >= 0, f"it must not be negative; {fix}")


def check_positive(name: str, value: Any, fix: str = "give a positive number") -> None:
    """Raise on the first entry that is not above zero."""
    check_finite(name, value, fix)
    check_entries(name, value, lambda x: x > 0, f"it must be positive; {fix}")


def check_fraction(name: str, value: Any) -> None:
    """Raise unless every entry lies in (0, 1]."""
    check_positive(name, value, "give a fraction in (0, 1]")
    check_entries(name, value, lambda x: x <= 1, "give a fraction in (0, 1]")


def check_mass(name: str, value: Any) -> None:
    """Raise unless `value` can be a probability mass: non-negative with a positive sum."""
    if not is_concrete(value):
        return
    check_non_negative(name, value, "a probability mass has no negative entries")
    total = float(np.sum(concrete(value)))
    if total <= 0:
        raise ValueError(f"{name} sums to {total:.6g}: give at least one example positive mass.")


def check_measure(name: str, value: Any) -> None:
    """Raise unless `value` is a probability mass that sums to one, to the rounding of any dtype."""
    if not is_concrete(value) or not getattr(value, "is_fully_addressable", True):
        return
    array = concrete(value)
    total = float(np.sum(array, dtype=np.float64))
    if array.size and np.min(array) >= 0 and abs(total - 1) <= _MASS_ROUNDING:
        return
    check_mass(name, value)
    raise ValueError(f"{name} sums to {total:.6g}: a probability mass sums to one; divide it by its sum.")


def check_times(times: Any) -> None:
    """Raise unless `times` is a refresh grid: one axis, at least two entries, starting at 0 and increasing."""
    check_ndim("times", times, 1, "times")
    if np.shape(times)[0] < 2:
        raise ValueError(f"times has {np.shape(times)[0]} entry; give the start 0 and at least one later time.")
    if not is_concrete(times):
        return
    check_finite("times", times)
    array = np.asarray(times, dtype=np.float64)
    if array[0] != 0:
        raise ValueError(f"times[0] is {array[0]:.6g}: the grid starts at 0; prepend it, or use log_times().")
    check_increasing(array)


def check_increasing(array: np.ndarray) -> None:
    """Raise unless times, on one axis, increase."""
    bad = np.diff(array) <= 0
    if bad.any():
        n = int(np.argmax(bad)) + 1
        raise ValueError(
            f"times[{n}] is {array[n]:.6g}, not above times[{n - 1}] = {array[n - 1]:.6g}: "
            "times must increase; sort them and remove repeats."
        )


def check_steps(steps: Any, largest: int) -> None:
    """Raise unless `steps`, a refresh grid as `check_times` asks for, has whole numbers of at most `largest`."""
    if not is_concrete(steps):
        return
    array = np.asarray(steps)
    bad = np.rint(array) != array
    if bad.any():
        n = int(np.argmax(bad))
        raise ValueError(
            f"times[{n}] is {array[n]:.6g}, but these dynamics take steps: their refresh grid counts them; give whole "
            "numbers, such as log_steps(1, 1e6, 201)."
        )
    if array[-1] > largest:
        raise ValueError(
            f"times[{array.size - 1}] is {array[-1]:.6g}, and steps are counted up to {largest}: give fewer, or enable "
            "double precision."
        )
