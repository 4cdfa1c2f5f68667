"""All that `assess` can do stands in a configuration too: the same names, the same defaults, the same outcome."""

import json

import numpy as np
import pytest
import typer

from spectral_sim.cli._app import app
from spectral_sim.cli._build import build_part
from spectral_sim.cli._config import Config, DataProblem, DynamicsConfig, LearnConfig
from spectral_sim.cli._read_config import read_config

SCHEMA = {"problem": DataProblem, "dynamics": DynamicsConfig, "learn": LearnConfig, "": Config}
OF_THE_COMMAND = {"output", "force", "resume"}  # options of `simulate` and `learn` as well
OTHERWISE = {  # where a flag is no name of a key: a switch, or a word that Python or the search has taken
    "data": "problem.path",
    "eval_file": "problem.eval",
    "target_task": "problem.task",
    "no_standardise": "problem.standardise",
    "schedules": "compare",
    "quick": "compare",
    "search": "learn",
    "search_steps": "learn.steps",
}
OTHER_DEFAULTS = {"quick", "search", "no_standardise", "schedules", "search_steps"}  # switches, and what `learn` needs

ASSESSED = """
splits = 2
picking = 0.5
compare = ["easiest 70%"]
certify = true

[problem]
kind = "data"
path = "table.csv"
target = "price"
inputs = ["width", "height"]
features = 3
eval_fraction = 0.6

[dynamics]
horizon = 7.0
"""


def keys():
    """Every key of a configuration of data, with its field; problem.target, dynamics.steps, splits and so on."""
    found = {}
    for table, model in SCHEMA.items():
        found |= {f"{table}.{name}" if table else name: field for name, field in model.model_fields.items()}
    return found


def options():
    return typer.main.get_command(app).commands["assess"].params


def key_of(option):
    if option in OTHERWISE:
        return OTHERWISE[option]
    return next((key for key in (f"problem.{option}", f"dynamics.{option}", option) if key in keys()), None)


@pytest.mark.parametrize("option", [o for o in options() if o.name not in OF_THE_COMMAND], ids=lambda o: o.name)
def test_every_option_of_assess_is_a_key(option):
    key = key_of(option.name)
    assert key in keys(), f"--{option.name} stands in no configuration"
    default = keys()[key].default
    if option.name in OTHER_DEFAULTS or option.required:
        return
    own = getattr(option.default, "value", option.default)
    # a configuration writes out what the help of an option says in words
    assert own == default or (own is None and default in ("auto", "rbf")), (own, default)


def test_no_exception_is_out_of_date():
    names = {option.name for option in options()}
    assert OF_THE_COMMAND | OTHERWISE.keys() | OTHER_DEFAULTS <= names
    assert set(OTHERWISE.values()) <= keys().keys()


def test_a_configuration_gives_what_assess_gives(run, write_config, files, tmp_path):
    """Losses, certificate, grid and exported weights are the same numbers."""
    config = write_config(ASSESSED, folder=files)
    flags = ["--inputs", "width", "--inputs", "height", "--target", "price", "--features", "3"]
    flags += ["--eval-fraction", "0.6", "--horizon", "7", "--splits", "2", "--picking", "0.5", "--certify"]
    for command in (("simulate", config), ("assess", files / "table.csv", *flags, "--schedules", "easiest 70%")):
        result = run(*command, "--output", tmp_path / command[0])
        assert result.exit_code == 0, result.output
    found = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("simulate", "assess")]
    assert found[0]["schedules"] == found[1]["schedules"]
    assert found[0]["settings"]["certificate"] == found[1]["settings"]["certificate"]
    weights = [(tmp_path / name / "weights.parquet").read_bytes() for name in ("simulate", "assess")]
    assert weights[0] == weights[1]


def test_keys_of_an_assessment_reach_the_part(write_config, files):
    path = write_config(ASSESSED, folder=files)
    part = build_part(read_config(path), path, "float64")
    assert part.times[-1] == 7.0
    picking = np.asarray(part.picking) > 0
    assert picking.mean() == pytest.approx(0.5, abs=0.2)
    other = write_config(ASSESSED, ("picking = 0.5", "picking = 0.1"), folder=files)
    fewer = np.asarray(build_part(read_config(other), other, "float64").picking) > 0
    assert fewer.sum() < picking.sum()
    assert (picking | ~fewer).all()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("picking = 0.5", "picking = 1.0", "picking = 1.0: input should be less than 1"),
        (
            "horizon = 7.0",
            "horizon = 7.0\nsteps = 3",
            "dynamics.steps and dynamics.horizon both say where the run ends",
        ),
        (
            "features = 3\neval_fraction = 0.6",
            'features = 120\nmethod = "random"\neval_fraction = 0.2',
            "of one processor and",
        ),
    ],
)
def test_wrong_keys_are_refused(refused, write_config, files, tmp_path, old, new, words):
    text = write_config(ASSESSED, (old, new), folder=files)
    assert words in refused("simulate", text, "--output", tmp_path / "out")
