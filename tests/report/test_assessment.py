"""What is recorded, and at what price."""

import jax
import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.analysis import scoring_charges, step_charge
from spectral_sim.assessment import Entry, default_times, run_assessment, table
from spectral_sim.assessment._record import recorder

from .conftest import data_problem


def test_uniform_is_added_and_comes_first(modal_assessment):
    assert [run.name for run in modal_assessment.runs] == ["uniform", "water-filling", "capped", "bad"]
    assert modal_assessment.planned == 4


def test_a_failed_member_leaves_the_others_alone(modal_assessment):
    rows = {row.name: row for row in table(modal_assessment).rows}
    assert rows["bad"].status == "negative weights at t = 0"
    assert rows["bad"].gains.anytime_gross is None
    assert rows["water-filling"].ok
    assert rows["water-filling"].gains.anytime_gross.value > 2


def test_shell_quadrature_reports_its_error(modal_assessment):
    rows = {row.name: row for row in table(modal_assessment).rows}
    assert rows["uniform"].quadrature_error < 1e-6
    assert 1e-12 < rows["water-filling"].quadrature_error < 1e-2
    assert np.isnan(rows["bad"].quadrature_error)  # made for 64 nodes, so it cannot run on 128


def test_bounds_bound_and_references_do_not_claim_to(data_assessment, modal_assessment):
    curves = {curve.name: curve for curve in data_assessment.bounds}
    for run in data_assessment.runs:
        assert np.all(run.loss >= curves["speed limit"].loss * (1 - 1e-9))
        assert np.all(run.loss >= curves["least-squares floor"].loss * (1 - 1e-9))
    curves = {curve.name: curve for curve in modal_assessment.bounds}
    assert curves["ideal (no schedule is lower)"].kind == "bound"
    capped = modal_assessment.runs[2].loss
    assert np.all(capped >= curves["uniform at 20 t"].loss * (1 - 1e-9))
    assert np.all(capped <= curves["uniform at 0.1 t"].loss * (1 + 1e-9))


def test_mode_energies_and_floor_make_up_the_training_loss(data_assessment):
    problem = data_problem()
    features, targets = np.asarray(problem.features), np.asarray(problem.targets)
    fitted = features @ np.linalg.lstsq(features, targets)[0]
    floor = 0.5 * np.mean(np.sum((targets - fitted) ** 2, axis=1))
    for run in data_assessment.runs:
        assert run.initial_mode_energy.sum() / 2 + floor == pytest.approx(run.train_loss[0], rel=1e-6)
        assert run.mode_energy.sum() / 2 + floor == pytest.approx(run.train_loss[-1], rel=1e-6)


def test_rows_are_means_of_weights(data_assessment):
    for run in data_assessment.runs:
        # rows hold equal mass here, so their mean is the mean weight
        np.testing.assert_allclose(run.rows.mean(axis=1), 1, rtol=1e-6)
        assert np.all(run.rows.max(axis=1) <= run.max_weight * (1 + 1e-9))


def test_weights_by_group_are_shown_by_group():
    problem = ss.OperatorProblem(np.eye(6)[:, :3] + 0.1, np.arange(6.0), groups=np.array([0, 0, 0, 1, 1, 1]))
    record, rows, _ = recorder(problem, ("left", "right"))
    times = ss.log_times(0.1, 10.0, 8)
    saved = ss.simulate(problem, ss.static_weights(np.array([0.5, 1.5])), times, save=record).saved
    assert rows.names == ("left", "right")
    np.testing.assert_allclose(saved["rows"][0], [0.5, 1.5])


def test_drive_is_the_trace_ratio():
    features = np.diag([1.0, 2.0, 3.0])
    problem = ss.OperatorProblem(features, np.arange(3.0))
    record, _, _ = recorder(problem)
    weights = np.array([0.0, 0.0, 3.0])
    saved = ss.simulate(problem, ss.static_weights(weights), ss.log_times(0.1, 1.0, 4), save=record).saved
    np.testing.assert_allclose(saved["drive"], 27 / 14)


def test_many_modes_are_put_together():
    problem = ss.power_law(1.5, 2.0, num_modes=5000)
    record, rows, spectrum = recorder(problem)
    saved = ss.simulate(problem, ss.uniform(), ss.log_times(0.1, 1.0, 4), save=record).saved
    assert len(rows.names) == len(spectrum.index) == saved["rows"].shape[1] <= 128
    np.testing.assert_allclose(saved["rows"], 1)


@pytest.mark.parametrize(
    ("schedule", "charged"),
    [
        (ss.uniform(), []),
        (ss.schedules.random_pruning(0.5), []),
        (ss.hard_pruning(0.5), [0]),
        (ss.chain(ss.curriculum(3.0), ss.mix(0.1)), [0]),
        (ss.schedules.leverage_sampling(), [0]),
        (ss.proportional(), [0, 1, 2, 3, 4]),
        (ss.chain(ss.stale(2.0), ss.proportional()), [0, 2, 4]),
    ],
)
def test_what_is_scored_when(schedule, charged):
    charges = scoring_charges(schedule, np.arange(6.0))
    assert np.flatnonzero(charges).tolist() == charged
    assert set(charges.tolist()) <= {0.0, 1.0}


def test_stale_is_charged_when_it_scores():
    problem = ss.power_law(1.5, 2.0, num_modes=6)
    times = ss.log_times(0.1, 30.0, 30)
    schedule = ss.chain(ss.stale(4.0), ss.proportional())
    weights = np.asarray(ss.simulate(problem, schedule, times, save=ss.save_weights).saved)
    changed = np.flatnonzero(np.any(np.diff(weights[:-1], axis=0) != 0, axis=1)) + 1
    assert np.flatnonzero(scoring_charges(schedule, times)).tolist() == [0, *changed]


def test_a_part_that_is_scored_costs_a_part_once_all_has_been():
    schedule = ss.chain(ss.schedules.subsample(0.25), ss.proportional())
    assert scoring_charges(schedule, np.arange(3.0)).tolist() == [1.0, 0.25, 0.0]
    assert step_charge(960, 2.0, 64) == pytest.approx(2.5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_is_that_of_the_problem(dtype):
    problem = ss.power_law(dtype(2), dtype(2), num_modes=16)
    record, _, _ = recorder(problem)
    saved = ss.simulate(problem, ss.proportional(), ss.log_times(0.1, 10.0, 6), save=record).saved
    assert {leaf.dtype for leaf in jax.tree.leaves(saved)} == {np.dtype(dtype)}


def test_default_times_reach_where_uniform_training_has_flattened():
    problem = ss.power_law(1.5, 3.0, num_modes=200)
    times = default_times(problem)
    loss = ss.simulate(problem, ss.uniform(), times).loss
    assert times[1] == pytest.approx(0.1 / float(problem.trace))
    assert loss[-1] < 0.02 * loss[0]
    decades = np.log10(times[-1] / times[1])
    assert (len(times) - 2) / decades == pytest.approx(8, rel=0.05)
    assert default_times(problem, horizon=3.0)[-1] == pytest.approx(3.0)


def test_progress_and_partial_results_are_handed_out():
    seen, partial = [], []
    problem = ss.power_law(2.0, 2.0, num_modes=8)
    run_assessment(
        "x",
        problem,
        [Entry("oracle", ss.water_filling())],
        ss.log_times(0.1, 10, 6),
        started=lambda index, total, name: seen.append((index, total, name)),
        finished=lambda assessment: partial.append(len(assessment.runs)),
    )
    assert seen == [(0, 1, "2 schedules")]
    assert partial == [2, 2]
