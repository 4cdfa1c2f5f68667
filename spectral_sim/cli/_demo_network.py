"""The part of the demonstration on a real network: ten curations predicted by its kernel, beside real training."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from rich.console import Console

from .._files import write_rows
from ..dynamics import NetworkTraining
from ..fitting import TrainingComparison, compare_training, error_norm_scores, train_reference
from ..problems import NetworkProblem, digits
from ..report import draw_training, write_training_report
from ..schedules import (
    AbstractStage,
    chain,
    curriculum,
    excess,
    forgetting,
    hard_pruning,
    mix,
    proportional,
    softmax,
    top_fraction,
    uniform,
)
from ._progress import steps

_TITLE = "A small network in training, and what its kernel predicts"
_RATE, _BATCH, _WRONG = 0.2, 32, 0.2
_EXAMPLES, _HELD_OUT = 160, 60


def show_network(folder: Path, fast: bool, console: Console, progress: Console) -> None:
    """Train a small network under ten curations, predict the same, and write a table and a page.

    Arguments:
        folder: where to write `comparison.csv`, `network.png` and `report.html`; made if it is not there.
        fast: train it shorter, and only under those curations that go by its own loss.
        console: for the table.
        progress: for everything else.
    """
    with steps(progress, "network") as shown:
        shown.start(0, 1, "trains and is predicted")
        found = demo_comparison(fast)
        folder.mkdir(parents=True, exist_ok=True)
        rows = found.table()
        write_rows(folder / "comparison.csv", list(rows[0]), (list(row.values()) for row in rows))
        draw_training(found).savefig(folder / "network.png", dpi=130)
        write_training_report(found, folder / "report.html", _TITLE)
    console.print(_TITLE, style="bold")
    for row in rows:
        change = f"{np.expm1(row['real_gain']):+7.1%} real, {np.expm1(row['predicted_gain']):+7.1%} predicted"
        console.print(f"  {row['schedule']:<24} {change}")
    console.print("Held-out loss at the end, against uniform training.")
    console.print(str(found))
    progress.print(f"written to {folder}: open {folder / 'report.html'}")


def demo_comparison(fast: bool) -> TrainingComparison:
    """Handwritten digits of which a fifth has a wrong label, and a network of one hidden layer."""
    network, held_out = _network()
    count = 120 if fast else 500
    grid = np.unique(np.round(np.append(0, np.geomspace(8, count, 7 if fast else 12))).astype(int))
    dynamics = NetworkTraining(_RATE, batch_size=_BATCH, max_steps=count)
    schedules = _by_loss() if fast else {**_by_loss(), **_by_score(network, held_out, count, dynamics)}
    return compare_training(
        network,
        schedules,
        grid,
        optimizer=_RATE,
        batch_size=_BATCH,
        key=jax.random.key(1),
    )


def _network() -> tuple[NetworkProblem, tuple[np.ndarray, np.ndarray]]:
    """The network with its data, and a few other examples with right labels for a reference."""
    data, rng = digits(_EXAMPLES + _HELD_OUT), np.random.default_rng(0)
    inputs, targets = np.asarray(data.inputs, np.float32), np.asarray(data.targets, np.float32)
    wrong = rng.random(_EXAMPLES) < _WRONG
    shift = np.where(wrong, rng.integers(1, 10, _EXAMPLES), 0)
    labels = np.eye(10, dtype=np.float32)[(targets[:_EXAMPLES].argmax(axis=1) + shift) % 10]
    model = eqx.nn.MLP(64, 10, 64, 1, activation=jax.nn.tanh, dtype=np.float32, key=jax.random.key(0))
    params, rest = eqx.partition(model, eqx.is_inexact_array)
    network = NetworkProblem(
        lambda params, inputs: jax.vmap(eqx.combine(params, rest))(inputs),
        params,
        inputs[:_EXAMPLES],
        labels,
        eval_inputs=np.asarray(data.eval_inputs, np.float32)[:500],
        eval_targets=np.asarray(data.eval_targets, np.float32)[:500],
    )
    return network, (inputs[_EXAMPLES:], targets[_EXAMPLES:])


def _by_loss() -> dict[str, AbstractStage]:
    """Uniform training, and curations that look at the learner alone."""
    return {
        "uniform": uniform(),
        "by loss": proportional(1.0),
        "by root of loss": proportional(0.5),
        "softmax of loss": softmax(1.0),
        "hardest half by loss": top_fraction(0.5),
        "by forgetting": chain(forgetting(), proportional(1.0), mix(0.2)),
    }


def _by_score(
    network: NetworkProblem, held_out: tuple[np.ndarray, np.ndarray], count: int, dynamics: NetworkTraining
) -> dict[str, AbstractStage]:
    """Curations that go by what was trained before: the network itself, briefly, or a reference on held-out data."""
    keys, early = jax.random.split(jax.random.key(2)), count // 4
    norms = error_norm_scores(network, early, dynamics=dynamics, key=keys[0])
    given: dict[str, Any] = {"score": norms.values, "score_cost": norms.cost}
    looks = np.array([0, early, count])
    reference = train_reference(network, *held_out, looks, dynamics=dynamics, key=keys[1])
    end = _RATE * count / 2
    return {
        "easiest 70% by error": hard_pruning(0.7, keep="easy", **given),
        "hardest 70% by error": hard_pruning(0.7, keep="hard", **given),
        "curriculum": curriculum(end, start=0.2, **given),
        "anti-curriculum": curriculum(end, start=0.2, order="hard_to_easy", **given),
        "reducible loss": chain(excess(reference.losses, reference.cost), proportional(1.0)),
    }
