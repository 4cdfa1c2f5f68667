"""Speed of SGD moments against the scan that takes every step, in one process, and what the two differ by.

1,024 power-tilt schedules x 1e6 steps in 200 intervals on 256 shell nodes in float64. The scan takes the same steps for
the same schedules, compiled by the same compiler; since each of its steps costs the same, it is timed over a part of
them. Runs are interleaved and the median of their ratios is printed, since machines are shared and noisy. The results
are compared over all the steps, for a few schedules. Run: python benchmarks/sgd_moments.py
"""

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

import spectral_sim as ss

SCHEDULES, STEPS, INTERVALS, PAIRS = 1024, 1_000_000, 200, 5
TIMED_STEPS, COMPARED = 2_000, 4
BATCH, NOISE = 4.0, 0.01


def scanned(problem: ss.ModalProblem, exponents: jax.Array, rate: float, counts: np.ndarray) -> jax.Array:
    """Loss after each of `counts` steps, one step at a time, shape (schedules, counts)."""
    eigenvalues, multiplicity = problem.eigenvalues, problem.multiplicity

    def one(exponent):
        weights = eigenvalues**-exponent
        weights = weights / jnp.sum(problem.mass * weights)
        sampled = eigenvalues * weights
        keep = 1 - 2 * rate * sampled + (1 + 1 / BATCH) * (rate * sampled) ** 2
        gain, seen = rate**2 / BATCH * eigenvalues * sampled, multiplicity * weights

        def step(_, energy):
            return keep * energy + gain * (seen @ energy + NOISE)

        def interval(energy, ends):
            energy = jax.lax.fori_loop(*ends, step, energy)
            return energy, 0.5 * jnp.sum(multiplicity * energy)

        return jax.lax.scan(interval, problem.energies, (counts[:-1], counts[1:]))[1]

    return jax.vmap(one)(exponents)


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    problem = ss.power_law(2.0, 2.0, max_mode=1e7, nodes=256)
    rate = float(0.5 * 2 / ((1 + 2 / BATCH) * problem.trace))
    points = ss.log_times(1, STEPS, 400)
    counts = np.unique(np.rint(points))  # the first steps are whole numbers that a logarithmic grid repeats
    counts = np.concatenate([counts[: INTERVALS // 2], np.rint(np.geomspace(counts[INTERVALS // 2], STEPS, 101))])
    assert len(counts) == INTERVALS + 1
    times, dynamics = ss.step_times(rate, counts), ss.SGDMoments(rate, BATCH, NOISE)
    exponents = jnp.linspace(0, 0.5, SCHEDULES)
    run = jax.jit(
        jax.vmap(lambda s: ss.simulate(problem, ss.power_tilt(s), times, dynamics=dynamics, throw=False).loss)
    )

    few = exponents[:: SCHEDULES // COMPARED]
    whole = counts.astype(np.int32)
    stepped = jax.jit(lambda s: scanned(problem, s, rate, whole))(few)
    difference = float(jnp.max(jnp.abs(run(few)[:, 1:] / stepped - 1)))

    part = np.array([0, TIMED_STEPS], np.int32)
    scan = jax.jit(lambda s: scanned(problem, s, rate, part))
    ratios, seconds = [], []
    for pair in range(PAIRS + 1):
        start = time.perf_counter()
        run(exponents).block_until_ready()
        middle = time.perf_counter()
        scan(exponents).block_until_ready()
        end = time.perf_counter()
        if pair:  # the first pair compiles
            seconds.append(middle - start)
            ratios.append((end - middle) * STEPS / TIMED_STEPS / (middle - start))
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}, float64")
    print(f"largest relative difference over {STEPS:.0e} steps: {difference:.1e}")
    print(
        f"{statistics.median(seconds):.2f} s for {SCHEDULES} schedules x {STEPS:.0e} steps in {INTERVALS} intervals: "
        f"{statistics.median(ratios):.0f} times faster than the scan (median of {PAIRS} pairs, "
        f"{min(ratios):.0f} to {max(ratios):.0f}; the scan is timed over {TIMED_STEPS} steps)"
    )


if __name__ == "__main__":
    main()
