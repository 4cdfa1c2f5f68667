"""What the scalable route to a certificate needs: bytes at its peak, and seconds, counted before it begins."""

import dataclasses

from ..problems import OperatorProblem
from ._certificate_task import STACKED, CertificateTask

PIECES = 12
DEGREE = 3  # of the pieces: for the same number of control matrices the bound is far tighter than with straight ones
MEMORY = 8e9
MANY = 128  # examples whose conditions are taken together; of more, those that bind are looked for
_STEPS, _STEPS_OF_GROUPS = 20, 12  # of one search
_LARGE = 3.5e10  # operations a second of one thread in products of large matrices
_SMALL = 3e9  # and in batches of small ones


@dataclasses.dataclass(frozen=True)
class Shape:
    """The numbers that the cost of a search hangs on.

    Arguments:
        choices: examples, or groups.
        size: coordinates of the state.
        multipliers: how many there are: one for each output, unless one serves them all.
        linked: how many of them are found together.
        rank_one: whether every choice is one example, and every multiplier about one output.
        capped: whether a cap is priced.
    """

    choices: int
    size: int
    multipliers: int
    linked: int
    rank_one: bool
    capped: bool = False


def shape_of(tasks: list[CertificateTask], cap: float | None) -> Shape:
    """The shape of a search for the multipliers of some tasks."""
    choices, size = tasks[0].generators.shape[:2]
    linked = len(tasks) if is_linked(tasks, cap) else 1
    return Shape(choices, size, len(tasks), linked, tasks[0].rank_one, cap is not None)


def shape_ahead(problem: OperatorProblem, features: int | None = None) -> Shape:
    """The shape of a search without a cap, of targets that no parameters meet, before any of its arrays are made.

    Arguments:
        problem: a data problem.
        features: how many it would have; as many as it has if None.
    """
    own, outputs = problem.initial_parameters.shape
    features = own if features is None else features
    together = features * outputs <= STACKED
    size, multipliers = (features * outputs + 1, 1) if together else (features + 1, outputs)
    rank_one = problem.groups is None and (outputs == 1 or not together)
    return Shape(problem.mass.shape[0], size, multipliers, multipliers, rank_one)


def is_linked(tasks: list[CertificateTask], cap: float | None) -> bool:
    """Whether the multipliers of the outputs are found together, for one schedule that serves them all."""
    return cap is None and len(tasks) > 1 and tasks[0].augmented


def first_round(choices: int, outputs: int) -> int:
    """How many choices a search begins with: each output has some that bind for it, and no more than half are taken."""
    return choices if choices <= MANY else max(MANY, min(outputs * MANY, choices // 2))


def memory_needed(shape: Shape, pieces: int = PIECES // DEGREE, degree: int = DEGREE) -> float:
    """Bytes that a search holds at its peak, about."""
    choices, size, outputs = _at_the_end(shape), shape.size, shape.linked
    nodes, rows, count = degree * pieces + 1, pieces * (degree + 1), size * (size + 1) // 2
    priced = rows * ((choices * count) ** 2 + 4 * choices * count**2) if shape.capped else 0
    linked = nodes * count * rows * choices + 3 * (rows * choices) ** 2 / outputs if outputs > 1 else 0
    each = 3 * nodes * count**2 + 10 * rows * choices * size**2 + linked
    return 8.0 * (outputs * each + 14 * count**2 + size**4 + priced)


def seconds_needed(shape: Shape, pieces: int = PIECES // DEGREE, degree: int = DEGREE) -> float:
    """Processor seconds of the search at one horizon without a cap, about."""
    step = _step_seconds(shape, _at_the_end(shape), pieces, degree)
    first = first_round(shape.choices, shape.linked)
    if first < shape.choices:  # loose searches over some of the choices and over those that bind come before
        step += step + _step_seconds(shape, first, pieces, degree)
    steps = _STEPS if shape.rank_one else _STEPS_OF_GROUPS
    return steps * step * shape.multipliers / shape.linked


def _at_the_end(shape: Shape) -> int:
    """How many choices take part in the last search, about: twice as many as in the first at most."""
    return shape.choices if shape.capped else min(shape.choices, 2 * first_round(shape.choices, shape.linked))


def _step_seconds(shape: Shape, choices: int, pieces: int, degree: int) -> float:
    size, outputs = shape.size, shape.linked
    nodes, rows, count = degree * pieces + 1, pieces * (degree + 1), size * (size + 1) // 2
    forms = 16 if shape.rank_one else 22  # multiples of choices count^2, see `Conditions.system`
    large = rows * choices * forms * count**2 + 6 * nodes * count**3
    small = rows * (50 * choices * size**3 + 60 * count**2)
    if outputs > 1:  # see `Consensus`
        large += rows * choices * (6 * count**2 + 2.5 * nodes * count**2 + nodes * count * rows * choices / 2)
        large += (rows * choices) ** 3 / (3 * outputs)
    return outputs * (large / _LARGE + small / _SMALL)
