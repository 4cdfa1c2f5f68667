import json
from dataclasses import replace

import numpy as np
import pytest
from mixture_tables import DOMAINS, METRICS, table, truth
from scipy.optimize import minimize

from spectral_sim.fitting import fit_mixture, load_mixture, score_mixture


@pytest.fixture(scope="module")
def new():
    return np.random.default_rng(9).dirichlet(np.full(4, 0.8), 200)


def test_predicts_unseen_mixtures_better_than_every_baseline(mixture_fit, new):
    assert score_mixture(mixture_fit.predict(new), truth(new)).error < 0.15
    assert mixture_fit.score.error < min(
        mixture_fit.scores[name].error for name in ("linear", "kernel ridge", "mixing law")
    )
    assert set(mixture_fit.scores) >= {"law", "linear", "log-linear", "mixing law", "kernel ridge"}
    report = mixture_fit.report()
    assert all(name in report for name in mixture_fit.scores)


def test_intervals_cover_new_runs(mixture_fit, new):
    measured = truth(new) * np.exp(0.003 * np.random.default_rng(3).standard_normal((200, 3)))
    low, high = mixture_fit.interval(new)
    assert 0.8 < np.mean((low <= measured) & (measured <= high)) <= 0.99
    single = mixture_fit.interval(new[0])
    np.testing.assert_allclose(single[0], low[0])
    assert (low < mixture_fit.predict(new)).all()


def test_intervals_are_wider_for_more_coverage_and_far_from_the_runs(mixture_fit):
    sure = replace(mixture_fit, calibration=replace(mixture_fit.calibration, level=0.99))
    middle = np.full((1, 4), 0.25)
    assert (sure.half_width(middle) > mixture_fit.half_width(middle)).all()
    corner = np.eye(4)[[3]]
    assert mixture_fit.half_width(corner).mean() > mixture_fit.half_width(middle).mean()


def test_a_baseline_that_wins_is_said():
    # a straight truth, of which a ridge regression needs few runs
    ratios = np.random.default_rng(0).dirichlet(np.ones(4), 12)
    losses = 5 + ratios @ np.array([[1.0, -1.0], [2.0, 0.3], [-2.0, 0.5], [0.0, 1.0]])
    fit = fit_mixture(ratios, losses, boost="none")
    assert fit.best_baseline == "linear"
    assert any("linear has a smaller error on held-out runs" in note for note in fit.notes)


def test_one_mixture_and_frames_in_any_order(mixture_fit):
    pandas = pytest.importorskip("pandas")
    shares = np.array([[0.1, 0.2, 0.3, 0.4]])
    named = pandas.DataFrame(shares[:, ::-1], columns=list(DOMAINS[::-1]))
    np.testing.assert_allclose(mixture_fit.predict(named), mixture_fit.predict(shares))
    assert mixture_fit.predict(shares[0]).shape == (3,)
    with pytest.raises(ValueError, match="has no column 'wiki'"):
        mixture_fit.predict(named.drop(columns="wiki"))
    with pytest.raises(ValueError, match="give shares of 4 domains"):
        mixture_fit.predict(np.ones((2, 3)) / 3)


def test_support(mixture_fit):
    run = mixture_fit.table.ratios[5]
    there = mixture_fit.support(run)
    assert (there.nearest, there.distance, there.extrapolates) == ("5", 0.0, False)
    corner = mixture_fit.support([0, 0, 0, 1.0])
    assert corner.extrapolates
    assert corner.beyond["wiki"][0] == 1.0
    assert "outside what was tried" in str(corner)


def test_optimum_is_that_of_another_solver(mixture_fit):
    importance = np.array([0.2, 0.5, 0.3])
    prior = np.array([0.4, 0.3, 0.2, 0.1])
    found = mixture_fit.optimum(dict(zip(METRICS, importance, strict=True)), prior, divergence=0.1)

    def objective(logits):
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        loss = mixture_fit.predict(shares[None], boosted=False)[0] @ importance
        return loss + 0.1 * np.sum(shares * np.log(shares / prior))

    other = minimize(
        objective, np.zeros(4), method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-9, "fatol": 1e-13}
    )
    shares = np.exp(other.x - other.x.max())
    np.testing.assert_allclose(found.shares, shares / shares.sum(), atol=2e-4)
    assert objective(np.log(found.shares)) <= other.fun + 1e-9
    assert found.loss == pytest.approx(float(found.losses @ importance))
    assert (found.losses_low < found.losses).all()
    for gain in found.gains:
        assert gain.low < gain.value < gain.high


def test_optimum_of_the_truth_is_near(mixture_fit):
    found = mixture_fit.optimum()
    best = min(truth(np.random.default_rng(1).dirichlet(np.ones(4), 20000)).mean(axis=1))
    assert truth(found.shares[None]).mean() < best + 0.01
    assert found.gains[1].name.startswith("the best run, ")


def test_limits_hold_and_are_said(mixture_fit):
    prior = dict(zip(DOMAINS, (0.6, 0.1, 0.1, 0.2), strict=True))
    capped = mixture_fit.optimum(prior=prior, max_epochs=1.5, minimum={"wiki": 0.25})
    assert (capped.shares <= 1.5 * np.array([0.6, 0.1, 0.1, 0.2]) + 1e-9).all()
    assert capped.shares[3] >= 0.25 - 1e-9
    assert capped.shares.sum() == pytest.approx(1)
    assert "cap of 15.00%" in capped.limits["code"]
    pools = mixture_fit.optimum(prior=prior, max_epochs=2, pools={"web": 1, "code": 0.05, "books": 0.3, "wiki": 0.3})
    assert pools.shares[1] <= 0.1 + 1e-9
    near = mixture_fit.optimum(prior=prior, divergence=100.0)
    np.testing.assert_allclose(near.shares, list(prior.values()), atol=0.01)
    assert near.gains[0].within_error
    assert "the gain is within the error" in str(near)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_epochs": 4}, "max_epochs needs a prior"),
        ({"divergence": 0.1}, "divergence needs a prior"),
        ({"prior": [1, 1, 1, 1], "max_epochs": 0.5}, "leave room for 0.5"),
        ({"minimum": 0.3}, "minimum sums to 1.2"),
        (
            {"prior": [0.7, 0.1, 0.1, 0.1], "max_epochs": 2, "minimum": 0.22},
            "'code' has a minimum share of 0.22, above",
        ),
        ({"prior": {"webs": 1}}, "prior names 'webs'.*Did you mean 'web'"),
        ({"weights": {"poetry": 1}}, "weights names 'poetry', which is no loss"),
        ({"weights": [0, 0, 0]}, "weights are all zero"),
        ({"pools": [1, 1, 1, 1]}, "give max_epochs too"),
        ({"prior": [1, 1, 1, 1], "divergence": -1}, "divergence=-1"),
    ],
)
def test_optimum_refuses(mixture_fit, options, message):
    with pytest.raises(ValueError, match=message):
        mixture_fit.optimum(**options)


def test_sensitivity_is_the_change_for_a_hundredth_more(mixture_fit):
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    step = 1e-5
    for g in range(4):
        towards = (np.eye(4)[g] - shares) / (1 - shares[g])
        change = mixture_fit.predict(shares + step * towards) - mixture_fit.predict(shares - step * towards)
        np.testing.assert_allclose(mixture_fit.sensitivity(shares)[:, g], 0.01 * change / (2 * step), rtol=1e-4)


def test_saves_and_reloads_exactly(mixture_fit, new, tmp_path):
    large = mixture_fit.rescale(new[:3], 0.8 * truth(new[:3]))
    for fit in (mixture_fit, large):
        fit.save(tmp_path / "fit.npz")
        again = load_mixture(tmp_path / "fit.npz")
        np.testing.assert_array_equal(again.predict(new), fit.predict(new))
        np.testing.assert_array_equal(again.interval(new), fit.interval(new))
        assert (again.scores, again.ridges, again.notes, again.table.runs) == (
            fit.scores, fit.ridges, fit.notes, fit.table.runs,
        )  # fmt: skip
        np.testing.assert_array_equal(again.optimum().shares, fit.optimum().shares)


def test_files_of_something_else_are_refused(mixture_fit, tmp_path):
    path = tmp_path / "fit.npz"
    with pytest.raises(ValueError, match=r"does not end in \.npz"):
        mixture_fit.save(tmp_path / "fit.json")
    with pytest.raises(FileNotFoundError):
        load_mixture(path)
    np.savez(path, a=np.zeros(2))
    with pytest.raises(ValueError, match="is damaged or not what it should be: facts"):
        load_mixture(path)
    mixture_fit.save(path)
    with np.load(path) as file:
        arrays = dict(file)
    facts = json.loads(str(arrays["facts"]))
    np.savez(path, **{**arrays, "facts": np.array(json.dumps({**facts, "version": 99}))})
    with pytest.raises(ValueError, match="version is 99"):
        load_mixture(path)
    np.savez(path, **{**arrays, "law.power": arrays["law.power"][:, :2]})
    with pytest.raises(ValueError, match=r"law.power has shape \(1, 2\), not \(1, 4\)"):
        load_mixture(path)
    np.savez(path, **{**arrays, "facts": np.array(json.dumps({**facts, "ridge": "strong"}))})
    with pytest.raises(ValueError, match="ridge is 'strong'"):
        load_mixture(path)


def test_without_lightgbm_auto_goes_on_with_a_note(monkeypatch):
    for module in ("_mixture_fitting", "_mixture_baselines"):
        monkeypatch.setattr(f"spectral_sim.fitting.{module}.has_lightgbm", lambda: False)
    fit = fit_mixture(*table(12, 1))
    assert fit.boost is None
    assert "lightgbm" not in fit.scores
    assert any("LightGBM is not installed" in note for note in fit.notes)


def test_boosted_residuals(tmp_path, new):
    pytest.importorskip("lightgbm")
    ratios, losses = table(40, 2)
    bumped = losses + 0.5 * (ratios[:, :1] > 0.3)  # a step, which no law of powers has
    fit = fit_mixture(ratios, bumped, boost="lightgbm")
    assert fit.boost is not None
    assert not np.allclose(fit.predict(new), fit.predict(new, boosted=False))
    assert fit.scores["law with boosted residuals"].error < fit.scores["law"].error
    fit.save(tmp_path / "fit.npz")
    np.testing.assert_array_equal(load_mixture(tmp_path / "fit.npz").predict(new), fit.predict(new))
