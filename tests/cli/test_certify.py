"""`--certify`: what it refuses, what it tells, and what an interrupt leaves."""

import dataclasses
import io
import re

import jax
import numpy as np
import pytest
from rich.console import Console

import spectral_sim as ss
from spectral_sim.assessment import Entry
from spectral_sim.bounds._certificate_interior import InteriorMethod
from spectral_sim.cli import _certify
from spectral_sim.cli._errors import UserError
from spectral_sim.cli._part import Part

TIMES = np.linspace(0.0, 1.0, 11)


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def part(examples=7, features=3, outputs=5):
    rng = np.random.default_rng(0)
    problem = ss.OperatorProblem(rng.normal(size=(examples, features)), rng.normal(size=(examples, outputs)))
    return Part("table", problem, [], TIMES, "Table", "")


def certify(made):
    """The part after its proof, and the lines that were told."""
    out = io.StringIO()
    return _certify.certifier(made, "here", Console(file=out, width=200))(made), out.getvalue().splitlines()


def test_tells_the_bound_of_each_horizon(monkeypatch):
    found, lines = certify(part())
    assert found.certificate.verified
    assert found.settings["certificate"] == found.certificate.loss.tolist()
    bounds = [line for line in lines if "no schedule goes below" in line]
    assert len(bounds) == len(found.settings["certificate_horizons"]) == 2
    assert not any("so far" in line or "will take" in line for line in lines)  # it takes a moment
    monkeypatch.setattr(_certify, "_OFTEN", 0.0)
    _, lines = certify(part())
    assert "of one processor at 2 horizons" in lines[0]
    assert sum("begins" in line for line in lines) == 2
    assert sum("so far, not yet proven" in line for line in lines) > 4


def test_an_interrupt_leaves_what_is_proven(monkeypatch):
    whole, _ = certify(part())
    step, calls = InteriorMethod._step, []

    def interrupted(*args):
        calls.append(None)
        if len(calls) > 16:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(InteriorMethod, "_step", interrupted)
    found, lines = certify(part())
    assert found.certificate.verified
    assert found.certificate.finished.tolist() == [True, False]
    assert found.certificate.loss[0] == whole.certificate.loss[0]
    assert 0 < found.certificate.loss[1] < whole.certificate.loss[1]
    assert sum("stopped early" in line for line in lines) == 1


def test_refuses_what_takes_too_long_before_it_begins():
    large = part(400, 64, 10)
    with pytest.raises(UserError, match=r"400 weights, 64 features and 10 outputs would take about .* and \d+ GB"):
        _certify.certifier(large, "here", Console())
    with pytest.raises(UserError) as refused:
        _certify.certifier(large, "here", Console())
    most = int(str(refused.value).split("features=")[1].split(",")[0])
    assert 0 < most < 64
    _certify.certifier(part(400, most, 10), "here", Console(file=io.StringIO()))
    with pytest.raises(UserError):
        _certify.certifier(part(400, most + 1, 10), "here", Console())
    with pytest.raises(UserError, match="weights on groups"):
        _certify.certifier(part(4000, 1, 500), "here", Console())
    with pytest.raises(UserError, match="is for data"):
        _certify.certifier(Part("modes", ss.power_law(2.0, 2.0, num_modes=8), [], TIMES, "", ""), "here", Console())


def test_advises_only_what_the_command_takes():
    large = part(400, 64, 10)

    def advice(**changes):
        with pytest.raises(UserError) as refused:
            _certify.certifier(dataclasses.replace(large, **changes), "here", Console())
        return str(refused.value).split("give ")[1]

    assert re.fullmatch(r"features=\d+, or weights on groups \(group and by_group\)\.", advice())
    assert re.match(r"a file of \d+ features, or ", advice(settings={"kernel": "own features"}))
    assert advice(settings={"kernel": "own"}) == "weights on groups (group and by_group)."
    known = [Entry("known wrong labels pruned", ss.uniform(), is_ceiling=True)]
    assert advice(entries=known).endswith("(group and by_group, without noise_column).")
