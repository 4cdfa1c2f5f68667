"""The section on learning rates that were learned under a fit of loss curves."""

import numpy as np

from ..fitting import BestRates, CurveFit
from ._page import Page
from ._plotly import band, linear_layout, scatter
from ._style import BAND, BOUND_COLOUR, PALETTE


def best_rates_section(page: Page, fit: CurveFit, best: BestRates) -> None:
    """Rates of every step, the predicted loss beside the best curve of about its length, and the families by hand."""
    end = best.prediction
    page.add("<section><h2>Best learning rates</h2>")
    page.notes(
        f"Learned over {end.steps[-1]} steps, {best.warm_up} of them a warm-up, with rates inside the fitted range: "
        f"predicted loss {end.loss[-1]:.4f} at the end, {fit.level:.0%} interval {end.low[-1]:.4f} to "
        f"{end.high[-1]:.4f}."
    )
    page.notes(*(f"{note[0].upper()}{note[1:]}." for note in best.warnings), kind="warning")
    page.figure("best-rates", "", _rates_figure(best))
    page.figure("best-loss", "Predicted loss", _loss_figure(fit, best))
    rows = [("learned", end.loss[-1], best.learning_rate.max(), None)]
    rows += [(name, each.loss, each.peak, each.shape) for name, each in best.by_hand.items()]
    cells = [
        [name, f"{loss:.4f}", f"{peak:.3g}", "" if shape is None else f"{shape:.3g}"]
        for name, loss, peak, shape in sorted(rows, key=lambda row: row[1])
    ]
    page.table(["rates", "predicted loss at the end", "largest rate", "exponent or share"], cells)
    page.notes("Families are tuned under the same law in the same range, by peak and exponent or share of the decay.")
    page.add("</section>")


def _rates_figure(best: BestRates) -> dict:
    steps = np.unique(np.concatenate([[0, 1], best.grid, best.grid[1:] - 1])).clip(0, best.grid[-1] - 1)
    winner = min(best.by_hand, key=lambda name: best.by_hand[name].loss)
    by_hand = np.repeat(best.by_hand[winner].learning_rate, np.diff(best.grid))
    warm = steps[steps >= best.warm_up]
    rates = [
        scatter("lines", "learned", steps + 1, best.learning_rate[steps], line=_look(0)),
        scatter("lines", f"{winner}, tuned", warm + 1, by_hand[warm], line=_look(1, "dot")),
    ]
    return {"data": rates, "layout": linear_layout(380, "steps", "learning rate")}


def _loss_figure(fit: CurveFit, best: BestRates) -> dict:
    end = best.prediction
    far = lambda curve: round(abs(np.log(curve.steps[-1] / end.steps[-1])), 1)
    name = min(fit.curves, key=lambda each: (far(fit.curves[each]), fit.curves[each].loss[-1]))
    curve = fit.curves[name]
    shown = end.steps >= min(curve.steps[0], end.steps[-1])
    x = end.steps[shown]
    loss = [
        *band(x, end.low[shown], end.high[shown], BAND),
        scatter("lines", "predicted, learned rates", x, end.loss[shown], line=_look(0)),
        scatter("markers", f"measured, {name}", curve.steps, curve.loss, marker={"color": BOUND_COLOUR, "size": 4}),
    ]
    return {"data": loss, "layout": linear_layout(380, "steps", "loss")}


def _look(colour: int, dash: str = "solid") -> dict:
    return {"color": PALETTE[colour], "width": 2, "dash": dash}
