"""Settings shared by all tests: double precision by default and reproducible property tests in CI."""

import collections
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

    config.option.loadscopereorder = False  # in the order below
    return LoadFileScheduling(config, log)


# Files of few tests, some of which take a quarter of a minute or more.
_LONG_TESTS = (
    "test_ray.py",
    "test_docs.py",
    "test_joint.py",
    "test_control.py",
    "test_curves.py",
    "test_demo.py",
    "cli/test_learn.py",
    "sweeps/test_foreign.py",
    "test_compare_training.py",
)


def pytest_collection_modifyitems(config, items):
    """Begin with the longest tests, then with the largest files, so that no worker waits for another at the end."""
    if hasattr(config, "workerinput"):
        tests = collections.Counter(item.path for item in items)
        items.sort(key=lambda item: (not item.path.as_posix().endswith(_LONG_TESTS), -tests[item.path], item.path))


_MAPS = Path("/proc/self/maps")
_MOST_MAPS = 20_000  # Linux lets a process map 65,530 regions; a few thousand compiled programs take more
_teardowns = itertools.count(1)


def pytest_runtest_teardown():
    """Drop compiled programs before there are so many that the process would be killed."""
    if next(_teardowns) % 8 == 0 and _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > _MOST_MAPS:
        jax.clear_caches()
