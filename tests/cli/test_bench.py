"""`spectral-sim bench` on one small case, and what it refuses."""

import dataclasses

import pytest

from spectral_sim.benchmark import CASES, _suite, load_results

TINY = {"schedules": 3, "modes": 16, "times": 8}


@pytest.fixture
def tiny(monkeypatch):
    """The modal case at a size that takes no time, and no measurement of the roofs."""
    monkeypatch.setitem(CASES, "modal", dataclasses.replace(CASES["modal"], quick=TINY))
    monkeypatch.setattr(_suite, "measure_limits", lambda settings: [])


def test_one_case_and_a_comparison(run, refused, tiny, tmp_path):
    out = tmp_path / "deep" / "out"
    result = run("bench", "--quick", "--only", "modal", "--output", out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "bench: modal (2 of 2" in result.stderr
    assert "share of the limit: " in result.stdout
    (case,) = load_results(out / "results.json").cases
    assert (case.status, case.sizes) == ("done", TINY)
    differences = [figure.difference for figure in case.figures if figure.difference is not None]
    assert differences
    assert max(differences) < 1e-3
    assert "3 schedules x 16 modes x 8 times" in (out / "results.md").read_text()
    assert {file.name for file in out.iterdir()} >= {"results.json", "results.md", "ratios.png"}

    both = run("bench", "--compare", out / "results.json", out / "results.json")
    assert both.exit_code == 0
    assert "modal: share of the limit" in both.stdout
    assert "beyond the spread" not in both.stdout
    assert "no result of the benchmark suite" in refused("bench", "--compare", out / "results.md", out / "results.md")


def test_refusals(refused, tmp_path):
    assert "there is no device 'tpu' here; there is: cpu" in refused("bench", "--device", "tpu")
    assert "do you mean operator?" in refused("bench", "--only", "operatr")
    file = tmp_path / "file"
    file.touch()
    assert f"--output {file / 'out'}" in refused("bench", "--output", file / "out", "--only", "modal")
    assert "No such file" in refused("bench", "--compare", tmp_path / "a.json", tmp_path / "b.json")
