"""`spectral-sim demo`: its parts, and the entry point."""

import importlib
import sys

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.cli import _demo, main
from spectral_sim.cli._demo import PARTS, demo_parts


def test_the_demo_has_three_parts_whose_answers_are_known(refused, tmp_path):
    parts = dict(demo_parts(True, "float32", 64))
    assert tuple(parts) == PARTS == ("wrong_labels", "domains", "clean_digits")
    domains = parts["domains"]()
    assert domains.problem.features.shape == (400, 48)  # as many as are drawn for each split
    assert str(domains.problem.dtype) == "float32"
    assert {"uniform", "domains by loss", "turned images 4 times"} < {entry.name for entry in domains.entries}
    assert len(domains.more_splits) == 2
    turned = next(entry for entry in domains.entries if entry.name == "turned images 4 times").schedule
    rare = np.asarray(turned.values) == 4.0
    assert 0.05 < rare.mean() < 0.2
    (tmp_path / "file").write_text("mine")
    assert "--force" in refused("demo", "--output", tmp_path)


def test_weights_learned_on_few_changes_win_on_wrong_labels(monkeypatch):
    """On rows that the search has not seen, and on a finer grid than it looked at."""
    made = {}
    monkeypatch.setattr(_demo, "data_part", lambda *names, **options: made.update(options))
    monkeypatch.setattr(_demo, "trained_on_validation", lambda problem, picking, times: "")
    dict(demo_parts(True, "float64", 32))["wrong_labels"]()
    task, times = made["task"], made["times"]
    schedule = _demo._learned(task, times).schedule
    rows = np.asarray(schedule.log_weights.rows)
    assert len(rows) == len(times)
    assert len(np.unique(rows[:-1])) == 4
    both = ss.simulate_many(task.problem, {"uniform": ss.uniform(), "learned": schedule}, times)
    uniform, learned = np.asarray(both.loss).min(axis=1)
    assert learned < 0.85 * uniform


@pytest.mark.parametrize("missing", ["typer", "xarray"])
def test_a_missing_package_is_named(missing, monkeypatch, capsys, tmp_path):
    def without(name, *arguments):
        if name.split(".")[0] == missing:
            raise ImportError(name)
        return original(name, *arguments)

    original = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", without)
    monkeypatch.setattr(sys, "argv", ["spectral-sim", "demo", "--output", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code in (1, 2)
    message = capsys.readouterr().err
    assert missing in message
    assert "pip install 'spectral_sim[cli,plot,store,data]'" in message
