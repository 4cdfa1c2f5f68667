"""Problems, and an example of every shipped stage, that several test modules share."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import spectral_sim as ss
from spectral_sim.testing._common import QUICK

DATA_KINDS = ("operator", "grouped", "held_out")
KINDS = ("modal", "shells", *DATA_KINDS)


def quickly(function: Callable[[], Any]) -> Any:
    """The result of `function`, compiled with few optimisations."""
    return jax.jit(function, compiler_options=QUICK)()


def on_eight_devices(script: str, file: str) -> Any:
    """What a script prints last, as JSON, on eight devices of the CPU; it may import the test module `file`.

    In a process of its own: the number of devices is fixed when JAX starts.
    """
    here = os.path.dirname(file)
    environment = {
        **os.environ,
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8",
        "JAX_ENABLE_X64": "1",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join([here, os.path.dirname(here), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@functools.cache
def make_problem(kind: str, dtype: Any = np.float64) -> ss.AbstractProblem:
    """A small problem of each kind; the modal one has a mode that is never learnt and one without energy."""
    rng = np.random.default_rng(7)
    if kind == "network":
        return tiny_network(dtype)
    if kind == "modal":
        eigenvalues = np.append(np.arange(1.0, 12.0) ** -1.3, 0.0)
        energies = np.arange(1.0, 13.0) ** -1.6 * rng.uniform(0.5, 2.0, 12)
        energies[5] = 0.0
        return ss.ModalProblem(eigenvalues.astype(dtype), energies.astype(dtype))
    if kind == "shells":
        return ss.power_law(dtype(1.7), dtype(1.9), max_mode=1e4, nodes=40)
    features, held_out = rng.normal(size=(12, 5)) * np.arange(1.0, 6.0) ** -0.7, rng.normal(size=(7, 5))
    targets, held_out_targets = rng.normal(size=(12, 2)), rng.normal(size=(7, 2))
    more: dict[str, Any] = {}
    if kind == "grouped":
        more = {"groups": np.arange(12) % 5, "mass": rng.uniform(0.5, 2.0, 12).astype(dtype)}
    elif kind == "held_out":
        more = {"eval_features": held_out.astype(dtype), "eval_targets": held_out_targets.astype(dtype)}
    else:
        assert kind == "operator"
    return ss.OperatorProblem(features.astype(dtype), targets.astype(dtype), **more)


def two_layers(params: Any, inputs: jax.Array) -> jax.Array:
    """A hidden layer of hyperbolic tangents and a linear one."""
    return jnp.tanh(inputs @ params["hidden"]["weights"] + params["hidden"]["bias"]) @ params["out"]["weights"]


def tiny_network(dtype: Any = np.float64, **options: Any) -> ss.NetworkProblem:
    """Twelve examples of three numbers and a network with two outputs; options are those of `NetworkProblem`."""
    rng = np.random.default_rng(3)
    params = {
        "hidden": {"weights": rng.normal(size=(3, 4)) * 0.8, "bias": rng.normal(size=4) * 0.3},
        "out": {"weights": rng.normal(size=(4, 2)) * 0.7},
    }
    params = jax.tree.map(lambda x: jnp.asarray(x, dtype), params)
    targets = options.pop("targets", rng.normal(size=(12, 2)))
    return ss.NetworkProblem(two_layers, params, rng.normal(size=(12, 3)), targets, **options)


def disturbed(problem: Any) -> Any:
    """The same problem with another learner at the start: other residuals, same spectrum or data."""
    rng = np.random.default_rng(11)
    if isinstance(problem, ss.ModalProblem):
        energies = problem.energies * jnp.asarray(rng.uniform(0.3, 3.0, problem.energies.shape), problem.dtype)
        return ss.ModalProblem(
            problem.eigenvalues,
            energies,
            problem.multiplicity,
            index=problem.index,
            law=problem.law,
            floor=problem.floor,
        )
    sets = {name: getattr(problem, name) for name in ("eval_features", "eval_targets", "eval_mass", "groups")}
    moved = rng.normal(size=problem.initial_parameters.shape)
    return ss.OperatorProblem(
        problem.features, problem.targets, mass=problem.example_mass, initial_parameters=moved, **sets
    )


class Example(NamedTuple):
    """How to build a schedule around one stage.

    Arguments:
        build: `build(**leaves) -> schedule`.
        leaves: values of each array hyperparameter; at the first of them the loss is smooth.
        flat: hyperparameters that the loss depends on in steps, so that the gradient is zero.
        refused: the kinds of problem that the stage refuses.
    """

    build: Callable[..., ss.AbstractStage]
    leaves: Mapping[str, list[Any]] = MappingProxyType({})
    flat: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def _after(observe: Callable[..., ss.AbstractStage]) -> Callable[..., ss.AbstractStage]:
    return lambda **leaves: ss.chain(observe(**leaves), ss.proportional(0.7))


def _before(constrain: Callable[..., ss.AbstractStage]) -> Callable[..., ss.AbstractStage]:
    return lambda **leaves: ss.chain(ss.proportional(1.3), constrain(**leaves))


MODAL_ONLY = DATA_KINDS
DATA_ONLY = ("modal", "shells")

# Every name of the registry needs an entry; a stage that observes or constrains is put into a chain with a rule. What
# follows a comma tells several examples of one stage apart.
EXAMPLES: dict[str, Example] = {
    "band_limit": Example(
        _after(ss.schedules.band_limit), {"k_max": [4.5, 2.5, 30.0]}, flat=("k_max",), refused=MODAL_ONLY
    ),
    "clip": Example(_before(ss.clip), {"low": [0.21, 0.0, 1.0], "high": [1.7, 3.0, 1.0]}),
    "complement": Example(_after(ss.complement), {"training_time": [3.1, 0.4, 200.0]}),
    "complement, alongside": Example(_after(ss.complement), {"exponent": [0.7, 0.9, 2.0]}, refused=MODAL_ONLY),
    "curriculum": Example(ss.curriculum, {"end": [11.0, 3.0, 50.0], "start": [0.33, 0.1, 1.0]}),
    "delay": Example(_after(ss.delay), {"tau": [1.7, 0.0, 60.0]}),
    "excess": Example(_after(ss.excess), {"reference": []}),
    "forgetting": Example(
        _after(ss.schedules.forgetting), {"threshold": [0.5, 0.3]}, flat=("threshold",), refused=DATA_ONLY
    ),
    "frontier_band": Example(ss.schedules.frontier_band, {"width": [1.1, 0.3, 12.0]}),
    "greedy": Example(ss.schedules.greedy),
    "hard_pruning": Example(ss.hard_pruning, {"fraction": [0.57, 0.05, 1.0]}),
    "hard_pruning, scored": Example(ss.hard_pruning, {"fraction": [0.57, 0.05], "score": []}, flat=("score",)),
    "lag": Example(_after(ss.lag), {"tau": [2.3, 0.0, 40.0]}),
    "leverage_sampling": Example(ss.schedules.leverage_sampling, refused=DATA_ONLY),
    "mix": Example(_before(ss.mix), {"eps": [0.3, 0.0, 1.0]}),
    "add_noise": Example(_after(ss.schedules.add_noise), {"sigma": [0.6, 0.0, 2.0]}),
    "power_tilt": Example(ss.power_tilt, {"exponent": [0.6, -0.4, 0.0], "cutoff": [4.3, 1.0, 1e3]}, refused=MODAL_ONLY),
    "proportional": Example(ss.proportional, {"power": [0.8, 0.0, 2.0]}),
    "random_pruning": Example(
        ss.schedules.random_pruning, {"fraction": [0.57, 0.05, 1.0], "seed": [3, 0, 1]}, flat=("seed",)
    ),
    "self_scoring": Example(_after(ss.self_scoring), {"threshold": [0.4, 0.05, 3.0], "sharpness": [1.3, 0.5, np.inf]}),
    "shell_average": Example(lambda: ss.chain(ss.shell_average(3), ss.proportional(0.7))),
    "smooth": Example(_before(ss.smooth), {"tau": [2.3, 0.0, 40.0]}),
    "softmax": Example(ss.softmax, {"temperature": [0.9, 0.2, 7.0]}),
    "stale": Example(_after(ss.stale), {"period": [1.9, 0.0, 25.0]}, flat=("period",)),
    "static_weights": Example(ss.static_weights, {"values": []}),  # as many as the problem has: see `leaf_values`
    "subsample": Example(_after(ss.schedules.subsample), {"fraction": [0.47, 0.1, 1.0]}, flat=("fraction",)),
    "teacher": Example(
        _after(ss.teacher),
        {"training_time": [2.9, 0.3, 200.0], "threshold": [0.4, 0.1, 3.0], "sharpness": [1.3, 0.5, np.inf]},
    ),
    "teacher, distance": Example(
        _after(functools.partial(ss.teacher, shows="distance")),
        {"training_time": [2.9, 0.3, 200.0], "threshold": [0.4, 0.1, 3.0], "sharpness": [1.3, 0.5, np.inf]},
        flat=("threshold", "sharpness"),
    ),
    "teacher, other spectrum": Example(
        lambda training_time, exponent: ss.chain(
            ss.teacher(training_time, sharpness=1.3, exponent=exponent), ss.proportional(0.7)
        ),
        {"training_time": [2.9, 0.3, 200.0], "exponent": [1.1, 0.7, 2.0]},
        refused=MODAL_ONLY,
    ),
    "top_fraction": Example(ss.top_fraction, {"fraction": [0.43, 0.05, 1.0]}),
    "uniform": Example(ss.uniform),
    "water_filling": Example(ss.water_filling, refused=MODAL_ONLY),
}


def stage_of(name: str) -> str:
    """The registered name of the stage that an example is of."""
    return name.partition(",")[0]


def leaf_values(name: str, problem: ss.AbstractProblem) -> Mapping[str, list[Any]]:
    """Three values of each array hyperparameter of the example of a stage."""
    rng, size, leaves = np.random.default_rng(5), problem.mass.shape[0], EXAMPLES[name].leaves
    if name == "static_weights":
        return {"values": list(rng.exponential(size=(3, size)))}
    if name == "excess":
        return {"reference": list(0.05 * rng.exponential(size=(2, size)) * np.arange(1.0, size + 1) ** -1.6)}
    if "score" in leaves:  # all different, where a small move leaves the order; then some that are tied
        tied = rng.integers(0, 1 + size // 2, size=size).astype(float)
        return {**leaves, "score": [rng.permutation(size).astype(float), tied]}
    return leaves


def example(name: str, problem: ss.AbstractProblem) -> ss.AbstractStage:
    """The example of a stage, with the first of its values."""
    return EXAMPLES[name].build(**{leaf: values[0] for leaf, values in leaf_values(name, problem).items()})
