"""Axis names, array aliases and the two conversions every public object shares.

Axis names used throughout: `modes`, `examples`, `outputs`, `features`, `groups`, `times`, `schedules`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxtyping
from jaxtyping import Array as Array
from jaxtyping import Bool as Bool
from jaxtyping import Float as Float
from jaxtyping import Int as Int
from typing_extensions import TypeAliasType

if TYPE_CHECKING:
    PyTree = Any  # what any tree is to a type checker, which knows nothing of jaxtyping's
else:
    from jaxtyping import PyTree

# One name each for unions of many types: it is what signatures and `help` show.
ArrayLike = TypeAliasType("ArrayLike", jaxtyping.ArrayLike)
PRNGKeyArray = TypeAliasType("PRNGKeyArray", jaxtyping.PRNGKeyArray)
Ranges = TypeAliasType("Ranges", Mapping[str, tuple[float | None, float | None]])
PerWeight = Float[Array, "weights"]  # one number for each mode, example or group that has a weight
Refreshes = Float[Array, "refreshes"]  # one number for each refresh that begins an interval


class PerRefresh(eqx.Module):
    """A hyperparameter that takes another value at every refresh.

    The driver slices it inside the loop, so a stage sees an ordinary array and no (times x modes) array is built
    beyond the one given here.

    Arguments:
        values: array with leading axis `times`; entry n is in force on [times[n], times[n+1]). The last entry is not
            used, since no interval follows the last time.
        rows: entry values[rows[n]] is in force at refresh n, shape (times,), whole numbers; n itself if None. Lets
            refreshes share an entry.
    """

    values: Array = eqx.field(converter=jnp.asarray)
    rows: Int[Array, "times"] | None = None

    def by_refresh(self) -> Array:
        """One entry for each refresh."""
        return self.values if self.rows is None else self.values[self.rows]

    def over(self, intervals: int) -> Array:
        """One entry for each interval of a grid; raises ValueError if there are not as many.

        Arguments:
            intervals: how many the grid has, one fewer than times.
        """
        values = self.by_refresh()
        if values.shape[:1] not in ((intervals,), (intervals + 1,)):
            raise ValueError(
                f"a PerRefresh table has shape {values.shape}: its leading axis needs one entry for each of the "
                f"{intervals + 1} times."
            )
        return values[:intervals]


def split_tables(tree: PyTree, intervals: int) -> tuple[PyTree, PyTree]:
    """The `PerRefresh` tables of a tree, cut to one entry for each interval of a loop, and the tree without them.

    Raises:
        ValueError: a table of another length.
    """
    is_table = lambda node: isinstance(node, PerRefresh)
    tables, rest = eqx.partition(tree, is_table, is_leaf=is_table)
    return jax.tree.map(lambda table: table.over(intervals), tables, is_leaf=is_table), rest


def by_refresh(value: Any, refreshes: Array) -> Array:
    """A hyperparameter, number or table, at each refresh; `refreshes` has one entry for each."""
    if isinstance(value, PerRefresh):
        return value.by_refresh()[: refreshes.size]
    return jnp.broadcast_to(value, refreshes.shape)


def as_inexact(value: ArrayLike | PerRefresh | None) -> Any:
    """Convert a hyperparameter to an inexact array; `PerRefresh` and `None` pass through."""
    if value is None or isinstance(value, PerRefresh):
        return value
    array = jnp.asarray(value)
    dtype = array.dtype if jnp.issubdtype(array.dtype, jnp.inexact) else jnp.result_type(float)
    return jax.lax.convert_element_type(array, dtype)  # also drops the weak type: one trace for floats and arrays


def cast_inexact(tree: PyTree, dtype: Any) -> PyTree:
    """Cast every inexact array leaf of `tree` to `dtype`."""
    return jax.tree.map(lambda x: x.astype(dtype) if eqx.is_inexact_array(x) else x, tree)
