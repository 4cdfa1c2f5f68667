"""The phase diagram of self-scoring."""

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.report import draw_phases, self_scoring_phases


@pytest.fixture(scope="module")
def phases():
    problem = ss.power_law(2.0, 2.0, max_mode=1e9, nodes=1024)
    return self_scoring_phases(
        problem,
        sharpness=[0.5, 1.5, np.inf],
        threshold=[0.15, 0.5],
        refreshes_per_decade=[8, 48],
        window=(1e3, 1e6),
    )


def test_soft_visibility_tracks_and_hard_visibility_does_not(phases):
    assert phases.exponent.shape == (2, 3, 2)
    assert phases.static == pytest.approx(0.5, abs=0.01)
    coarse, dense = phases.exponent
    assert np.all(dense[0] > 0.9)
    for values in phases.exponent:
        np.testing.assert_allclose(values[2], phases.static, rtol=0.02)
    # in between it depends on how often the curator looks
    assert np.all(dense[1] > coarse[1] + 0.05)
    assert np.all(np.diff(dense, axis=0) < 0)


def test_the_diagram_is_drawn(phases, tmp_path):
    figure = draw_phases(phases, tmp_path / "phases.png")
    assert (tmp_path / "phases.png").stat().st_size > 10_000
    titles = [axes.get_title() for axes in figure.axes[:2]]
    assert titles == ["8 refreshes a decade", "48 refreshes a decade"]
    heading = figure.get_suptitle()
    for part in ("k^{-2}", "uniform share 0.2", "10^{3}", "10^{6}"):
        assert part in heading
    shown = {text.get_text() for axes in figure.axes[:2] for text in axes.texts}
    assert f"{phases.exponent[0, 0, 0]:.2f}" in shown


def test_only_power_laws_have_phases():
    with pytest.raises(ValueError, match="no power law"):
        self_scoring_phases(ss.ModalProblem([1.0], [1.0]), sharpness=[1.0], threshold=[0.5], refreshes_per_decade=[8])
