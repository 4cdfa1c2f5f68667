"""The part of the demonstration on a real network."""

import csv

import pytest

from spectral_sim.cli._demo_network import show_network
from spectral_sim.cli._running import plain_console


@pytest.mark.slow
def test_ten_curations_are_predicted_and_written(tmp_path):
    """As the command runs it; the fast version is run with the whole command."""
    console = plain_console(record=True, width=200)
    show_network(tmp_path / "network", False, console, plain_console(stderr=True))
    with (tmp_path / "network" / "comparison.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 11
    losses = [float(row["real_loss"]) for row in rows]
    assert losses == sorted(losses)
    told = console.export_text()
    assert all(row["schedule"] in told for row in rows)
    tau = float(told.split("Kendall's tau)")[1].split()[0])
    assert tau > 0.7
    page = (tmp_path / "network" / "report.html").read_text(encoding="utf-8")
    assert "anti-curriculum" in page
    assert page.count('"tickmode":"array"') == 1  # steps: few ticks, and each of them written out
    assert (tmp_path / "network" / "network.png").stat().st_size > 10_000
