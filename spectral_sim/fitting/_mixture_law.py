"""The spectral mixture law: each validation loss falls as a power of the progress that the shares of domains drive."""

from dataclasses import dataclass, field

import numpy as np
import scipy

from .._types import ArrayLike, Float

# Where the search begins, and what the weak ridge pulls towards: a floor of 0.6 of the lowest loss, x^-0.25, shares to
# the power 0.65, and a progress of exp(-1.5) that needs none of the domains.
_FLOOR, _THETA, _POWER, _LOG_OFFSET = 0.6, 0.25, 0.65, -1.5
# Ridge strengths of the parameters with one value for each loss or domain. Losses are in units of their spread.
_RIDGE_FLOOR, _RIDGE_THETA, _RIDGE_POWER, _RIDGE_OFFSET, _RIDGE_COLUMN = 1.0, 5.0, 1.0, 0.3, 0.2
_RIDGE_MEAN = 3.0  # of the mean over losses or domains, relative to the strength of the deviations from it
_LARGEST_LOG = 30.0
ITERATIONS = 300


@dataclass(frozen=True, eq=False)
class MixtureLaw:
    """Losses of mixtures, L_h(r) = c_h + a_h (eps_h + sum_g S_hg r_g^p_g)^(-theta_h), all non-negative, p at most 1.

    The law is convex in the shares: it is a convex and falling function of a concave one.

    Arguments:
        floor: c_h, the loss that no amount of data removes, shape (losses,).
        amplitude: a_h, shape (losses,).
        offset: eps_h, the progress made without any of the domains, shape (losses,).
        strength: S_hg, what a share of domain g does for loss h, shape (losses, domains).
        power: p_g, shape (domains,).
        exponent: theta_h, shape (losses,).
    """

    floor: Float[np.ndarray, "losses"]
    amplitude: Float[np.ndarray, "losses"]
    offset: Float[np.ndarray, "losses"]
    strength: Float[np.ndarray, "losses domains"]
    power: Float[np.ndarray, "domains"]
    exponent: Float[np.ndarray, "losses"]

    def progress(self, ratios: ArrayLike) -> Float[np.ndarray, "runs losses"]:
        """The progress of each mixture, eps_h + sum_g S_hg r_g^p_g; `ratios` has shape (runs, domains).

        Arguments:
            ratios: shares of the domains, shape (runs, domains).
        """
        return self.offset + np.asarray(ratios, np.float64) ** self.power @ self.strength.T

    def predict(self, ratios: ArrayLike) -> Float[np.ndarray, "runs losses"]:
        """The losses of mixtures of shape (runs, domains).

        Arguments:
            ratios: shares of the domains, shape (runs, domains).
        """
        return self.floor + self.amplitude * self.progress(ratios) ** -self.exponent

    def sensitivity(self, ratios: ArrayLike) -> Float[np.ndarray, "losses domains"]:
        """The slope of each loss in each share, d L_h / d r_g, at shares of shape (domains,), each at least 1e-9.

        Arguments:
            ratios: shares of the domains, shape (domains,).
        """
        shares = np.maximum(np.asarray(ratios, np.float64), 1e-9)
        progress = self.progress(shares[None])[0]
        outer = -self.amplitude * self.exponent * progress ** (-self.exponent - 1)
        return outer[:, None] * self.strength * self.power * shares ** (self.power - 1)

    def mapped(self, shift: np.ndarray, slope: np.ndarray) -> "MixtureLaw":
        """The law of the losses shift + slope L, which is of the same form.

        Arguments:
            shift: in the unit of each loss, shape (losses,).
            slope: positive, shape (losses,).
        """
        floor, amplitude = shift + slope * self.floor, slope * self.amplitude
        return MixtureLaw(floor, amplitude, self.offset, self.strength, self.power, self.exponent)

    def arrays(self) -> dict[str, np.ndarray]:
        """The parameters by name."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def fit_law(
    ratios: np.ndarray, losses: np.ndarray, ridge: float, *, linear: bool = False, iterations: int = ITERATIONS
) -> MixtureLaw:
    """Fit the law to checked tables: a closed-form start, then L-BFGS on transformed parameters.

    Arguments:
        ratios: shares, shape (runs, domains).
        losses: shape (runs, losses), positive.
        ridge: strength of the ridge on log S around its row and column means.
        linear: hold every p_g at 1.
        iterations: steps of L-BFGS at most.
    """
    objective = LawObjective(ratios, losses, ridge, linear)
    begin = objective.pack(closed_form(ratios, losses, linear))
    options = {"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 20}
    found = scipy.optimize.minimize(objective, begin, jac=True, method="L-BFGS-B", options=options)
    return objective.unpack(found.x)


def closed_form(ratios: np.ndarray, losses: np.ndarray, linear: bool) -> MixtureLaw:
    """Non-negative least squares on ((L - c) / a)^(-1 / theta), which is linear in eps and S for given c, theta, p."""
    num_domains, num_losses = ratios.shape[1], losses.shape[1]
    power = np.full(num_domains, 1.0 if linear else _POWER)
    floor = _FLOOR * losses.min(axis=0)
    amplitude = losses.mean(axis=0) - floor
    columns = np.hstack([np.ones((len(ratios), 1)), ratios**power])
    offset, strength = np.zeros(num_losses), np.zeros((num_losses, num_domains))
    for h in range(num_losses):
        progress = ((losses[:, h] - floor[h]) / amplitude[h]) ** (-1 / _THETA)
        solution, _ = scipy.optimize.nnls(columns / progress[:, None], np.ones(len(ratios)))
        offset[h], strength[h] = solution[0], solution[1:]
    # a coefficient of exactly zero has no logarithm to move from
    strength = np.maximum(strength, 0.01 * strength.mean(axis=1, keepdims=True) + 1e-6)
    return MixtureLaw(floor, amplitude, np.maximum(offset, 0.01), strength, power, np.full(num_losses, _THETA))


@dataclass(eq=False)
class LawObjective:
    """Half the sum of squared residuals, each loss in units of its spread, plus the ridge; with its gradient.

    Parameters are unconstrained: the logit of c / min L, log theta, log eps, the logit of p, log S. The ridge on the
    deviations d of log S from its row and column means is heavy-tailed, ridge/2 log(1 + d^2), because a domain acts on
    its own validation loss far more strongly than any mean would say. Amplitudes are constants: S and eps carry the
    scale.
    """

    ratios: np.ndarray
    losses: np.ndarray
    ridge: float
    linear: bool
    lowest: np.ndarray = field(init=False)
    spread: np.ndarray = field(init=False)
    amplitude: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.lowest = self.losses.min(axis=0)
        self.spread = self.losses.std(axis=0)
        self.amplitude = self.losses.mean(axis=0) - _FLOOR * self.lowest
        self._log_ratios = np.log(np.where(self.ratios > 0, self.ratios, 1))

    def pack(self, law: MixtureLaw) -> np.ndarray:
        """Unconstrained parameters of a law, whose amplitudes are changed to those of this table."""
        change = (self.amplitude / law.amplitude) ** (1 / law.exponent)
        floor = np.clip(law.floor / self.lowest, 1e-6, 1 - 1e-6)
        power = np.zeros_like(law.power) if self.linear else _logit(np.clip(law.power, 1e-6, 1 - 1e-6))
        offset, strength = np.log(change * law.offset), np.log(change[:, None] * law.strength)
        return np.concatenate([_logit(floor), np.log(law.exponent), offset, power, strength.ravel()])

    def unpack(self, values: np.ndarray) -> MixtureLaw:
        """The law of unconstrained parameters."""
        floor, exponent, offset, power, strength = self._split(values)
        powers = np.ones_like(power) if self.linear else _sigmoid(power)
        return MixtureLaw(
            floor=self.lowest * _sigmoid(floor),
            amplitude=self.amplitude,
            offset=np.exp(np.clip(offset, -_LARGEST_LOG, _LARGEST_LOG)),
            strength=np.exp(np.clip(strength, -_LARGEST_LOG, _LARGEST_LOG)),
            power=powers,
            exponent=np.exp(exponent),
        )

    def __call__(self, values: np.ndarray) -> tuple[float, np.ndarray]:
        z_floor, z_exponent, z_offset, z_power, z_strength = self._split(values)
        law = self.unpack(values)
        powers = np.where(self.ratios > 0, np.exp(law.power * self._log_ratios), 0)
        progress = law.offset + powers @ law.strength.T
        log_progress = np.log(progress)
        reducible = law.amplitude * np.exp(np.minimum(-law.exponent * log_progress, 50))
        residual = (law.floor + reducible - self.losses) / self.spread
        value = 0.5 * np.sum(residual**2)

        d_loss = residual / self.spread
        d_reducible = d_loss * reducible
        d_progress = -d_reducible * law.exponent / progress
        d_floor = d_loss.sum(axis=0) * law.floor * (1 - law.floor / self.lowest)
        d_exponent = -(d_reducible * log_progress).sum(axis=0) * law.exponent
        d_offset = d_progress.sum(axis=0) * law.offset
        d_strength = (d_progress.T @ powers) * law.strength
        d_power = ((d_progress @ law.strength) * powers * self._log_ratios).sum(axis=0) * law.power * (1 - law.power)

        deviation = _centred(z_strength)
        value += 0.5 * self.ridge * np.sum(np.log1p(deviation**2))
        d_strength += _centred(self.ridge * deviation / (1 + deviation**2))
        column = z_strength.mean(axis=0) - z_strength.mean()
        value += 0.5 * _RIDGE_COLUMN * np.sum(column**2)
        d_strength += _RIDGE_COLUMN * column / len(z_strength)
        for parameter, gradient, strength, centre in (
            (z_floor, d_floor, _RIDGE_FLOOR, _logit(_FLOOR)),
            (z_exponent, d_exponent, _RIDGE_THETA, np.log(_THETA)),
            (z_offset, d_offset, _RIDGE_OFFSET, _LOG_OFFSET),
            (z_power, d_power, _RIDGE_POWER, 0.0 if self.linear else _logit(_POWER)),
        ):
            mean = parameter.mean()
            value += 0.5 * strength * (np.sum((parameter - mean) ** 2) + _RIDGE_MEAN * (mean - centre) ** 2)
            gradient += strength * (parameter - mean + _RIDGE_MEAN * (mean - centre) / len(parameter))
        if self.linear:
            d_power[:] = 0
        return float(value), np.concatenate([d_floor, d_exponent, d_offset, d_power, d_strength.ravel()])

    def _split(self, values: np.ndarray) -> tuple[np.ndarray, ...]:
        losses, domains = self.losses.shape[1], self.ratios.shape[1]
        first = values[: 3 * losses].reshape(3, losses)
        power, strength = values[3 * losses : 3 * losses + domains], values[3 * losses + domains :]
        return *first, power, strength.reshape(losses, domains)


def _centred(table: np.ndarray) -> np.ndarray:
    """A table without its row and column means."""
    return table - table.mean(axis=1, keepdims=True) - table.mean(axis=0, keepdims=True) + table.mean()


def _logit(value):
    return np.log(value / (1 - value))


def _sigmoid(value):
    return 1 / (1 + np.exp(-value))
