"""Examples spread over devices: the same result, and the features stay where they are."""

import re

import jax
import jax.numpy as jnp
import numpy as np
from helpers import QUICK, on_eight_devices
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import spectral_sim as ss
from spectral_sim.numerics import _rows

EXAMPLES, FEATURES = 8 * 13, 20  # 13 rows a device, which 3 blocks do not divide
TIMES = ss.log_times(1e-1, 1e2, 5)


def value(power, problem):
    """Log losses of a batch of runs."""

    def losses(power):
        return ss.simulate(problem, ss.proportional(power), TIMES, throw=False).loss

    return jnp.mean(jnp.log(jax.vmap(losses)(power)))


def outcome(devices, block=_rows._BLOCK_BYTES):
    """The value, its gradient, and what the compiled program says of arrays as large as all features."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((EXAMPLES, FEATURES)) / np.arange(1.0, FEATURES + 1)
    targets = rng.standard_normal((EXAMPLES, 2))
    rows = NamedSharding(Mesh(np.array(jax.devices()[:devices]), ("examples",)), PartitionSpec("examples"))
    problem = ss.OperatorProblem(jax.device_put(features, rows), jax.device_put(targets, rows))
    power = jnp.array([0.5, 1.0, 1.5])
    _rows._BLOCK_BYTES = block
    run = jax.jit(jax.value_and_grad(value), compiler_options=QUICK)
    program = run.lower(power, problem).compile()
    text = program.as_text()
    loss, gradient = program(power, problem)
    return {
        "loss": float(loss),
        "gradient": gradient.tolist(),
        "whole": len(re.findall(rf"[\[,]({EXAMPLES},{FEATURES}|{FEATURES},{EXAMPLES})\]", text)),
        "moved": len(re.findall(r"(all-gather|all-to-all|collective-permute)(-start)?\(", text)),
    }


def test_eight_devices_and_one():
    block = EXAMPLES * FEATURES * 8 // 3
    script = f"import json, test_sharded_examples as t; print(json.dumps(t.outcome(8, {block})))"
    spread, alone = on_eight_devices(script, __file__), outcome(1)
    np.testing.assert_allclose(spread["loss"], alone["loss"], rtol=1e-12)
    np.testing.assert_allclose(spread["gradient"], alone["gradient"], rtol=1e-10)
    assert alone["whole"] > 0
    assert spread["whole"] == spread["moved"] == 0
