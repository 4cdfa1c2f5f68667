"""A package that is not installed is named by the call that needs it, before any work and any file."""

import sys

import pytest

import spectral_sim as ss
from spectral_sim.report import draw_phases, report_html, sweep_html, to_dataset, write_dataset, write_plots
from spectral_sim.sweeps import METRICS, as_grid, open_table

PROBLEM = ss.power_law(2.0, 2.0, num_modes=4)
TILT = ss.power_tilt(0.5, cutoff=3.0)


def sweep(**options):
    seen = []
    times = ss.log_times(0.1, 10.0, 5)

    class Watched(METRICS["final_loss"]):
        def variables(self, times):
            seen.append(times)
            return super().variables(times)

    try:
        return ss.sweep(PROBLEM, ss.grid(TILT, exponent=[0.0, 0.5]), times, metrics=[Watched()], **options)
    finally:
        assert not seen


def weights():
    return ss.sampler_weights(PROBLEM, TILT, ss.log_times(0.1, 10.0, 5))


CALLS = {
    "a sweep in memory": ("xarray", sweep),
    "a sweep to a store": ("zarr", lambda path: sweep(store=path / "store")),
    "a sweep to a store, its table": ("xarray", lambda path: sweep(store=path / "store")),
    "a sweep to an address": ("fsspec", lambda path: sweep(store="memory://extras")),
    "a sweep on a cluster": ("ray", lambda: sweep(engine="ray")),
    "an engine with options": ("ray", lambda: sweep(engine=ss.sweeps.Ray(num_cpus=2))),
    "Sobol points": ("scipy.stats.qmc", lambda: ss.sobol(TILT, 8, exponent=(0.0, 1.0))),
    "a store": ("zarr", lambda path: open_table(path / "store")),
    "an address": ("fsspec", lambda path: open_table("memory://extras")),
    "a grid": ("xarray", lambda: as_grid(None)),
    "a page": ("plotly.offline", lambda: report_html([], "title")),
    "a page on a sweep": ("plotly.offline", lambda: sweep_html(None)),
    "plots": ("matplotlib", lambda path: write_plots(None, path)),
    "a map": ("matplotlib", lambda path: draw_phases(None, path / "x.png")),
    "labelled results": ("xarray", lambda path: to_dataset(None)),
    "results in NetCDF": ("scipy", lambda path: write_dataset(None, path)),
    "results in NetCDF, their labels": ("xarray", lambda path: write_dataset(None, path)),
}


@pytest.mark.parametrize("what", CALLS)
def test_a_missing_package_is_named_at_entry(what, monkeypatch, tmp_path):
    module, call = CALLS[what]
    monkeypatch.setitem(sys.modules, module, None)
    arguments = [tmp_path] * call.__code__.co_argcount
    with pytest.raises(ImportError, match=rf"needs the package '{module.partition('.')[0]}': pip install"):
        call(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_parquet_file_names_pyarrow_and_leaves_nothing(monkeypatch, tmp_path):
    made = weights()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        ImportError, match=r"needs the package 'pyarrow': pip install 'spectral_sim\[data\]', or use .npz"
    ):
        made.save(tmp_path / "weights.parquet")
    assert list(tmp_path.iterdir()) == []
    made.save(tmp_path / "weights.npz")
    (tmp_path / "weights.parquet").write_bytes(b"PAR1")
    with pytest.raises(ImportError, match=r"a \.parquet file needs the package 'pyarrow'"):
        ss.learning.load_sampler_weights(tmp_path / "weights.parquet")
