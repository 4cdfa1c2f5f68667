"""What was recorded on each split of a comparison, kept until it is finished."""

from pathlib import Path

import numpy as np

from .. import _schema as schema
from .._files import write_arrays
from .._identity import identity
from .._version import __version__
from ..assessment import Recorded, Split
from ._part import Part

_FILE = "splits.npz"
_ARRAYS = schema.record(None, schema.array("fiubU"))


class SplitStore:
    """Keeps recorded runs in one file of the output folder, under the identity of what they were computed from.

    Each split has an identity of its own: every number of its problem and of its schedules, their dynamics and seeds,
    the refresh grid, the rows for picking and the version of the library. What was recorded on other data is not read.

    Arguments:
        folder: output folder of the comparison.
        part: the comparison; its refresh grid and seed are those of all splits.
    """

    def __init__(self, folder: Path, part: Part):
        self._path = folder / _FILE
        self._shared = __version__, part.times, part.seed
        self._kept = self._read()

    def load(self, number: int, split: Split) -> dict[int, Recorded]:
        """What is known of a split, by the number of the entry; empty if nothing is."""
        prefix, found = f"{number}/", {}
        known = self._kept.get(f"{prefix}identity")
        if known is None or str(known) != self._identity(split):
            return {}
        for key, values in self._kept.items():
            if key.startswith(prefix) and key.count("/") > 1:
                _, entry, name = key.split("/", 2)
                found.setdefault(int(entry), {})[name] = values
        return {entry: _recorded(values) for entry, values in found.items()}

    def save(self, number: int, split: Split, recorded: dict[int, Recorded]) -> None:
        """Keep what is known of a split so far, in place of what was kept of it; the file is replaced at once."""
        self._kept = {key: values for key, values in self._kept.items() if not key.startswith(f"{number}/")}
        self._kept[f"{number}/identity"] = np.array(self._identity(split))
        for entry, each in recorded.items():
            key = f"{number}/{entry}/"
            error = np.nan if each.quadrature_error is None else each.quadrature_error
            self._kept |= {
                f"{key}loss": each.loss,
                f"{key}about": np.array([each.status, each.refresh, error, each.quadrature_error is not None]),
                f"{key}faults": np.array(each.faults, dtype=str),
            }
            self._kept |= {f"{key}saved {name}": values for name, values in each.saved.items()}
        write_arrays(self._path, self._kept, compressed=False)

    def clear(self) -> None:
        """The comparison is finished: its results hold everything."""
        self._path.unlink(missing_ok=True)

    def _identity(self, split: Split) -> str:
        return identity((self._shared, split))

    def _read(self) -> dict[str, np.ndarray]:
        if not self._path.is_file():
            return {}
        try:
            return schema.read_npz(self._path.read_bytes(), _ARRAYS)
        except (OSError, schema.Malformed):  # damaged: what it held is computed again
            return {}


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
