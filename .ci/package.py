"""Build wheel and sdist, install the wheel beside nothing but its dependencies, and use it there: `make package`.

The new environment has links to the packages of this one that the wheel requires without extras: nothing
is fetched.
"""

import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "build" / "dist"

# Each call names the package that it lacks, and how to install it, before it does anything.
USE = """
import sys, time
import jax
started = time.process_time()
import spectral_sim as ss
seconds = time.process_time() - started
assert "site-packages" in ss.__file__, ss.__file__
times = ss.log_times(0.1, 10.0, 5)
problem = ss.power_law(2.0, 2.0, num_modes=8)
assert ss.simulate(problem, ss.proportional(), times).loss[-1] < problem.initial_loss()


def lacks(package, call):
    try:
        call()
    except ImportError as error:
        assert package in str(error) and "pip install" in str(error), error
    else:
        raise AssertionError(f"{package} was not missed")


from spectral_sim.benchmark import machine
from spectral_sim.report import new_figure, report_html, to_dataset

lacks("xarray", lambda: ss.sweep(problem, ss.grid(ss.proportional(), power=[0.5, 1.0]), times))
lacks("xarray", lambda: to_dataset(None))
lacks("pandas", lambda: ss.load_table(sys.argv[1], target="y"))
lacks("sklearn", ss.problems.digits)
lacks("plotly", lambda: report_html([], "title"))
lacks("matplotlib", lambda: new_figure(3, 2))
lacks("ray", lambda: ss.sweep(problem, ss.grid(ss.proportional(), power=[0.5]), times, engine="ray"))
lacks("psutil", lambda: machine(jax.devices()[0]))
lacks("cvxpy", lambda: ss.certificate(ss.torus(2.0, 2.0, 4), times, method="exact"))
shares = [[n / 19, 1 - n / 19] for n in range(20)]
losses = [[1.0 + (0.2 + share[0]) ** -0.5] for share in shares]
lacks("lightgbm", lambda: ss.fit_mixture(shares, losses, boost="lightgbm"))
print(f"spectral_sim {ss.__version__} imports in {seconds:.2f} s of processor time beyond jax")
"""


def build() -> tuple[Path, Path]:
    """The wheel and the sdist of this checkout."""
    for old in DIST.glob("*"):
        old.unlink()
    hatch("build", "-d", str(DIST), where=ROOT)
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    return wheel, sdist


def hatch(*words: str, where: Path) -> None:
    """Run the build backend of this environment."""
    subprocess.run([sys.executable, "-m", "hatchling", *words], cwd=where, check=True, capture_output=True)


def same_from_sdist(wheel: Path, sdist: Path, scratch: Path) -> None:
    """A wheel built from the sdist holds the same files."""
    with tarfile.open(sdist) as archive:
        archive.extractall(scratch, filter="data")
    (folder,) = [path for path in scratch.iterdir() if path.is_dir()]
    hatch("build", "-t", "wheel", "-d", str(scratch), where=folder)
    (again,) = scratch.glob("*.whl")
    names = [sorted(zipfile.ZipFile(file).namelist()) for file in (wheel, again)]
    assert names[0] == names[1], "the sdist lacks files: " + ", ".join(set(names[0]) ^ set(names[1]))


def required(package: str, found: dict[str, metadata.Distribution]) -> dict[str, metadata.Distribution]:
    """A package and what it requires without extras, and so on, by name."""
    key = re.sub(r"[-_.]+", "-", package).lower()
    if key in found:
        return found
    try:
        found[key] = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return found  # for another platform or version of Python
    for line in found[key].requires or ():
        if "extra ==" not in line:
            required(re.match(r"[\w.-]+", line)[0], found)
    return found


def environment(wheel: Path, folder: Path) -> Path:
    """A new environment with the wheel and its dependencies; returns its interpreter."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    (packages,) = folder.glob("lib/python*/site-packages")
    for name, distribution in required("spectral_sim", {}).items():
        if name != "spectral-sim":
            tops = {file.parts[0] for file in distribution.files or () if ".." not in file.parts}
            for top in tops - {"__pycache__"}:
                link = packages / top
                if not link.exists():
                    link.symlink_to(distribution.locate_file(top))
    install = ["-m", "pip", "--python", str(python), "install", "-qq", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, *install], check=True)
    return python


def main() -> None:
    """Build, install and use."""
    wheel, sdist = build()
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB, {sdist.name}: {sdist.stat().st_size / 1e6:.2f} MB")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "sdist").mkdir()
        same_from_sdist(wheel, sdist, scratch / "sdist")
        python = environment(wheel, scratch / "env")
        table = scratch / "table.csv"
        table.write_text("x,y\n1,2\n")
        subprocess.run([str(python), "-c", USE, str(table)], cwd=scratch, check=True)
        done = subprocess.run([python.with_name("spectral-sim"), "demo"], cwd=scratch, capture_output=True, text=True)
        assert done.returncode == 1, done
        assert "pip install" in done.stderr, done.stderr
        print(done.stderr.strip())


if __name__ == "__main__":
    main()
