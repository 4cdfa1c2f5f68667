"""`spectral-sim demo`: its parts, and the entry point."""

import importlib
import sys

import pytest

from spectral_sim.cli import main
from spectral_sim.cli._demo import PARTS, demo_parts


def test_the_demo_has_both_parts(refused, tmp_path):
    parts = dict(demo_parts(True, "float32", 64))
    assert tuple(parts) == PARTS
    digits = parts["digits"]()
    assert digits.problem.features.shape == (1200, 64)
    assert str(digits.problem.dtype) == "float32"
    names = [entry.name for entry in digits.entries]
    assert names[0] == "uniform"
    assert "groups by loss" in names
    (tmp_path / "file").write_text("mine")
    assert "--force" in refused("demo", "--output", tmp_path)


@pytest.mark.parametrize("missing", ["typer", "xarray"])
def test_a_missing_package_is_named(missing, monkeypatch, capsys, tmp_path):
    def without(name, *arguments):
        if name.split(".")[0] == missing:
            raise ImportError(name)
        return original(name, *arguments)

    original = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", without)
    monkeypatch.setattr(sys, "argv", ["spectral-sim", "demo", "--output", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code in (1, 2)
    message = capsys.readouterr().err
    assert missing in message
    assert "pip install 'spectral_sim[cli,plot,store,data]'" in message
