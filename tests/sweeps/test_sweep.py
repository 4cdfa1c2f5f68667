"""Execution: one program, chunks and devices that do not matter, failures that stay rows."""

import dataclasses
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import QUICK, make_problem, on_eight_devices

import spectral_sim as ss
from spectral_sim.sweeps import Local, as_grid

PROBLEM = make_problem("shells")
TIMES = ss.log_times(0.1, 1e3, 17)
CHAIN = ss.chain(ss.lag(1.0), ss.proportional(1.0), ss.clip(0.1, 10.0))
SPEC = ss.grid(CHAIN, **{"lag.tau": [0.0, 1.0, 30.0], "clip.high": [2.0, 5.0, 20.0, 100.0, 300.0]})
METRICS = "final_loss", "exponent", "max_weight", "loss"
QUICKLY = Local(QUICK)


class Fails(ss.AbstractStage):
    """Weights energy^power that become NaN from a refresh on."""

    kind = "allocate"
    closed_loop: ClassVar[bool] = True
    at: jax.Array = eqx.field(converter=jnp.asarray)

    def init(self, problem):
        return None

    def __call__(self, signal, observation, state):
        return jnp.where(observation.index >= self.at, jnp.nan, 1.0) * signal, state


def compilations(call):
    """How many programs the compiler was given while `call` ran."""
    seen = []
    listen = lambda event, seconds, **more: seen.append(event) if event.endswith("backend_compile_duration") else None
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        call()
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return len(seen)


def test_rows_are_the_runs_of_simulate():
    table = ss.sweep(PROBLEM, SPEC, TIMES, metrics=METRICS, chunk_size=4, engine=QUICKLY)
    for row in (0, 7, 14):
        run = ss.simulate(PROBLEM, SPEC.schedule_at(row), TIMES, save=ss.save_summary)
        np.testing.assert_allclose(table.loss[row], run.loss, rtol=1e-12)
        np.testing.assert_allclose(table.max_weight[row], np.max(run.saved["max_weight"]), rtol=1e-12)
    grid = as_grid(table)
    assert grid.final_loss.sizes == {"lag.tau": 3, "clip.high": 5}
    assert float(grid.final_loss.sel({"lag.tau": 30.0, "clip.high": 5.0})) == float(table.final_loss[11])
    assert float(table["lag.tau"][11]), float(table["clip.high"][11]) == (30.0, 5.0)


def test_one_program_however_many_chunks_and_however_short_the_last():
    sweeping = lambda size: lambda: ss.sweep(PROBLEM, SPEC, TIMES, metrics=METRICS, chunk_size=size, engine=QUICKLY)
    sweeping(4)()  # compiles what tracing needs
    assert compilations(sweeping(4)) == compilations(sweeping(15)) == 1


def test_problems_cross_with_schedules():
    spec = ss.grid(CHAIN, **{"problem.alpha": [1.5, 2.5], "problem.beta": [1.8], "clip.high": [2.0, 20.0]})
    table = as_grid(ss.sweep(PROBLEM, spec, TIMES, metrics=["loss", "speedup"], engine=QUICKLY))
    for alpha in (1.5, 2.5):
        problem = ss.power_law(alpha, 1.8, max_mode=1e4, nodes=40)
        run = ss.simulate(problem, ss.chain(ss.lag(1.0), ss.proportional(1.0), ss.clip(0.1, 20.0)), TIMES)
        own = table.sel({"problem.alpha": alpha, "problem.beta": 1.8, "clip.high": 20.0})
        np.testing.assert_allclose(own.loss, run.loss, rtol=1e-10)
        uniform = ss.simulate(problem, ss.uniform(), TIMES).loss
        expected = ss.speedup(TIMES, run.loss, uniform, window=(10.0, 1e3))
        np.testing.assert_allclose(own.speedup, expected.value, rtol=1e-8)


@pytest.mark.parametrize(
    ("path", "values", "message"),
    [
        ("problem.alhpa", [2.0], r"Did you mean 'problem.alpha'\?"),
        ("problem.alpha", [0.5], "the sum over modes diverges"),
        ("dynamics.learning_rate", [0.5], "no dynamics are given"),
        ("run.sede", [1], r"Did you mean 'run.seed'\?"),
        ("run.seed", [0.5], "needs whole numbers"),
        ("problem.energies", [1.0], r"give one of shape \(40,\)"),
    ],
)
def test_paths_outside_the_schedule(path, values, message):
    with pytest.raises(ValueError, match=message):
        ss.sweep(PROBLEM, ss.grid(CHAIN, **{path: values}), TIMES)


def test_leaves_of_the_dynamics_are_swept():
    sgd = ss.SGDMoments(learning_rate=0.1, batch_size=4, noise_variance=0.0)
    spec = ss.grid(ss.power_tilt(0.5), **{"dynamics.learning_rate": [0.1, 0.3], "power_tilt.exponent": [0.0, 0.5]})
    times = np.array([0.0, 3.0, 30.0, 90.0])
    table = ss.sweep(PROBLEM, spec, times, dynamics=sgd, metrics=["final_loss"], engine=QUICKLY)
    own = ss.SGDMoments(learning_rate=0.3, batch_size=4, noise_variance=0.0)
    run = ss.simulate(PROBLEM, ss.power_tilt(0.5), times, dynamics=own)
    np.testing.assert_allclose(table.final_loss[-1], run.loss[-1], rtol=1e-10)
    assert len(np.unique(table.final_loss)) == 4


def test_seeds_are_rows_and_rows_share_their_noise():
    noisy = ss.chain(ss.schedules.add_noise(0.5), ss.proportional(1.0))
    with pytest.raises(ValueError, match="draws random numbers: pass sweep"):
        ss.sweep(PROBLEM, ss.grid(noisy, **{"proportional.power": [1.0]}), TIMES)
    spec = ss.grid(noisy, **{"run.seed": [3, 4, 3]})
    loss = np.asarray(ss.sweep(PROBLEM, spec, TIMES, engine=QUICKLY).final_loss)
    run = ss.simulate(PROBLEM, noisy, TIMES, key=jax.random.key(3))
    np.testing.assert_allclose(loss[0], run.loss[-1], rtol=1e-12)
    assert loss[0] == loss[2] != loss[1]
    twice = ss.grid(noisy, **{"add_noise.sigma": [0.5, 0.5]})
    first, second = np.asarray(ss.sweep(PROBLEM, twice, TIMES, key=jax.random.key(3), engine=QUICKLY).final_loss)
    assert first == second == loss[0]


def test_a_member_that_fails_is_a_row_with_a_status():
    spec = ss.grid(Fails(0), at=[99, 3, 99, 0])
    table = ss.sweep(PROBLEM, spec, TIMES, metrics=METRICS, chunk_size=2, engine=QUICKLY)
    np.testing.assert_array_equal(table.status, [0, 1, 0, 1])
    np.testing.assert_array_equal(table.refresh, [-1, 3, -1, 0])
    for name in ("final_loss", "exponent", "max_weight"):
        np.testing.assert_array_equal(np.isnan(table[name]), [False, True, False, True], err_msg=name)
    np.testing.assert_array_equal(table.loss[0], table.loss[2])
    np.testing.assert_array_equal(np.isfinite(table.loss[1]), np.arange(17) < 3)


def test_a_schedule_that_does_not_suit_is_refused_before_anything_is_written(tmp_path):
    spec = ss.grid(ss.power_tilt(0.5), exponent=[0.0, 1.0])
    with pytest.raises(ValueError, match="power_tilt asks for per-mode weights"):
        ss.sweep(make_problem("operator"), spec, TIMES, store=tmp_path / "store")
    assert not (tmp_path / "store" / "manifest.json").exists()


def test_the_size_of_chunks_does_not_matter_beyond_rounding():
    """Sizes that leave a row over, leave none, or hold every row."""
    tables = [ss.sweep(PROBLEM, SPEC, TIMES, metrics=METRICS, chunk_size=n, engine=QUICKLY) for n in (2, 5, 15)]
    for table in tables[1:]:
        for name in table.data_vars:
            np.testing.assert_allclose(table[name], tables[0][name], rtol=1e-11, atol=1e-14, err_msg=name)


def test_one_device_and_eight_give_the_same_table():
    script = """
import json, jax, numpy as np
import test_sweep as t
import spectral_sim as ss
assert jax.local_device_count() == 8
table = ss.sweep(t.PROBLEM, t.SPEC, t.TIMES, metrics=t.METRICS, chunk_size=7, engine=t.QUICKLY)
print(json.dumps({name: np.asarray(table[name]).tolist() for name in table.data_vars}))
"""
    sharded = on_eight_devices(script, __file__)
    table = ss.sweep(PROBLEM, SPEC, TIMES, metrics=METRICS, chunk_size=7, engine=QUICKLY)
    for name in table.data_vars:
        np.testing.assert_allclose(sharded[name], table[name], rtol=1e-11, atol=1e-14, err_msg=name)


STEPS = np.array([0, 4, 16, 64, 256, 512, 1024, 2048])


def sgd(rate, batch=4.0):
    return ss.SGDMoments(learning_rate=rate, batch_size=batch, noise_variance=0.0)


def test_metrics_of_dynamics_with_steps_count_intrinsic_time_where_rows_share_it():
    spec = ss.grid(ss.power_tilt(0.5), **{"dynamics.batch_size": [1.0, 64.0]})
    metrics = ["loss", "max_weight", "over_ideal", ss.sweeps.LossAt([2.0, 30.0]), ss.sweeps.TimeToLoss([0.3])]
    table = ss.sweep(PROBLEM, spec, STEPS, dynamics=sgd(0.05), metrics=metrics, engine=QUICKLY)
    assert table.attrs["clock"] == "time"
    np.testing.assert_allclose(table.times, 0.05 * STEPS, rtol=1e-12)
    for row, batch in enumerate((1.0, 64.0)):
        run = ss.simulate(PROBLEM, ss.power_tilt(0.5), STEPS, dynamics=sgd(0.05, batch), save=ss.save_summary)
        np.testing.assert_allclose(table.loss[row], run.loss, rtol=1e-10)
        np.testing.assert_allclose(table.time_to_loss[row, 0], ss.time_to_loss(run.times, run.loss, 0.3), rtol=1e-8)
        np.testing.assert_allclose(table.max_weight[row], np.max(run.saved["max_weight"]), rtol=1e-12)
        ideal = ss.ideal_oracle(PROBLEM, run.times).loss
        np.testing.assert_allclose(table.over_ideal[row], run.loss[-1] / ideal[-1], rtol=1e-10)


def test_metrics_count_steps_where_swept_rates_give_rows_times_of_their_own():
    spec = ss.grid(ss.power_tilt(0.5), **{"dynamics.learning_rate": [0.02, 0.05]})
    metrics = ["loss", "over_ideal", ss.sweeps.TimeToLoss([0.4])]
    table = ss.sweep(PROBLEM, spec, STEPS, dynamics=sgd(0.1), metrics=metrics, engine=QUICKLY)
    assert table.attrs["clock"] == "steps"
    np.testing.assert_array_equal(table.times, STEPS)
    for row, rate in enumerate((0.02, 0.05)):
        run = ss.simulate(PROBLEM, ss.power_tilt(0.5), STEPS, dynamics=sgd(rate))
        np.testing.assert_allclose(table.time_to_loss[row, 0], ss.time_to_loss(STEPS, run.loss, 0.4), rtol=1e-8)
        ideal = ss.ideal_oracle(PROBLEM, run.times).loss  # at the times of that row
        np.testing.assert_allclose(table.over_ideal[row], run.loss[-1] / ideal[-1], rtol=1e-10)
    with pytest.raises(ValueError, match="speedup_net: the swept rates give every row times of its own"):
        ss.sweep(PROBLEM, spec, STEPS, dynamics=sgd(0.1), metrics=["speedup_net"], engine=QUICKLY)


@dataclasses.dataclass(frozen=True)
class LateEnergy(ss.sweeps.AbstractMetric):
    """The energy that was seen at the last refresh: `record` looks at the learner, not only at the weights."""

    records: ClassVar[bool] = True

    def variables(self, times):
        return {"late_energy": ss.sweeps.Variable("energy at the last refresh")}

    def record(self, observation, weights):
        return jnp.sum(observation.energy)

    def __call__(self, run):
        return {"late_energy": run.recorded[-1]}


def test_a_metric_that_looks_at_the_learner_sees_every_refresh_of_a_static_schedule():
    spec = ss.grid(ss.power_tilt(0.5), exponent=[0.0, 0.5])
    table = ss.sweep(PROBLEM, spec, TIMES, metrics=[LateEnergy(), "max_weight"], engine=QUICKLY)
    for row in range(2):
        save = lambda observation, weights: jnp.sum(observation.energy)
        run = ss.simulate(PROBLEM, spec.schedule_at(row), TIMES, save=save)
        np.testing.assert_allclose(table.late_energy[row], run.saved[-1], rtol=1e-10)
