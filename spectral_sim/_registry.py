"""Names of stages, dynamics and metrics: what files and sweeps use to say which class they mean."""

from collections.abc import Callable
from typing import TypeVar, overload

from ._checks import nearest
from ._identity import identity

Class = TypeVar("Class", bound=type)

_BASES: dict[str, type] = {}
_CLASSES: dict[str, dict[str, type]] = {}


def family(kind: str, base: type) -> None:
    """Say that subclasses of `base` are registered under `kind`; called once by the module that defines `base`."""
    _BASES[kind] = base
    _CLASSES.setdefault(kind, {})


@overload
def register(cls: Class, *, name: str | None = None) -> Class: ...


@overload
def register(cls: None = None, *, name: str | None = None) -> Callable[[Class], Class]: ...


def register(cls: Class | None = None, *, name: str | None = None) -> Class | Callable[[Class], Class]:
    """Make a stage, dynamics or metric known by name, so that it can be saved, loaded and swept.

    Use it as a decorator, `@register` or `@register(name="...")`. The module that defines the class has to be imported
    before a file that names it is loaded: loading executes no code.

    Arguments:
        cls: a concrete subclass of `AbstractStage`, `AbstractDynamics` or a metric; None for a decorator.
        name: what it is called in files and paths; the name of the class, as written, if None.

    Returns:
        `cls` itself, or the decorator.

    Raises:
        TypeError: something else than a class of these families, or an abstract one.
        ValueError: another class has that name. Running the definition of the same class again replaces it; classes
            that a function makes are the same where they compute the same.
    """
    if cls is None:
        return lambda cls: register(cls, name=name)
    kind = _kind_of(cls)
    missing = ", ".join(sorted({*getattr(cls, "__abstractmethods__", ()), *getattr(cls, "__abstractclassvars__", ())}))
    if missing:
        raise TypeError(f"{cls.__name__} cannot be registered, since it does not define {missing}.")
    name = cls.__name__ if name is None else name
    other = _CLASSES[kind].get(name, cls)
    if not _is_same(other, cls):
        raise ValueError(
            f"the {kind} name {name!r} belongs to {other.__module__}.{other.__qualname__} already: rename "
            f"{cls.__module__}.{cls.__qualname__}, which is another class, or pass register(cls, name=...)."
        )
    _CLASSES[kind][name] = cls
    return cls


def registered(kind: str, name: str) -> type:
    """The class of a name.

    Arguments:
        kind: "stage", "dynamics" or "metric".
        name: the name it was registered under.

    Raises:
        LookupError: no such class; the message says what to do.
    """
    if name not in _CLASSES[kind]:
        raise LookupError(
            f"no {kind} is registered as {name!r}: decorate your own class with @register and import its module "
            f"first.{nearest(name, _CLASSES[kind])}"
        )
    return _CLASSES[kind][name]


def registered_name(cls: type) -> str | None:
    """The name that a class was registered under; None if it was not."""
    for classes in _CLASSES.values():
        for name, known in classes.items():
            if _is_same(known, cls):
                return name
    return None


def _kind_of(cls: type) -> str:
    if isinstance(cls, type):
        for kind, base in _BASES.items():
            if issubclass(cls, base):
                return kind
    bases = ", ".join(base.__name__ for base in _BASES.values())
    raise TypeError(f"register() was given {cls!r}: it takes a subclass of one of {bases}.")


def _is_same(one: type, other: type) -> bool:
    """Whether two classes come from one definition, which a notebook may have run twice.

    A function may make many classes of one name: those are compared by what they compute.
    """
    if one is other:
        return True
    if (one.__module__, one.__qualname__) != (other.__module__, other.__qualname__):
        return False
    try:
        return "<locals>" not in one.__qualname__ or identity(one) == identity(other)
    except TypeError:  # a class closes over what cannot be compared
        return False
