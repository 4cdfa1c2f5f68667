"""`spectral-sim demo`: its parts, and the entry point."""

import importlib
import sys

import numpy as np
import pytest

from spectral_sim.cli import main
from spectral_sim.cli._demo import PARTS, demo_parts


def test_the_demo_has_three_parts_whose_answers_are_known(refused, tmp_path):
    parts = dict(demo_parts(True, "float32", 64))
    assert tuple(parts) == PARTS == ("wrong_labels", "domains", "clean_digits")
    domains = parts["domains"]()
    assert domains.problem.features.shape == (400, 48)  # as many as are drawn for each split
    assert str(domains.problem.dtype) == "float32"
    assert {"uniform", "domains by loss", "turned images 4 times"} < {entry.name for entry in domains.entries}
    assert len(domains.more_splits) == 2
    turned = next(entry for entry in domains.entries if entry.name == "turned images 4 times").schedule
    rare = np.asarray(turned.values) == 4.0
    assert 0.05 < rare.mean() < 0.2
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
