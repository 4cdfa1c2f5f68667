"""What every command has around it."""

import os
import subprocess
import sys

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
