"""The other tests compile with few optimisations; here the compiler does what it does for users, fusions included."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import itertools

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)
import spectral_sim as ss

for (examples, features), dtype in itertools.product(((64, 512), (5000, 16)), (np.float32, np.float64)):
    rng = np.random.default_rng(0)
    inputs = (rng.standard_normal((examples, features)) / features**0.5).astype(dtype)
    targets = rng.standard_normal((examples, 1)).astype(dtype)
    problem, key = ss.OperatorProblem(inputs, targets), jax.random.key(0)
    start = np.sum(targets.astype(float) ** 2, axis=1)
    for dynamics in (ss.PoolMoments(0.1, 2.0, 0.1), ss.PoolTraining(0.1, 2, 0.1), ss.OperatorFlow()):
        save = lambda o, w: o.energy
        run = ss.simulate(
            problem, ss.proportional(1.0), [0, 1, 3], dynamics=dynamics, key=key, throw=False, save=save
        )
        where = examples, features, dtype, dynamics, run.loss
        assert np.isclose(run.loss[0], 0.5 * start.mean(), rtol=1e-5), where
        assert np.allclose(run.saved[0], start, rtol=1e-4), where
        assert np.allclose(0.5 * np.mean(run.saved, axis=1), run.loss, rtol=1e-4), where
print("right")
"""


@pytest.mark.slow  # compiles for some 20 s
def test_sums_of_products_on_every_shape():
    """jaxlib 0.10.2 sums memory that was never written for some shapes; which ones depends on what is fused."""
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "right"
