"""Modal problems and power laws: closed forms, precision, transformations, and every refusal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spectral_sim as ss


def test_a_spectrum_has_the_mass_of_its_drive():
    problem = ss.ModalProblem([2.0, 1.0, 0.0], [1.0, 0.0, 3.0], [1.0, 4.0, 2.0])
    assert float(problem.trace) == 6.0
    np.testing.assert_allclose(problem.mass, [1 / 3, 2 / 3, 0.0], rtol=1e-15)
    assert float(problem.initial_loss()) == 0.5 * (1 + 0 + 6)
    assert float(problem.training_loss(jnp.array([1.0, 1.0, 0.5]))) == 0.5 * (1 + 4 + 1)


def test_defaults_are_plain_modes():
    problem = ss.ModalProblem([3, 2, 1], [1, 1, 1])  # whole numbers become floats
    assert problem.dtype == jnp.float64
    np.testing.assert_array_equal(problem.multiplicity, [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(problem.index, [1.0, 2.0, 3.0])
    assert problem.law is None
    # an entry that stands for several modes has their middle: 1, then 2 to 5, then 6 to 8
    np.testing.assert_array_equal(ss.ModalProblem([3, 2, 1], [1, 1, 1], [1, 4, 3]).index, [1.0, 3.5, 7.0])


@pytest.mark.parametrize("size", [{"num_modes": 37}, {"max_mode": 37, "nodes": 64}], ids=["modes", "all nodes"])
def test_power_law_on_plain_modes(size):
    problem = ss.power_law(1.7, 2.2, **size)
    k = np.arange(1.0, 38)
    np.testing.assert_allclose(problem.eigenvalues, k**-1.7, rtol=1e-14)
    np.testing.assert_allclose(problem.energies, k**-2.2, rtol=1e-14)
    np.testing.assert_array_equal(problem.multiplicity, np.ones(37))
    np.testing.assert_array_equal(problem.index, k)
    assert (problem.law.max_mode, problem.law.nodes) == (37, None)
    assert ss.problems.doubled_rule(problem) is None


def test_power_law_on_shells():
    problem = ss.power_law(1.7, 2.2, max_mode=1e6, nodes=96)
    k = np.arange(1.0, 1_000_001)
    assert problem.eigenvalues.shape == (96,)
    assert float(problem.multiplicity.sum()) == pytest.approx(1e6, rel=1e-13)
    assert float(problem.trace) == pytest.approx(np.sum(k**-1.7), rel=1e-12)
    assert float(problem.initial_loss()) == pytest.approx(0.5 * np.sum(k**-2.2), rel=1e-12)
    np.testing.assert_allclose(problem.energies, problem.index**-2.2, rtol=1e-13)
    finer = ss.problems.doubled_rule(problem)
    assert finer.eigenvalues.shape == (192,)
    assert (finer.law.max_mode, finer.law.nodes) == (1_000_000, 192)
    assert ss.power_law(2.0, 2.0, max_mode=1e6).eigenvalues.shape == (256,)
    assert ss.problems.doubled_rule(ss.ModalProblem([1.0], [1.0])) is None


LAW = {"max_mode": 200_000, "nodes": 128, "eigenvalue_scale": 0.7, "energy_scale": 2.0, "floor": 0.3}
TIMES = np.array([0.0, 10.0, 1e3, 1e5])


def test_breaks_scales_and_a_floor():
    """Weights that jump after mode 5,000, against every mode: exact where the jump is a break."""
    cut, k = 5000, np.arange(1.0, 200_001)
    eigenvalues, energies = 0.7 * k**-1.5, 2 * k**-1.8
    weights = np.where(k <= cut, 1.0, 0.2)
    rate = eigenvalues * weights * eigenvalues.sum() / (weights @ eigenvalues)
    exact = 0.3 + 0.5 * np.exp(-2 * TIMES[:, None] * rate) @ energies
    error = {}
    for breaks in ((), (cut,)):
        problem = ss.power_law(1.5, 1.8, breaks=breaks, **LAW)
        schedule = ss.static_weights(jnp.where(problem.index < cut + 0.5, 1.0, 0.2))
        error[breaks] = np.max(np.abs(ss.simulate(problem, schedule, TIMES).loss - exact) / (exact - 0.3))
    assert error[(cut,)] < 1e-12
    assert error[()] > 1e-3
    finer = ss.problems.doubled_rule(problem)
    assert (len(finer.index), finer.law.breaks, float(finer.floor)) == (256, (cut,), 0.3)
    np.testing.assert_allclose(finer.trace, eigenvalues.sum(), rtol=1e-12)
    np.testing.assert_allclose(problem.initial_loss(), exact[0], rtol=1e-12)


def test_bounds_know_the_floor():
    problem, bare = ss.power_law(1.5, 1.8, **LAW), ss.power_law(1.5, 1.8, **LAW | {"floor": 0.0})
    for curve in (
        lambda p: ss.ideal_oracle(p, TIMES).loss,
        lambda p: ss.ideal_oracle(p, TIMES, cap=4.0).loss,
        lambda p: p.lower_bound(TIMES).loss,
        lambda p: ss.bounds.static_sandwich(p, TIMES, 0.5, 2.0).lower,
        lambda p: ss.simulate(p, ss.water_filling(), TIMES).loss,
        lambda p: ss.simulate(p, ss.uniform(), [0, 9], dynamics=ss.SGDMoments(0.1)).loss,
    ):
        np.testing.assert_allclose(curve(problem), curve(bare) + 0.3, rtol=1e-13)


def test_fits_may_differentiate_in_all_numbers_of_a_power_law():
    def loss(numbers):
        alpha, beta, *scales, floor = numbers
        names = ("eigenvalue_scale", "energy_scale")
        law = ss.power_law(alpha, beta, max_mode=1e5, nodes=40, floor=floor, **dict(zip(names, scales, strict=True)))
        return jnp.sum(jnp.log(ss.simulate(law, ss.uniform(), TIMES).loss))

    numbers = jnp.array([1.5, 1.8, 0.7, 2.0, 0.3])
    gradient, value = jax.grad(loss)(numbers), jax.jit(loss)
    for i, number in enumerate(numbers):
        step = 1e-5 * number
        difference = (value(numbers.at[i].add(step)) - value(numbers.at[i].add(-step))) / (2 * step)
        assert float(gradient[i]) == pytest.approx(float(difference), rel=1e-7)


def test_single_precision_stays_single():
    single = np.float32
    assert ss.ModalProblem(np.ones(3, single), np.ones(3, single)).dtype == jnp.float32
    assert ss.ModalProblem(np.ones(3, single), np.ones(3)).dtype == jnp.float64
    for size in ({"num_modes": 50}, {"max_mode": 1e6, "nodes": 64}):
        problem = ss.power_law(single(2), single(2), **size)
        leaves = problem.eigenvalues, problem.energies, problem.multiplicity, problem.index, problem.mass
        assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}
        assert ss.simulate(problem, ss.uniform(), [0.0, 1.0]).loss.dtype == jnp.float32


def test_is_built_under_transformations():
    k = np.arange(1.0, 21)

    @jax.jit
    @jax.vmap
    def loss(alpha, beta):
        return ss.simulate(ss.power_law(alpha, beta, num_modes=20), ss.uniform(), [0.0, 2.0]).loss[-1]

    alphas, betas = np.array([1.2, 2.0]), np.array([1.5, 3.0])
    expected = [0.5 * np.sum(k**-b * np.exp(-4 * k**-a)) for a, b in zip(alphas, betas, strict=True)]
    np.testing.assert_allclose(loss(alphas, betas), expected, rtol=1e-12)
    direct = jax.jit(lambda lam, e: ss.ModalProblem(lam, e).initial_loss())(
        jnp.array([1.0, 0.5]), jnp.array([2.0, 4.0])
    )
    assert float(direct) == 3.0
    slope = jax.grad(lambda beta: ss.power_law(2.0, beta, num_modes=20).initial_loss())(2.0)
    assert float(slope) == pytest.approx(-0.5 * np.sum(np.log(k) * k**-2.0), rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0]], [1.0]), r"eigenvalues must have shape \(modes\), got shape \(1, 1\); reshape"),
        (([1.0], 1.0), r"energies must have shape \(modes\), got shape \(\); reshape"),
        (([1.0, 0.5], [1.0]), r"energies has shape \(1,\) but eigenvalues with 2 modes needs a leading axis of 2"),
        (([1.0, np.nan], [1.0, 1.0]), r"eigenvalues\[1\] is nan: every entry must be finite"),
        (([np.inf, 1.0], [1.0, 1.0]), r"eigenvalues\[0\] is inf"),
        (([1.0, -0.5], [1.0, 1.0]), r"eigenvalues\[1\] is -0\.5: .*positive semidefinite"),
        (
            ([1.0, 0.2, 0.5], [1.0, 1.0, 1.0]),
            r"eigenvalues\[2\] = 0\.5 is above eigenvalues\[1\] = 0\.2: sort the modes",
        ),
        (([0.0, 0.0], [1.0, 1.0]), r"eigenvalues are all zero: .*give at least one above zero"),
        (([1.0, 0.5], [1.0, -2.0]), r"energies\[1\] is -2: .*energies are squares"),
        (([1.0, 0.5], [np.nan, 1.0]), r"energies\[0\] is nan"),
        (([1.0, 0.5], [0.0, 0.0]), r"energies sum to 0: .*give at least one mode residual energy"),
        (([1.0, 0.5], [1.0, 1.0], [1.0, 0.0]), r"multiplicity\[1\] is 0: it must be positive; every entry stands"),
        (([1.0, 0.5], [1.0, 1.0], [-3.0, 1.0]), r"multiplicity\[0\] is -3: it must be positive"),
        (([1.0, 0.5], [1.0, 1.0], [1.0, np.nan]), r"multiplicity\[1\] is nan"),
        (([1.0, 0.5], [1.0, 1.0], [1.0]), r"multiplicity has shape \(1,\) but eigenvalues with 2 modes needs"),
        (([1.0, 0.5], [1.0, 1.0], [[1.0, 1.0]]), r"multiplicity must have shape \(modes\), got shape \(1, 2\)"),
    ],
)
def test_refuses_spectra(arguments, message):
    with pytest.raises(ValueError, match=message):
        ss.ModalProblem(*arguments)


def test_refuses_an_index_of_another_length():
    with pytest.raises(ValueError, match=r"index has shape \(3,\) but eigenvalues with 2 modes needs"):
        ss.ModalProblem([1.0, 0.5], [1.0, 1.0], index=[1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("alpha", "beta", "size", "message"),
    [
        (1.0, 2.0, {"num_modes": 5}, r"alpha is 1: the sum over modes diverges; give > 1"),
        (2.0, 0.5, {"num_modes": 5}, r"beta is 0\.5: the sum over modes diverges"),
        (np.nan, 2.0, {"num_modes": 5}, r"alpha is nan: .*give an exponent above 1"),
        (2.0, np.inf, {"num_modes": 5}, r"beta is inf: .*give an exponent above 1"),
        (2.0, 2.0, {}, r"num_modes=None and max_mode=None: give exactly one"),
        (2.0, 2.0, {"num_modes": 5, "max_mode": 50}, r"num_modes=5 and max_mode=50: give exactly one"),
        (2.0, 2.0, {"num_modes": 5, "nodes": 32}, r"nodes=32 is used with max_mode only; .*max_mode=5"),
        (2.0, 2.0, {"num_modes": 5, "breaks": [3]}, r"breaks=\(3,\) are used with max_mode only: plain modes have no"),
        (2.0, 2.0, {"num_modes": 5, "eigenvalue_scale": 0.0}, r"eigenvalue_scale is 0: it must be positive"),
        (2.0, 2.0, {"num_modes": 5, "energy_scale": -1.0}, r"energy_scale is -1: it must be positive"),
        (2.0, 2.0, {"num_modes": 5, "floor": -1.0}, r"floor is -1: it must not be negative; it is a loss"),
        (2.0, 2.0, {"num_modes": 5, "floor": [0.1]}, r"floor must have shape \(\), got shape \(1,\)"),
        (2.0, 2.0, {"max_mode": 1e6, "nodes": 32, "breaks": range(100, 900, 10)}, r"entries in use, too many"),
        (2.0, 2.0, {"num_modes": 0}, r"num_modes is 0: give a whole number, at least 1"),
        (2.0, 2.0, {"num_modes": 2.5}, r"num_modes is 2\.5: give a whole number"),
        (2.0, 2.0, {"max_mode": 1e6, "nodes": 8}, r"nodes=8 is too few for 1000000 modes: give at least 32"),
        (2.0, 2.0, {"max_mode": 10.5}, r"max_mode=10\.5 is not a whole number: round it"),
        (2.0, 2.0, {"max_mode": 1e17}, r"max_mode=1\d+ is out of range"),
    ],
)
def test_refuses_power_laws(alpha, beta, size, message):
    with pytest.raises(ValueError, match=message):
        ss.power_law(alpha, beta, **size)
