"""Pages that cannot rot: their code runs, their commands exist, and every public name has a page and an example."""

import ast
import dataclasses
import enum
import importlib
import inspect
import re
import sys
import tomllib

import jax
import pytest
from doc_blocks import ROOT, blocks, pages, shell_errors, wrong_outputs

from spectral_sim import _registry

sys.path.insert(0, str(ROOT / "docs"))
from site_links import packages

PACKAGES = ("", *packages())
LANGUAGES = {"python", "sh", "text", "toml", "csv"}
API = ROOT / "docs" / "api"
ENTRY = re.compile(r"^ {4,}(\*{0,2}\w+(?:, \w+)*):", re.M)
WITH_PYTHON = [page for page in pages() if any(block.language == "python" for block in blocks(page.read_text()))]


def place(page):
    return page.relative_to(ROOT).as_posix()


SLOW = {"docs/loss_curves.md"}  # fits and searches; docs/start/runs.md and docs/api/learning.md have smaller ones
RUN = [pytest.param(page, marks=[pytest.mark.slow] if place(page) in SLOW else []) for page in WITH_PYTHON]


@pytest.mark.parametrize("page", RUN, ids=place)
def test_code_runs_and_prints_what_the_page_says(page, tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    before = jax.config.jax_enable_x64
    for kind, known in _registry._CLASSES.items():  # a page registers classes of its own, and is read by itself
        own = {name: cls for name, cls in known.items() if cls.__module__.startswith("spectral_sim.")}
        monkeypatch.setitem(_registry._CLASSES, kind, own)
    try:
        wrong = wrong_outputs(page, {"__name__": "page"}, tmp_path)
    finally:
        jax.config.update("jax_enable_x64", before)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", pages(), ids=place)
def test_blocks_are_of_a_kind_that_is_checked(page):
    errors = []
    for block in blocks(page.read_text(encoding="utf-8")):
        where = f"{place(page)}:{block.line}"
        if block.language not in LANGUAGES:
            errors.append(f"{where}: a block of {block.language or 'no language'}; use one of {sorted(LANGUAGES)}")
        elif block.language == "sh":
            errors += [f"{where}: {error}" for error in shell_errors(block.code)]
        elif block.language == "toml":
            tomllib.loads(block.code)
    assert not errors, "\n".join(errors)


def test_wrong_shell_commands_are_found():
    assert shell_errors("make nothing && spectral-sim assess x --no-such\nfoo 1\npip install 'spectral_sim[nil]'") == [
        "make nothing: no such target",
        "--no-such: not an option of assess",
        "foo: not a command that these pages may show",
        "nil: no such extra",
    ]


def documented():
    """Every object that a page of the reference documents, by identity, and every address."""
    found, addresses = set(), []
    for page in API.glob("*.md"):
        for address in re.findall(r"^::: (spectral_sim[\w.]*)$", page.read_text(encoding="utf-8"), re.M):
            module, _, name = address.rpartition(".")
            found.add(id(getattr(importlib.import_module(module), name)))
            addresses.append(address)
    return found, addresses


def public():
    """Address and object of every public name, packages apart."""
    for package in PACKAGES:
        module = importlib.import_module(f"spectral_sim.{package}".rstrip("."))
        for name in module.__all__:
            value = getattr(module, name)
            if not inspect.ismodule(value):
                yield f"{module.__name__}.{name}", value


def test_every_public_name_has_a_page():
    found, addresses = documented()
    missing = [address for address, value in public() if id(value) not in found and address not in addresses]
    assert not missing, "add these to a page of docs/api: " + ", ".join(missing)
    assert len(addresses) == len(set(addresses)), "documented twice"


def test_every_public_name_has_an_example():
    """An executed block of the site or the README uses it."""
    used = set()
    for page in WITH_PYTHON:
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.language == "python":
                for node in ast.walk(ast.parse(block.code)):
                    used |= {node.id} if isinstance(node, ast.Name) else set()
                    used |= {node.attr} if isinstance(node, ast.Attribute) else set()
                    used |= {alias.name for alias in node.names} if isinstance(node, ast.ImportFrom) else set()
    missing = sorted({address for address, _ in public() if address.rpartition(".")[2] not in used})
    assert not missing, "no example uses " + ", ".join(missing)


def parts(value):
    """What a reader has to be told of: the members of an enumeration, the fields of a class, and all arguments."""
    if inspect.isclass(value) and issubclass(value, enum.Enum):
        return list(value.__members__)
    is_record = inspect.isclass(value) and dataclasses.is_dataclass(value)
    fields = [field.name for field in dataclasses.fields(value)] if is_record else []
    arguments = [name for name in inspect.signature(value).parameters if name not in ("self", "cls", "args", "kwargs")]
    return [name for name in dict.fromkeys([*fields, *arguments]) if not name.startswith("_")]


def to_be_described():
    """Public classes and functions, and the methods that a class of one's own may define."""
    for address, value in public():
        if not callable(value) or (inspect.isclass(value) and issubclass(value, BaseException)):
            continue
        yield address, value
        if inspect.isabstract(value):
            for name, member in inspect.getmembers(value, inspect.isfunction):
                if name == "__call__" or not name.startswith("_"):
                    yield f"{address}.{name}", member


def test_every_field_and_argument_is_described():
    missing = []
    for address, value in to_be_described():
        entries = ENTRY.findall(value.__doc__ or "")
        described = {name.strip("*") for entry in entries for name in entry.split(", ")}
        missing += [f"{address}: {name}" for name in parts(value) if name not in described]
    assert not missing, "describe these in the docstring:\n" + "\n".join(missing)


def test_what_is_returned_begins_without_a_colon():
    """The site takes what stands before one for a type."""
    returned = re.compile(r"^ *Returns:\n(.*:.*)$", re.M)
    found = [address for address, value in to_be_described() if returned.search(value.__doc__ or "")]
    assert not found, "reword what these return: " + ", ".join(found)


def test_every_page_is_in_the_navigation():
    listed = re.findall(r": ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M)
    there = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert sorted(listed) == sorted(there)
