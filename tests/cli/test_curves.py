"""`fit curves` and `predict` on small files; the fit itself is replaced by one that is made by hand."""

import csv

import numpy as np
import pytest

import spectral_sim.cli._curves as command
from spectral_sim.fitting import BestRates, CurveFit, CurveScore
from spectral_sim.fitting._curve_model import CurveLaw
from spectral_sim.learning import RatesByHand

PEAK = 1e-3


def made_fit(curves, *, hold_out=(), noise_exponent="auto", intervals=0.9, checkpoint=None, progress=print):
    """A fit with given parameters: what is tested here is the command around it."""
    progress("made by hand")
    assert checkpoint is not None
    checkpoint.write_text("what the searches found")
    point = np.array([-0.7, -0.5, -4.0, 2.0, 1.5, 1.0, 0.0 if noise_exponent == "auto" else noise_exponent])
    scores = {law: {name: CurveScore(0.01, 0.02, 0.99, 0.9) for name in curves} for law in ("spectral law", "other")}
    law = CurveLaw(PEAK, 3.0, 1e3, 32)
    errors = {"spectral law": 0.1, "other": 0.2}
    return CurveFit(
        dict(curves),
        tuple(hold_out),
        law,
        point,
        1e-4 * np.eye(7),
        1e-3,
        intervals,
        scores,
        errors,
        {},
        True,
        ("so so",),
    )


@pytest.fixture
def logs(tmp_path):
    path = tmp_path / "logs.csv"
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["curve", "step", "loss", "lr"])
        for name in ("one", "two"):
            lines.writerows([name, n, 3 + n**-0.3, PEAK] for n in range(10, 210, 10))
    return path


def made_rates(fit, steps=None, *, batch_size=None):
    """Learning rates that fall in a straight line, in place of learned ones."""
    steps = 50 if steps is None else steps
    rates = np.linspace(PEAK, PEAK / 2, steps)
    by_hand = {"linear": RatesByHand(PEAK, None, 3.2, np.full(2, PEAK))}
    return BestRates(rates, fit.predict(rates), np.array([0, steps // 2, steps]), by_hand, 0)


@pytest.fixture
def by_hand(monkeypatch):
    monkeypatch.setattr(command, "fit_curves", made_fit)
    monkeypatch.setattr(CurveFit, "best_rates", made_rates)


def test_fit_and_predict(run, logs, tmp_path, by_hand):
    output = tmp_path / "out"
    command = ("fit", "curves", logs, "--rate-column", "lr", "--hold-out", "two", "--output", output)
    result = run(*command, "--best-steps", 60)
    assert result.exit_code == 0, result.output
    assert "held-out curves" in result.output
    assert "warning: so so" in result.output
    assert "rates of 'two' begin at step 10" in result.output
    rows = list(csv.DictReader((output / "predictions.csv").open()))
    assert len(rows) == 40
    assert [row["held_out"] for row in rows] == ["0"] * 20 + ["1"] * 20
    assert float(rows[0]["low"]) < float(rows[0]["predicted"]) < float(rows[0]["high"])
    page = (output / "report.html").read_text()
    assert "two (held out)" in page
    assert "So so." in page
    assert "Best learning rates" in page
    assert len(list(csv.DictReader((output / "best_rates.csv").open()))) == 60
    assert "best rates over 60 steps" in result.output

    schedule = tmp_path / "schedule.csv"
    schedule.write_text(f"step,learning_rate\n1,{PEAK}\n300,{PEAK / 10}\n")
    answer = tmp_path / "answer.csv"
    result = run("predict", output / "fit.npz", "--schedule", schedule, "--output", answer)
    assert result.exit_code == 0, result.output
    assert "at step 300" in result.output
    assert "the run takes 300 steps" in result.output
    assert list(csv.DictReader(answer.open()))[-1]["step"] == "300"
    result = run("predict", output / "fit.npz", "--constant", PEAK, "--steps", 100, "--output", answer, "--force")
    assert result.exit_code == 0, result.output


def test_predict_learns_the_best_rates(run, refused, logs, tmp_path, by_hand):
    output, answer = tmp_path / "out", tmp_path / "answer.csv"
    result = run("fit", "curves", logs, "--rate-column", "lr", "--no-best", "--output", output)
    assert result.exit_code == 0, result.output
    assert not (output / "best_rates.csv").exists()
    fit = output / "fit.npz"
    result = run("predict", fit, "--best", "--steps", 40, "--output", answer)
    assert result.exit_code == 0, result.output
    assert list(csv.DictReader(answer.open()))[-1]["step"] == "40"
    assert len(list(csv.DictReader((tmp_path / "answer-rates.csv").open()))) == 40
    assert "Best learning rates" in (tmp_path / "answer.html").read_text()
    answer.unlink()
    assert "answer-rates.csv exists already" in refused("predict", fit, "--best", "--output", answer)
    assert "and --best" in refused("predict", fit, "--best", "--constant", PEAK, "--output", tmp_path / "b.csv")
    assert "name a .csv file" in refused("predict", fit, "--best", "--output", tmp_path / "b.html")


def test_an_interrupted_fit_goes_on(run, refused, logs, tmp_path, by_hand, monkeypatch):
    output = tmp_path / "out"
    fit = ("fit", "curves", logs, "--rate-column", "lr", "--no-best", "--output", output)
    assert "holds no search" in refused(*fit, "--resume")

    def interrupted(*args, **options):
        made_fit(*args, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "fit_curves", interrupted)
    result = run(*fit)
    assert result.exit_code == 130
    assert "goes on where it was with --resume" in result.output
    kept = output / "search-curves.npz"
    assert kept.exists()
    assert not (output / "fit.npz").exists()
    assert "exists already" in refused(*fit)
    assert "give one of them" in refused(*fit, "--resume", "--force")
    monkeypatch.setattr(command, "fit_curves", made_fit)
    result = run(*fit, "--resume")
    assert result.exit_code == 0, result.output
    assert (output / "fit.npz").exists()
    assert kept.exists()


def test_what_is_refused(run, refused, logs, tmp_path, by_hand):
    output = ("--output", tmp_path / "out")
    both = ("--rates", logs, "--rate-column", "lr")
    assert "drop one" in refused("fit", "curves", logs, *both, *output)
    assert "no column 'eta'" in refused("fit", "curves", logs, "--rate-column", "eta", *output)
    assert "again" in refused("fit", "curves", logs, logs, *output)
    assert "by --loss-column" in refused("fit", "curves", logs, "--loss-column", "nothing", *output)
    assert "--schedule" in refused("predict", tmp_path / "fit.npz")
    assert "--steps" in refused("predict", tmp_path / "fit.npz", "--constant", PEAK)
    missing = refused("predict", tmp_path / "fit.npz", "--constant", PEAK, "--steps", 9, "--output", tmp_path / "a.csv")
    assert "is not a file" in missing


def test_names_are_checked_by_the_fit_itself(refused, logs, tmp_path):
    found = refused("fit", "curves", logs, "--hold-out", "three", "--output", tmp_path / "out")
    assert "--hold-out names 'three'" in found
    assert not (tmp_path / "out").exists()
