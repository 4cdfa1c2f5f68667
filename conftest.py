"""Settings of the process, shared by tests and notebooks: read before NumPy and JAX are imported, and inherited."""

import os
from importlib.metadata import version

# Small products of matrices, of which tests and notebooks are made, are slower on several threads, by far where workers
# of pytest share the cores: waiting threads keep them busy. Read when NumPy and LightGBM are imported.
os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "1")

# Most of the time goes into compiling programs that run once: compile for that. Read when JAX is imported;
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
