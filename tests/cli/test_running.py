"""What every command has around it."""

import os
import subprocess
import sys

from spectral_sim.cli._running import compile_quickly

LINES = """
import os
from spectral_sim.cli._running import keep_compiled

keep_compiled()
os.write(2, b"one\\nof cpu_aot_loader\\ntwo")
"""


def test_what_is_written_last_is_shown_and_the_end_is_in_order(tmp_path):
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", LINES], env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "one\ntwo")


def test_importing_the_command_line_starts_no_device():
    """What says how many devices there are, and how much to optimise, has no effect once a device has started."""
    script = (
        "import os, jax, spectral_sim.cli._app\n"
        "from spectral_sim.cli._running import compile_quickly, device_per_core\n"
        "os.sched_getaffinity = lambda process: {0, 1, 2}\n"
        "device_per_core()\n"
        "compile_quickly()\n"
        "print(jax.local_device_count(), os.environ['XLA_FLAGS'])\n"
    )
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    environment.pop("XLA_FLAGS", None)
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    devices = "3" if sys.platform == "linux" else "1"
    assert found.stdout.split() == [devices, "--xla_backend_optimization_level=0"]


def test_what_the_user_says_of_the_compiler_stays(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=2")
    compile_quickly()
    assert os.environ["XLA_FLAGS"] == "--xla_backend_optimization_level=2"
