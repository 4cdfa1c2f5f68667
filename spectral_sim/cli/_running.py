"""What every command has around it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import jax
import typer
from rich.console import Console

from .._extras import require
from ..sweeps import StoreError, SweepInterrupted
from ._errors import UserError, explained

__all__ = ["device_per_core", "running"]


@contextmanager
def running(*modules: str, what: str) -> Iterator[Console]:
    """A console for progress; user errors end in one line and exit code 2, Ctrl-C in 130.

    Arguments:
        modules: optional packages that the command cannot do without.
        what: what needs them, for the message.
    """
    progress = Console(stderr=True, soft_wrap=True)
    # runs in float32 set the type of their arrays; this only makes float64 possible
    jax.config.update("jax_enable_x64", True)
    try:
        with explained(""):
            for module in modules:
                require(module, what)
        yield progress
    except (UserError, StoreError) as error:
        progress.print(f"error: {error}", style="red", highlight=False, markup=False)
        raise typer.Exit(2) from error
    except SweepInterrupted as error:
        progress.print(f"{error}; on the command line: --resume", style="yellow", highlight=False, markup=False)
        raise typer.Exit(130) from error
    except KeyboardInterrupt as error:
        progress.print("interrupted", style="red")
        raise typer.Exit(130) from error


def device_per_core() -> None:
    """Let JAX see a device for every core, unless it has been told how many, or has computed already."""
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1)
