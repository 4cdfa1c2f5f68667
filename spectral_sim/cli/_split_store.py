"""What was recorded on each split of a comparison, kept until it is finished."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from .. import _schema as schema
from ..assessment import Recorded
from ._job_part import Part

__all__ = ["SplitStore"]

_FILE = "splits.npz"
_ARRAYS = schema.record(None, schema.array("fiubU"), identity=schema.array("U", shape=()))


class SplitStore:
    """Keeps recorded runs in one file of the output folder, under the name of the comparison that made them.

    Arguments:
        folder: output folder of the comparison.
        part: the comparison; what another one left behind is not read.
    """

    def __init__(self, folder: Path, part: Part):
        self._path = folder / _FILE
        about = [part.name, part.cost, part.seed, part.settings, len(part.more_splits), part.times.tolist()]
        about += [[entry.name, entry.variant, str(entry.seed)] for entry in part.entries]
        text = json.dumps(about, default=str, sort_keys=True)
        self._identity = hashlib.sha256(text.encode()).hexdigest()
        self._kept = self._read()

    def load(self, number: int) -> dict[int, Recorded]:
        """What is known of a split, by the number of the entry; empty if nothing is."""
        prefix, found = f"{number}/", {}
        for key, values in self._kept.items():
            if key.startswith(prefix):
                _, entry, name = key.split("/", 2)
                found.setdefault(int(entry), {})[name] = values
        return {entry: _recorded(values) for entry, values in found.items()}

    def save(self, number: int, recorded: dict[int, Recorded]) -> None:
        """Keep what is known of a split so far; the file is replaced at once."""
        for entry, each in recorded.items():
            key = f"{number}/{entry}/"
            error = np.nan if each.quadrature_error is None else each.quadrature_error
            self._kept |= {
                f"{key}loss": each.loss,
                f"{key}about": np.array([each.status, each.refresh, error, each.quadrature_error is not None]),
                f"{key}faults": np.array(each.faults, dtype=str),
            }
            self._kept |= {f"{key}saved {name}": values for name, values in each.saved.items()}
        temporary = self._path.with_name(f".{_FILE}.part.npz")
        arrays: dict[str, Any] = {"identity": self._identity, **self._kept}
        np.savez(temporary, **arrays)
        os.replace(temporary, self._path)

    def clear(self) -> None:
        """The comparison is finished: its results hold everything."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> dict[str, np.ndarray]:
        if not self._path.is_file():
            return {}
        try:
            found = schema.read_npz(self._path.read_bytes(), _ARRAYS)
        except (OSError, schema.Malformed):  # damaged: what it held is computed again
            return {}
        return found if str(found.pop("identity")) == self._identity else {}


def _recorded(values: dict[str, np.ndarray]) -> Recorded:
    status, refresh, error, has_error = values["about"]
    saved = {name.removeprefix("saved "): array for name, array in values.items() if name.startswith("saved ")}
    return Recorded(
        loss=values["loss"],
        saved=saved,
        status=int(status),
        refresh=int(refresh),
        quadrature_error=float(error) if has_error else None,
        faults=tuple(str(fault) for fault in values["faults"]),
    )
