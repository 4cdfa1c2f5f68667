"""Every peer does the task that we do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from c_peer import build, closed_loop, find_compiler, modal_loop

import spectral_sim as ss
from spectral_sim.benchmark import PeerUnavailable, bare_losses, numpy_losses
from spectral_sim.benchmark._closed_cases import KINDS, ClosedTask, closed_losses, plain_losses
from spectral_sim.benchmark._modal_task import ModalTask, diffrax_losses, our_losses, torch_losses
from spectral_sim.benchmark._operator_task import (
    OperatorTask,
    by_dop853,
    by_expm,
    diffrax_run,
    interval_systems,
    our_advance,
    our_run,
)


@pytest.fixture(scope="module")
def task():
    return ModalTask(3, 7, 12)


@pytest.fixture(scope="module")
def ours(task):
    return np.asarray(our_losses(task)(task.problem, jnp.asarray(task.exponents)))


def test_numpy_and_the_bare_loop(task, ours):
    np.testing.assert_allclose(numpy_losses(task.problem, task.times, task.exponents), ours, rtol=1e-5)
    bare = bare_losses(task.problem, task.times, jnp.asarray(task.exponents))
    np.testing.assert_allclose(bare, ours[:, 1:], rtol=1e-5)


@pytest.mark.skipif(find_compiler() is None, reason="no C compiler")
def test_the_loop_in_c(task, ours):
    call = modal_loop(task.coefficient, np.asarray(task.rates), task.times)
    np.testing.assert_allclose(call(), ours, rtol=1e-4)  # -ffast-math
    assert np.float64(5e-324) * 1.0 != 0  # and yet this process still has its smallest numbers


def test_closed_loops_by_one_scan_and_in_c():
    task, kind = ClosedTask(3, 7, 12), KINDS["proportional"]
    powers = task.numbers(kind)
    ours = closed_losses(task, kind)(task.problem, powers)
    np.testing.assert_allclose(plain_losses(task)(task.problem, powers), ours, rtol=1e-5)
    if find_compiler() is not None:
        in_c = closed_loop(task.problem, np.asarray(powers), np.diff(task.times))()
        np.testing.assert_allclose(in_c, ours, rtol=1e-4)  # -ffast-math


def test_no_compiler_and_a_bad_one_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(PeerUnavailable, match="no C compiler"):
        build(tmp_path)
    monkeypatch.setenv("CC", "false")
    with pytest.raises(PeerUnavailable, match="failed"):
        build(tmp_path)


def test_torch(task, ours):
    pytest.importorskip("torch")
    np.testing.assert_allclose(torch_losses(task)(), ours, rtol=1e-5)


@pytest.mark.parametrize(("solver", "tolerance", "accuracy"), [("Euler", None, 1e-5), ("Tsit5", 1e-5, 1e-2)])
def test_diffrax_on_modes(task, ours, solver, tolerance, accuracy):
    pytest.importorskip("diffrax")
    losses = jax.jit(diffrax_losses(task, solver, tolerance))(task.problem, jnp.asarray(task.exponents))
    np.testing.assert_allclose(losses, ours, rtol=accuracy, atol=1e-11)


@pytest.fixture(scope="module")
def data():
    return OperatorTask(2, 12, 4)


def test_scipy_on_data(data):
    pytest.importorskip("scipy")
    duration = data.duration(50.0)
    exact = our_advance("eigh", None)(data.problem, data.weights, duration)
    assert exact.shape == (2, 4)
    np.testing.assert_allclose(by_expm(data, float(duration))(), exact, rtol=1e-10)
    np.testing.assert_allclose(by_dop853(data, float(duration), 1e-9)(), exact, rtol=1e-6)


@pytest.mark.parametrize("solver", ["Kvaerno5", "Tsit5"])
def test_diffrax_on_data(data, solver):
    pytest.importorskip("diffrax")
    times = ss.log_times(0.1 / data.trace, 100 / data.trace, 5)
    tables = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 12)))
    exact = our_run(times, "eigh", None)(data.problem, tables)
    losses = jax.jit(diffrax_run(times, solver, 1e-8))(data.problem, interval_systems(data.problem, tables))
    np.testing.assert_allclose(losses, exact, rtol=1e-6)


def test_work_is_counted_by_the_route_that_is_taken(monkeypatch):
    data = OperatorTask(2, 36, 18)
    place = [2]
    choose = lambda *arguments: jnp.asarray(place[0])
    monkeypatch.setattr("spectral_sim.numerics._weighted_phi.chosen_route", choose)
    few, some = (data.work(data.duration(hr), 1e-8) for hr in (1.0, 400.0))
    assert 3 < few.terms < some.terms < 200
    assert some.flops == some.terms * 4.0 * 2 * 36 * 18
    place[0] = 1
    work = data.work(data.duration(400.0), 1e-8)
    assert (work.route, work.flops) == ("gram", 2.0 * 2 * 36 * 18**2 + work.terms * 2.0 * 2 * 18**2)
    assert 3 < work.terms <= some.terms
    place[0] = 0
    assert data.work(data.duration(400.0), 1e-8) is None
    assert OperatorTask(2, 12, 4).work(data.duration(1.0), 1e-8) is None  # few features are never expanded
    monkeypatch.delattr("spectral_sim.numerics._weighted_phi.chosen_route")
    assert data.work(data.duration(400.0), 1e-8) is None
