import numpy as np
import pytest
from mixture_tables import truth


@pytest.fixture(scope="module")
def large():
    """Ten mixtures, and their losses at two larger scales: one ratio for each loss, or a shift and a slope."""
    ratios = np.random.default_rng(5).dirichlet(np.ones(4), 10)
    return ratios, 0.7 * truth(ratios), np.array([1.0, 0.2, 0.5]) + 0.4 * truth(ratios)


@pytest.mark.parametrize(("which", "method"), [(1, "ratio"), (2, "affine")])
def test_the_map_is_chosen_on_left_out_runs(mixture_fit, large, which, method):
    known, new = slice(0, 6), slice(6, 10)
    scaled = mixture_fit.rescale(large[0][known], large[which][known])
    assert np.abs(scaled.predict(large[0][new]) - large[which][new]).max() < 0.03
    assert (scaled.scale.method == method) or which == 1  # a map with more freedom may fit the law's own errors
    assert "large scale" in scaled.notes[-1]
    low, high = scaled.interval(large[0][new])
    assert np.mean((low <= large[which][new]) & (large[which][new] <= high)) > 0.7
    # the optimum of a rescaled fit weighs losses by the slopes
    slopes = scaled.scale.slope / scaled.scale.slope.sum()
    np.testing.assert_allclose(scaled.optimum().shares, mixture_fit.optimum(slopes).shares, atol=1e-4)


def test_few_runs_give_ratios_and_bad_ones_are_refused(mixture_fit, large):
    one = mixture_fit.rescale(large[0][:1], large[1][:1])
    assert one.scale.method == "ratio"
    assert "cannot be told from one run" in one.notes[-1]
    with pytest.raises(ValueError, match="needs 4 large runs, got 2"):
        mixture_fit.rescale(large[0][:2], large[1][:2], method="affine")
    with pytest.raises(ValueError, match="2 runs of 3 losses are expected"):
        mixture_fit.rescale(large[0][:2], large[1][:3])


def test_clock_is_exact_at_its_steps_and_refuses_to_extrapolate(mixture_fit, large):
    ratios, steps, factors = large[0][:4], np.array([100.0, 1000.0, 4000.0]), np.array([1.2, 1.0, 0.8])
    losses = factors[None, :, None] * mixture_fit.predict(ratios)[:, None, :]
    clock = mixture_fit.clock(steps, ratios, losses)
    np.testing.assert_allclose(clock.at(4000).predict(ratios), losses[:, 2], rtol=1e-9)
    np.testing.assert_allclose(clock.at(2000).predict(ratios), 0.9 * mixture_fit.predict(ratios), rtol=1e-9)
    for step in (50, 4001):
        with pytest.raises(ValueError, match="not extrapolated in time"):
            clock.at(step)
    with pytest.raises(ValueError, match=r"steps\[1\] is 'late'"):
        mixture_fit.clock([100, "late", 4000], ratios, losses)
    with pytest.raises(ValueError, match="positive numbers that increase"):
        mixture_fit.clock(steps[::-1], ratios, losses)
    with pytest.raises(ValueError, match="4 full runs of 3 losses need losses of shape"):
        mixture_fit.clock(steps, ratios, losses[:, :2])
