"""Reads a configuration file, and says of a mistake where it is and how to put it right."""

import tomllib
import typing
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from .._checks import nearest
from ._config import PROBLEMS, TIMES_TAGS, Config
from ._errors import UserError

C = TypeVar("C", bound=Config)
M = TypeVar("M", bound=BaseModel)


def read_config(path: Path, model: type[C] = Config) -> C:
    """Parse and check a TOML file; stages and files that it names are checked when they are built.

    Arguments:
        path: the file.
        model: what may stand in it.

    Raises:
        UserError: no such file, no TOML, or a key or value that is not understood.
    """
    if not path.is_file():
        raise UserError(f"{path} is not a file: check the name, or print an example with --example.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}.") from error
    return parsed(text, model, str(path), "; compare it with --example")


def parsed(text: str, model: type[M], name: str, fix: str = "") -> M:
    """What a text in TOML says; `fix` ends the message where it is none."""
    try:
        values = tomllib.loads(text)
        return model.model_validate(values)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{name} is not valid TOML: {error}{fix}.") from error
    except ValidationError as error:
        # an unknown key comes first: it is often the misspelt name of one that is missing
        mistakes = sorted(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")
        more = f" ({len(mistakes) - 1} more after that.)" if len(mistakes) > 1 else ""
        raise UserError(f"{name}: {_explain(dict(mistakes[0]), values, model)}{more}") from error


def _explain(mistake: dict[str, Any], values: dict[str, Any], whole: type[BaseModel]) -> str:
    kind, place = mistake["type"], _place(mistake["loc"])
    key, value = _key(place), mistake["input"]
    if kind == "extra_forbidden":
        return f"{key}: unknown key.{nearest(str(place[-1]), _model(place[:-1], values, whole).model_fields)}"
    if kind == "missing":
        model = _model(place[:-1], values, whole)
        required = [name for name, field in model.model_fields.items() if field.is_required()]
        return f"{key} is missing: {_key(place[:-1]) or 'the file'} needs {', '.join(required)}."
    if kind == "union_tag_not_found":
        return f"{key}.kind is missing.{nearest('', PROBLEMS)}"
    if kind == "union_tag_invalid":
        tag = str(mistake["ctx"]["tag"])
        return f"{key}.kind = {tag!r} is not known.{nearest(tag, PROBLEMS)}"
    if kind == "literal_error":
        valid = mistake["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return f"{key} = {value!r} is not known.{nearest(str(value), valid)}"
    message = mistake["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(value, dict | list) else f" = {value!r}"
    return f"{key}{shown}: {message[0].lower()}{message[1:]}."


def _place(location: tuple[Any, ...]) -> tuple[Any, ...]:
    """Where in the file: the location that pydantic gives without the names of alternatives."""
    tags = {"problem": tuple(PROBLEMS), "times": TIMES_TAGS}.get(str(location[0]) if location else "", ())
    return location[:1] + location[2:] if len(location) > 1 and location[1] in tags else location


def _key(place: tuple[Any, ...]) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def _model(place: tuple[Any, ...], values: dict[str, Any], whole: type[BaseModel]) -> type[BaseModel]:
    """What may stand at a place."""
    if not place:
        return whole
    models = _models(whole.model_fields[place[0]].annotation)
    if len(models) == 1:
        return models[0]
    problem = values.get("problem")  # which may be of several kinds
    return PROBLEMS.get(str(problem.get("kind")) if isinstance(problem, dict) else "", whole)


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models(part)]
