"""`spectral-sim learn` and `assess --learn`: what is searched for, written and said; what is refused."""

import json

import numpy as np
import pandas
import pytest

import spectral_sim as ss
from spectral_sim.cli import _app
from spectral_sim.cli._config import LearnFile
from spectral_sim.cli._read_config import read_config

MODAL = """
[problem]
kind = "power_law"
alpha = 2.0
beta = 2
num_modes = 12

[times]
first = 0.1
last = 100.0
num = 14

[learn]
columns = 6
steps = 6
starts = 2
compare = false
"""

DATA = """
splits = 2

[problem]
kind = "data"
path = "table.parquet"
target = "price"
inputs = ["width", "height", "depth"]
features = 10
eval_fraction = 0.5

[times]
first = 0.1
last = 100.0
num = 6

[learn]
objective = "terminal"
steps = 4
compare = false
"""


def test_the_example_is_complete(run, tmp_path):
    path = tmp_path / "example.toml"
    path.write_text(run("learn", "--example").stdout, encoding="utf-8")
    assert read_config(path, LearnFile).learn.starts == 4
    assert _app._example("_learn_example.toml") == path.read_text()


def test_a_search_on_modes_and_going_on_with_it(run, write_config, tmp_path):
    out = tmp_path / "out"
    result = run("learn", write_config(MODAL), "--output", out)
    assert result.exit_code == 0, result.output
    assert "above the bound (6 of 6" in result.stderr
    learned = ss.load_learned(out / "learned.json")
    assert learned.history.shape == (6, 2)
    summary = json.loads((out / "summary.json").read_text())
    assert {row["name"] for row in summary["schedules"]} == {"uniform", "learned", "water-filling (ideal)"}
    found = summary["search"]["learned"][0]
    assert found["bound_is"] == "water-filling"
    assert found["bound"] < found["objective"] < found["uniform"]
    assert found["objective"] == learned.value
    page = (out / "report.html").read_text()
    assert "Learned weights" in page
    assert "gap to water-filling" in page
    assert {"learned.png", "search.png"} <= {file.name for file in out.iterdir()}
    assert "water-filling, which no schedule beats" in " ".join(result.stdout.split())

    # what is found again is not searched for again
    again = run("learn", write_config(MODAL), "--output", out, "--resume")
    assert again.exit_code == 0, again.output
    assert "above the bound" not in again.stderr
    np.testing.assert_array_equal(ss.load_learned(out / "learned.json").history, learned.history)
    other = run("learn", write_config(MODAL, ("steps = 6", "steps = 7")), "--output", out, "--resume")
    assert "was written by another search" in " ".join(other.stderr.split())
    assert (out / "learned.json").exists()  # nothing that was found is lost to a mistake
    assert run("learn", write_config(MODAL), "--output", out).exit_code == 2  # not overwritten by accident
    nothing = run("learn", write_config(MODAL), "--output", tmp_path / "empty", "--resume")
    assert "holds no search and no splits to go on with" in " ".join(nothing.stderr.split())

    # the schedule that was found is where another search may begin
    more = run(
        "learn", write_config(MODAL, ("columns = 6", f'start = "{out}/learned.json"')), "--output", tmp_path / "more"
    )
    assert more.exit_code == 0, more.output
    assert ss.load_learned(tmp_path / "more" / "learned.json").value <= learned.value


def test_a_search_on_data_finds_a_ceiling_and_something_to_deploy(run, write_config, files):
    out = files / "learned"
    result = run("learn", write_config(DATA, folder=files), "--output", out)
    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    assert "learned on the evaluation loss itself" in said
    assert "scored on data it never saw" in said
    summary = json.loads((out / "summary.json").read_text())
    assert [row["searched_on"] for row in summary["search"]["learned"]] == ["training loss", "held-out loss"]
    sampler = ss.learning.load_sampler_weights(out / "sampler.parquet")
    assert sampler.weights.shape == (5, 40)
    np.testing.assert_array_equal(sampler.weights, ss.learning.load_sampler_weights(out / "sampler.npz").weights)
    searched = ss.load_learned(out / "learned.json").sampler_weights()  # from a run without the held-out set
    np.testing.assert_allclose(sampler.weights, searched.weights, rtol=1e-12)
    assert ss.load_learned(out / "learned-ceiling.json").gap[0].kind == "speed limit"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("steps = 6", "stpes = 6"), "learn.stpes: unknown key. Did you mean 'steps'?"),
        (("columns = 6", 'schedule = "tabel"'), "learn.schedule = 'tabel' is not known. Did you mean 'table'?"),
        (("columns = 6", "cap = [0.0, 0.5]"), "admits no weights of mean one"),
        (("columns = 6", "window = [1.0, 1e4]"), "is not within the times 0.1 to 100"),
        (("columns = 6", "target = 0.1"), 'target goes with objective = "time_to_target"'),
        (("columns = 6", 'start = "nothing.json"'), "nothing.json is missing"),
        (("columns = 6", 'schedule = "policy"\nstages = [{ stage = "uniform" }]'), "choose one of schedule, stages"),
        (("columns = 6", 'stages = [{ stage = "unifrom" }]'), "stage = 'unifrom' is not known"),
        (("columns = 6", 'stages = [{ stage = "uniform" }]'), "no inexact array leaf: there is nothing to learn"),
        (
            ("columns = 6", 'schedule = "policy"\ncolumns = 6'),
            "columns is no option of a search that begins with policy",
        ),
        (("columns = 6", 'searched_on = "validation"'), "are for data with a held-out set"),
        (("[learn]", '[[schedules]]\nname = "learned"\nstages = [{ stage = "uniform" }]\n[learn]'), "give your"),
        (("[learn]", "[lern]"), "lern: unknown key. Did you mean 'learn'?"),
    ],
)
def test_mistakes_are_told_in_one_line(refused, write_config, tmp_path, change, words):
    assert words in refused("learn", write_config(MODAL, change), "--output", tmp_path / "out")


def test_assess_can_search_too(run, refused, files):
    table, out = files / "table.csv", files / "assessed"
    options = ["--target", "price", "--features", "10", "--times", "0.1", "20", "5", "--output", out]
    options += ["--schedules", "uniform", "--splits", "1"]
    result = run("assess", table, *options, "--learn", "--search-steps", "2")
    assert result.exit_code == 0, result.output
    names = [row["name"] for row in json.loads((out / "summary.json").read_text())["schedules"]]
    assert {"learned (deployable)", "learned (ceiling: saw the held-out loss)"} < set(names)
    weights = pandas.read_parquet(out / "weights.parquet").drop(columns="row")  # of the only one that can be used
    np.testing.assert_allclose(weights.sum(), 1)
    assert (weights.nunique() > 1).any()
    assert "no splits to go on with" in refused("assess", table, *options[:-6], "--output", files / "new", "--resume")
