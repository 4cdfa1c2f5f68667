"""Settings shared by all tests: double precision by default and reproducible property tests in CI."""

import gc
import itertools
import os
from pathlib import Path

import hypothesis
import jax
import pytest

gc.set_threshold(50_000, 20, 20)  # traced programs are millions of objects that stay
jax.config.update("jax_enable_x64", True)  # tests of float32 ask for that dtype themselves

# The first example of a test compiles, so a deadline would measure the compiler.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give all tests of a file to one worker, which makes their fixtures and compiles their programs once."""
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log)


_MAPS = Path("/proc/self/maps")
_MOST_MAPS = 20_000  # Linux lets a process map 65,530 regions; a few thousand compiled programs take more
_teardowns = itertools.count(1)


def pytest_runtest_teardown():
    """Drop compiled programs before there are so many that the process would be killed."""
    if next(_teardowns) % 8 == 0 and _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > _MOST_MAPS:
        jax.clear_caches()
