"""Specs: which rows there are, which paths exist, and a hash that does not depend on the process."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import spectral_sim as ss

PRACTICAL = ss.chain(ss.lag(10.0), ss.proportional(1.0), ss.clip(0.1, 100.0))


def test_rows_are_every_combination_and_the_last_path_moves_fastest():
    spec = ss.grid(PRACTICAL, **{"lag.tau": [1.0, 2.0], "clip.high": [3.0, 4.0, 5.0]})
    assert (len(spec), spec.shape, spec.paths) == (6, (2, 3), ("lag.tau", "clip.high"))
    points = spec.points(1, 8)  # rows beyond the end repeat the last one
    np.testing.assert_array_equal(points["lag.tau"], [1, 1, 2, 2, 2, 2, 2])
    np.testing.assert_array_equal(points["clip.high"], [4, 5, 3, 4, 5, 5, 5])
    schedule = spec.schedule_at(4)
    assert (schedule.stages[0].tau, schedule.stages[2].high) == (2.0, 4.0)
    with pytest.raises(IndexError, match="row 6 is not in a sweep of 6 rows"):
        spec.schedule_at(6)


def test_a_spec_does_not_change_with_the_array_it_was_made_of():
    values = np.array([0.1, 0.2])
    spec = ss.grid(ss.power_tilt(0.5), exponent=values)
    values[:] = 9
    np.testing.assert_array_equal(spec.points(0, 2)["power_tilt.exponent"], [0.1, 0.2])


def test_draws_lie_in_their_ranges_and_cross_with_values():
    ranges = {"lag.tau": (1.0, 1e4, "log"), "clip.high": (2.0, 10.0)}
    for draw in (ss.sobol, ss.sweeps.random_search):
        spec = draw(PRACTICAL, 64, 3, **ranges, **{"problem.alpha": [1.5, 2.0]})
        assert (len(spec), spec.shape) == (128, (64, 2))
        points = spec.points(0, 128)
        assert np.all((points["lag.tau"] >= 1) & (points["lag.tau"] <= 1e4))
        assert np.all((points["clip.high"] >= 2) & (points["clip.high"] <= 10))
        np.testing.assert_array_equal(points["problem.alpha"], np.tile([1.5, 2.0], 64))
        # a scrambled Sobol sequence has half its points in each half; independent draws would too only by chance
        below = np.sum(points["lag.tau"][::2] < 100)
        assert below == 32 if draw is ss.sobol else 16 < below < 48
        again = draw(PRACTICAL, 64, 3, **ranges, **{"problem.alpha": [1.5, 2.0]})
        assert again.hash == spec.hash != draw(PRACTICAL, 64, 4, **ranges, **{"problem.alpha": [1.5, 2.0]}).hash


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ss.grid(PRACTICAL, **{"clip.hihg": [1.0]}), r"'clip.hihg' is no array.*Did you mean 'clip.high'\?"),
        (lambda: ss.grid(ss.power_tilt(0.5), exponnent=[1.0]), r"Did you mean 'exponent'\?"),
        (lambda: ss.grid(ss.power_tilt(0.5), cutoff=[1.0]), "Not set in the template.*power_tilt.cutoff"),
        (lambda: ss.grid(ss.uniform(), power=[1.0]), "no stage of the schedule has an array"),
        (lambda: ss.grid(PRACTICAL), "no path to vary"),
        (lambda: ss.grid(PRACTICAL, **{"lag.tau": []}), "lag.tau has no values: an empty axis"),
        (lambda: ss.grid(PRACTICAL, **{"lag.tau": 3.0}), "is one value: give a list"),
        (lambda: ss.grid(PRACTICAL, **{"lag.tau": [1.0, np.nan]}), r"lag.tau\[1\] is nan"),
        (lambda: ss.grid(PRACTICAL, **{"lag.tau": ["a"]}), "values of type"),
        (lambda: ss.grid(PRACTICAL, **{"lag.tau": [[1.0, 2.0]]}), r"lag.tau has values of shape \(1, 2\)"),
        (lambda: ss.grid(PRACTICAL, **{"clip.high": [0.5, 2.0]}), "clip.high: clip.*admits no weights of mean one"),
        (lambda: ss.grid(PRACTICAL, **{"lag.tau": np.arange(70_000), "clip.low": np.linspace(0, 1, 70_000)}), "rows"),
        (lambda: ss.sobol(PRACTICAL, 0, **{"lag.tau": (1.0, 2.0)}), "num is 0"),
        (lambda: ss.sobol(PRACTICAL, 4, **{"lag.tau": [1.0, 2.0]}), "no path has a range"),
        (lambda: ss.sobol(PRACTICAL, 4, **{"lag.tau": (2.0, 1.0)}), "is empty: give low < high"),
        (lambda: ss.sobol(PRACTICAL, 4, **{"lag.tau": (0.0, 1.0, "log")}), "reaches zero"),
        (lambda: ss.sobol(PRACTICAL, 4, **{"lag.tau": (0.0, 1.0, "logg")}), "Did you mean 'log'"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_two_stages_of_a_name_are_told_apart_by_position():
    schedule = ss.chain(ss.proportional(1.0), ss.clip(0.0, 10.0), ss.mix(0.1), ss.clip(0.0, 5.0))
    with pytest.raises(ValueError, match=r"'clip.high' is no array"):
        ss.grid(schedule, **{"clip.high": [3.0]})
    spec = ss.grid(schedule, **{"1.high": [3.0], "3.high": [2.0]})
    assert [stage.high for stage in spec.schedule_at(0).stages[1::2]] == [3.0, 2.0]


def test_the_hash_covers_stages_paths_and_bytes_and_is_the_same_in_every_process():
    values = {"lag.tau": [1.0, 2.0], "clip.high": [3.0, 4.0]}
    spec = ss.grid(PRACTICAL, **values)
    others = [
        ss.grid(ss.chain(ss.lag(10.0), ss.proportional(1.5), ss.clip(0.1, 100.0)), **values),
        ss.grid(ss.chain(ss.stale(10.0), ss.proportional(1.0), ss.clip(0.1, 100.0)), **{"clip.high": [3.0, 4.0]}),
        ss.grid(PRACTICAL, **dict(reversed(values.items()))),
        ss.grid(PRACTICAL, **{**values, "clip.high": [3.0, np.nextafter(4.0, 5.0)]}),
    ]
    assert len({spec.hash, *(other.hash for other in others)}) == 5
    script = """
import json, jax
jax.config.update("jax_enable_x64", True)
import spectral_sim as ss
template = ss.chain(ss.lag(10.0), ss.proportional(1.0), ss.clip(0.1, 100.0))
print(json.dumps(ss.grid(template, **{"lag.tau": [1.0, 2.0], "clip.high": [3.0, 4.0]}).hash))
"""
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == spec.hash
