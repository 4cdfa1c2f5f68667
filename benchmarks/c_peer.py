"""A loop in C, compiled for this processor when it is asked for: what a careful hand reaches on a CPU."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spectral_sim.benchmark import PeerUnavailable

SOURCE = Path(__file__).with_name("modal_loop.c")

COMPILE = ("-c", "-O3", "-march=native", "-ffast-math", "-fopenmp", "-fPIC")
LINK = ("-shared", "-fopenmp")
"""Without -ffast-math: linked with it, a library makes the whole process that loads it flush small numbers to zero."""


def find_compiler() -> str | None:
    """The C compiler: what CC names, else gcc; None if there is none."""
    return shutil.which(os.environ.get("CC", "gcc"))


def build(folder: Path) -> Path:
    """Compile the loop into `folder`.

    Raises:
        PeerUnavailable: no compiler, or it refuses.
    """
    compiler = find_compiler()
    if compiler is None:
        raise PeerUnavailable("no C compiler: install gcc, or name one in CC")
    unlinked, library = (folder / f"modal_loop.{kind}" for kind in ("o", "so"))
    for words in (
        (*COMPILE, str(SOURCE), "-o", str(unlinked)),
        (*LINK, str(unlinked), "-o", str(library), "-lm"),
    ):
        done = subprocess.run([compiler, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise PeerUnavailable(f"{compiler} failed: {' '.join(done.stderr.split())[:200]}")
    return library


def modal_loop(coefficient: np.ndarray, rate: np.ndarray, times: np.ndarray) -> Callable[[], np.ndarray]:
    """The modal loop on these arrays; each call returns losses, shape (schedules, times).

    Arguments:
        coefficient: the share of every mode in the loss at the start, float32, shape (modes,).
        rate: -2 eigenvalue x weight, float32, shape (schedules, modes).
        times: float32, shape (times,).

    Raises:
        PeerUnavailable: it cannot be built.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin would take the cores from the next call
    with tempfile.TemporaryDirectory() as folder:
        try:
            function = ctypes.CDLL(str(build(Path(folder)))).modal_losses
        except OSError as error:
            raise PeerUnavailable(f"the library does not load: {error}") from error
    function.restype = None
    arrays = [np.ascontiguousarray(x, np.float32) for x in (coefficient, rate, times)]
    sizes = [ctypes.c_long(n) for n in (*arrays[1].shape, len(arrays[2]))]

    def call() -> np.ndarray:
        losses = np.empty((len(rate), len(times)), np.float32)
        pointers = [x.ctypes.data_as(ctypes.c_void_p) for x in (*arrays, losses)]
        function(*pointers[:3], *sizes, pointers[3])
        return losses

    return call
