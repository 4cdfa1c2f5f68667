"""Settings shared by all tests: double precision by default and reproducible property tests in CI."""

import gc
import itertools
import os
from importlib.metadata import version
from pathlib import Path

# Small products of matrices, of which the tests are made, are slower on several threads, by far where workers of pytest
# share the cores: waiting threads keep them busy. Read when NumPy and LightGBM are imported.
os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "1")

# Most of the time of the tests goes into compiling programs that run once: compile for that. Read when JAX is imported;
# a version that does not know a flag would abort. `make test-all` compiles as users do.
if version("jaxlib").startswith("0.10.") and os.environ.get("SPECTRAL_SIM_TEST_COMPILER") != "users":
    os.environ["XLA_FLAGS"] = " ".join(
        (
            "--xla_cpu_use_fusion_emitters=false",
            "--xla_cpu_parallel_codegen_split_count=1",
            "--xla_backend_optimization_level=0",
            "--xla_llvm_disable_expensive_passes=true",
            os.environ.get("XLA_FLAGS", ""),
        )
    )

import hypothesis
import jax

gc.set_threshold(50_000, 20, 20)  # traced programs are millions of objects that stay
jax.config.update("jax_enable_x64", True)  # tests of float32 ask for that dtype themselves

# The first example of a test compiles, so a deadline would measure the compiler.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


_MAPS = Path("/proc/self/maps")
_MOST_MAPS = 20_000  # Linux lets a process map 65,530 regions; a few thousand compiled programs take more
_teardowns = itertools.count(1)


def pytest_runtest_teardown():
    """Drop compiled programs before there are so many that the process would be killed."""
    if next(_teardowns) % 8 == 0 and _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > _MOST_MAPS:
        jax.clear_caches()
