"""What the reader of the sources cannot see: constructors of modules and of named tuples, links, plain signatures."""

import re
import sys
from pathlib import Path
from typing import Any

import griffe

sys.path.insert(0, str(Path(__file__).parent))
from site_links import address_of, linked

_FUNCTION_LIKE = {"Enum", "IntEnum", "StrEnum", "Protocol", "TypedDict"}
_ARRAYS = {"Float", "Int", "Bool", "Complex"}
_TOGETHER = re.compile(r"^    (\w+(?:, \w+)+): (.*)$")
_CLASS_ATTRIBUTES = re.compile(r"^(.*[Cc]lass attributes.*:)\n((?:    .*(?:\n|$))+)", re.M)
# What a field accepts, where a converter makes an array of it.
_CONVERTED = {"as_inexact": "ArrayLike | PerRefresh", "jnp.asarray": "ArrayLike"}


class Signatures(griffe.Extension):
    """Give equinox modules and named tuples the constructor that their fields make."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Go through everything that the package defines."""
        if pkg.path == "spectral_sim":
            _visit(pkg)


def _visit(scope: griffe.Module | griffe.Class) -> None:
    for member in list(scope.members.values()):
        if member.is_alias:
            continue
        if member.docstring:
            member.docstring.value = linked(_apart(_listed(member.docstring.value)), _own(member, scope))
        if member.is_function and any(str(decorator.value) == "optional" for decorator in member.decorators):
            member = _as_property(member, scope)
        if member.is_function:
            _simplify(member)
        elif member.is_attribute:
            _name_axes(member.annotation)
        if member.is_class:
            _add_constructor(member)
        if member.is_class or member.is_module:
            _visit(member)


def _own(member: Any, scope: griffe.Module | griffe.Class) -> set[str]:
    """Names that mean an argument or a member where `member` is described, whatever else has such a name."""
    functions = [member] if member.is_function else []
    if member.is_class:
        functions += [inner for inner in member.members.values() if inner.is_function]
    arguments = {parameter.name for function in functions for parameter in function.parameters}
    members = {name for cls in (member, scope) if cls.is_class for name in cls.members}
    return arguments | members


def _listed(text: str) -> str:
    """`text` with a list of the attributes of a class, which is no section that the reader of docstrings knows."""

    def entries(match: re.Match[str]) -> str:
        items = re.sub(r"^    (\w+): ", r"- `\1`: ", match[2], flags=re.M)
        return f"{match[1]}\n\n{re.sub(r'^ {8}', '    ', items, flags=re.M)}"

    return _CLASS_ATTRIBUTES.sub(entries, text)


def _apart(text: str) -> str:
    """`text` with an entry of its own for each argument of an entry such as "low, high: ends of the range"."""
    lines, waiting = [], []
    for line in [*text.split("\n"), ""]:
        if waiting and not line.startswith(" " * 8):
            lines += waiting
            waiting = []
        match = _TOGETHER.match(line)
        if match:
            first, *others = match[1].split(", ")
            lines.append(f"    {first}: {match[2]}")
            waiting = [f"    {name}: see `{first}`." for name in others]
        else:
            lines.append(line)
    return "\n".join(lines[:-1])


def _as_property(function: griffe.Function, scope: griffe.Class) -> griffe.Attribute:
    """What a problem has by default, and a subclass may give as a field: it is read without a call."""
    found = griffe.Attribute(function.name, annotation=function.returns, docstring=function.docstring, parent=scope)
    found.labels.add("property")
    scope.set_member(function.name, found)
    return found


def _simplify(function: griffe.Function) -> None:
    for parameter in function.parameters:
        _name_axes(parameter.annotation)
        name = str(parameter.default)
        if name.isidentifier() and name.isupper() and not address_of(name):  # what has no page says nothing by its name
            parameter.default = function.module.members[name].value
        if parameter.kind in (griffe.ParameterKind.var_positional, griffe.ParameterKind.var_keyword):
            parameter.default = None
    _name_axes(function.returns)


def _name_axes(annotation: Any) -> None:
    """Write the axes of an array as names, whether there are several or one: Float[Array, examples, outputs]."""
    if not isinstance(annotation, griffe.Expr):
        return
    for part in annotation.iterate(flat=False):
        if part is not annotation:
            _name_axes(part)
    is_array = isinstance(annotation, griffe.ExprSubscript) and str(annotation.left) in _ARRAYS
    if is_array and isinstance(annotation.slice, griffe.ExprTuple):
        array, *axes = annotation.slice.elements
        names = [name for axis in axes for name in str(axis).strip("'\" ").split()]
        annotation.slice = griffe.ExprTuple([array, *names], implicit=True) if names else array


def _add_constructor(cls: griffe.Class) -> None:
    bases = {str(base).rpartition(".")[2] for base in cls.bases}
    decorated = any("dataclass" in str(decorator.value) for decorator in cls.decorators)
    if not bases or decorated or bases & _FUNCTION_LIKE or "__init__" in cls.members:
        return
    parameters = [griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)]
    for scope in (*reversed(cls.mro()), cls):
        parameters += [_parameter(member) for member in scope.members.values() if _is_field(member)]
    if len(parameters) > 1:
        init = griffe.Function("__init__", parameters=griffe.Parameters(*parameters), parent=cls, lineno=0, endlineno=0)
        cls.set_member("__init__", init)


def _is_field(member: Any) -> bool:
    if member.is_alias or not member.is_attribute or member.annotation is None or "property" in member.labels:
        return False
    if "ClassVar" in str(member.annotation) or "AbstractVar" in str(member.annotation):
        return False
    return "instance-attribute" in member.labels or "class-attribute" not in member.labels


def _parameter(field: Any) -> griffe.Parameter:
    default, annotation = field.value, field.annotation
    if isinstance(default, griffe.ExprCall) and str(default.function).endswith("field"):
        named = {argument.name: argument.value for argument in default.arguments if hasattr(argument, "name")}
        default = named.get("default") or ("..." if "default_factory" in named else None)
        annotation = _CONVERTED.get(str(named.get("converter")), annotation)
    kind = griffe.ParameterKind.positional_or_keyword
    return griffe.Parameter(field.name, annotation=annotation, kind=kind, default=default)
