"""Operator problems: losses and masses by hand, their modal view, precision, and every refusal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spectral_sim as ss

FEATURES = np.random.default_rng(0).normal(size=(6, 3))
TARGETS = np.random.default_rng(1).normal(size=(6, 2))


def test_defaults():
    problem = ss.OperatorProblem(FEATURES, TARGETS)
    np.testing.assert_allclose(problem.mass, np.full(6, 1 / 6), rtol=1e-15)
    np.testing.assert_array_equal(problem.initial_parameters, np.zeros((3, 2)))
    assert problem.groups is problem.num_groups is problem.eval_features is problem.eval_mass is None
    assert float(problem.initial_loss()) == pytest.approx(0.5 * np.mean(np.sum(TARGETS**2, axis=1)), rel=1e-14)
    assert all(got is own for got, own in zip(problem.evaluation[:2], (problem.features, problem.targets), strict=True))
    assert ss.OperatorProblem(FEATURES, TARGETS[:, 0]).targets.shape == (6, 1)


def test_losses_on_either_set_with_mass():
    rng = np.random.default_rng(2)
    mass, held_out, held_out_targets = rng.uniform(0.1, 2, 6), rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    held_out_mass, parameters = rng.uniform(0.1, 2, 4), rng.normal(size=(3, 2))
    train = ss.OperatorProblem(FEATURES, TARGETS, mass=mass, initial_parameters=parameters)
    by_hand = lambda phi, y, p: 0.5 * np.sum(p / p.sum() * np.sum((y - phi @ parameters) ** 2, axis=1))
    np.testing.assert_allclose(train.mass, mass / mass.sum(), rtol=1e-14)
    assert float(train.initial_loss()) == pytest.approx(by_hand(FEATURES, TARGETS, mass), rel=1e-13)
    energy = np.sum((TARGETS - FEATURES @ parameters) ** 2, axis=1)
    assert float(train.training_loss(energy)) == pytest.approx(by_hand(FEATURES, TARGETS, mass), rel=1e-13)
    both = ss.OperatorProblem(
        FEATURES, TARGETS, mass=mass, initial_parameters=parameters,
        eval_features=held_out, eval_targets=held_out_targets, eval_mass=held_out_mass,
    )  # fmt: skip
    assert float(both.initial_loss()) == pytest.approx(by_hand(held_out, held_out_targets, held_out_mass), rel=1e-13)
    one = ss.OperatorProblem(FEATURES, TARGETS[:, 0], eval_features=held_out, eval_targets=held_out_targets[:, 0])
    np.testing.assert_allclose(one.eval_mass, np.full(4, 0.25), rtol=1e-15)


def test_groups_average_under_the_mass():
    groups, mass = np.array([0, 2, 1, 1, 0, 2]), np.array([1.0, 2.0, 3.0, 1.0, 1.0, 2.0])
    problem = ss.OperatorProblem(FEATURES, TARGETS, groups=groups, mass=mass)
    assert problem.num_groups == 3
    np.testing.assert_allclose(problem.mass, [0.2, 0.4, 0.4], rtol=1e-15)
    np.testing.assert_array_equal(problem.per_example(jnp.array([5.0, 6.0, 7.0])), [5, 7, 6, 6, 5, 7])
    np.testing.assert_allclose(problem.per_weight(jnp.arange(1.0, 7.0)), [3.0, 3.25, 4.0], rtol=1e-15)
    values = jnp.arange(6.0)
    plain = ss.OperatorProblem(FEATURES, TARGETS)
    assert plain.per_example(values) is values
    assert plain.per_weight(values) is values


@pytest.mark.parametrize("shape", [(20, 5), (4, 7)], ids=["not realisable", "wide"])
def test_uniform_learning_is_the_modal_view_and_a_floor(shape):
    rng = np.random.default_rng(6)
    features, targets, mass = rng.normal(size=shape), rng.normal(size=(shape[0], 2)), rng.uniform(0.2, 1, shape[0])
    problem = ss.OperatorProblem(features, targets, mass=mass, initial_parameters=rng.normal(size=(shape[1], 2)))
    modal, floor = ss.problems.modal_view(problem)
    scale = np.sqrt(mass / mass.sum())[:, None]
    fit = np.linalg.lstsq(features * scale, targets * scale, rcond=None)[0]
    least = 0.5 * np.sum((scale * (targets - features @ fit)) ** 2)
    singular = np.linalg.svd(features * scale, compute_uv=False) ** 2
    assert float(floor) == pytest.approx(least, rel=1e-9, abs=1e-13)
    np.testing.assert_allclose(modal.eigenvalues[: len(singular)], singular, rtol=1e-10)
    assert np.all(np.asarray(modal.eigenvalues[len(singular) :]) == 0)
    times = ss.log_times(1e-2, 1e4, 12)
    on_data, on_modes = (ss.simulate(p, ss.uniform(), times).loss for p in (problem, modal))
    np.testing.assert_allclose(on_data, on_modes + least, rtol=1e-9, atol=1e-13)


def test_single_precision_stays_single():
    single = np.float32
    problem = ss.OperatorProblem(
        FEATURES.astype(single), TARGETS.astype(single), mass=np.ones(6), groups=np.arange(6) % 2,
        eval_features=FEATURES, eval_targets=TARGETS, eval_mass=np.ones(6), initial_parameters=np.ones((3, 2)),
    )  # fmt: skip
    leaves = [leaf for leaf in jax.tree.leaves(problem) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    assert len(leaves) == 7
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}
    modal, floor = ss.problems.modal_view(problem)
    assert modal.dtype == floor.dtype == jnp.float32
    assert ss.simulate(problem, ss.uniform(), [0.0, 1.0]).loss.dtype == jnp.float32
    assert ss.OperatorProblem(FEATURES.astype(single), TARGETS).dtype == jnp.float64
    assert ss.OperatorProblem(np.arange(6).reshape(3, 2), np.arange(3)).dtype == jnp.float64


def test_weights_may_change_at_every_refresh():
    table = np.random.default_rng(3).exponential(size=(4, 6))
    times = np.array([0.0, 0.5, 2.0, 3.0])
    schedule = ss.static_weights(ss.PerRefresh(table))
    run = ss.simulate(ss.OperatorProblem(FEATURES, TARGETS), schedule, times, save=ss.save_weights)
    expected = table / table.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(run.saved[:3], expected[:3], rtol=1e-12)
    np.testing.assert_array_equal(run.saved[3], run.saved[2])


def test_is_built_under_transformations():
    losses = jax.jit(jax.vmap(lambda y, p: ss.OperatorProblem(FEATURES, y, mass=p).initial_loss()))
    targets, mass = np.stack([TARGETS, 2 * TARGETS]), np.stack([np.ones(6), np.arange(1.0, 7.0)])
    expected = [0.5 * np.sum(p / p.sum() * np.sum(y**2, axis=1)) for y, p in zip(targets, mass, strict=True)]
    np.testing.assert_allclose(losses(targets, mass), expected, rtol=1e-13)
    constant = jax.jit(lambda y: ss.OperatorProblem(FEATURES, y).initial_loss())  # values are not looked at there
    assert float(constant(np.ones(6))) == pytest.approx(0.5)
    with pytest.raises(ValueError, match=r"groups must be concrete: .*pass them as NumPy integers"):
        jax.jit(lambda g: ss.OperatorProblem(FEATURES, TARGETS, groups=g).initial_loss())(np.arange(6))


def replaced(array, position, value):
    array = np.array(array, float)
    array[position] = value
    return array


@pytest.mark.parametrize(
    ("features", "targets", "message"),
    [
        (FEATURES[0], TARGETS, r"features must have shape \(examples, features\), got shape \(3,\)"),
        (replaced(FEATURES, (4, 1), np.nan), TARGETS, r"features\[4, 1\] is nan: .*remove or impute the example"),
        (replaced(FEATURES, (0, 2), np.inf), TARGETS, r"features\[0, 2\] is inf: .*remove or impute"),
        (FEATURES, replaced(TARGETS, (3, 0), np.nan), r"targets\[3, 0\] is nan: .*remove or impute the example"),
        (FEATURES, replaced(TARGETS, (5, 1), -np.inf), r"targets\[5, 1\] is -inf"),
        (FEATURES, TARGETS[:4], r"targets has shape \(4, 2\) but features with 6 examples needs a leading axis of 6"),
        (FEATURES, TARGETS[..., None], r"targets must have shape \(examples, outputs\), got shape \(6, 2, 1\)"),
        (FEATURES, np.full(6, 2.5), r"targets are constant \(every row is \[2\.5\]\): .*choose another target"),
        (FEATURES, np.tile([1.0, 3.0], (6, 1)), r"targets are constant \(every row is \[1\.0, 3\.0\]\)"),
        (np.ones((0, 3)), np.ones(0), r"features has shape \(0, 3\): give at least one example and one feature"),
        (np.ones((6, 0)), TARGETS, r"features has shape \(6, 0\): give at least one example and one feature"),
    ],
)
def test_refuses_data(features, targets, message):
    with pytest.raises(ValueError, match=message):
        ss.OperatorProblem(features, targets)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mass": [1.0, 1, 1, -1, 1, 1]}, r"mass\[3\] is -1: .*a probability mass has no negative entries"),
        ({"mass": np.zeros(6)}, r"mass sums to 0: give at least one example positive mass"),
        ({"mass": np.ones(5)}, r"mass has shape \(5,\) but features with 6 examples needs"),
        ({"mass": [1.0, np.nan, 1, 1, 1, 1]}, r"mass\[1\] is nan"),
        ({"mass": np.ones((6, 1))}, r"mass must have shape \(examples\), got shape \(6, 1\)"),
        ({"eval_features": FEATURES}, r"eval_features and eval_targets go together: give both"),
        ({"eval_targets": TARGETS}, r"eval_features and eval_targets go together"),
        ({"eval_mass": np.ones(6)}, r"eval_features and eval_targets go together: .*no eval_mass"),
        ({"eval_features": FEATURES[:, :2], "eval_targets": TARGETS}, r"eval_features.*\(2, 6\).*axis of 3"),
        ({"eval_features": FEATURES, "eval_targets": TARGETS[:, :1]}, r"eval_targets.*\(1, 6\).*axis of 2"),
        (
            {"eval_features": FEATURES[:4], "eval_targets": TARGETS},
            r"eval_targets has shape \(6, 2\) but eval_features",
        ),
        (
            {"eval_features": replaced(FEATURES, (2, 0), np.nan), "eval_targets": TARGETS},
            r"eval_features\[2, 0\] is nan: .*remove or impute the example",
        ),
        (
            {"eval_features": FEATURES, "eval_targets": TARGETS, "eval_mass": np.zeros(6)},
            r"eval_mass sums to 0: give at least one example positive mass",
        ),
        ({"groups": [0, 1, 3, 0, 1, 3]}, r"groups holds the numbers \[0, 1, 3\]\.\.\.: use 0 \.\.\. G-1"),
        ({"groups": [1, 1, 2, 2, 1, 2]}, r"groups holds the numbers \[1, 2\]"),
        ({"groups": [0, -1, 0, 1, 1, 0]}, r"groups holds the numbers \[-1, 0, 1\]"),
        ({"groups": [0.0, 1, 0, 1, 0, 1]}, r"groups has dtype float64: number the groups with whole numbers from 0"),
        ({"groups": [0, 1]}, r"groups has shape \(2,\) but features with 6 examples needs"),
        ({"groups": np.zeros((6, 1), int)}, r"groups must have shape \(examples\), got shape \(6, 1\)"),
        ({"groups": [0, 0, 0, 1, 1, 1], "mass": [1, 1, 1, 0, 0, 0]}, r"group 1 has zero mass: merge or drop it"),
        (
            {"initial_parameters": np.zeros(3)},
            r"initial_parameters has shape \(3,\): \(features, outputs\) is \(3, 2\)",
        ),
        ({"initial_parameters": np.full((3, 2), np.nan)}, r"initial_parameters\[0, 0\] is nan"),
    ],
)
def test_refuses_options(options, message):
    with pytest.raises(ValueError, match=message):
        ss.OperatorProblem(FEATURES, TARGETS, **options)
