"""Real training of a network under several schedules beside its prediction by a kernel."""

import functools
import os
import warnings
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from .._checks import check_choice, check_steps, check_times, check_whole
from .._save import save_accuracy
from .._simulate import simulate
from .._simulate_many import simulate_many
from .._trajectory import Trajectory
from .._types import ArrayLike, PRNGKeyArray, PyTree
from ..dynamics import KernelTraining, NetworkTraining, Relinearised, is_adaptive, step_lengths
from ..problems import NetworkProblem
from ..schedules import AbstractStage, uniform
from ._example_scores import check_network
from ._linearise import linearise
from ._network_kernel import KERNELS, NetworkJacobian, gram
from ._training_comparison import Doubts, TrainingComparison
from ._training_scores import agreement, clock_factor, mean_agreement
from ._training_store import RunStore

PREDICTORS = ("warm", "initial", "checkpoints")
_CHECKPOINTS = (0.0, 0.05, 0.2, 0.5)  # shares of a run at which the kernel is taken anew
_SMALL = 1e-8  # added to root mean squares of gradients, as optimisers do
_SHOWN = 128  # examples on which kernels are compared


def compare_training(
    network: NetworkProblem,
    schedules: Mapping[str, AbstractStage],
    steps: ArrayLike,
    *,
    optimizer: Any,
    batch_size: int | None = None,
    predictor: str = "warm",
    warm_up: float = 0.05,
    seeds: int = 2,
    key: PRNGKeyArray,
    draw: str = "sampled",
    kernel: str = "trace",
    rank: int | None = None,
    store: str | os.PathLike[str] | None = None,
) -> TrainingComparison:
    """Train a network under several schedules for real, and predict the same from its kernel.

    One uniform run of reference gives the kernel. The prediction is `KernelTraining` on it, from the outputs of the
    network at the start on; it sees no mini-batches. Real runs are those of `NetworkTraining`, all schedules of a seed
    side by side.

    Momentum counts by the pace that it leads to. The steps of Adam and its kin are no multiples of the gradients: their
    kernel is taken in the units that the second moments of the reference run give to the parameters.

    Arguments:
        network: a network and its data.
        schedules: stages or chains by name; uniform training is added as "uniform" where none of them is it.
        steps: refresh grid of whole steps, shape (times,).
        optimizer: an optax optimiser, or the learning rate of plain gradient descent; see `NetworkTraining`.
        batch_size, draw: as for `NetworkTraining`.
        predictor: "warm": the kernel after `warm_up` of the run of reference. "initial": that of the network as it is.
            "checkpoints": the kernels after 0, 5, 20 and 50% of the run of reference, one after the other.
        warm_up: share of the steps after which the kernel is taken.
        seeds: how many real runs of each schedule there are, at least 2. They differ in their mini-batches.
        key: PRNG key.
        kernel: as for `linearise`. "full" predicts lazy networks better than "trace", at the price of a row for each
            output of each example.
        rank: the most features of the kernel; all if None.
        store: a folder in which real runs are kept, a file for each seed; what was killed goes on from there. None
            keeps nothing.

    Returns:
        A `TrainingComparison`.

    Raises:
        ValueError: an unknown predictor, fewer than two seeds or schedules, a share outside (0, 1), or as `simulate`
            and `linearise`.
        SimulationError: a run that failed or diverged; the message names the schedule, and the largest stable rate.
        SavedFileError: a store that belongs to another comparison, or is damaged.
    """
    schedules, baseline = _checked_schedules(network, schedules)
    grid = _checked_grid(steps)
    check_choice("predictor", predictor, PREDICTORS)
    check_choice("kernel", kernel, KERNELS)
    check_whole("seeds", seeds, "give the number of real runs of each schedule")
    if seeds < 2:
        raise ValueError(f"seeds is {seeds}: give at least 2, since a second run says what a prediction can reach.")
    if not 0 < warm_up < 1:
        raise ValueError(f"warm_up is {warm_up}: give a share of the run between 0 and 1.")
    real_dynamics = NetworkTraining(optimizer, batch_size=batch_size, draw=draw, max_steps=int(np.diff(grid).max()))
    # last, so that what is wrong with it is said before anything long begins
    runs = RunStore(store, (network, schedules, grid, real_dynamics, key))

    adaptive = isinstance(optimizer, optax.GradientTransformation) and is_adaptive(optimizer)
    reference = _Reference(network, grid, real_dynamics, jax.random.fold_in(key, 0), warm_up, predictor)
    prediction = reference.prediction(adaptive, kernel, rank)
    predicted = simulate_many(network, schedules, grid, dynamics=prediction, save=save_accuracy, key=key)

    def train(seed: int) -> Trajectory:
        own = jax.random.fold_in(key, seed)
        return simulate_many(network, schedules, grid, dynamics=real_dynamics, save=save_accuracy, key=own)

    shapes = functools.cache(lambda: eqx.filter_eval_shape(lambda: train(0)))
    real = []
    for seed in range(int(seeds)):
        run = runs.load(seed, shapes)
        if run is None:
            run = train(seed)
            runs.write(seed, run)
        real.append(run)
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *real)
    names = tuple(schedules)
    base = names.index(baseline)
    curves, told = np.asarray(together.loss, np.float64), np.asarray(predicted.loss, np.float64)
    scores = mean_agreement([agreement(told, each, grid, base) for each in curves])
    pairs = [] if batch_size is None else [(i, j) for i in range(len(curves)) for j in range(len(curves)) if i != j]
    ceiling = [agreement(curves[i], curves[j], grid, base) for i, j in pairs]
    train_loss = np.asarray(together.saved["train_loss"], np.float64)[0, base]
    pace = clock_factor(
        np.asarray(predicted.saved["train_loss"], np.float64)[base],
        train_loss,
        np.asarray(predicted.times[0], np.float64),
    )
    doubts = Doubts(reference.drift(), pace, float(np.log(train_loss[0] / train_loss[-1])), adaptive)
    return TrainingComparison(
        names,
        baseline,
        together,
        predicted,
        scores,
        mean_agreement(ceiling),
        doubts,
        network.measure,
        predictor,
    )


class _Reference:
    """One uniform run, of which the parameters at a few steps are kept."""

    def __init__(
        self,
        network: NetworkProblem,
        grid: np.ndarray,
        dynamics: NetworkTraining,
        key: PRNGKeyArray,
        warm_up: float,
        predictor: str,
    ):
        last = int(grid[-1])
        shares = {"initial": (0.0,), "warm": (warm_up,), "checkpoints": _CHECKPOINTS}[predictor]
        self.starts = sorted({min(last - 1, round(share * last)) for share in shares})
        self.network, self.dynamics = network, dynamics
        self._warm = max(1, min(last, round(warm_up * last)))
        kept = np.unique([0, self._warm, *self.starts, last])
        long = NetworkTraining(
            dynamics.learning_rate if dynamics.optimizer is None else dynamics.optimizer,
            batch_size=dynamics.batch_size,
            draw=dynamics.draw,
            max_steps=int(np.diff(kept).max()),
        )
        save = lambda observation, weights: (observation.state.params, observation.state.optimizer)
        saved = simulate(network, uniform(), kept, dynamics=long, save=save, key=key).saved
        self._at = {int(step): jax.tree.map(lambda x, n=n: x[n], saved) for n, step in enumerate(kept)}

    def prediction(self, adaptive: bool, kernel: str, rank: int | None) -> KernelTraining | Relinearised:
        """The dynamics that predicts, with kernels of this run."""
        rate, steps = self.dynamics.learning_rate, int(np.diff([0, max(self._at)])[0])
        if self.dynamics.optimizer is not None:
            rate = step_lengths(self.dynamics.optimizer, steps)
        longest = self.dynamics.max_steps
        kernels = []
        for start in self.starts:
            params = self._at[start][0]
            scale = self._scale(start or self._warm) if adaptive else None  # there are no moments at the start
            kernels.append(linearise(self.network, params, kernel=kernel, rank=rank, scale=scale))
        if len(kernels) == 1:
            return KernelTraining(kernels[0], rate, max_steps=longest)
        return Relinearised(kernels, (0, *self.starts[1:]), rate, max_steps=longest)

    def drift(self) -> float:
        """1 - cosine between the kernel that predicts and that of the end, on some examples."""
        first, last = (self._some(self._at[step][0]) for step in (self.starts[-1], max(self._at)))
        return float(1 - np.sum(first * last) / np.sqrt(np.sum(first**2) * np.sum(last**2)))

    def _some(self, params: PyTree) -> np.ndarray:
        jacobian = NetworkJacobian(self.network, params, jax.tree.map(lambda _: None, params), None, False)
        return gram(jacobian, self.network.inputs[:_SHOWN]).astype(np.float64)

    def _scale(self, step: int) -> PyTree | None:
        """By what an adaptive optimiser multiplies gradients, relative to gradients of one; None if it is not known."""
        moments = _second_moments(self._at[step][1])
        if moments is None:
            warnings.warn(
                "the steps of this optimiser are no multiples of the gradients, and it keeps no second moments that "
                "would say what else they are: the prediction takes them for steps of gradient descent.",
                stacklevel=4,
            )
            return None
        # moments start from zero: those of a gradient that is one throughout say how far they have come
        ones = _second_moments(_memory_of_ones(self.dynamics.optimizer, step))
        return jax.tree.map(lambda x: 1 / (jnp.sqrt(x / ones) + _SMALL), moments)


def _second_moments(memory: PyTree) -> PyTree | None:
    """The running means of squared gradients in the state of an optimiser of optax."""
    holds = lambda node: hasattr(node, "nu")
    found = [node.nu for node in jax.tree.leaves(memory, is_leaf=holds) if holds(node)]
    return found[0] if found else None


def _memory_of_ones(optimizer: Any, steps: int) -> PyTree:
    one = jnp.ones(())
    step = lambda _, state: optimizer.update(one, state, one)[1]
    return jax.lax.fori_loop(0, steps, step, optimizer.init(one))


def _checked_schedules(
    network: NetworkProblem, schedules: Mapping[str, AbstractStage]
) -> tuple[dict[str, AbstractStage], str]:
    """The schedules with uniform training among them, and its name."""
    check_network(network)
    if not isinstance(schedules, Mapping) or not schedules:
        raise ValueError(f"schedules is {schedules!r}: give a dict of at least one schedule by its name.")
    for name, schedule in schedules.items():
        if not isinstance(schedule, AbstractStage):
            raise TypeError(f"schedules[{name!r}] is {schedule!r}: give a stage or a chain of stages.")
    plain = [name for name, schedule in schedules.items() if not schedule.curates]
    if plain:
        found = dict(schedules)
    elif "uniform" in schedules:
        raise ValueError("schedules['uniform'] curates: give it another name, which uniform training has here.")
    else:
        found = {"uniform": uniform(), **schedules}
    if len(found) < 2:
        raise ValueError("schedules holds uniform training alone: give at least one other to compare it with.")
    return found, plain[0] if plain else "uniform"


def _checked_grid(steps: ArrayLike) -> np.ndarray:
    check_times(steps)
    check_steps(steps, 2**31 - 1)
    return np.asarray(steps).astype(np.int64)
