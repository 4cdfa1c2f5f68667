"""Files of results: round trip, what is kept, what is compared, what is shown."""

import dataclasses
import json

import pytest

from spectral_sim.benchmark import (
    SUITE,
    TARGETS,
    CaseResult,
    Figure,
    Point,
    Program,
    Results,
    Spread,
    compare,
    judged,
    load_results,
    load_targets,
    markdown,
    save_results,
    shown,
    write_plots,
)


def make_results(**values):
    """One case with a figure for each of `values`, and one that was skipped."""
    limits = [
        Figure("exponentials", Spread(4e9, 4e9, 4e9, 3), "op/s"),
        Figure("float32 products", Spread(1e11, 1e11, 1e11, 3), "flop/s"),
        Figure("copy", Spread(2e10, 2e10, 2e10, 3), "B/s"),
    ]
    keys = {"limit": "modal/limit", "numpy": "modal/numpy", "gradient": "gradient/modal"}
    figures = [
        Figure(
            *(name, Spread(value, value * 0.95, value * 1.05, 9), "share", 1e-6, "note | with a bar", keys.get(name)),
            less_is_better=name == "gradient",
        )
        for name, value in values.items()
    ]
    run = Spread(0.1, 0.09, 0.12, 9)
    case = CaseResult(
        *("modal", "Modal", "done"),
        sizes={"schedules": 8},
        programs=[Program("modal", 0.5, run, 2**20, 1e9, 2e8, 1e9)],
        figures=[*figures, Figure("peer", None, note="not installed")],
        points=[Point("schedules", size, run, 1e9 / size) for size in (4, 8)],
        peak_bytes={"resident": 2**30},
    )
    machine = {
        **{"processor": "some", "architecture": "x86_64", "cores": 2, "memory": 2**34, "system": "Linux"},
        **{"platform": "cpu", "device": "cpu", "devices": 2},
    }
    skipped = CaseResult("million", "A million", "skipped", "only on gpu")
    return Results(False, machine, {"jax": "0.1"}, limits=limits, cases=[case, skipped])


def test_round_trip(tmp_path):
    results, path = make_results(limit=0.8, numpy=4.0), tmp_path / "results.json"
    save_results(results, path)
    assert load_results(path) == results
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "results.json"
    whole = dataclasses.asdict(make_results(limit=0.8))
    damaged = [
        {**whole, "cases": 3},
        {**whole, "limits": [{}]},
        {**whole, "machine": {}},
        {**whole, "other": 1},
        {name: value for name, value in whole.items() if name != "cases"},
        {**whole, "cases": [{**whole["cases"][0], "figures": [{"name": "no value"}]}]},
        {**whole, "cases": [{**whole["cases"][0], "programs": [{"name": "bad", "run": None}]}]},
        {**whole, "cases": [{"name": "bare"}]},
        {**whole, "cases": [None]},
    ]
    for text in ("not json", "[1]", "{}", "3", *map(json.dumps, damaged)):
        path.write_text(text)
        with pytest.raises(ValueError, match="is no result of the benchmark suite"):
            load_results(path)
    path.write_text(json.dumps({**dataclasses.asdict(make_results()), "suite": SUITE + 1}))
    with pytest.raises(ValueError, match=f"version {SUITE + 1} of the suite, this is version {SUITE}"):
        load_results(path)


def test_changes_beyond_the_spread_are_told_apart():
    before = make_results(limit=0.8, numpy=4.0, gradient=2.0, old=1.0)
    found = compare(before, make_results(limit=0.82, numpy=5.0, gradient=3.0))
    figures = {c.name: c for c in found.changes if c.name in ("limit", "numpy", "gradient")}
    assert [(name, c.direction) for name, c in figures.items()] == [
        *(("limit", ""), ("numpy", "better"), ("gradient", "worse"))
    ]
    assert figures["numpy"].relative == pytest.approx(0.25)
    assert (found.only_before, found.only_after) == (["modal: old"], [])
    with pytest.raises(ValueError, match="one run is quick"):
        compare(make_results(), dataclasses.replace(make_results(), quick=True))


def test_programs_points_and_limits_are_compared_too():
    before, after = make_results(zero=0.0), make_results(zero=1.0)
    case = after.cases[0]
    program = dataclasses.replace(case.programs[0], first_call=0.55, argument_bytes=2**20, output_bytes=0)
    before.cases[0].programs[:] = [dataclasses.replace(program, first_call=0.5, temporary_bytes=2**19)]
    case.programs[:], case.points[:1], case.sizes = [program], [], {"schedules": 9}
    after.limits[:] = [Figure("copy", Spread(1e10, 1e10, 1e10, 3), "B/s")]
    after.cases.append(CaseResult("new", "New", "done"))
    found = compare(before, after)
    changes = {f"{c.case}: {c.name}": c for c in found.changes}
    assert changes["limits: copy"].direction == "worse"
    assert changes["modal: modal, memory"].direction == "worse"
    assert changes["modal: modal, first call"].direction == ""  # measured once, and 10% is no change
    assert changes["modal: schedules = 8"].direction == changes["modal: modal, steady run"].direction == ""
    assert changes["modal: zero"].relative is None
    assert changes["modal: zero"].sizes_differ
    assert not changes["limits: copy"].sizes_differ
    assert found.only_before == ["limits: exponentials", "limits: float32 products", "modal: schedules = 4"]
    assert found.only_after == ["new"]


@pytest.mark.parametrize(
    ("target", "value", "words"),
    [
        ("modal/numpy", 6.0, "met"),
        ("modal/numpy", 4.0, "not met"),
        ("gradient/modal", 3.0, "met"),
        ("gradient/modal", 3.3, "not met"),
        (None, 1.0, ""),
    ],
)
def test_verdicts(target, value, words):
    figure = Figure("", Spread(value, value, value, 9), target=target)
    assert judged(figure, quick=False, platform="cpu").split(":")[0] == words
    assert judged(figure, quick=True, platform="cpu") == ("not judged" if target else "")
    assert judged(figure, quick=False, platform="gpu") == ("not judged here" if target else "")


@pytest.mark.parametrize(
    "table",
    ["case = 'modal'\ntext = 'x'", "case = 'modal'\ntext = 'x'\nat_least = 1\nat_most = 2", "text = 'x'\nat_most = 1"],
)
def test_targets_that_lack_something_are_refused(table, tmp_path):
    (tmp_path / "targets.toml").write_text(f"[one]\n{table}\n")
    with pytest.raises(ValueError, match=r"targets.toml: the target 'one' needs case, text and either"):
        load_targets(tmp_path / "targets.toml")


def test_a_target_that_was_not_measured_is_no_success():
    assert judged(Figure("", None, target="modal/numpy"), quick=False, platform="cpu") == "not measured"


def test_sides_of_other_accuracy_are_no_success():
    figure = Figure("", Spread(9.0, 9.0, 9.0, 9), target="modal/numpy", errors=(1e-8, 1e-2))
    assert judged(figure, quick=False, platform="cpu") == "not comparable"
    assert shown(figure) == "not comparable: error of the peer 1.0e-02, ours 1.0e-08; 9 (9 to 9)"


def test_the_table_has_every_target_beside_what_was_measured():
    text = markdown(make_results(limit=0.8, numpy=4.0, gradient=3.0))
    assert f"| {TARGETS['modal/numpy'].text} | ≥ 5 | 4.00 (3.80 to 4.20) | 8 schedules | not met" in text
    assert "Skipped: only on gpu." in text
    for target in TARGETS.values():
        assert text.count(f"| {target.text} | {target.wanted} |") == 1
    assert f"| {TARGETS['capped'].text} | ≤ 5 | not measured: not run |  | not measured |" in text
    million = TARGETS["accelerator/million"].text
    assert f"| {million} | ≤ 2 | not measured: for an accelerator |  | not judged here |" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert not any("with | a bar" in row for row in rows)


def test_plots(tmp_path):
    pytest.importorskip("matplotlib")
    results = make_results(limit=0.8, numpy=4.0, gradient=3.0)
    assert write_plots(results, tmp_path) == ["roofline.png", "ratios.png", "scaling.png"]
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("roofline.png", "ratios.png", "scaling.png"))
    assert write_plots(dataclasses.replace(results, cases=[]), tmp_path) == []
