"""What every command has around it."""

import atexit
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import jax
import typer
from rich.console import Console

from .._extras import require
from ..sweeps import StoreError, SweepInterrupted
from ._errors import UserError, explained
from ._options import named_as_flags

_PIPED_WIDTH = 160


def plain_console(**options: Any) -> Console:
    """A console that shows every text as it is: no word of the user's is taken for markup."""
    return Console(markup=False, highlight=False, **options)


@contextmanager
def running(*modules: str, what: str) -> Iterator[Console]:
    """A console for progress; user errors end in one line and exit code 2, Ctrl-C in 130.

    Arguments:
        modules: optional packages that the command cannot do without.
        what: what needs them, for the message.
    """
    progress = plain_console(stderr=True, soft_wrap=True)
    # runs in float32 set the type of their arrays; this only makes float64 possible
    jax.config.update("jax_enable_x64", True)
    try:
        with explained(""):
            for module in modules:
                require(module, what)
        with named_as_flags():
            yield progress
    except (UserError, StoreError) as error:
        progress.print(f"error: {error}", style="red")
        raise typer.Exit(2) from error
    except SweepInterrupted as error:
        progress.print(str(error), style="yellow")
        raise typer.Exit(130) from error
    except KeyboardInterrupt as error:
        progress.print("interrupted", style="red")
        raise typer.Exit(130) from error


def device_per_core() -> None:
    """Let JAX see a device for every core, unless it has been told how many, or has computed already."""
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1)


def compile_quickly() -> None:
    """Let the compiler optimise little, for a command that waits for it longer than for what it makes.

    It has no effect once JAX has computed, nor where XLA_FLAGS say how much to optimise.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_backend_optimization_level" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_backend_optimization_level=0".strip()


@contextmanager
def reporting() -> Iterator[tuple[Console, Console]]:
    """Consoles for results and for progress, for a command that writes a report."""
    # a pipe or a file has no width of its own
    console = plain_console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    with running("scipy", "xarray", "matplotlib", "plotly", what="the report") as progress:
        yield console, progress


def keep_compiled() -> None:
    """Keep compiled programs in the user's cache folder, so that the next command need not wait for the compiler.

    A folder that the user has named (JAX_COMPILATION_CACHE_DIR) is used instead, and none if that is empty.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = os.path.join(base, "spectral_sim", "compiled")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:  # nothing depends on it
        return
    _leave_out_of_stderr(b"cpu_aot_loader")
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _leave_out_of_stderr(words: bytes) -> None:
    """Drop lines that compiled code writes to standard error past Python, if they hold certain words.

    The compiler warns at every program from the cache that tuning hints are no features of the processor; the level of
    its log is set when JAX is imported, before a command can say anything.
    """
    shown = os.dup(2)
    sys.stderr = os.fdopen(shown, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(writing)

    def pass_on() -> None:
        rest = b""
        # no buffered reader: Python aborts at its end where a thread still holds the lock of one
        while piece := os.read(reading, 1 << 16):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                if words not in line:
                    os.write(shown, line + b"\n")
        os.write(shown, rest)

    thread = threading.Thread(target=pass_on, daemon=True)
    thread.start()

    def finish() -> None:
        os.dup2(shown, 2)  # closes the writing end: the thread passes on what is left, and ends
        thread.join(1.0)

    atexit.register(finish)
