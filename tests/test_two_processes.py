"""Two processes of `jax.distributed` on this machine: examples and rows are spread over them."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import spectral_sim as ss

EXAMPLES, FEATURES = 240, 12
TIMES = ss.log_times(1e-1, 1e2, 5)
METRICS = "final_loss", "max_weight"


def data():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((EXAMPLES, FEATURES)) / np.arange(1.0, FEATURES + 1)
    return features, features @ rng.standard_normal((FEATURES, 1)) + 0.1 * rng.standard_normal((EXAMPLES, 1))


def losses(problem):
    schedule = ss.chain(ss.proportional(0.7), ss.clip(0.1, 5.0))
    return ss.simulate(problem, schedule, TIMES).loss


def table(engine):
    problem = ss.power_law(2.0, 2.0, max_mode=1e4, nodes=32)
    rows = ss.grid(ss.power_tilt(0.3), exponent=np.linspace(0.1, 0.5, 7))
    return ss.sweep(problem, rows, TIMES, metrics=METRICS, chunk_size=2, engine=engine)


def worker(address, process):
    """What each of the two processes does; nothing may have touched a device before they have met."""
    jax.config.update("jax_enable_x64", True)
    jax.distributed.initialize(address, num_processes=2, process_id=process)
    rows = NamedSharding(Mesh(np.array(jax.devices()), ("examples",)), PartitionSpec("examples"))
    half = slice(process * EXAMPLES // 2, (process + 1) * EXAMPLES // 2)
    share = [jax.make_array_from_process_local_data(rows, values[half]) for values in data()]
    assert not share[0].is_fully_addressable
    loss = losses(ss.OperatorProblem(*share))
    found = table("processes")
    print(json.dumps({"loss": np.asarray(loss).tolist(), **{name: found[name].values.tolist() for name in METRICS}}))


@pytest.mark.slow
def test_examples_and_rows_are_spread_over_two_processes():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    script = "import sys, test_two_processes as t; t.worker(sys.argv[1], int(sys.argv[2]))"
    start = lambda process: subprocess.Popen(
        [sys.executable, "-c", script, address, str(process)],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    running = [start(process) for process in range(2)]
    try:
        ended = [process.communicate(timeout=300) for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], ended[0][1][-2000:] + ended[1][1][-2000:]
    found = [json.loads(out.splitlines()[-1]) for out, _ in ended]
    assert found[0] == found[1]
    np.testing.assert_allclose(found[0]["loss"], losses(ss.OperatorProblem(*data())), rtol=1e-11)
    alone = table("local")
    for name in METRICS:
        np.testing.assert_allclose(found[0][name], alone[name], rtol=1e-12)


def test_one_process_is_a_program_of_one():
    together, alone = table("processes"), table("local")
    for name in METRICS:
        np.testing.assert_allclose(together[name], alone[name], rtol=1e-12)
