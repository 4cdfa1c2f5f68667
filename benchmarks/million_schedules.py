"""A sweep of 1,000,000 power-tilt schedules x 256 shell nodes x 256 refreshes in float32, against its limits.

Three rates are measured in one process, interleaved: the sweep from call to finished store; the bare compiled loop
(update, exponential, sum: the limit that the compiler sets) on one chunk; and vectorised NumPy on a smaller chunk. The
sweep is then resumed, which must find everything done. With --practical, chains with a capped projection at each
refresh are compared row for row with power tilts. Run: python benchmarks/million_schedules.py [--rows N] [--practical]
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import jax
import numpy as np
import psutil
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import spectral_sim as ss
from spectral_sim.benchmark import bare_losses, numpy_losses, seconds_of

NODES, TIMES, NUMPY_ROWS, ROUNDS = 256, 257, 1024, 7  # 257 times: the start, and one after each of 256 refreshes
METRICS = (
    "final_loss",
    "exponent",
    "max_weight",
    ss.sweeps.AnytimeSpeedup(horizons=33),
    ss.sweeps.TimeToLoss((1e-2,)),
    ss.sweeps.LossAt((1e2, 1e4)),
)


def memory_peak(stop: threading.Event, peak: list[int]) -> None:
    """Largest resident memory of this process until `stop`."""
    process = psutil.Process()
    while not stop.wait(0.02):
        peak[0] = max(peak[0], process.memory_info().rss)


def on_all_devices(function):
    """`function` of one row of numbers, compiled for a chunk that is split over the devices as a sweep splits it."""
    mesh = Mesh(np.array(jax.local_devices()), ("schedules",))
    rows = PartitionSpec("schedules")
    split = jax.jit(jax.shard_map(function, mesh=mesh, in_specs=rows, out_specs=rows, check_vma=False))
    return lambda values: split(jax.device_put(values, NamedSharding(mesh, rows)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--store", type=Path, help="where to write; a folder that is deleted afterwards if left out")
    parser.add_argument("--practical", action="store_true")
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", os.cpu_count())

    problem = ss.power_law(np.float32(2.0), np.float32(2.0), max_mode=1e7, nodes=NODES)
    times = ss.log_times(1e-1, 1e6, TIMES)
    side = round(options.rows**0.5)
    template = ss.power_tilt(0.5, cutoff=30.0)
    spec = ss.grid(template, exponent=np.linspace(0, 1, side), cutoff=np.geomspace(10, 1e6, side))
    scratch = options.store or Path(tempfile.mkdtemp())
    figures = {
        "jax": jax.__version__,
        "numpy": np.__version__,
        "device": f"{len(jax.devices())} x {jax.devices()[0].device_kind}",
        "rows": len(spec),
        "nodes": NODES,
        "refreshes": TIMES - 1,
    }
    if options.practical:
        figures |= practical(problem, times)
    else:
        figures |= million(problem, times, spec, scratch / "million.zarr")
    if options.store is None:
        shutil.rmtree(scratch)
    print(json.dumps(figures, indent=1))


def million(problem, times, spec, store) -> dict:
    first: list[float] = []
    chunks: list[tuple[int, float]] = []

    def progress(state) -> None:
        first.append(state.seconds)
        chunks.append((state.done, state.seconds))
        print(f"\r{state.done:,} rows, {state.rate:,.0f}/s", end="", file=sys.stderr, flush=True)

    stop, peak = threading.Event(), [0]
    watch = threading.Thread(target=memory_peak, args=(stop, peak))
    watch.start()
    begin = time.perf_counter()
    ss.sweep(problem, spec, times, metrics=METRICS, store=store, progress=progress)
    whole = time.perf_counter() - begin
    stop.set()
    watch.join()
    print(file=sys.stderr)
    begin = time.perf_counter()
    table = ss.sweep(problem, spec, times, metrics=METRICS, store=store)
    resumed = time.perf_counter() - begin
    status = np.asarray(table["status"])
    chunk = json.loads((store / "manifest.json").read_text())["chunk"]

    exponents = np.linspace(0, 1, chunk, dtype=np.float32)
    bare = on_all_devices(lambda values: bare_losses(problem, times, values))
    small = exponents[:NUMPY_ROWS]
    for call in (lambda: bare(exponents), lambda: numpy_losses(problem, times, small)):
        call()
    rates = [
        (
            chunk / seconds_of(lambda: bare(exponents)),
            NUMPY_ROWS / seconds_of(lambda: numpy_losses(problem, times, small)),
        )
        for _ in range(ROUNDS)
    ]
    bare_rate, numpy_rate = (statistics.median(column) for column in zip(*rates, strict=True))
    rate = len(spec) / whole
    files = sum(1 for _ in store.rglob("*") if _.is_file())
    return {
        "chunk": chunk,
        "rows_failed": int(np.count_nonzero(status)),
        "seconds": round(whole, 2),
        "seconds_to_first_result": round(first[0], 2),
        "rows_per_second": round(rate),
        "bare_loop_rows_per_second": round(bare_rate),
        "share_of_the_bare_loop": round(rate / bare_rate, 3),
        "times_numpy": round(rate / numpy_rate, 2),
        "peak_resident_MiB": round(peak[0] / 2**20),
        "resume_seconds": round(resumed, 3),
        "files": files,
        "store_MiB": round(sum(f.stat().st_size for f in store.rglob("*") if f.is_file()) / 2**20, 1),
    }


def practical(problem, times) -> dict:
    """Seconds for each million rows of a practical oracle and of power tilts, on the same number of rows."""
    side = 128
    chain = ss.chain(ss.lag(10.0), ss.proportional(1.0), ss.clip(0.1, 100.0))
    specs = {
        "power_tilt": ss.grid(
            ss.power_tilt(0.5, cutoff=30.0), exponent=np.linspace(0, 1, side), cutoff=np.geomspace(10, 1e6, side)
        ),
        "practical": ss.grid(chain, **{"lag.tau": np.logspace(0, 4, side), "clip.high": np.logspace(0.3, 5, side)}),
    }
    marks: dict[str, list[float]] = {name: [] for name in specs}
    for name, spec in specs.items():
        # chunks of equal size: the time between the first chunk and the last is free of compilation
        ss.sweep(
            problem,
            spec,
            times,
            metrics=METRICS,
            chunk_size=2048,
            progress=lambda s, n=name: marks[n].append(s.seconds),
        )
    seconds = {name: (m[-1] - m[0]) / (len(m) - 1) / 2048 * 1e6 for name, m in marks.items()}
    return {
        "seconds_per_million_rows": {name: round(value, 1) for name, value in seconds.items()},
        "practical_over_power_tilt": round(seconds["practical"] / seconds["power_tilt"], 1),
        "seconds_to_first_result": {name: round(m[0], 2) for name, m in marks.items()},
    }


if __name__ == "__main__":
    main()
