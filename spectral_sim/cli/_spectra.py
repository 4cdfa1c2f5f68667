"""Problems of a configuration that are given by their spectrum."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from .._checks import nearest
from ..problems import AbstractProblem, ModalProblem, power_law, random_features, torus
from ._config import ModalFile, PowerLawProblem, RandomFeaturesProblem, TorusProblem


def spectral_problem(source: Any, folder: Path, precision: str) -> tuple[AbstractProblem, str]:
    """A problem given by its spectrum, and a sentence about it."""
    number = np.dtype(precision).type
    if isinstance(source, PowerLawProblem):
        law = power_law(
            number(source.alpha),
            number(source.beta),
            num_modes=source.num_modes,
            max_mode=source.max_mode,
            nodes=source.nodes,
        )
        nodes = f", {len(law.index)} nodes for {source.max_mode:,.0f} modes" if source.max_mode else ""
        count = f"{source.num_modes} modes" if source.num_modes else nodes.removeprefix(", ")
        return law, f"Power law: eigenvalues k^-{source.alpha:g}, initial energies k^-{source.beta:g}; {count}."
    if isinstance(source, RandomFeaturesProblem):
        problem = random_features(
            number(source.alpha),
            number(source.beta),
            num_modes=source.num_modes,
            width=number(source.width),
            nodes=source.nodes,
            method=source.method,
            key=jax.random.key(source.seed),
        )
        kind = "one draw" if source.method == "draw" else "their mean, by the deterministic equivalent"
        return problem, (
            f"{source.width:g} random features of {source.num_modes:,} modes with eigenvalues k^-{source.alpha:g} and "
            f"initial energies k^-{source.beta:g}; {kind}."
        )
    if isinstance(source, TorusProblem):
        problem = torus(
            number(source.alpha),
            number(source.beta),
            source.num_examples,
            source.basis,
            signs=source.signs,
            seed=source.seed,
        )
        return problem, f"Torus kernel on {source.num_examples} points, {source.basis} basis, {source.signs} signs."
    assert isinstance(source, ModalFile)
    return _spectrum_file(folder / source.path, precision), f"Spectrum from {source.path}."


def _spectrum_file(path: Path, precision: str) -> ModalProblem:
    """Eigenvalues, energies and, if there are any, multiplicities by name."""
    if not path.is_file():
        raise FileNotFoundError(f"path = {str(path)!r} is not a file: check the name; it is relative to the TOML file.")
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            columns = {name: archive[name] for name in archive.files}
    elif path.suffix in (".csv", ".parquet"):
        import pandas

        frame = pandas.read_csv(path) if path.suffix == ".csv" else pandas.read_parquet(path)
        columns = {str(name): frame[name].to_numpy() for name in frame.columns}
    else:
        fix = nearest(path.suffix, (".npz", ".csv", ".parquet"))
        raise ValueError(f"path = {str(path)!r} has an unknown suffix.{fix}")
    for name in ("eigenvalues", "energies"):
        if name not in columns:
            raise ValueError(f"{path.name} has no {name!r}.{nearest(name, columns)}")
    multiplicity = columns.get("multiplicity")
    return ModalProblem(
        columns["eigenvalues"].astype(precision),
        columns["energies"].astype(precision),
        None if multiplicity is None else multiplicity.astype(precision),
    )
