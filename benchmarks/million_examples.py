"""Peak resident memory of a whole process that trains on 1,000,000 examples x 512 features in float32.

Several closed-loop schedules share the features, 2 GB by themselves, made in NumPy and handed over. The peak is the
operating system's, over everything from the import on. Run: python benchmarks/million_examples.py [--gradient]
"""

import argparse
import json
import resource
import time

import jax
import jax.numpy as jnp
import numpy as np

import spectral_sim as ss


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--schedules", type=int, default=4)
    parser.add_argument("--refreshes", type=int, default=12)
    parser.add_argument("--horizon", type=float, default=1.5)
    parser.add_argument("--gradient", action="store_true")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    features = rng.standard_normal((options.examples, options.features), np.float32)
    features /= np.arange(1, options.features + 1, dtype=np.float32)
    targets = features @ rng.standard_normal(options.features, np.float32)
    problem = ss.OperatorProblem(features, targets)
    del features
    times = ss.log_times(options.horizon / 10, options.horizon, options.refreshes + 1)

    def value(power, problem):
        def losses(power):
            schedule = ss.chain(ss.proportional(power), ss.clip(0.1, 10.0))
            return ss.simulate(problem, schedule, times, throw=False).loss

        return jnp.mean(jnp.log(jax.vmap(losses)(power)))

    power = jnp.linspace(0.5, 1, options.schedules, dtype=jnp.float32)
    start = time.perf_counter()
    program = jax.jit(jax.value_and_grad(value) if options.gradient else value).lower(power, problem).compile()
    compiled = time.perf_counter()
    jax.block_until_ready(program(power, problem))
    figures = {
        **vars(options),
        "compile_seconds": round(compiled - start, 1),
        "seconds": round(time.perf_counter() - compiled, 1),
        "peak_resident_GiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
