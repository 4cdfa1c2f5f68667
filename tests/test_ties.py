"""No result depends on the order of rows: permuting them permutes the weights, also where many are equal."""

import jax
import numpy as np
import pytest
from helpers import EXAMPLES, QUICK, example

import spectral_sim as ss
from spectral_sim.numerics import lowest_mass, mass_rank, top_mass

SIZES = [(14, 3), (33, 4)]  # examples, distinct rows
TIMES = ss.log_times(0.1, 8.0, 5)
DETERMINISTIC = [
    name
    for name in EXAMPLES
    if "operator" not in EXAMPLES[name].refused
    and name not in ("add_noise", "random_pruning", "subsample", "teacher, other spectrum")
    and name not in ("excess", "hard_pruning, scored", "static_weights")  # numbers of their own
]


def copies(size, distinct, seed):
    """Rows of which many are equal, in random order, and their numbers."""
    rng = np.random.default_rng(seed)
    number = rng.integers(distinct, size=size)
    number[:distinct] = np.arange(distinct)
    features, targets = rng.normal(size=(distinct, 3)), rng.normal(size=(distinct, 1))
    return features[number], targets[number], number


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_permuting_rows_permutes_weights(name):
    for seed, (size, distinct) in enumerate(SIZES[: 1 + (name in ("top_fraction", "hard_pruning", "curriculum"))]):
        features, targets, number = copies(size, distinct, seed)
        schedule = example(name, ss.OperatorProblem(features, targets))
        run = jax.jit(
            lambda x, y, schedule=schedule: (
                ss.simulate(ss.OperatorProblem(x, y), schedule, TIMES, save=ss.save_weights).saved
            ),
            compiler_options=QUICK,
        )
        weights = np.asarray(run(features, targets))
        for row in weights:  # equal rows have equal weights
            np.testing.assert_allclose(row, (np.bincount(number, row) / np.bincount(number))[number], rtol=1e-9)
        order = np.random.default_rng(seed).permutation(size)
        np.testing.assert_allclose(run(features[order], targets[order]), weights[:, order], rtol=1e-7, atol=1e-9)


def test_where_all_are_equally_hard_pruning_keeps_a_part_of_each():
    """Two classes of equally hard rows, sorted: neither is dropped, and a tenth is a tenth."""
    label = np.repeat([0, 1], 25)
    problem = ss.OperatorProblem(np.eye(2)[label], np.eye(2)[label])
    for schedule in (ss.hard_pruning(0.5), ss.hard_pruning(0.5, keep="easy"), ss.top_fraction(0.1)):
        weights = ss.simulate(problem, schedule, [0.0, 1.0], save=ss.save_weights).saved[0]
        np.testing.assert_allclose(weights, 1, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(4))
def test_kept_mass_is_the_fraction_and_ties_share(seed, dtype):
    """Against a sort in NumPy, with ties, zero masses and zero scores."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 300))
    score = np.round(rng.exponential(size=size), int(rng.integers(0, 3)))
    mass = rng.exponential(size=size) * (rng.random(size) > 0.1)
    mass /= mass.sum()
    for fraction in (1e-3, float(rng.uniform()), 1.0):
        own = [np.asarray(x, dtype) for x in (score, mass, fraction)]
        top = np.asarray(top_mass(*map(jax.numpy.asarray, own)), np.float64)
        low = np.asarray(lowest_mass(mass_rank(*own[:2]), own[2]), np.float64)
        for kept, ascending in ((top, -score), (low, score)):
            expected = np.zeros(size)
            for value in np.unique(ascending):
                tied = ascending == value
                left = fraction - mass[ascending < value].sum()
                if mass[tied].sum() > 0:
                    expected[tied] = np.clip(left / mass[tied].sum(), 0, 1)
            tolerance = 1e3 * np.finfo(dtype).eps
            np.testing.assert_allclose(mass @ kept, fraction, rtol=tolerance)
            np.testing.assert_allclose(kept * mass, expected * mass, atol=tolerance * fraction)
