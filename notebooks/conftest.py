"""Notebooks run on one thread of BLAS and OpenMP: their small products are slower on several."""

import os

os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "1")
