"""Real training beside its prediction: scores by hand, a network that its kernel tells exactly, and going on."""

import jax
import numpy as np
import optax
import pytest
import scipy.stats
from helpers import tiny_network

import spectral_sim as ss
from spectral_sim._files import SavedFileError
from spectral_sim.fitting._training_comparison import Doubts
from spectral_sim.fitting._training_scores import agreement, clock_factor, speedups

STEPS = np.array([0, 4, 12, 40])
RNG = np.random.default_rng(3)
SCHEDULES = {
    "hard": ss.chain(ss.proportional(1.0), ss.clip(0.1, 4.0)),
    "some": ss.static_weights(RNG.uniform(0.1, 2.0, 12)),
    "others": ss.static_weights(RNG.exponential(size=12)),
}


def linear(params, inputs):
    return inputs @ params


@pytest.fixture(scope="module")
def network():
    """A linear network, whose kernel never changes."""
    rng = np.random.default_rng(4)
    params = rng.normal(size=(3, 2)) * 0.1
    inputs, teacher = rng.normal(size=(21, 3)), rng.normal(size=(3, 2))
    targets = inputs @ teacher + 0.2 * rng.normal(size=(21, 2))
    held_out = {"eval_inputs": inputs[12:], "eval_targets": targets[12:]}
    return ss.NetworkProblem(linear, params, inputs[:12], targets[:12], **held_out)


@pytest.fixture(scope="module")
def compared(network):
    return ss.compare_training(network, SCHEDULES, STEPS, optimizer=0.05, key=jax.random.key(0))


def test_a_linear_network_is_predicted_exactly(compared, network):
    assert compared.names == ("uniform", *SCHEDULES)
    assert compared.tau == 1
    assert compared.curve_error < 1e-10
    assert compared.gain_error < 1e-10
    assert compared.regret == 0
    assert compared.scores.speedup_error < 1e-9
    assert compared.real.loss.shape == (2, 4, 4)
    assert np.isnan(compared.ceiling.tau)  # nothing is random on the whole set
    assert abs(compared.doubts.drift) < 1e-12
    assert compared.doubts.clock == pytest.approx(1)
    assert not compared.doubts.adaptive
    depth = np.log(compared.real.saved["train_loss"][0, 0, 0] / compared.real.saved["train_loss"][0, 0, -1])
    assert compared.trust == pytest.approx(1 / (1 + 0.1 * depth), rel=1e-6)
    rows = compared.table()
    assert [row["real_loss"] for row in rows] == sorted(row["real_loss"] for row in rows)
    last = np.asarray(compared.real.loss)[0, :, -1]
    for row in rows:
        n = compared.names.index(row["schedule"])
        np.testing.assert_allclose(row["real_gain"], np.log(last[n] / last[0]), atol=1e-12)
    assert "trust" in str(compared)


def test_scores_by_hand():
    steps = np.array([0.0, 1.0, 4.0])
    true = np.array([[1.0, 0.5, 0.4], [1.0, 0.4, 0.2], [1.0, 0.6, 0.5]])
    told = np.array([[1.0, 0.5, 0.2], [1.0, 0.4, 0.3], [1.0, 0.6, 0.5]])
    found = agreement(told, true, steps, 0)
    np.testing.assert_allclose(found.tau, scipy.stats.kendalltau(told[:, -1], true[:, -1]).statistic)
    np.testing.assert_allclose(found.curve_error, (np.log(2) + np.log(1.5)) / 6)
    np.testing.assert_allclose(found.regret, np.log(2))
    gains = [np.log(0.3 / 0.2) - np.log(0.2 / 0.4), np.log(0.5 / 0.2) - np.log(0.5 / 0.4)]
    np.testing.assert_allclose(found.gain_error, np.mean(gains))
    # at step 2 uniform training has sqrt(.5 .4) and is told to have sqrt(.5 .2): straight lines in log-log
    early = np.log(np.sqrt(0.2)) / np.log(0.4)  # before the first refresh the log loss is linear
    late = np.exp(np.log(4) * np.log(0.4 / np.sqrt(0.1)) / np.log(0.4 / 0.3))
    np.testing.assert_allclose(speedups(true, steps, 0), [1, 2 / early, 0.5], rtol=1e-9)  # the last never gets there
    np.testing.assert_allclose(speedups(told, steps, 0), [1, 2 / late, 0.5], rtol=1e-9)
    assert found.speedup_side == 0.5  # the first is truly faster, and told to be slower
    np.testing.assert_allclose(found.speedup_error, np.log(late / early), rtol=1e-9)


def test_one_factor_on_time():
    times = np.linspace(0, 10, 200)
    told, true = np.exp(-times), np.exp(-1.5 * times)
    assert clock_factor(told, true, times) == pytest.approx(1.5, rel=0.03)


def test_trust_falls_with_each_doubt():
    base = Doubts(0.1, 1.0, 2.0, False)
    worse = [Doubts(0.3, 1.0, 2.0, False), Doubts(0.1, 2.0, 2.0, False), Doubts(0.1, 0.5, 2.0, False)]
    worse += [Doubts(0.1, 1.0, 4.0, False), Doubts(0.1, 1.0, 2.0, True)]
    assert all(each.trust < base.trust <= 1 for each in worse)
    assert Doubts(0.0, 1.0, 0.0, False).trust == 1


def test_goes_on_after_a_kill_and_knows_its_own_runs(network, tmp_path, monkeypatch):
    from spectral_sim.fitting import _compare_training as module

    options = {"optimizer": 0.05, "batch_size": 4, "key": jax.random.key(0), "predictor": "initial"}
    two = {name: SCHEDULES[name] for name in ("some", "others")}
    whole = ss.compare_training(network, two, STEPS, **options, seeds=3)
    write, count = module.RunStore.write, []

    def killed(store, seed, run):
        write(store, seed, run)
        if seed == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(module.RunStore, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        ss.compare_training(network, two, STEPS, **options, seeds=3, store=tmp_path)
    monkeypatch.setattr(
        module.RunStore, "write", lambda store, seed, run: (count.append(seed), write(store, seed, run))
    )
    resumed = ss.compare_training(network, two, STEPS, **options, seeds=3, store=tmp_path)
    assert count == [2]
    np.testing.assert_array_equal(resumed.real.loss, whole.real.loss)
    np.testing.assert_array_equal(resumed.scores, whole.scores)
    assert 0 < whole.ceiling.curve_error < 1
    with pytest.raises(SavedFileError, match=r"written by another comparison"):
        ss.compare_training(network, two, STEPS, **options | {"optimizer": 0.06}, seeds=3, store=tmp_path)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"seeds": 1}, ValueError, r"seeds is 1: give at least 2"),
        ({"predictor": "oracle"}, ValueError, r"predictor='oracle' is not known"),
        ({"warm_up": 1.0}, ValueError, r"warm_up is 1\.0"),
        ({"schedules": {}}, ValueError, r"schedules is \{\}"),
        ({"schedules": {"uniform": ss.uniform()}}, ValueError, r"holds uniform training alone"),
        ({"schedules": {"uniform": ss.proportional()}}, ValueError, r"schedules\['uniform'\] curates"),
        ({"schedules": {"a": 1.0}}, TypeError, r"schedules\['a'\] is 1\.0"),
        ({"steps": [0, 1.5]}, ValueError, r"times\[1\] is 1\.5"),
        ({"network": "mlp"}, TypeError, r"network is a str"),
    ],
)
def test_bad_input(network, options, error, message):
    arguments = {"network": network, "schedules": SCHEDULES, "steps": STEPS, **options}
    with pytest.raises(error, match=message):
        ss.compare_training(**arguments, optimizer=0.1, key=jax.random.key(0))


@pytest.mark.slow
@pytest.mark.parametrize("predictor", ["warm", "checkpoints"])
def test_adam_is_predicted_in_units_of_its_second_moments(predictor):
    network = tiny_network()
    compared = ss.compare_training(
        network,
        SCHEDULES,
        np.array([0, 10, 40, 100]),
        optimizer=optax.adam(1e-3),
        key=jax.random.key(0),
        predictor=predictor,
    )
    assert compared.doubts.adaptive
    assert compared.curve_error < 0.15  # rough: measured .10
    plain = ss.compare_training(network, SCHEDULES, np.array([0, 10, 40, 100]), optimizer=1e-3, key=jax.random.key(0))
    assert plain.trust > compared.trust
