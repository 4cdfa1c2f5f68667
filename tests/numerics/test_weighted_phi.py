"""phi_1 of -Phi^T diag(s) Phi: the Chebyshev routes against eigenvectors, their derivatives, what a batch shares."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from helpers import QUICK

from spectral_sim.numerics import _route_costs, batch_max, batch_size, weighted_phi1
from spectral_sim.numerics._chebyshev import MOST_TERMS, degree, expansion, reach
from spectral_sim.numerics._phi_routes import ADVANCE, CHANGE, PULL
from spectral_sim.numerics._route_costs import chosen_route

SHAPES = {"more examples": (30, 12), "fewer examples": (7, 12), "rank deficient": (30, 12)}


def data(name, bound, dtype=np.float64):
    """Features with a wide spectrum, a scale with zeros whose trace is `bound`, and a drive from the features."""
    rng = np.random.default_rng(3)
    examples, size = SHAPES[name]
    features = rng.standard_normal((examples, size)) * np.arange(1.0, size + 1) ** -1.5
    if name == "rank deficient":
        features[:, 4:] = features[:, :4] @ rng.standard_normal((4, size - 4))
    scale = rng.exponential(size=examples)
    scale[::4] = 0
    scale *= bound / np.sum(scale * np.sum(features**2, axis=1))
    drive = features.T @ (scale[:, None] * rng.standard_normal((examples, 2)))
    return tuple(jnp.asarray(x, dtype) for x in (features, scale, drive))


def exact(features, scale, drive):
    """By eigenvectors of the examples' side in float64."""
    _, values, right = np.linalg.svd(np.sqrt(np.float64(scale))[:, None] * np.float64(features))
    values = np.append(values**2, np.zeros(max(0, right.shape[0] - values.size)))[: right.shape[0]]
    factor = -np.expm1(-values) / np.where(values == 0, 1, values) + (values == 0)
    return right.T @ (factor[:, None] * (right @ np.float64(drive)))


@partial(jax.jit, static_argnums=(3,), compiler_options=QUICK)
def run(features, scale, drive, route, tolerance):
    return ADVANCE[route](features, scale, drive.T, tolerance=tolerance)[0].value.T


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("route", [1, 2], ids=["matrix", "features"])
def test_within_the_tolerance_asked_for(name, route):
    """Of the step, and rounding: about one unit of the drive for each product."""
    for dtype, tolerances, bounds in (
        (np.float64, (1e-4, 1e-8), (1e-3, 1.0, 30.0, 1e4, 1e6)),
        (np.float32, (1e-3, 1e-6), (1e-3, 1.0, 30.0, 1e3)),
    ):
        for bound in bounds:
            arguments = data(name, bound, dtype)
            wanted = exact(*arguments)
            for tolerance in tolerances:
                error = np.linalg.norm(run(*arguments, route, tolerance) - wanted)
                scaled = jnp.asarray(bound, dtype)
                products = float(degree(scaled, reach(scaled, tolerance)))
                rounding = 2 * products * np.finfo(dtype).eps * np.linalg.norm(arguments[2])
                assert error <= tolerance * np.linalg.norm(wanted) + rounding
                assert rounding < 0.1 * np.linalg.norm(wanted)


@pytest.mark.parametrize("name", SHAPES)
def test_in_float32_long_intervals_are_left_to_eigenvectors(name):
    features, scale, drive = data(name, 1e6, np.float32)
    features, drive = (jnp.concatenate([x, 0.1 * x]) for x in (features.T, drive))  # too many to go without a choice
    auto, eigh = (
        np.asarray(jax.jit(partial(weighted_phi1, method=method, tolerance=1e-6))(features.T, scale, drive)[0])
        for method in ("auto", "eigh")
    )
    wanted = exact(features.T, scale, drive)
    assert np.linalg.norm(auto - wanted) <= 2 * np.linalg.norm(eigh - wanted) < 0.1 * np.linalg.norm(wanted)


def test_costs_of_large_batches_do_not_overflow():
    """512 members of 2,048 features: more numbers than int32 counts."""

    def route(weight):
        features = jnp.zeros((4, 2048)) + jnp.sqrt(1e4 / (4 * 2048))
        scale = weight * jnp.ones(4)
        return chosen_route(features, scale, scale[:1, None] + jnp.zeros((1, 2048)), "chebyshev", 1e-8)

    assert int(jax.jit(jax.vmap(route))(jnp.ones(512))[0]) == 2  # four examples cost next to nothing


def test_on_an_accelerator_eigenvectors_are_timed_once_and_outside_the_program(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    timed = []
    monkeypatch.setattr(_route_costs, "_shortest", lambda function, x: timed.append(function(x).shape) or len(timed))
    _route_costs._eigh_operations.cache_clear()
    features, scale, drive = data("more examples", 1e3)
    choose = lambda scale: chosen_route(features, scale, drive.T, "auto", 1e-8)
    lowered = jax.jit(choose).lower(scale)
    assert "eigh" not in lowered.as_text().lower()
    assert timed == [(4096, 256), (256, 256)]
    assert int(lowered.compile()(scale)) == int(jax.jit(lambda scale: choose(2 * scale / 2))(scale))
    assert len(timed) == 2
    _route_costs._eigh_operations.cache_clear()


def test_a_single_term_has_the_same_derivative_both_ways():
    features, scale, drive = data("more examples", 1e-3)
    value = lambda drive: weighted_phi1(features, scale, drive, "chebyshev", 0.1)[0]
    moved = jnp.ones_like(drive)
    forward = jax.jvp(value, (drive,), (moved,))[1]
    reverse = jax.vjp(value, drive)[1](moved)[0]
    np.testing.assert_allclose(jnp.sum(forward * moved), jnp.sum(reverse * moved), rtol=1e-12)
    np.testing.assert_allclose(forward, moved, rtol=0.1)


def test_long_intervals_up_to_the_limit_and_beyond():
    """At h R = 1e6 the series still serves; where it would need more terms eigenvectors take over."""
    for bound in (1e6, 1e9):
        arguments = data("more examples", bound)
        value = jax.jit(partial(weighted_phi1, method="chebyshev", tolerance=1e-8))(*arguments)[0]
        wanted = exact(*arguments)
        assert np.linalg.norm(value - wanted) <= 1e-8 * np.linalg.norm(wanted)
    assert degree(jnp.asarray(1e6), jnp.asarray(1e-14)) < MOST_TERMS < degree(jnp.asarray(1e9), jnp.asarray(1e-14))


@pytest.mark.parametrize("bound", [0.2, 40.0, 5e3])
def test_coefficients_against_bessel_functions(bound):
    series = expansion(jnp.asarray(bound), 1e-10)
    z, terms = bound / 2, int(series.terms)
    order = np.arange(terms + 400)
    bessel = scipy.special.ive(order, z)
    tail = [4 / z * np.sum((order[k + 1 :] - k) * bessel[k + 1 :]) * (0.5 if k == 0 else 1) for k in range(terms + 1)]
    np.testing.assert_allclose(series.coefficients[: terms + 1], tail, rtol=1e-10, atol=1e-16)
    assert not np.any(series.coefficients[terms + 1 :])
    neglected = 1 - np.sum(tail)
    assert neglected <= 1e-10 / bound * -np.expm1(-bound) + 2e-15  # in proportion to phi_1(-R), the smallest value


def test_zero_weights_and_zero_features_grow_linearly():
    features, scale, drive = data("more examples", 1.0)
    for route in range(3):
        np.testing.assert_allclose(run(features, 0 * scale, drive, route, 1e-10), drive, rtol=1e-10)
        np.testing.assert_allclose(run(0 * features, scale, drive, route, 1e-10), drive, rtol=1e-10)


@pytest.mark.parametrize("dense", [False, True], ids=["weights", "features too"])
@pytest.mark.parametrize("bound", [0.5, 400.0])
def test_every_route_has_the_same_derivative_both_ways(bound, dense):
    features, scale, drive = data("more examples", bound)
    rng = np.random.default_rng(4)
    moved = [rng.standard_normal(x.shape) for x in (scale, drive.T, features)][: 3 if dense else 2]
    moved = [jnp.asarray(moved[0] * np.asarray(scale)), *map(jnp.asarray, moved[1:])]
    cotangent = jnp.asarray(rng.standard_normal(drive.T.shape))

    @jax.jit
    def both(route):
        terms, _ = jax.lax.switch(route, [partial(f, tolerance=1e-12) for f in ADVANCE], features, scale, drive.T)
        given = features, scale, drive.T, terms.term, terms.step
        change = jax.lax.switch(route, [partial(f, dense, tolerance=1e-12) for f in CHANGE], *given, moved)
        return change, jax.lax.switch(route, [partial(f, dense, tolerance=1e-12) for f in PULL], *given, [cotangent])

    results = [both(route) for route in range(3)]
    step = 1e-6

    def shifted(sign):
        plus = [x + sign * step * d for x, d in zip((scale, drive.T, features), (*moved, 0.0), strict=False)]
        return exact(plus[2] if dense else features, plus[0], plus[1].T).T

    difference = (shifted(1) - shifted(-1)) / (2 * step)
    for (change,), bars in results:
        np.testing.assert_allclose(change, difference, rtol=1e-6, atol=1e-7 * np.abs(difference).max())
        np.testing.assert_allclose(change, results[0][0][0], rtol=1e-8, atol=1e-10 * np.abs(change).max())
        paired = sum(float(jnp.sum(x * y)) for x, y in zip(bars, moved, strict=True))
        assert paired == pytest.approx(float(jnp.sum(cotangent * change)), rel=1e-9)
        for ours, other in zip(bars, results[0][1], strict=True):
            np.testing.assert_allclose(ours, other, rtol=1e-8, atol=1e-10 * np.abs(other).max())


def test_modes_of_differentiation_agree_in_a_batch():
    features, scale, drive = data("more examples", 60.0)
    scales = jnp.stack([scale, 0.1 * scale[::-1], 3 * scale])

    def value(features, scale, drive):
        return jnp.sum(jnp.sin(weighted_phi1(features, scale, drive, "chebyshev", 1e-12)[0]))

    rng = np.random.default_rng(5)
    along = tuple(jnp.asarray(rng.standard_normal(x.shape)) * x for x in (features, scales, drive))

    @partial(jax.jit, compiler_options=QUICK)
    def both():
        run = jax.vmap(value, in_axes=(None, 0, None))
        pulled = jax.grad(lambda *given: jnp.sum(run(*given)), (0, 1, 2))(features, scales, drive)
        return jax.jvp(run, (features, scales, drive), along)[1], pulled

    forward, reverse = both()
    paired = sum(jnp.sum(x * y) for x, y in zip(reverse, along, strict=True))
    assert float(paired) == pytest.approx(float(jnp.sum(forward)), rel=1e-10)
    alone = jax.jit(jax.grad(value, 1), compiler_options=QUICK)
    for member, each in enumerate(scales):
        np.testing.assert_allclose(reverse[1][member], alone(features, each, drive), rtol=1e-9, atol=1e-11)


def test_a_batch_shares_products_with_the_features():
    """One product of all members with Phi, and no loop or branch that differs between members."""
    features, scale, drive = data("more examples", 60.0)
    scales = jnp.stack([scale] * 5)
    method = partial(weighted_phi1, method="chebyshev", tolerance=1e-8)
    lowered = jax.jit(jax.vmap(method, in_axes=(None, 0, None))).lower(features, scales, drive).as_text()
    assert lowered.count("stablehlo.case") == 1


@pytest.mark.parametrize("bound", [1e6, 1e9])
@pytest.mark.parametrize("name", SHAPES)
def test_late_directions_in_float32(name, bound):
    """At bounds at which the matrix A has lost them: the step and its derivative both ways, against float64."""
    features, scale, _ = data(name, bound, np.float32)
    rng = np.random.default_rng(5)
    wide, weight = np.asarray(features, np.float64), np.asarray(scale, np.float64)
    target, root = rng.standard_normal((len(weight), 2)), np.sqrt(weight)[:, None] * wide
    slope = lambda weight: wide.T @ (weight[:, None] * target)
    narrow = partial(jnp.asarray, dtype=jnp.float32)

    @jax.jit
    def everything(scale, drive, moved, cotangent):
        run = lambda scale, drive: weighted_phi1(features, scale, drive, "eigh", 1e-6)
        (step, gain), (change, _) = jax.jvp(run, (scale, drive), moved)
        return step, gain, change, jax.vjp(lambda *given: run(*given)[0], scale, drive)[1](cotangent)

    moved = weight * rng.standard_normal(len(weight))
    pairs = moved, slope(moved)
    cotangent = root.T @ rng.standard_normal(target.shape)
    step, gain, change, bars = everything(scale, narrow(slope(weight)), tuple(map(narrow, pairs)), narrow(cotangent))
    error = root @ (np.asarray(step, np.float64) - exact(wide, weight, slope(weight)))
    size = np.linalg.norm(np.sqrt(weight)[:, None] * target)
    rounding = np.finfo(np.float32).eps * float(gain)
    assert np.linalg.norm(error) <= rounding * size
    assert rounding < 5e-3
    shifted = [exact(wide, weight + h * moved, slope(weight + h * moved)) for h in (1e-5, -1e-5)]
    difference = root @ (shifted[0] - shifted[1]) / 2e-5
    error = root @ np.asarray(change, np.float64) - difference
    assert np.linalg.norm(error) <= 1e-2 * np.linalg.norm(difference) + rounding * size
    paired = sum(np.sum(np.float64(bar) * operand) for bar, operand in zip(bars, pairs, strict=True))
    along = np.sum(cotangent * np.asarray(change, np.float64))
    assert paired == pytest.approx(along, rel=1e-2, abs=rounding * size * np.linalg.norm(cotangent))


def test_numbers_that_a_batch_shares():
    values = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(jax.vmap(batch_max)(values[0]), [2, 2, 2])
    np.testing.assert_array_equal(jax.vmap(jax.vmap(batch_max))(values), np.full((2, 3), 5))
    sizes = jax.vmap(jax.vmap(lambda x, y: batch_size(x), in_axes=(0, None)), in_axes=(None, 0))(values[0], values[1])
    np.testing.assert_array_equal(sizes, np.full((3, 3), 3))
    assert int(batch_size(jnp.ones(()))) == 1
