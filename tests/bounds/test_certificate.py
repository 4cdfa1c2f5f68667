"""Certificates: proven, nearly tight, and beaten by nothing."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest
import scipy.linalg
import scipy.optimize

import spectral_sim as ss
from spectral_sim.bounds import Multiplier, certificate
from spectral_sim.bounds import _certificate as public
from spectral_sim.bounds import _certificate_active as active
from spectral_sim.bounds import _certificate_cost as cost
from spectral_sim.bounds import _certificate_interior as interior
from spectral_sim.bounds._certificate_cone import longest_step
from spectral_sim.bounds._certificate_multiplier import repaired, violations
from spectral_sim.bounds._certificate_newton import BandMatrix, Symmetric
from spectral_sim.bounds._certificate_task import certificate_tasks

KINDS = ("realisable", "missed", "held out", "outputs", "many outputs", "groups", "capped", "mass", "wide")
HORIZON = 1.0
TIMES = np.linspace(0.0, HORIZON, 7)


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def draw(kind, seed=0):
    """A random problem of a kind, and the options of its certificate."""
    rng = np.random.default_rng(seed)
    outputs = {"outputs": 2, "many outputs": 5}.get(kind, 1)
    examples, features = (3, 5) if kind == "wide" else (7, 3)
    phi = rng.normal(size=(examples, features)) * np.arange(1.0, features + 1) ** -0.7
    targets = phi @ rng.normal(size=(features, outputs))
    if kind in ("missed", "outputs", "many outputs", "groups"):
        targets = targets + 0.4 * rng.normal(size=targets.shape)
    more, options = {}, {}
    if kind == "held out":
        more = {"eval_features": rng.normal(size=(5, features)), "eval_targets": rng.normal(size=(5, outputs))}
    if kind == "mass":
        more = {"mass": rng.uniform(0.1, 1.0, examples)}
    if kind == "groups":
        more = {"groups": np.arange(examples) % 3}
    if kind == "capped":
        options = {"cap": 2.0}
    return ss.OperatorProblem(phi, targets, **more), options


def losses_of(problem, weights, horizon):
    """Loss at the horizon under weights held on equal intervals, by matrix exponentials, shape (schedules,)."""
    features, targets, mass = (np.asarray(x) for x in (problem.features, problem.targets, problem.example_mass))
    held_features, held_targets, held_mass = (np.asarray(x) for x in problem.evaluation)
    size, out = features.shape[1], []
    for schedule in weights:
        theta = np.asarray(problem.initial_parameters)
        for row in schedule:
            q = mass * np.asarray(problem.per_example(row))
            drive = np.zeros((size + theta.shape[1],) * 2)
            drive[:size, :size] = -features.T @ (q[:, None] * features)
            drive[:size, size:] = features.T @ (q[:, None] * targets)
            step = scipy.linalg.expm(drive * horizon / len(schedule))
            theta = step[:size, :size] @ theta + step[:size, size:]
        out.append(0.5 * np.sum(held_mass[:, None] * (held_targets - held_features @ theta) ** 2))
    return np.array(out)


def random_weights(problem, count, rng, cap=None):
    """Schedules of four intervals, from nearly uniform to a single example at a time."""
    mass = np.asarray(problem.mass)
    score = np.exp(rng.choice([0.3, 2.0, 20.0], (count, 1, 1)) * rng.normal(size=(count, 4, len(mass))))
    weights = score / (score @ mass)[..., None]
    if cap is not None:
        excess = weights.max(axis=2, keepdims=True)
        weights = 1 + (weights - 1) * np.minimum(1, (cap - 1) / (excess - 1))
    return weights


@pytest.mark.parametrize("kind", KINDS)
def test_no_schedule_beats_it_and_it_says_something(kind):
    problem, options = draw(kind)
    found = certificate(problem, TIMES, **options)
    assert found.verified
    assert found.finished.all()
    rng = np.random.default_rng(1)
    losses = losses_of(problem, random_weights(problem, 60, rng, options.get("cap")), HORIZON)
    assert losses.min() >= found.loss[0]
    assert found.loss[0] > 0.3 * losses.min()
    assert found.loss[0] <= found.limit[0] * (1 + 1e-6)
    # the same multipliers at earlier times
    early = losses_of(problem, random_weights(problem, 20, rng, options.get("cap")), 0.4)
    assert early.min() >= found.bound([0.4])[0] > 0


@pytest.mark.parametrize("kind", ["missed", pytest.param("held out", marks=pytest.mark.slow)])
def test_no_learned_schedule_beats_it(kind):
    problem, options = draw(kind, seed=3)
    found = certificate(problem, TIMES, pieces=18, **options)
    start = ss.TableSchedule.create(problem, TIMES)
    learned = ss.learn(problem, start, TIMES, objective=ss.terminal_log_loss(), steps=100)
    run = ss.simulate(problem, learned.schedule, TIMES)
    assert 0 <= found.gap(run) < 0.35
    assert found.gap(run) < found.gap(ss.simulate(problem, ss.uniform(), TIMES))
    assert found.gap(float(run.loss[-1])) == pytest.approx(found.gap(run))


def broken(multiplier, rng):
    """One change that makes a multiplier claim too much: its value raised, or a coefficient moved past a condition."""
    control, prices = multiplier.control.copy(), multiplier.prices
    node = rng.integers(len(control))
    direction = rng.normal(size=control.shape[1])
    size = np.abs(control).max()
    control[node] += rng.choice([0.3, 1.0, 10.0]) * size * np.outer(direction, direction) / (direction @ direction)
    return dataclasses.replace(multiplier, control=control, prices=prices)


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_multiplier_is_caught_every_time(kind):
    problem, options = draw(kind)
    found = certificate(problem, TIMES, pieces=6, **options)
    rng = np.random.default_rng(0)
    for _ in range(25):
        row = list(found.multiplier[0])
        row[0] = broken(row[0], rng)
        wrong = dataclasses.replace(found, multiplier=(tuple(row),))
        by_piece, terminal = violations(found.tasks[0], row[0], found.cap)
        task = found.tasks[0]
        direct = [
            np.linalg.eigvalsh(row[0].conditions(task, piece, order, found.cap)).min()
            for piece in range(row[0].pieces)
            for order in range(row[0].degree + 1)
        ]
        direct.append(np.linalg.eigvalsh(task.terminal - row[0].control[-1]).min())
        assert min(direct) < 0  # it is broken
        assert by_piece.any() or terminal
        assert not wrong.verified
        mended = repaired(task, row[0], found.cap)
        again, at_end = violations(task, mended, found.cap)
        assert not again.any()
        assert at_end == 0
    assert not dataclasses.replace(found, loss=found.loss * 1.001).verified
    nan = dataclasses.replace(found.multiplier[0][0], control=found.multiplier[0][0].control * np.nan)
    assert not dataclasses.replace(found, multiplier=((nan, *found.multiplier[0][1:]),)).verified


@pytest.mark.parametrize(
    "change",
    [
        lambda m: {"control": m.control + np.triu(np.ones(m.control.shape[1:]), 1)},  # the lower triangle is as before
        lambda m: {"control": m.control[:-1]},
        lambda m: {"control": m.control[:, :-1, :-1]},
        lambda m: {"knots": m.knots * 0.9},
        lambda m: {"knots": m.knots[::-1].copy()},
        lambda m: {"knots": m.knots + 0.1},
        lambda m: {"prices": None},
    ],
)
def test_malformed_multipliers_prove_nothing(change):
    problem, options = draw("capped")
    found = certificate(problem, TIMES, pieces=6, **options)
    first = found.multiplier[0][0]
    assert not dataclasses.replace(found, multiplier=((dataclasses.replace(first, **change(first)),),)).verified


def test_conditions_hold_between_the_coefficients():
    """The polynomial itself, not only its Bernstein coefficients: dP/dt - A^T P - P A by differences in time."""
    problem, _ = draw("missed")
    found = certificate(problem, TIMES, pieces=6)
    task, multiplier = found.tasks[0], found.multiplier[0][0]

    def value(piece, part):
        points = multiplier.control[3 * piece : 3 * piece + 4]
        while len(points) > 1:
            points = (1 - part) * points[:-1] + part * points[1:]
        return points[0]

    for piece in range(multiplier.pieces):
        duration = multiplier.knots[piece + 1] - multiplier.knots[piece]
        for part in np.linspace(0.01, 0.99, 9):
            slope = (value(piece, part + 1e-4) - value(piece, part - 1e-4)) / (2e-4 * duration)
            half = value(piece, part) @ task.generators
            least = np.linalg.eigvalsh(slope - half - half.swapaxes(1, 2)).min()
            assert least > -1e-6 * np.abs(multiplier.control).max()


def test_more_pieces_raise_the_bound():
    problem = ss.torus(2.0, 2.0, 6)
    by_pieces = [certificate(problem, [0, 8.0], pieces=p, tolerance=1e-3).loss[0] for p in (1, 3, 6, 12, 24)]
    assert np.all(np.diff(by_pieces) > 0)
    assert by_pieces[-1] > 1.02 * by_pieces[2]


def test_scaling_time_features_and_targets_changes_nothing():
    problem, _ = draw("missed")
    features, targets = np.asarray(problem.features), np.asarray(problem.targets)
    one = certificate(problem, TIMES).loss
    other = certificate(ss.OperatorProblem(10 * features, 7 * targets), TIMES / 100).loss
    np.testing.assert_allclose(other, 49 * one, rtol=1e-6)


@pytest.mark.parametrize(("horizon", "least"), [(0.1, 0.99), (0.3, 0.98), (1.0, 0.75)])
def test_orthogonal_examples_agree_with_water_filling(horizon, least):
    """Where each example moves one mode, weights per mode are realisable and the ideal oracle is the optimum.

    The bound may not exceed it. It agrees while much is left to learn, and falls behind later: a quadratic form cannot
    know that the modes share one budget once their moments no longer hang together.
    """
    energies = np.array([1.0, 0.6, 0.5, 0.3])
    problem = ss.OperatorProblem(2 * np.eye(4), 2 * np.sqrt(energies))  # M_w = diag(w), energies as given
    ideal = ss.ideal_oracle(ss.ModalProblem(np.ones(4), energies), [horizon]).loss[0]
    found = certificate(problem, [0, horizon], tolerance=2e-3)
    assert least * ideal < found.loss[0] <= ideal


def test_orthogonal_examples_of_unequal_size():
    """Each example costs budget of its own: sum_k u_k / lam_k = n t, with the water level from a root finder."""
    eigenvalues, energies, horizon = np.array([1.0, 0.5, 0.3]), np.array([1.0, 0.6, 0.5]), 0.2

    def spent(level):
        return np.sum(np.maximum(np.log(energies * eigenvalues / level), 0) / (2 * eigenvalues))

    level = scipy.optimize.brentq(lambda mu: spent(mu) - 3 * horizon, 1e-6, 1)
    optimum = 0.5 * np.sum(energies * np.minimum(1, level / (energies * eigenvalues)))
    problem = ss.OperatorProblem(np.diag(np.sqrt(3 * eigenvalues)), np.sqrt(3 * energies))
    found = certificate(problem, [0, horizon], tolerance=2e-3)
    assert 0.98 * optimum < found.loss[0] <= optimum


def test_is_never_below_the_floor():
    problem, _ = draw("held out")
    late = certificate(problem, [0, 100.0], pieces=1)
    floor = float(ss.bounds.speed_limit(problem, [100.0]).floor)
    assert late.verified
    assert late.loss[0] >= floor * (1 - 1e-6)


def test_is_far_above_the_speed_limit():
    problem = ss.torus(2.0, 2.0, 8)
    found = certificate(problem, np.linspace(0, 8, 5), horizon=[2.0, 8.0])
    assert np.all(found.loss > 3 * np.asarray(ss.bounds.speed_limit(problem, [2.0, 8.0]).loss))
    assert np.all(found.bound([2.0, 8.0]) >= found.loss * (1 - 1e-9))
    assert found.bound([9.0]) == 0


def test_a_cap_of_one_leaves_only_uniform_weights():
    problem = ss.torus(2.0, 2.0, 4)
    uniform = float(ss.simulate(problem, ss.uniform(), [0, 2.0]).loss[-1])
    tight = certificate(problem, [0, 2.0], cap=1.0).loss[0]
    assert 0.98 * uniform < tight <= uniform
    free, loose = (certificate(problem, [0, 2.0], cap=cap).loss[0] for cap in (None, 2.0))
    assert free < loose < tight
    assert certificate(problem, [0, 2.0], cap=4.0).cap is None  # it binds no schedule


def test_float32_problems_pay_for_what_rounding_hides():
    problem, _ = draw("realisable")
    small = ss.OperatorProblem(np.asarray(problem.features, np.float32), np.asarray(problem.targets, np.float32))
    found = certificate(small, TIMES)
    assert not found.tasks[0].augmented
    assert found.tasks[0].neglected[0] > 0
    assert found.verified
    assert found.loss[0] == pytest.approx(certificate(problem, TIMES).loss[0], rel=1e-3)


def test_an_interrupt_of_the_exact_route_returns_what_is_proven(monkeypatch):
    problem, _ = draw("missed")
    whole, calls = public.exact_multipliers, []

    def interrupted(*args):
        calls.append(None)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return whole(*args)

    monkeypatch.setattr(public, "exact_multipliers", interrupted)
    found = certificate(problem, TIMES, horizon=[0.5, 1.0], pieces=1, method="exact")
    assert found.verified
    assert found.finished.tolist() == [True, False]
    floor = float(ss.bounds.speed_limit(problem, [1.0]).floor)
    assert found.loss[0] > 1.01 * found.loss[1] > 0.99 * floor


def test_outputs_have_to_serve_one_schedule():
    """With transfers between outputs the bound is tighter than that of outputs that each choose their own."""
    for seed in range(3):
        problem, _ = draw("many outputs", seed)
        together = certificate(problem, TIMES, pieces=6)
        apart = 0.0
        for column in np.asarray(problem.targets).T:
            apart += certificate(ss.OperatorProblem(problem.features, column), TIMES, pieces=6).loss[0]
        learned = losses_of(problem, random_weights(problem, 40, np.random.default_rng(0)), HORIZON).min()
        assert 1.03 * apart < together.loss[0] <= learned


def test_transfers_that_lend_more_than_there_is_prove_nothing():
    problem, _ = draw("many outputs")
    found = certificate(problem, TIMES, pieces=3)
    first, *others = found.multiplier[0]
    for changed in (
        first.transfers + 1e-9,
        first.transfers + 1.0,
        first.transfers * np.nan,
        first.transfers[:, :, 1:],
        None,  # its conditions fail, as do the sums
    ):
        row = (dataclasses.replace(first, transfers=changed), *others)
        assert not dataclasses.replace(found, multiplier=(row,)).verified
    loud = (dataclasses.replace(found.tasks[0], loss_scale=2 * found.tasks[0].loss_scale), *found.tasks[1:])
    assert not dataclasses.replace(found, tasks=loud).verified
    realisable, _ = draw("realisable")
    plain = certificate(realisable, TIMES, pieces=3)
    lent = dataclasses.replace(plain.multiplier[0][0], transfers=np.zeros((1, 4, 7)))
    assert not dataclasses.replace(plain, multiplier=((lent,),)).verified  # without a last entry there is none to lend


@pytest.mark.parametrize("kind", ["realisable", "missed", "many outputs"])
def test_cutting_planes_find_the_examples_that_bind(kind, monkeypatch):
    problem, _ = draw(kind)
    whole = certificate(problem, TIMES, pieces=6, tolerance=1e-3)
    monkeypatch.setattr(cost, "MANY", 4)
    found = certificate(problem, TIMES, pieces=6, tolerance=1e-3)
    assert found.verified
    assert found.finished.all()
    assert found.loss[0] == pytest.approx(whole.loss[0], rel=3e-3)
    assert found.limit[0] >= whole.loss[0]  # fewer conditions allow for more


@pytest.mark.parametrize("kind", ["realisable", "groups", "capped", "many outputs"])
def test_the_exact_route_agrees(kind):
    pytest.importorskip("cvxpy")
    problem, options = draw(kind)
    exact = certificate(problem, TIMES, pieces=3, method="exact", **options)
    scalable = certificate(problem, TIMES, pieces=3, tolerance=1e-4, **options)
    assert exact.verified
    assert exact.method == "exact"
    assert exact.loss[0] == pytest.approx(scalable.loss[0], rel=3e-3)


def test_an_interrupt_returns_what_is_proven(monkeypatch):
    problem, _ = draw("many outputs")
    step, calls = interior.InteriorMethod._step, []

    def interrupted(*args):
        calls.append(None)
        if len(calls) > 6:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(interior.InteriorMethod, "_step", interrupted)
    found = certificate(problem, TIMES)
    assert found.verified
    assert not found.finished.any()
    monkeypatch.undo()
    whole = certificate(problem, TIMES)
    assert 0 < found.loss[0] < whole.loss[0]


def test_an_interrupt_between_steps_loses_nothing(monkeypatch):
    problem, _ = draw("many outputs")
    whole = certificate(problem, TIMES, pieces=6)
    for module, name in ((active, "settled"), (public, "_proven")):
        function, calls = getattr(module, name), []

        def once(*args, function=function, calls=calls):
            calls.append(None)
            if len(calls) == 1:
                raise KeyboardInterrupt
            return function(*args)

        with monkeypatch.context() as patched:
            patched.setattr(module, name, once)
            found = certificate(problem, TIMES, horizon=[HORIZON / 2, HORIZON], pieces=6)
        assert len(calls) == 2
        assert found.verified
        assert found.loss[0] > whole.loss[0]  # the first horizon was done
        assert not found.finished[1]  # and the second not begun


def test_a_round_cut_short_returns_what_the_one_before_it_proves(monkeypatch):
    problem, _ = draw("missed", seed=2)
    monkeypatch.setattr(cost, "MANY", 6)
    monkeypatch.setattr(active, "_LOOSE", 1e-3)
    solve, step, rounds = interior.InteriorMethod.solve, interior.InteriorMethod._step, []

    def counted(self, *args):
        rounds.append(None)
        return solve(self, *args)

    def stopped(self, point):
        if len(rounds) > 1:
            raise KeyboardInterrupt
        return step(self, point)

    settled, worth = active.settled, []

    def noted(tasks, found):
        out = settled(tasks, found)
        worth.append(tasks[0].loss_scale * (tasks[0].start @ out[0][0].control[0] @ tasks[0].start))
        return out

    monkeypatch.setattr(interior.InteriorMethod, "solve", counted)
    monkeypatch.setattr(interior.InteriorMethod, "_step", stopped)
    monkeypatch.setattr(active, "settled", noted)
    found = certificate(problem, TIMES, pieces=6)
    assert len(rounds) == 2
    assert found.verified
    assert worth[0] > 2 * worth[1]
    assert found.loss[0] == pytest.approx(worth[0], rel=1e-6)
    assert not found.finished[0]


def test_a_search_says_how_far_it_is():
    problem, _ = draw("many outputs")
    heard = []
    said = lambda *pair: heard.append(pair)
    found = certificate(problem, TIMES, horizon=[HORIZON / 2, HORIZON], pieces=6, report=said)
    for horizon, loss, limit in zip(found.horizon, found.loss, found.limit, strict=True):
        bounds = [bound for at, bound in heard if at == horizon]
        assert len(bounds) > 3
        assert bounds[0] < bounds[-1] <= limit * (1 + 1e-6)
        assert bounds[-1] == pytest.approx(loss, rel=0.2)
    assert [at for at, _ in heard] == sorted(at for at, _ in heard)


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_of_a_search_is_known_ahead(kind):
    problem, _ = draw(kind)
    found = cost.shape_of(
        certificate_tasks(problem, None if problem.groups is None else np.asarray(problem.groups)), None
    )
    ahead = cost.shape_ahead(problem)
    if kind in ("realisable", "capped", "mass", "wide"):  # targets that are met need no last entry, and fewer features
        assert (found.choices, found.multipliers, found.rank_one) == (ahead.choices, ahead.multipliers, ahead.rank_one)
        assert found.size < ahead.size
    else:
        assert found == ahead
    more = cost.shape_ahead(problem, features=20)
    assert more.size == 21
    assert cost.seconds_needed(more) > cost.seconds_needed(ahead)
    assert cost.memory_needed(more) > cost.memory_needed(ahead)


def test_a_search_begins_with_some_for_each_output():
    assert [cost.first_round(*case) for case in ((100, 10), (400, 1), (400, 10), (10_000, 10))] == [100, 128, 200, 1280]


def test_the_longest_step_is_that_of_all_eigenvalues():
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(3, 50, 6, 6))
    for size in (0.01, 1.0, 30.0):
        change = size * rng.normal(size=roots.shape)
        change = change + change.swapaxes(-1, -2)
        least = np.linalg.eigvalsh(roots @ change @ roots.swapaxes(-1, -2)).min()
        expected = min(1.0, -0.95 / least)
        assert longest_step(roots, change, 1.0) == pytest.approx(expected, rel=1e-12)
        assert longest_step(roots, change, expected / 2) == expected / 2
    assert longest_step(roots, np.broadcast_to(np.eye(6), roots.shape), 0.7) == 0.7


def test_what_could_not_be_proven_is_never_returned(monkeypatch):
    problem, _ = draw("realisable")

    def nonsense(*args):
        found = real(*args)
        raised = [dataclasses.replace(m, control=m.control + 1.0) for m in found.multipliers]
        return dataclasses.replace(found, multipliers=raised)

    real = public.scalable_multipliers
    monkeypatch.setattr(public, "scalable_multipliers", nonsense)
    found = certificate(problem, TIMES)
    assert found.verified
    assert found.loss[0] <= real_loss(problem)


def real_loss(problem):
    return float(ss.simulate(problem, ss.uniform(), TIMES).loss[-1])


def test_reports_in_words():
    problem, _ = draw("groups")
    text = certificate(problem, TIMES, pieces=3).report()
    assert "proven in float64, for any weights on 3 examples or groups" in text
    assert "finished" in text


def test_refuses_bad_input(monkeypatch):
    problem, _ = draw("realisable")
    with pytest.raises(TypeError, match="not a ModalProblem: use ideal_oracle"):
        certificate(ss.power_law(2.0, 2.0, num_modes=4), TIMES)
    for horizon, message in (
        (0.0, r"horizon is 0: it must be positive"),
        (4.0, "beyond the last time, 1"),
        ([], "empty"),
    ):
        with pytest.raises(ValueError, match=message):
            certificate(problem, TIMES, horizon=horizon)
    for pieces, message in (
        (0, "pieces is 0"),
        (2.5, "whole number"),
        (10**9, "needs about .* GB: give at most about"),
    ):
        with pytest.raises(ValueError, match=message):
            certificate(problem, TIMES, pieces=pieces)
    with pytest.raises(ValueError, match=r"needs about .* GB: give fewer features, or groups"):  # even for one piece
        certificate(ss.torus(2.0, 2.0, 256), TIMES)
    with pytest.raises(ValueError, match=r"cap is 0.5: weights of mean one need a cap of at least 1"):
        certificate(problem, TIMES, cap=0.5)
    with pytest.raises(ValueError, match="method='clever' is not known"):
        certificate(problem, TIMES, method="clever")
    with pytest.raises(ValueError, match="groups has shape"):
        certificate(problem, TIMES, groups=[0, 1])
    with pytest.raises(ValueError, match="out of reach of a general solver"):
        certificate(ss.torus(2.0, 2.0, 32), TIMES, method="exact")
    blind = ss.OperatorProblem(np.array([[1.0], [1.0]]), np.array([1.0, -1.0]))
    with pytest.raises(ValueError, match="the features explain no part"):
        certificate(blind, TIMES)
    run = ss.simulate(problem, ss.uniform(), [0.0, 0.5])
    with pytest.raises(ValueError, match="no record at the horizon 1"):
        certificate(problem, TIMES, pieces=1).gap(run)

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr("spectral_sim._extras.importlib.import_module", missing)
    with pytest.raises(ImportError, match=r"needs the package 'cvxpy': pip install 'spectral_sim\[certify\]'"):
        certificate(problem, TIMES, method="exact")


def test_kronecker_forms_and_band_solves_agree_with_dense_algebra():
    rng = np.random.default_rng(0)
    space = Symmetric(4)
    e, f = (x + x.T for x in rng.normal(size=(2, 4, 4)))
    for symmetric in itertools.product((True, False), repeat=2):
        pairs = [
            x + x.swapaxes(1, 2) if each else x
            for x, each in zip(rng.normal(size=(2, 3, 4, 4)), symmetric, strict=True)
        ]
        direct = sum(np.trace(e @ x @ f @ y) for x, y in zip(*pairs, strict=True))
        assert space.vector(e) @ space.kronecker(*pairs, symmetric) @ space.vector(f) == pytest.approx(direct)
    np.testing.assert_allclose(space.matrix(space.vector(e)), e)
    assert space.vector(e) @ space.vector(f) == pytest.approx(np.trace(e @ f))

    length, size = 6, 3
    dense = np.zeros((length, size, length, size))
    band = BandMatrix(length, size)
    for row in range(length):
        for column in range(max(0, row - 2), row + 1):
            block = rng.normal(size=(size, size))
            if row == column:
                block = block @ block.T + 20 * np.eye(size)
            band.add(row, column, block)
            dense[row, :, column], dense[column, :, row] = block, block.T
    right = rng.normal(size=(length, size))
    band.factor()
    direct = np.linalg.solve(dense.reshape(length * size, -1), right.ravel())
    np.testing.assert_allclose(band.solve(right).ravel(), direct, rtol=1e-9)


def test_a_factor_of_what_is_singular_to_rounding():
    """Where the search of 48 features lost .05 of its bound for a matrix that had no Cholesky factor."""
    size, refused = 200, 0
    for seed in range(10):
        half = np.random.default_rng(seed).normal(size=(size, size // 2))
        matrix = half @ half.T
        try:
            np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            refused += 1
        band = BandMatrix(1, size)
        band.add(0, 0, matrix)
        band.factor()
        right = band.solve((matrix @ np.ones(size))[None])[0]
        np.testing.assert_allclose(matrix @ right, matrix @ np.ones(size), atol=1e-9 * size)
    assert refused


def test_tasks_are_the_dynamics():
    """s' = -sum_i q_i A_i s and the terminal form give the loss of the run itself."""
    for kind in ("missed", "held out", "outputs", "groups", "wide"):
        problem, _ = draw(kind)
        groups = None if problem.groups is None else np.asarray(problem.groups)
        rng = np.random.default_rng(2)
        weights = random_weights(problem, 3, rng)
        expected = losses_of(problem, weights, 2.0)
        total = np.zeros(3)
        for task in certificate_tasks(problem, groups):
            for n, schedule in enumerate(weights):
                state = task.start
                for row in schedule:
                    drive = np.tensordot(task.shares * row, task.generators, axes=1)
                    state = scipy.linalg.expm(-drive * 2.0 / task.time_scale / len(schedule)) @ state
                total[n] += task.loss_scale * state @ task.terminal @ state
        np.testing.assert_allclose(total, expected, rtol=1e-8)


def test_a_multiplier_is_public():
    assert Multiplier(np.array([0.0, 1.0]), np.zeros((4, 2, 2))).degree == 3


def test_a_search_begins_where_the_multiplier_points():
    problem = ss.torus(2.0, 2.0, 8)
    times = np.linspace(0.0, 8.0, 17)
    proof = certificate(problem, times, pieces=24)
    begin = ss.simulate(problem, proof.schedule(times), times)
    assert 0 < proof.gap(begin) < 0.5 * proof.gap(ss.simulate(problem, ss.uniform(), times))
    objective = ss.terminal_log_loss()
    found = ss.learn(problem, None, times, objective=objective, start=proof, steps=30)
    assert found.certificate is proof
    assert found.gap[0].kind == "certificate"
    assert np.exp(found.gap[0].optimum) == pytest.approx(proof.loss[0])
    # with 24 pieces it is nearer than what such a problem knows of itself, and far nearer than the speed limit
    assert found.gap[0].gap < 0.7 * ss.learning.measure_gap(problem, found.schedule, objective, times).gap
    assert found.gap[0].gap < 0.2 * (found.value - np.log(ss.bounds.speed_limit(problem, times).loss[-1]))
    assert 0 < proof.gap(np.exp(found.value)) < proof.gap(begin)
    for schedule, start in ((None, None), (ss.uniform(), proof)):
        with pytest.raises(ValueError, match=r"learn\(\) was given .* start=: give one of them"):
            ss.learn(problem, schedule, times, objective=objective, start=start)


@pytest.mark.parametrize("kind", ["realisable", "many outputs", "capped"])
def test_a_saved_search_keeps_its_proof(kind, tmp_path):
    problem, options = draw(kind)
    proof = certificate(problem, TIMES, horizon=[0.5, 1.0], pieces=3, **options)
    found = ss.learn(problem, None, TIMES, objective=ss.terminal_log_loss(), start=proof, steps=2)
    path = tmp_path / "learned.json"
    found.save(path)
    read = ss.load_learned(path).certificate
    assert read.verified
    assert read.report() == proof.report()
    assert read.tasks[0].neglected == proof.tasks[0].neglected
    np.testing.assert_array_equal(read.bound(TIMES), proof.bound(TIMES))
    np.testing.assert_array_equal(read.schedule(TIMES).log_weights.values, proof.schedule(TIMES).log_weights.values)
    # one that claims more than it proves is refused, however it came into the file
    greedy = dataclasses.replace(found, certificate=dataclasses.replace(proof, loss=proof.loss * 1.01))
    greedy.save(path)
    with pytest.raises(ss.learning.SavedFileError, match="certificate does not prove the loss that it names"):
        ss.load_learned(path)
    short = dataclasses.replace(proof, instants=proof.instants[1:])
    dataclasses.replace(found, certificate=short).save(path)
    with pytest.raises(ss.learning.SavedFileError, match=r"certificate.shares0"):
        ss.load_learned(path)


def test_small_problems_are_bounded_by_a_certificate_by_default():
    times = np.linspace(0.0, 8.0, 9)
    small, large = ss.torus(2.0, 2.0, 8), ss.torus(2.0, 2.0, 32)
    bound, limit = small.lower_bound(times), np.asarray(ss.bounds.speed_limit(small, times).loss)
    assert bound.name == "certificate"
    assert np.all(bound.loss >= limit)
    assert bound.loss[-1] > 10 * limit[-1]
    assert np.isinf(bound.valid_until)
    assert np.all(ss.simulate(small, ss.uniform(), times).loss >= bound.loss)
    assert large.lower_bound(times).name == "speed limit"
    np.testing.assert_array_equal(large.lower_bound(times).loss, ss.bounds.speed_limit(large, times).loss)
    blind = ss.OperatorProblem(np.array([[1.0], [1.0]]), np.array([1.0, -1.0]))
    assert blind.lower_bound(times).name == "speed limit"
    assert small.lower_bound([0.0]).name == "speed limit"


@pytest.mark.parametrize("kind", ["realisable", "wide", "capped"])
def test_a_search_that_diverges_leaves_what_is_proven(kind, monkeypatch):
    """Moments that begin too small send the multiplier off to infinity."""
    monkeypatch.setattr(interior, "_MOMENTS", 1e-6)
    problem, options = draw(kind)
    found = certificate(problem, np.array([0.0, 10.0]), method="scalable", **options)
    assert found.verified
    assert found.loss[0] == 0
