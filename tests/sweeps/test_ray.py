"""A real Ray cluster of several node processes on this machine; a node and a worker are killed while they compute."""

import collections
import os
import signal
import threading

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.sweeps import Ray, open_table

ray = pytest.importorskip("ray")

PROBLEM = ss.power_law(1.7, 1.9, max_mode=1e4, nodes=40)
TIMES = ss.log_times(0.1, 1e3, 17)
SPEC = ss.grid(ss.power_tilt(0.5, cutoff=30.0), exponent=np.linspace(0, 1, 12), cutoff=np.geomspace(3, 300, 8))
METRICS = "final_loss", "exponent"
LOOPBACK = "127.0.0.2"  # Ray takes 127.0.0.1 for a name of the machine and connects to its outer address instead


@pytest.fixture(scope="module")
def cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    own = {"num_cpus": 0, "include_dashboard": False, "node_ip_address": LOOPBACK}
    made = Cluster(initialize_head=True, head_node_args=own)
    nodes = [made.add_node(num_cpus=1, node_ip_address=LOOPBACK) for _ in range(2)]
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    paths = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    runtime = {"env_vars": {"JAX_PLATFORMS": "cpu", "PYTHONPATH": paths}}
    ray.init(address=made.address, runtime_env=runtime, log_to_driver=False, _node_ip_address=LOOPBACK)
    yield made, nodes
    ray.shutdown()
    made.shutdown()


def test_a_worker_and_a_node_die_and_the_table_is_that_of_one_machine_bit_for_bit(cluster, tmp_path):
    made, nodes = cluster
    notes, killed, told = [], [], threading.Event()
    write = ss.sweeps._store.Store.write
    log = tmp_path / "started"
    compute = ss.sweeps._ray.compute

    def counted(packed, chunk, x64):
        with open(log, "a") as file:  # one short write: whole lines, whichever process writes them
            file.write(f"{chunk}\n")
        return compute(packed, chunk, x64)

    def watched(self, chunk, rows, columns, note):
        write(self, chunk, rows, columns, note)
        notes.append((chunk, note["process"]))
        told.set()

    def disturb():
        told.wait(120)
        worker = notes[0][1]
        os.kill(worker, signal.SIGKILL)
        killed.append(worker)
        made.remove_node(nodes[1], allow_graceful=False)
        killed.append("node")

    thread = threading.Thread(target=disturb)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ss.sweeps._store.Store, "write", watched)
        patch.setattr(ss.sweeps._ray, "compute", counted)
        options = {"metrics": METRICS, "store": tmp_path / "ray", "chunk_size": 4, "engine": Ray(ahead=1)}
        table = ss.sweep(PROBLEM, SPEC, TIMES, **options)
    thread.join()
    assert killed[-1] == "node"
    assert sorted(chunk for chunk, _ in notes) == list(range(24))  # every chunk was written once
    assert len({process for _, process in notes}) >= 2  # somebody else went on
    started = collections.Counter(log.read_text().split())
    assert set(started) == {str(chunk) for chunk in range(24)}
    assert 0 <= started.total() - 24 <= 2  # the worker and the node cost the chunk that each had in hand, no more
    assert table.attrs["complete"] == 1
    local = ss.sweep(PROBLEM, SPEC, TIMES, metrics=METRICS, chunk_size=4)
    for name in local.variables:
        np.testing.assert_array_equal(table[name], local[name], err_msg=name)
    assert open_table(tmp_path / "ray").attrs["chunks_done"] == 24


def test_an_error_of_the_sweep_is_told_as_it_is(cluster):
    spec = ss.grid(ss.power_tilt(0.5), exponent=[0.0, 1.0])
    with pytest.raises(ValueError, match="power_tilt asks for per-mode weights"):
        ss.sweep(ss.torus(2.0, 2.0, 8), spec, TIMES, metrics=METRICS, engine="ray")
