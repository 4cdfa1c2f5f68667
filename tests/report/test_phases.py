"""The phase diagram of self-scoring."""

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.report import draw_phases, self_scoring_phases


@pytest.fixture(scope="module")
def phases():
    problem = ss.power_law(2.0, 2.0, max_mode=1e8, nodes=512)
    return self_scoring_phases(
        problem,
        sharpness=[0.5, 1.5, np.inf],
        threshold=[0.15, 0.5],
        refreshes_per_decade=[8, 48],
        window=(1e2, 1e5),
    )


def test_soft_visibility_tracks_and_hard_visibility_does_not(phases):
    assert phases.exponent.shape == (2, 3, 2)
    assert phases.static == pytest.approx(0.5, abs=0.01)
    coarse, dense = phases.exponent
    assert np.all(dense[0] > 0.9)
    np.testing.assert_allclose(dense[2], 0.5, rtol=0.02)
    # in between it depends on how often the curator looks
    assert np.all(dense[1] > coarse[1] + 0.05)
    assert np.all(np.diff(dense, axis=0) < 0)


def test_the_diagram_is_drawn(phases, tmp_path):
    figure = draw_phases(phases, 1.0, tmp_path / "phases.png")
    assert (tmp_path / "phases.png").stat().st_size > 10_000
    titles = [axes.get_title() for axes in figure.axes[:2]]
    assert titles == ["8 refreshes a decade", "48 refreshes a decade"]
    shown = {text.get_text() for axes in figure.axes[:2] for text in axes.texts}
    assert f"{phases.exponent[0, 0, 0]:.2f}" in shown
