"""Results as files: labelled arrays in NetCDF, the numbers of the table in JSON."""

import dataclasses
import json
import math
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .. import __version__
from .._extras import require
from .._files import write_rows, write_text, write_whole
from .._status import FIRST_FAULT, status_legend
from ..analysis import Speedup
from ..assessment import Assessment, Gains, Interval, Row, Search, Taught, bracket, claim, table, verdict


def environment() -> dict[str, str]:
    """Versions and the device of this process."""
    device = jax.devices()[0]
    return {
        "spectral_sim": __version__,
        "jax": jax.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": device.platform,
        "device_kind": device.device_kind,
    }


def verdict_of(assessment: Assessment) -> str:
    """The verdict on a comparison, with the distance to the ideal oracle where that is a bound, and on a search.

    Arguments:
        assessment: the comparison.
    """
    ideal = [curve for curve in assessment.bounds if assessment.is_modal and curve.kind == "bound"]
    done = [run for run in assessment.runs[1:] if run.ok]
    ratio = None
    if ideal and done and ideal[0].loss[-1] > 0:
        best = min(done, key=lambda run: run.loss[-1])
        ratio = best.name, float(best.loss[-1] / ideal[0].loss[-1])
    numbers = table(assessment)
    text = verdict(
        numbers,
        assessment.subject,
        bracket=bracket(assessment, numbers),
        facts=assessment.facts,
        exports=assessment.exports,
        ideal_ratio=ratio,
    )
    return text if assessment.search is None else f"{text} {assessment.search.verdict}"


def to_dataset(assessment: Assessment) -> Any:
    """An `xarray.Dataset` of everything recorded.

    Dimensions: schedules, times, rows (of the heat map), modes, bounds. Variables: loss, train_loss, max_weight,
    effective_sample_size, drive, charges, training_charges, weights, row_energy, status, refresh, cost,
    quadrature_error, teacher_frontier, gain_until, eigenvalue, initial_energy, final_energy, bound_loss, bound_kind,
    bound_measure, bound_valid_until.

    Arguments:
        assessment: the comparison.

    Raises:
        ImportError: xarray is not installed.
    """
    xarray = require("xarray", "results.nc")
    runs, bounds, times = assessment.runs, assessment.bounds, assessment.times

    def stacked(name: str) -> np.ndarray:
        return np.stack([np.asarray(getattr(run, name)) for run in runs])

    over_time = ("schedules", "times")
    names = ("loss", "train_loss", "max_weight", "effective_sample_size", "drive", "charges", "training_charges")
    variables: dict[str, Any] = {name: (over_time, stacked(name)) for name in names}
    variables |= {
        "weights": (("schedules", "times", "rows"), stacked("rows")),
        "row_energy": (("schedules", "times", "rows"), stacked("row_energy")),
        **{name: ("schedules", stacked(name).astype(np.int32)) for name in ("status", "refresh")},
        "cost": ("schedules", stacked("cost")),
        "quadrature_error": ("schedules", [_or_nan(run.quadrature_error) for run in runs]),
        "teacher_frontier": ("schedules", [_or_nan(run.teacher_frontier) for run in runs]),
        "gain_until": ("schedules", [_or_nan(run.taught.gain_until if run.taught else None) for run in runs]),
        "eigenvalue": ("modes", assessment.spectrum.eigenvalues),
        "initial_energy": ("modes", assessment.reference.initial_mode_energy),
        "final_energy": (("schedules", "modes"), stacked("mode_energy")),
    }
    coordinates: dict[str, Any] = {
        "schedules": [run.name for run in runs],
        "times": times,
        "rows": list(assessment.rows.names),
        "modes": assessment.spectrum.index,
    }
    if bounds:
        coordinates["bounds"] = [curve.name for curve in bounds]
        variables |= {
            "bound_loss": (("bounds", "times"), np.stack([curve.loss for curve in bounds])),
            "bound_kind": ("bounds", [curve.kind for curve in bounds]),
            "bound_measure": ("bounds", [curve.measure for curve in bounds]),
            "bound_valid_until": ("bounds", [_or_nan(curve.valid_until) for curve in bounds]),
        }
    attributes = {
        "title": assessment.title,
        "description": assessment.description,
        "loss_is": assessment.measure,
        "rows_are": assessment.rows.label,
        "refreshes_per_decade": assessment.refreshes_per_decade,
        "complete": int(assessment.is_complete),
        "settings": json.dumps(_plain(assessment.settings)),
        **environment(),
    }
    dataset = xarray.Dataset(variables, coordinates, attributes)
    for name, text in _LONG_NAMES.items():
        dataset[name].attrs["long_name"] = text
    return dataset


_LONG_NAMES = {
    "loss": "loss under the uncurated distribution, on the evaluation set",
    "train_loss": "loss under the uncurated distribution, on the training set",
    "max_weight": "largest density ratio",
    "effective_sample_size": "1 / E[w^2]",
    "drive": "tr M_w / tr M",
    "charges": "passes over all data for scoring, at each refresh",
    "training_charges": "time units that second models train for and own labels take, at each refresh",
    "weights": "mean density ratio in each row",
    "row_energy": "mean residual energy in each row, on the training set",
    "status": f"{status_legend()}, from {FIRST_FAULT} on a fault of the row's dynamics",
    "refresh": "first bad refresh, -1 if none",
    "cost": "time units for scoring all data once",
    "quadrature_error": "largest relative change of the loss on a rule with twice the nodes",
    "teacher_frontier": "what a model trained beforehand knows: number of modes, or share of the examples",
    "gain_until": "time near which the gain from it should stop, teacher_frontier / trace",
    "eigenvalue": "eigenvalues under uniform sampling",
    "initial_energy": "residual energy per mode at time 0, on the training set",
    "final_energy": "residual energy per mode at the last time, on the training set",
}


def summary(assessment: Assessment) -> dict[str, Any]:
    """The numbers of the table, the verdict and the settings, as plain values; numbers that do not exist are null.

    Arguments:
        assessment: the comparison.
    """
    numbers = table(assessment)
    window = numbers.window
    return _plain(
        {
            "name": assessment.name,
            "title": assessment.title,
            "description": assessment.description,
            "complete": assessment.is_complete,
            "verdict": verdict_of(assessment),
            "claim": None if numbers.picked is None else claim(numbers.picked, numbers),
            "splits": assessment.splits,
            "scored_rows": assessment.scored_rows,
            "steps": None if assessment.steps is None else dataclasses.asdict(assessment.steps),
            "search": None if assessment.search is None else _search(assessment.search),
            "loss_is": assessment.measure,
            "window": None if window is None else [window.start, window.end],
            "horizon": None if window is None else window.end,
            "times": {"first": assessment.times[1], "last": assessment.times[-1], "num": len(assessment.times)},
            "refreshes_per_decade": assessment.refreshes_per_decade,
            "schedules": [_row(row, dict(numbers.taught).get(row.name)) for row in numbers.rows],
            "bounds": [
                {"name": b.name, "kind": b.kind, "final": b.loss[-1], "valid_until": b.valid_until, "note": b.note}
                for b in assessment.bounds
            ],
            "notes": numbers.footer,
            "warnings": list(assessment.warnings),
            "settings": assessment.settings,
            "environment": environment(),
        }
    )


def write_dataset(assessment: Assessment, folder: Path) -> None:
    """Write `results.nc`, replaced at once, so that it is never half written.

    Arguments:
        assessment: what was compared.
        folder: where to write.

    Raises:
        ImportError: xarray or scipy is not installed.
    """
    require("scipy", "results.nc")  # writes it for xarray
    write_whole(folder / "results.nc", lambda aside: to_dataset(assessment).to_netcdf(aside, engine="scipy"))


def write_results(assessment: Assessment, folder: Path) -> None:
    """Write `results.nc`, `summary.json` and `table.csv`.

    Arguments:
        assessment: what was compared.
        folder: where to write.
    """
    write_dataset(assessment, folder)
    write_json(summary(assessment), folder / "summary.json")
    write_table(assessment, folder)


def write_table(assessment: Assessment, folder: Path) -> None:
    """Write `table.csv`: the numbers of the table, unrounded, one row for each schedule."""
    rows = table(assessment).rows
    lines = ([row.name, row.status, *(_plain(number(row)) for number in _NUMBERS.values())] for row in rows)
    write_rows(folder / "table.csv", ["schedule", "status", *_NUMBERS], lines)


def _of(gain: str, part: str = "value") -> Callable[[Row], Any]:
    return lambda row: getattr(getattr(row.gains, gain), part, None)


_NUMBERS: dict[str, Callable[[Row], Any]] = {
    "net_gain": _of("horizon_net"),
    "net_gain_is": _of("horizon_net", "bound"),
    "net_gain_low": _of("net", "low"),
    "net_gain_high": _of("net", "high"),
    "gross_gain": _of("horizon_gross"),
    "gross_gain_low": _of("gross", "low"),
    "gross_gain_high": _of("gross", "high"),
    "loss_at_same_compute": _of("change"),
    "loss_at_same_compute_low": _of("change", "low"),
    "loss_at_same_compute_high": _of("change", "high"),
    "anytime_net_gain": _of("anytime_net"),
    "anytime_gross_gain": _of("anytime_gross"),
    "cost_by_passes": lambda row: row.passes,
    "cost_by_rejection": lambda row: row.on_the_fly,
    "final_loss": lambda row: row.final_loss,
    "lowest_loss": lambda row: row.best_loss,
    "largest_weight": lambda row: row.max_weight,
    "scale": lambda row: row.drive,
}


def write_json(value: Any, path: Path) -> None:
    """Write JSON, replacing the file at once."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _row(row: Row, taught: Taught | None) -> dict[str, Any]:
    exponent = row.exponent
    return {
        **{name: getattr(row, name) for name in ("name", "status", "final_loss", "best_loss", "max_weight", "drive")},
        "exponent": None
        if exponent is None
        else {"value": exponent.value, "stderr": exponent.stderr, "window": list(exponent.window)},
        "quadrature_error": row.quadrature_error,
        "teacher_frontier": None if taught is None else taught.frontier,
        "teacher": None if taught is None else dataclasses.asdict(taught),
        "speedup": _gains(row.gains),
        "net_interval": _ends(row.gains.net),
        "gross_interval": _ends(row.gains.gross),
        "loss_at_same_compute": None if row.gains.change is None else row.gains.change.value,
        "loss_at_same_compute_interval": _ends(row.gains.change),
        "scoring": row.scoring,
        "cost_by_passes": row.passes,
        "cost_by_rejection": row.on_the_fly,
        "picked": row.picked,
        "meaning": row.meaning,
    }


def _ends(interval: Interval | None) -> list[float] | None:
    return [interval.low, interval.high] if interval is not None and interval.is_known else None


def _search(search: Search) -> dict[str, Any]:
    return {
        "objective": search.objective,
        "verdict": search.verdict,
        "learned": [
            {
                "name": curve.name,
                "searched_on": curve.measured_on,
                "steps": len(curve.values),
                "starts": curve.values.shape[1],
                "objective": curve.value,
                "objective_with_penalties": curve.best[-1] if curve.is_penalised else None,
                "bound": curve.optimum,
                "bound_is": curve.kind,
                "uniform": curve.uniform,
                "best_by_hand": curve.by_hand,
                "best_by_hand_objective": curve.by_hand_value,
            }
            for curve in search.curves
        ],
    }


def _gains(gains: Gains) -> dict[str, Any]:
    def plain(value: Speedup | None):
        return None if value is None else {"value": value.value, "bound": value.bound}

    return {
        "anytime": {"gross": plain(gains.anytime_gross), "net": plain(gains.anytime_net)},
        "one_horizon": {"gross": plain(gains.horizon_gross), "net": plain(gains.horizon_net)},
    }


def _plain(value: Any) -> Any:
    """JSON values only: no NumPy scalars, no NaN."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
