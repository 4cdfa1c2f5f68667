"""A mixture law as a problem for the loop: weights are the shares of domains, losses decay through many modes."""

import math
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._checks import check_positive
from .._observation import Observation
from .._registry import register
from .._types import Array, ArrayLike, Float, PRNGKeyArray, PyTree
from .._where import where
from ..dynamics import AbstractDynamics
from ..numerics import log_or_minus_inf
from ..problems import AbstractProblem, Bound
from ._mixture_law import MixtureLaw
from ._mixture_simplex import least_shares

_SPACING = 0.4  # of the rule in log lambda: its relative error is about exp(-pi^2 / spacing), 2e-11
_LONGEST = 100.0  # progress up to this multiple of that of one run is resolved


class MixtureProblem(AbstractProblem):
    """The losses of a mixture law, driven by what each domain has contributed so far.

    With A_g(t) = int_0^t r_g ds and X_h = eps_h + sum_g S_hg A_g^p_g the loss is
    sum_h v_h (c_h + sum_j E_hj exp(-lam_hj X_h)): modes of the quadrature of a X^-theta. It depends on the totals A
    only, so that every schedule has the loss of a static mixture, and a dynamic one gains nothing by construction.

    Arguments:
        base: the shares at weights of one, shape (domains,).
        strength: S_hg, shape (losses, domains).
        power: p_g, shape (domains,).
        offset: eps_h, shape (losses,).
        eigenvalues: lam_hj, shape (losses, modes).
        energies: E_hj, shape (losses, modes).
        constant: c_h, shape (losses,).
        importance: v_h, weight of each loss, with sum one, shape (losses,).
        domains: names of the domains.
    """

    base: Float[Array, "domains"]
    strength: Float[Array, "losses domains"]
    power: Float[Array, "domains"]
    offset: Float[Array, "losses"]
    eigenvalues: Float[Array, "losses modes"]
    energies: Float[Array, "losses modes"]
    constant: Float[Array, "losses"]
    importance: Float[Array, "losses"]
    domains: tuple[str, ...] = eqx.field(static=True)

    @staticmethod
    def create(law: MixtureLaw, mass: np.ndarray, importance: np.ndarray, domains: tuple[str, ...]) -> "MixtureProblem":
        """The problem of a law; arrays take the precision that JAX is set to.

        Arguments:
            law: of the losses at time 1.
            mass: the shares at weights of one, positive, scaled to sum one, shape (domains,).
            importance: weight of each loss, with sum one, shape (losses,).
            domains: their names.
        """
        check_positive(
            "mass", mass, "every domain needs a share for weights to act on; leave mass out for the mean run"
        )
        largest = _LONGEST * (law.offset + law.strength.sum(axis=1))
        rules = [power_modes(*pair) for pair in zip(law.exponent, law.offset, largest, strict=True)]
        longest = max(len(rates) for rates, _ in rules)  # shorter rules are filled with modes of no energy
        rates, weights = (
            np.array([np.pad(part, (0, longest - len(part))) for part in parts]) for parts in zip(*rules, strict=True)
        )
        columns = law.strength, law.power, law.offset, rates, law.amplitude[:, None] * weights, law.floor, importance
        base, *rest = (jnp.asarray(part) for part in (mass / mass.sum(), *columns))
        return MixtureProblem(base, *rest, domains)  # pyright: ignore[reportCallIssue]

    @property
    def mass(self) -> Float[Array, "domains"]:
        return self.base

    @property
    def dtype(self) -> Any:
        return self.strength.dtype

    @property
    def floor(self) -> Float[Array, ""]:
        """The loss that no amount of any domain removes, sum_h v_h c_h."""
        return self.importance @ self.constant

    @property
    def num_examples(self) -> None:
        """Domains are no examples: what a pass over the data costs is for the user to say."""
        return None

    def initial_loss(self) -> Float[Array, ""]:
        return self.importance @ self.losses(jnp.zeros_like(self.base))

    def losses(self, totals: Float[Array, "domains"]) -> Float[Array, "losses"]:
        """The loss of each metric after totals A_g of the domains.

        Arguments:
            totals: A_g, time that went to each domain: the integral of its share.
        """
        return self.constant + self._reducible(totals)

    def energy(self, totals: Float[Array, "domains"]) -> Float[Array, "domains"]:
        """The reducible loss given to domains by what they drive at weights of one, twice per unit of mass.

        Half the sum of these under the base measure, plus the floor, is the loss.

        Arguments:
            totals: A_g, time that went to each domain: the integral of its share.
        """
        drive = self.strength * self.base**self.power
        part = drive / jnp.sum(drive, axis=1, keepdims=True)
        return 2 * (self.importance * self._reducible(totals)) @ part / self.base

    def training_loss(self, energy: Float[Array, "domains"]) -> Float[Array, ""]:
        return self.floor + 0.5 * jnp.sum(self.base * energy)

    def _reducible(self, totals: Array) -> Array:
        given = totals > 0
        powers = where(given, where(given, totals, 1) ** self.power, 0)  # a finite derivative at zero
        progress = self.offset + self.strength @ powers
        return jnp.sum(self.energies * jnp.exp(-self.eigenvalues * progress[:, None]), axis=1)

    def default_dynamics(self) -> "MixtureFlow":
        return MixtureFlow()

    def lower_bound(self, times: ArrayLike) -> Bound:
        """The best static mixture at each time: the law is convex in the totals, so that no schedule goes below it.

        What the solver may have left is taken off: a convex function lies above its tangents.
        """
        losses = [self._least(float(time)) for time in np.asarray(times)]
        note = "Best static mixture: the loss is a convex function of the totals, which sum to the time."
        return Bound(jnp.asarray(losses, self.dtype), "best static mixture", note=note)

    def _least(self, time: float) -> float:
        if time == 0:
            return float(self.initial_loss())
        strength, power, offset, rates, energies, importance = (
            np.asarray(part, np.float64)
            for part in (
                self.strength, self.power, self.offset, self.eigenvalues, self.energies, self.importance,
            )
        )  # fmt: skip

        def value(shares):
            totals = np.maximum(time * shares, 1e-300)
            progress = offset + strength @ totals**power
            modes = energies * np.exp(-rates * progress[:, None])
            slope = -importance * np.sum(rates * modes, axis=1)
            gradient = time * (slope @ strength) * power * totals ** (power - 1)
            return float(importance @ modes.sum(axis=1)), gradient

        number = len(power)
        shares = least_shares(value, np.zeros(number), np.ones(number), np.asarray(self.base, np.float64))
        interior = np.maximum(shares, 1e-9)
        least, gradient = value(interior / interior.sum())
        gap = gradient @ (interior / interior.sum()) - gradient.min()
        return float(self.floor) + least - max(float(gap), 0.0)


@register
class MixtureFlow(AbstractDynamics):
    """Training that counts the totals of the domains, dA_g/dt = base_g w_g, exact for held weights; the state is A."""

    jumps: ClassVar[bool] = True

    def init(self, problem: Any) -> PyTree:
        if not isinstance(problem, MixtureProblem):
            raise TypeError(
                f"MixtureFlow advances a MixtureProblem, not a {type(problem).__name__}: leave dynamics=None for the "
                "default of the problem."
            )
        return jnp.zeros_like(problem.base)

    def advance(
        self, problem: Any, state: PyTree, weights: Float[Array, "weights"], duration: Array, key: PRNGKeyArray | None
    ) -> PyTree:
        return state + duration * problem.base * weights

    def observe(self, problem: Any, state: PyTree, time: Float[Array, ""]) -> Observation:
        energy = problem.energy(state)
        return Observation(
            time=time,
            energy=energy,
            log_energy=log_or_minus_inf(energy),
            loss=problem.training_loss(energy),
            state=state,
        )


def power_modes(exponent: float, smallest: float, largest: float) -> tuple[np.ndarray, np.ndarray]:
    """Rates lam_j and weights w_j with sum_j w_j exp(-lam_j x) = x^-theta for smallest <= x <= largest, to 1e-9.

    The trapezoidal rule in s = log lam of 1/Gamma(theta) int exp(theta s - exp(s) x) ds. Rates too small to move
    anything by `largest` become one mode that never decays, whose weight is the sum of a geometric series.

    Arguments:
        exponent: theta, positive.
        smallest: least x, positive.
        largest: largest x.
    """
    first, last = math.log(1e-11 / largest), math.log(50 / smallest)
    nodes = first + _SPACING * np.arange(math.ceil((last - first) / _SPACING) + 1)
    weights = _SPACING * np.exp(exponent * nodes - math.lgamma(exponent))
    below = weights[0] / math.expm1(exponent * _SPACING)
    return np.append(np.exp(nodes), 0.0), np.append(weights, below)
