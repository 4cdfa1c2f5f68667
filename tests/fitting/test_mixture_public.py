"""The public table of 17 domains and 13 losses; skipped where its folder is absent."""

import csv
from pathlib import Path

import numpy as np
import pytest

from spectral_sim.fitting import fit_mixture, score_mixture

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "regmix"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no public table in {DATA}")


def load(name):
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    values = np.array(rows, np.float64)
    return tuple(values[:, [n for n, title in enumerate(header) if title.startswith(kind)]] for kind in ("r_", "L_"))


def test_unseen_mixtures():
    train, test = load("regmix_train_1m.csv"), load("regmix_test_1m.csv")
    chosen = np.random.default_rng(0).permutation(len(train[0]))[:32]
    fit = fit_mixture(train[0][chosen], train[1][chosen], boost="none")
    shares = test[0] / test[0].sum(axis=1, keepdims=True)
    score = score_mixture(fit.predict(shares), test[1])
    assert score.error <= 0.28
    assert score.spearman >= 0.965
    assert score.error < fit.scores[fit.best_baseline].error
    low, high = fit.interval(shares)
    assert 0.8 <= np.mean((low <= test[1]) & (test[1] <= high)) <= 0.99
    assert any("rescaled" in note for note in fit.notes)
