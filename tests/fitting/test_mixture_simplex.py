"""The least value of a convex function of shares, and what is said where it is not found."""

import warnings

import numpy as np
import pytest
from scipy.optimize import OptimizeResult

from spectral_sim.fitting._mixture_simplex import _least_corner, least_shares


def quadratic(centre, strength=1.0):
    return lambda shares: (1 + strength * np.sum((shares - centre) ** 2), 2 * strength * (shares - centre))


def test_the_nearest_shares_between_limits():
    """Against the projection onto the simplex, whose level is found by sorting."""
    rng = np.random.default_rng(0)
    for size in (2, 5, 40):
        centre = rng.dirichlet(np.ones(size)) * 1.5 - 0.1
        low, high = np.zeros(size), np.ones(size)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = least_shares(quadratic(centre), low, high, np.full(size, 1 / size))
        ordered = np.sort(centre)[::-1]
        levels = (np.cumsum(ordered) - 1) / np.arange(1, size + 1)
        level = levels[np.flatnonzero(ordered > levels)[-1]]
        np.testing.assert_allclose(found, np.maximum(centre - level, 0), atol=1e-5)


def test_the_corner_that_a_slope_points_to():
    corner = _least_corner(np.array([1.0, -1.0, 0.0]), np.array([0.1, 0.0, 0.2]), np.array([1.0, 0.5, 0.3]))
    np.testing.assert_allclose(corner, [0.2, 0.5, 0.3])


def test_a_search_that_stops_early_is_said(monkeypatch):
    def stopped(function, start, **options):
        return OptimizeResult(x=start, message="Iteration limit reached")

    monkeypatch.setattr("scipy.optimize.minimize", stopped)
    with pytest.warns(UserWarning, match=r"not found \(Iteration limit reached\): another may be better by up to"):
        found = least_shares(quadratic(np.array([0.9, 0.1])), np.zeros(2), np.ones(2), np.array([0.5, 0.5]))
    assert found.tolist() == [0.5, 0.5]
