"""Do schedules that were learned in the simulator help in real training?

    python benchmarks/transfer.py [label noise] [domain shift] [near-duplicates]

Each kind is run on its own or all in turn, and replaces its part of results/transfer.json, from which transfer.md and
transfer.png are written anew. A network is linearised after a twentieth of its training, a schedule is learned on the
linearised problem with the loss on a clean validation set of 5% as its objective, and its weights are replayed in real
training; a policy learned on other simulated problems runs as it is. Losses are those of real networks on test data
that nothing else has seen.
"""

import functools
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np
import optax
from matplotlib.ticker import NullFormatter
from transfer_tasks import TRAIN, VALIDATION, WRONG, Task, digits_task, synthetic_task

import spectral_sim as ss
from spectral_sim.fitting import linearise, train_reference
from spectral_sim.learning import load_schedule, save_schedule
from spectral_sim.schedules import difficulty

RESULTS = Path(__file__).parent / "results"
KINDS = ("label noise", "domain shift", "near-duplicates")
SEEDS = (0, 1, 2)
RATE, STEPS = 0.2, 1500
GRID = np.unique(np.round(np.append(0, np.geomspace(40, STEPS, 9))).astype(int))
REAL = ss.NetworkTraining(RATE, batch_size=32, max_steps=1023)
OBJECTIVE, FLOW = ss.terminal_log_loss(), ss.OperatorFlow(method="eigh")
POLICY = RESULTS / "transfer_policy_real.json"
RANK = 96
LEVELS = (0.15, 0.2, 0.3, 0.4, 0.5)  # of the loss, marked in the picture


def linearised(task: Task, held_out: Any, key: jax.Array) -> ss.OperatorProblem:
    """The network at a twentieth of its training, where its kernel is taken; training starts at the beginning."""
    network = task.network(held_out)
    save = lambda seen, weights: seen.state.params
    run = ss.simulate(network, ss.uniform(), np.array([0, STEPS // 20]), dynamics=REAL, save=save, key=key)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*of the trace.*")  # the cut is stated in the results
        return linearise(network, jax.tree.map(lambda leaf: leaf[-1], run.saved), rank=RANK)


@functools.cache
def adam(rate: float, steps: int) -> optax.GradientTransformation:
    """The same optimiser for the same arguments, so that a search is compiled once."""
    return optax.adam(optax.cosine_decay_schedule(rate, steps))


def learned_table(problem: ss.OperatorProblem, steps: int = 60) -> tuple[ss.AbstractStage, float, float]:
    """Weights of a schedule that is learned for the validation loss, and that loss under uniform weights and under it.

    A weight for each example would fit the few validation examples: the table has one for each of eight quantiles of
    difficulty, as the simulator sees it, at a few times.
    """
    times = RATE * GRID
    table = ss.TableSchedule.create(problem, times, num_basis=8, min_spacing=times[-1] / 4)
    options = {"objective": OBJECTIVE, "dynamics": FLOW, "optimizer": adam(0.15, steps), "steps": steps}
    found = ss.learn(problem, table, times, **options)
    weights = ss.simulate(problem, found.schedule, times, dynamics=FLOW, save=ss.save_weights).saved
    before, after = float(np.exp(found.history[0, 0])), float(np.exp(np.nanmin(found.history)))
    return ss.static_weights(ss.PerRefresh(weights)), before, after


def learned_policy() -> ss.AbstractStage:
    """A policy trained on simulated problems with wrong labels in 10% to 40%, none of which are digits."""
    if POLICY.exists():
        return load_schedule(POLICY)
    problems = []
    for seed, wrong in enumerate((0.1, 0.2, 0.3, 0.4)):
        task = synthetic_task(seed, wrong)
        problems.append(linearised(task, task.validation, jax.random.key(seed)))
    start = ss.PolicySchedule.create(jax.random.key(7), width=12, depth=1, drive=False)
    steps = 150
    options = {"dynamics": FLOW, "across": "mean", "steps": steps, "optimizer": adam(0.05, steps)}
    found = ss.learn(problems, start, RATE * GRID, objective=OBJECTIVE, **options)
    uniform = [np.log(ss.simulate(each, ss.uniform(), RATE * GRID, dynamics=FLOW).loss[-1]) for each in problems]
    change = np.expm1(np.nanmin(found.history) - np.mean(uniform))
    print(f"policy on its simulated problems: {change:+.1%} against uniform", flush=True)
    save_schedule(found.schedule, POLICY)
    return found.schedule


def run_task(kind: str, seed: int, policy: ss.AbstractStage) -> dict[str, Any]:
    """Real training under every schedule of one task."""
    task, key = digits_task(kind, seed), jax.random.key(100 + seed)
    begin = time.perf_counter()
    problem = linearised(task, task.validation, key)
    table, before, after = learned_table(problem)
    searched = time.perf_counter() - begin
    network = task.network(task.test)
    reference = train_reference(network, *task.validation, GRID[GRID <= 400], dynamics=REAL, key=jax.random.key(seed))
    excess = ss.excess(reference.losses, reference.cost)
    schedules = {
        "uniform": ss.uniform(),
        "loss-proportional": ss.proportional(1.0),
        "RHO, in proportion": ss.chain(excess, ss.proportional(1.0)),
        "RHO, top half": ss.chain(excess, ss.top_fraction(0.5)),
        "learned table": table,
        "policy": policy,
        "knowing what is marked": ss.static_weights(np.where(task.marked, 1e-3, 1.0).astype(np.float32)),
    }
    if kind == "label noise":
        easiest = ss.hard_pruning(1 - WRONG, keep="easy", score=difficulty(problem))
        schedules["easiest 70% by difficulty"] = easiest
    options = {"dynamics": REAL, "key": jax.random.key(200 + seed), "throw": False}
    save = lambda seen, weights: (weights, accuracy(seen))
    runs = ss.simulate_many(network, schedules, GRID, save=save, **options)
    both = ss.simulate(task.network(task.test, task.validation), ss.uniform(), GRID, save=save, **options)
    weights, right = (np.asarray(each) for each in runs.saved)
    rows = {}
    for n, name in enumerate(schedules):
        rows[name] = {
            "loss": np.asarray(runs.loss[n]).tolist(),
            "accuracy": float(right[n, -1]),
            "weight of the marked": float(weights[n, -1][task.marked].mean()),
        }
    rows["uniform, validation added"] = {"loss": np.asarray(both.loss).tolist(), "accuracy": float(both.saved[1][-1])}
    simulated = {"uniform": before, "learned table": after}
    return {"seed": seed, "rows": rows, "validation loss, simulated": simulated, "search seconds": round(searched)}


def accuracy(seen: ss.Observation) -> jax.Array:
    """On the test set."""
    return seen.problem.accuracy(seen.state.outputs, seen.state.eval_outputs)


def summary(tasks: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By schedule the mean change of the final test loss against uniform, its range over seeds, and the accuracy."""
    found = {}
    for name in tasks[0]["rows"]:
        last = [(task["rows"][name]["loss"][-1], task["rows"]["uniform"]["loss"][-1]) for task in tasks]
        change = [one / other - 1 for one, other in last]
        right = [task["rows"][name]["accuracy"] for task in tasks]
        found[name] = {"change": np.mean(change), "least": min(change), "most": max(change), "accuracy": np.mean(right)}
    return found


def write(results: dict[str, Any]) -> None:
    """The numbers, a table of them, and a picture."""
    (RESULTS / "transfer.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    lines = ["# Schedules from the simulator in real training", "", "By `python benchmarks/transfer.py`.", ""]
    sizes = f"{TRAIN} training images, {VALIDATION} for validation, {len(SEEDS)} seeds"
    lines += [f"{sizes}. Test loss at the end against that of uniform training.", ""]
    for kind, tasks in results.items():
        lines += [f"## {kind}", "", "| schedule | change | over seeds | accuracy |", "|---|---|---|---|"]
        for name, row in sorted(summary(tasks).items(), key=lambda item: item[1]["change"]):
            span = f"{row['least']:+.1%} to {row['most']:+.1%}"
            lines.append(f"| {name} | {row['change']:+.1%} | {span} | {row['accuracy']:.3f} |")
        lines.append("")
    (RESULTS / "transfer.md").write_text("\n".join(lines), encoding="utf-8")
    draw(results)


def draw(results: dict[str, Any]) -> None:
    """Mean test losses over steps, a panel for each kind, on one scale and under one legend."""
    size = (3.6 * len(results), 4.4)
    figure, axes = plt.subplots(1, len(results), figsize=size, layout="constrained", squeeze=False, sharey=True)
    names = list(dict.fromkeys(name for tasks in results.values() for name in tasks[0]["rows"]))
    for panel, (kind, tasks) in zip(axes[0], results.items(), strict=True):
        for name in tasks[0]["rows"]:
            n = names.index(name)
            curve = np.mean([task["rows"][name]["loss"] for task in tasks], axis=0)
            style = "--" if name in ("knowing what is marked", "easiest 70% by difficulty") else "-"
            panel.loglog(GRID[1:], curve[1:], style, color=f"C{n}", label=name, lw=2.5 if n in (0, 4, 5) else 1.2)
        panel.set(title=kind, xlabel="steps")
        panel.set_yticks(LEVELS, [f"{level:g}" for level in LEVELS])
        panel.yaxis.set_minor_formatter(NullFormatter())
    axes[0, 0].set_ylabel("test loss of the real network")
    lines = [line for panel in axes[0] for line in panel.lines]
    shown = {str(line.get_label()): line for line in lines}
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(RESULTS / "transfer.png", dpi=140)
    plt.close(figure)


def main() -> None:
    file = RESULTS / "transfer.json"
    results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    policy = learned_policy()
    for kind in sys.argv[1:] or KINDS:
        begin, tasks = time.perf_counter(), []
        for seed in SEEDS:
            tasks.append(run_task(kind, seed, policy))
            told = {name: float(round(row["change"], 3)) for name, row in summary(tasks).items()}
            print(f"{kind}, seed {seed}, {time.perf_counter() - begin:.0f} s: {told}", flush=True)
        results[kind] = tasks
        write({kind: results[kind] for kind in KINDS if kind in results})


if __name__ == "__main__":
    main()
