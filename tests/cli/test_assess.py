"""`spectral-sim assess` on files of every kind, and on files that will not do."""

import dataclasses
import json

import numpy as np
import pytest

from spectral_sim.assessment import QUICK
from spectral_sim.cli._build import standard_entries
from spectral_sim.cli._data import learning_task
from spectral_sim.cli._features import Features
from spectral_sim.problems import Dataset

FILES = {"results.nc", "summary.json", "table.csv", "loss.png", "weights.png", "spectra.png", "speedups.png"}
FILES |= {"report.html", "weights.parquet", "use_weights.py"}
SMALL = ("--times", 0.1, 20, 8, "--features", 12)


@pytest.fixture(scope="module")
def assessed(run, files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "assessed"
    names = "hardest 70%,LOSS-proportional,practical oracle,groups by loss"
    options = ("--target", "price", "--group", "source", "--schedules", names, "--splits", 3)
    result = run("assess", files / "table.csv", *options, "--output", folder, *SMALL)
    assert result.exit_code == 0, result.output
    return result, folder


def test_everything_is_written_and_said(assessed):
    result, folder = assessed
    assert {path.name for path in folder.iterdir()} == FILES
    for text in ("uniform", "practical oracle", "groups by loss", "anytime", "on table.csv", "held-out loss"):
        assert text in result.stdout
    assert "  first: " in result.stderr  # long before all is known
    assert result.stderr.index("  first: ") < result.stderr.index("split 2 of 3")
    assert "written to" in result.stderr
    numbers = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert numbers["settings"]["features"] == 12
    assert numbers["settings"]["dtype"] == "float64"
    names = {row["name"] for row in numbers["schedules"]}
    assert names == {"uniform", "hardest 70%", "loss-proportional", "practical oracle", "groups by loss"}
    assert all(row["status"] == "ok" for row in numbers["schedules"])
    assert numbers["splits"] == 3
    assert numbers["complete"] is True
    assert numbers["claim"] == "unsaid"  # twenty held-out rows
    assert "20 held-out rows score it" in numbers["verdict"]
    scoring = {row["name"]: row["scoring"] for row in numbers["schedules"]}
    assert scoring["hardest 70%"] == "once"
    assert "passes" in scoring["practical oracle"] or scoring["practical oracle"] == "on the fly"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Rows with the most and the least weight" in page


def test_weights_are_exported_by_row(assessed, frame):
    """Probabilities of the rows that train, which sum to one in float64, and a file that draws by them."""
    import importlib.util

    _, folder = assessed
    spec = importlib.util.spec_from_file_location("use_weights", folder / "use_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows = module.WeightedRows(str(folder / "weights.parquet"))
    assert len(rows.rows) == 60
    assert len(set(rows.rows.tolist())) == 60
    assert set(rows.rows.tolist()) <= set(range(len(frame)))
    assert rows.steps[0] == 0
    for step in (0, 5, 10**6):
        probability = rows.probabilities(step)
        assert probability.dtype == np.float64
        assert abs(probability.sum() - 1) < 1e-12
    drawn = rows.draw(0, 20_000)
    share = np.bincount(drawn, minlength=len(frame))[rows.rows] / 20_000
    np.testing.assert_allclose(share, rows.probabilities(0), atol=0.012)


def test_a_second_model_is_made_only_where_it_is_asked_for(monkeypatch):
    rng = np.random.default_rng(0)
    sizes = {"inputs": rng.normal(size=(30, 3)), "targets": rng.normal(size=(30, 1))}
    rest = {"groups": None, "group_names": (), "eval_inputs": None, "eval_targets": None, "description": ""}
    data = Dataset("toy", target_names=("y",), task="regression", **sizes, **rest)
    task = learning_task(data, Features(number=8), precision="float64", batch_size=8, seed=0)
    times = np.array([0, 0.1, 1.0, 10.0])
    assert "excess over an arc-cosine model" in {entry.name for entry in standard_entries(task, times, None)}

    def never(features):
        raise AssertionError("a second model was mapped")

    task = dataclasses.replace(task, second_features=never)
    assert {entry.name for entry in standard_entries(task, times, "quick")} == set(QUICK)
    with pytest.raises(AssertionError, match="was mapped"):
        standard_entries(task, times, ["excess over an arc-cosine model"])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("table.parquet", ("--target", "price", "--target", "weight", "--group", "source", "--by-group")),
        ("table.npz", ("--target", "y", "--kernel", "linear", "--precision", "float32", "--eval-fraction", 0)),
    ],
)
def test_other_formats_and_options(run, files, tmp_path, name, options):
    options = (*options, "--times", 0.1, 5, 6, "--schedules", "hardest 70%", "--splits", 1)
    result = run("assess", files / name, *options, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    numbers = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert numbers["loss_is"] == ("training loss" if "--eval-fraction" in options else "held-out loss")
    assert numbers["settings"]["dtype"] == ("float32" if "--precision" in options else "float64")
    assert numbers["settings"]["by_group"] == ("--by-group" in options)


def test_an_existing_folder_is_left_alone(assessed, files, refused):
    _, folder = assessed
    arguments = ("assess", files / "table.csv", "--target", "price", "--output", folder)
    before = (folder / "results.nc").read_bytes()
    message = refused(*arguments)
    assert "exists already" in message
    assert "--force" in message
    # even with --force nothing is touched before the input is known to be good
    wrong = ("assess", files / "table.csv", "--target", "prize", "--output", folder, "--force")
    assert "is not in table.csv" in refused(*wrong)
    assert (folder / "results.nc").read_bytes() == before


def test_wrong_names_get_the_nearest_one(files, refused, tmp_path):
    table, out = files / "table.csv", tmp_path / "out"
    assert "Did you mean 'price'?" in refused("assess", table, "--target", "prize", "--output", out)
    message = refused("assess", table, "--target", "price", "--group", "sauce", "--output", out)
    assert "--group sauce" in message
    assert "Did you mean 'source'?" in message
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--by-group",), "--by-group needs --group"),
        (("--horizon", 5, "--times", 1, 2, 9), "drop one"),
        (("--steps", 5, "--times", 1, 2, 9), "--times and --steps are both given"),
        (("--schedules", "loss-proportinal"), "Did you mean 'loss-proportional'"),
        (("--quick", "--schedules", "leverage"), "--quick and --schedules"),
        (("--batch-size", "many"), "--batch-size many is not possible"),
        (("--learning-rate", -1), "learning_rate is -1"),
        (("--learning-rate", 0), "learning_rate is 0"),
        (("--horizon", -1), "--horizon -1"),
        (("--times", 2, 1, 9), "increasing range"),
        (("--features", 1000), "num_features=1000"),
        (("--features", 10, "--method", "exact"), "method='exact'"),
        (("--eval-fraction", 2), "--eval-fraction 2"),
    ],
)
def test_options_that_do_not_fit(files, refused, tmp_path, options, words):
    arguments = ("assess", files / "table.csv", "--target", "price", "--output", tmp_path / "out", *options)
    assert words in refused(*arguments)


def test_files_that_will_not_do(frame, files, refused, tmp_path):
    out = tmp_path / "out"

    def message(name):
        return refused("assess", tmp_path / name, "--target", "price", "--output", out)

    assert "is not a file" in message("nowhere.csv")
    broken = frame.copy()
    broken.loc[17, "height"] = np.nan
    broken.to_csv(tmp_path / "nan.csv", index=False)
    assert "row 17" in message("nan.csv")
    assert "'height'" in message("nan.csv")
    frame.assign(price=3.0).to_csv(tmp_path / "constant.csv", index=False)
    assert "'price' is constant" in message("constant.csv")
    (tmp_path / "notes.txt").write_text("hello")
    assert "unknown suffix" in message("notes.txt")
    target = files / "table.csv"
    assert "is a file" in refused("assess", target, "--target", "price", "--output", target)


def test_a_numpy_file_takes_its_targets_from_another(refused, files, tmp_path):
    arguments = ("--target", files / "nowhere.npy", "--output", tmp_path / "out")
    assert "nowhere.npy" in refused("assess", files / "inputs.npy", *arguments)


def test_a_certificate_brackets_the_gain(run, files, refused, tmp_path):
    options = ("--target", "price", "--group", "source", "--by-group", "--times", 0.1, 3, 6, "--certify")
    options += ("--schedules", "loss-proportional", "--splits", 1)
    large = ("--method", "random", "--features", 120, "--output", tmp_path / "large")
    message = refused("assess", files / "table.csv", *options, *large)
    assert "weights, 120 features and 1 outputs would take about" in message
    result = run("assess", files / "table.csv", *options, "--features", 5, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    numbers = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert "(certificate)" in numbers["verdict"] or "certificate: too loose" in numbers["verdict"]
    least = min(row["final_loss"] for row in numbers["schedules"])
    assert 0 < numbers["settings"]["certificate"][-1] <= least


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("gap", (), ("column 'height': row 17", "--missing drop", "--missing mean")),
        ("lists", (), ("holds lists written as text", "--drop vector")),
        ("latin", (), ("not UTF-8", "--encoding latin-1")),
        ("classes", ("--target", "name"), ("'name' is text, but several targets must all be numbers",)),
        ("gap", ("--drop", "height", "--eval-where", "source=radio"), ("--eval-where source=radio matches no row",)),
        ("gap", ("--split", "group"), ("--split group needs --split-by",)),
        ("gap", ("--drop", "hieght"), ("--drop hieght is not in", "'height'")),
        ("gap", ("--eval", "nowhere.csv"), ("--eval nowhere.csv is not a file",)),
        ("gap", ("--gram", "nowhere.npy"), ("--gram nowhere.npy is not a file",)),
        ("gap", ("--gram", "k.npy", "--kernel", "linear"), ("--kernel, --method and --features make features",)),
    ],
)
def test_hints_name_options_of_the_command(frame, refused, tmp_path, content, options, words):
    broken = frame.copy()
    broken.loc[17, "height"] = np.nan
    if content == "lists":
        broken = frame.assign(vector=[f"[{i}, 1.5]" for i in range(len(frame))])
    if content == "classes":
        broken = frame.assign(name=[f"n{i % 60}" for i in range(len(frame))])
    path = tmp_path / "table.csv"
    encoding = "latin-1" if content == "latin" else "utf-8"
    broken.rename(columns={"depth": "tiefe ü"}).to_csv(path, index=False, encoding=encoding)
    message = refused("assess", path, "--target", "price", "--output", tmp_path / "out", *options)
    for word in words:
        assert word in message


def test_labels_known_to_be_wrong_are_pruned_for_comparison(frame, run, tmp_path):
    frame.assign(bad=np.arange(len(frame)) % 5 == 0).to_csv(tmp_path / "table.csv", index=False)
    arguments = ("--target", "price", "--drop", "weight", "--noise-column", "bad", "--kernel", "linear")
    arguments += ("--schedules", "random 70%", "--splits", 1)
    result = run("assess", tmp_path / "table.csv", *arguments, "--times", 0.1, 5, 6, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "training labels are known to be wrong" in result.stderr
    assert "'source' could serve as groups: --group source" in result.stderr
    numbers = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert "known wrong labels pruned" in [row["name"] for row in numbers["schedules"]]
    assert "known wrong labels pruned pays" not in " ".join(result.stdout.split())  # nobody could run it


def test_a_kernel_without_a_constant_gets_an_intercept():
    """A linear kernel on one-hot targets must fit the frequency of each class: least squares with an intercept."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(60, 3))
    targets = np.eye(3)[rng.choice(3, 60, p=[0.7, 0.2, 0.1])]
    data = Dataset("d", inputs, targets, ("a", "b", "c"), "classification", None, (), None, None, "")
    design = np.column_stack([inputs, np.ones(60)])
    residual = targets - design @ np.linalg.lstsq(design, targets)[0]
    floor = 0.5 * np.mean(np.sum(residual**2, axis=1))
    gram = dataclasses.replace(data, inputs=inputs @ inputs.T, inputs_are="gram")
    own = dataclasses.replace(data, inputs_are="features")
    for given, features in ((data, Features("linear")), (gram, Features()), (own, Features())):
        problem = learning_task(given, features, precision="float64", batch_size=8, seed=0).problem
        phi = np.asarray(problem.features)
        assert phi.shape == (60, 4)
        fitted = phi @ np.linalg.lstsq(phi, targets)[0]
        np.testing.assert_allclose(0.5 * np.mean(np.sum((targets - fitted) ** 2, axis=1)), floor, rtol=1e-10)
        # the intercept is as large as a typical input
        np.testing.assert_allclose(phi[:, 3], np.sqrt(np.mean(np.sum(inputs**2, axis=1)) / 3))
