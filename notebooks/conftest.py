"""Notebooks run on one thread of BLAS and OpenMP each: their small products are slower on several."""

import os

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
