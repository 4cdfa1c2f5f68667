"""The shape of the package: one-way imports, an import without side effects, documented public names."""

import ast
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "spectral_sim"
FILES = sorted(ROOT.rglob("*.py"))
MAX_LINES = 400

# From the bottom up. A module imports from its own part and from the layers listed before its own, never from a
# neighbour in the same layer.
LAYERS = (
    {"_types", "_version", "_extras", "_code", "_schema", "_wording"},
    {"_identity", "_files", "_where"},
    {"_checks", "_shown"},
    {"_registry", "_state"},
    {"_times", "numerics"},
    {"problems"},
    {"_observation", "_status"},
    {"schedules", "dynamics"},
    {"_save", "_trajectory", "_clock"},
    {"_loop"},
    {"_loop_many"},
    {"_simulate"},
    {"_simulate_many"},
    {"bounds", "analysis"},
    {"learning"},
    {"fitting"},
    {"sweeps"},
    {"assessment", "testing"},
    {"report"},
    {"benchmark"},
    {"cli"},
)
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}
# A problem answers for itself how it is trained and what bounds it: parts above it, imported when it is asked.
WHEN_ASKED = {"problems": {"dynamics", "bounds"}}
# The root re-exports what the library is, so only what sits on top of the library may import from it.
MAY_IMPORT_ROOT = {"assessment", "report", "benchmark", "cli"}

# Optional packages, and those that are slow to import: loaded by the call that needs them.
LAZY = (
    "cvxpy",
    "fsspec",
    "lightgbm",
    "matplotlib",
    "pandas",
    "plotly",
    "pydantic",
    "ray",
    "rich",
    "scipy.optimize",
    "sklearn",
    "typer",
    "xarray",
    "zarr",
)


def parts_imported(source: str, package: tuple[str, ...]) -> list[tuple[int, str]]:
    """Line and part of every import of spectral_sim in `source`, a module of `package`; the part "" is the root.

    What `package` may import when asked is left out where it is imported inside a function or for type checkers.
    """
    found, tree = [], ast.parse(source)

    def add(line, module):
        if module[:1] == ("spectral_sim",):
            part = module[1] if len(module) > 1 else ""
            if node in tree.body or part not in WHEN_ASKED.get(package[-1], ()):
                found.append((line, part))

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                add(node.lineno, tuple(alias.name.split(".")))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = base + (tuple(node.module.split(".")) if node.module else ())
            if module == ("spectral_sim",):  # `from spectral_sim import X`: X is a part, or a name of the root
                for alias in node.names:
                    add(node.lineno, (*module, alias.name) if alias.name in RANK else module)
            else:
                add(node.lineno, module)
    return found


def import_errors(part: str, imported: list[tuple[int, str]]) -> list[str]:
    """What is wrong with the imports of a module of `part`."""
    errors = []
    for line, target in imported:
        if target == part:
            continue
        if target == "":
            if part not in MAY_IMPORT_ROOT:
                errors.append(f"line {line}: import from the part that defines the name, not from spectral_sim")
        elif target not in RANK:
            errors.append(f"line {line}: spectral_sim.{target} is in no layer; add it to LAYERS in this test")
        elif RANK[target] >= RANK[part]:
            errors.append(f"line {line}: {part} may not import from {target}, which is not below it")
    return errors


def test_imports_are_found_in_every_form():
    source = "\n".join(
        [
            "import spectral_sim as ss",
            "import spectral_sim.dynamics._modal",
            "from spectral_sim import problems, simulate",
            "from spectral_sim.numerics import phi",
            "from .._types import Float",
            "from .. import bounds",
            "from ._clip import clip",
            "def f():",
            "    from ..sweeps import grid",
            "import numpy, spectral_simulation",
        ]
    )
    found = parts_imported(source, ("spectral_sim", "schedules"))
    assert sorted(found) == [
        (1, ""),
        (2, "dynamics"),
        (3, ""),
        (3, "problems"),
        (4, "numerics"),
        (5, "_types"),
        (6, "bounds"),
        (7, "schedules"),
        (9, "sweeps"),
    ]
    assert [message.split(":")[0] for message in import_errors("schedules", sorted(found))] == [
        "line 1",
        "line 2",
        "line 3",
        "line 6",
        "line 9",
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_imports_point_one_way(file):
    place = file.relative_to(ROOT).with_suffix("").parts
    if place == ("__init__",):
        return  # the root re-exports every layer
    part = place[0]
    assert part in RANK, f"{part} is in no layer; add it to LAYERS in this test"
    imported = parts_imported(file.read_text(encoding="utf-8"), ("spectral_sim", *place[:-1]))
    errors = import_errors(part, imported)
    assert not errors, f"{file.relative_to(ROOT)}: " + "; ".join(errors)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_modules_are_private_and_short(file):
    assert file.stem.startswith("_"), f"rename it _{file.name} and re-export its public names from its package"
    lines = len(file.read_text(encoding="utf-8").splitlines())
    assert lines < MAX_LINES, f"{lines} lines: one idea a file, split it"


def run_python(script: str) -> dict:
    """Run `script` in a fresh interpreter and return the JSON on the last line it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_no_import_touches_a_device():
    """Scripts choose their devices, or meet other processes, after they have imported what they need."""
    packages = sorted(file.parent.name for file in ROOT.glob("*/__init__.py"))
    script = f"""
import importlib, json
from jax._src.xla_bridge import backends_are_initialized
for name in {packages}:
    importlib.import_module("spectral_sim." + name)
print(json.dumps(backends_are_initialized()))
"""
    assert run_python(script) is False


def test_import_has_no_side_effects():
    script = """
import json, sys
import jax
before = dict(jax.config.values)
import spectral_sim
changed = [name for name, value in jax.config.values.items() if name in before and value != before[name]]
print(json.dumps({"changed": changed, "loaded": sorted(sys.modules), "x64": jax.config.jax_enable_x64}))
"""
    result = run_python(script)
    assert result["changed"] == []
    assert result["x64"] is False
    assert [name for name in LAZY if name in result["loaded"]] == []


def has_docstring(value) -> bool:
    """Whether `value` is documented where it is defined; strings such as the version have nothing to document."""
    if isinstance(value, str):
        return True
    text = (value.__doc__ or "").strip()
    # A dataclass without a docstring, and so an equinox Module, gets its signature as one.
    return bool(text) and not (isinstance(value, type) and text.startswith(f"{value.__name__}("))


def test_public_names_are_documented():
    import spectral_sim  # not at the top: the other tests are to run where this fails

    public = getattr(spectral_sim, "__all__", None)
    if public is None:
        public = [n for n, value in vars(spectral_sim).items() if n[0] != "_" and not inspect.ismodule(value)]
    missing = [name for name in public if not has_docstring(getattr(spectral_sim, name))]
    assert not missing, f"no docstring: {', '.join(missing)}"
