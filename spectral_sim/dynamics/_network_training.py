"""Real training of a network: an optimiser, mini-batches, and weights that see the network itself."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from .._checks import check_scalar, check_whole, is_concrete
from .._types import Array, Float, Int, PerRefresh, PerWeight, PRNGKeyArray, PyTree
from ..numerics import repeat
from ..problems import NetworkProblem
from ._base import AbstractDynamics, require
from ._descent import AbstractNetworkDescent, diverged, stable_rate
from ._pool_draws import check_draw, draw_law, draw_table, key_of_step
from ._sgd_settings import Setting, no_steps


class NetworkState(eqx.Module):
    """A network in training.

    Arguments:
        params: its parameters.
        optimizer: state of the optimiser.
        outputs: its outputs on the training set, shape (examples, outputs).
        eval_outputs: those on the evaluation set, shape (held_out, outputs), or None.
        start: training loss at step 0, scalar.
        steps: steps taken, scalar.
    """

    params: PyTree
    optimizer: PyTree
    outputs: Float[Array, "examples outputs"]
    eval_outputs: Float[Array, "held_out outputs"] | None
    start: Float[Array, ""]
    steps: Int[Array, ""]


class NetworkTraining(AbstractNetworkDescent):
    """Training of a `NetworkProblem` by an optimiser, step for step, on mini-batches or on the whole set.

    The refresh grid counts steps. Intrinsic time, which stages such as `lag` are given in, is the sum of learning
    rates; for an optax optimiser it is how far a parameter moves under a gradient of one: rate / (1 - momentum) a step.

    Weights w with base mass p are used by one of the laws of `PoolTraining`: "sampled" draws examples from p w;
    "weighted" draws them from p and multiplies their losses by w. Batches are drawn with replacement. On the whole set
    (batch_size None) the two are one, nothing is random, and no key is needed.

    Many seeds at once are a batch over keys. Derivatives are taken at the draws, as in `PoolTraining`.

    Arguments:
        optimizer: an optax optimiser; or the learning rate of plain gradient descent, which is a differentiable leaf: a
            number, a `PerRefresh` table, an array with one number for each step, or a function of the step.
        batch_size: examples in a batch, a whole number, or None for the whole set.
        draw: "sampled" or "weighted" (or "corrected"; see `PoolMoments`).
        max_steps: the most steps that an interval may take.

    Attributes:
        learning_rate: of plain gradient descent, as given; None where `optimizer` is one of optax.

    Raises:
        TypeError: an optimiser that is none.
        ValueError: an unknown law, a negative learning rate, or a batch or a number of steps that is no whole number.
    """

    learning_rate: Setting
    optimizer: optax.GradientTransformation | None = eqx.field(static=True)
    batch_size: int | None = eqx.field(static=True)
    draw: str = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)

    def __init__(self, optimizer: Any, *, batch_size: int | None = None, draw: str = "sampled", max_steps: int = 1023):
        own = isinstance(optimizer, optax.GradientTransformation)
        self._take(0.0 if own else optimizer, max_steps)
        if own:
            self.learning_rate = None
        self.optimizer = optimizer if own else None
        if batch_size is not None:
            check_whole("batch_size", batch_size, "it shapes the arrays; None trains on the whole set")
        check_draw(draw)
        self.batch_size = None if batch_size is None else int(batch_size)
        self.draw = draw

    @property
    def needs_key(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether batches are drawn."""
        return self.batch_size is not None

    def saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """What a file keeps: options, and the learning rate.

        Raises:
            ValueError: the optimiser, or the learning rate, is a function.
        """
        if self.optimizer is not None or callable(self.learning_rate):
            raise ValueError(
                "NetworkTraining with an optax optimiser or a function of the step cannot be saved, since a file holds "
                "no code: save what it is made from yourself, or train at a number or a table of rates."
            )
        table = isinstance(self.learning_rate, PerRefresh)
        rate = self.learning_rate.by_refresh() if isinstance(self.learning_rate, PerRefresh) else self.learning_rate
        options = {"batch_size": self.batch_size, "draw": self.draw, "max_steps": self.max_steps, "table": table}
        return options, {"learning_rate": rate}

    @classmethod
    def from_saved(cls, options: dict[str, Any], arrays: dict[str, Any]) -> "NetworkTraining":
        """The dynamics that `saved` describes.

        Arguments:
            options: by name, what is no array.
            arrays: by name.
        """
        rate = jnp.asarray(arrays["learning_rate"])
        own = {name: value for name, value in options.items() if name != "table"}
        return cls(PerRefresh(rate) if options["table"] else rate, **own)

    def on_steps(self, steps: Any) -> tuple["AbstractDynamics", Float[Array, "intervals"]]:
        if self.optimizer is None:
            return super().on_steps(steps)
        if not is_concrete(steps):
            raise ValueError(
                "the refresh grid is traced: close over it, a constant of the run, for an optax optimiser."
            )
        moved = np.concatenate([[0.0], np.cumsum(step_lengths(self.optimizer, int(steps[-1])))])
        return self, np.diff(moved[np.asarray(steps)])  # pyright: ignore[reportReturnType] - constants of the run

    def init(self, problem: Any) -> PyTree:
        require(problem, NetworkProblem, self)
        outputs, held_out = _outputs(problem, problem.params)
        start = problem.training_loss(problem.energy(outputs))
        memory = (self.optimizer or optax.sgd(0.0)).init(problem.params)  # that of gradient descent is empty
        return NetworkState(problem.params, memory, outputs, held_out, start, no_steps())

    def advance(
        self, problem: Any, state: PyTree, weights: PerWeight, duration: Array, key: PRNGKeyArray | None
    ) -> PyTree:
        law, factor = draw_law(self.draw, problem, weights)
        if self.batch_size is None:
            gradient = _on_all(problem, law * factor)
        else:
            gradient = _drawn(problem, law, factor, self.batch_size, key)
        optimizer = self.optimizer
        if optimizer is None:
            check_scalar("learning_rate", self.learning_rate)
            optimizer = optax.sgd(self.learning_rate)

        def one_step(carry):
            params, memory, index = carry
            move, memory = optimizer.update(gradient(params, index), memory, params)
            return optax.apply_updates(params, move), memory, index + 1

        count = jnp.minimum(duration, self.max_steps).astype(jnp.int32)
        start = state.params, state.optimizer, jnp.zeros((), jnp.int32)
        params, memory, _ = repeat(one_step, start, count, self.max_steps)
        return NetworkState(params, memory, *_outputs(problem, params), state.start, state.steps + duration)

    def verify(self, problem: Any, before: PyTree, after: PyTree, weights: PerWeight) -> Sequence[tuple[Array, Any]]:
        law, factor = draw_law(self.draw, problem, weights)
        return diverged(problem, after, lambda: stable_rate(problem, law * factor))


def _outputs(problem: NetworkProblem, params: PyTree) -> tuple[Array, Array | None]:
    """What the network returns on the training set and on the evaluation set."""
    held_out = None if problem.eval_inputs is None else problem.outputs(params, problem.eval_inputs)
    return problem.outputs(params, problem.inputs), held_out


def _on_all(problem: NetworkProblem, law: Array) -> Callable[[PyTree, Array], PyTree]:
    """(params, index) -> gradient of the weighted loss of the whole set."""

    def loss(params):
        return jnp.sum(law * problem.example_losses(problem.outputs(params, problem.inputs), problem.targets))

    return lambda params, index: jax.grad(loss)(params)


def _drawn(
    problem: NetworkProblem, law: Array, factor: Array, batch: int, key: Array | None
) -> Callable[[PyTree, Array], PyTree]:
    """(params, index) -> gradient of the loss of a batch, another one for each index."""
    if key is None:
        raise ValueError("NetworkTraining draws mini-batches: pass a key.")
    table, draw_key = draw_table(jax.lax.stop_gradient(law)), key_of_step(key)

    def loss(params, drawn):
        losses = problem.example_losses(problem.outputs(params, problem.inputs[drawn]), problem.targets[drawn])
        return jnp.sum(factor[drawn] * losses) / batch

    return lambda params, index: jax.grad(loss)(params, table.draw(draw_key(index), batch))


def step_lengths(optimizer: optax.GradientTransformation, steps: int) -> Float[np.ndarray, "steps"]:
    """Compute how far each of the first steps moves a parameter whose gradient is one throughout.

    For gradient descent that is the learning rate; momentum makes it grow to rate / (1 - momentum).

    Arguments:
        optimizer: of optax.
        steps: how many.
    """
    with jax.ensure_compile_time_eval():
        return np.asarray(_moves(optimizer, steps, jnp.ones(())), np.float64)


def is_adaptive(optimizer: optax.GradientTransformation) -> bool:
    """Whether steps are no multiples of the gradients, as those of Adam.

    Arguments:
        optimizer: of optax.
    """
    with jax.ensure_compile_time_eval():
        one, two = (np.asarray(_moves(optimizer, 8, jnp.asarray(size))) for size in (1.0, 2.0))
    return not np.allclose(two, 2 * one, rtol=1e-3)


@eqx.filter_jit
def _moves(optimizer: Any, steps: int, gradient: Array) -> Array:
    def step(state, _):
        move, state = optimizer.update(gradient, state, jnp.zeros_like(gradient))
        return state, -move

    return jax.lax.scan(step, optimizer.init(jnp.zeros_like(gradient)), None, steps)[1]
