"""A page that holds everything it shows and opens without a network, made from the top: text, tables, figures."""

import html
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from .._extras import require
from ._results import environment


class Page:
    """What stands on a page so far.

    Arguments:
        what: what the page is, for the message where plotly is not installed.

    Raises:
        ImportError: plotly is not installed.
    """

    def __init__(self, what: str):
        self._plotly = require("plotly.offline", what).get_plotlyjs()
        self._parts: list[str] = []
        self._figures: dict[str, Any] = {}

    def add(self, *parts: str) -> None:
        """HTML as it is."""
        self._parts += parts

    def notes(self, *texts: str, kind: str = "note") -> None:
        """A paragraph for each text that is not empty."""
        self._parts += [f'<p class="{kind}">{html.escape(text)}</p>' for text in texts if text]

    def table(self, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A plain table."""
        head = "".join(f"<th>{html.escape(title)}</th>" for title in header)
        lines = ("".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in rows)
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        self.add(f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>')

    def figure(
        self, key: str, heading: str, figure: dict[str, Any] | None, notes: Sequence[str] = (), *, select: str = ""
    ) -> None:
        """A figure with its heading, the means to switch its views, and what there is to say of it; nothing for None.

        Arguments:
            key: name of the figure on the page.
            heading: HTML; none if empty.
            figure: as plotly.js takes it, perhaps with `views` to choose from, and which of them is shown at the
                `start`.
            notes: paragraphs below.
            select: what is chosen, for a list of the views; buttons if empty.
        """
        if figure is None:
            return
        self._figures[key] = figure
        self.add(*([f"<h3>{heading}</h3>"] if heading else []))
        self.add(_controls(key, figure.get("views", ()), figure.get("start", 0), select), f'<div id="{key}"></div>')
        self.notes(*notes)

    def text(self, title: str) -> str:
        """The whole page, plotly.js included once."""
        versions = environment()
        # on CPUs both are the same word
        device = " ".join(dict.fromkeys((versions["platform"], versions["device_kind"])))
        made_by = f"spectral_sim {versions['spectral_sim']}, jax {versions['jax']}, on {device}"
        values = {
            "title": html.escape(title),
            "subtitle": html.escape(f"{made_by}. This page works offline."),
            "body": "\n".join(part for part in self._parts if part),
            "figures": script_json(self._figures),
            "plotly": self._plotly,
        }
        template = resources.files(__package__ or "").joinpath("_page.html").read_text(encoding="utf-8")
        begin, *parts = template.split("{{")
        out = [begin]
        for part in parts:  # filled in one pass: what is filled in may hold braces of its own
            name, _, rest = part.partition("}}")
            out += [values[name], rest]
        return "".join(out)


def script_json(value: Any) -> str:
    """A value as JavaScript inside a script element: whatever names hold, no "<" ends or nests the element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _controls(key: str, views: Sequence[dict[str, Any]], start: int, select: str) -> str:
    if len(views) < 2:
        return ""
    names = [html.escape(view["name"]) for view in views]
    if select:
        choices = (f"<option{' selected' if n == start else ''}>{name}</option>" for n, name in enumerate(names))
        inner = f'<label>{select} <select data-figure="{key}">{"".join(choices)}</select></label>'
    else:
        pressed = ["true" if n == start else "false" for n in range(len(names))]
        inner = "".join(
            f'<button data-figure="{key}" data-view="{n}" aria-pressed="{pressed[n]}">{name}</button>'
            for n, name in enumerate(names)
        )
    return f'<div class="controls">{inner}</div>'
