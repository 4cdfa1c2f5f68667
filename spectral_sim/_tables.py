"""Hyperparameters that change from refresh to refresh, taken apart for a loop over refreshes."""

from typing import Any

import equinox as eqx
import jax

from ._types import PerRefresh, PyTree


def split_tables(tree: PyTree, intervals: int) -> tuple[PyTree, PyTree]:
    """The `PerRefresh` tables of a tree, cut to one entry for each interval, and the tree without them.

    Raises:
        ValueError: a table of another length.
    """
    tables, rest = eqx.partition(tree, _is_table, is_leaf=_is_table)

    return jax.tree.map(lambda table: table.over(intervals), tables, is_leaf=_is_table), rest


def _is_table(node: Any) -> bool:
    return isinstance(node, PerRefresh)
