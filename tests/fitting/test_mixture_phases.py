import numpy as np
import pytest
from mixture_tables import phase_table, truth
from scipy.linalg import expm
from scipy.optimize import approx_fprime

from spectral_sim.fitting import fit_phases
from spectral_sim.fitting._mixture_operator import OperatorObjective, Operators
from spectral_sim.fitting._mixture_phase_laws import fit_repetition, fit_retention, fit_totals
from spectral_sim.fitting._mixture_scores import score_mixture


def operators(seed=0):
    rng = np.random.default_rng(seed)
    return Operators(0.7 * rng.standard_normal((3, 4, 2)), rng.standard_normal((2, 4)), np.array([1.0, 2.0]))


def schedules(runs, seed=0, domains=3):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(domains), (runs, 2)), np.tile([0.3, 0.7], (runs, 1))


def test_operators_are_matrix_exponentials():
    law, (ratios, fractions) = operators(), schedules(5)
    for n, shares in enumerate(ratios):
        left = law.residuals.T
        for k in range(2):
            rate = sum(r * b @ b.T for r, b in zip(shares[k], law.factors, strict=True))
            left = expm(-fractions[n, k] * rate) @ left
        expected = law.floor + 0.5 * np.sum(left**2, axis=0)
        np.testing.assert_allclose(law.predict(ratios, fractions)[n], expected, rtol=1e-10)


def test_order_vanishes_for_static_and_for_commuting_schedules():
    law, (ratios, fractions) = operators(), schedules(5)
    assert np.abs(law.order(ratios, fractions)).max() > 1e-3
    static = np.repeat(ratios[:, :1], 2, axis=1)
    np.testing.assert_allclose(law.order(static, fractions), 0, atol=1e-12)
    axes = np.zeros((3, 4, 2))
    axes[0, 0, 0], axes[1, 1, 0], axes[2, 0, 1] = 1.0, 2.0, 0.5
    commuting = Operators(axes, law.residuals, law.floor)
    np.testing.assert_allclose(commuting.order(ratios, fractions), 0, atol=1e-12)


def test_gradient_of_operators_is_that_of_differences():
    ratios, fractions = schedules(6)
    ratios[0, 0] = [1, 0, 0]  # an operator of rank two in four directions: eigenvalues meet at zero
    objective = OperatorObjective(fractions[..., None] * ratios, np.random.default_rng(1).uniform(1, 2, (6, 2)))
    values = np.random.default_rng(2).standard_normal(sum(objective.sizes) + 2)
    numeric = approx_fprime(values, lambda v: objective(v)[0], 1e-7)
    np.testing.assert_allclose(objective(values)[1], numeric, rtol=1e-4, atol=1e-5 * np.abs(numeric).max())


def test_retention_and_repetition_find_their_own_truths():
    rng = np.random.default_rng(0)
    ratios, fractions = rng.dirichlet(np.ones(4), (40, 2)), np.full((40, 2), 0.5)
    kept = 0.5 * ratios[:, 0] * np.exp(-0.5 * np.array([3.0, 0.0, 0.0, 0.0])) + 0.5 * ratios[:, 1]
    losses = truth(kept)
    found = fit_retention(ratios[:30], fractions[:30], losses[:30], 0.01)
    null = fit_totals(ratios[:30], fractions[:30], losses[:30], 0.01)
    assert np.argmax(found.forgetting) == 0
    assert found.forgetting[0] > 0.5
    errors = [score_mixture(law.predict(ratios[30:], fractions[30:]), losses[30:]).error for law in (found, null)]
    assert errors[0] < 0.8 * errors[1]  # the rates are shrunk, so that a part of the effect is left

    pools, totals = np.full(4, 0.1), ratios.mean(axis=1)
    worth = np.minimum(totals, 0.1) + 0.1 * 2 * (1 - np.exp(-np.maximum(totals / 0.1 - 1, 0) / 2))
    assert fit_repetition(ratios, fractions, truth(worth), 0.01, pools).epochs == 2


@pytest.fixture(scope="module")
def ordered():
    return fit_phases(*phase_table(0, commuting=False, runs=48))


@pytest.mark.slow
def test_an_order_effect_is_found_where_it_is(ordered):
    ratios, _, _ = phase_table(0, commuting=False, runs=48)
    truths = phase_table(0, commuting=False, runs=48, noise=0.0)[1]
    assert ordered.kind == "operator"
    assert ordered.knows_order
    assert ordered.scores["operator"].error < ordered.scores["totals"].error
    effect = ordered.order_effect(ratios[0])
    assert effect.low <= effect.value <= effect.high
    assert not effect.by_construction
    gain = ordered.dynamic_gain()
    assert gain.value < 0  # the best schedule is no worse than the best static mixture
    assert np.mean(np.abs(ordered.predict(ratios) - truths)) < np.mean(np.abs(truths - truths.mean(axis=0)))
    assert "operator" in ordered.report()


@pytest.mark.slow
def test_no_order_effect_is_found_where_there_is_none():
    ratios, losses, fractions = phase_table(1, commuting=True, runs=48)
    fit = fit_phases(ratios, losses, fractions)
    assert fit.kind == "totals"
    for effect in (fit.order_effect(ratios[0]), fit.dynamic_gain()):
        assert (effect.value, effect.low, effect.high) == (0, 0, 0)
        assert "0 by construction" in str(effect)
    backwards = fit.predict(ratios[:, ::-1])
    np.testing.assert_allclose(backwards, fit.predict(ratios), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("commuting", [False, True])
def test_order_effects_in_ten_tables(commuting):
    fits = [fit_phases(*phase_table(seed, commuting, runs=96), seed=seed) for seed in range(10)]
    assert [fit.knows_order for fit in fits] == [not commuting] * 10


def test_bad_phases_are_refused():
    ratios, losses, fractions = phase_table(0, commuting=True, runs=10)
    with pytest.raises(ValueError, match="fractions of run 0 are"):
        fit_phases(ratios, losses, [0.5, 0.6])
    with pytest.raises(ValueError, match=r"fractions has shape \(3,\)"):
        fit_phases(ratios, losses, [0.2, 0.3, 0.5])
    wrong = ratios.copy()
    wrong[4, 1, 2] += 0.5
    with pytest.raises(ValueError, match=r"ratios of phase 1: run '4' \(row 4\) has shares with sum 1.5"):
        fit_phases(wrong, losses, fractions)
    with pytest.raises(ValueError, match="has one phase"):
        fit_phases(ratios[:, :1], losses, [1.0])
    with pytest.raises(ValueError, match="pools of domain 'domain 1' is 0"):
        fit_phases(ratios, losses, fractions, pools=[1, 0, 1])
