"""`spectral-sim simulate`: what a configuration may hold, and what is said of one that is wrong."""

import inspect
import json

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.cli import _job
from spectral_sim.cli._build import _DATA_OPTIONS, build_part
from spectral_sim.cli._read_config import read_config

BASE = """
[problem]
kind = "power_law"
alpha = 2.0
beta = 2
num_modes = 12

[times]
first = 0.1
last = 100.0
num = 14

[[schedules]]
name = "capped"
stages = [{ stage = "proportional" }, { stage = "clip", low = 0.1, high = 5.0 }]
"""

DATA = 'kind = "data"\npath = "table.parquet"'


@pytest.fixture
def config(write_config):
    """Write the base configuration, or another, with some text replaced."""
    return lambda *changes, text=BASE, **options: write_config(text, *changes, **options)


def test_the_example_is_complete(run, tmp_path):
    result = run("simulate", "--example")
    assert result.exit_code == 0
    path = tmp_path / "example.toml"
    path.write_text(result.stdout, encoding="utf-8")
    part = build_part(read_config(path), path, "float64")
    assert part.entries[0].name == "uniform"
    assert len(part.entries) == 9


def test_a_run_from_a_file(run, config, tmp_path):
    more = """
[[schedules]]
name = "noisy"
seeds = [1, 2]
cost = 0.5
stages = [{ stage = "add_noise", sigma = 0.5 }, { stage = "proportional", power = 0.5 }]

[[schedules]]
name = "broken"
stages = [{ stage = "static_weights", values = [-1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1] }]
"""
    folder = tmp_path / "out"
    result = run("simulate", config(text=BASE + more), "--output", folder)
    assert result.exit_code == 0, result.output
    numbers = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    names = [row["name"] for row in numbers["schedules"]]
    assert set(names) == {"uniform", "capped", "noisy, seed 1", "noisy, seed 2", "broken"}
    rows = dict(zip(names, numbers["schedules"], strict=True))
    assert rows["broken"]["status"].startswith("negative weights")
    assert rows["noisy, seed 1"]["final_loss"] != rows["noisy, seed 2"]["final_loss"]
    net = rows["noisy, seed 1"]["speedup"]["anytime"]
    assert net["net"]["value"] < net["gross"]["value"]
    free = rows["capped"]["speedup"]["anytime"]
    assert free["net"]["value"] == pytest.approx(free["gross"]["value"])
    assert "uniform at 5 t" in [bound["name"] for bound in numbers["bounds"]]
    assert "ideal" in numbers["verdict"]


FEATURES = 'kind = "random_features"\nalpha = 1.5\nbeta = 2.0\nnum_modes = 300\nwidth = 20'


@pytest.mark.parametrize(
    ("problem", "weights", "precision"),
    [
        ('kind = "modal"\npath = "spectrum.npz"', 20, "float32"),
        ('kind = "torus"\nalpha = 2.0\nbeta = 2.0\nnum_examples = 16', 16, "float64"),
        ('kind = "torus"\nalpha = 2.0\nbeta = 2.0\nnum_examples = 16\nbasis = "haar"', 16, "float32"),
        ('kind = "power_law"\nalpha = 2.0\nbeta = 2.0\nmax_mode = 1e5\nnodes = 80', 80, "float32"),
        (f"{FEATURES}\nnodes = 48", 48, "float32"),
        (f'{FEATURES}\nmethod = "draw"\nseed = 3', 20, "float64"),
        ('kind = "dataset"\nname = "diabetes"\nnum_train = 40\nfeatures = 10', 40, "float32"),
        (f"{DATA}\ntarget = 'price'\ngroup = 'source'\nby_group = true\nfeatures = 9", 2, "float32"),
        (f"{DATA}\ntarget = ['price', 'weight']\ninputs = 'width'\nkernel = 'linear'", 60, "float64"),
        ('kind = "data"\npath = "inputs.npy"\ntarget = "targets.npy"\nmethod = "random"\nfeatures = 8', 60, "float32"),
        ('kind = "data"\npath = "table.npz"\ntarget = "y"\neval_fraction = 0.0\nmethod = "exact"', 80, "float64"),
    ],
)
def test_every_kind_of_problem(files, config, problem, weights, precision):
    text = f'[problem]\n{problem}\n[[schedules]]\nname = "u"\nstages = [{{ stage = "uniform" }}]\n'
    path = config(text=text, folder=files)
    part = build_part(read_config(path), path, precision)
    assert part.problem.mass.shape == (weights,)
    assert str(part.problem.dtype) == precision
    assert part.times[0] == 0


def test_times_may_be_listed(config):
    table = "[times]\nfirst = 0.1\nlast = 100.0\nnum = 14\n"
    path = config((table, ""), text="times = [0, 1, 10, 100.5]\n" + BASE)
    assert build_part(read_config(path), path, "float64").times.tolist() == [0, 1, 10, 100.5]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("alpha = 2.0", "alhpa = 2.0", "problem.alhpa: unknown key. Did you mean 'alpha'?"),
        ("alpha = 2.0", "alpha = 0.5", "problem.alpha = 0.5: input should be greater than 1"),
        ("alpha = 2.0", 'alpha = "2"', "problem.alpha = '2': input should be a valid number"),
        ("alpha = 2.0\n", "", "problem.alpha is missing: problem needs kind, alpha, beta"),
        ('"power_law"', '"powerlaw"', "problem.kind = 'powerlaw' is not known. Did you mean 'power_law'?"),
        ('kind = "power_law"\n', "", "problem.kind is missing"),
        ("num_modes = 12", "num_modes = 12\nnodes = 3", "nodes=3 is used with max_mode only"),
        ('"power_law"', '"random_features"', "problem.width is missing: problem needs kind, alpha, beta, num_modes"),
        ('"power_law"', '"random_features"\nwidth = 12', "problem: width is 12 and num_modes=12: features are fewer"),
        ("num = 14", "nun = 14", "times.nun: unknown key. Did you mean 'num'?"),
        ("last = 100.0", "last = 0.01", "times: last = 0.01 is not above first = 0.1"),
        ("[[schedules]]", "[[schedule]]", "schedule: unknown key. Did you mean 'schedules'?"),
        ('name = "capped"\n', "", "schedules[0].name is missing"),
        ('name = "capped"\n', 'name = "capped"\nsed = 3\n', "schedules[0].sed: unknown key. Did you mean 'seeds'?"),
        ('"proportional"', '"proportionl"', "schedules[0].stages[0].stage = 'proportionl' is not known. Did you mean"),
        ("high = 5.0", "hihg = 5.0", "schedules[0].stages[1].hihg: clip has no such option. Did you mean 'high'?"),
        ("high = 5.0", "high = 0.5", "schedules[0].stages[1]: clip(low=0.1, high=0.5) admits no weights of mean one"),
        ("high = 5.0", 'high = "5"', "schedules[0].stages[1].high = '5': give a number"),
        ("high = 5.0", "high = [5.0, 6.0]", "schedules[0].stages[1].high = [5.0, 6.0]: give a number"),
        (", high = 5.0", "", 'clip needs high; write { stage = "clip", high = ... }'),
        ('{ stage = "proportional" }', "{ power = 1.0 }", "schedules[0].stages[0]: the key 'stage' is missing"),
        ('{ stage = "proportional" }', '{ stage = "mix", eps = 0.1 }, { stage = "lag", tau = 1 }', "stands after mix"),
        ('"proportional"', '"leverage_sampling"', "(capped): leverage_sampling scores examples by their features"),
        ('"proportional" }', '"curriculum", end = 3.0, order = "hard" }', "order='hard' is not known. Did you mean"),
        ('"proportional" }', '"shell_average", num_shells = 2.5 }', "num_shells = 2.5: give a whole number"),
        ('"proportional" }', '"static_weights", values = 1.0 }', "values = 1.0: give a list of numbers"),
        ('"proportional" }', '"static_weights", values = [1.0] }', "(capped): static_weights has values of shape (1,)"),
        ("[problem]", "[problem", "is not valid TOML"),
        ("[problem]", 'precision = "double"\n[problem]', "precision = 'double' is not known. "),
        ("[times]", "by_group = 3\n[times]", "problem.by_group: unknown key"),
    ],
)
def test_mistakes_are_named(config, refused, tmp_path, old, new, words):
    path = config((old, new))
    message = refused("simulate", path, "--output", tmp_path / "out")
    assert message.startswith(f"error: {path}")
    assert words in message
    assert not (tmp_path / "out").exists()


def test_more_mistakes(config, refused, files, tmp_path):
    out = ("--output", tmp_path / "out")
    assert "name = 'capped' is taken" in refused("simulate", config(text=BASE + BASE[BASE.index("[[") :]), *out)
    grouped = config(("stages", "by_group = true\nstages"))
    assert "by_group = true needs groups" in refused("simulate", grouped, *out)
    text = '[problem]\nkind = "data"\npath = "table.csv"\ntarget = "prize"\n' + BASE[BASE.index("[[") :]
    assert "Did you mean 'price'?" in refused("simulate", config(text=text, folder=files), *out)
    text = '[problem]\nkind = "modal"\npath = "table.npz"\n' + BASE[BASE.index("[[") :]
    assert "table.npz has no 'eigenvalues'" in refused("simulate", config(text=text, folder=files), *out)
    times = config(("[times]\nfirst = 0.1\nlast = 100.0\nnum = 14\n", ""), text="times = [1, 2, 3, 4]\n" + BASE)
    assert "the grid starts at 0" in refused("simulate", times, *out)
    assert "CONFIG is missing" in refused("simulate")
    assert "is not a file" in refused("simulate", tmp_path / "nowhere.toml")


def test_force_replaces_only_what_is_ours(run, config, refused, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    for name in ("notes.txt", "results.nc", "report.html", "weights.png"):
        (folder / name).write_text("old")
    assert "exists already" in refused("simulate", config(), "--output", folder)
    result = run("simulate", config(), "--output", folder, "--force")
    assert result.exit_code == 0, result.output
    assert (folder / "notes.txt").read_text() == "old"
    assert (folder / "report.html").stat().st_size > 1_000_000
    assert all((folder / name).stat().st_size > 1000 for name in ("results.nc", "weights.png"))


def test_an_empty_folder_holds_nothing_to_lose(run, config, tmp_path):
    (tmp_path / "out").mkdir()
    assert run("simulate", config(), "--output", tmp_path / "out").exit_code == 0


def test_an_interrupt_leaves_what_was_computed(run, config, tmp_path, monkeypatch):
    def interrupted(*arguments, finished, **options):
        def stop(assessment):
            finished(assessment)
            raise KeyboardInterrupt

        return original(*arguments, finished=stop, **options)

    original = _job.run_assessment
    monkeypatch.setattr(_job, "run_assessment", interrupted)
    folder = tmp_path / "out"
    result = run("simulate", config(), "--output", folder)
    assert result.exit_code == 130
    assert "1 of 1 splits, 2 of 2 schedules" in result.stderr
    assert "--resume goes on" in result.stderr
    assert {"results.nc", "summary.json", "report.html"} <= {path.name for path in folder.iterdir()}
    assert json.loads((folder / "summary.json").read_text(encoding="utf-8"))["complete"] is True


def test_a_report_that_fails_leaves_the_results(run, config, tmp_path, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("no paper")

    monkeypatch.setattr(_job, "write_report", broken)
    folder = tmp_path / "out"
    result = run("simulate", config(), "--output", folder)
    assert result.exit_code == 0
    assert "report.html could not be written: RuntimeError: no paper" in result.stderr
    assert (folder / "results.nc").exists()


def test_paradigms_from_a_file(config):
    """A teacher, the learner's own labels, and on data a second kernel."""
    more = """
[[schedules]]
name = "taught"
stages = [{ stage = "teacher", training_time = 5, sharpness = inf, exponent = 1.5, cost = 2 }, { stage = "greedy" }]

[[schedules]]
name = "own labels"
stages = [{ stage = "uniform" }]
self_generated = { fraction = 0.5, period = inf }
"""
    path = config(text=BASE + more)
    part = build_part(read_config(path), path, "float64")
    taught, own = part.entries[1:]
    assert float(taught.schedule.stages[0].exponent) == 1.5
    assert float(own.dynamics.fraction) == 0.5
    second = """[{ stage = "complement", training_time = 5.0, kernel = "linear" },
      { stage = "teacher", training_time = 2.0, kernel = "rbf", features = 8, method = "random", bandwidth = 3.0 }]"""
    problem = 'kind = "dataset"\nname = "diabetes"\nnum_train = 40'
    text = f'[problem]\n{problem}\n\n[[schedules]]\nname = "excess"\nstages = {second}\n'
    path = config(text=text)
    part = build_part(read_config(path), path, "float64")
    shapes = [stage.features.shape for stage in part.entries[0].schedule.stages]
    assert shapes == [(40, 11), (40, 8)]  # ten inputs and the intercept of a linear kernel
    torus = 'kind = "torus"\nalpha = 2.0\nbeta = 2.0\nnum_examples = 16'
    path = config(text=text.replace(problem, torus).replace(second, '[{ stage = "complement", exponent = 1.4 }]'))
    stage = build_part(read_config(path), path, "float64").entries[0].schedule
    np.testing.assert_array_equal(stage.features, ss.torus(1.4, 2.0, 16).features)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ('{ stage = "teacher" }', "teacher needs training_time"),
        ('{ stage = "teacher", training_time = 1.0, kernel = "rbf" }', "kernel needs a data set with inputs"),
        ('{ stage = "self_scoring", threshold = -1.0 }', "threshold is -1: it must be positive"),
        ('{ stage = "uniform" }]\nself_generated = { fraction = 1.0 }\n#', "self_generated.fraction"),
    ],
)
def test_paradigms_that_cannot_be_on_modes(refused, config, stages, message):
    path = config(text=f'{BASE}\n[[schedules]]\nname = "other"\nstages = [{stages}]\n')
    assert message in " ".join(refused("simulate", path).split())


@pytest.mark.parametrize(
    ("problem", "stage", "message"),
    [
        ("dataset", "exponent = 1.4", 'exponent is for modes: on data name a kernel, such as kernel = "linear"'),
        ("dataset", 'kernel = "linaer"', "kernel='linaer' is not known. Did you mean 'linear'"),
        ("dataset", 'kernel = "linear", bandwidth = 2.0', "bandwidth=2 is for kernel='rbf' only"),
        ("dataset", "kernel = 3", "kernel = 3: give a word in quotes"),
        ("torus", 'kernel = "rbf"', "kernel is not for a torus: give exponent, of the second kernel's eigenvalues"),
    ],
)
def test_second_models_that_cannot_be_on_data(refused, config, problem, stage, message):
    kinds = {
        "dataset": 'kind = "dataset"\nname = "diabetes"\nnum_train = 40',
        "torus": 'kind = "torus"\nalpha = 2.0\nbeta = 2.0\nnum_examples = 16',
    }
    stages = f'[{{ stage = "teacher", training_time = 1.0, {stage} }}]'
    path = config(text=f'[problem]\n{kinds[problem]}\n\n[[schedules]]\nname = "other"\nstages = {stages}\n')
    assert message in " ".join(refused("simulate", path).split())


def test_data_options_of_a_configuration_are_those_of_load_table():
    assert set(_DATA_OPTIONS) == set(inspect.signature(ss.load_table).parameters) - {"path", "target"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", 'give missing = "mean"'),
        ('missing = "mean"\nsplit = "group"', 'split = "group" needs split_by'),
        ('missing = "some"', "missing = 'some' is not known"),
        ('gram = "k.npy"\nkernel = "linear"', "kernel makes features of inputs, and gram gives them"),
    ],
)
def test_data_options_are_named_as_keys(refused, config, tmp_path, frame, options, words):
    broken = frame.copy()
    broken.loc[3, "height"] = np.nan
    broken.to_csv(tmp_path / "gaps.csv", index=False)
    problem = BASE[BASE.index("kind") : BASE.index("[times]")]
    path = config((problem, f'kind = "data"\npath = "gaps.csv"\ntarget = "price"\n{options}\n'))
    assert words in refused("simulate", path)
