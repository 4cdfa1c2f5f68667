"""The identity of a value covers all that it computes with, and is the same in every process."""

import enum
import functools
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import spectral_sim as ss
from spectral_sim._identity import describe, difference, identity

RATE = 3.0
TABLE = np.arange(5.0)


def shared(x):
    return RATE * x


def reads_globals(x):
    return shared(x) + TABLE[0]


def reads_a_nested_global(x):
    return jax.vmap(lambda row: reads_globals(row))(x)


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n > 0 and even(n - 1)


def closed_over(value):
    def rate(step):
        return value * jnp.exp(-step)

    return rate


def with_default(value):
    def rate(step, by=value):
        return by * step

    return rate


def with_keyword(value):
    def rate(step, *, by=value):
        return by * step

    return rate


class Rate:
    def __init__(self, value):
        self.value = value

    def __call__(self, step):
        return self.value * step


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


class Stage(eqx.Module):
    scale: jax.Array = eqx.field(converter=jnp.asarray)
    kind: str = eqx.field(static=True, default="a")

    def __call__(self, x):
        return self.scale * x


def of_class(value):
    class Local(eqx.Module):
        def __call__(self, x):
            return value * x

    return Local()


class Halved(float):
    """A number that multiplies otherwise than the one it looks like."""

    def __mul__(self, other):
        return float(self) * other / 2


class Named(str):
    """A text with an attribute that computes."""


def named(value):
    text = Named("rate")
    text.factor = value
    return text


class Kind(enum.IntEnum):
    SLOW = 1
    FAST = 2


class OtherKind(enum.IntEnum):
    SLOW = 1
    FAST = 3


def adam_at(value):
    return optax.adam(optax.exponential_decay(value, 3, 0.5))


VARIED = {
    "closure": closed_over,
    "closure of a closure": lambda value: closed_over(closed_over(value)),
    "array in a closure": lambda value: closed_over(jnp.full(40, value)),
    "jitted": lambda value: jax.jit(closed_over(value)),
    "filter-jitted": lambda value: eqx.filter_jit(closed_over(value)),
    "mapped": lambda value: jax.vmap(closed_over(value)),
    "differentiated": lambda value: jax.grad(closed_over(value)),
    "custom derivative": lambda value: jax.custom_jvp(closed_over(value)),
    "wrapped": lambda value: functools.wraps(shared)(closed_over(value)),
    "cached": lambda value: functools.lru_cache(closed_over(value)),
    "default": with_default,
    "keyword": with_keyword,
    "partial": lambda value: functools.partial(shared, value),
    "partial by name": lambda value: functools.partial(shared, x=value),
    "jax partial": lambda value: jax.tree_util.Partial(shared, jnp.asarray(value)),
    "callable": Rate,
    "method": lambda value: Rate(value).__call__,
    "slots": Slotted,
    "module": Stage,
    "static field": lambda value: Stage(1.0, str(value)),
    "class in a function": of_class,
    "schedule": lambda value: optax.piecewise_constant_schedule(value, {1000: 0.5}),
    "boundaries": lambda value: optax.piecewise_constant_schedule(1.0, {1000: value}),
    "joined schedules": lambda value: optax.warmup_cosine_decay_schedule(0.0, value, 10, 100),
    "optimiser": optax.adam,
    "chain of optimisers": lambda value: optax.chain(optax.clip(1.0), adam_at(value)),
    "dynamics": lambda value: ss.SGDMoments(
        learning_rate=0.1, batch_size=optax.piecewise_constant_schedule(value, {9: 0.5}), noise_variance=0.0
    ),
    "subclass of float": lambda value: closed_over(Halved(value)),
    "float or subclass": lambda value: value if value < 2 else Halved(1.5),
    "attribute of a text": named,
    "member of an enumeration": lambda value: Kind.SLOW if value < 2 else Kind.FAST,
    "number or member": lambda value: 1 if value < 2 else Kind.SLOW,
    "enumeration": lambda value: (Kind if value < 2 else OtherKind).SLOW,
    "set": lambda value: {"a", "b", str(value)},
    "dictionary": lambda value: {1: value, "b": 2},
    "range": lambda value: range(int(10 * value)),
    "lambdas": lambda value: (lambda x: x + 1) if value < 2 else (lambda x: x + 2),
    "network": lambda value: eqx.nn.MLP(2, 1, int(10 * value), 1, key=jax.random.key(0)),
    "dtype": lambda value: np.zeros(3, np.float32 if value < 2 else np.float64),
    "shape": lambda value: np.zeros((6, 1) if value < 2 else (3, 2)),
    "no axis": lambda value: np.zeros(() if value < 2 else (1,)),
    "objects": lambda value: np.array([value, None], object),
}


@pytest.mark.parametrize("kind", VARIED)
def test_what_computes_alike_is_the_same_and_what_differs_in_one_number_is_not(kind):
    make = VARIED[kind]
    assert identity(make(1.5)) == identity(make(1.5))
    assert identity(make(1.5)) != identity(make(2.5))
    assert "2.5" in (told := difference(describe(make(2.5)), describe(make(1.5)))) or "here" in told


@pytest.mark.parametrize("function", [reads_globals, reads_a_nested_global, Rate(1.0), even])
def test_globals_that_are_read_count_and_others_do_not(function, monkeypatch):
    before = identity(function)
    here = sys.modules[__name__]
    monkeypatch.setattr(here, "VARIED", {})
    assert identity(function) == before
    if function in (reads_globals, reads_a_nested_global):
        monkeypatch.setattr(here, "RATE", 4.0)
        assert identity(function) != before
        monkeypatch.undo()
        monkeypatch.setattr(here, "TABLE", np.arange(1.0, 6.0))
        assert identity(function) != before


def test_a_module_of_ones_own_is_followed_to_what_is_read_of_it(tmp_path, monkeypatch):
    (tmp_path / "own_settings.py").write_text("RATE = 2.0\nOTHER = 1.0\ndef twice(x):\n    return RATE * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    import own_settings  # pyright: ignore[reportMissingImports]

    def through(x):
        return own_settings.twice(x)

    def inside(x):
        from own_settings import RATE as rate  # pyright: ignore[reportMissingImports]

        return rate * x

    before = identity(through), identity(inside)
    own_settings.OTHER = 5.0
    assert (identity(through), identity(inside)) == before
    own_settings.RATE = 5.0
    assert identity(through) != before[0]
    assert identity(inside) != before[1]

    def whole(x):
        import own_settings

        return vars(own_settings)["RATE"] * x

    with pytest.raises(TypeError, match="own_settings is <module 'own_settings'"):
        identity(whole)


def test_the_code_of_a_class_of_ones_own_counts():
    source = (
        "import equinox as eqx\nclass S(eqx.Module):\n    a: float\n    def __call__(self, x):\n        return {}\n"
    )
    made = []
    for body in ("self.a * x", "self.a * x", "self.a + x"):
        scope = types.ModuleType("somewhere")
        exec(source.format(body), vars(scope))
        made.append(identity(scope.S(1.0)))
    assert made[0] == made[1] != made[2]


def by_globals(x):
    return globals()["RATE"] * x


def by_eval(x):
    return eval("RATE") * x


def by_function(x):
    return shared.__globals__["RATE"] * x


def by_frame(x):
    return sys._getframe().f_globals["RATE"] * x


def by_module(x):
    return sys.modules[__name__].RATE * x


def by_environment(x):
    return float(os.environ["RATE"]) * x


def by_import(x):
    from importlib import import_module

    return import_module(__name__).RATE * x


HIDDEN = {
    by_globals: "globals",
    by_eval: "eval",
    by_function: "__globals__",
    by_frame: "sys._getframe",
    by_module: "sys.modules",
    by_environment: "os.environ",
    by_import: "import_module",
}


@pytest.mark.parametrize("function", HIDDEN, ids=lambda function: function.__name__)
def test_code_that_may_read_anything_is_refused(function):
    inner = lambda x: [function(y) for y in x]
    for value in (function, jax.jit(function), inner):
        with pytest.raises(TypeError, match=rf"\.{HIDDEN[function]} may reach any value: .* give an"):
            identity(value)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (lambda: closed_over(sys.stderr), "rate.value is <.*(TextIO|File)"),
        (lambda: {"rates": [1.0, (i for i in range(3))]}, r"rate.rates\[1\] is <generator"),
        (lambda: Rate(types.ModuleType("own")), "<module 'own'>"),
        (lambda: sys._getframe(), "rate is <frame"),
    ],
)
def test_what_cannot_be_told_is_refused_by_name_with_a_fix(value, name):
    with pytest.raises(TypeError, match=f"{name}.*: give an equinox Module, a jax.tree_util.Partial"):
        describe(value(), "rate")


def test_identities_are_the_same_in_every_process():
    """Also with another hash seed, where sets and attributes come in another order."""
    kinds = [kind for kind in VARIED if kind != "network"]
    script = f"import json, test_identity as t\nprint(json.dumps([t.identity(t.VARIED[k](1.5)) for k in {kinds}]))"
    here = Path(__file__).resolve().parent
    paths = os.pathsep.join([str(here), str(here.parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "77", "JAX_ENABLE_X64": "1"}
    run = [sys.executable, "-c", script]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [identity(VARIED[kind](1.5)) for kind in kinds]


def test_what_installed_packages_hold_goes_by_name_and_version():
    assert describe(jax.nn.relu) == {"name": f"jax._src.nn.functions.relu of jax {jax.__version__}"}
    assert describe(np.exp) == {"name": f"numpy.exp of numpy {np.__version__}"}
    assert describe(ss.power_law) == {"name": "spectral_sim.problems._power_law.power_law"}


def test_instances_do_not_change_their_class():
    """Pickling a class writes an attribute into it; that is not part of what it computes."""
    before = identity(Slotted)
    identity(Slotted(1.0))
    assert identity(Slotted) == before
