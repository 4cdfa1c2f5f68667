"""`spectral-sim sweep` and `report` on a small configuration; the shipped ones are read and built, not run."""

import re

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.cli._sweep_config import SHIPPED, read_sweep
from spectral_sim.report import THEORIES
from spectral_sim.sweeps import open_table

CONFIG = """
title = "Small"
precision = "float32"
[problem]
kind = "power_law"
alpha = 2.0
beta = 2.0
max_mode = 1e4
nodes = 40
[times]
first = 0.1
last = 1e3
num = 41
[schedule]
name = "tilt"
stages = [{ stage = "power_tilt", exponent = 0.5, cutoff = 10.0 }]
[rows.axes]
"power_tilt.exponent" = { from = -0.5, to = 1.0, num = 5 }
"power_tilt.cutoff" = [3, 30, 300]
[metrics]
final_loss = {}
exponent = { window = [10.0, 1e3] }
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(CONFIG)
    return path


def test_a_sweep_and_its_report(run, refused, config, tmp_path):
    store, page = tmp_path / "small.zarr", tmp_path / "small.html"
    result = run("sweep", config, "--store", store)
    assert result.exit_code == 0, result.output
    assert re.search(r"15 of 15 rows, [\d,]+/s", result.stderr)
    table = open_table(store)
    assert (table.sizes["schedules"], table.attrs["title"], table.attrs["beta"]) == (15, "Small", 2.0)
    assert "holds a sweep already" in refused("sweep", config, "--store", store)
    assert run("sweep", config, "--store", store, "--resume").exit_code == 0
    assert run("report", store, "--output", page).exit_code == 0
    text = page.read_text()
    for words in ("Small", "lowest final_loss", "Phase diagram", "Slices", '"type":"contour"'):
        assert words in text
    assert not re.search(r'<(script|link|img)\b[^>]*\b(src|href)="http', text)  # opens without a network


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("power_tilt.exponent", "power_tilt.exponnent", "Did you mean 'power_tilt.exponent'?"),
        ("[rows.axes]", "[rows.axis]", "rows.axis: unknown key. Did you mean 'axes'?"),
        ("final_loss = {}", "final_los = {}", "Did you mean 'final_loss'?"),
        (", num = 5", "", "num is missing: say how many values"),
        ("[3, 30, 300]", "[]", "power_tilt.cutoff has no values"),
        ('title = "Small"', 'theory = "crosover"', "Did you mean 'crossover'?"),
    ],
)
def test_mistakes_in_the_configuration(refused, config, old, new, message):
    config.write_text(CONFIG.replace(old, new))
    assert message in refused("sweep", config)


def test_names_that_are_neither_files_nor_shipped(refused, tmp_path):
    assert "Did you mean 'crossover'?" in refused("sweep", "crosover")
    assert "holds no sweep" in refused("report", tmp_path / "nothing.zarr")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_sweeps_can_be_built_and_have_a_theory(name):
    job = read_sweep(name)
    assert job.attributes["theory"] == name in THEORIES
    for metric in job.metrics:
        assert metric.variables(job.times)
    assert len(job.spec) > 30


def test_a_data_set_is_swept(run, tmp_path):
    config = tmp_path / "digits.toml"
    config.write_text("""
[problem]
kind = "dataset"
name = "digits"
num_train = 40
features = 8
[times]
first = 1.0
last = 100.0
num = 9
[schedule]
name = "capped"
stages = [{ stage = "proportional", power = 1.0 }, { stage = "clip", low = 0.0, high = 10.0 }]
[rows.axes]
"proportional.power" = [0.0, 1.0]
"clip.high" = [2.0, 8.0]
[metrics]
final_loss = {}
max_weight = {}
""")
    store = tmp_path / "digits.zarr"
    result = run("sweep", config, "--store", store)
    assert result.exit_code == 0, result.output
    table = open_table(store)
    assert "digits" in table.attrs["description"]
    job = read_sweep(str(config))
    capped = ss.chain(ss.proportional(1.0), ss.clip(0.0, 8.0))
    expected = ss.simulate(job.problem, capped, job.times).loss[-1]
    np.testing.assert_allclose(table.final_loss[-1], expected, rtol=1e-9)
    assert run("report", store, "--output", tmp_path / "digits.html").exit_code == 0
