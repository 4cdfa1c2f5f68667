"""A user's network and data: weights act on examples, and nothing is linear."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_choice, check_length, check_mass, check_ndim
from .._types import Array, ArrayLike, Float, PerWeight, PyTree
from ._examples import AbstractExampleProblem
from ._network_checks import check_apply, check_params, check_rows, checked_targets

if TYPE_CHECKING:
    from ..dynamics import AbstractDynamics

LOSSES = ("squared", "cross_entropy")
_BLOCK_BYTES = 2**28  # of Jacobian rows that are held at once


class NetworkProblem(AbstractExampleProblem):
    """A network on a data set, to be trained under weights on its examples, for real or as its linearisation.

    The network is a function of its parameters. An equinox model is parted into its arrays and the rest:

        params, rest = eqx.partition(model, eqx.is_inexact_array)
        apply = lambda params, inputs: jax.vmap(eqx.combine(params, rest))(inputs)

    and a flax model is `model.apply` as it is. Each output has to depend on its own example alone: layers such as batch
    norm and dropout run in inference mode.

    The loss of an example is 1/2 |y - f(x)|^2, or the cross-entropy of softmax f(x). Its *energy* is twice that loss,
    so that half of the mean energy is the loss here as on every other problem. Losses are measured on the evaluation
    set where one is given.

    `NetworkTraining` trains it, `KernelTraining` predicts that training from its kernel, and `fitting.linearise` makes
    a data problem of it.

    Arguments:
        apply: apply(params, inputs) -> outputs of shape (examples, outputs), or (examples,) for a single one.
        params: pytree of floating-point arrays, where training starts. They are computed with in one dtype.
        inputs: array with a leading axis of examples.
        targets: for the squared loss shape (examples, outputs) or (examples,); for the cross-entropy classes as whole
            numbers, shape (examples,), or probabilities of them, shape (examples, outputs).
        eval_inputs, eval_targets: the same of held-out examples; both or neither.
        loss: "squared" or "cross_entropy".
        mass: base mass of examples, shape (examples,), scaled to sum to 1; equal if None.
        groups: group number of each example, shape (examples,), whole numbers from 0. With it weights are per group.

    Attributes:
        example_mass: base mass of examples, positive and with sum 1, shape (examples,).
        num_groups: how many groups there are; None where weights are per example.

    Raises:
        TypeError: parameters that are no arrays, or outputs that are none.
        ValueError: outputs whose shape is not that of the targets, parameters of whole numbers or NaN, a network whose
            outputs depend on the rest of the batch or change from call to call, bad data, mass or groups.
    """

    apply: Callable[[PyTree, Array], Array] = eqx.field(static=True)
    params: PyTree
    inputs: Array
    targets: Float[Array, "examples outputs"]
    eval_inputs: Array | None
    loss: str = eqx.field(static=True)

    def __init__(
        self,
        apply: Callable[[PyTree, Array], Array],
        params: PyTree,
        inputs: ArrayLike,
        targets: ArrayLike,
        *,
        eval_inputs: ArrayLike | None = None,
        eval_targets: ArrayLike | None = None,
        loss: str = "squared",
        mass: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ):
        check_choice("loss", loss, LOSSES)
        self.loss = loss
        dtype = check_params(params)
        self.params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params)
        self.inputs = check_rows("inputs", inputs, dtype)
        examples = self.inputs.shape[0]
        if (eval_inputs is None) != (eval_targets is None):
            raise ValueError("eval_inputs and eval_targets go together: give both, or neither.")
        self.eval_inputs = None if eval_inputs is None else check_rows("eval_inputs", eval_inputs, dtype)
        if self.eval_inputs is not None and self.eval_inputs.shape[1:] != self.inputs.shape[1:]:
            raise ValueError(
                f"eval_inputs has shape {self.eval_inputs.shape}, and an example of inputs {self.inputs.shape[1:]}: "
                "give examples of one shape."
            )
        width = check_apply(apply, self.params, self.inputs)
        self.apply = apply
        self.targets = checked_targets("targets", targets, examples, width, loss, dtype)
        held_out = None
        if self.eval_inputs is not None:
            rows = self.eval_inputs.shape[0]
            held_out = checked_targets("eval_targets", eval_targets, rows, width, loss, dtype)
        if mass is None:
            mass = jnp.full(examples, 1.0 / examples, dtype)
        check_ndim("mass", mass, 1, "examples")
        check_length("mass", mass, examples, f"inputs with {examples} examples")
        check_mass("mass", mass)
        mass = jnp.asarray(mass, dtype)
        self._take(mass / jnp.sum(mass), groups, held_out, "inputs")

    @property
    def dtype(self) -> Any:
        return self.targets.dtype

    @property
    def num_outputs(self) -> int:
        """How many numbers the network returns for an example."""
        return self.targets.shape[1]

    def outputs(self, params: PyTree, inputs: Array) -> Float[Array, "examples outputs"]:
        """What the network makes of inputs, in the dtype of the problem.

        Arguments:
            params: like `params` of the problem.
            inputs: any number of examples, like `inputs` of the problem.
        """
        return jnp.asarray(self.apply(params, inputs), self.dtype).reshape(inputs.shape[0], self.num_outputs)

    def example_losses(
        self, outputs: Float[Array, "examples outputs"], targets: Float[Array, "examples outputs"]
    ) -> Float[Array, "examples"]:
        """The loss of each example.

        Arguments:
            outputs: of the network.
            targets: of the same examples; probabilities of the classes for the cross-entropy.
        """
        if self.loss == "squared":
            return 0.5 * jnp.sum((targets - outputs) ** 2, axis=1)
        return -jnp.sum(targets * jax.nn.log_softmax(outputs), axis=1)

    def descent(
        self, outputs: Float[Array, "examples outputs"], targets: Float[Array, "examples outputs"]
    ) -> Float[Array, "examples outputs"]:
        """Minus the derivative of each example's loss in its outputs.

        Arguments:
            outputs: of the network.
            targets: of the same examples; probabilities of the classes for the cross-entropy.
        """
        return targets - (outputs if self.loss == "squared" else jax.nn.softmax(outputs))

    def energy(self, outputs: Float[Array, "examples outputs"]) -> PerWeight:
        """Twice the loss of each training example, or its mean over a group, from the outputs on the training set.

        Arguments:
            outputs: on all training examples, in their order.
        """
        return self.per_weight(2 * self.example_losses(outputs, self.targets))

    def measured_loss(self, outputs: Array, eval_outputs: Array | None) -> Float[Array, ""]:
        """The loss on the evaluation set, or on the training set where there is none, from outputs on both.

        Arguments:
            outputs: on the training set, shape (examples, outputs).
            eval_outputs: on the evaluation set, shape (held_out, outputs); None where there is none.
        """
        if self.eval_targets is None or eval_outputs is None:
            return self.training_loss(self.energy(outputs))
        return jnp.mean(self.example_losses(eval_outputs, self.eval_targets))

    def accuracy(self, outputs: Array, eval_outputs: Array | None = None) -> Float[Array, ""]:
        """Share of the evaluation set, or of the training set where there is none, whose largest output is right.

        For the squared loss the right output is the largest of the targets. NaN for a single output.

        Arguments:
            outputs: on the training set, shape (examples, outputs).
            eval_outputs: on the evaluation set, shape (held_out, outputs); None where there is none.
        """
        if self.num_outputs == 1:
            return jnp.full((), jnp.nan, self.dtype)
        if self.eval_targets is None or eval_outputs is None:
            return jnp.sum(self.example_mass * _is_right(outputs, self.targets))
        return jnp.mean(_is_right(eval_outputs, self.eval_targets).astype(self.dtype))

    def correct(self, outputs: Float[Array, "examples outputs"]) -> PerWeight | None:
        """Whether the largest output of each training example is right, or the share of a group; None for one output.

        Arguments:
            outputs: what the network returns on the training set, shape (examples, outputs).
        """
        if self.num_outputs == 1:
            return None
        return self.per_weight(_is_right(outputs, self.targets).astype(self.dtype))

    def initial_loss(self) -> Float[Array, ""]:
        held_out = None if self.eval_inputs is None else self.outputs(self.params, self.eval_inputs)
        return self.measured_loss(self.outputs(self.params, self.inputs), held_out)

    @property
    def trace(self) -> Float[Array, ""]:
        """The trace of the kernel that outputs share, sum_i p_i |J_i|^2 / outputs at the initial parameters."""
        return _mean_squared_norm(self)

    def default_dynamics(self) -> "AbstractDynamics":
        """Gradient descent on the whole set at a rate of 1 / trace, at most half of what is stable at the start."""
        from ..dynamics import NetworkTraining

        return NetworkTraining(1 / self.trace)

    def with_params(self, params: PyTree) -> "NetworkProblem":
        """The same network and data, from other parameters on.

        Arguments:
            params: like `params` of the problem.
        """
        check_params(params)
        if jax.tree.structure(params) != jax.tree.structure(self.params):
            raise ValueError(
                f"params has the structure {jax.tree.structure(params)}, and the network's is "
                f"{jax.tree.structure(self.params)}: give parameters of the same network."
            )
        return eqx.tree_at(
            lambda problem: problem.params, self, jax.tree.map(lambda x: jnp.asarray(x, self.dtype), params)
        )


def _is_right(outputs: Array, targets: Array) -> Array:
    return jnp.argmax(outputs, axis=1) == jnp.argmax(targets, axis=1)


@eqx.filter_jit
def _mean_squared_norm(problem: NetworkProblem) -> Array:
    """Of the derivative of the outputs of an example, over the number of outputs; by blocks of examples."""
    size = sum(leaf.size for leaf in jax.tree.leaves(problem.params)) * problem.num_outputs
    block = max(1, _BLOCK_BYTES // (size * problem.dtype.itemsize))

    def squared_norm(example):
        jacobian = jax.jacrev(lambda params: problem.outputs(params, example[None])[0])(problem.params)
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(jacobian))

    norms = jax.lax.map(squared_norm, problem.inputs, batch_size=min(block, problem.num_examples))
    return jnp.sum(problem.example_mass * norms) / problem.num_outputs
