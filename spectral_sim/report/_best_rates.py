"""The section on learning rates that were learned under a fit of loss curves."""

from typing import Any

import numpy as np

from ..fitting import BestRates, CurveFit
from ._html import _paragraph
from ._mixture_figures import _layout, _numbers
from ._mixture_html import _table
from ._style import BOUND_COLOUR, PALETTE

__all__ = ["best_rates_figures", "best_rates_section"]

_BAND = "rgba(0,114,178,0.18)"


def best_rates_section(fit: CurveFit, best: BestRates) -> str:
    """The section with its table; its figures are `best_rates_figures`."""
    end = best.prediction
    found = (
        f"Learned over {end.steps[-1]} steps, {best.warm_up} of them a warm-up, with rates inside the fitted range: "
        f"predicted loss {end.loss[-1]:.4f} at the end, {fit.level:.0%} interval {end.low[-1]:.4f} to "
        f"{end.high[-1]:.4f}."
    )
    rows = [("learned", end.loss[-1], best.learning_rate.max(), None)]
    rows += [(name, each.loss, each.peak, each.shape) for name, each in best.by_hand.items()]
    rows.sort(key=lambda row: row[1])
    cells = [
        [name, f"{loss:.4f}", f"{peak:.3g}", "" if shape is None else f"{shape:.3g}"]
        for name, loss, peak, shape in rows
    ]
    ends = "Families are tuned under the same law in the same range, by peak and exponent or share of the decay."
    parts = [
        "<section><h2>Best learning rates</h2>",
        _paragraph(found, "note"),
        *(_paragraph(f"{note[0].upper()}{note[1:]}.", "warning") for note in best.warnings),
        '<div id="best-rates"></div><h3>Predicted loss</h3><div id="best-loss"></div>',
        _table(["rates", "predicted loss at the end", "largest rate", "exponent or share"], cells),
        _paragraph(ends, "note"),
        "</section>",
    ]
    return "\n".join(parts)


def best_rates_figures(fit: CurveFit, best: BestRates) -> dict[str, Any]:
    """Rates of every step, and the predicted loss beside the best curve of about its length."""
    steps = np.unique(np.concatenate([[0, 1], best.grid, best.grid[1:] - 1])).clip(0, best.grid[-1] - 1)
    rates = [_line("learned", steps + 1, best.learning_rate[steps], 0)]
    winner = min(best.by_hand, key=lambda name: best.by_hand[name].loss)
    by_hand = np.repeat(best.by_hand[winner].learning_rate, np.diff(best.grid))
    warm = steps[steps >= best.warm_up]
    rates.append(_line(f"{winner}, tuned", warm + 1, by_hand[warm], 1, dash="dot"))

    end = best.prediction
    far = lambda curve: round(abs(np.log(curve.steps[-1] / end.steps[-1])), 1)
    name = min(fit.curves, key=lambda each: (far(fit.curves[each]), fit.curves[each].loss[-1]))
    curve = fit.curves[name]
    shown = end.steps >= min(curve.steps[0], end.steps[-1])
    x = end.steps[shown]
    band = {"type": "scatter", "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    loss = [
        {**band, "x": x.tolist(), "y": _numbers(end.low[shown])},
        {**band, "x": x.tolist(), "y": _numbers(end.high[shown]), "fill": "tonexty", "fillcolor": _BAND},
        _line("predicted, learned rates", x, end.loss[shown], 0),
        {
            "type": "scatter",
            "mode": "markers",
            "name": f"measured, {name}",
            "x": curve.steps.tolist(),
            "y": _numbers(curve.loss),
            "marker": {"color": BOUND_COLOUR, "size": 4},
        },
    ]
    return {
        "best-rates": {"data": rates, "layout": _layout(380, "steps", "learning rate")},
        "best-loss": {"data": loss, "layout": _layout(380, "steps", "loss")},
    }


def _line(name: str, x: np.ndarray, y: np.ndarray, colour: int, dash: str = "solid") -> dict[str, Any]:
    line = {"color": PALETTE[colour], "width": 2, "dash": dash}
    return {"type": "scatter", "mode": "lines", "name": name, "x": x.tolist(), "y": _numbers(y), "line": line}
