"""A second model in a configuration: the options of `teacher` and `complement` that say what its features are."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..problems import torus
from ._config import TorusProblem
from ._data import LearningTask
from ._errors import UserError, check_type, explained
from ._features import Features

__all__ = ["SecondModel", "second_model_of", "second_on_modes"]

SecondModel = Callable[[dict[str, Any], str], Any]
"""(options of the stage, place for messages) -> features of the second model, None for those of the learner.

What it reads is taken out of the options."""

_KERNEL_OPTIONS = {"kernel": str, "features": int, "method": str, "bandwidth": float}


def second_model_of(source: Any, task: LearningTask | None, precision: str) -> SecondModel:
    """What a second model may be beside a problem: on data another kernel, on a torus or on modes another spectrum.

    Arguments:
        source: the problem as it is configured.
        task: the data of it, None for a problem that is given by its spectrum.
        precision: "float32" or "float64".
    """
    if task is not None:
        return _second_kernel(task)
    return _second_torus(source, precision) if isinstance(source, TorusProblem) else second_on_modes


def _second_kernel(task: LearningTask) -> SecondModel:
    """Another kernel of the same inputs: kernel, and where it leaves them open features, method and bandwidth."""

    def build(options: dict[str, Any], where: str) -> Any:
        for spectrum in ("exponent", "eigenvalues"):
            if spectrum in options:
                raise UserError(f'{where}.{spectrum} is for modes: on data name a kernel, such as kernel = "linear".')
        given = {name: options.pop(name) for name in _KERNEL_OPTIONS if name in options}
        for name, value in given.items():
            check_type(value, _KERNEL_OPTIONS[name], f"{where}.{name}")
        if not given:
            return None
        with explained(where):
            return task.second_features(
                Features(given.get("kernel", "rbf"), given.get("method"), given.get("features"), given.get("bandwidth"))
            )

    return build


def _second_torus(source: TorusProblem, precision: str) -> SecondModel:
    """Another power law on the same points and in the same basis: exponent."""

    def build(options: dict[str, Any], where: str) -> Any:
        for name in (*_KERNEL_OPTIONS, "eigenvalues"):
            if name in options:
                raise UserError(
                    f"{where}.{name} is not for a torus: give exponent, of the second kernel's eigenvalues."
                )
        if "exponent" not in options:
            return None
        exponent = options.pop("exponent")
        check_type(exponent, float, f"{where}.exponent")
        number = np.dtype(precision).type
        with explained(f"{where}.exponent"):
            return torus(
                number(exponent), number(source.beta), source.num_examples, source.basis, seed=source.seed
            ).features

    return build


def second_on_modes(options: dict[str, Any], where: str) -> Any:
    """Modes have no inputs: exponent and eigenvalues are options of the stages themselves."""
    for name in _KERNEL_OPTIONS:
        if name in options:
            raise UserError(f"{where}.{name} needs a data set with inputs; on modes give exponent or eigenvalues.")
    return None
