"""Cases are run one by one; what goes wrong in one stays in it, and what was measured stays in the file."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from spectral_sim.benchmark import (
    CASES,
    Case,
    CaseResult,
    DeviceError,
    Figure,
    _machine,
    _suite,
    device_of,
    load_results,
    slug,
)
from spectral_sim.benchmark._case import Settings
from spectral_sim.benchmark._compile_cases import count_traces
from spectral_sim.benchmark._program import Body, Compiled, uncached
from spectral_sim.benchmark._timing import spread

SETTINGS = Settings(quick=True, rounds=2, platform="cpu")


def make_case(name, run=lambda settings, sizes, result: None, size=8, platforms=()):
    return Case(name, name, {"schedules": size}, {"schedules": size}, lambda s: 2**40 * s["schedules"], run, platforms)


@pytest.fixture
def few_cases(monkeypatch):
    def good(settings, sizes, result):
        result.figures.append(Figure("one", spread([1.0])))

    def bad(settings, sizes, result):
        raise RuntimeError("no\nluck")

    def stopped(settings, sizes, result):
        raise KeyboardInterrupt

    made = {"good": good, "bad": bad, "stopped": stopped}
    monkeypatch.setattr(_suite, "CASES", {name: make_case(name, run, 0) for name, run in made.items()})
    monkeypatch.setattr(_suite, "measure_limits", lambda settings: [])


def test_what_was_measured_is_kept(few_cases, tmp_path):
    path = tmp_path / "results.json"
    with pytest.raises(KeyboardInterrupt):
        _suite.run_suite(path, quick=True)
    good, bad = load_results(path).cases
    assert (good.status, good.figures[0].name) == ("done", "one")
    assert bad.status == "failed"
    assert bad.reason.startswith("RuntimeError: no luck (test_suite.py, line ")
    _suite.run_suite(path, quick=True, only=["bad"])  # the others stay
    assert [case.name for case in load_results(path).cases] == ["good", "bad"]
    for name in ("results.md", "ratios.png"):
        (tmp_path / name).write_text("old")
    _suite.run_suite(path, quick=False, only=["good"])  # another kind of run: all that is there is put aside
    assert [case.name for case in load_results(path).cases] == ["good"]
    aside = sorted(tmp_path.glob("*-2*"))
    assert [file.name.partition("-")[0] + file.suffix for file in aside] == ["ratios.png", "results.json", "results.md"]
    assert not (tmp_path / "ratios.png").exists()


def test_nothing_put_aside_is_overwritten(tmp_path):
    for text in "ab":
        (tmp_path / "results.md").write_text(text)
        _suite._put_aside(tmp_path / "results.md", "1")
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"results-1.md": "a", "results-1-2.md": "b"}


def test_a_run_that_fails_keeps_what_one_before_it_measured():
    cases = [CaseResult("modal", "", "done", seconds=3.0)]
    _suite._replace(cases, CaseResult("modal", "", "failed", "no luck", date="today"))
    (case,) = cases
    assert (case.status, case.seconds, case.later) == ("done", 3.0, "failed on today: no luck")
    _suite._replace(cases, CaseResult("modal", "", "done", seconds=4.0))
    assert (cases[0].seconds, cases[0].later) == (4.0, "")
    cases = [CaseResult("modal", "", "skipped")]
    _suite._replace(cases, CaseResult("modal", "", "failed"))
    assert [case.status for case in cases] == ["failed"]


def test_free_memory_is_what_a_container_leaves(tmp_path):
    assert _machine._container_free(tmp_path) == float("inf")
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    assert _machine._container_free(tmp_path) == 600
    (tmp_path / "memory.max").write_text("max\n")
    assert _machine._container_free(tmp_path) == float("inf")


def test_first_calls_do_not_read_the_cache_on_disk(tmp_path):
    names = {"jax_compilation_cache_dir": str(tmp_path), "jax_persistent_cache_min_compile_time_secs": 0}
    names["jax_persistent_cache_min_entry_size_bytes"] = -1
    before = {name: jax.config.values[name] for name in names}
    files = lambda: sum(1 for _ in tmp_path.iterdir())
    try:
        for name, value in names.items():
            jax.config.update(name, value)
        with uncached():
            jax.jit(lambda x: x + 1.25).lower(1.0).compile()
        assert files() == 0
        jax.jit(lambda x: x + 1.5).lower(1.0).compile()
        assert files() > 0
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()


def test_roofs_are_the_highest_seen():
    roof = lambda value: [Figure("copy", spread([value]), "B/s")]
    assert _suite._highest(roof(2.0), roof(3.0)) == roof(3.0)
    assert _suite._highest(roof(2.0), roof(1.0)) == _suite._highest(roof(2.0), []) == roof(2.0)


def test_what_does_not_fit_or_belong_here_is_skipped_before_it_starts():
    def run(settings, sizes, result):
        raise AssertionError

    result = _suite.run_case(make_case("large", run, 64), SETTINGS, jax.devices()[0])
    assert result.status == "skipped"
    assert result.reason.startswith("needs 65536.0 GiB and ")
    assert result.reason.endswith("not even one of schedules would fit")
    assert _suite._too_large(make_case("", size=64), {"schedules": 64}, 20 * 2**40).endswith("16 schedules would fit")
    result = _suite.run_case(make_case("fast", run, 0, ("gpu",)), SETTINGS, jax.devices()[0])
    assert (result.status, result.reason) == ("skipped", "only on gpu; this is cpu")


def test_unknown_names_and_devices_are_refused():
    with pytest.raises(ValueError, match="no case 'modale'; do you mean modal"):
        _suite.chosen_cases(["modale"])
    with pytest.raises(DeviceError, match=r"no device 'tpu' here; there is: cpu \(\d+\)"):
        device_of("tpu")


def test_every_case_says_what_it_needs():
    for case in CASES.values():
        for sizes in (case.sizes, case.quick):
            assert case.scaled in sizes, case.name
            assert 0 < case.bytes(sizes) < 2**37
            assert case.bytes({**sizes, case.scaled: 2 * sizes[case.scaled]}) >= case.bytes(sizes)


def test_machine_names_are_folders_without_a_host():
    cpu = {"platform": "cpu", "cores": 2, "architecture": "x86_64", "devices": 2, "device": "cpu"}
    assert slug(cpu) == "2-core-cpu-x86_64"
    assert (
        slug({**cpu, "platform": "gpu", "devices": 1, "device": "NVIDIA H100 80GB HBM3"}) == "1-nvidia-h100-80gb-hbm3"
    )


def test_work_is_that_of_the_inner_loop_times_its_passes():
    def run(x):
        return jax.lax.fori_loop(0, 5, lambda _, y: jnp.exp(y @ x), x)

    x = jnp.eye(8)
    program = Compiled("loop", run, x, body=Body(lambda y, x: jnp.exp(y @ x), (x, x), 5), dtype=np.float64)
    found = program.measured(np.array([1.0, 2.0, 3.0]))
    assert (found.run.median, found.dtype) == (2.0, "float64")
    assert found.transcendentals == 5 * 64
    assert found.flops is not None
    assert found.flops >= 5 * 2 * 8**3
    np.testing.assert_allclose(program(), run(x))


def test_traces_are_counted():
    function = jax.jit(lambda x: x + 1)
    with count_traces() as first:
        function(np.float32(1))
    with count_traces() as again:
        function(np.float32(2))
    assert len(first) > 0
    assert len(again) == 0
