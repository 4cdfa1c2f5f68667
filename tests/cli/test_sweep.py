"""`spectral-sim sweep` and `report` on a small configuration; the shipped ones are read and built, not run."""

import re

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.assessment import THEORIES
from spectral_sim.cli._sweep_config import SHIPPED, read_sweep
from spectral_sim.report._sweep_html import _best_rows
from spectral_sim.sweeps import AnytimeSpeedup, NetSpeedup, open_table

LAW = """
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
"""

CONFIG = f"""
title = "Small"
precision = "float32"
{LAW}[schedule]
name = "tilt"
stages = [{{ stage = "power_tilt", exponent = 0.5, cutoff = 10.0 }}]
[rows.axes]
"power_tilt.exponent" = {{ from = -0.5, to = 1.0, num = 5 }}
"power_tilt.cutoff" = [3, 30, 300]
[metrics]
final_loss = {{}}
exponent = {{ window = [10.0, 1e3] }}
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
    assert "holds a sweep already: go on with it by --resume" in refused("sweep", config, "--store", store)
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
        ('name = "tilt"', 'name = "tilt"\nseeds = [3, 4]', """schedule.seeds: a sweep varies them as rows"""),
        ('name = "tilt"', 'name = "tilt"\nby_group = true', "schedule.by_group: all rows of a sweep share one problem"),
        ('name = "tilt"', 'name = "tilt"\ncost = 0.5', "schedule.cost: no metric counts it; add speedup_net"),
        ("final_loss = {}", "speedup_net = { cost_per_refresh = -1.0 }", "cost_per_refresh is -1: it must not be"),
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
    assert len(job.schedules) > 30


CURATED = f"""
{LAW}[schedule]
name = "stale"
stages = [{{ stage = "stale", period = 1.0 }}, {{ stage = "proportional" }}]
cost = 0.5
self_generated = {{ fraction = 0.2, period = 5.0 }}
[rows.axes]
"stale.period" = [0.0, 3.0, 30.0]
"dynamics.fraction" = [0.2, 0.4]
"""


def test_costs_and_own_data_of_the_schedule_are_honoured(run, tmp_path):
    """Gross comes with net, at the cost that the file names, over uniform sampling of real data."""
    config, page = tmp_path / "curated.toml", tmp_path / "curated.html"
    config.write_text(CURATED)
    store = tmp_path / "curated.zarr"
    result = run("sweep", config, "--store", store)
    assert result.exit_code == 0, result.output
    table, job = open_table(store), read_sweep(str(config))
    row = 3
    schedule = ss.chain(ss.stale(float(table["stale.period"][row])), ss.proportional())
    dynamics = ss.SelfGenerated(float(table["dynamics.fraction"][row]), 5.0)
    loss = ss.simulate(job.problem, schedule, job.times, dynamics=dynamics).loss
    np.testing.assert_allclose(table.final_loss[row], loss[-1], rtol=1e-9)
    reference = ss.simulate(job.problem, ss.uniform(), job.times).loss
    cost = ss.analysis.curation_cost(job.problem, schedule, job.times, dynamics=dynamics, cost_per_refresh=0.5)
    for name, each in (("speedup", 0.0), ("speedup_net", cost.per_refresh)):
        expected = ss.speedup(job.times, loss, reference, window=(10.0, 1e3), cost_per_refresh=each)
        np.testing.assert_allclose(table[name][row], expected.value, rtol=1e-8)
    assert run("report", store, "--output", page).exit_code == 0
    text = page.read_text()
    for words in ("highest speed-up, gross", "highest speed-up, net", "<h2>speed-up, gross</h2>", "<h2>speed-up, net"):
        assert words in text
    assert "net of second models, own labels and passes (on data a forward pass" in text
    assert "nothing is charged" not in text
    config.write_text(
        CURATED.replace("cost = 0.5\nself_generated = { fraction = 0.2, period = 5.0 }", "").replace(
            '"dynamics.fraction" = [0.2, 0.4]', ""
        )
    )
    free = tmp_path / "free.zarr"
    assert run("sweep", config, "--store", free).exit_code == 0
    assert run("report", free, "--output", page).exit_code == 0
    assert "The same as gross: nothing is charged for curating." in page.read_text()


def test_prices_on_data_are_those_of_the_file(tmp_path):
    """By default a forward pass at the batch size of the file; a cost is for everything at once."""
    config = tmp_path / "torus.toml"
    for more, expected in (("", (None, 0.0, 8)), ("cost = 0.5", (0.0, 0.5, 8))):
        config.write_text(f"""
batch_size = 8
[problem]
kind = "torus"
alpha = 2.0
beta = 2.0
num_examples = 16
[times]
first = 0.1
last = 100.0
num = 31
[schedule]
name = "stale"
stages = [{{ stage = "stale", period = 1.0 }}, {{ stage = "proportional" }}]
{more}
[rows.axes]
"stale.period" = [0.0, 3.0]
[metrics]
speedup = {{ window = [1.0, 50.0] }}
""")
        gross, net = read_sweep(str(config)).metrics
        assert isinstance(gross, AnytimeSpeedup)
        assert isinstance(net, NetSpeedup)
        assert net.window == gross.window == (1.0, 50.0)
        assert (net.cost_per_example, net.cost_per_refresh, net.batch_size) == expected


def test_a_bound_is_no_best_row():
    """Late modes alone never reach what uniform sampling does: marked, and not ranked."""
    problem, times = ss.power_law(2.0, 2.0, max_mode=1e4, nodes=40), ss.log_times(0.1, 1e3, 41)
    spec = ss.grid(ss.power_tilt(0.0, 100.0), exponent=[-2.0, 0.0])
    metrics = [AnytimeSpeedup((1.0, 1e3)), NetSpeedup((1.0, 1e3))]
    table = ss.sweep(problem, spec, times, metrics=metrics)
    assert table.speedup_bound.values.tolist() == [-1, 0]
    _, rows = _best_rows(table, np.asarray(table.status))
    assert "≤" not in str(rows)
    assert len(rows) == 2
    table.speedup_net_bound[0] = 0
    assert "≤" in str(_best_rows(table, np.asarray(table.status)))


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
