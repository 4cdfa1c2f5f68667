"""The table on terminals of any width."""

import io

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.assessment import Entry, run_assessment
from spectral_sim.cli._running import plain_console
from spectral_sim.cli._show import first_row, show


@pytest.fixture(scope="module")
def assessment():
    problem = ss.power_law(2.0, 2.0, num_modes=8)
    entries = [Entry("a [bold] name", ss.proportional()), Entry("bad", ss.static_weights(-np.ones(8)))]
    return run_assessment("law", problem, entries, ss.log_times(0.1, 50.0, 14))


@pytest.mark.parametrize("width", [70, 160])
def test_nothing_is_cut_off(assessment, width):
    out = io.StringIO()
    show(assessment, plain_console(file=out, width=width))
    text = out.getvalue()
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    for word in ("a [bold] name", "uniform", "gain", "status", "negative weights"):
        assert word in text
    assert ("Left out for want of room" in text) == (width == 70)
    assert ("largest" in text.split("Gain:")[0]) == (width == 160)
    assert first_row(assessment).startswith("  first: a [bold] name gains ")
