"""Results in words, as labelled arrays, as files and as pictures."""

import jax
import numpy as np
import pytest
import xarray
from mixture_tables import table

import spectral_sim as ss
from spectral_sim import assessment, fitting
from spectral_sim._shown import Shown
from spectral_sim.fitting import CurvePrediction
from spectral_sim.fitting._training_comparison import Doubts

PROBLEM = ss.power_law(2.0, 2.0, num_modes=8)
TIMES = ss.log_times(0.1, 10.0, 5)
SGD = ss.SGDMoments(0.1)
UNIFORM = ss.simulate(PROBLEM, ss.uniform(), TIMES, save=ss.save_summary)


@pytest.fixture(scope="module")
def learned():
    start = ss.TableSchedule.create(PROBLEM, TIMES, num_basis=2)
    return ss.learn(PROBLEM, start, TIMES, objective=ss.terminal_log_loss(), steps=2)


@pytest.fixture(scope="module")
def mixture():
    return ss.fit_mixture(*table(12, 0), boost="none")


def test_a_run_in_words_and_arrays():
    text = repr(UNIFORM)
    assert text.splitlines()[0] == "Trajectory"
    assert "5, t = 0 to 10" in text
    assert "ok" in text
    arrays = UNIFORM.to_xarray()
    np.testing.assert_array_equal(arrays.loss, UNIFORM.loss)
    np.testing.assert_array_equal(arrays.times, TIMES)
    np.testing.assert_array_equal(arrays.saved_max_weight, np.ones(5))
    assert arrays.loss.dims == ("times",)
    assert arrays.attrs["summary"] == text


def test_a_batch_has_an_axis_and_a_failure_is_told():
    steps = ss.log_steps(1, 20, 5)
    run = jax.vmap(lambda rate: ss.simulate(PROBLEM, ss.uniform(), steps, dynamics=ss.SGDMoments(rate), throw=False))(
        np.array([0.1, 9.0])
    )
    arrays = run.to_xarray()
    assert dict(arrays.sizes) == {"schedules": 2, "steps": len(steps)}
    assert arrays.times.dims == ("schedules", "steps")
    assert "1 of 2 failed; first: unstable learning rate at refresh 0" in repr(run)


def test_saved_arrays_read_back(tmp_path):
    run = ss.simulate_many(PROBLEM, {"a": ss.uniform(), "b": ss.proportional()}, TIMES, save=ss.save_weights)
    run.save(tmp_path / "run.nc")
    with xarray.open_dataset(tmp_path / "run.nc", engine="scipy") as read:
        np.testing.assert_array_equal(read.loss, run.loss)
        np.testing.assert_array_equal(read.saved, run.saved)
        assert read.saved.dims[:2] == ("schedules", "times")
    assert [path.name for path in tmp_path.iterdir()] == ["run.nc"]
    with pytest.raises(ValueError, match=r"does not end in \.nc"):
        run.save(tmp_path / "run.csv")


def test_under_a_trace_nothing_is_claimed():
    seen = []

    def traced(power):
        run = ss.simulate(PROBLEM, ss.proportional(power), TIMES)
        seen.append((repr(run), run._repr_html_()))
        with pytest.raises(ValueError, match="traced values"):
            run.to_xarray()
        return run.loss[-1]

    jax.jit(traced)(1.0)
    assert seen == [("<Trajectory under a trace>", seen[0][1])]


def test_a_search_and_a_mixture(learned, mixture, tmp_path):
    assert "above the bound (water-filling)" in repr(learned)
    np.testing.assert_array_equal(learned.to_xarray().history, learned.history)
    assert "best baseline" in repr(mixture)
    arrays = mixture.to_xarray()
    np.testing.assert_array_equal(arrays.ratios, mixture.table.ratios)
    np.testing.assert_allclose(arrays.predicted, mixture.predict(mixture.table.ratios))
    mixture.save_arrays(tmp_path / "mixture.nc")
    assert (tmp_path / "mixture.nc").exists()


def test_a_prediction_has_its_band():
    import matplotlib

    matplotlib.use("agg")
    steps = np.arange(1, 4)
    predicted = CurvePrediction(steps, 1.0 / steps, 0.9 / steps, 1.1 / steps, ("longer than any fitted curve",))
    assert "longer than any fitted curve" in repr(predicted)
    axes = predicted.plot()
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), predicted.loss)
    assert len(axes.collections) == 1


def test_pictures_draw_what_is_recorded(learned, mixture):
    import matplotlib

    matplotlib.use("agg")
    run = UNIFORM.plot()
    np.testing.assert_array_equal(run.lines[0].get_ydata(), UNIFORM.loss[1:])
    assert run.get_xscale() == "log"
    assert UNIFORM.plot(run) is run
    assert len(run.lines) == 2
    assert {line.get_label() for line in learned.plot().lines} == {"best so far", "uniform", "water-filling"}
    assert len(mixture.plot().lines) == len(mixture.metrics)


def test_a_comparison_of_schedules():
    entries = [assessment.Entry("by loss", ss.proportional()), assessment.Entry("tilt", ss.power_tilt(0.5, cutoff=4.0))]
    found = assessment.run_assessment("modes", PROBLEM, entries, TIMES)
    lines = repr(found).splitlines()
    assert lines[0] == "Assessment"
    assert "3 of 3: uniform, by loss, tilt" in lines[2]
    assert lines[4].split(maxsplit=1)[1].startswith("tilt pays on modes: ")
    arrays = found.to_xarray()
    np.testing.assert_array_equal(arrays.loss.sel(schedules="tilt"), found.runs[2].loss)
    assert arrays.bound_loss.sizes["bounds"] == len(found.bounds) > 0
    drawn = {line.get_label() for line in found.plot().lines}
    assert {"uniform", "by loss", "tilt"} < drawn


def test_predicted_and_real_training():
    told = ss.simulate_many(PROBLEM, {"a": ss.uniform(), "b": ss.proportional()}, ss.log_steps(1, 20, 5), dynamics=SGD)
    real = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), told)
    scores = fitting.Agreement(1.0, 0.07, 0.04, 0.0, 1.0, float("nan"))
    other = scores._replace(tau=0.5)
    found = fitting.TrainingComparison(
        ("a", "b"), "a", real, told, scores, other, Doubts(0.0, 1.0, 0.0, False), "held-out loss", "its kernel"
    )
    assert found.spoken()[0] == ("order of the schedules (Kendall's tau)", "1", "0.5")
    assert "2 schedules, 2 real seeds, against a" in repr(found)
    assert "1.00 of 1, a rule of thumb" in str(found)
    arrays = found.to_xarray()
    np.testing.assert_array_equal(arrays.real_loss.sel(schedules="b"), real.loss[:, 1])
    np.testing.assert_array_equal(arrays.steps, found.steps)
    np.testing.assert_allclose(found.plot().lines[1].get_ydata(), told.loss[0])


def test_html_is_escaped():
    class Odd(Shown):
        def _view(self):
            from spectral_sim._shown import View

            return View({"<b>": "a & b"}, {})

    assert "&lt;b&gt;" in Odd()._repr_html_()
    assert "a &amp; b" in Odd()._repr_html_()


def test_what_is_missing_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match="needs the package 'xarray'"):
        UNIFORM.to_xarray()
