"""A closed-loop schedule to be learned: one small network for every mode or example."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_positive
from .._observation import Observation
from .._types import Array, PerWeight, PRNGKeyArray, PyTree
from .._where import where
from ..numerics import relative_log, score_of
from ._base import AbstractStage, Kind
from ._table import check_cap, within

_NUM_INPUTS = 5


class PolicySchedule(AbstractStage):
    """Log weights from a network applied to each mode, example or group by itself.

    Its inputs are scale-free, so one trained policy runs on a problem of any size: the log of the residual energy over
    the largest one, the log of it over its start, the log eigenvalue (modes) or log leverage (examples, over their
    mean; 0 on other problems), the log of time in units of 1 / kappa, and the recent slope d log E / d log t.

    A `NetworkProblem` has neither eigenvalues nor leverages: train a policy for it with drive=False, so that what it
    sees in the simulator is what it will see in real training.

    Arguments:
        network: maps five numbers to one log weight.
        cap: bounds (low, high) on the weights, constants; None for none.
        drive: whether it is shown eigenvalues and leverages; 0 in their place otherwise.
    """

    kind: ClassVar[Kind] = "allocate"
    constants: ClassVar[PyTree] = (True, True, False, False)
    network: eqx.nn.MLP
    cap: tuple[float, float] | None = eqx.field(static=True, default=None)
    drive: bool = eqx.field(static=True, default=True)

    @classmethod
    def create(
        cls,
        key: PRNGKeyArray,
        *,
        width: int = 32,
        depth: int = 2,
        cap: tuple[float, float] | None = None,
        drive: bool = True,
    ) -> "PolicySchedule":
        """A random policy that starts close to sampling in proportion to the residual.

        Arguments:
            key: PRNG key of the initial parameters.
            width: units in each hidden layer.
            depth: number of hidden layers.
            cap: bounds (low, high) on the weights, low <= 1 <= high; none if None.
            drive: whether it is shown eigenvalues and leverages; 0 in their place otherwise.

        Raises:
            ValueError: a cap that admits no weights of mean one.
        """
        check_cap(cap)
        check_positive("width", width)
        check_positive("depth", depth)
        network = eqx.nn.MLP(_NUM_INPUTS, "scalar", width, depth, activation=_bend, final_activation=_as_it_is, key=key)
        return cls(network, cap, drive)

    def __check_init__(self) -> None:
        check_cap(self.cap)

    def saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """What a file keeps: the size of the network and the cap, and the parameters by number."""
        leaves = jax.tree.leaves(eqx.filter(self.network, eqx.is_array))
        size = {"width": self.network.width_size, "depth": self.network.depth}
        cap = None if self.cap is None else list(self.cap)
        return {"network": size, "cap": cap, "drive": self.drive}, {
            f"network.{n}": leaf for n, leaf in enumerate(leaves)
        }

    @classmethod
    def from_saved(cls, options: dict[str, Any], arrays: dict[str, Any]) -> "PolicySchedule":
        """The policy that `saved` describes.

        Arguments:
            options: by name, what is no array.
            arrays: by name.

        Raises:
            TypeError: parameters of other shapes.
        """
        size, cap, drive = options["network"], options["cap"], options.get("drive", True)
        layers = [jnp.asarray(arrays[f"network.{n}"]) for n in range(len(arrays))]
        fits = bool(layers) and size == {"width": layers[0].shape[0], "depth": len(layers) // 2 - 1}
        cap = None if cap is None else (cap[0], cap[1])
        template = cls.create(jax.random.key(0), cap=cap, drive=drive, **size) if fits else None
        old, structure = jax.tree.flatten(eqx.filter(template, eqx.is_array))
        if not fits or [leaf.shape for leaf in layers] != [leaf.shape for leaf in old]:
            raise TypeError("its network has other inputs than the policies of this version")
        return eqx.combine(jax.tree.unflatten(structure, layers), template)

    def init(self, problem: Any) -> Any:
        drive, modal, data = jnp.zeros_like(problem.mass), problem.as_modal(), problem.as_operator()
        if self.drive and modal is not None:
            drive = relative_log(modal.eigenvalues)
        elif self.drive and data is not None:
            score = data.leverage()
            drive = jnp.log(score / jnp.sum(data.mass * score))
        return _bounded(drive), jnp.log(problem.trace), jnp.zeros((), problem.dtype), jnp.zeros_like(problem.mass)

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        drive, log_trace, last_log_time, last_log = state
        now = _bounded(jnp.log(jnp.maximum(signal, jnp.finfo(signal.dtype).tiny)))
        log_time = jnp.log1p(observation.time * jnp.exp(log_trace))
        elapsed = log_time - last_log_time
        slope = where(elapsed > 0, (now - last_log) / where(elapsed > 0, elapsed, 1), 0)
        slope = where(observation.index == 0, 0, slope)
        start = _bounded(jnp.log(jnp.maximum(observation.initial_energy, jnp.finfo(signal.dtype).tiny)))
        depth = _bounded(relative_log(signal))
        inputs = jnp.stack([depth, now - start, drive, jnp.full_like(now, log_time), jnp.tanh(slope)], axis=-1)
        scale = jnp.asarray([0.25, 0.25, 0.25, 0.25, 1.0], now.dtype)
        log_weight = depth + jax.vmap(self.network)(inputs * scale)
        score = score_of(log_weight)
        return within(score, observation.mass, self.cap), (drive, log_trace, log_time, now)

    def weight_bounds(self, *, fixed: bool = False) -> tuple[float, float] | None:
        return self.cap


# Functions of this module, so that a policy can be pickled: those of JAX are wrapped, the default is a lambda.
def _bend(value):
    return jnp.tanh(value)


def _as_it_is(value):
    return value


def _bounded(log_value):
    """Logs of numbers that underflowed would swamp a network."""
    return jnp.maximum(log_value, -80.0)
