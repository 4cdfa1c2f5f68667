"""What a release says of itself: one version, extras that are asked for by name, and a lock of plain versions."""

import re
import tomllib
from pathlib import Path

import spectral_sim as ss

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names(requirements):
    return {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", line)[0]).lower() for line in requirements}


def test_one_version():
    assert PROJECT["dynamic"] == ["version"]
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M)
    assert cited is not None
    assert cited[1] == ss.__version__


def test_the_lock_holds_every_package_by_its_version():
    lines = (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8").splitlines()
    assert lines == sorted(lines)
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", line) for line in lines)
    wanted = names(PROJECT["dependencies"])
    for extra, requirements in PROJECT["optional-dependencies"].items():
        if extra != "all":
            wanted |= names(requirements)
    assert wanted <= names(lines)


def test_extras_are_described_to_users():
    page = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    missing = [
        name for name in PROJECT["optional-dependencies"] if name not in ("all", "docs") and f"`{name}`" not in page
    ]
    assert not missing
