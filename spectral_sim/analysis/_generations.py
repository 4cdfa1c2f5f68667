"""Models trained on the labels of models: what is lost from generation to generation."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .._checks import check_non_negative, check_whole
from .._types import Array, PRNGKeyArray
from .._where import where

_TOGETHER = 100  # lines of models at once: a batch of small matrices is then small too


@dataclass(frozen=True)
class Generations:
    """The error of a linear model after n generations of labels made by models.

    Arguments:
        excess: expected excess error E |x . (theta_n - theta)|^2 for n = 0, 1, ..., shape (generations + 1,).
        drawn: mean of real runs, shape (generations + 1,), or None.
        stderr: standard error of that mean, shape (generations + 1,), or None.
    """

    excess: Float[np.ndarray, " generations"]
    drawn: Float[np.ndarray, " generations"] | None = None
    stderr: Float[np.ndarray, " generations"] | None = None


def generations(
    number: int,
    *,
    width: int,
    samples: int,
    final_samples: int | None = None,
    noise_variance: float = 1.0,
    real_share: float = 0.0,
    draws: int = 0,
    key: PRNGKeyArray | None = None,
) -> Generations:
    """Excess error of least squares when each model labels the data of the next.

    The first model learns from labels of the truth, each later one from labels of the model before it, always with
    fresh noise, on `samples` fresh Gaussian inputs of any covariance; the last one, whose error is told, on
    `final_samples`. Without real data the errors add up: sigma^2 d / (T - d - 1) + n sigma^2 d / (T0 - d - 1). A share
    of real labels in every generation shrinks what was inherited by a factor c < 1, so that the error stays bounded.

    With N samples, s of them labelled by the model and m = N - s by the truth, c is the mean over directions of
    E |S^-1 S_s e|^2 for the sample covariances S = S_s + S_m. The matrix S^(-1/2) S_s S^(-1/2) has the beta
    distribution and is independent of S, which gives c = a + b (N d - 2) / (N - d - 1) with
    b = s m / (N (N + 2) (N - 1)) and a = s (s + 2) / (N (N + 2)) - b.

    Arguments:
        number: how many generations of models lie between the truth and the last model.
        width: number of features d.
        samples: samples T0 of a generation, more than width + 1.
        final_samples: samples T of the last model, more than width + 1; as `samples` if None.
        noise_variance: variance sigma^2 of the label noise.
        real_share: share of each sample that the truth labels, in [0, 1]; rounded to whole samples.
        draws: number of real runs to compare with, 0 for none.
        key: PRNG key of the draws.

    Returns:
        The expected error after 0 to `number` generations, exact, and that of real runs if asked for.

    Raises:
        ValueError: too few samples for the expectation to exist, a share outside [0, 1], negative noise, or draws
            without a key.

    Source:
        Dohmatob, Feng and Kempe, Model collapse demystified: the case of regression (2024), for real_share = 0.
    """
    final_samples = samples if final_samples is None else final_samples
    if number != 0:
        check_whole("number", number, "give how many generations to follow")
    check_whole("width", width, "give a number of features")
    check_non_negative("noise_variance", noise_variance)
    for name, value in (("samples", samples), ("final_samples", final_samples)):
        check_whole(name, value, "give a number of samples")
        if value <= width + 1:
            raise ValueError(
                f"{name}={value} with width={width}: least squares has an expected error only with more than width + 1 "
                f"samples; give at least {width + 2}."
            )
    if not 0 <= real_share <= 1:
        raise ValueError(f"real_share is {real_share}: give a share of samples in [0, 1].")
    inherited = np.zeros(number + 1)
    for n in range(number):
        inherited[n + 1] = _kept(samples, width, real_share) * inherited[n] + _added(samples, width, noise_variance)
    excess = _kept(final_samples, width, real_share) * inherited + _added(final_samples, width, noise_variance)
    if not draws:
        return Generations(excess)
    check_whole("draws", draws, "give a number of runs")
    if key is None:
        raise ValueError("draws are random: pass generations(key=jax.random.key(0)).")
    sizes, real = (samples, final_samples), tuple(_real(count, real_share) for count in (samples, final_samples))
    errors = np.asarray(_runs(number, width, sizes, jax.random.split(key, draws), real, noise_variance))
    return Generations(excess, errors.mean(axis=0), errors.std(axis=0, ddof=1) / np.sqrt(draws))


def _real(samples: int, real_share: float) -> int:
    """How many of the samples the truth labels."""
    return round(real_share * samples)


def _kept(samples: int, width: int, real_share: float) -> float:
    """The factor c by which a generation shrinks the error that it inherits, in expectation."""
    real = _real(samples, real_share)
    made = samples - real
    off = made * real / (samples * (samples + 2) * (samples - 1))
    return made * (made + 2) / (samples * (samples + 2)) - off + off * (samples * width - 2) / (samples - width - 1)


def _added(samples: int, width: int, noise_variance: float) -> float:
    """The error that label noise adds, in expectation."""
    return noise_variance * width / (samples - width - 1)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _runs(
    number: int, width: int, sizes: tuple[int, int], keys: Array, real: tuple[Any, Any], noise_variance: Any
) -> Array:
    """Errors after each number of generations, for one line of models a key; inputs are whitened.

    `sizes` and `real` are the numbers of samples, and of those that the truth labels, of a generation and of the last
    model.
    """

    def fitted(key: PRNGKeyArray, error: Array, count: int, real: Any) -> Array:
        for_inputs, for_noise = jax.random.split(key)
        inputs = jax.random.normal(for_inputs, (count, width))
        labels = where(jnp.arange(count) < real, 0, inputs @ error)
        labels += jnp.sqrt(noise_variance) * jax.random.normal(for_noise, (count,))
        return jax.scipy.linalg.solve(inputs.T @ inputs, inputs.T @ labels, assume_a="pos")

    def generation(error: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
        for_next, for_last = jax.random.split(key)
        last = fitted(for_last, error, sizes[1], real[1])
        return fitted(for_next, error, sizes[0], real[0]), jnp.sum(last**2)

    def line(key: PRNGKeyArray) -> Array:
        return jax.lax.scan(generation, jnp.zeros(width), jax.random.split(key, number + 1))[1]

    return jax.lax.map(line, keys, batch_size=_TOGETHER)
