"""A runner, and small files to run on."""

import os

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from spectral_sim.cli._app import app

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", "")  # tests leave the user's cache folder alone


@pytest.fixture(scope="session")
def run():
    """Call the command line; returns the result, whose output holds both streams."""

    def call(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return call


@pytest.fixture
def refused(run):
    """Call the command line with something wrong; returns the one line of the error."""

    def call(*arguments):
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, result.output
        assert "Traceback" not in result.output
        return lines[0]

    return call


@pytest.fixture
def write_config(tmp_path):
    """Write a configuration with some of its text replaced; returns its path."""

    def write(text, *changes, folder=tmp_path):
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = folder / "config.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def frame():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(80, 3))
    values = pd.DataFrame(inputs, columns=["width", "height", "depth"])
    values["price"] = np.sin(inputs[:, 0]) + 0.2 * inputs[:, 1] ** 2
    values["weight"] = inputs[:, 2] * inputs[:, 0]
    values["source"] = rng.choice(["web", "book"], 80)
    return values


@pytest.fixture(scope="session")
def files(frame, tmp_path_factory):
    """A folder with the same table in every format."""
    folder = tmp_path_factory.mktemp("files")
    frame.to_csv(folder / "table.csv", index=False)
    frame.to_parquet(folder / "table.parquet")
    inputs, target = frame[["width", "height", "depth"]].to_numpy(), frame["price"].to_numpy()
    np.savez(folder / "table.npz", X=inputs, y=target)
    np.save(folder / "inputs.npy", inputs)
    np.save(folder / "targets.npy", target)
    np.savez(folder / "spectrum.npz", eigenvalues=np.arange(1.0, 21) ** -2, energies=np.arange(1.0, 21) ** -2)
    return folder
