"""The torus: three bases of one known spectrum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spectral_sim as ss

BASES = ["fourier", "haar", "random"]
TIMES = ss.log_times(1e-1, 1e3, 9)


def functions(problem, alpha):
    """The basis functions at the examples, shape (examples, modes)."""
    features = np.asarray(problem.features)
    return features / np.arange(1.0, features.shape[1] + 1) ** (-alpha / 2)


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("size", [2, 16, 64])
def test_basis_functions_are_orthonormal_under_the_mass(basis, size):
    problem = ss.torus(1.5, 2.0, size, basis)
    phi = functions(problem, 1.5)
    assert problem.targets.shape == (size, 1)
    np.testing.assert_allclose(problem.mass, np.full(size, 1 / size), rtol=1e-15)
    np.testing.assert_allclose(phi.T @ phi / size, np.eye(size), atol=1e-12)
    coefficients = phi.T @ np.asarray(problem.targets)[:, 0] / size
    np.testing.assert_allclose(coefficients**2, np.arange(1.0, size + 1) ** -2.0, rtol=1e-9)


def test_fourier_exists_for_odd_sizes():
    phi = functions(ss.torus(2.0, 2.0, 15), 2.0)
    np.testing.assert_allclose(phi.T @ phi / 15, np.eye(15), atol=1e-12)


def test_fourier_and_haar_are_ordered_by_frequency_and_scale():
    phi = functions(ss.torus(2.0, 2.0, 16, "fourier"), 2.0)
    power = np.abs(np.fft.rfft(phi, axis=0)) ** 2
    np.testing.assert_array_equal(np.argmax(power, axis=0), (np.arange(16) + 1) // 2)
    haar = functions(ss.torus(2.0, 2.0, 16, "haar"), 2.0)
    support = np.sum(np.abs(haar) > 1e-12, axis=0)
    np.testing.assert_array_equal(support, [16, 16, 8, 8, 4, 4, 4, 4, *[2] * 8])


@pytest.mark.parametrize("basis", BASES)
def test_the_modal_view_is_the_power_law(basis):
    problem = ss.torus(1.7, 2.2, 64, basis)
    modal, floor = ss.problems.modal_view(problem)
    k = np.arange(1.0, 65)
    np.testing.assert_allclose(modal.eigenvalues, k**-1.7, rtol=1e-9)
    np.testing.assert_allclose(modal.energies, k**-2.2, rtol=1e-8)
    assert float(floor) == pytest.approx(0.0, abs=1e-13)
    expected = [0.5 * np.sum(k**-2.2 * np.exp(-2 * k**-1.7 * t)) for t in TIMES]
    np.testing.assert_allclose(ss.simulate(problem, ss.uniform(), TIMES).loss, expected, rtol=1e-9)


@pytest.mark.parametrize("basis", BASES)
def test_signs_and_seed(basis):
    plus = ss.torus(2.0, 2.0, 32, basis, signs="plus")
    coefficients = functions(plus, 2.0).T @ np.asarray(plus.targets)[:, 0] / 32
    np.testing.assert_allclose(coefficients, np.arange(1.0, 33) ** -1.0, rtol=1e-10)
    first, same, other = (np.asarray(ss.torus(2.0, 2.0, 32, basis, seed=seed).targets) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0.1
    # the seed of the signs is not that of the basis
    fourier, seeded = (np.asarray(ss.torus(2.0, 2.0, 32, "fourier", seed=seed).features) for seed in (0, 1))
    np.testing.assert_array_equal(fourier, seeded)


@pytest.mark.parametrize("basis", BASES)
def test_random_signs_are_both_and_shared_by_the_bases(basis):
    problem = ss.torus(2.0, 2.0, 64, basis)
    signs = np.sign(functions(problem, 2.0).T @ np.asarray(problem.targets)[:, 0])
    assert 16 < np.sum(signs > 0) < 48
    reference = ss.torus(2.0, 2.0, 64, "fourier")
    np.testing.assert_array_equal(signs, np.sign(functions(reference, 2.0).T @ np.asarray(reference.targets)[:, 0]))


@pytest.mark.parametrize("signs", ["random", "plus"])
@pytest.mark.parametrize("basis", BASES)
def test_single_precision_stays_single(basis, signs):
    problem = ss.torus(np.float32(2), np.float32(2), 16, basis, signs=signs)
    leaves = problem.features, problem.targets, problem.example_mass, problem.initial_parameters
    assert [leaf.dtype for leaf in leaves] == [jnp.dtype("float32")] * 4


def test_is_built_under_transformations():
    loss = jax.jit(jax.vmap(lambda alpha: ss.simulate(ss.torus(alpha, 2.0, 16), ss.uniform(), [0.0, 3.0]).loss[-1]))
    k = np.arange(1.0, 17)
    expected = [0.5 * np.sum(k**-2.0 * np.exp(-6 * k**-a)) for a in (1.5, 2.5)]
    np.testing.assert_allclose(loss(jnp.array([1.5, 2.5])), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("size", "options", "message"),
    [
        (12, {"basis": "haar"}, r"num_examples is 12: the Haar basis needs a power of two, such as 16"),
        (
            8,
            {"basis": "furier"},
            r"basis='furier' is not known\. Did you mean 'fourier'\? Valid: fourier, haar, random",
        ),
        (8, {"basis": "xyz"}, r"basis='xyz' is not known\. Valid: fourier, haar, random"),
        (8, {"signs": "rando"}, r"signs='rando' is not known\. Did you mean 'random'\? Valid: plus, random"),
        (1, {}, r"num_examples is 1: give at least 2"),
    ],
)
def test_refuses(size, options, message):
    with pytest.raises(ValueError, match=message):
        ss.torus(2.0, 2.0, size, **options)


@pytest.mark.parametrize(
    ("exponents", "message"),
    [((np.nan, 2.0), r"alpha is nan"), ((np.inf, 2.0), r"alpha is inf"), ((2.0, np.inf), r"beta is inf")],
)
def test_refuses_exponents_that_are_not_finite(exponents, message):
    with pytest.raises(ValueError, match=message):
        ss.torus(*exponents, 8)
