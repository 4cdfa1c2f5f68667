"""One process against two of `jax.distributed` on this machine, each on one core, with the examples spread over them.

The task is the operator flow under a closed loop on 200,000 examples x 256 features, in float32. The losses of both
stand beside those of one process in float64, so that the effect of the order of sums can be told from an error.
Run: python benchmarks/two_processes.py [--examples N] [--repeats N]; writes results/two_processes.md.
"""

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import spectral_sim as ss

RESULT = Path(__file__).parent / "results" / "two_processes.md"
FEATURES, REFRESHES, HORIZON = 256, 24, 30.0


def share_of(examples: int, process: int, processes: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of one process: standard normal, standard deviations 1/k, and a target with noise of 0.1."""
    truth = np.random.default_rng(0).standard_normal(FEATURES)
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((examples, FEATURES)) / np.arange(1.0, FEATURES + 1)
    noise = 0.1 * rng.standard_normal(examples)
    mine = slice(process * examples // processes, (process + 1) * examples // processes)
    return rows[mine], rows[mine] @ truth + noise[mine]


def work(options: argparse.Namespace) -> None:
    """What each process does: the same program over its own rows; the first one prints what was found."""
    jax.config.update("jax_enable_x64", options.precision == "float64")
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[options.process]})
    if options.processes > 1:
        jax.distributed.initialize(options.address, options.processes, options.process)
    rows = NamedSharding(Mesh(np.array(jax.devices()), ("examples",)), PartitionSpec("examples"))
    parts = share_of(options.examples, options.process, options.processes)
    whole = [jax.make_array_from_process_local_data(rows, part.astype(options.precision)) for part in parts]
    problem = ss.OperatorProblem(*whole)
    del parts, whole
    times = ss.log_times(HORIZON / 1000, HORIZON, REFRESHES + 1)
    schedule = ss.chain(ss.proportional(0.7), ss.clip(0.1, 5.0))
    program = jax.jit(lambda problem: ss.simulate(problem, schedule, times, throw=False).loss)
    loss, seconds = np.asarray(program(problem)), []
    for _ in range(options.repeats):
        begin = time.perf_counter()
        program(problem).block_until_ready()
        seconds.append(time.perf_counter() - begin)
    if options.process == 0:
        print(json.dumps({"seconds": statistics.median(seconds), "loss": loss.astype(float).tolist()}))


def measured(options: argparse.Namespace, processes: int, precision: str) -> dict[str, Any]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, __file__, "--examples", str(options.examples), "--repeats", str(options.repeats)]
    command += ["--processes", str(processes), "--precision", precision, "--address", address]
    running = [
        subprocess.Popen([*command, "--process", str(process)], stdout=subprocess.PIPE, text=True)
        for process in range(processes)
    ]
    printed = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit("error: a process failed; its message stands above.")
    return json.loads(printed[0].splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="float32", help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    parser.add_argument("--process", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.process is not None:
        work(options)
        return
    one, two, exact = (measured(options, *of) for of in ((1, "float32"), (2, "float32"), (1, "float64")))
    apart = lambda run, other: float(np.abs(np.divide(run["loss"], other["loss"]) - 1).max())
    text = f"""# Two processes

By `python benchmarks/{Path(__file__).name}`: {options.examples} examples x {FEATURES} features,
{REFRESHES} refreshes of `chain(proportional(0.7), clip(0.1, 5))` to t = {HORIZON:g}, each process on one core;
medians of {options.repeats} runs, features in memory, compilation not counted.

| what | value |
|---|---|
| seconds, one process on one core | {one["seconds"]:.2f} |
| seconds, two processes on two cores | {two["seconds"]:.2f} |
| rate of two over one | {one["seconds"] / two["seconds"]:.2f} |
| largest difference of losses, two against one | {apart(two, one):.1e} |
| one process in float32 against float64 | {apart(one, exact):.1e} |
| two processes in float32 against float64 | {apart(two, exact):.1e} |

jax {jax.__version__}, Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores.
"""
    RESULT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
