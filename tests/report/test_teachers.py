"""How far a teacher can see is shown wherever its schedule is."""

import dataclasses
import json

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.assessment import table
from spectral_sim.report import _plots as plots
from spectral_sim.report import report_html, summary, to_dataset
from spectral_sim.report._figures import loss_figure, weight_figure
from spectral_sim.report._reading import reading
from spectral_sim.report._style import styles
from spectral_sim.report._views import END_OF_GAIN, loss_views

KAPPA = float(np.sum(np.arange(1.0, 10_001) ** -2.0))


@pytest.fixture(scope="module")
def runs(taught_assessment):
    return {run.name: run for run in taught_assessment.runs}


def test_on_modes_it_is_kept_with_the_time_at_which_its_gain_should_stop(runs):
    assert runs["teacher"].teacher_frontier == pytest.approx(20.0, rel=0.02)  # (2 T)^(1/2)
    assert runs["teacher"].taught.gain_until == pytest.approx(20.0 / KAPPA, rel=0.02)
    assert runs["teacher"].taught.cost == 200.0
    assert runs["lasting teacher"].teacher_frontier == pytest.approx(1e4 ** (1 / 1.2), rel=0.02)
    for name in ("uniform", "alongside", "own labels"):  # none of them is trained beforehand
        assert runs[name].taught is None
        assert runs[name].teacher_frontier is None


def test_the_gain_does_stop_there(taught_assessment, runs):
    """Within the time predicted, once and again after: what is gained per decade has fallen to a few percent."""
    times, run = taught_assessment.times, runs["teacher"]
    local = -np.gradient(np.log(run.loss[1:]), np.log(times[1:]))
    until = run.taught.gain_until
    before, after = (np.interp(np.log(t), np.log(times[1:]), local) for t in (until / 2, until * 5))
    assert before > 0.5
    assert after < 0.2


def test_files_hold_it(taught_assessment):
    rows = {row["name"]: row for row in json.loads(json.dumps(summary(taught_assessment)))["schedules"]}
    assert rows["teacher"]["teacher_frontier"] == pytest.approx(20.0, rel=0.02)
    assert rows["teacher"]["teacher"]["gain_until"] == pytest.approx(20.0 / KAPPA, rel=0.02)
    assert rows["alongside"]["teacher_frontier"] is None
    dataset = to_dataset(taught_assessment)
    assert float(dataset.teacher_frontier.sel(schedules="teacher")) == pytest.approx(20.0, rel=0.02)
    assert np.isnan(float(dataset.gain_until.sel(schedules="uniform")))


def test_notes_say_it(taught_assessment, data_assessment):
    notes = table(taught_assessment).footer
    assert any(
        "Teacher: the teacher knows 20" in line and "modes after 200 time units; its gain" in line for line in notes
    )
    assert "net adds" in notes[-1].lower()
    twice = dataclasses.replace(table(taught_assessment), taught=2 * table(taught_assessment).taught[:1])
    assert any(line.startswith("Teacher, teacher: the teacher knows 20") for line in twice.footer)  # told once
    known = {run.name: run.taught for run in data_assessment.runs if run.taught is not None}
    assert len(known) == 2
    for name, taught in known.items():
        assert taught.gain_until is None
        assert 0 < taught.frontier <= 1
        line = next(line for line in table(data_assessment).footer if "Known:" in line)
        assert f"{name[1:]}: the {taught.model} knows {taught.frontier:.0%} of the examples" in line
    assert "Known:" in report_html([data_assessment], "page")
    assert "Teacher's frontier" in reading([data_assessment]).replace("&#x27;", "'")


def test_plots_mark_it_where_it_is_in_sight(taught_assessment, data_assessment, runs):
    """On the curve of its run; not where it lies beyond the plot, and not on data, which has no such time."""
    for view in loss_views(taught_assessment):
        assert [run.name for run, _, _ in view.ends] == ["teacher"]
    figure = loss_figure(taught_assessment)
    mark = next(trace for trace in figure["data"] if trace["mode"] == "markers")
    assert mark["x"] == [pytest.approx(runs["teacher"].taught.gain_until, rel=1e-5)]
    assert mark["marker"]["color"] == [styles(taught_assessment.runs)["teacher"].colour]
    for view in figure["views"]:
        assert len(view["data"]["y"]) == len(figure["data"])
    drawn = plots.PLOTS["loss.png"](taught_assessment)
    assert END_OF_GAIN in [text.get_text() for text in drawn.legends[0].get_texts()]
    assert all(trace["mode"] == "lines" for trace in loss_figure(data_assessment)["data"])


def test_own_labels_are_a_kind_of_their_own(taught_assessment, runs):
    """Uniform weights: not dashed as static ones are, and without a map of them."""
    assert runs["own labels"].family == "own labels"
    look = styles(taught_assessment.runs)
    assert look["own labels"].dash not in {style.dash for name, style in look.items() if name != "own labels"}
    assert "own labels" not in [view["name"] for view in weight_figure(taught_assessment)["views"]]
    assert "two dots: uniform sampling, in part with labels" in reading([taught_assessment])


def test_groups_count_as_what_is_known():
    from spectral_sim.assessment import Entry, run_assessment

    problem = ss.OperatorProblem(np.diag([3.0, 2.0, 0.1, 0.1]), [1.0, -1.0, 1.0, -1.0], groups=[0, 0, 1, 1])
    entry = Entry("taught", ss.chain(ss.teacher(2.0), ss.mix(0.1)))
    assessment = run_assessment("groups", problem, [entry], ss.log_times(0.1, 10.0, 6))
    assert assessment.runs[1].taught.known == "groups"
    assert assessment.runs[1].teacher_frontier == pytest.approx(0.5)
