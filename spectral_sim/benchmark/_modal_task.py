"""The modal task, power tilts on plain modes, and every way to do it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._extras import require
from .._simulate import simulate
from .._times import log_times
from .._types import Array, Float
from ..problems import ModalProblem, power_law
from ..schedules import power_tilt

_FIRST, _LAST_PER_MODE = 1e-1, 20.0  # until the slowest mode has lost about ten e-folds, whatever their number


class ModalTask:
    """Losses of power tilts with exponents from 0 to 1/2 on a power law with alpha = beta = 2, in float32.

    Arguments:
        schedules, modes, num_times: sizes.
    """

    def __init__(self, schedules: int, modes: int, num_times: int):
        self.problem = power_law(np.float32(2), np.float32(2), num_modes=modes)
        self.times = log_times(_FIRST, _LAST_PER_MODE * modes, num_times)
        self.exponents = np.linspace(0, 0.5, schedules, dtype=np.float32)
        self.sizes = {"schedules": schedules, "modes": modes, "times": num_times}
        self.steps = schedules * modes * num_times

    @property
    def coefficient(self) -> Float[np.ndarray, "modes"]:
        """The share of every mode in the loss at the start."""
        return 0.5 * np.asarray(self.problem.multiplicity) * np.asarray(self.problem.energies)

    @property
    def rates(self) -> Float[Array, "schedules modes"]:
        """-2 eigenvalue x weight: what a log energy changes by, per unit of time."""
        return jax.jit(jax.vmap(lambda s: _rate(self.problem, s)))(jnp.asarray(self.exponents))


def _rate(problem: ModalProblem, exponent: Any) -> Array:
    weights = problem.eigenvalues**-exponent
    return -2 * problem.eigenvalues * weights / jnp.sum(problem.mass * weights)


def our_losses(task: ModalTask) -> Callable[[Any, Any], Array]:
    """(problem, exponents) -> losses, shape (schedules, times): `simulate`, batched by vmap."""

    def losses(problem, exponents):
        run = lambda s: simulate(problem, power_tilt(s), task.times, throw=False).loss
        return jax.vmap(run)(exponents)

    return losses


def numpy_losses(problem: ModalProblem, times: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """Compute the losses of `bare_losses` in NumPy, in the dtype of the problem, shape (schedules, times).

    Arguments:
        problem: modal.
        times: shape (times,), from 0.
        exponents: of the tilts, shape (schedules,).
    """
    eigenvalues, energies, mass, multiplicity = (
        np.asarray(x) for x in (problem.eigenvalues, problem.energies, problem.mass, problem.multiplicity)
    )
    weights = eigenvalues ** -np.asarray(exponents)[:, None]
    rates = -2 * eigenvalues * weights / (weights @ mass)[:, None]
    return numpy_loop(0.5 * multiplicity * energies, rates, times)


def numpy_loop(coefficient: np.ndarray, rates: np.ndarray, times: np.ndarray, rows: int | None = None) -> np.ndarray:
    """Losses from the rates of decay, in place, the sum as a product with a vector.

    Arguments:
        coefficient: the share of every mode in the loss at the start, shape (modes,).
        rates: -2 eigenvalue x weight, shape (schedules, modes).
        times: shape (times,).
        rows: schedules at a time; all at once if None.
    """
    schedules, modes = rates.shape
    losses = np.empty((len(times), schedules), rates.dtype)
    step = schedules if rows is None else rows
    scratch = np.empty((step, modes), rates.dtype)
    instants = np.asarray(times).astype(rates.dtype)
    for begin in range(0, schedules, step):
        block = rates[begin : begin + step]
        decay = scratch[: len(block)]
        for n, time in enumerate(instants):
            np.multiply(block, time, out=decay)
            np.exp(decay, out=decay)
            np.matmul(decay, coefficient, out=losses[n, begin : begin + step])
    return losses.T


def bare_losses(problem: ModalProblem, times: np.ndarray, exponents: jax.Array) -> jax.Array:
    """Run only the update, the exponential and the sum, in one compiled scan: no schedule, no statuses, no records.

    Arguments:
        problem: modal.
        times: shape (times,), from 0.
        exponents: of the tilts, shape (schedules,).

    Returns:
        Losses, shape (schedules, times).
    """
    durations = jnp.asarray(np.diff(times), jnp.float32)

    def one(exponent):
        rate = _rate(problem, exponent)

        def step(log_energy, duration):
            log_energy = log_energy + duration * rate
            return log_energy, 0.5 * jnp.sum(jnp.exp(log_energy))

        return jax.lax.scan(step, jnp.log(problem.energies), durations)[1]

    return jax.vmap(one)(exponents)


def torch_losses(task: ModalTask) -> Callable[[], np.ndarray]:
    """The same in PyTorch on the CPU, in place, on as many threads as it takes.

    Raises:
        ImportError: PyTorch is not installed.
    """
    torch = require("torch", "the PyTorch peer", "pip install torch")
    rates, coefficient = torch.tensor(np.asarray(task.rates)), torch.tensor(task.coefficient)
    scratch = torch.empty_like(rates)

    def call() -> np.ndarray:
        losses = torch.empty(len(task.times), len(rates))
        for n, time in enumerate(task.times.tolist()):
            torch.mul(rates, time, out=scratch)
            torch.mv(scratch.exp_(), coefficient, out=losses[n])
        return losses.T.numpy()

    return call


def diffrax_losses(task: ModalTask, solver: str, tolerance: float | None) -> Callable[[Any, Any], Array]:
    """(problem, exponents) -> losses by diffrax, batched by vmap.

    Arguments:
        task: the task.
        solver: "Tsit5", on energies; or "Euler", a step for each interval on log energies, where it is exact: diffrax
            told the closed form.
        tolerance: relative tolerance of the steps, None for steps from refresh to refresh.

    Raises:
        ImportError: diffrax is not installed.
    """
    diffrax = require("diffrax", "the diffrax peer", "pip install diffrax")
    times = jnp.asarray(task.times, jnp.float32)

    def losses(problem, exponents):
        loss = lambda y: 0.5 * jnp.sum(jnp.exp(y) if tolerance is None else y)
        if tolerance is None:
            field, start = lambda t, y, rate: rate, jnp.log(problem.energies)
            control, first = diffrax.StepTo(times), None
        else:
            field, start = lambda t, y, rate: rate * y, problem.energies
            control, first = diffrax.PIDController(rtol=tolerance, atol=1e-7 * tolerance), 0.1

        def one(exponent):
            found = diffrax.diffeqsolve(
                diffrax.ODETerm(field),
                getattr(diffrax, solver)(),
                t0=times[0],
                t1=times[-1],
                dt0=first,
                y0=start,
                args=_rate(problem, exponent),
                saveat=diffrax.SaveAt(ts=times, fn=lambda t, y, args: loss(y)),
                stepsize_controller=control,
                max_steps=None,
            )
            return found.ys

        return jax.vmap(one)(exponents)

    return losses
