"""Cost of spectral transport against gradient flow on the same shells and refreshes, in one process.

1,024 power-tilt schedules x 256 shells x 200 refreshes in float64, drift exponent 1.5. The drift sweeps shells at the
top of the spectrum about a hundred times in the run, so that late intervals take several steps. Runs are interleaved
and the median of their ratios is printed, since machines are shared and noisy.

Run: python benchmarks/shell_transport.py
"""

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

import spectral_sim as ss

SCHEDULES, SHELLS, REFRESHES, PAIRS = 1024, 256, 200, 7
EXPONENT, DRIFT, SMALLEST = 1.5, 0.01, 1e-12


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    middle = np.geomspace(1, SMALLEST, 2 * SHELLS + 1)[1::2]
    problem = ss.log_shells(middle**0.5, 1.0, SMALLEST, multiplicity=middle**-0.5)  # alpha = beta = 2
    times = ss.log_times(1e-1, 1e3, REFRESHES + 1)
    exponents = jnp.linspace(0, 0.5, SCHEDULES)

    def compiled(dynamics):
        def loss(exponent):
            return ss.simulate(problem, ss.power_tilt(exponent), times, dynamics=dynamics, throw=False)

        return jax.jit(jax.vmap(loss))

    dynamics = {"flow": ss.ModalFlow(), "transport": ss.ShellTransport(EXPONENT, DRIFT)}
    runs = {name: compiled(each) for name, each in dynamics.items()}
    assert int(jnp.max(runs["transport"](exponents).status)) == 0
    still = compiled(ss.ShellTransport(EXPONENT, 0.0))(exponents).loss
    difference = float(jnp.max(jnp.abs(still / runs["flow"](exponents).loss - 1)))

    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(PAIRS + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run(exponents).loss.block_until_ready()
            seconds[name].append(time.perf_counter() - start)
    flow, transport = (seconds[name][1:] for name in ("flow", "transport"))  # the first round compiles
    ratios = [b / a for a, b in zip(flow, transport, strict=True)]
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}, float64")
    print(f"without drift, largest relative difference of the losses: {difference:.1e}")
    print(
        f"{statistics.median(transport):.2f} s for {SCHEDULES} schedules x {SHELLS} shells x {REFRESHES} refreshes: "
        f"{statistics.median(ratios):.1f} times the cost of ModalFlow (median of {PAIRS} pairs, "
        f"{min(ratios):.1f} to {max(ratios):.1f})"
    )


if __name__ == "__main__":
    main()
