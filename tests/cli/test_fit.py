import csv

import numpy as np
import pytest
from mixture_tables import DOMAINS, METRICS, table
from typer.testing import CliRunner

from spectral_sim.cli._app import app
from spectral_sim.fitting import load_mixture

runner = CliRunner()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two tables, a prior and weights."""
    folder = tmp_path_factory.mktemp("mixtures")
    ratios, losses = table(16, 0)
    for name, header, rows in (("ratios", DOMAINS, ratios), ("metrics", METRICS, losses)):
        lines = [
            ",".join(["run", *header]),
            *(f"r{n}," + ",".join(map(str, row)) for n, row in enumerate(rows.tolist())),
        ]
        (folder / f"{name}.csv").write_text("\n".join(lines), encoding="utf-8")
    (folder / "prior.csv").write_text("domain,share\nweb,0.6\ncode,0.1\nbooks,0.1\nwiki,0.2\n", encoding="utf-8")
    (folder / "weights.csv").write_text("loss,weight\ncode,2\nmaths,1\n", encoding="utf-8")
    return folder


def run(files, *options):
    tables = str(files / "ratios.csv"), str(files / "metrics.csv")
    return runner.invoke(app, ["fit", "mixture", *tables, "--boost", "none", *options])


def test_writes_the_optimum_the_fit_and_a_page(files, tmp_path):
    out = tmp_path / "out"
    limits = "--prior", str(files / "prior.csv"), "--max-epochs", "2", "--weights", str(files / "weights.csv")
    done = run(files, "--output", str(out), *limits)
    assert done.exit_code == 0, done.output
    assert "gain over the proportional mix" in done.stdout
    assert "joined on the column 'run'" in done.stdout
    fit = load_mixture(out / "fit.npz")
    prior = np.array([0.6, 0.1, 0.1, 0.2])
    best = fit.optimum({"code": 2, "maths": 1}, prior, max_epochs=2)
    with (out / "optimum.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["share"]) for row in rows], best.shares, atol=1e-6)
    assert rows[1]["limit"] == "at its cap of 20.00%"
    shares = dict(line.split(": ") for line in (out / "optimum.yaml").read_text(encoding="utf-8").splitlines())
    assert sum(map(float, shares.values())) == pytest.approx(1, abs=1e-5)
    page = (out / "report.html").read_text(encoding="utf-8")
    for part in ("optimum", "distance", "folds", "curve", "sensitivity"):
        assert f'<div id="{part}">' in page
    assert "Error on held-out runs" in page
    assert "http://" not in page.split("<script>")[0]


def test_what_is_wrong_is_told_in_one_line(files, tmp_path):
    out = "--output", str(tmp_path / "out")
    for options, message in (
        (("--max-epochs", "4"), "--max-epochs needs --prior"),
        (("--prior", str(files / "weights.csv")), "prior names 'maths', which is no domain"),
        (("--prior", str(files / "none.csv")), "is not a file"),
    ):
        done = run(files, *out, *options)
        assert done.exit_code == 2
        assert message in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()


def test_an_output_folder_in_use_is_kept(files, tmp_path):
    (tmp_path / "kept.txt").write_text("mine", encoding="utf-8")
    done = run(files, "--output", str(tmp_path))
    assert done.exit_code == 2
    assert "add --force" in " ".join(done.stderr.split())
