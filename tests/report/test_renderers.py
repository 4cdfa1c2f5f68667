"""Tables, files, plots and the page: complete, reloadable, self-contained."""

import csv
import dataclasses
import html
import json
import re

import numpy as np
import pytest

from spectral_sim.assessment import format_short, format_speedup, table
from spectral_sim.report import _plots as plots
from spectral_sim.report import report_html, summary, sweep_html, to_dataset, write_plots, write_results
from spectral_sim.report._page import script_json
from spectral_sim.report._style import styles

PLOTS = {"loss.png", "weights.png", "spectra.png", "speedups.png"}


def test_every_row_has_a_cell_for_every_column(data_assessment, modal_assessment):
    for assessment in (data_assessment, modal_assessment):
        numbers = table(assessment)
        assert {len(cells) for cells in numbers.cells} == {len(numbers.header)}
    assert "quadrature\nerror" in table(modal_assessment).header
    assert "\nlowest" in table(data_assessment).header
    assert any("anytime" in line.lower() for line in table(data_assessment).footer)
    nets = [row.gains.horizon_net.value for row in table(data_assessment).rows[1:] if row.gains.horizon_net]
    assert nets == sorted(nets, reverse=True)
    assert table(data_assessment).rows[0].is_uniform
    assert "status" not in table(data_assessment).header  # all are ok, and there is no second split
    assert "90%\ninterval" not in table(data_assessment).header


def test_the_footer_says_what_net_adds(data_assessment, modal_assessment):
    """By case: what a pass costs, that it is free, or that nothing is charged."""
    assert "passes over the data (a third of the training compute" in table(data_assessment).footer[-1]
    assert "free" not in table(data_assessment).footer[-1]
    nothing = table(modal_assessment).footer[-1]
    assert nothing.startswith(
        "No cost of curation is charged, so net equals gross. Passes over the data are free unless"
    )

    def repriced(assessment, cost, training=0.0):
        runs = (dataclasses.replace(run, cost=cost, training_charges=training * run.charges) for run in assessment.runs)
        return table(dataclasses.replace(assessment, runs=tuple(runs))).footer[-1]

    paid = repriced(modal_assessment, 0.5)
    assert "passes over the data (as much as `cost` says, each), teachers and other second models" in paid
    assert "free" not in paid
    taught = repriced(modal_assessment, 0.0, 1.0)
    assert "Net adds the time that curation takes: teachers and other second models, labels of the" in taught
    assert "third" not in taught
    assert "Passes over the data are free unless `cost` is given" in taught
    assert "Passes over the data are free: their `cost` is 0." in repriced(data_assessment, 0.0, 1.0)


def test_numbers_are_short():
    assert [format_short(t) for t in (0.0123456, 3274.4, 98765.0, 1e6)] == ["0.0123", "3270", "98800", "1e+06"]
    assert format_speedup(None) == "-"


def test_results_are_reloaded_as_they_were(data_assessment, tmp_path):
    xarray = pytest.importorskip("xarray")
    write_results(data_assessment, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.nc", "summary.json", "table.csv"]
    with xarray.open_dataset(tmp_path / "results.nc", engine="scipy") as loaded:
        assert loaded.sizes["schedules"] == len(data_assessment.runs)
        assert loaded.schedules.values.tolist() == [run.name for run in data_assessment.runs]
        np.testing.assert_array_equal(loaded.loss.sel(schedules="uniform"), data_assessment.reference.loss)
        for name in ("train_loss", "max_weight", "effective_sample_size", "status", "refresh", "weights", "bound_loss"):
            assert name in loaded
        assert loaded.attrs["complete"] == 1
        assert json.loads(loaded.attrs["settings"]) == {"dtype": "float64"}
        assert {"jax", "device_kind", "refreshes_per_decade"} <= set(loaded.attrs)
    numbers = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert {row["name"] for row in numbers["schedules"]} == {run.name for run in data_assessment.runs}
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["schedule"] for row in rows] == [row["name"] for row in numbers["schedules"]]
    assert float(rows[1]["net_gain"]) == numbers["schedules"][1]["speedup"]["one_horizon"]["net"]["value"]
    assert numbers["verdict"]
    assert numbers["schedules"][0]["speedup"]["anytime"]["gross"]["value"] == pytest.approx(1)


def test_failures_are_stored_as_data(modal_assessment):
    dataset = to_dataset(modal_assessment)
    assert dataset.status.sel(schedules="bad") == 2
    assert dataset.refresh.sel(schedules="bad") == 0
    assert np.isnan(dataset.loss.sel(schedules="bad")).all()
    text = json.dumps(summary(modal_assessment), allow_nan=False)  # NaN would be no JSON
    assert "negative weights" in text


def test_plots_are_drawn(data_assessment, modal_assessment, tmp_path):
    for assessment in (data_assessment, modal_assessment):
        folder = tmp_path / assessment.name
        folder.mkdir()
        assert write_plots(assessment, folder) == []
        assert {path.name for path in folder.iterdir()} == PLOTS
        assert all(path.stat().st_size > 10_000 for path in folder.iterdir())


def test_one_bad_plot_leaves_the_others(data_assessment, tmp_path, monkeypatch):
    def broken(assessment):
        raise RuntimeError("no ink")

    monkeypatch.setitem(plots.PLOTS, "loss.png", broken)
    assert write_plots(data_assessment, tmp_path) == ["loss.png could not be drawn: RuntimeError: no ink"]
    assert {path.name for path in tmp_path.iterdir()} == PLOTS - {"loss.png"}


def test_lines_are_told_apart(data_assessment):
    looks = [(style.colour, style.dash) for style in styles(data_assessment.runs).values()]
    assert len(set(looks)) == len(looks)
    many = tuple(dataclasses.replace(data_assessment.runs[-1], name=f"run {i}") for i in range(14))
    looks = [(style.colour, style.dash) for style in styles(many).values()]
    assert len(set(looks)) == len(looks)


@pytest.fixture(scope="module")
def page(data_assessment, modal_assessment):
    return report_html([data_assessment, modal_assessment], "Two & more")


def test_the_page_loads_nothing(page):
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    assert not re.search(r"<(script|link|img|iframe|source)\b[^>]*(src|href)\s*=\s*[\"']?(https?:)?//", page)
    assert "http" not in markup
    assert re.findall(r"<link[^>]*>", markup) == ['<link rel="icon" href="data:,">']
    assert "@import" not in markup
    assert "url(" not in markup


def test_the_page_holds_plotly_once_and_everything_else(page):
    assert page.count("plotly.js v") == 1
    assert "Toy &lt;data&gt;" in page
    assert "Two &amp; more" in page
    assert "{{" not in re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    for kind in ("loss", "speedup", "weights", "eigenvalues", "energies"):
        assert f'<div id="s0-{kind}">' in page
        assert f'"s1-{kind}":' in page
    assert "How to read this" in page
    assert "refreshes per decade" in page
    assert "second models" in page.split("<dt>Gross and net</dt>")[1].split("</dd>")[0]
    assert "own labels" in page.split("<dt>Gross and net</dt>")[1].split("</dd>")[0]
    assert '<tr class="uniform">' in page
    assert '<tr class="failed">' in page


def test_views_fit_their_figures(page):
    figures = json.loads(re.search(r"const figures = (\{.*?\});\n", page, flags=re.S).group(1).replace("<\\/", "</"))
    for figure in figures.values():
        for view in figure.get("views", ()):
            for values in view["data"].values():
                assert len(values) == len(figure["data"])
    names = [trace["name"] for trace in figures["s0-loss"]["data"]]
    assert "uniform" in names
    assert "speed limit" in names


HOSTILE = "<!--<script>\"'&amp; </script><b>$x$"


def scripts(page):
    """The content of every script element, as a browser would cut them: a name must not end or nest one."""
    return re.findall(r"<script>(.*?)</script>", page, re.S)


def assert_harmless(page, names):
    """Exactly two scripts, plotly and ours; ours holds no "<" of a name, and gives the names back unchanged."""
    plotly, own = scripts(page)
    assert len(plotly) > 10**6
    embedded = own.partition("const figures = ")[2]
    figures, end = json.JSONDecoder().raw_decode(embedded)
    assert "<" not in embedded[:end]
    rest = page.replace(plotly, "")
    assert "<!--" not in rest
    assert rest.count("<script>") == rest.count("</script>") == 2
    for name in names:
        assert name in json.dumps(figures, ensure_ascii=False) or html.escape(name) in str(figures)


def test_no_name_ends_or_nests_a_script(modal_assessment):
    runs = (*modal_assessment.runs[:1], dataclasses.replace(modal_assessment.runs[1], name=HOSTILE))
    hostile = dataclasses.replace(modal_assessment, title=HOSTILE, description=HOSTILE, warnings=(HOSTILE,), runs=runs)
    assert_harmless(report_html([hostile], HOSTILE), [HOSTILE])
    assert json.loads(script_json({HOSTILE: [HOSTILE]})) == {HOSTILE: [HOSTILE]}


def test_no_name_ends_or_nests_a_script_of_a_sweep():
    xarray = pytest.importorskip("xarray")
    blocks = [{"paths": [HOSTILE], "length": 3}, {"paths": ["b"], "length": 2}]
    about = {"title": HOSTILE, "description": HOSTILE, "blocks": json.dumps(blocks), "dtype": "float64"}
    about |= {"last_time": 1.0, "refreshes_per_decade": 8.0}
    loss = np.linspace(1, 2, 6)
    values = {"final_loss": ("schedules", loss, {"long_name": HOSTILE}), "status": ("schedules", np.zeros(6, int))}
    swept = {HOSTILE: ("schedules", np.repeat([1.0, 2.0, 3.0], 2)), "b": ("schedules", np.tile([1.0, 2.0], 3))}
    for kind in ("grid", "random"):
        made = blocks if kind == "grid" else [{"paths": [HOSTILE, "b"], "length": 6}]
        table = xarray.Dataset(values, swept, {**about, "kind": kind, "blocks": json.dumps(made)})
        assert_harmless(sweep_html(table), [])
