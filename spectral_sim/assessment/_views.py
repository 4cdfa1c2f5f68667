"""What a comparison of schedules has to show, for `Shown`."""

from typing import TYPE_CHECKING

import numpy as np

from .._shown import Line, View
from ._table import table
from ._verdict import verdict

if TYPE_CHECKING:
    from ._assessment import Assessment


def assessment_view(found: "Assessment") -> View:
    """How much has run and the first sentence of the verdict; losses and weights; a curve for each run and bound."""
    runs, bounds = found.runs, found.bounds
    splits = "" if found.planned_splits == 1 else f", {found.splits} of {found.planned_splits} splits"
    facts = {
        "of": found.title,
        "schedules": f"{len(runs)} of {found.planned}{splits}: {', '.join(run.name for run in runs)}",
        "loss": found.measure,
    }
    if runs:
        facts["verdict"] = verdict(table(found), found.subject).partition(". ")[0].rstrip(".") + "."
    facts["warnings"] = "; ".join(found.warnings) or "none"
    described = {
        "loss": found.measure,
        "train_loss": "training loss",
        "max_weight": "largest weight",
        "effective_sample_size": "fraction of the base sample that the draws are worth",
    }
    stacked = {name: np.array([getattr(run, name) for run in runs]).reshape(len(runs), -1) for name in described}
    arrays = {name: (("schedules", "times"), stacked[name], text) for name, text in described.items() if runs}
    coords = {"schedules": np.array([run.name for run in runs]), "times": np.asarray(found.times)}
    if bounds:
        arrays["bound_loss"] = (("bounds", "times"), np.stack([curve.loss for curve in bounds]), "loss of each bound")
        coords["bounds"] = np.array([curve.name for curve in bounds])

    def lines() -> list[Line]:
        judged = [curve for curve in bounds if curve.measure == "evaluation"]
        return [Line(curve.name, found.times[1:], curve.loss[1:]) for curve in (*runs, *judged)]

    return View(facts, arrays, coords, lines, ("time", found.measure))
