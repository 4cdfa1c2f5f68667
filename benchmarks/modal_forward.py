"""Throughput of the modal loop against the same computation in vectorised NumPy, in one process.

1,024 power-tilt schedules x 512 modes x 256 times in float32. The bare compiled loop, which only updates,
exponentiates and sums, is the limit that the same compiler sets. Runs are interleaved and medians of ratios are
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


def bare_losses(problem: ss.ModalProblem, times: np.ndarray, exponents: jax.Array) -> jax.Array:
    """Only the update, the exponential and the sum, in one compiled scan: no schedule, no statuses, no records."""
    durations = jnp.asarray(np.diff(times), jnp.float32)

    def one(exponent):
        weights = problem.eigenvalues**-exponent
        rate = -2 * problem.eigenvalues * weights / jnp.sum(problem.mass * weights)

        def step(log_energy, duration):
            log_energy = log_energy + duration * rate
            return log_energy, 0.5 * jnp.sum(jnp.exp(log_energy))

        return jax.lax.scan(step, jnp.log(problem.energies), durations)[1]

    return jax.vmap(one)(exponents)


def main() -> None:
    problem = ss.power_law(2.0, 2.0, num_modes=MODES)
    times = ss.log_times(1e-1, 1e4, TIMES)
    exponents = np.linspace(0, 1, SCHEDULES, dtype=np.float32)
    run = jax.jit(jax.vmap(lambda s: ss.simulate(problem, ss.power_tilt(s), times, throw=False).loss))
    device_exponents = jnp.asarray(exponents)
    ours = np.asarray(run(device_exponents))
    difference = np.max(np.abs(ours / numpy_losses(problem, times, exponents) - 1))
    bare = jax.jit(lambda s: bare_losses(problem, times, s))
    runs = {
        "spectral_sim": lambda: run(device_exponents).block_until_ready(),
        "bare": lambda: bare(device_exponents).block_until_ready(),
        "numpy": lambda: numpy_losses(problem, times, exponents),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(PAIRS + 1):
        for name, call in runs.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    measured = {name: values[1:] for name, values in seconds.items()}  # the first round compiles

    def ratio(slow: str, fast: str) -> float:
        return statistics.median(a / b for a, b in zip(measured[slow], measured[fast], strict=True))

    rate = SCHEDULES * MODES * TIMES / statistics.median(measured["spectral_sim"])
    print(f"jax {jax.__version__}, numpy {np.__version__}, {jax.devices()[0].device_kind}, float32")
    print(f"largest relative difference of the losses: {difference:.1e}")
    print(f"{rate:.2e} mode-steps/s: {ratio('numpy', 'spectral_sim'):.1f} times NumPy (median of {PAIRS} rounds)")
    print(
        f"{ratio('bare', 'spectral_sim'):.2f} of the bare compiled loop, "
        f"itself {ratio('numpy', 'bare'):.1f} times NumPy"
    )


if __name__ == "__main__":
    main()
