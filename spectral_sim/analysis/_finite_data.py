"""Training on finitely many samples: what gradient flow and ridge regression lose to it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .._checks import check_ndim, check_non_negative, check_positive, check_whole
from .._types import ArrayLike
from ..numerics import bisect
from ..problems import AbstractProblem

_POINTS = 240  # on half the contour
_SLOPES, _OUTSIDE = (0.8, 2.0, 5.0), 0.1  # of the contour, the first that stays so far outside the spectrum
_TOP, _DECAYED = 1.1, 40.0  # the contour ends beyond the spectrum, where exp(-2 t z) is below exp(-_DECAYED)


@dataclass(frozen=True)
class FiniteData:
    """Expected test loss of gradient flow on the same N samples.

    Arguments:
        samples: their number N.
        times: learning rate times steps, shape (times,).
        loss: expected loss under the distribution that the samples come from, shape (times,).
        bias: the part that is there without label noise, the problem's floor included, shape (times,).
        variance: the part that label noise adds, shape (times,).
        fresh: the loss of gradient flow on fresh samples, N infinite, shape (times,).
    """

    samples: int
    times: Float[np.ndarray, " times"]
    loss: Float[np.ndarray, " times"]
    bias: Float[np.ndarray, " times"]
    variance: Float[np.ndarray, " times"]
    fresh: Float[np.ndarray, " times"]

    @property
    def stopping(self) -> tuple[float, float]:
        """When to stop: the time of the least loss, and that loss."""
        best = int(np.argmin(self.loss))
        return float(self.times[best]), float(self.loss[best])

    def repeats_cost(self, tolerance: float = 0.05) -> float:
        """The last time at which repeated samples are as good as fresh ones, up to a share of the loss.

        Arguments:
            tolerance: the share of the loss, such as 0.05.
        """
        worse = self.loss > (1 + tolerance) * self.fresh
        return float(self.times[-1] if not worse.any() else self.times[max(int(np.argmax(worse)) - 1, 0)])

    def after_epochs(self, epochs: float, learning_rate: float, *, batch_size: int = 1) -> tuple[float, float]:
        """Loss after E passes over the N samples, and after one pass over E N fresh ones.

        Both take E N / batch_size steps. Between the given times, logarithms of losses are interpolated by cubics.

        Arguments:
            epochs: number of passes E, a fraction too.
            learning_rate: of each step.
            batch_size: samples of each step.

        Returns:
            Loss on repeated and on fresh samples.

        Raises:
            ValueError: so many or so few epochs that they end outside of the times that were asked for.
        """
        from scipy.interpolate import PchipInterpolator  # slow to import

        check_positive("epochs", epochs)
        check_positive("learning_rate", learning_rate)
        check_whole("batch_size", batch_size, "give a number of samples")
        epoch = learning_rate * self.samples / batch_size
        times, where = np.unique(self.times, return_index=True)
        time = epochs * epoch
        if len(times) < 2 or not times[0] <= time <= times[-1]:
            raise ValueError(
                f"epochs={epochs!r}: that many passes over {self.samples} samples, at learning_rate={learning_rate!r} "
                f"and batch_size={batch_size}, take a time of {time:.6g}, and the losses are known from {times[0]:.6g} "
                f"to {times[-1]:.6g}: give {times[0] / epoch:.4g} to {times[-1] / epoch:.4g} epochs, or call "
                "finite_data() with times before and after."
            )
        both = np.log([self.loss[where], self.fresh[where]])
        repeated, fresh = np.exp(PchipInterpolator(np.log(times), both, axis=1)(np.log(time)))
        return float(repeated), float(fresh)


def finite_data(problem: AbstractProblem, samples: int, times: ArrayLike, *, noise_variance: float = 0.0) -> FiniteData:
    """Expected test loss of gradient flow on N samples of a modal problem, by its deterministic equivalent.

    With residual coefficients a and the sample covariance S of features of covariance L = diag(lam_k),
    a(t) = exp(-S t) a(0), and the loss 1/2 sum_k lam_k a_k^2 has two resolvents of S. With omega = z / c and
    c = 1 - 1/N sum_k lam_k / (lam_k - omega), a pair of them is close to

        (S - z)^-1 L (S - z')^-1 ~ G L G' / (1 - 1/N sum_k lam_k^2 / ((lam_k - omega) (lam_k - omega'))),

    G = (L - omega)^-1 / c, which is integrated along two contours. One pass over E N samples is the flow on fresh
    samples; E epochs over N samples take as long.

    Arguments:
        problem: modal; its `noise_variance` counts as label noise.
        samples: number of samples N.
        times: learning rate times steps, positive, shape (times,).
        noise_variance: variance of further label noise.

    Returns:
        Losses beside those on fresh samples.

    Raises:
        ValueError: a problem that is not modal, times that are not positive, samples not whole, or negative noise.

    Source:
        The deterministic equivalent of one resolvent is known. That of a pair follows by differentiating it in a
        perturbation of the covariance; tests hold both against drawn samples.
    """
    modes, count, energies, floor, noise = _parts(problem, samples, noise_variance)
    check_ndim("times", times, 1, "times")
    check_positive("times", times, "leave out the start")
    times = np.asarray(times, np.float64)
    settled = _settled(modes, count, samples)
    parts = np.array([_at(min(time, settled), modes, count, energies, samples) for time in times])
    bias, variance = floor + parts[:, 0], noise * parts[:, 1]
    fresh = floor + 0.5 * np.exp(-2 * times[:, None] * modes) @ (count * energies)
    return FiniteData(samples, times, bias + variance, bias, variance, fresh)


def ridge_regression(
    problem: AbstractProblem, samples: int, ridge: ArrayLike, *, noise_variance: float = 0.0
) -> Float[np.ndarray, " ridges"]:
    """Expected test loss of ridge regression on N samples of a modal problem, by its deterministic equivalent.

    The penalty r |theta|^2 beside the mean squared error acts like kappa on the population, where
    kappa = r + kappa / N sum_k lam_k / (lam_k + kappa). With g = 1/N sum_k lam_k^2 / (lam_k + kappa)^2 the loss is
    1/2 (sum_k E_k kappa^2 / (lam_k + kappa)^2 + sigma^2 g) / (1 - g).

    Arguments:
        problem: modal; its `noise_variance` counts as label noise.
        samples: number of samples N.
        ridge: penalties r, positive, shape (ridges,).
        noise_variance: variance of further label noise.

    Returns:
        Losses, shape (ridges,).

    Raises:
        ValueError: a problem that is not modal, penalties that are not positive, samples not whole, or negative noise.

    Source:
        Canatar, Bordelon and Pehlevan, Spectral bias and task-model alignment explain
        generalization in kernel regression and infinitely wide neural networks (2021).
    """
    modes, count, energies, floor, noise = _parts(problem, samples, noise_variance)
    check_ndim("ridge", ridge, 1, "ridges")
    check_positive("ridge", ridge, "give a penalty above zero; finite_data() at a late time has none")
    kappa = np.array([_vertex(modes, count, samples, value) for value in np.asarray(ridge, np.float64)])[:, None]
    left = kappa / (modes + kappa)
    shared = (1 - left) ** 2 @ count / samples
    return floor + 0.5 * (left**2 @ (count * energies) + noise * shared) / (1 - shared)


def _parts(
    problem: AbstractProblem, samples: int, noise_variance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
    """Eigenvalues, multiplicity and energies of the modes that can be learnt, the floor with the others, and noise.

    Raises ValueError for what no equivalent is known of.
    """
    modal = problem.as_modal()
    if modal is None:
        raise ValueError(
            f"problem is a {type(problem).__name__}, whose samples are given already: simulate it, or give a modal "
            "problem, such as power_law(...) or problems.modal_view(problem)[0]."
        )
    check_whole("samples", samples, "give a number of samples")
    check_non_negative("noise_variance", noise_variance)
    arrays = modal.eigenvalues, modal.multiplicity, modal.energies
    modes, count, energies = (np.asarray(x, np.float64) for x in arrays)
    seen = modes > 0
    floor = float(modal.floor) + 0.5 * float(np.sum((count * energies)[~seen]))
    noise = noise_variance + float(modal.noise_variance)
    return modes[seen], count[seen], energies[seen], floor, noise


def _vertex(modes: np.ndarray, count: np.ndarray, samples: int, distance: float) -> float:
    """kappa > 0 with z(-kappa) = -distance: kappa (1 - 1/N sum_k lam_k / (lam_k + kappa)) = distance."""

    def short(log_kappa: np.ndarray) -> np.ndarray:
        kappa = np.exp(log_kappa)
        return kappa * (1 - np.sum(count * modes / (modes + kappa)) / samples) < distance

    return float(np.exp(bisect(short, np.log(distance), np.log(distance + np.sum(count * modes) / samples))))


def _settled(modes: np.ndarray, count: np.ndarray, samples: int) -> float:
    """A time after which nothing moves that the samples show; infinite if they show every mode.

    The lower edge of the spectrum is where sum_k lam_k^2 / (lam_k - omega)^2 = N below zero.
    """
    if np.sum(count) <= samples:
        return np.inf
    above = lambda log_edge: np.sum(count * (modes / (modes + np.exp(log_edge))) ** 2) > samples
    edge = float(np.exp(bisect(above, np.log(modes[-1]) - 40, np.log(np.sum(count * modes)))))
    slowest = edge * (np.sum(count * modes / (modes + edge)) / samples - 1)
    return _DECAYED / slowest


def _at(time: float, modes: np.ndarray, count: np.ndarray, energies: np.ndarray, samples: int) -> tuple[float, float]:
    """Half the energy that is left at a time, and the loss that label noise of variance one has added.

    The contour is a hyperbola in omega around the spectrum and around z = 0, where what no sample shows stays. Its
    lower half is the mirror image of the upper one. It is outside where sum_k lam_k^2 / |lam_k - omega|^2 < N.
    """
    vertex = _vertex(modes, count, samples, 1 / time)
    # near the vertex z moves by 1 / time, as far as it is from there to z = 0, along this length
    scale = 1 / (time * (1 - np.sum(count * (modes / (modes + vertex)) ** 2) / samples))
    end = np.arccosh(1 + (_TOP * modes[0] + _DECAYED / time + vertex) / scale)
    u = end * (np.arange(_POINTS) + 0.5) / _POINTS
    for slope in _SLOPES:
        omega = scale * (np.cosh(u) - 1 + 1j * slope * np.sinh(u)) - vertex
        inverse = 1 / (modes - omega[:, None])
        if np.max(np.abs(inverse) ** 2 @ (count * modes**2)) < (1 - _OUTSIDE) * samples:
            break
    c = 1 - inverse @ (count * modes) / samples
    dz = 1 - (inverse**2) @ (count * modes**2) / samples
    step = dz * scale * (np.sinh(u) + 1j * slope * np.cosh(u)) * (end / _POINTS) / (2j * np.pi)
    z = omega * c
    decayed = step * np.exp(-time * z) / c
    both = np.concatenate([inverse, inverse.conj()])
    shared = (both * (count * modes**2)) @ inverse.T / samples
    target = (both * (count * energies)) @ inverse.T
    weights = np.concatenate([decayed, decayed.conj()])[:, None] * decayed
    bias = np.sum(weights * target / (1 - shared)).real  # half of twice the upper row
    # of (1 - exp(-t z))^2 / z the 1 is left out, whose integral along a contour that closes at infinity is zero
    growth = np.exp(-2 * time * z) - 2 * np.exp(-time * z)
    variance = np.sum(step * growth / z * (1 - c) / c).real  # half of twice, as above
    return float(bias), float(variance)
