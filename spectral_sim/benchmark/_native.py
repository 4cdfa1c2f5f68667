"""A loop in C, compiled for this processor when it is asked for: what a careful hand reaches on a CPU."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np

__all__ = ["FLAGS", "NativeUnavailable", "build", "find_compiler", "modal_loop"]

FLAGS = ("-O3", "-march=native", "-ffast-math", "-fopenmp", "-shared", "-fPIC")


class NativeUnavailable(Exception):
    """The loop in C cannot be built here; the message says why."""


def find_compiler() -> str | None:
    """The C compiler: what CC names, else gcc; None if there is none."""
    return shutil.which(os.environ.get("CC", "gcc"))


def build(folder: Path) -> Path:
    """Compile the loop into `folder`.

    Raises:
        NativeUnavailable: no compiler, or it refuses.
    """
    compiler = find_compiler()
    if compiler is None:
        raise NativeUnavailable("no C compiler: install gcc, or name one in CC")
    source, library = folder / "modal_loop.c", folder / "modal_loop.so"
    source.write_bytes(resources.files(__package__ or "").joinpath("modal_loop.c").read_bytes())
    done = subprocess.run(
        [compiler, *FLAGS, str(source), "-o", str(library), "-lm"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NativeUnavailable(f"{compiler} failed: {' '.join(done.stderr.split())[:200]}")
    return library


def modal_loop(log_energy: np.ndarray, rate: np.ndarray, durations: np.ndarray) -> Callable[[], np.ndarray]:
    """The modal loop on these arrays; each call returns losses, shape (schedules, times).

    Arguments:
        log_energy: logarithm of multiplicity times initial energy, float32, shape (modes,).
        rate: -2 eigenvalue x weight, float32, shape (schedules, modes).
        durations: float32, shape (intervals,).

    Raises:
        NativeUnavailable: it cannot be built.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin would take the cores from the next call
    with tempfile.TemporaryDirectory() as folder:
        try:
            function = ctypes.CDLL(str(build(Path(folder)))).modal_losses
        except OSError as error:
            raise NativeUnavailable(f"the library does not load: {error}") from error
    arrays = [np.ascontiguousarray(x, np.float32) for x in (log_energy, rate, durations)]
    sizes = [ctypes.c_long(n) for n in (*arrays[1].shape, len(arrays[2]))]

    def call() -> np.ndarray:
        losses = np.empty((rate.shape[0], len(durations) + 1), np.float32)
        pointers = [x.ctypes.data_as(ctypes.c_void_p) for x in (*arrays, losses)]
        if function(*pointers[:3], *sizes, pointers[3]):
            raise MemoryError("the loop in C found no memory")
        return losses

    return call
