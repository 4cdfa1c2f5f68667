"""The labelled table that a sweep returns."""

import json
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np

from .._extras import require
from ._plan import Plan

_ROWS = "schedules"


class Column(NamedTuple):
    """One array of the table: its shape (its values, where it does not have the axis `schedules`), type and labels."""

    shape: Any
    dtype: Any
    dims: tuple[str, ...]
    attributes: dict[str, str]


def columns_of(plan: Plan) -> dict[str, Column]:
    """Every array of the table, parameters first; tracing finds whatever does not fit together."""
    rows = len(plan.spec)
    columns = {
        name: Column((rows,), values.dtype, (_ROWS,), {"long_name": f"{name}, swept"})
        for name, values in parameters(plan, slice(0, 1)).items()
    }
    point = {path: values[0] for path, values in plan.points(0, 1).items()}
    shapes = eqx.filter_eval_shape(plan.member, plan.parts, point)
    for name, variable in plan.variables.items():
        shape = (rows, *shapes[name].shape)
        columns[name] = Column(
            shape, np.dtype(shapes[name].dtype), (_ROWS, *variable.dims), {"long_name": variable.description}
        )
        for dim, values in variable.coords.items():
            columns[dim] = Column(values, np.dtype(np.float64), (dim,), {})
    return columns


def parameters(plan: Plan, rows: slice) -> dict[str, np.ndarray]:
    """What the rows are: a number for each path; the position along its axis where the leaf is an array."""
    values = plan.spec.points(rows.start, rows.stop)
    where = np.unravel_index(np.arange(rows.start, rows.stop), plan.spec.shape)
    found = {}
    for block, position in zip(plan.spec.blocks, where, strict=True):
        for path in block.paths:
            found[path] = values[path] if values[path].ndim == 1 else position
    return found


def attributes_of(plan: Plan, title: str) -> dict[str, Any]:
    """Attributes of the table; plain values, so that every format holds them."""
    blocks = [{"paths": list(block.paths), "length": len(block)} for block in plan.spec.blocks]
    return {
        "title": title,
        "kind": plan.spec.kind,
        "hash": plan.hash,
        "blocks": json.dumps(blocks),
        "dtype": str(np.dtype(plan.problem.dtype)),
        **{f"{name}_version": version for name, version in plan.versions.items()},
        "clock": "steps" if plan.counts_steps else "time",
        "last_time": float(plan.times[-1]),
        "refreshes_per_decade": float((plan.times.size - 2) / np.log10(plan.times[-1] / plan.times[1]))
        if plan.times.size > 2
        else 0.0,
    }


def to_dataset(plan: Plan, columns: dict[str, np.ndarray], title: str) -> Any:
    """The table from its columns, held in memory."""
    xarray = require("xarray", "the table of a sweep")
    variables, coordinates = {}, {}
    for name, column in columns_of(plan).items():
        if name in plan.variables:
            variables[name] = column.dims, columns[name], column.attributes
        else:
            values = columns[name] if column.dims == (_ROWS,) else np.asarray(column.shape)
            coordinates[name] = column.dims, values, column.attributes
    return xarray.Dataset(variables, coordinates, {**attributes_of(plan, title), "complete": 1})


def as_grid(table: Any) -> Any:
    """The table of a grid with an axis for each path instead of one for all rows, to be sliced by value.

    As in `as_grid(table).final_loss.sel({"clip.high": 30.0}, method="nearest")`.

    Arguments:
        table: what `sweep` returned; rows drawn together (sobol, random_search) share the axis `draw`.

    Returns:
        An `xarray.Dataset`.
    """
    xarray = require("xarray", "the table of a sweep")
    blocks = json.loads(table.attrs["blocks"])
    shape = tuple(block["length"] for block in blocks)
    drawn = table.attrs["kind"] != "grid"
    dims = tuple("draw" if drawn and n == 0 else block["paths"][0] for n, block in enumerate(blocks))
    variables, coordinates = {}, {}
    for name, array in table.variables.items():
        if array.dims[:1] != (_ROWS,):
            coordinates[name] = array
        elif name in dims:  # constant along the other axes
            first = tuple(slice(None) if dim == name else 0 for dim in dims)
            coordinates[name] = (name,), np.asarray(array).reshape(shape)[first], array.attrs
        else:
            values = np.asarray(array).reshape(shape + array.shape[1:])
            target = coordinates if name in table.coords else variables
            target[name] = dims + array.dims[1:], values, array.attrs
    return xarray.Dataset(variables, coordinates, table.attrs)
