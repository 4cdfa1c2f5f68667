"""Interleaved timing under a clock that the test moves."""

import numpy as np
import pytest

from spectral_sim.benchmark import interleaved, spread
from spectral_sim.benchmark._timing import one_blas_thread


class Clock:
    def __init__(self):
        self.now, self.log = 0.0, []

    def __call__(self):
        return self.now

    def call(self, name, seconds):
        def run():
            self.log.append(name)
            self.now += seconds

        return run


def test_calls_take_turns_after_a_round_that_does_not_count():
    clock = Clock()
    seconds = interleaved({"ours": clock.call("ours", 1.0), "peer": clock.call("peer", 2.0)}, 3, clock)
    assert clock.log == ["ours", "peer", "ours", "peer", "peer", "ours", "ours", "peer"]
    np.testing.assert_allclose(seconds["ours"], [1.0] * 3)
    np.testing.assert_allclose(seconds["peer"], [2.0] * 3)


def test_short_calls_are_repeated():
    clock = Clock()
    seconds = interleaved({"short": clock.call("short", 1e-3)}, 2, clock)
    assert len(clock.log) == 1 + 2 * 10
    np.testing.assert_allclose(seconds["short"], [1e-3] * 2)


def test_spread_is_median_and_quartiles():
    found = spread([5.0, 1.0, 3.0, 2.0, 4.0])
    assert (found.median, found.low, found.high, found.rounds) == (3.0, 2.0, 4.0, 5)


def test_lapack_is_kept_to_one_thread_inside_the_block():
    control = pytest.importorskip("threadpoolctl")
    pytest.importorskip("scipy.linalg")
    threads = lambda: [pool["num_threads"] for pool in control.threadpool_info() if pool["user_api"] == "blas"]
    before = threads()
    with one_blas_thread():
        inside = threads()
    assert inside
    assert set(inside) == {1}
    assert threads() == before
