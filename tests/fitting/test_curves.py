"""Loss curves: the law against stepping in NumPy, fits of curves from a known truth, and input that is refused."""

import itertools
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.fitting import Curve, _curve_fitting, fit_curves, interpolate_rates, load_curves
from spectral_sim.fitting._curve_baselines import BASELINES, fit_baseline, predict_baseline
from spectral_sim.fitting._curve_errors import flat_directions
from spectral_sim.fitting._curve_grid import curve_batch, refine, thinned
from spectral_sim.fitting._curve_model import CurveLaw, log_losses, log_losses_and_slopes
from spectral_sim.fitting._curve_prediction import Reach

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "loss_curves"
PEAK, SCATTER, MODES, NODES = 2e-3, 5e-4, 1000, 32
TRUTH = {"alpha": 1.5, "beta": 1.6, "scale": 0.02 / PEAK, "energy": 6.0, "floor": 2.5, "noise": 4.0, "exponent": 0.25}


def rates(kind: str, count: int = 2000) -> np.ndarray:
    step = np.arange(count)
    rate = {
        "constant": np.full(count, PEAK),
        "cosine": PEAK * (0.1 + 0.45 * (1 + np.cos(np.pi * step / count))),
        "drop": np.where(step < 1200, PEAK, 0.3 * PEAK),
        "decay": PEAK * np.clip((count - step) / 600, 0.1, 1),
    }[kind]
    return np.minimum(rate, PEAK * step / 100)  # starts at zero


def stepped(rate: np.ndarray, steps: np.ndarray, truth: dict, strength: float = 1.0) -> np.ndarray:
    """The recursion of SGD with label noise and full gradients, step by step over every mode."""
    mode = np.arange(1.0, MODES + 1)
    eigenvalue, energy = truth["scale"] * mode ** -truth["alpha"], truth["energy"] * mode ** -truth["beta"]
    losses = []
    for eta in rate:
        losses.append(energy.sum() / 2)
        noise = strength * truth["noise"] * (eta / PEAK) ** truth["exponent"] if eta > 0 else 0.0
        energy = (1 - eta * eigenvalue) ** 2 * energy + eta**2 * eigenvalue**2 * noise
    return truth["floor"] + np.array([*losses, energy.sum() / 2])[steps]


def curve(kind: str, seed: int = 0, batch_size: float | None = None, scatter: float = SCATTER) -> Curve:
    rate, steps = rates(kind), np.arange(150, 2001, 74)
    strength = 1.0 if batch_size is None else 64 / batch_size
    loss = stepped(rate, steps, TRUTH, strength) * np.exp(scatter * np.random.default_rng(seed).normal(size=steps.size))
    return Curve(steps, loss, rate, batch_size)


def true_point(law: CurveLaw) -> np.ndarray:
    share, part = TRUTH["scale"] * PEAK, TRUTH["floor"] / float(law.lowest)
    logs = np.log([TRUTH["alpha"] - 1, TRUTH["beta"] - 1, share / (1 - share), TRUTH["energy"], part / (1 - part)])
    return np.array([*logs, np.log(TRUTH["noise"]), TRUTH["exponent"]])


@pytest.fixture(scope="module")
def curves() -> dict[str, Curve]:
    return {kind: curve(kind, seed) for seed, kind in enumerate(("constant", "cosine", "drop", "decay"))}


@pytest.fixture(scope="module")
def fit(curves):
    return fit_curves(curves, hold_out="decay", max_mode=MODES, nodes=NODES)


def test_law_against_stepping_and_slopes_against_differences(curves):
    law = CurveLaw(PEAK, 2.7, MODES, MODES)  # as many nodes as modes: no quadrature
    batch = curve_batch([curve(kind, scatter=0.0) for kind in ("constant", "cosine", "drop")], PEAK, None)
    point = jnp.asarray(true_point(law))
    values = log_losses(law, point, batch)
    # held rates have the exact mean: what is left is of second order in how far they move in an interval
    np.testing.assert_allclose(values, batch.log_loss, atol=6e-5)
    np.testing.assert_allclose(values[0, 3:], batch.log_loss[0, 3:], atol=2e-6)
    law = CurveLaw(PEAK, 2.7, MODES, NODES)
    values, slopes = log_losses_and_slopes(law, point, batch)
    for n in range(point.size):
        ahead, behind = (log_losses(law, point.at[n].add(step), batch) for step in (1e-4, -1e-4))
        largest = float(jnp.max(jnp.abs(slopes[..., n])))
        assert largest > 1e-6
        np.testing.assert_allclose((ahead - behind) / 2e-4, slopes[..., n], atol=1e-5 * largest)


def test_padding_changes_nothing(curves):
    law = CurveLaw(PEAK, 2.7, MODES, NODES)
    point = jnp.asarray(true_point(law))
    short = Curve(*(part[:10] for part in (curves["drop"].steps, curves["drop"].loss)), curves["drop"].learning_rate)
    alone = log_losses(law, point, curve_batch([short], PEAK, None))
    beside = log_losses(law, point, curve_batch([short, curves["cosine"]], PEAK, None))
    np.testing.assert_allclose(alone[0], beside[0, :10], rtol=1e-12)


def test_fit_predicts_a_curve_that_was_held_out(curves, fit):
    score = fit.scores["spectral law"]["decay"]
    assert score.mae < 2 * SCATTER * curves["decay"].loss.mean()
    assert score.coverage >= 0.7
    assert score.mae < fit.scores["power law"]["decay"].mae / 3
    assert fit.parameters["floor"] == pytest.approx(TRUTH["floor"], abs=0.15)
    assert abs(fit.parameters["noise_exponent"] - TRUTH["exponent"]) <= 0.5
    assert fit.parameters["noise_exponent"] in fit.exponents
    assert any("batch size cannot be predicted" in warning for warning in fit.warnings)
    assert any(warning.startswith("the curves leave open") for warning in fit.warnings)
    truth = stepped(rates("decay"), curves["decay"].steps, TRUTH)
    found = fit.predict(rates("decay"), steps=curves["decay"].steps)
    assert np.mean((truth >= found.low) & (truth <= found.high)) >= 0.7
    assert "held-out curves" in fit.report()


@pytest.mark.slow
def test_held_out_curves_change_nothing(curves, fit):
    other = replace(curves["decay"], loss=curves["decay"].loss * 1.5)
    again = fit_curves({**curves, "decay": other}, hold_out=("decay",), max_mode=MODES, nodes=NODES)
    np.testing.assert_array_equal(again.point, fit.point)
    np.testing.assert_array_equal(again.covariance, fit.covariance)


def test_a_fit_that_was_stopped_goes_on_to_the_same_result(curves, fit, tmp_path, monkeypatch):
    path = tmp_path / "search.npz"
    options = {"hold_out": "decay", "max_mode": MODES, "nodes": NODES, "checkpoint": path}

    def stop(line):
        if line.startswith("choosing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_curves(curves, **options, progress=stop)
    monkeypatch.setattr(_curve_fitting, "screen", None)  # what was found is not looked for again
    again = fit_curves(curves, **options)
    np.testing.assert_array_equal(again.point, fit.point)
    np.testing.assert_array_equal(again.covariance, fit.covariance)
    assert again.cross_validation == fit.cross_validation
    assert again.exponents == fit.exponents
    assert repr(again.scores) == repr(fit.scores)
    with pytest.raises(ValueError, match="that of a fit of other curves, other options"):
        fit_curves({name: curves[name] for name in ("constant", "drop")}, max_mode=MODES, nodes=NODES, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"search\.npz.* is damaged .* Delete it"):
        fit_curves(curves, **options)
    with pytest.raises(ValueError, match="in a folder that exists"):
        fit_curves(curves, **{**options, "checkpoint": tmp_path / "none" / "search.npz"})


@pytest.mark.slow
def test_a_fit_that_was_killed_goes_on_to_the_same_result(curves, fit, tmp_path):
    """Killed by the system between two searches, in a process of its own."""
    path, script = tmp_path / "search.npz", tmp_path / "script.py"
    script.write_text(KILLED)
    np.savez(tmp_path / "curves.npz", **{f"{n}.{f}": getattr(c, f) for n, c in curves.items() for f in FIELDS})
    for most, code in ((3, -signal.SIGKILL), (9, -signal.SIGKILL), (10**6, 0)):
        ran = subprocess.run([sys.executable, script, str(tmp_path), str(most)], capture_output=True, text=True)
        assert ran.returncode == code, ran.stderr
    with np.load(path) as file:
        assert len(file.files) > 12
    np.testing.assert_array_equal(load_curves(tmp_path / "fit.npz").point, fit.point)


FIELDS = ("steps", "loss", "learning_rate")
KILLED = f"""
import os, signal, sys
from pathlib import Path
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
from spectral_sim.fitting import Curve, fit_curves
from spectral_sim.fitting._curve_tape import Tape

folder, most = Path(sys.argv[1]), int(sys.argv[2])
write = Tape._write

def killed(tape, path):
    write(tape, path)
    if len(tape._entries) >= most:
        os.kill(os.getpid(), signal.SIGKILL)

Tape._write = killed
stored = np.load(folder / "curves.npz")
curves = {{
    name: Curve(*(stored[f"{{name}}.{{field}}"] for field in {FIELDS}))
    for name in ("constant", "cosine", "drop", "decay")
}}
path = folder / "search.npz"
fit_curves(curves, hold_out="decay", max_mode={MODES}, nodes={NODES}, checkpoint=path).save(folder / "fit.npz")
"""


def test_prediction_is_what_simulate_gives(fit):
    rate = rates("decay")
    found = fit.predict(rate, steps=[500, 1999, 2000])
    grid, held = refine(np.array([500, 1999, 2000]), rate, PEAK)
    dynamics = fit.law.dynamics(fit.parameters, ss.PerRefresh(held))
    run = ss.simulate(fit.problem, ss.uniform(), grid, dynamics=dynamics)
    np.testing.assert_allclose(found.loss, run.loss[np.searchsorted(grid, found.steps)], rtol=1e-9)
    curated = fit.predict(rate, steps=[500, 1999, 2000], schedule=ss.power_tilt(0.3))
    assert not np.allclose(curated.loss, found.loss)


def test_predictions_say_where_they_go_beyond_the_data(fit):
    assert fit.predict(rates("decay")).warnings == ()
    longer = fit.predict(np.full(4000, 0.5 * PEAK), steps=[100, 4000])
    assert any("4000 steps" in warning for warning in longer.warnings)
    assert np.all(longer.high - longer.low > 0)
    assert any("largest rate" in w for w in fit.predict(1.5 * PEAK, steps=[100]).warnings)
    assert any("smallest rate" in w for w in fit.predict(1e-3 * PEAK, steps=[100]).warnings)
    with pytest.raises(ValueError, match="limit of stability"):
        fit.predict(1e4 * PEAK, steps=[100, 200])
    with pytest.raises(ValueError, match="batch size cannot be predicted"):
        fit.predict(rates("decay"), batch_size=32)
    with pytest.raises(ValueError, match="give the steps"):
        fit.predict(PEAK)
    with pytest.raises(ValueError, match="do not increase"):
        fit.predict(PEAK, steps=[5, 3])


def test_saves_and_reloads_exactly(fit, tmp_path):
    path = tmp_path / "fit.npz"
    fit.save(path)
    again = load_curves(path)
    for name in ("point", "covariance"):
        np.testing.assert_array_equal(getattr(again, name), getattr(fit, name))
    for name in ("hold_out", "residual", "level", "cross_validation", "exponents", "warnings", "parameters"):
        assert getattr(again, name) == getattr(fit, name)
    assert repr(again.scores) == repr(fit.scores)  # not a number is not equal to itself
    rate = rates("decay")
    np.testing.assert_array_equal(again.predict(rate).high, fit.predict(rate).high)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    for change, reason in (
        ({"point": arrays["point"][:3]}, "point has the shape"),
        ({"curves.0.loss": -arrays["curves.0.loss"]}, "curves.0 is no curve"),
        ({"facts": np.array(str(arrays["facts"]).replace("spectral_sim.curves", "other"))}, "format is 'other'"),
    ):
        np.savez(path, **{**arrays, **change})
        with pytest.raises(ValueError, match=reason):
            load_curves(path)
    path.write_bytes(b"no file of arrays")
    with pytest.raises(ValueError, match="cannot be read"):
        load_curves(path)


def test_batch_size_is_predicted_from_curves_of_two(curves):
    several = {
        "small": curve("constant", 0, 32.0),
        "large": curve("constant", 1, 256.0),
        "cosine": curve("cosine", 2, 64.0),
    }
    found = fit_curves(several, max_mode=MODES, nodes=NODES, noise_exponent=TRUTH["exponent"])
    assert not any("batch size" in warning for warning in found.warnings)
    steps = np.array([1000, 2000])
    truth = stepped(rates("drop"), steps, TRUTH, 64 / 128)
    predicted = found.predict(rates("drop"), steps=steps, batch_size=128)
    np.testing.assert_allclose(predicted.loss, truth, rtol=2e-3)
    with pytest.raises(ValueError, match="one positive number"):
        found.predict(rates("drop"), batch_size=0)


def test_grid_holds_what_moves():
    rate = rates("drop")
    grid, held = refine(np.array([1500, 2000]), rate, PEAK)
    assert {0, 1200, 1500, 2000} <= set(grid.tolist())
    np.testing.assert_allclose(held, [rate[a:b].mean() for a, b in itertools.pairwise(grid)], rtol=1e-12)
    for begin, end in itertools.pairwise(grid):
        assert np.ptp(rate[begin:end]) <= 0.03 * PEAK + 1e-15
    jumping = np.where(np.arange(20_000) % 2, PEAK, 0.5 * PEAK)
    assert len(refine(np.array([20_000]), jumping, PEAK)[0]) <= 1100


def test_thinning_keeps_the_level(curves):
    steps = np.arange(1, 2001)
    long = Curve(steps, 3 + steps**-0.5, rates("constant"))
    few = thinned(long, 100)
    assert few.steps.size <= 100
    np.testing.assert_allclose(few.loss[1:], 3 + few.steps[1:] ** -0.5, rtol=1e-3)
    assert thinned(curves["drop"], 100) is curves["drop"]


def test_recorded_rates_become_rates_of_steps():
    np.testing.assert_allclose(interpolate_rates([2, 4], [1.0, 3.0]), [1.0, 1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="do not increase"):
        interpolate_rates([2, 2], [1.0, 3.0])


def test_flat_directions_are_named():
    covariance = np.diag([1.0, 1e-4, 1e-4, 1e-4, 1e-4, 1e-4, 0.0])
    assert len(flat_directions(covariance)) == 1
    assert flat_directions(covariance)[0].startswith("alpha up (")


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_fit_curves_of_their_own(name, curves):
    parameters = np.array({"power law": [2.0, -0.5, -0.6], "momentum law": [2.0, -0.5, -0.6, -1.5]}.get(
        name, [2.0, -0.5, -0.6, -2.0, 1.0, -0.6, -0.6]))  # fmt: skip
    own = predict_baseline(BASELINES[name], parameters, curves, PEAK, 2.7)
    made = {key: Curve(each.steps, own[key], each.learning_rate) for key, each in curves.items()}
    fitted = fit_baseline(BASELINES[name], [made[key] for key in ("constant", "cosine", "drop")], PEAK, 2.7)
    again = predict_baseline(BASELINES[name], fitted, made, PEAK, 2.7)
    np.testing.assert_allclose(again["decay"], own["decay"], rtol=2e-3)


STEPS, LOSS = np.arange(10, 110, 10), np.linspace(4, 3, 10)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"steps": STEPS[::-1]}, r"steps\[1\] is 90, which comes after 100: sort"),
        ({"steps": np.maximum(STEPS, 20)}, r"steps\[1\] is 20, which repeats"),
        ({"steps": STEPS + 0.5}, "whole numbers"),
        ({"steps": STEPS[:-1]}, "as many losses as steps"),
        ({"steps": STEPS[:3], "loss": LOSS[:3]}, "needs at least 8"),
        ({"loss": np.where(STEPS == 50, np.nan, LOSS)}, r"loss\[4\] is nan"),
        ({"loss": -LOSS}, r"loss\[0\] is -4"),
        ({"loss": LOSS[::-1]}, "loss rises from 3 to 4"),
        ({"learning_rate": np.full(99, 0.1)}, "has 99 entries, but step 100 needs 100"),
        ({"learning_rate": np.full(10, 0.1)}, "interpolate_rates"),
        ({"learning_rate": np.full((100, 2), 0.1)}, r"has shape \(100, 2\)"),
        ({"learning_rate": np.full(100, -0.1)}, r"learning_rate\[0\] is -0.1"),
        ({"learning_rate": 0.0}, "zero at every step"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_bad_curves(change, reason):
    with pytest.raises(ValueError, match=reason):
        Curve(**{"steps": STEPS, "loss": LOSS, "learning_rate": 0.1, **change})


def test_functions_and_zero_rates_at_the_start_are_rates():
    warm = Curve(STEPS, LOSS, lambda step: 0.1 * min(1.0, step / 20))
    assert warm.learning_rate[0] == 0
    np.testing.assert_allclose(warm.learning_rate[[10, 50]], [0.05, 0.1])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"hold_out": "c"}, "hold_out names 'c'"),
        ({"hold_out": ("a", "a")}, "each name once"),
        ({"hold_out": ("a", "b")}, "names every curve"),
        ({"noise_exponent": "best"}, "noise_exponent is 'best'"),
        ({"noise_exponent": np.nan}, "noise_exponent is nan"),
        ({"intervals": 1.0}, "intervals is 1"),
    ],
)
def test_bad_fits(arguments, reason):
    one = Curve(STEPS, LOSS, 0.1)
    with pytest.raises(ValueError, match=reason):
        fit_curves({"a": one, "b": one}, **arguments)


def test_names_and_kinds_that_clash():
    one = Curve(STEPS, LOSS, 0.1)
    with pytest.raises(ValueError, match="read the same"):
        fit_curves({"a": one, "a ": one})
    with pytest.raises(ValueError, match="no batch_size"):
        fit_curves({"a": one, "b": replace(one, batch_size=4)})
    with pytest.raises(ValueError, match="'b' of batch size 4, but all fitted curves have 8"):
        fit_curves({"a": replace(one, batch_size=8), "b": replace(one, batch_size=4)}, hold_out="b")
    with pytest.raises(TypeError, match="is a tuple"):
        fit_curves({"a": (STEPS, LOSS)})  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="dictionary"):
        fit_curves({})


def test_reach():
    reach = Reach.of([Curve(STEPS, LOSS, 0.1)])
    assert reach.warnings(np.full(100, 0.1)) == ()
    assert len(reach.warnings(np.full(200, 0.1))) == 2


@pytest.mark.slow
def test_one_curve_is_fitted_with_warnings(curves):
    found = fit_curves({"constant": curves["constant"]}, max_mode=MODES, nodes=NODES)
    assert any("one curve only" in warning for warning in found.warnings)
    assert any("rate never changes" in warning for warning in found.warnings)
    assert found.cross_validation == {}


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason=f"the public loss curves are not at {DATA}")
@pytest.mark.parametrize("size", ["25M", "100M"])
def test_public_curves_are_predicted(size):
    import importlib.util

    script = Path(__file__).resolve().parents[2] / "benchmarks" / "published" / "loss_curves.py"
    spec = importlib.util.spec_from_file_location("loss_curves", script)
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    curves = bench.load(DATA / f"loss_{size}.csv")
    found = fit_curves(curves, hold_out=[name for name in curves if name not in bench.FITTED])
    mean = bench.mean_score(found.scores["spectral law"], found.hold_out)
    mae, rmse, r2 = bench.TARGETS[size]
    assert mean.mae <= mae
    assert mean.rmse <= rmse
    assert mean.r2 >= r2
