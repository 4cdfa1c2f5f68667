"""Throughput of the modal loop against the same computation in vectorised NumPy, in one process.

1,024 power-tilt schedules x 512 modes x 256 times in float32. Pairs are interleaved and the median of their ratios is
printed, since machines are shared and noisy. Run: python benchmarks/modal_forward.py
"""

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

import spectral_sim as ss

SCHEDULES, MODES, TIMES, PAIRS = 1024, 512, 256, 15


def numpy_losses(problem: ss.ModalProblem, times: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """The same in NumPy: all schedules and modes at once, one refresh after the other."""
    eigenvalues, energies, multiplicity = (
        np.asarray(x) for x in (problem.eigenvalues, problem.energies, problem.multiplicity)
    )
    weights = eigenvalues ** -exponents[:, None]
    weights /= weights @ np.asarray(problem.mass)[:, None]
    durations = np.diff(times).astype(np.float32)
    log_energy = np.log(energies)
    progress = np.zeros_like(weights)
    losses = [0.5 * np.sum(multiplicity * np.exp(log_energy - 2 * progress), axis=1)]
    for duration in durations:
        progress += duration * eigenvalues * weights
        losses.append(0.5 * np.sum(multiplicity * np.exp(log_energy - 2 * progress), axis=1))
    return np.stack(losses, axis=1)


def main() -> None:
    problem = ss.power_law(2.0, 2.0, num_modes=MODES)
    times = ss.log_times(1e-1, 1e4, TIMES)
    exponents = np.linspace(0, 1, SCHEDULES, dtype=np.float32)
    run = jax.jit(jax.vmap(lambda s: ss.simulate(problem, ss.power_tilt(s), times, throw=False).loss))
    device_exponents = jnp.asarray(exponents)
    ours = np.asarray(run(device_exponents))
    difference = np.max(np.abs(ours / numpy_losses(problem, times, exponents) - 1))
    ratios, seconds = [], []
    for _ in range(PAIRS):
        start = time.perf_counter()
        run(device_exponents).block_until_ready()
        middle = time.perf_counter()
        numpy_losses(problem, times, exponents)
        ratios.append((time.perf_counter() - middle) / (middle - start))
        seconds.append(middle - start)
    rate = SCHEDULES * MODES * TIMES / statistics.median(seconds)
    print(f"jax {jax.__version__}, numpy {np.__version__}, {jax.devices()[0].device_kind}, float32")
    print(f"largest relative difference of the losses: {difference:.1e}")
    print(f"{rate:.2e} mode-steps/s, {statistics.median(ratios):.1f} times NumPy (median of {PAIRS} interleaved pairs)")


if __name__ == "__main__":
    main()
