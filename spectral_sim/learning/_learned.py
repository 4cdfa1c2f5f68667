"""The outcome of a search, and its files."""

import os
import warnings
from collections.abc import Sequence

import equinox as eqx
import numpy as np

from .._files import SavedFileError
from .._schema import array, either, integer, items, nothing, record, text
from .._shown import Line, Shown, View, digits
from .._types import ArrayLike, Float
from ..bounds import Certificate
from ..bounds._certificate_saved import certificate_facts, described, rebuilt
from ..dynamics import AbstractDynamics
from ..problems import AbstractProblem
from ..schedules import AbstractStage, stage_name, stages_of
from ._gap import Gap
from ._sampler import SamplerWeights
from ._saved import SavedSchedule, real

_SMALL_SAMPLE = 0.2  # of the data: fewer draws repeat a few examples, and a measured gain may not carry over
_GAP = record(
    value=real,
    uniform=real,
    optimum=either(nothing(), real),
    kind=either(nothing(), text()),
    valid_until=real,
)
_FACTS = {
    "value": real,
    "best_start": integer(low=0),
    "steps": integer(low=0),
    "gap": items(_GAP),
    "last": items(real, least=1),
}
_OPTIONAL = {"certificate": certificate_facts}
_SAMPLER = {"times": (None,), "weights": (None, None), "mass": (None,)}


class Learned(Shown, eqx.Module):
    """The outcome of a search.

    Arguments:
        schedule: the best schedule found.
        dynamics: the dynamics that it was found for, with what was learned of it; None for the default of the problem.
        value: its objective; on several problems the worst, the worst gap or the mean, as was asked for.
        history: objective of every start before each step, shape (steps, starts); NaN once a start has failed.
        failed_at: step at which a start's gradient became non-finite, -1 for the others, shape (starts,).
        best_start: which start the schedule came from.
        gap: how far from the optimum, or what certifies it; see `Gap`. One for each problem.
        steps: how many steps were done.
        samplers: the weights that the schedule asks for at each refresh. One for each problem.
        certificate: the proof of what no schedule can beat that the search began at, if it did.
    """

    schedule: AbstractStage
    dynamics: AbstractDynamics | None
    value: float
    history: np.ndarray
    failed_at: np.ndarray
    best_start: int
    gap: tuple[Gap, ...]
    steps: int
    samplers: tuple[SamplerWeights, ...]
    certificate: Certificate | None = None

    @property
    def effective_sample_size(self) -> tuple[Float[np.ndarray, "times"], ...]:
        """How many examples (or modes) the draws of each refresh are worth, 1 / sum_i q_i^2. One for each problem."""
        return tuple(_sample_size(sampler.mass * sampler.weights) for sampler in self.samplers)

    def sampler_weights(self, times: ArrayLike | None = None, *, problem: int = 0) -> SamplerWeights:
        """Weights per example for a data loader, with a `save` to .npz or .parquet.

        Arguments:
            times: when they are wanted, shape (times,), within the run; the refreshes if None.
            problem: which problem, where the search was over several.
        """
        found = self.samplers[problem]
        return found if times is None else found.at(times)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to `path` (JSON) and the `.npz` file beside it, for `load_learned`.

        Arguments:
            path: ending in .json.

        Raises:
            ValueError: a suffix other than .json, or a stage or dynamics that cannot be saved.
        """
        facts = {
            "value": self.value,
            "best_start": self.best_start,
            "steps": self.steps,
            "gap": [vars(gap) for gap in self.gap],
            "last": [sampler.last for sampler in self.samplers],
        }
        arrays = {"history": self.history, "failed_at": self.failed_at}
        for n, sampler in enumerate(self.samplers):
            arrays |= {f"sampler{n}.{name}": getattr(sampler, name) for name in _SAMPLER}
        if self.certificate is not None:
            facts["certificate"], more = described(self.certificate)
            arrays |= more
        SavedSchedule(path, "learned", _FACTS, _OPTIONAL).write(facts, self.schedule, arrays, self.dynamics)

    def _view(self) -> View:
        first, sampler = self.gap[0], self.samplers[0]
        best = np.fmin.accumulate(np.fmin.reduce(self.history, axis=1))
        bound = "no bound is known" if first.gap is None else f"{digits(first.gap)} above the bound ({first.kind})"
        facts = {
            "schedule": " -> ".join(stage_name(stage) for stage in stages_of(self.schedule)),
            "objective": f"{digits(self.value)}, uniform {digits(first.uniform)}; {bound}",
            "search": f"{self.steps} steps, {self.history.shape[1]} starts, best start {self.best_start}",
            "effective sample size": f"at least {digits(min(size.min() for size in self.effective_sample_size))}",
        }
        arrays = {
            "history": (("steps", "starts"), self.history, "objective of every start before each step"),
            "failed_at": (("starts",), self.failed_at, "step at which a start failed, -1 for the others"),
            "weights": (("times", "weights_of"), sampler.weights, "density ratios from each refresh on"),
            "mass": (("weights_of",), sampler.mass, "base mass"),
        }

        def lines() -> list[Line]:
            steps = np.arange(len(best))
            drawn = [Line("best so far", steps, best)]
            for name, level in (("uniform", first.uniform), (first.kind, first.optimum)):
                if name is not None and level is not None:
                    drawn.append(Line(name, steps[[0, -1]], np.full(2, level)))
            return drawn

        return View(facts, arrays, {"times": sampler.times}, lines, ("step", "objective"), (False, False))


def load_learned(path: str | os.PathLike[str]) -> Learned:
    """Read what `Learned.save` wrote, exactly.

    Arguments:
        path: the .json file; its arrays are looked for beside it.

    Raises:
        FileNotFoundError: either file is missing.
        SavedFileError: files of another version, damaged files, files that do not belong together, or a class that is
            not registered.
    """
    file = SavedSchedule(path, "learned", _FACTS, _OPTIONAL)
    facts, schedule, arrays, dynamics = file.read()
    take = lambda name, kinds, shape: file.checked(lambda: array(kinds, shape=shape)(arrays.get(name), name))
    samplers = []
    for n, last in enumerate(facts["last"]):
        times, weights, mass = (take(f"sampler{n}.{name}", "f", shape) for name, shape in _SAMPLER.items())
        if weights.shape != (len(times), len(mass)):
            raise SavedFileError(f"{str(path)!r}: sampler{n}.weights has shape {weights.shape}. {file.fix}")
        samplers.append(SamplerWeights(times, weights, mass, float(last)))
    history = take("history", "f", (facts["steps"], None))
    failed_at = take("failed_at", "i", history.shape[1:])
    gaps = tuple(Gap(**gap) for gap in facts["gap"])
    value, best, steps = facts["value"], facts["best_start"], facts["steps"]
    told = facts.get("certificate")
    proof = None if told is None else file.checked(lambda: rebuilt(told, arrays))
    return Learned(schedule, dynamics, value, history, failed_at, best, gaps, steps, tuple(samplers), proof)


def warn_of_small_samples(learned: Learned, problems: Sequence[AbstractProblem]) -> None:
    """Warn where the weights leave less than a fifth of the examples of a problem."""
    for n, (problem, sampler) in enumerate(zip(problems, learned.samplers, strict=True)):
        if problem.num_examples is None:
            continue
        sizes, whole = learned.effective_sample_size[n], float(_sample_size(sampler.mass[None])[0])
        worst = int(np.argmin(sizes))
        if sizes[worst] < _SMALL_SAMPLE * whole:
            where = f" on problem {n}" if len(problems) > 1 else ""
            warnings.warn(
                f"the learned weights have an effective sample size of {sizes[worst]:.3g} of {whole:.3g} at "
                f"t = {sampler.times[worst]:.3g}{where}: they draw a few examples again and again. Learn under a cap, "
                "with learning.penalised(sample_size=...), or on a validation loss.",
                stacklevel=3,
            )


def _sample_size(drawn: Float[np.ndarray, "times examples"]) -> Float[np.ndarray, "times"]:
    drawn = np.asarray(drawn, np.float64)
    return drawn.sum(axis=1) ** 2 / (drawn**2).sum(axis=1)
