"""What the suite runs on: hardware, memory, versions, commit; never the name of the host."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax

from .._extras import require
from .._version import __version__

_PACKAGES = ("jax", "jaxlib", "equinox", "numpy", "scipy", "diffrax", "torch")

_CGROUP = Path("/sys/fs/cgroup")


class DeviceError(ValueError):
    """The device that was asked for is not there."""


def device_of(name: str | None) -> Any:
    """The first device of a platform; of the default one if None.

    Arguments:
        name: a platform as JAX names it, such as "cpu" or "gpu".

    Raises:
        DeviceError: there is none; the message names those that are there.
    """
    if name is None:
        return jax.devices()[0]
    try:
        return jax.devices(name)[0]
    except RuntimeError as error:
        kinds: dict[str, int] = {}
        for platform_name in {"cpu", jax.default_backend()}:
            for device in jax.devices(platform_name):
                kinds[device.platform] = kinds.get(device.platform, 0) + 1
        there = ", ".join(f"{kind} ({count})" for kind, count in sorted(kinds.items()))
        raise DeviceError(f"there is no device {name!r} here; there is: {there}") from error


def machine(device: Any) -> dict[str, Any]:
    """Processor, cores, memory in bytes, and the device of the run.

    Arguments:
        device: of JAX, such as `device_of` returns.

    Raises:
        ImportError: psutil is not installed.
    """
    psutil = require("psutil", "the benchmark suite", "pip install psutil")
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": _cores(),
        "memory": psutil.virtual_memory().total,
        "system": platform.system(),
        "platform": device.platform,
        "device": device.device_kind,
        "devices": len(jax.devices(device.platform)),
    }


def slug(found: dict[str, Any]) -> str:
    """A folder name for a machine, such as 2-core-cpu-x86_64.

    Arguments:
        found: what `machine` returns.
    """
    if found["platform"] == "cpu":
        text = f"{found['cores']}-core-cpu-{found['architecture']}"
    else:
        text = f"{found['devices']}-{found['device']}"
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")


def versions() -> dict[str, str]:
    """Of this package, Python, the compiler of the loop in C, and every package that is measured and installed."""
    found = {"spectral_sim": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """Commit of the checkout that this package lies in, marked where files differ from it; None outside of one."""
    folder = Path(__file__).parent
    try:
        ask = lambda *words: subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
        ).stdout.strip()
        if ask("ls-files", Path(__file__).name) == "":
            return None  # installed into somebody else's checkout
        return ask("rev-parse", "--short=12", "HEAD") + ("+changes" if ask("status", "--porcelain", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def free_bytes(device: Any) -> float:
    """Memory that a case may take: of the device, or what the system and a container leave to this process."""
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    free = require("psutil", "the benchmark suite", "pip install psutil").virtual_memory().available
    return min(free, _container_free(_CGROUP))


def peak_bytes(device: Any) -> dict[str, int]:
    """Most memory in use so far: of the process, and on the device where it says."""
    found = {}
    if sys.platform != "win32":
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found["resident"] = peak if sys.platform == "darwin" else 1024 * peak
    stats = device.memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        found["device"] = stats["peak_bytes_in_use"]
    return found


def _container_free(folder: Path) -> float:
    """Memory below the limit of a container (control groups, version 2); infinite without one."""
    try:
        limit, used = ((folder / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        return float("inf") if limit == "max" else max(0, int(limit) - int(used))
    except (OSError, ValueError):
        return float("inf")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
