"""What fits have to show: facts, arrays and pictures, for `Shown`."""

from typing import TYPE_CHECKING

import numpy as np

from .._shown import Line, View, digits
from ._curve_scores import mean_score

if TYPE_CHECKING:
    from ._curve_fit import CurveFit
    from ._curve_prediction import CurvePrediction
    from ._mixture_fit import MixtureFit
    from ._training_comparison import TrainingComparison

__all__ = ["curve_view", "mixture_view", "prediction_view", "training_view"]


def curve_view(fit: "CurveFit") -> View:
    """Parameters and errors; the measured curves; points and predictions of each."""
    facts = {"fitted": ", ".join(fit.fitted), "held out": ", ".join(fit.hold_out) or "none"}
    facts["parameters"] = ", ".join(f"{name} {digits(value)}" for name, value in fit.parameters.items())
    judged = fit.hold_out or fit.fitted
    errors = {law: mean_score(scores, judged).mae for law, scores in fit.scores.items()}
    facts["error on held-out curves" if fit.hold_out else "error on fitted curves"] = ", ".join(
        f"{law} {error:.5f}" for law, error in errors.items()
    )
    facts["warnings"] = "; ".join(fit.warnings) or "none"
    arrays, coords = {}, {}
    for name, curve in fit.curves.items():
        coords[f"steps_{name}"] = np.asarray(curve.steps)
        arrays[f"loss_{name}"] = ((f"steps_{name}",), np.asarray(curve.loss), f"measured loss of {name}")

    def lines() -> list[Line]:
        drawn = []
        for name, curve in fit.curves.items():
            predicted = fit.predict_curve(name)
            drawn.append(Line(name, np.asarray(curve.steps), np.asarray(curve.loss), points=True))
            drawn.append(
                Line(f"{name}, predicted", predicted.steps, predicted.loss, False, predicted.low, predicted.high)
            )
        return drawn

    return View(facts, arrays, coords, lines, ("steps", "loss"), (False, False))


def prediction_view(predicted: "CurvePrediction") -> View:
    """A curve with its interval."""
    steps, loss, low, high = predicted.steps, predicted.loss, predicted.low, predicted.high
    facts = {
        "steps": f"{len(steps)} points, {steps[0]} to {steps[-1]}",
        "loss": f"{digits(loss[0])} to {digits(loss[-1])}, interval at the end {digits(low[-1])} to {digits(high[-1])}",
        "warnings": "; ".join(predicted.warnings) or "none",
    }
    arrays = {
        "loss": (("steps",), loss, "predicted loss"),
        "low": (("steps",), low, "lower end of the interval of a measured loss"),
        "high": (("steps",), high, "upper end of the interval of a measured loss"),
    }
    lines = lambda: [Line("predicted", steps, loss, False, low, high)]
    return View(facts, arrays, {"steps": steps}, lines, ("steps", "loss"), (False, False))


def mixture_view(fit: "MixtureFit") -> View:
    """Error beside the best baseline; the table and what is predicted of it; predicted against measured losses."""
    best, table = fit.best_baseline, fit.table
    facts = {
        "table": f"{len(table.runs)} runs, {len(fit.domains)} domains, {len(fit.metrics)} losses",
        "law": f"{fit.kind}, ridge {fit.ridge:g}, {'no boosting' if fit.boost is None else 'boosted residuals'}",
        "error on held-out runs": f"{fit.score.error:.3f} of a standard deviation, rank correlation "
        f"{fit.score.spearman:.3f}; best baseline ({best}) {fit.scores[best].error:.3f}",
        "notes": "; ".join(fit.notes) or "none",
    }
    predicted = fit.predict(table.ratios)
    arrays = {
        "ratios": (("runs", "domains"), table.ratios, "shares of the domains"),
        "loss": (("runs", "metrics"), table.losses, "measured losses"),
        "predicted": (("runs", "metrics"), predicted, "losses that the fit predicts of these runs"),
    }
    coords = {"runs": np.asarray(table.runs), "domains": np.asarray(fit.domains), "metrics": np.asarray(fit.metrics)}
    lines = lambda: [Line(name, table.losses[:, n], predicted[:, n], points=True) for n, name in enumerate(fit.metrics)]
    return View(facts, arrays, coords, lines, ("measured loss", "fitted loss"), (False, False))


def training_view(found: "TrainingComparison") -> View:
    """Every score beside that of another real run; real and predicted losses; predictions as lines, runs as points."""
    real, predicted = np.asarray(found.real.loss, np.float64), np.asarray(found.predicted.loss, np.float64)
    facts = {
        "runs": f"{len(found.names)} schedules, {len(real)} real seeds, against {found.baseline}",
        "loss": found.measure,
        "predicted by": f"the {found.predictor} kernel",
    }
    facts |= {words: f"{told} (another real run {other or 'unknown'})" for words, told, other in found.spoken()}
    facts["trust"] = f"{found.trust:.2f} of 1, a rule of thumb"
    arrays = {
        "real_loss": (("seeds", "schedules", "steps"), real, "loss of real runs"),
        "predicted_loss": (("schedules", "steps"), predicted, "loss that the kernel predicts"),
    }

    def lines() -> list[Line]:
        drawn = []
        for n, name in enumerate(found.names):
            drawn.append(Line(f"{name}, predicted", found.steps, predicted[n]))
            drawn.append(Line(name, found.steps, np.exp(np.log(real[:, n]).mean(axis=0)), points=True))
        return drawn

    coords = {"schedules": np.asarray(found.names), "steps": found.steps}
    return View(facts, arrays, coords, lines, ("steps", found.measure), (False, True))
