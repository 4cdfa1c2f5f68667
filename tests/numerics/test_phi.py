"""phi_1 by eigenvectors, and its derivative, against SciPy's matrix exponential and mpmath."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.linalg

from spectral_sim.numerics import integral_decay, phi1, phi1_eigen
from spectral_sim.numerics._phi import divided_differences

DURATIONS = (1e-6, 0.3, 1.0, 30.0, 1e4)


def random_psd(rng, size, rank=None, scale=1.0):
    factor = rng.standard_normal((size, rank or size))
    return scale * factor @ factor.T / size


def by_expm(matrix, drive, duration):
    """x(h) for x' = g - M x, from the exponential of an augmented matrix."""
    size, outputs = drive.shape
    augmented = np.zeros((size + outputs, size + outputs))
    augmented[:size, :size], augmented[:size, size:] = -matrix, drive
    return scipy.linalg.expm(duration * augmented)[:size, size:]


def by_eigenvectors(matrix, drive, duration):
    """x(h) with a root of the matrix for features."""
    values, vectors = np.linalg.eigh(matrix)
    root = (vectors * np.sqrt(np.maximum(values, 0))).T.astype(matrix.dtype)
    return phi1_eigen(root, jnp.full(len(root), duration, root.dtype), duration * drive)[0]


@pytest.mark.parametrize("z", [0.0, 1e-300, -1e-12, -1e-3, -1.0, -40.0, -1e6, 2.0])
def test_phi1_of_numbers(z):
    with mpmath.workdps(60):
        exact = float(mpmath.expm1(z) / z) if z else 1.0
    assert phi1(jnp.asarray(z)) == pytest.approx(exact, rel=1e-15)


@pytest.mark.parametrize("duration", DURATIONS)
@pytest.mark.parametrize("rank", [6, 3])
def test_eigenvectors_against_expm(duration, rank):
    rng = np.random.default_rng(rank)
    matrix, drive = random_psd(rng, 6, rank), rng.standard_normal((6, 2))
    exact = by_expm(matrix, drive, duration)
    np.testing.assert_allclose(
        by_eigenvectors(matrix, drive, duration), exact, rtol=1e-10, atol=1e-10 * np.abs(exact).max()
    )


def test_a_singular_matrix_grows_linearly_and_never_blows_up():
    rng = np.random.default_rng(0)
    drive = rng.standard_normal((5, 1))
    np.testing.assert_allclose(by_eigenvectors(np.zeros((5, 5)), drive, 7.0), 7 * drive, rtol=1e-14)
    matrix = random_psd(rng, 5, 2)
    null = scipy.linalg.null_space(matrix)
    step = by_eigenvectors(matrix, matrix @ drive, 1e12)  # rounding leaves eigenvalues of order -1e-17
    np.testing.assert_allclose(null.T @ step, 0, atol=1e-3)
    np.testing.assert_allclose(matrix @ step, matrix @ drive, atol=1e-3)


def spectra():
    """Spectra with repeated, nearly repeated, zero and widely spread eigenvalues."""
    return {
        "spread": [1e3, 1.0, 1e-3, 1e-9],
        "repeated": [2.0, 2.0, 2.0, 0.5],
        "nearly repeated": [1.0, 1.0 + 1e-9, 1.0 + 1e-13, 0.3],
        "zeros": [1.0, 0.0, 0.0, 1e-20],
        "around one": [1.0, 1.0 - 1e-7, 0.999, 1.001],
    }


@pytest.mark.parametrize("name", spectra())
@pytest.mark.parametrize("duration", [0.01, 1.0, 1.0 / 0.999, 50.0])
def test_divided_differences_against_mpmath(name, duration):
    """d f(M)[dM] for diagonal M is the table of divided differences times dM, entry by entry."""
    values = np.asarray(spectra()[name])
    found = divided_differences(jnp.asarray(values), jnp.asarray(duration))

    def divided(x, y):
        with mpmath.workdps(80):
            h, x, y = mpmath.mpf(duration), mpmath.mpf(float(x)), mpmath.mpf(float(y))

            def f(z):
                return (1 - mpmath.exp(-h * z)) / z if z else h

            if x != y:
                return float((f(x) - f(y)) / (x - y))
            return float((h * mpmath.exp(-h * x) - f(x)) / x) if x else float(-(h**2) / 2)

    table = np.array([[divided(x, y) for y in values] for x in values])
    np.testing.assert_allclose(found, table, rtol=1e-11, atol=1e-13 * np.abs(table).max())


def test_reverse_mode_is_the_transpose_of_forward_mode_and_matches_differences():
    rng = np.random.default_rng(2)
    factor, drive = rng.standard_normal((5, 5)) / 2, rng.standard_normal((5, 2))
    cotangent = rng.standard_normal((5, 2))

    def value(factor, drive, duration):
        scale = duration * jnp.linspace(0.5, 2.0, 5)
        return jnp.sum(cotangent * phi1_eigen(factor, scale, duration * drive)[0])

    arguments = jnp.asarray(factor), jnp.asarray(drive), jnp.asarray(1.7)
    reverse = jax.grad(value, (0, 1, 2))(*arguments)
    forward = jax.jacfwd(value, (0, 1, 2))(*arguments)
    for ours, other in zip(reverse, forward, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-11, atol=1e-12)
    for position in range(3):
        direction = rng.standard_normal(np.shape(arguments[position]))
        shifted = [[a + s * 1e-6 * direction if i == position else a for i, a in enumerate(arguments)] for s in (1, -1)]
        difference = (value(*shifted[0]) - value(*shifted[1])) / 2e-6
        assert float(jnp.sum(reverse[position] * direction)) == pytest.approx(float(difference), rel=1e-7)


def test_float32_stays_float32_and_accurate():
    rng = np.random.default_rng(3)
    matrix, drive = random_psd(rng, 6), rng.standard_normal((6, 1))
    single = by_eigenvectors(matrix.astype(np.float32), drive.astype(np.float32), np.float32(3.0))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, by_expm(matrix, drive, 3.0), rtol=1e-4, atol=1e-5)
    assert integral_decay(jnp.float32(2.0), jnp.float32(3.0)).dtype == jnp.float32
