"""What the tests of this folder share."""

import pytest

import spectral_sim as ss


@pytest.fixture(scope="module")
def two_rules():
    """Compare with two hand-written schedules instead of ten, which compile for longer than the search runs."""
    rules = {"uniform": ss.uniform(), "loss-proportional": ss.proportional(1.0)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spectral_sim.learning._gap.hand_written", lambda problem, cap=None: rules)
        yield rules
