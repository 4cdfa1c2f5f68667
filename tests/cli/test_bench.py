"""`spectral-sim bench` on one small case, and what it refuses."""

import dataclasses

import pytest

from spectral_sim.benchmark import CASES, _suite, load_results
from spectral_sim.cli import _bench

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
    assert {file.name for file in out.iterdir()} >= {"results.json", "results.md"}

    both = run("bench", "--compare", out / "results.json", out / "results.json")
    assert both.exit_code == 0
    assert "modal: share of the limit" in both.stdout
    assert not any(line.endswith(("better", "worse")) for line in both.stdout.splitlines())
    assert "nan" not in both.stdout
    assert "inf" not in both.stdout
    assert "no result of the benchmark suite" in refused("bench", "--compare", out / "results.md", out / "results.md")


def test_a_failed_case_is_told_by_the_exit_code(run, monkeypatch, tmp_path):
    def bad(settings, sizes, result):
        raise RuntimeError("no luck")

    def good(settings, sizes, result):
        pass

    monkeypatch.setattr(_suite, "measure_limits", lambda settings: [])
    for work, code, words in (
        (bad, 1, "failed, RuntimeError: no luck"),
        (good, 0, "capped: 0 s"),
        (bad, 1, "kept from before"),
    ):
        monkeypatch.setitem(CASES, "capped", dataclasses.replace(CASES["capped"], run=work))
        result = run("bench", "--quick", "--only", "capped", "--output", tmp_path)
        assert result.exit_code == code, result.output
        assert words in result.stdout
    assert "A later run failed on " in (tmp_path / "results.md").read_text()


def test_the_first_error_is_the_one_that_is_told(run, refused, monkeypatch, tmp_path):
    def full(*_, **__):
        raise OSError("No space left")

    def bug(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr(_bench, "run_suite", full)
    assert refused("bench", "--output", tmp_path).endswith(f"--output {tmp_path}: No space left")
    monkeypatch.setattr(_bench, "run_suite", bug)
    result = run("bench", "--output", tmp_path)
    assert (type(result.exception), str(result.exception)) == (RuntimeError, "a bug")


def test_refusals(refused, tmp_path):
    assert "there is no device 'tpu' here; there is: cpu" in refused("bench", "--device", "tpu")
    assert "do you mean operator?" in refused("bench", "--only", "operatr")
    file = tmp_path / "file"
    file.touch()
    assert f"--output {file / 'out'}" in refused("bench", "--output", file / "out", "--only", "modal")
    assert "leave out --quick, --only" in refused("bench", "--quick", "--only", "modal", "--compare", file, file)
    assert "No such file" in refused("bench", "--compare", tmp_path / "a.json", tmp_path / "b.json")
