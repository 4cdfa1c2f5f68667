"""What a schedule is shown at a refresh."""

import dataclasses
from typing import Any

import equinox as eqx

from ._types import Array, Float, Int, PerWeight, PRNGKeyArray, PyTree


class Observation(eqx.Module):
    """The learner at one refresh, as seen under the uncurated distribution.

    Energies are per mode on modal problems, and the squared residual per example (or its mean per group) summed over
    outputs on data problems.

    Arguments:
        time: times[n], scalar.
        energy: residual energy, shape (weights,).
        log_energy: its logarithm, exact where `energy` underflows, shape (weights,). A run shows minus infinity where
            there is no mass: what is never sampled is never seen.
        loss: loss on the evaluation set, scalar.
        state: the state of the dynamics.
        correct: whether each example is classified right, 0 or 1 (the share of a group), shape (weights,); None where
            the dynamics does not say.
        initial_energy: residual energy at time 0, shape (weights,).
        duration: length of the coming interval, scalar.
        index: number of the refresh, scalar.
        key: PRNG key of this refresh, or None.
        mass: measure under which weights have mean one, shape (weights,).
        problem: the problem itself.
    """

    time: Float[Array, ""]
    energy: PerWeight
    log_energy: PerWeight
    loss: Float[Array, ""]
    state: PyTree
    correct: PerWeight | None = None
    initial_energy: Any = None
    duration: Any = None
    index: Int[Array, ""] | None = None
    key: PRNGKeyArray | None = None
    mass: Any = None
    problem: Any = None

    def replace(self, **changes: Any) -> "Observation":
        """A copy with some fields changed.

        Arguments:
            **changes: new values by the name of the field.
        """
        return dataclasses.replace(self, **changes)
