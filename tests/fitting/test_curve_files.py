"""Loss curves from the files of training tools."""

import importlib.util
import json

import numpy as np
import pytest

from spectral_sim.fitting import read_logs, read_rates

pytestmark = pytest.mark.filterwarnings("ignore:.*begin at step 10; the first:UserWarning")
STEPS = np.arange(10, 110, 10)
LOSS = np.linspace(4, 3, 10)
RATES = np.linspace(1e-3, 1e-4, 10)


def write(path, header, rows):
    path.write_text("\n".join(",".join(map(str, row)) for row in [header, *rows]) + "\n", encoding="utf-8")
    return path


def check(curve):
    np.testing.assert_array_equal(curve.steps, STEPS)
    np.testing.assert_allclose(curve.loss, LOSS)
    np.testing.assert_allclose(curve.learning_rate[STEPS - 1], RATES)
    assert curve.learning_rate.size == 100


def test_long_table_with_its_rates(tmp_path):
    rows = [(name, *row) for name in "ab" for row in zip(STEPS, LOSS, RATES, strict=True)]
    path = write(tmp_path / "logs.csv", ("curve", "step", "loss", "lr"), rows)
    found = read_logs(path)
    assert list(found) == ["a", "b"]
    check(found["b"])
    check(read_logs(path, rate_column="lr")["a"])
    with pytest.raises(ValueError, match="no column 'eta'"):
        read_logs(path, rate_column="eta")


def test_long_table_with_rates_beside_it(tmp_path):
    path = write(tmp_path / "run.csv", ("step", "loss"), zip(STEPS, LOSS, strict=True))
    rates = write(tmp_path / "rates.csv", ("step", "learning_rate"), zip(STEPS, RATES, strict=True))
    check(read_logs(path, rates=rates)["run"])
    assert read_rates(rates)["rates"][10] == 1e-3
    with pytest.raises(ValueError, match="no rates of 'run'"):
        read_logs(path)
    with pytest.raises(ValueError, match="no column 'learning_rate'"):
        read_rates(path)
    short = write(tmp_path / "short.csv", ("step", "learning_rate"), [(10, 1e-3), (50, 1e-3)])
    with pytest.raises(ValueError, match="end at step 50, before its last loss at 100"):
        read_logs(path, rates=short)


def test_rates_that_begin_late_are_pointed_out(tmp_path):
    path = write(tmp_path / "run.csv", ("step", "loss", "lr"), [(n + 40, 3 + 1 / n, 1e-3) for n in range(10, 90, 10)])
    with pytest.warns(UserWarning, match="rates of 'run' begin at step 50"):
        found = read_logs(path)["run"]
    assert found.learning_rate.tolist() == [1e-3] * 120


def test_trainer_state(tmp_path):
    history = [
        {"step": int(n), "loss": x, "learning_rate": r, "epoch": 0.1}
        for n, x, r in zip(STEPS, LOSS, RATES, strict=True)
    ]
    history += [{"step": 100, "eval_loss": 3.2}, {"step": 100, "train_runtime": 5.0}]
    path = tmp_path / "run-1" / "trainer_state.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"log_history": history, "global_step": 100}), encoding="utf-8")
    found = read_logs(path)
    assert list(found) == ["run-1"]
    check(found["run-1"])
    path.write_text(json.dumps({"history": []}), encoding="utf-8")
    with pytest.raises(ValueError, match="no log_history"):
        read_logs(path)


def test_weights_and_biases_export(tmp_path):
    names = ["run-a - train/loss", "run-a - train/loss__MIN", "run-a - train/loss__MAX", "run-b - train/loss"]
    rows = [(n, x, x - 1, x + 1, x if n < 100 else "") for n, x in zip(STEPS, LOSS, strict=True)]
    path = write(tmp_path / "losses.csv", ("Step", *names), rows)
    rates = write(
        tmp_path / "rates.csv",
        ("Step", "run-a - train/learning_rate", "run-b - train/learning_rate"),
        [(n, r, r) for n, r in zip(STEPS, RATES, strict=True)],
    )
    found = read_logs(path, rates=rates)
    check(found["run-a"])
    assert found["run-b"].steps[-1] == 90


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("time,loss\n1,2\n", "no column 'step'"),
        ("step,loss,lr\n1,x,1\n", "loss, line 2 is 'x'"),
        ("step,loss,lr\n1,2,1\n1,2,1\n", "repeats step 1"),
        ("step,loss,lr\n1.5,2,1\n", "whole number"),
        ("step,loss,lr\n1,2\n", "line 2 has 2 entries"),
        ("step,loss,loss\n1,2,3\n", "two columns 'loss'"),
        ("step,error,lr\n1,2,3\n", "has no 'loss'"),
        ("step,loss,lr\n1,2,1\n2,3,1\n", "needs at least 8"),
    ],
)
def test_bad_tables(text, reason, tmp_path):
    path = tmp_path / "logs.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=reason):
        read_logs(path)


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_logs(tmp_path / "none.csv")


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is not None, reason="the package tensorboard is installed")
def test_event_files_without_their_reader(tmp_path):
    with pytest.raises(ImportError, match="pip install tensorboard"):
        read_logs(tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="the package tensorboard is not installed")
def test_event_files_are_looked_for(tmp_path):
    with pytest.raises(ValueError, match="no event files"):
        read_logs(tmp_path)
