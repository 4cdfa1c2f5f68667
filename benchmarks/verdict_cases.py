"""Problems whose right verdict is known, and what is to be said of each; see verdicts.py.

Each case draws rows of a population in which the answer is known by construction. Features are used as they are, so
that gradient flow in them is all there is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import spectral_sim as ss
from spectral_sim.assessment import Assessment, Entry, run_assessment
from spectral_sim.cli._data import LearningTask
from spectral_sim.cli._features import Features
from spectral_sim.cli._part import Part, data_part, first_task
from spectral_sim.cli._splits import DataSplits
from spectral_sim.problems import Dataset

__all__ = ["CASES", "Case", "Rows", "assess", "part_of", "population_curves"]

NUM_TIMES = 28


@dataclass(frozen=True)
class Rows:
    """Rows of a population: features, targets, and what a schedule may know of each."""

    features: np.ndarray
    targets: np.ndarray
    known: np.ndarray


Draw = Callable[[np.random.Generator, int], Rows]


@dataclass(frozen=True)
class Case:
    """A problem with a known answer.

    Arguments:
        name: of the problem.
        answer: why it is known, in words.
        draw: rows to train on.
        entries: schedules by the task, what is known of its rows, and the time that an epoch takes.
        claims: what may be claimed.
        picked: schedules that may be picked; any if empty.
        says: words of the verdict, of which one must be there; none if empty.
        num: rows, a quarter of them held out.
        held_out: draws the held-out rows, where they come from elsewhere.
        examples: rows that there are to score, where more than are drawn.
        last: last time, in units of 1 / (largest eigenvalue).
        splits: of the data.
    """

    name: str
    answer: str
    draw: Draw
    entries: Callable[[LearningTask, np.ndarray, float], list[Entry]]
    claims: frozenset[str]
    picked: frozenset[str] = frozenset()
    says: tuple[str, ...] = ()
    num: int = 400
    held_out: Draw | None = None
    examples: int | None = None
    last: float = 60.0
    splits: int = 5
    options: dict[str, Any] = field(default_factory=dict)


def part_of(case: Case, seed: int, num: int | None = None, num_held_out: int | None = None) -> Part:
    """The comparison that `spectral-sim assess` would make of rows drawn with a seed."""
    rng = np.random.default_rng((seed, len(case.name)))
    num = case.num if num is None else num
    held_out = num // 4 if num_held_out is None else num_held_out
    train = case.draw(rng, num - num // 4)
    test = (case.held_out or case.draw)(rng, held_out)
    data = Dataset(
        name=case.name,
        inputs=train.features,
        targets=train.targets,
        target_names=("y",),
        task="regression",
        groups=train.known,
        group_names=tuple(str(k) for k in range(int(train.known.max()) + 1)),
        eval_inputs=test.features,
        eval_targets=test.targets,
        description="",
        rows=np.arange(len(train.features)),
        eval_rows=len(train.features) + np.arange(held_out),
        eval_groups=test.known,
        inputs_are="features",
    )
    how = "random" if case.held_out is None else "fixed"
    splits = DataSplits(data, how, lambda own: data, case.splits, 10**6, seed)
    made: dict[str, Any] = {"precision": "float64", "batch_size": 32}
    first = first_task(splits, Features(), **made)
    if case.examples is not None:  # the price of scoring goes by how many rows there are
        made_first = {**made, "examples": case.examples, "seed": seed, "picking": first.picking is not None}
        first = _repriced(splits, case.examples, made_first)
    scale = _largest_eigenvalue(case)
    times = ss.log_times(0.002 * case.last / scale, case.last / scale, NUM_TIMES)

    def entries(task: LearningTask) -> list[Entry]:
        count = task.problem.num_examples
        known = np.zeros(count)
        known[: len(task.data.groups)] = task.data.groups[:count] if task.data.groups is not None else 0
        return [Entry("uniform", ss.uniform()), *case.entries(task, known, first.epoch)]

    return data_part(case.name, splits, Features(), task=first, entries=entries, times=times, title=case.name, **made)


def _largest_eigenvalue(case: Case) -> float:
    """Of the population, about; the same for all seeds, so that all have the same times."""
    rows = case.draw(np.random.default_rng(0), 20_000).features
    return float(np.linalg.eigvalsh(rows.T @ rows / len(rows))[-1])


def _repriced(splits: DataSplits, examples: int, options: dict[str, Any]) -> LearningTask:
    from spectral_sim.cli._data import learning_task

    data = splits.dataset(0)
    picking = splits.picking(data) if options.pop("picking") else None
    return learning_task(data, Features(), **options | {"picking": picking})


def assess(part: Part, seed: int) -> Assessment:
    """Run a comparison."""
    return run_assessment(
        part.name,
        part.problem,
        part.entries,
        part.times,
        cost=part.cost,
        seed=seed,
        picking=part.picking,
        more_splits=part.more_splits,
        overlap=part.overlap,
        steps=part.steps,
    )


def population_curves(case: Case, repeats: int, num_held_out: int) -> dict[str, np.ndarray]:
    """Mean loss over training sets and fresh rows, by schedule, on the times of the case."""
    total: dict[str, np.ndarray] = {}
    for number in range(repeats):
        part = part_of(case, 10_000 + number, num_held_out=num_held_out)
        part.more_splits = ()
        for run in assess(part, number).runs:
            total[run.name] = total.get(run.name, 0) + run.loss / repeats
    return total


def _gaussian(rng: np.random.Generator, count: int, spread: np.ndarray) -> np.ndarray:
    return rng.normal(size=(count, len(spread))) * spread


_DIMENSIONS = 8
_FLAT = np.ones(_DIMENSIONS)
_STEEP = np.arange(1.0, _DIMENSIONS + 1) ** -1.0
_TARGET = np.array([1.0, -0.8, 0.9, -0.7, 0.8, 0.6, -0.9, 0.7])


def _plain(rng: np.random.Generator, count: int, noise: float = 0.5, spread: np.ndarray = _FLAT) -> Rows:
    x = _gaussian(rng, count, spread)
    return Rows(x, (x @ _TARGET + noise * rng.normal(size=count))[:, None], rng.integers(0, 2, count))


def _two_parts(rng: np.random.Generator, count: int, share: float, noise: float = 0.2) -> Rows:
    """A common part that lives in half of the features, and a rare one that lives in the other half."""
    rare = rng.random(count) < share
    x = _gaussian(rng, count, _FLAT)
    half = _DIMENSIONS // 2
    x[rare, :half] = 0
    x[~rare, half:] = 0
    return Rows(x, (x @ _TARGET + noise * rng.normal(size=count))[:, None], rare.astype(int))


def _wrong_labels(rng: np.random.Generator, count: int, share: float) -> Rows:
    rows = _plain(rng, count, 0.2)
    wrong = rng.random(count) < share
    targets = np.where(wrong[:, None], -1.0 * rows.targets, rows.targets)
    return Rows(rows.features, targets, wrong.astype(int))


def _domains(rng: np.random.Generator, count: int, share: float) -> Rows:
    """Two domains whose targets differ in one feature; the second one is `share` of the rows."""
    second = rng.random(count) < share
    x = _gaussian(rng, count, _FLAT)
    other = _TARGET * np.array([1, 1, 1, 1, 1, 1, 1, -1])
    y = np.where(second, x @ other, x @ _TARGET) + 0.2 * rng.normal(size=count)
    return Rows(x, y[:, None], second.astype(int))


def _copies(rng: np.random.Generator, count: int) -> Rows:
    """Seven tenths of the rows lie on one line; the others are spread out."""
    copied = rng.random(count) < 0.7
    x = _gaussian(rng, count, _FLAT)
    x[copied] = rng.normal(size=(int(copied.sum()), 1)) * np.eye(_DIMENSIONS)[0] * 2
    return Rows(x, (x @ _TARGET + 0.2 * rng.normal(size=count))[:, None], copied.astype(int))


def _lengths(rng: np.random.Generator, count: int) -> Rows:
    """Half of the rows are three times as long as the others."""
    long = rng.random(count) < 0.5
    x = _gaussian(rng, count, _FLAT) * np.where(long, 3.0, 1.0)[:, None]
    return Rows(x, (x @ _TARGET + 0.3 * rng.normal(size=count))[:, None], long.astype(int))


def _by_known(name: str, first: float, second: float) -> Callable[[LearningTask, np.ndarray, float], list[Entry]]:
    """Fixed weights by what is known of each row."""
    return lambda task, known, epoch: [Entry(name, ss.static_weights(np.where(known > 0, second, first)))]


def _looking(name: str, price: float) -> Callable[[LearningTask, np.ndarray, float], list[Entry]]:
    """Both parts by their present loss, where each look takes the compute of so many epochs."""
    rule = ss.chain(ss.proportional(1.0), ss.clip(0.1, 10.0))

    def entries(task: LearningTask, known: np.ndarray, epoch: float) -> list[Entry]:
        parts = task.problem.with_groups(known.astype(int))
        return [Entry(name, ss.chain(ss.stale(epoch / 10), rule), parts, cost=price * epoch)]

    return entries


_NO, _YES, _OPEN = frozenset({"nothing", "unsure"}), frozenset({"pays"}), frozenset({"unsaid"})

CASES = {
    case.name: case
    for case in (
        Case(
            "nothing to gain",
            "isotropic rows, all alike: weights can only lose",
            _plain,
            _by_known("half of the rows", 1.6, 0.4),
            _NO,
        ),
        Case("the same weights", "weights of one are uniform", _plain, _by_known("ones", 1.0, 1.0), _NO),
        Case(
            "a rare part",
            "a tenth of the rows hold half of the target in features of their own",
            lambda rng, count: _two_parts(rng, count, 0.1),
            _by_known("rare part more often", 0.6, 4.6),
            _YES,
            num=800,
            last=150.0,
        ),
        Case(
            "gain that is too dear",
            "as before, where each look takes the compute of forty epochs",
            lambda rng, count: _two_parts(rng, count, 0.1),
            _looking("parts by loss", 40.0),
            _NO,
            says=("Before costs",),
            num=800,
            last=150.0,
        ),
        Case(
            "a rule that follows the loss, too dear",
            "a hundred times as many rows to score as are trained on",
            lambda rng, count: _two_parts(rng, count, 0.1),
            lambda task, known, epoch: [Entry("loss-proportional", ss.proportional(2.0))],
            _NO,
            num=800,
            examples=80_000,
            last=150.0,
        ),
        Case(
            "gain only late",
            "a thirtieth of the rows has features of its own: they are all that is left late, and nothing early",
            lambda rng, count: _two_parts(rng, count, 0.03),
            _by_known("rare part more often", 0.25, 25.25),
            _YES,
            says=("The gain is a late one",),
            num=1600,
            last=600.0,
        ),
        Case(
            "harmful",
            "rows whose labels are wrong are drawn more often",
            lambda rng, count: _wrong_labels(rng, count, 0.2),
            _by_known("wrong labels more often", 0.5, 3.0),
            _NO,
            says=("Slower than uniform",),
            held_out=lambda rng, count: _wrong_labels(rng, count, 0.0),
        ),
        Case(
            "wrong labels",
            "three tenths of the labels are wrong, known, and left out",
            lambda rng, count: _wrong_labels(rng, count, 0.3),
            _by_known("wrong labels left out", 1.0, 0.0),
            _YES,
            says=("below uniform's",),
            held_out=lambda rng, count: _wrong_labels(rng, count, 0.0),
        ),
        Case(
            "shift",
            "a fifth of the rows are of the domain that counts",
            lambda rng, count: _domains(rng, count, 0.2),
            _by_known("the domain that counts more often", 0.3, 3.8),
            _YES,
            says=("below uniform's",),
            num=800,
            held_out=lambda rng, count: _domains(rng, count, 1.0),
        ),
        Case(
            "shift the wrong way",
            "the domain that does not count is drawn more often",
            lambda rng, count: _domains(rng, count, 0.2),
            _by_known("the other domain more often", 1.2, 0.2),
            _NO,
            num=800,
            held_out=lambda rng, count: _domains(rng, count, 1.0),
        ),
        Case(
            "duplicates",
            "seven tenths of the rows repeat one direction",
            _copies,
            _by_known("repeats less often", 2.6, 0.3),
            _YES,
            num=800,
            last=200.0,
        ),
        Case(
            "tiny",
            "ten held-out rows",
            _plain,
            _by_known("half of the rows", 1.6, 0.4),
            _OPEN,
            says=("at least 30 are needed",),
            num=40,
        ),
        Case(
            "one split",
            "without a second split there is no interval",
            _plain,
            _by_known("half of the rows", 1.6, 0.4),
            _OPEN,
            splits=1,
        ),
        Case(
            "larger features",
            "half of the rows are three times as long, which a larger learning rate would do as well",
            _lengths,
            _by_known("longer rows more often", 0.2, 1.8),
            _YES,
            says=("Part of this is scale",),
            num=800,
        ),
    )
}
