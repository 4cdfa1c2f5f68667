"""Operator problems: weights act on examples (or groups of examples) of a data set seen through fixed features."""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_finite, check_length, check_mass, check_ndim, is_concrete
from .._types import Array, ArrayLike, Float, PerWeight, as_inexact
from .._where import where
from ..numerics import row_product, squared_norms, sum_rows
from ._base import Bound
from ._examples import AbstractExampleProblem
from ._modal import ModalProblem

if TYPE_CHECKING:
    from ..dynamics import AbstractDynamics


class OperatorProblem(AbstractExampleProblem):
    """Least squares on fixed features, trained by gradient flow on reweighted examples.

    theta' = Phi^T P W (Y - Phi theta), W the weights on examples and P the base mass. The loss is
    1/2 sum_i p_i |y_i - phi_i theta|^2 on the evaluation set, or on the training set where none is given. Targets need
    not be realisable.

    Tall features are gone through by blocks of rows. They may be spread over devices, each going through its own: with
    `rows = NamedSharding(Mesh(jax.devices(), ("examples",)), PartitionSpec("examples"))`, from `jax.sharding`, give
    `jax.device_put(features, rows)` and `jax.device_put(targets, rows)`.

    Arguments:
        features: Phi, shape (examples, features).
        targets: Y, shape (examples, outputs) or (examples,).
        mass: base mass p, shape (examples,), scaled to sum to 1; equal if None.
        eval_features: held-out features, shape (held_out, features).
        eval_targets: held-out targets, shape (held_out, outputs) or (held_out,).
        eval_mass: held-out base mass, shape (held_out,); equal if None.
        groups: group number of each example, shape (examples,), whole numbers from 0. With it weights are per group.
        initial_parameters: theta(0), shape (features, outputs); zero if None.

    Attributes:
        example_mass: base mass of examples, positive and with sum 1, shape (examples,).
        num_groups: how many groups there are; None where weights are per example.

    Raises:
        ValueError: mismatched shapes, NaN or infinity, bad mass or groups, or a target that never varies.
    """

    features: Float[Array, "examples features"]
    targets: Float[Array, "examples outputs"]
    eval_features: Float[Array, "held_out features"] | None
    eval_mass: Float[Array, "held_out"] | None
    initial_parameters: Float[Array, "features outputs"]

    def __init__(
        self,
        features: ArrayLike,
        targets: ArrayLike,
        *,
        mass: ArrayLike | None = None,
        eval_features: ArrayLike | None = None,
        eval_targets: ArrayLike | None = None,
        eval_mass: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        initial_parameters: ArrayLike | None = None,
    ):
        features, targets, mass = _check_set("", features, targets, mass)
        _check_varies(targets)
        dtype = jnp.result_type(features, targets)
        if eval_features is None or eval_targets is None:
            if eval_features is not None or eval_targets is not None or eval_mass is not None:
                raise ValueError("eval_features and eval_targets go together: give both, or neither and no eval_mass.")
        else:
            eval_features, eval_targets, eval_mass = _check_set("eval_", eval_features, eval_targets, eval_mass)
            check_length("eval_features.T", eval_features.T, features.shape[1], "features")
            check_length("eval_targets.T", eval_targets.T, targets.shape[1], "targets")
            eval_features, eval_targets = eval_features.astype(dtype), eval_targets.astype(dtype)
            eval_mass = eval_mass.astype(dtype)
        shape = (features.shape[1], targets.shape[1])
        if initial_parameters is None:
            initial_parameters = jnp.zeros(shape, dtype)
        elif np.shape(initial_parameters) != shape:
            raise ValueError(
                f"initial_parameters has shape {np.shape(initial_parameters)}: (features, outputs) is {shape}."
            )
        check_finite("initial_parameters", initial_parameters)
        self.features = features.astype(dtype)
        self.targets = targets.astype(dtype)
        self.eval_features, self.eval_mass = eval_features, eval_mass
        self._take(mass.astype(dtype), groups, eval_targets, "features")
        self.initial_parameters = as_inexact(initial_parameters).astype(dtype)

    @property
    def dtype(self) -> Any:
        return self.features.dtype

    @property
    def trace(self) -> Float[Array, ""]:
        """The sum of the eigenvalues, kappa = tr Phi^T P Phi: the mean squared norm of features."""
        return mean_squared_norm(self.example_mass, self.features)

    @property
    def evaluation(self) -> tuple[Array, Array, Array]:
        """Features, targets and mass that the loss is measured on: the held-out set, else the training set."""
        if self.eval_features is None or self.eval_targets is None or self.eval_mass is None:
            return self.features, self.targets, self.example_mass
        return self.eval_features, self.eval_targets, self.eval_mass

    def loss(self, parameters: Float[Array, "features outputs"]) -> Float[Array, ""]:
        """Loss of `parameters` on the evaluation set.

        Arguments:
            parameters: theta.
        """
        features, targets, mass = self.evaluation
        return 0.5 * jnp.sum(mass * jnp.sum((targets - features @ parameters) ** 2, axis=1))

    def initial_loss(self) -> Float[Array, ""]:
        return self.loss(self.initial_parameters)

    @property
    def floor(self) -> Float[Array, ""]:
        """The least loss of any parameters that training can reach."""
        from ..bounds import speed_limit

        return speed_limit(self, np.zeros(1)).floor

    def default_dynamics(self) -> "AbstractDynamics":
        from ..dynamics import OperatorFlow

        return OperatorFlow()

    def lower_bound(self, times: ArrayLike) -> Bound:
        """The speed limit; up to 16 weights and 12 features times outputs the larger of it and of a certificate.

        There a certificate takes some tenths of a second; on larger problems `bounds.certificate` is asked for by name.
        """
        from ..bounds import lower_bound

        return lower_bound(self, times)

    def difficulty(self) -> PerWeight:
        """The squared residual of a ridge regression whose penalty is the mean eigenvalue; its mean over a group.

        It is summed over outputs: what a briefly trained probe still gets wrong.
        """
        weighted = self.example_mass[:, None] * self.features
        covariance = sum_rows(row_product, self.features, weighted)
        probe = jnp.linalg.solve(_ridged(covariance), sum_rows(row_product, weighted, self.targets))
        return self.per_weight(jnp.sum((self.targets - self.features @ probe) ** 2, axis=1))

    def leverage(self) -> PerWeight:
        """How unusual an example is, phi_i^T (M + r I)^-1 phi_i, r the mean eigenvalue; its mean over a group."""
        covariance = sum_rows(row_product, self.features, self.example_mass[:, None] * self.features)
        factor = jnp.linalg.cholesky(_ridged(covariance))
        half = jax.scipy.linalg.solve_triangular(factor, self.features.T, lower=True)
        return self.per_weight(jnp.sum(half**2, axis=0))

    def with_groups(self, groups: ArrayLike) -> "OperatorProblem":
        """The same data, reweighted by group.

        Arguments:
            groups: group number of each example, shape (examples,), whole numbers from 0.
        """
        return OperatorProblem(
            self.features,
            self.targets,
            mass=self.example_mass,
            eval_features=self.eval_features,
            eval_targets=self.eval_targets,
            eval_mass=self.eval_mass,
            groups=groups,
            initial_parameters=self.initial_parameters,
        )

    def as_operator(self) -> "OperatorProblem":
        return self

    def spectrum(self) -> ModalProblem:
        """`modal_view` without the floor."""
        return modal_view(self)[0]


def modal_view(problem: OperatorProblem) -> tuple[ModalProblem, Float[Array, ""]]:
    """Diagonalise M = Phi^T P Phi and read off the target's energy in each mode.

    Uniform weights on `problem` have the training loss of uniform weights on the modal problem, plus the floor. For
    other weights the two differ: most weights on modes cannot be realised by weights on examples, and the other way
    round.

    Arguments:
        problem: a data problem; outputs are summed over.

    Returns:
        The modal problem of the training set, and the floor, the part of the training loss that no parameters remove.

    Source:
        arXiv 2512.02409 for the operator; the reduction is the eigendecomposition of the feature covariance.
    """
    mass = problem.example_mass[:, None]
    residual = problem.targets - problem.features @ problem.initial_parameters
    values, vectors = jnp.linalg.eigh(problem.features.T @ (mass * problem.features))
    values, vectors = values[::-1], vectors[:, ::-1]
    null = values <= values[0] * jnp.finfo(problem.dtype).eps * problem.features.shape[1]
    drive = jnp.sum((vectors.T @ (problem.features.T @ (mass * residual))) ** 2, axis=1)
    energies = where(null, 0.0, drive / where(null, 1.0, values))
    floor = 0.5 * (jnp.sum(mass * residual**2) - jnp.sum(energies))
    return ModalProblem(where(null, 0.0, values), energies), jnp.maximum(floor, 0.0)


@jax.jit  # fused, it makes no copy of tall features
def mean_squared_norm(mass: Float[Array, "examples"], features: Float[Array, "examples features"]) -> Array:
    """Compute sum_i p_i |phi_i|^2, the trace of Phi^T P Phi.

    Arguments:
        mass: p, shape (examples,).
        features: Phi, shape (examples, features).
    """
    return jnp.sum(mass * squared_norms(features))


def _ridged(covariance: Array) -> Array:
    size = covariance.shape[0]
    return covariance + jnp.trace(covariance) / size * jnp.eye(size, dtype=covariance.dtype)


def _check_set(prefix: str, features: Any, targets: Any, mass: Any) -> tuple[Array, Array, Array]:
    check_ndim(f"{prefix}features", features, 2, "examples, features")
    check_finite(f"{prefix}features", features, "remove or impute the example")
    check_finite(f"{prefix}targets", targets, "remove or impute the example")
    if isinstance(features, np.ndarray):
        features = jax.device_put(features)  # one copy, where jnp.asarray makes two for a moment
    features, targets = as_inexact(features), as_inexact(targets)
    if targets.ndim == 1:
        targets = targets[:, None]
    check_ndim(f"{prefix}targets", targets, 2, "examples, outputs")
    num_examples = features.shape[0]
    if num_examples < 1 or features.shape[1] < 1:
        raise ValueError(f"{prefix}features has shape {features.shape}: give at least one example and one feature.")
    check_length(f"{prefix}targets", targets, num_examples, f"{prefix}features with {num_examples} examples")
    if mass is None:
        mass = jnp.full(num_examples, 1.0 / num_examples, features.dtype)
    check_ndim(f"{prefix}mass", mass, 1, "examples")
    check_length(f"{prefix}mass", mass, num_examples, f"{prefix}features with {num_examples} examples")
    check_mass(f"{prefix}mass", mass)
    mass = as_inexact(mass)
    return features, targets, mass / jnp.sum(mass)


def _check_varies(targets: Array) -> None:
    if is_concrete(targets) and targets.shape[0] > 1:
        values = np.asarray(targets)
        if (values == values[0]).all():
            raise ValueError(
                f"targets are constant (every row is {values[0].tolist()}): there is nothing to tell examples apart "
                "by; choose another target."
            )
