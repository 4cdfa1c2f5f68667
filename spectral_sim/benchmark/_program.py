"""Compile a program and learn what it costs: first call, memory, the compiler's own count of its work."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ._result import Program
from ._timing import spread


@contextmanager
def uncached() -> Iterator[None]:
    """Compile anew inside the block: what an earlier process has left in JAX's cache on disk is not looked at."""
    from jax.experimental.compilation_cache import compilation_cache

    before = jax.config.values["jax_enable_compilation_cache"]
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # JAX asks once per process whether there is one
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
        compilation_cache.reset_cache()


@dataclass(frozen=True)
class Body:
    """One pass of the inner loop of a program, as a function of its own, and how often it runs."""

    function: Callable[..., Any]
    arguments: tuple
    passes: int


class Compiled:
    """A function compiled for its arguments, which stay on the device, and run once; call it to run it again.

    Arguments:
        name: what it computes.
        function, arguments: arrays as arguments, so that nothing is folded into constants.
        body: the inner loop, for the count of work, which is left out where it is None.
        dtype: of its arithmetic.
    """

    def __init__(self, name: str, function: Callable[..., Any], *arguments: Any, body: Body | None = None, dtype: Any):
        self.name, self.arguments, self.dtype = name, arguments, np.dtype(dtype).name
        with uncached():
            begin = time.perf_counter()
            self._executable = jax.jit(function).lower(*arguments).compile()
            self.result = jax.block_until_ready(self())
        self.first_call = time.perf_counter() - begin
        self._work = {} if body is None else _work(body)

    def __call__(self) -> Any:
        return self._executable(*self.arguments)

    def measured(self, seconds: np.ndarray) -> Program:
        """The record of it, with the seconds of steady runs, shape (rounds,)."""
        try:
            memory = self._executable.memory_analysis()
        except (NotImplementedError, jax.errors.JaxRuntimeError):
            memory = None
        size = lambda kind: None if memory is None else int(getattr(memory, f"{kind}_size_in_bytes"))
        return Program(
            *(self.name, self.first_call, spread(seconds), size("temp")),
            **self._work,
            dtype=self.dtype,
            argument_bytes=size("argument"),
            output_bytes=size("output"),
        )


def _work(body: Body) -> dict[str, float | None]:
    """The compiler counts the body of a loop once, however often it runs; so it is asked about the body alone."""
    try:
        cost = jax.jit(body.function).lower(*body.arguments).compile().cost_analysis() or {}
    except (NotImplementedError, jax.errors.JaxRuntimeError):
        return {}
    names = {"flops": "flops", "transcendentals": "transcendentals", "bytes_accessed": "bytes accessed"}
    return {name: cost[key] * body.passes if key in cost else None for name, key in names.items()}
