"""How results show themselves: in a few lines, as HTML, as labelled arrays, as a picture and as a file."""

import abc
import html
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ._extras import require
from ._files import write_whole


@dataclass(frozen=True)
class Line:
    """A line of a picture, or its points.

    Arguments:
        name: for the legend.
        x: shape (points,).
        y: shape (points,).
        points: whether to draw points instead of a line.
        low: lower end of a band about it, shape (points,), or None.
        high: upper end of the band, shape (points,), or None.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    points: bool = False
    low: np.ndarray | None = None
    high: np.ndarray | None = None


@dataclass(frozen=True)
class View:
    """What a result has to show.

    Arguments:
        facts: name and text of what a reader wants to know first.
        arrays: by name the dimensions, the values and a description.
        coords: values along dimensions.
        lines: makes those of its picture.
        labels: of the axes of the picture, x and y.
        logarithmic: whether each axis is, x and y.
    """

    facts: Mapping[str, str]
    arrays: Mapping[str, tuple[Sequence[str], np.ndarray, str]]
    coords: Mapping[str, np.ndarray] = field(default_factory=dict)
    lines: Callable[[], Sequence[Line]] = tuple
    labels: tuple[str, str] = ("", "")
    logarithmic: tuple[bool, bool] = (True, True)


class Shown(abc.ABC):
    """A result that shows itself; a class says what there is to show by `_view`."""

    @abc.abstractmethod
    def _view(self) -> View | None:
        """What there is to show; None where values are not known yet, as under a trace."""

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` of everything recorded, with names for its axes.

        Raises:
            ImportError: xarray is not installed.
            ValueError: under a trace, where values are not known.
        """
        xarray = require("xarray", "to_xarray()")
        view = self._known()
        arrays = {
            name: (tuple(dims), values, {"description": text}) for name, (dims, values, text) in view.arrays.items()
        }
        return xarray.Dataset(arrays, dict(view.coords), {"summary": repr(self)})

    def save_arrays(self, path: str | os.PathLike[str]) -> None:
        """Write what `to_xarray` returns as a NetCDF file, replaced at once, for `xarray.open_dataset`.

        Arguments:
            path: file ending in .nc.

        Raises:
            ImportError: xarray is not installed.
            ValueError: another suffix.
        """
        target = Path(path)
        if target.suffix != ".nc":
            raise ValueError(f"{str(path)!r} does not end in .nc: labelled arrays are written as NetCDF.")
        write_whole(target, lambda aside: self.to_xarray().to_netcdf(aside, engine="scipy"))

    def plot(self, axes: Any = None) -> Any:
        """Draw it.

        Arguments:
            axes: of matplotlib, to draw into; new ones if None.

        Returns:
            The axes.

        Raises:
            ImportError: matplotlib is not installed.
            ValueError: under a trace, where values are not known.
        """
        pyplot = require("matplotlib.pyplot", "plot()")
        view = self._known()
        if axes is None:
            _, axes = pyplot.subplots(layout="constrained")
        lines = view.lines()
        for line in lines:
            style = {"marker": ".", "linestyle": "none"} if line.points else {}
            (drawn,) = axes.plot(line.x, line.y, label=line.name, **style)
            if line.low is not None:
                axes.fill_between(line.x, line.low, line.high, color=drawn.get_color(), alpha=0.2, linewidth=0)
        scales = ["log" if logarithmic else "linear" for logarithmic in view.logarithmic]
        axes.set(xlabel=view.labels[0], ylabel=view.labels[1], xscale=scales[0], yscale=scales[1])
        if 1 < len(lines) <= 12:
            axes.legend()
        return axes

    def __repr__(self) -> str:
        view = self._view()
        if view is None:
            return f"<{type(self).__name__} under a trace>"
        width = max(map(len, view.facts), default=0)
        return "\n".join([type(self).__name__, *(f"  {name:{width}}  {text}" for name, text in view.facts.items())])

    def _repr_html_(self) -> str:
        view = self._view()
        facts = view.facts if view else {"values": "not known under a trace"}
        left = "style='text-align:left'"
        rows = "".join(
            f"<tr><th {left}>{html.escape(name)}</th><td {left}>{html.escape(text)}</td></tr>"
            for name, text in facts.items()
        )
        return f"<table><caption><b>{type(self).__name__}</b></caption>{rows}</table>"

    def _known(self) -> View:
        view = self._view()
        if view is None:
            raise ValueError(f"{type(self).__name__} holds traced values: show it outside of jit, grad and vmap.")
        return view


def digits(value: Any) -> str:
    """A number with four significant digits."""
    return f"{float(value):.4g}"
