"""Small comparisons that the tests of this folder render."""

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.assessment import Entry, chosen_entries, default_entries, default_times, run_assessment


def data_problem(groups=None):
    rng = np.random.default_rng(3)
    inputs, held_out = rng.normal(size=(60, 3)), rng.normal(size=(30, 3))
    features = ss.problems.feature_map(ss.problems.rbf(2.0), inputs)

    def target(x):
        return np.stack([np.sin(2 * x[:, 0]), x[:, 1] * x[:, 2]], axis=1)

    return ss.OperatorProblem(
        features(inputs), target(inputs), eval_features=features(held_out), eval_targets=target(held_out), groups=groups
    )


@pytest.fixture(scope="session")
def data_assessment():
    problem = data_problem()
    times = default_times(problem, 4)
    entries = default_entries(
        problem,
        times,
        reference=("a linear model", np.asarray(problem.features)[:, :3]),
        groups=np.arange(60) % 3,
        epoch=5.0,
    )
    names = ["hardest 70%", "practical oracle", "what a teacher has learnt", "excess over a linear model"]
    entries = chosen_entries(entries, [*names, "half self-generated", "groups by loss"])
    return run_assessment("toy", problem, entries, times, title="Toy <data>", cost=0.3, settings={"dtype": "float64"})


@pytest.fixture(scope="session")
def modal_assessment():
    problem = ss.power_law(2.0, 2.0, max_mode=1e4, nodes=64)
    capped = ss.chain(ss.water_filling(), ss.clip(0.1, 20.0))
    entries = [
        Entry("water-filling", ss.water_filling()),
        Entry("capped", capped),
        Entry("bad", ss.static_weights(-np.ones(64))),
    ]
    return run_assessment("law", problem, entries, ss.log_times(0.1, 1e4, 42))


@pytest.fixture(scope="session")
def taught_assessment():
    problem = ss.power_law(2.0, 2.0, max_mode=1e4, nodes=64)
    rules = {
        "teacher": ss.teacher(200.0),
        "lasting teacher": ss.teacher(5000.0, exponent=1.2),
        "alongside": ss.complement(exponent=1.5),
    }
    entries = [Entry(name, ss.chain(rule, ss.proportional(1.0), ss.mix(0.1))) for name, rule in rules.items()]
    entries.append(Entry("own labels", ss.uniform(), dynamics=ss.SelfGenerated(0.5)))
    return run_assessment("taught", problem, entries, ss.log_times(0.1, 1e3, 34))
