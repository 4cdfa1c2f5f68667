"""Modal problems: weights act on each mode of the operator by itself."""

import abc
from typing import TYPE_CHECKING, Any, cast

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._checks import check_length, check_ndim, check_non_negative, check_positive, is_concrete
from .._types import Array, ArrayLike, Float, as_inexact, cast_inexact
from ._base import AbstractProblem, Bound

if TYPE_CHECKING:
    from ..dynamics import AbstractDynamics


class AbstractLaw(eqx.Module):
    """What the entries of a modal problem were made from."""

    @abc.abstractmethod
    def numbers(self) -> dict[str, Array]:
        """The scalars that may be swept or differentiated, by name."""

    @abc.abstractmethod
    def check_number(self, name: str, values: ArrayLike) -> None:
        """Raise unless each of `values` may take the place of that number; the message goes on from its name."""

    @abc.abstractmethod
    def rebuilt(self, problem: "ModalProblem", values: dict[str, Any]) -> "ModalProblem":
        """The problem with other numbers, which may be traced.

        Arguments:
            problem: whose spectrum the law made.
            values: new numbers by name.
        """

    @abc.abstractmethod
    def refined(self, problem: "ModalProblem") -> "ModalProblem | None":
        """The problem on twice the nodes; None where every mode stands for itself."""


class ModalProblem(AbstractProblem):
    """A spectrum and the residual energy in each mode at the start.

    Mode k decays as E_k(t) = E_k(0) exp(-2 u_k(t)) with progress u_k = int lam_k w_k ds; the loss is
    floor + 1/2 sum_k m_k E_k.

    Arguments:
        eigenvalues: lam_k, shape (modes,), descending and non-negative, per unit of time.
        energies: residual energies E_k(0) = e_k^2, shape (modes,), non-negative, not all zero.
        multiplicity: m_k, shape (modes,), how many modes each entry stands for; ones if None.
        index: mode number of each entry, shape (modes,), ascending; the middle of the modes that an entry stands for
            if None (1, 2, ... for plain modes). Smooth bases and band limits are functions of it.
        law: the law that the entries were made from, if any; lets `quadrature_error` build a doubled rule.
        floor: loss that no training removes, scalar, not negative; part of every loss recorded.
        noise_variance: variance of what no mode explains, where that is noise to SGD, scalar, not negative. It adds to
            the label noise of `SGDMoments`.

    Raises:
        ValueError: mismatched shapes, unsorted or negative eigenvalues, negative energies, floor or noise, or
            nothing to learn.
    """

    eigenvalues: Float[Array, "modes"]
    energies: Float[Array, "modes"]
    multiplicity: Float[Array, "modes"]
    index: Float[Array, "modes"]
    law: AbstractLaw | None
    floor: Float[Array, ""]
    noise_variance: Float[Array, ""]

    def __init__(
        self,
        eigenvalues: ArrayLike,
        energies: ArrayLike,
        multiplicity: ArrayLike | None = None,
        *,
        index: ArrayLike | None = None,
        law: AbstractLaw | None = None,
        floor: ArrayLike = 0.0,
        noise_variance: ArrayLike = 0.0,
    ):
        check_ndim("eigenvalues", eigenvalues, 1, "modes")
        check_ndim("energies", energies, 1, "modes")
        num_modes = np.shape(eigenvalues)[0]
        check_length("energies", energies, num_modes, f"eigenvalues with {num_modes} modes")
        check_spectrum(eigenvalues, energies)
        spectrum = as_inexact(eigenvalues), as_inexact(energies)
        dtype = jnp.result_type(*spectrum)
        self.eigenvalues, self.energies = cast_inexact(spectrum, dtype)
        if multiplicity is None:
            multiplicity = jnp.ones(num_modes, dtype)
        check_ndim("multiplicity", multiplicity, 1, "modes")
        check_length("multiplicity", multiplicity, num_modes, f"eigenvalues with {num_modes} modes")
        check_positive("multiplicity", multiplicity, "every entry stands for at least part of a mode")
        self.multiplicity = as_inexact(multiplicity).astype(dtype)
        if index is None:
            index = jnp.cumsum(self.multiplicity) - (self.multiplicity - 1) / 2
        check_length("index", index, num_modes, f"eigenvalues with {num_modes} modes")
        self.index = as_inexact(index).astype(dtype)
        self.law = law
        check_ndim("floor", floor, 0, "")
        check_non_negative("floor", floor, "it is a loss")
        self.floor = as_inexact(floor).astype(dtype)
        check_ndim("noise_variance", noise_variance, 0, "")
        check_non_negative("noise_variance", noise_variance, "it is a variance")
        self.noise_variance = as_inexact(noise_variance).astype(dtype)

    @property
    def trace(self) -> Float[Array, ""]:
        """The sum of the eigenvalues, kappa = sum_k m_k lam_k: the budget per unit of time."""
        return jnp.sum(self.multiplicity * self.eigenvalues)

    @property
    def mass(self) -> Float[Array, "modes"]:
        """The share of each mode in the trace, pi_k = m_k lam_k / kappa."""
        drive = self.multiplicity * self.eigenvalues
        return drive / jnp.sum(drive)

    @property
    def dtype(self) -> Any:
        return self.eigenvalues.dtype

    def initial_loss(self) -> Float[Array, ""]:
        return self.training_loss(self.energies)

    def training_loss(self, energy: Float[Array, "modes"]) -> Float[Array, ""]:
        return self.floor + 0.5 * jnp.sum(self.multiplicity * energy)

    @property
    def num_examples(self) -> None:
        """Modes do not say how many examples there are."""
        return None

    def default_dynamics(self) -> "AbstractDynamics":
        from ..dynamics import ModalFlow

        return ModalFlow()

    def lower_bound(self, times: ArrayLike) -> Bound:
        """Water-filling, which a schedule attains."""
        return self._ideal(times, None, "water-filling", "no weights of mean one reach a lower loss at any time.")

    def capped_bound(self, times: ArrayLike, cap: float) -> Bound:
        """Water-filling under the cap, which a schedule attains at one horizon."""
        note = f"no weights of mean one up to {cap:g} reach a lower loss at any time."
        return self._ideal(times, cap, "capped envelope", note)

    def _ideal(self, times: ArrayLike, cap: float | None, name: str, note: str) -> Bound:
        from ..bounds import ideal_oracle

        return Bound(ideal_oracle(self, times, cap=cap).loss, name, note=f"{name.capitalize()}: {note}")

    def difficulty(self) -> Float[Array, "modes"]:
        """How long a mode takes to be learnt, 1 / lam_k; infinite where it never is."""
        return 1 / self.eigenvalues

    def refined(self) -> "ModalProblem | None":
        """The same law on twice the nodes; None where every mode stands for itself, or no law is known."""
        return None if self.law is None else self.law.refined(self)

    def as_modal(self) -> "ModalProblem":
        return self

    def numbers(self) -> dict[str, Array]:
        """Its arrays, and the numbers of the law that they were made from."""
        return {**self._law_numbers(), **super().numbers()}

    def check_number(self, name: str, values: ArrayLike) -> None:
        """The law knows the range of its own numbers."""
        if self.law is not None and name in self._law_numbers():
            self.law.check_number(name, values)

    def with_numbers(self, values: dict[str, Any]) -> "ModalProblem":
        """Where a number of the law changes, the spectrum is made from the law anew, on as many nodes."""
        names = self._law_numbers()
        arrays = {name: value for name, value in values.items() if name not in names}
        problem = cast("ModalProblem", super().with_numbers(arrays)) if arrays else self
        if self.law is None or len(arrays) == len(values):
            return problem
        return self.law.rebuilt(problem, {name: value for name, value in values.items() if name in names})

    def with_entries(self, eigenvalues: ArrayLike, energies: ArrayLike, law: AbstractLaw) -> "ModalProblem":
        """The same modes with another spectrum, and the law that it was made from.

        Arguments:
            eigenvalues: lam_k, shape (modes,).
            energies: E_k(0), shape (modes,).
            law: what they were made from.
        """
        rest = {"index": self.index, "floor": self.floor, "noise_variance": self.noise_variance}
        return ModalProblem(eigenvalues, energies, self.multiplicity, law=law, **rest)

    def _law_numbers(self) -> dict[str, Array]:
        return {} if self.law is None else self.law.numbers()


def check_spectrum(eigenvalues: ArrayLike, energies: ArrayLike) -> None:
    """Raise unless eigenvalues descend to zero at the least, and some energy is left to learn."""
    if not is_concrete(eigenvalues, energies):
        return
    check_non_negative("eigenvalues", eigenvalues, "a kernel operator is positive semidefinite")
    values = np.asarray(eigenvalues)
    rising = np.diff(values) > 0
    if rising.any():
        k = int(np.argmax(rising)) + 1
        raise ValueError(
            f"eigenvalues[{k}] = {values[k]:.6g} is above eigenvalues[{k - 1}] = {values[k - 1]:.6g}: "
            "sort the modes by eigenvalue, largest first (and the energies with them)."
        )
    if values[:1].sum() <= 0:
        raise ValueError("eigenvalues are all zero: nothing would ever be learnt; give at least one above zero.")
    check_non_negative("energies", energies, "energies are squares of residual coefficients")
    if np.asarray(energies).sum() <= 0:
        raise ValueError("energies sum to 0: there is nothing to learn; give at least one mode residual energy.")
