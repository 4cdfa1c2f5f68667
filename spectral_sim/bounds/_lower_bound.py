"""What no schedule can beat on a data problem: the speed limit, and a certificate where one takes a moment."""

import jax.numpy as jnp
import numpy as np

from .._types import ArrayLike
from ..problems import Bound, OperatorProblem
from ._certificate import certificate
from ._speed_limit import speed_limit

_CHOICES, _COORDINATES = 16, 12  # up to which a certificate takes some tenths of a second; see docs/certificates.md
_HORIZONS = np.array([0.1, 1.0])  # parts of the last time


def lower_bound(problem: OperatorProblem, times: ArrayLike) -> Bound:
    """The larger of the speed limit and, on small problems, of certificates at the last time and at a tenth of it.

    Arguments:
        problem: a data problem. Small is one of at most 16 examples (or groups) and at most 12 features times outputs.
        times: shape (times,), not negative.
    """
    limit = speed_limit(problem, times)
    loss, until, name = limit.loss, float(limit.vacuous_from), "speed limit"
    choices, coordinates = problem.mass.shape[0], problem.initial_parameters.size
    small = choices <= _CHOICES and coordinates <= _COORDINATES
    proven = _proven(problem, np.asarray(times, np.float64)) if small else None
    if proven is not None and np.any(proven > np.asarray(loss)):
        loss, name = jnp.maximum(loss, jnp.asarray(proven, loss.dtype)), "certificate"
        idle = proven <= float(limit.floor)
        until = float("inf") if not idle.any() else max(until, float(np.asarray(times)[np.argmax(idle)]))
    bites = "at all times shown" if np.isinf(until) else f"before t = {until:.3g}; later it says no more than the floor"
    tight = "loose" if name == "speed limit" else "for the last time nearly tight"
    return Bound(loss, name, until, f"Proven for any weights on examples, and {tight}. It bites {bites}.")


def _proven(problem: OperatorProblem, times: np.ndarray) -> np.ndarray | None:
    last = float(times[-1])
    if not last > 0:
        return None
    try:
        found = certificate(problem, np.array([0.0, last]), horizon=_HORIZONS * last, pieces=6)
    except ValueError:  # nothing can be learned: the floor is all there is to say
        return None
    return found.bound(times) * (1 - 4 * float(jnp.finfo(problem.dtype).eps))
