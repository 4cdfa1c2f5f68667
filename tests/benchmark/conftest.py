"""The suite as this project runs it, with the targets and the peer of its checkout."""

import sys
from pathlib import Path

import pytest

from spectral_sim.benchmark import PEERS, TARGETS

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))  # scripts of the checkout, which are no package


@pytest.fixture(scope="session", autouse=True)
def project_parts():
    from suite import add_parts

    add_parts()
    yield
    PEERS.clear()
    TARGETS.clear()
