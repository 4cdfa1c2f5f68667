"""Loops in C, compiled for this processor when it is asked for: what a careful hand reaches on a CPU."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spectral_sim.benchmark import PeerUnavailable

HERE = Path(__file__).parent

COMPILE = ("-c", "-O3", "-march=native", "-ffast-math", "-fopenmp", "-fPIC")
LINK = ("-shared", "-fopenmp")
"""Without -ffast-math: linked with it, a library makes the whole process that loads it flush small numbers to zero."""


def find_compiler() -> str | None:
    """The C compiler: what CC names, else gcc; None if there is none."""
    return shutil.which(os.environ.get("CC", "gcc"))


def build(folder: Path, name: str = "modal_loop") -> Path:
    """Compile a loop into `folder`.

    Raises:
        PeerUnavailable: no compiler, or it refuses.
    """
    compiler = find_compiler()
    if compiler is None:
        raise PeerUnavailable("no C compiler: install gcc, or name one in CC")
    unlinked, library = (folder / f"{name}.{kind}" for kind in ("o", "so"))
    for words in (
        (*COMPILE, str(HERE / f"{name}.c"), "-o", str(unlinked)),
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
    sizes = *np.shape(rate), len(times)
    return _call("modal_loop", "modal_losses", (coefficient, rate, times), sizes, (sizes[0], sizes[2]))


def closed_loop(problem: Any, powers: np.ndarray, durations: np.ndarray) -> Callable[[], np.ndarray]:
    """The closed loop w ~ energy^power; each call returns losses, shape (schedules, intervals + 1).

    Arguments:
        problem: a modal problem, float32.
        powers: shape (schedules,).
        durations: of the intervals, shape (intervals,).

    Raises:
        PeerUnavailable: it cannot be built.
    """
    arrays = (
        *(0.5 * np.asarray(problem.multiplicity), np.log(problem.energies), -2 * np.asarray(problem.eigenvalues)),
        *(problem.mass, powers, durations),
    )
    sizes = len(powers), len(problem.eigenvalues), len(durations)
    return _call("closed_loop", "closed_losses", arrays, sizes, (sizes[0], sizes[2] + 1))


def _call(
    source: str, name: str, arrays: Sequence[Any], sizes: Sequence[int], shape: tuple[int, int]
) -> Callable[[], np.ndarray]:
    """A call of the function `name`, which takes arrays and sizes and fills in an array of `shape`."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin would take the cores from the next call
    with tempfile.TemporaryDirectory() as folder:
        try:
            function = getattr(ctypes.CDLL(str(build(Path(folder), source))), name)
        except OSError as error:
            raise PeerUnavailable(f"the library does not load: {error}") from error
    function.restype = None
    held = [np.ascontiguousarray(x, np.float32) for x in arrays]
    pointer = lambda x: x.ctypes.data_as(ctypes.c_void_p)

    def call() -> np.ndarray:
        losses = np.empty(shape, np.float32)
        function(*map(pointer, held), *map(ctypes.c_long, sizes), pointer(losses))
        return losses

    return call
