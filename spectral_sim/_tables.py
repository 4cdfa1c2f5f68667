"""Hyperparameters that change from refresh to refresh, taken apart for a loop over refreshes."""

from typing import Any

import equinox as eqx
import jax

from ._types import PerRefresh, PyTree

__all__ = ["split_tables"]


def split_tables(tree: PyTree, intervals: int) -> tuple[PyTree, PyTree]:
    """The `PerRefresh` tables of a tree, cut to one entry for each interval, and the tree without them.

    Raises:
        ValueError: a table of another length.
    """
    tables, rest = eqx.partition(tree, _is_table, is_leaf=_is_table)

    def cut(table: PerRefresh):
        values = table.by_refresh()
        if values.shape[:1] not in ((intervals,), (intervals + 1,)):
            raise ValueError(
                f"a PerRefresh table has shape {values.shape}: its leading axis needs one entry for each of the "
                f"{intervals + 1} times."
            )
        return values[:intervals]

    return jax.tree.map(cut, tables, is_leaf=_is_table), rest


def _is_table(node: Any) -> bool:
    return isinstance(node, PerRefresh)
