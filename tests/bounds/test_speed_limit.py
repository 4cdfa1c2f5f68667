"""The speed limit of data problems against the closed form of realisable targets, written again in NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

import spectral_sim as ss

TIMES = np.concatenate([[0.0], np.geomspace(1e-3, 1e4, 60)])
PENALTIES = 10.0 ** np.arange(-12, 3)


def reach_realisable(features, targets, mass, times):
    """sqrt(t / 2) |a(0)|: from d/dt 1/2 |a|^2 = -E_q[e^2] and Cauchy-Schwarz, with a(0) the interpolant."""
    interpolant = np.linalg.lstsq(features, targets, rcond=None)[0]
    return np.sqrt(times / 2) * np.linalg.norm(interpolant)


def reach_by_ridge(features, targets, mass, times):
    """The same for targets that a ridge solution misses by m: sqrt(S) <= (m sqrt(t) + sqrt(m^2 t + 2 |a|^2)) / 2."""
    covariance = features.T @ (mass[:, None] * features)
    best = np.full(len(times), np.inf)
    for penalty in PENALTIES * np.linalg.norm(covariance, 2):
        solution = np.linalg.solve(
            covariance + penalty * np.eye(len(covariance)), features.T @ (mass[:, None] * targets)
        )
        missed = np.sqrt(np.max(np.sum((targets - features @ solution) ** 2, axis=1)))
        root = np.sqrt(missed**2 * times + 2 * np.sum(solution**2))
        best = np.minimum(best, np.sqrt(times) * (missed * np.sqrt(times) + root) / 2)
    return best


def bound(features, targets, mass, reach, evaluation=None):
    """floor + the better of mode by mode and leading or trailing sets of modes, each mode kept up by its reach."""
    eval_features, eval_targets, eval_mass = evaluation or (features, targets, mass)
    curvature, modes = np.linalg.eigh(eval_features.T @ (eval_mass[:, None] * eval_features))
    curvature, modes = curvature[::-1], modes[:, ::-1]
    best = np.linalg.lstsq(eval_features * np.sqrt(eval_mass)[:, None], eval_targets * np.sqrt(eval_mass)[:, None])[0]
    floor = 0.5 * eval_mass @ np.sum((eval_targets - eval_features @ best) ** 2, axis=1)
    distance = np.linalg.norm(modes.T @ best, axis=1)
    excitation = (features @ modes) ** 2
    single = 0.5 * np.sum(
        curvature * np.maximum(distance - np.sqrt(excitation.max(axis=0)) * reach[:, None], 0) ** 2, axis=1
    )
    joint = np.zeros(len(reach))
    for first in range(len(curvature)):
        for chosen in (slice(0, first + 1), slice(first, None)):
            norm = np.sqrt(np.sum(curvature[chosen] * distance[chosen] ** 2))
            sensitivity = np.sqrt(np.max(np.sum(curvature[chosen] * excitation[:, chosen], axis=1)))
            joint = np.maximum(joint, 0.5 * np.maximum(norm - sensitivity * reach, 0) ** 2)
    return floor + np.maximum(single, joint), floor


def realisable(seed=0, examples=14, features=6, outputs=1):
    rng = np.random.default_rng(seed)
    phi = rng.normal(size=(examples, features)) * np.arange(1.0, features + 1) ** -0.8
    mass = rng.uniform(0.3, 1.0, examples)
    return phi, phi @ rng.normal(size=(features, outputs)), mass / mass.sum()


@pytest.mark.parametrize(("seed", "outputs"), [(0, 1), (1, 3)])
def test_realisable_targets_give_at_least_the_closed_form(seed, outputs):
    features, targets, mass = realisable(seed, outputs=outputs)
    limit = ss.bounds.speed_limit(ss.OperatorProblem(features, targets, mass=mass), TIMES)
    closed, _ = bound(features, targets, mass, reach_realisable(features, targets, mass, TIMES))
    assert closed[20] > 0.01 * closed[0]  # there is something to compare with
    assert np.all(limit.loss >= closed * (1 - 1e-9) - 1e-14)
    # other penalties than none only help a little here
    assert np.all(np.asarray(limit.loss)[closed > 0.3 * closed[0]] <= 2.5 * closed[closed > 0.3 * closed[0]])
    assert float(limit.floor) == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize("basis", ["fourier", "haar", "random"])
def test_torus_gives_at_least_the_closed_form(basis):
    problem = ss.torus(2.0, 2.0, 64, basis)
    features, targets = np.asarray(problem.features), np.asarray(problem.targets)
    mass = np.full(64, 1 / 64)
    reach = np.sqrt(TIMES / 2) * np.linalg.norm(features.T @ targets / 64 / np.arange(1.0, 65)[:, None] ** -2.0)
    closed, _ = bound(features, targets, mass, reach)
    assert np.all(ss.bounds.speed_limit(problem, TIMES).loss >= closed * (1 - 1e-9) - 1e-14)


@pytest.mark.parametrize("kind", ["realisable", "missed", "held out", "wide"])
def test_agrees_with_the_general_form(kind):
    rng = np.random.default_rng(5)
    features, targets, mass = realisable(3, outputs=2)
    evaluation, more = None, {}
    if kind == "missed":
        targets = targets + 0.4 * rng.normal(size=targets.shape)
    if kind == "wide":  # fewer examples than features: only some directions can move
        features, targets, mass = features[:4], targets[:4], mass[:4] / mass[:4].sum()
    if kind == "held out":
        evaluation = rng.normal(size=(9, 6)), rng.normal(size=(9, 2)), np.full(9, 1 / 9)
        more = {"eval_features": evaluation[0], "eval_targets": evaluation[1]}
    limit = ss.bounds.speed_limit(ss.OperatorProblem(features, targets, mass=mass, **more), TIMES)
    if kind == "wide":  # the directions are those of the loss, and none outside the span of the examples
        span = np.linalg.svd(features, full_matrices=False)[2].T
        features = features @ span
    expected, floor = bound(features, targets, mass, reach_by_ridge(features, targets, mass, TIMES), evaluation)
    assert float(limit.floor) == pytest.approx(floor, rel=1e-9, abs=1e-13)
    np.testing.assert_allclose(limit.loss, expected, rtol=1e-7, atol=1e-12)


def test_the_floor_is_that_of_the_held_out_set():
    """Training can reach it where the examples excite every feature; where they do not, the floor is higher."""
    rng = np.random.default_rng(2)
    features, targets = rng.normal(size=(12, 4)), rng.normal(size=12)
    held_out = rng.normal(size=(30, 4))
    held_out_targets = held_out.sum(axis=1) + 0.5 * rng.normal(size=30)

    def floor(train):
        problem = ss.OperatorProblem(features * train, targets, eval_features=held_out, eval_targets=held_out_targets)
        return float(ss.bounds.speed_limit(problem, TIMES).floor)

    def least(columns):
        fit = np.linalg.lstsq(held_out[:, columns], held_out_targets, rcond=None)[0]
        return 0.5 * np.mean((held_out_targets - held_out[:, columns] @ fit) ** 2)

    assert floor(np.ones(4)) == pytest.approx(least([0, 1, 2, 3]), rel=1e-10)
    assert floor(np.array([1.0, 1, 1, 0])) == pytest.approx(least([0, 1, 2]), rel=1e-10)
    assert least([0, 1, 2]) > 1.01 * least([0, 1, 2, 3])


@pytest.mark.parametrize("seed", range(3))
def test_falls_with_time_from_the_initial_loss_to_the_floor(seed):
    features, targets, mass = realisable(seed)
    targets = targets + 0.3 * np.random.default_rng(seed).normal(size=targets.shape)
    problem = ss.OperatorProblem(features, targets, mass=mass)
    limit = ss.bounds.speed_limit(problem, TIMES)
    assert float(limit.loss[0]) == pytest.approx(float(problem.initial_loss()), rel=1e-12)
    assert np.all(np.diff(limit.loss) <= 1e-15)
    assert np.all(limit.loss >= limit.floor)
    assert float(limit.loss[-1]) == pytest.approx(float(limit.floor), rel=1e-12)


def test_names_the_time_from_which_it_is_vacuous():
    """On the torus of 256 modes mode by mode alone it is k^2 / 256, 256 and more for the last of them."""
    problem = ss.torus(2.0, 2.0, 256)
    times = np.geomspace(1.0, 3000.0, 2001)
    limit = ss.bounds.speed_limit(problem, times)
    idle = np.asarray(limit.loss) <= float(limit.floor) * (1 + 1e-12)
    assert float(limit.vacuous_from) == times[np.argmax(idle)]
    assert not idle[times < 254].any()  # 2 a_k^2 / (B_k^2 |a|^2) of the last pair, a_k^2 = 1, B_k^2 = 2 / k^2
    assert idle[times > 3 * 256].all()
    small = ss.OperatorProblem(*realisable(0)[:2])
    assert float(ss.bounds.speed_limit(small, TIMES[:20]).vacuous_from) == np.inf


def test_is_in_the_precision_of_the_problem():
    features, targets, _ = realisable(0)
    times = np.geomspace(1e-3, 0.1, 20)
    limit = ss.bounds.speed_limit(ss.OperatorProblem(features.astype(np.float32), targets.astype(np.float32)), times)
    assert limit.loss.dtype == limit.floor.dtype == limit.vacuous_from.dtype == jnp.float32
    np.testing.assert_allclose(
        limit.loss, ss.bounds.speed_limit(ss.OperatorProblem(features, targets), times).loss, rtol=1e-3
    )


def test_refuses_what_it_does_not_hold_for():
    with pytest.raises(TypeError, match=r"speed_limit is for data problems, not a ModalProblem: use ideal_oracle"):
        ss.bounds.speed_limit(ss.power_law(2.0, 2.0, num_modes=4), [1.0])
    problem = ss.torus(2.0, 2.0, 4)
    with pytest.raises(ValueError, match=r"times\[1\] is -1: it must not be negative"):
        ss.bounds.speed_limit(problem, [0.0, -1.0])
    with pytest.raises(ValueError, match=r"times must have shape \(times\), got shape \(\)"):
        ss.bounds.speed_limit(problem, 1.0)
