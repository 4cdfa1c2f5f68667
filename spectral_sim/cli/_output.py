"""The folder that a command writes: claimed before anything is computed, and never overwritten by accident."""

from pathlib import Path

from ._errors import UserError, explained

# Everything that a command ever writes. With --force these are replaced, and nothing else in the folder is touched.
_OWN = (
    *("results.nc", "summary.json", "loss.png", "weights.png", "spectra.png", "speedups.png", "report.html"),
    *("learned.json", "learned.npz", "learned-ceiling.json", "learned-ceiling.npz", "learned.png", "search.png"),
    *("sampler.npz", "sampler.parquet", "table.csv", "weights.parquet", "use_weights.py"),
    *("optimum.csv", "optimum.yaml", "fit.npz", "predictions.csv", "best_rates.csv"),
)
CURVE_SEARCH = "search-curves.npz"
_BEGUN = ("search.npz", "search-ceiling.npz", "search-deployable.npz", CURVE_SEARCH, "splits.npz")


class OutputFolder:
    """A folder for results, with one folder inside for each part where there are several.

    Arguments:
        path: the folder.
        parts: names of the parts; none for a single one, which is written to the folder itself.
        force: replace earlier results.
        resume: go on with searches and comparisons that were begun; results are made anew from what was kept of them.

    Raises:
        UserError: it is a file, or holds something and `force` is not set, or nothing that can be resumed.
    """

    def __init__(self, path: Path, parts: tuple[str, ...] = (), force: bool = False, resume: bool = False):
        self.path = path
        self._parts = parts
        self._resumes = resume
        self._earlier: dict[Path, tuple[int, int]] | None = None
        if force and resume:
            raise UserError("--force begins anew and --resume goes on: give one of them.")
        folders = [path, *(path / part for part in parts)]
        if resume and not any((folder / name).exists() for folder in folders for name in _BEGUN):
            raise UserError(
                f"--output {path} holds no search and no splits to go on with: leave out --resume, or name its folder."
            )
        force = force or resume
        if path.exists() and not path.is_dir():
            raise UserError(f"--output {path} is a file: name a folder.")
        if path.is_dir() and any(path.iterdir()) and not force:
            raise UserError(
                f"--output {path} exists already and is not empty: name another folder, or add --force to replace the "
                "results in it."
            )

    def open(self) -> None:
        """Make the folders, and take away earlier results unless they may be gone on with; once."""
        if self._earlier is not None:
            return
        self._earlier = {}
        with explained(f"--output {self.path}"):
            for folder in (self.path, *(self.path / part for part in self._parts)):
                folder.mkdir(parents=True, exist_ok=True)
                for file in (folder / name for name in (_OWN if self._resumes else (*_OWN, *_BEGUN))):
                    if not self._resumes:
                        file.unlink(missing_ok=True)
                    elif file.exists():
                        self._earlier[file] = _version(file)

    def close(self) -> None:
        """All results are written: take away what an earlier run left and this one did not write anew."""
        for file, version in (self._earlier or {}).items():
            if file.exists() and _version(file) == version:
                file.unlink()

    def part(self, name: str) -> Path:
        """The folder of a part."""
        return self.path / name if self._parts else self.path


def _version(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_mtime_ns, found.st_ino
