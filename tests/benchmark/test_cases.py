"""Every case, run whole at sizes that take no time; what a figure means is another matter."""

import math

import jax
import pytest

from spectral_sim.benchmark import CASES, TARGETS, Figure, Spread, _limits, _suite, incomparable
from spectral_sim.benchmark._case import Settings

pytest.importorskip("diffrax")
pytest.importorskip("scipy")

MODAL = {"schedules": 8, "modes": 16, "times": 8}
OPERATOR = {"schedules": 8, "examples": 32, "features": 24}
TINY = {
    "modal": MODAL,
    "modal-adaptive": {"schedules": 2, "modes": 64, "times": 8},
    "closed": {"schedules": 2, "modes": 16, "refreshes": 6, "kinds": 2},
    "operator": OPERATOR,
    "operator-scipy": {**OPERATOR, "schedules": 1},
    "operator-run": {"schedules": 1, "examples": 8, "features": 3},
    "sgd": {"schedules": 4, "steps": 60, "intervals": 5, "nodes": 32},
    "pool": {"examples": 24, "features": 6, "steps": 5, "seeds": 8},
    "transport": {"schedules": 2, "shells": 8, "refreshes": 4},
    "features": {"widths": 2, "nodes": 48, "times": 16},
    "gradient-modal": {**MODAL, "columns": 2},
    "gradient-operator": {"schedules": 1, "examples": 8, "times": 4},
    "capped": MODAL,
    "together": {"kinds": 2, "nodes": 16, "refreshes": 4},
    "static-data": {"examples": 24, "features": 8, "refreshes": 4},
    "sweep": {"chunk": 4, "chunks": 4, "nodes": 16, "refreshes": 40},
    "learn": {"nodes": 16, "refreshes": 20, "steps": 2},
    "curves": {"nodes": 8, "points": 12},
    "compile": {"entries": 1},  # one of ten: each compiles at its default size, which tests of its own keep small
    "scaling-modal": {**MODAL, "modes": 64, "times": 24},
    "scaling-operator": {"schedules": 2, "examples": 64, "features": 160},
    "scaling-devices": MODAL,
    "million": MODAL,
    "operator-float32": OPERATOR,
}


@pytest.fixture(scope="module")
def results():
    """One run of each case, those for an accelerator too: nothing in them needs one."""
    device, settings, found = jax.devices()[0], Settings(quick=True, rounds=1, platform="cpu"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_limits, "_LONG_ENOUGH", 0.0)
        for module in ("_operator_cases", "_dynamics_cases", "_accelerator_cases"):
            patch.setattr(f"spectral_sim.benchmark.{module}.gemm", lambda dtype: _limits.gemm(dtype, least=32))
        patch.setattr("spectral_sim.benchmark._operator_cases._REFRESHES", 4)
        patch.setattr("spectral_sim.benchmark._timing._SHORTEST", 0.0)
        patch.setattr(jax, "clear_caches", lambda: None)
        for name, case in CASES.items():
            tiny = dict(case.__dict__, quick=TINY[name], platforms=())
            found[name] = _suite.run_case(type(case)(**tiny), settings, device)
    return found


@pytest.mark.parametrize("name", CASES)
def test_it_runs_and_measures_what_its_targets_need(results, name):
    result = results[name]
    assert result.status == "done", result.reason
    assert result.figures or result.points or result.reason == "only one device is there"
    keys = {figure.target for figure in result.figures if figure.target is not None}
    elsewhere = {"accelerator/modal"}  # in place of modal/limit, on an accelerator
    assert keys == {key for key, target in TARGETS.items() if target.case == name} - elsewhere
    for figure in result.figures:
        if figure.value is not None:
            assert math.isfinite(figure.value.median)
            assert incomparable(figure) == "", figure
        else:
            assert figure.note
    for program in result.programs:
        assert program.first_call > 0
        assert program.peak_bytes is None or program.peak_bytes > 0


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (1e-8, 1e-9, ""),
        (1e-8, 1e-7, ""),
        (1e-8, 2e-7, "error of the peer 2.0e-07, ours 1.0e-08"),
        (1e-8, math.nan, "error of the peer nan, ours 1.0e-08"),
        (math.nan, 1e-8, "error of the peer 1.0e-08, ours nan"),
    ],
)
def test_a_peer_that_is_less_accurate_by_more_than_ten_times_is_no_peer(ours, theirs, words):
    one = Spread(1.0, 1.0, 1.0, 1)
    assert incomparable(Figure("", one, errors=(ours, theirs))) == words


def test_accuracy_counts_down_to_the_tolerance_and_no_further():
    one = Spread(1.0, 1.0, 1.0, 1)
    assert incomparable(Figure("", one, errors=(1e-12, 1e-9), tolerance=1e-8)) == ""
    assert (
        incomparable(Figure("", one, errors=(1e-7, 1e-9), tolerance=1e-8)) == "error of the peer 1.0e-09, ours 1.0e-07"
    )
    assert incomparable(Figure("", one, difference=math.nan)) == "the results differ by nan"
