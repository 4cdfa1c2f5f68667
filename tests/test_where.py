"""The package's `where` against that of JAX, in every kind of argument, and that no other is used."""

import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import spectral_sim
from spectral_sim._where import where

CONDITIONS = [True, np.bool_(False), np.array([True, False, True]), jnp.array([[True], [False]])]
VALUES = [
    *(0.0, 1, True, jnp.inf, np.float32(2), np.float64(3), jnp.int32(4)),
    *(np.arange(3.0), np.arange(3, dtype=np.float32), jnp.arange(3), jnp.ones((2, 3), jnp.float32), jnp.ones((2, 1))),
]


def test_same_values_dtypes_and_weak_types():
    asked = list(itertools.product(CONDITIONS, VALUES, VALUES))
    for (found, expected), words in zip(jax.jit(both)(), asked, strict=True):
        assert (found.dtype, found.shape, found.weak_type) == (expected.dtype, expected.shape, expected.weak_type)
        np.testing.assert_array_equal(found, expected, err_msg=str(words))


def both():
    return [(where(*words), jnp.where(*words)) for words in itertools.product(CONDITIONS, VALUES, VALUES)]


def test_it_leaves_no_program_inside_the_one_that_is_traced():
    traced = jax.make_jaxpr(lambda x: where(x > 0, x, 0.0))(jnp.ones(3))
    assert [str(equation.primitive) for equation in traced.eqns if "jit" in str(equation.primitive)] == []


def test_no_module_uses_another():
    root = Path(spectral_sim.__file__).parent
    users = [file.name for file in root.rglob("*.py") if "jnp.where(" in file.read_text(encoding="utf-8")]
    assert users == ["_where.py"]
