"""Kernels against scikit-learn and Gaussian integrals; feature maps against the Gram matrices they stand for."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.metrics import pairwise

import spectral_sim as ss
from spectral_sim.problems import feature_map
from spectral_sim.problems._kernels import RBF, ArcCosine, Linear

KERNELS = [Linear(), RBF(), ArcCosine(0), ArcCosine(1), ArcCosine(0, depth=2), ArcCosine(1, depth=3)]
DTYPES = [np.float32, np.float64]


def data(num_examples: int, dimensions: int, seed: int = 0, dtype=np.float64) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num_examples, dimensions)).astype(dtype)


def step_power(z: np.ndarray, order: int) -> np.ndarray:
    return np.where(z > 0, z**order, 0.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_linear_and_rbf_agree_with_scikit_learn(dtype):
    x, y = data(60, 5, 0, dtype), data(30, 5, 1, dtype)
    tolerance = 100 * np.finfo(dtype).eps
    for ours, theirs in (
        (Linear()(x, y), pairwise.linear_kernel(x, y)),
        (RBF(0.7)(x, y), pairwise.rbf_kernel(x, y, gamma=1 / (2 * 0.7**2))),
    ):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def test_rbf_keeps_its_digits_far_from_the_origin():
    x = data(40, 3) + 300.0
    single = x.astype(np.float32)
    exact = pairwise.rbf_kernel(single.astype(np.float64), gamma=0.5)
    np.testing.assert_allclose(RBF(1.0)(single, single), exact, atol=3e-6)  # 1e-2 without the common offset removed


def test_median_bandwidth():
    x = data(301, 4)
    np.testing.assert_allclose(RBF().fit(jnp.asarray(x)).bandwidth, np.median(pdist(x)), rtol=1e-12)
    many = data(2000, 4, 1) * np.linspace(0.1, 3, 2000)[:, None]  # ordered rows: a first block would not represent them
    fitted = RBF().fit(jnp.asarray(many)).bandwidth
    np.testing.assert_allclose(fitted, np.median(pdist(many)), rtol=0.04)
    assert fitted == RBF().fit(jnp.asarray(many)).bandwidth
    features = feature_map(RBF(), x)
    np.testing.assert_allclose(features.kernel.bandwidth, np.median(pdist(x)), rtol=1e-12)  # the choice stays on record
    assert RBF(2.0).fit(jnp.asarray(x)).bandwidth == 2.0


@pytest.mark.parametrize("order", [0, 1])
def test_arc_cosine_is_its_gaussian_integral(order):
    x, y = data(4, 3, 2), data(3, 3, 3)
    directions = data(400_000, 3, 4)
    left, right = step_power(directions @ x.T, order), step_power(directions @ y.T, order)
    samples = 2 * left[:, :, None] * right[:, None, :]
    error = samples.std(axis=0) / np.sqrt(len(samples))
    assert np.all(np.abs(np.asarray(ArcCosine(order)(x, y)) - samples.mean(axis=0)) < 5 * error)
    assert np.all(error < 0.03 * samples.mean(axis=0).max())  # the integral resolves the kernel


@pytest.mark.parametrize("order", [0, 1])
def test_deep_arc_cosine_repeats_the_integral_on_the_layer_below(order):
    points = data(2, 3, 5)
    below = np.asarray(ArcCosine(order, depth=2)(points, points))
    fields = np.random.default_rng(6).multivariate_normal(np.zeros(2), below, 400_000)
    samples = 2 * step_power(fields[:, 0], order) * step_power(fields[:, 1], order)
    deep = float(ArcCosine(order, depth=3)(points, points)[0, 1])
    assert abs(deep - samples.mean()) < 5 * samples.std() / np.sqrt(len(samples))
    assert abs(deep - below[0, 1]) > 20 * samples.std() / np.sqrt(len(samples))  # the layer did something


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("depth", [1, 3])
def test_arc_cosine_diagonal_and_zero_vector(dtype, depth):
    x = data(50, 64, 7, dtype)
    np.testing.assert_array_equal(np.diagonal(ArcCosine(0, depth)(x, x)), 1)  # 5e-5 off at depth 2 without care
    np.testing.assert_allclose(
        np.diagonal(ArcCosine(1, depth)(x, x)), np.sum(x**2, axis=1), rtol=20 * np.finfo(dtype).eps
    )
    zero = np.zeros((1, 64), dtype)
    np.testing.assert_array_equal(ArcCosine(1, depth)(zero, x), 0)
    if depth == 1:
        np.testing.assert_array_equal(ArcCosine(0)(zero, np.concatenate([zero, x])), 0.5)


def test_arc_cosine_of_order_one_scales_with_its_inputs():
    x, y = data(5, 3), data(4, 3, 1)
    np.testing.assert_allclose(ArcCosine(1, 2)(3 * x, y), 3 * ArcCosine(1, 2)(x, y), rtol=1e-12)
    np.testing.assert_allclose(ArcCosine(0, 2)(3 * x, y), ArcCosine(0, 2)(x, y), rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_exact_features_reproduce_the_kernel(kernel, dtype):
    x, new = data(60, 5, 0, dtype), data(30, 5, 1, dtype)
    features = feature_map(kernel, x)
    phi = features(x)
    gram = np.asarray(features.kernel(x, x))
    assert phi.dtype == gram.dtype == dtype
    eps = np.finfo(dtype).eps
    tolerance = 60 * eps * np.linalg.norm(gram, 2) + 300 * eps * gram.max()  # dropped directions and rounding
    np.testing.assert_allclose(phi @ phi.T, gram, atol=tolerance)
    cross = np.asarray(features.kernel(new, x))
    np.testing.assert_allclose(features(new) @ phi.T, cross, atol=10 * np.sqrt(eps) * gram.max())


def test_exact_linear_features_are_the_inputs():
    x = data(20, 7)
    np.testing.assert_array_equal(feature_map(Linear(), x)(x), x)


def test_null_directions_are_dropped():
    distinct = data(12, 3)
    x = np.concatenate([distinct, distinct, distinct])
    phi = feature_map(RBF(1.0), x)(x)
    assert phi.shape == (36, 12)
    np.testing.assert_allclose(phi @ phi.T, RBF(1.0)(x, x), atol=1e-12)
    assert np.all(np.diff(np.sum(np.asarray(phi) ** 2, axis=0)) < 0)  # in order of the eigenvalues


def test_nystrom_is_exact_on_inputs_of_low_rank():
    x = data(60, 3) @ data(3, 5, 1)
    features = feature_map(Linear(), x, method="nystrom", num_features=32, key=jax.random.key(0))
    assert features(x).shape == (60, 3)
    np.testing.assert_allclose(features(x) @ features(x).T, x @ x.T, atol=1e-10)


def test_nystrom_projects_on_different_examples():
    x = data(60, 5)
    features = feature_map(ArcCosine(1), x, method="nystrom", num_features=32, key=jax.random.key(1))
    landmarks = np.asarray(features.transform.points)
    rows = [np.flatnonzero((x == landmark).all(axis=1)) for landmark in landmarks]
    assert len({int(row[0]) for row in rows}) == 32
    kernel = ArcCosine(1)
    cross, own = np.asarray(kernel(x, landmarks)), np.asarray(kernel(landmarks, landmarks))
    np.testing.assert_allclose(features(x) @ features(x).T, cross @ np.linalg.solve(own, cross.T), atol=1e-8)
    again = feature_map(kernel, x, method="nystrom", num_features=32, key=jax.random.key(2))
    assert not np.array_equal(again.transform.points, landmarks)


def test_nystrom_approaches_the_kernel():
    x = data(60, 5) * [1, 1, 1, 0.1, 0.1]
    gram = np.asarray(RBF().fit(jnp.asarray(x))(x, x))
    error = []
    for num_features in (8, 32, 60):
        phi = feature_map(RBF(), x, method="nystrom", num_features=num_features, key=jax.random.key(0))(x)
        assert phi.shape[1] <= num_features
        error.append(np.linalg.norm(phi @ phi.T - gram) / np.linalg.norm(gram))
    assert error[0] > 10 * error[1]
    assert error[1] > 1e-6 > 1e-11 > error[2]


@pytest.mark.parametrize("kernel", [RBF(2.0), ArcCosine(0), ArcCosine(1), ArcCosine(0, 2)], ids=repr)
def test_error_of_random_features_falls_as_the_root_of_their_number(kernel):
    x, y = data(60, 5), data(30, 5, 1)
    exact = np.asarray(kernel(x, y))
    widths = np.array([32, 182, 1024])

    def error(width: int) -> float:
        squares = []
        for seed in range(16):
            phi = feature_map(kernel, x, method="random", num_features=int(width), key=jax.random.key(seed))
            assert phi(y).shape == (30, width)
            squares.append(np.mean((np.asarray(phi(x) @ phi(y).T) - exact) ** 2))
        return float(np.sqrt(np.mean(squares)))

    errors = [error(width) for width in widths]
    slope = np.polyfit(np.log(widths), np.log(errors), 1)[0]
    assert abs(slope + 0.5) < 0.08
    assert errors[-1] < 0.08 * np.abs(exact).max()


def test_random_rbf_features_keep_the_diagonal():
    x = data(60, 5)
    phi = feature_map(RBF(), x, method="random", num_features=32, key=jax.random.key(0))(x)
    np.testing.assert_allclose(np.sum(np.asarray(phi) ** 2, axis=1), 1, rtol=1e-14)


@pytest.mark.parametrize("method", ["exact", "nystrom", "random"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_features_follow_the_dtype_and_work_inside_jit(method, dtype):
    x = data(60, 5, 0, dtype)
    options = {} if method == "exact" else {"num_features": 32, "key": jax.random.key(0)}
    features = feature_map(ArcCosine(0, 2), x, method=method, **options)
    assert features(x).dtype == dtype
    jitted = eqx.filter_jit(lambda f, inputs: f(inputs))(features, x)
    np.testing.assert_allclose(jitted, features(x), atol=1e3 * np.finfo(dtype).eps)


def test_a_changed_bandwidth_does_not_retrace():
    traces = []

    @eqx.filter_jit
    def gram(kernel, x):
        traces.append(None)
        return kernel(x, x)

    x = data(4, 2)
    assert not np.allclose(gram(RBF(1.0), x), gram(RBF(np.float64(2.0)), x))
    assert len(traces) == 1


def holed() -> np.ndarray:
    x = data(6, 3)
    x[4, 1] = np.nan
    return x


KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RBF(-1.0), "bandwidth is -1: it must be positive"),
        (lambda: RBF(np.ones(2)), "bandwidth must have shape"),
        (lambda: RBF()(data(3, 2), data(3, 2)), "bandwidth is None: give problems.rbf(bandwidth)"),
        (lambda: feature_map(RBF(), np.ones((9, 2))), "bandwidth: at least half of the pairs of inputs are equal"),
        (lambda: feature_map(RBF(), np.ones((9, 2)) * 0.1), "bandwidth: at least half"),
        (lambda: feature_map(RBF(), data(1, 2)), "bandwidth: at least half"),
        (lambda: ArcCosine(2), "order=2 is not supported"),
        (lambda: ArcCosine(1, depth=0), "depth=0 must be a whole number of layers"),
        (lambda: ArcCosine(1)(data(3, 2), data(3, 4)), "x has 2 columns and y has 4"),
        (lambda: Linear()(data(3, 2)[0], data(3, 2)), "x must have shape (examples, dimensions)"),
        (lambda: feature_map(RBF, data(3, 2)), "is not a kernel"),
        (
            lambda: feature_map(RBF(), data(3, 2), method="nystrm"),
            "method='nystrm' is not known. Did you mean 'nystrom'?",
        ),
        (lambda: feature_map(RBF(), holed()), "inputs[4, 1] is nan"),
        (lambda: feature_map(RBF(), data(3, 2)[0]), "inputs must have shape (examples, dimensions)"),
        (lambda: feature_map(RBF(), np.ones((0, 2))), "inputs has shape (0, 2): give at least one example"),
        (lambda: feature_map(RBF(), data(9, 2), num_features=3), "num_features=3 is for 'nystrom' and 'random'"),
        (lambda: feature_map(RBF(), data(9, 2), method="random", key=KEY), "num_features is None"),
        (lambda: feature_map(RBF(), data(9, 2), method="random", num_features=0, key=KEY), "num_features=0 must be"),
        (
            lambda: feature_map(RBF(), data(9, 2), method="random", num_features=2.0, key=KEY),
            "num_features=2.0 must be",
        ),
        (
            lambda: feature_map(RBF(), data(9, 2), method="random", num_features=7, key=KEY),
            "num_features=7 is odd: random features of rbf() are cosine-sine pairs; give 8",
        ),
        (
            lambda: feature_map(RBF(), data(9, 2), method="nystrom", num_features=10, key=KEY),
            "num_features=10 is more than the 9 examples",
        ),
        (lambda: feature_map(RBF(), data(9, 2), method="nystrom", num_features=3), "key is None: method='nystrom'"),
        (lambda: feature_map(RBF(), data(9, 2), method="random", num_features=4), "key is None: method='random'"),
        (
            lambda: feature_map(Linear(), data(9, 2), method="random", num_features=4, key=KEY),
            "method='random' has no features for linear()",
        ),
        (lambda: feature_map(ArcCosine(1), np.zeros((9, 2))), "the kernel is zero on all inputs"),
        (lambda: feature_map(RBF(), data(9, 2))(data(3, 5)), "inputs has 5 columns but was fitted with 2"),
        (lambda: feature_map(RBF(), data(9, 3))(holed()), "inputs[4, 1] is nan"),
        (lambda: jax.jit(lambda x: feature_map(RBF(), x)(x))(data(9, 2)), "inputs are being traced"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_float32_inputs_keep_the_directions_that_float64_keeps():
    """Whitened in float64 whatever the inputs; the Gram matrix comes back to the rounding of float32."""
    line = np.linspace(-31.0, 31.0, 120)
    inputs = np.stack([line, np.ones_like(line)], axis=1).astype(np.float32)
    kernel = ss.problems.arc_cosine(depth=2)
    narrow, wide = ss.problems.feature_map(kernel, inputs), ss.problems.feature_map(kernel, inputs.astype(float))
    features = np.asarray(narrow(inputs))
    assert features.dtype == np.float32
    assert features.shape == wide(inputs.astype(float)).shape
    assert narrow.dropped == wide.dropped
    assert narrow.dropped.count == 120 - features.shape[1] < 60
    assert narrow.dropped.share < 1e-10
    gram = np.asarray(kernel(inputs.astype(float), inputs.astype(float)))
    np.testing.assert_allclose(features.astype(float) @ features.T.astype(float), gram, rtol=0, atol=1e-5 * gram.max())
    # each feature keeps its own digits, however small its eigenvalue
    np.testing.assert_allclose(features, wide(inputs.astype(float)), rtol=1e-6, atol=1e-30)


def test_a_gram_matrix_that_its_precision_cuts_short_is_warned_of():
    line = np.linspace(-31.0, 31.0, 120)
    inputs = np.stack([line, np.ones_like(line)], axis=1)
    gram, target = np.asarray(ss.problems.arc_cosine(depth=2)(inputs, inputs)), np.sin(line)
    with pytest.warns(UserWarning, match=r"kernel in float32 cannot tell \d+ of its 120 directions .* of the trace"):
        narrow = ss.from_kernel(gram.astype(np.float32), target.astype(np.float32))
    assert narrow.dtype == np.float32
    assert narrow.features.shape[1] < ss.from_kernel(gram, target).features.shape[1]
