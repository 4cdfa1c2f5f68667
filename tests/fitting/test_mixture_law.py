import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import spearmanr

from spectral_sim.fitting import MixtureLaw, score_mixture
from spectral_sim.fitting._mixture_baselines import linear, mixing_law
from spectral_sim.fitting._mixture_law import LawObjective, closed_form, fit_law
from spectral_sim.fitting._mixture_scores import folds


def small_law():
    return MixtureLaw(
        floor=np.array([1.0, 2.0]),
        amplitude=np.array([1.5, 0.7]),
        offset=np.array([0.2, 0.1]),
        strength=np.array([[2.0, 0.5, 1.0], [0.3, 3.0, 0.4]]),
        power=np.array([0.6, 0.9, 1.0]),
        exponent=np.array([0.3, 0.5]),
    )


def mixtures(runs, seed=0, domains=3):
    return np.random.default_rng(seed).dirichlet(np.ones(domains), runs)


@pytest.mark.parametrize("is_linear", [False, True])
def test_gradient_is_that_of_differences(is_linear):
    ratios = mixtures(12)
    ratios[0] = [0, 0.4, 0.6]  # a share of zero has no logarithm
    objective = LawObjective(ratios, small_law().predict(ratios) + 0.05 * mixtures(12, 1)[:, :2], 0.1, is_linear)
    values = objective.pack(closed_form(ratios, objective.losses, is_linear))
    values += 0.1 * np.random.default_rng(2).standard_normal(values.shape)
    _, gradient = objective(values)
    numeric = approx_fprime(values, lambda v: objective(v)[0], 1e-7)
    powers = slice(6, 9)
    if is_linear:
        numeric[powers] = 0  # held
        assert not gradient[powers].any()
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-5 * np.abs(numeric).max())


def test_gradient_of_the_data_term_is_that_of_jax():
    ratios = mixtures(10)
    objective = LawObjective(ratios, small_law().predict(ratios) + 0.1 * mixtures(10, 1)[:, :2], 0.0, False)
    values = objective.pack(closed_form(ratios, objective.losses, False))

    def data_term(values):
        floor, exponent, offset = values[:6].reshape(3, 2)
        power, strength = jax.nn.sigmoid(values[6:9]), jnp.exp(values[9:].reshape(2, 3))
        progress = jnp.exp(offset) + ratios**power @ strength.T
        loss = objective.lowest * jax.nn.sigmoid(floor) + objective.amplitude * progress ** -jnp.exp(exponent)
        return 0.5 * jnp.sum(((loss - objective.losses) / objective.spread) ** 2)

    with jax.enable_x64(True):
        expected = np.asarray(jax.grad(data_term)(jnp.asarray(values)))
        value = float(data_term(jnp.asarray(values)))
    found_value, found_gradient = objective(values)
    # where the losses are those of the law itself, nothing but the ridge on the other parameters is left
    objective.losses = objective.unpack(values).predict(ratios)
    ridge_value, ridge_gradient = objective(values)
    np.testing.assert_allclose(found_value - ridge_value, value, rtol=1e-9)
    np.testing.assert_allclose(found_gradient - ridge_gradient, expected, rtol=1e-6, atol=1e-9)


def test_closed_form_finds_a_law_with_its_own_constants():
    ratios = mixtures(40)
    strength = np.array([[2.0, 0.5, 1.0], [0.3, 3.0, 0.4]])
    losses = 0.5 + (0.2 + ratios**0.65 @ strength.T) ** -0.25
    start = closed_form(ratios, losses, False)
    # c is 0.6 min L there, so that the start is near and not exact
    assert score_mixture(start.predict(ratios), losses).error < 0.1


def test_fit_predicts_unseen_mixtures_of_its_own_truth():
    law, known, new = small_law(), mixtures(60), mixtures(40, 1)
    found = fit_law(known, law.predict(known), 0.01)
    # the ridge pulls exponents and powers together, which this truth has apart
    assert score_mixture(found.predict(new), law.predict(new)).error < 0.08
    start = closed_form(known, law.predict(known), False)
    assert (
        score_mixture(found.predict(known), law.predict(known)).error
        < score_mixture(start.predict(known), law.predict(known)).error
    )
    held = fit_law(known, law.predict(known), 0.01, linear=True)
    np.testing.assert_array_equal(held.power, 1)


def test_sensitivity_is_the_slope_of_predictions():
    law, shares = small_law(), np.array([0.5, 0.2, 0.3])
    numeric = [
        (law.predict((shares + step)[None]) - law.predict((shares - step)[None]))[0] / 2e-6 for step in 1e-6 * np.eye(3)
    ]
    np.testing.assert_allclose(law.sensitivity(shares), np.transpose(numeric), rtol=1e-6)


def test_mapped_law_predicts_mapped_losses_and_the_law_is_convex():
    law, ratios = small_law(), mixtures(30)
    shift, slope = np.array([0.1, -0.3]), np.array([0.8, 1.2])
    np.testing.assert_allclose(law.mapped(shift, slope).predict(ratios), shift + slope * law.predict(ratios))
    middle = law.predict(0.5 * (ratios[:15] + ratios[15:]))
    assert (middle <= 0.5 * (law.predict(ratios[:15]) + law.predict(ratios[15:])) + 1e-12).all()


def test_scores_are_those_of_scipy():
    rng = np.random.default_rng(0)
    true = rng.standard_normal((20, 2))
    predicted = np.round(true + rng.standard_normal((20, 2)))  # with ties
    score = score_mixture(predicted, true)
    assert score.spearman == pytest.approx(np.mean([spearmanr(predicted[:, h], true[:, h])[0] for h in range(2)]))
    assert score.error == pytest.approx(np.mean(np.sqrt(np.mean((predicted - true) ** 2, 0)) / np.std(true, 0)))


def test_runs_of_one_mixture_share_a_fold():
    ratios = np.repeat(mixtures(10), 2, axis=0)
    fold = folds(ratios, 5, 0)
    np.testing.assert_array_equal(fold[::2], fold[1::2])
    assert set(fold) == set(range(5))


def test_baselines_recover_their_own_truths():
    known, new = mixtures(40), mixtures(20, 1)
    slopes = np.array([[0.5, -0.4], [-0.8, 0.3], [0.1, 0.6]])
    straight = 3 + known @ slopes
    np.testing.assert_allclose(linear(known, straight, new, ridge=1e-9), 3 + new @ slopes, atol=1e-6)
    curved = 1.5 + np.exp(new @ slopes)
    assert score_mixture(mixing_law(known, 1.5 + np.exp(known @ slopes), new, ridge=1e-4), curved).error < 0.05
