"""How well kernels predict the real training of small networks under ten curations, and where they fail.

    python benchmarks/real_networks.py [--seeds 5] [--steps 400] [--only NAME ...] [--output FILE]

Every seed draws the split, the wrong labels, the weights and the mini-batches anew, and trains each curation twice, the
second time on other mini-batches: that run is the ceiling beside every score. Results are written after each row, so
that a run which was stopped leaves what it has measured; rows that are measured again replace the old ones.
"""

import argparse
import dataclasses
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import spectral_sim as ss
from spectral_sim.dynamics import step_lengths
from spectral_sim.problems import diabetes, digits, image_patches

WRONG = 0.2  # share of the labels
BATCH = 32
HELD_OUT = 400  # examples at most
REFRESHES = 40
ADAM = optax.adam(1e-3)


def initialised(key: jax.Array, widths: tuple[int, ...]) -> list[dict[str, jax.Array]]:
    """Weights of variance 2 / inputs, those of the last layer of half of that, and no biases."""
    layers = []
    for n, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        variance = (2 if n < len(widths) - 2 else 1) / inputs
        weights = jnp.sqrt(variance) * jax.random.normal(jax.random.fold_in(key, n), (inputs, outputs))
        layers.append({"weights": weights, "bias": jnp.zeros(outputs)})
    return layers


def mlp(params: Any, inputs: jax.Array) -> jax.Array:
    """Layers with rectified units between them."""
    for layer in params[:-1]:
        inputs = jax.nn.relu(inputs @ layer["weights"] + layer["bias"])
    return inputs @ params[-1]["weights"] + params[-1]["bias"]


def lazy(params: Any, inputs: jax.Array) -> jax.Array:
    """An MLP whose outputs count thirty times, so that its weights hardly move while it learns."""
    return 30 * (mlp(params["now"], inputs) - mlp(jax.lax.stop_gradient(params["before"]), inputs))


def convolutional(params: Any, inputs: jax.Array) -> jax.Array:
    """Two convolutions of 3 x 3 with rectified units, a mean over 2 x 2 after each, and a linear layer."""
    images = inputs.reshape(-1, 8, 8, 1)
    for layer in params["convolutions"]:
        axes = ("NHWC", "HWIO", "NHWC")
        images = jax.lax.conv_general_dilated(images, layer["weights"], (1, 1), "SAME", dimension_numbers=axes)
        images = jax.nn.relu(images + layer["bias"])
        images = jax.lax.reduce_window(images, 0.0, jax.lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
    return images.reshape(images.shape[0], -1) @ params["head"]["weights"] + params["head"]["bias"]


def convolutional_params(key: jax.Array) -> Any:
    """Sixteen and thirty-two channels."""
    draw = lambda n, *shape: jax.random.normal(jax.random.fold_in(key, n), shape)
    return {
        "convolutions": [
            {"weights": np.sqrt(2 / 9) * draw(0, 3, 3, 1, 16), "bias": jnp.zeros(16)},
            {"weights": np.sqrt(2 / 144) * draw(1, 3, 3, 16, 32), "bias": jnp.zeros(32)},
        ],
        "head": {"weights": np.sqrt(1 / 128) * draw(2, 128, 10), "bias": jnp.zeros(10)},
    }


def data(name: str, seed: int, examples: int, wrong: float) -> tuple[Any, np.ndarray]:
    """A split of a data set whose labels are partly those of other examples, and which they are."""
    load = {
        "digits": digits,
        "diabetes": diabetes,
        "patches": lambda n, seed: image_patches(n, HELD_OUT, patch=5, centre=1, seed=seed),
    }[name]
    found = load(examples, seed=seed)
    draw = np.random.default_rng(1000 + seed)
    bad = np.sort(draw.choice(examples, round(wrong * examples), replace=False))
    targets = found.targets.copy()
    targets[bad] = targets[draw.permutation(bad)]
    held_out = {"eval_inputs": found.eval_inputs[:HELD_OUT], "eval_targets": found.eval_targets[:HELD_OUT]}
    return dataclasses.replace(found, targets=targets, **held_out), bad


def curations(examples: int, bad: np.ndarray, seed: int, time_scale: float) -> dict[str, ss.AbstractStage]:
    """Ten of them; two know which labels are wrong."""
    draw = np.random.default_rng(2000 + seed)
    marked = np.zeros(examples)
    marked[bad] = 1
    cap = ss.clip(0.1, 4.0)
    return {
        "uniform": ss.uniform(),
        "proportional": ss.chain(ss.proportional(1.0), cap),
        "root": ss.chain(ss.proportional(0.5), cap),
        "easy first": ss.chain(ss.proportional(-0.5), cap),
        "hardest half": ss.top_fraction(0.5),
        "lagged": ss.chain(ss.lag(time_scale), ss.proportional(1.0), cap),
        "random half": ss.schedules.random_pruning(0.5, seed=seed),
        "less of the wrong": ss.static_weights(1 - 0.8 * marked),
        "more of the wrong": ss.static_weights(1 + 2.0 * marked),
        "random weights": ss.static_weights(draw.exponential(size=examples)),
    }


@dataclasses.dataclass(frozen=True)
class Setting:
    """One kind of training.

    Arguments:
        data: name of the data set.
        apply: the network.
        init: key -> parameters.
        examples: how many train.
        wrong: share of wrong labels.
        loss: as `NetworkProblem` calls it.
        optimizer: an optax optimiser; None for gradient descent at `rate` of the largest stable one at the start.
        rate: share of the largest stable rate.
        momentum: of gradient descent.
        predictors: of `compare_training`.
        kernel, rank: of `compare_training`.
        seeds: how many of the seeds are measured; all if None.
    """

    data: str
    apply: Callable[[Any, jax.Array], jax.Array]
    init: Callable[[jax.Array], Any]
    examples: int
    wrong: float = WRONG
    loss: str = "squared"
    optimizer: Any = None
    rate: float = 0.25
    momentum: float = 0.0
    predictors: tuple[str, ...] = ("warm",)
    kernel: str = "trace"
    rank: int | None = None
    seeds: int | None = None


def _mlp(*widths: int) -> dict[str, Any]:
    return {"apply": mlp, "init": lambda key: initialised(key, widths)}


def _lazy(key: jax.Array) -> Any:
    start = initialised(key, (64, 64, 64, 10))
    return {"now": start, "before": start}


PATCHES = _mlp(24, 64, 64, 1)
DIGITS, DIABETES = _mlp(64, 64, 64, 10), _mlp(10, 64, 64, 1)
SETTINGS = {
    "digits, wrong labels": Setting("digits", **DIGITS, examples=150, predictors=("warm", "initial")),
    "digits, clean labels": Setting("digits", **DIGITS, examples=150, wrong=0.0),
    "diabetes, wrong labels": Setting("diabetes", **DIABETES, examples=200, predictors=("warm", "initial")),
    "patches, wrong labels": Setting("patches", **PATCHES, examples=300),
    "lazy, digits": Setting("digits", lazy, _lazy, 150, predictors=("initial",)),
    "lazy, digits, full kernel": Setting("digits", lazy, _lazy, 150, predictors=("initial",), kernel="full", seeds=3),
    "cross-entropy, digits": Setting("digits", **DIGITS, examples=150, loss="cross_entropy"),
    "momentum, digits": Setting("digits", **DIGITS, examples=150, momentum=0.9),
    "Adam, digits": Setting("digits", **DIGITS, examples=150, optimizer=ADAM),
    "several kernels, digits": Setting("digits", **DIGITS, examples=150, predictors=("checkpoints",), seeds=2),
    "convolutional, digits": Setting("digits", convolutional, convolutional_params, 150, seeds=2),
    "width 256, 10,000 patches": Setting("patches", **_mlp(24, 256, 256, 1), examples=10_000, rank=128, seeds=1),
}


OTHERS = ("independent", "memory")


def problem_of(setting: Setting, seed: int) -> tuple[ss.NetworkProblem, np.ndarray]:
    """The network and its data for a seed, and which labels are wrong."""
    found, bad = data(setting.data, seed, setting.examples, setting.wrong)
    # without wrong labels the stages that know them act on a part of the examples like any other
    marked = bad if len(bad) else np.arange(round(WRONG * setting.examples))
    targets, held_out = found.targets, found.eval_targets
    if setting.loss == "cross_entropy":
        targets, held_out = targets.argmax(axis=1), held_out.argmax(axis=1)
    network = ss.NetworkProblem(
        setting.apply,
        setting.init(jax.random.key(seed)),
        found.inputs.astype(np.float32),
        targets if targets.ndim == 1 else targets.astype(np.float32),
        eval_inputs=found.eval_inputs.astype(np.float32),
        eval_targets=held_out if held_out.ndim == 1 else held_out.astype(np.float32),
        loss=setting.loss,
    )
    return network, marked


def measure(name: str, setting: Setting, seeds: int, steps: int) -> dict[str, Any]:
    """Scores of every predictor for every seed; the real runs of a seed are shared by its predictors."""
    grid = ss.log_steps(1, steps, REFRESHES)
    rows: dict[str, list[dict[str, Any]]] = {predictor: [] for predictor in setting.predictors}
    ceilings, paces, failed = [], [], []
    optimizer, table = setting.optimizer, []
    for seed in range(min(seeds, setting.seeds or seeds)):
        network, marked = problem_of(setting, seed)
        if setting.optimizer is None and (seed == 0 or not setting.momentum):  # another optimiser compiles anew
            optimizer = setting.rate * stable_rate(network, setting.rank)
            if setting.momentum:
                optimizer = optax.sgd(optimizer * (1 - setting.momentum), momentum=setting.momentum)
        pace = optimizer if isinstance(optimizer, float) else float(step_lengths(optimizer, steps).mean())
        schedules = curations(setting.examples, marked, seed, 0.1 * pace * steps)
        found = None
        with tempfile.TemporaryDirectory() as folder:
            for predictor in setting.predictors:
                began = time.time()
                try:
                    found = ss.compare_training(
                        network,
                        schedules,
                        grid,
                        optimizer=optimizer,
                        batch_size=BATCH,
                        predictor=predictor,
                        key=jax.random.key(100 + seed),
                        kernel=setting.kernel,
                        rank=setting.rank,
                        store=folder,
                    )
                except ss.SimulationError as error:
                    failed.append(f"seed {seed}, {predictor}: {error}")
                    print(f"{name}, {failed[-1]}", flush=True)
                    continue
                row = {**found.scores._asdict(), **dataclasses.asdict(found.doubts), "trust": found.trust}
                rows[predictor].append(plain({**row, "seconds": time.time() - began}))
                print(f"{name}, seed {seed}, {predictor}: {found} ({time.time() - began:.0f} s)", flush=True)
        paces.append(pace)
        if found is not None:
            ceilings.append(plain(found.ceiling._asdict()))
            table = found.table()
    return {
        "scores": rows,
        "ceiling": ceilings,
        "time_per_step": paces,
        "steps": steps,
        "last_table": table,
        "failed": failed,
    }


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """None in place of NaN, which JSON does not have."""
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in row.items()}


def stable_rate(network: ss.NetworkProblem, rank: int | None) -> float:
    """2 over the largest eigenvalue of the kernel of the network as it is; of the cross-entropy a lower bound."""
    some = network
    if rank is not None:  # a part of the data is enough
        some = ss.NetworkProblem(network.apply, network.params, network.inputs[:500], network.targets[:500])
    features = ss.fitting.kernel_features(some).features.astype(np.float64)
    return float(2 * len(features) / np.linalg.norm(features, 2) ** 2)


def independent(setting: Setting, seeds: int, steps: int) -> dict[str, Any]:
    """Last held-out losses of the loop and of a trainer written without it, over seeds of the mini-batches."""
    network, marked = problem_of(setting, 0)
    rate = setting.rate * stable_rate(network, None)
    weights = {"uniform": np.ones(setting.examples), "less of the wrong": np.ones(setting.examples)}
    weights["less of the wrong"][marked] = 0.2
    keys = jax.random.split(jax.random.key(5), seeds)
    dynamics = ss.NetworkTraining(rate, batch_size=BATCH, max_steps=steps)
    found = {}
    for name, values in weights.items():
        run = lambda key, values=values: ss.simulate(
            network, ss.static_weights(values), [0, steps], dynamics=dynamics, key=key
        ).loss[-1]
        ours = np.asarray(jax.jit(jax.vmap(run))(keys), np.float64)
        theirs = np.array([plain_training(network, values, rate, steps, seed) for seed in range(seeds)])
        spread = float(np.std(np.concatenate([ours - ours.mean(), theirs - theirs.mean()]), ddof=2))
        off = float(abs(ours.mean() - theirs.mean()) / spread)
        found[name] = {"loop": ours.tolist(), "plain": theirs.tolist(), "difference_in_sd": off}
        print(f"loop against plain trainer, {name}: {off:.2f} standard deviations", flush=True)
    return found


def plain_training(network: ss.NetworkProblem, weights: np.ndarray, rate: float, steps: int, seed: int) -> float:
    """The held-out loss after training by an optax loop that knows nothing of the library."""
    inputs, targets = np.asarray(network.inputs), np.asarray(network.targets)
    optimizer = optax.sgd(rate)

    def loss(params, x, y):
        return 0.5 * jnp.mean(jnp.sum((network.apply(params, x) - y) ** 2, axis=1))

    @jax.jit
    def run(params, batches):
        def step(carry, batch):
            params, memory = carry
            move, memory = optimizer.update(jax.grad(loss)(params, inputs[batch], targets[batch]), memory)
            return (optax.apply_updates(params, move), memory), None

        return jax.lax.scan(step, (params, optimizer.init(params)), batches)[0][0]

    inputs, targets = jnp.asarray(inputs), jnp.asarray(targets)
    draw = np.random.default_rng(seed)
    batches = draw.choice(len(weights), size=(steps, BATCH), p=weights / weights.sum())
    params = run(network.params, jnp.asarray(batches))
    return float(loss(params, network.eval_inputs, network.eval_targets))


def memory() -> dict[str, Any]:
    """Peak memory of a kernel of a network with a million parameters and ten outputs, in a process of its own.

    The Jacobian is held by blocks of examples, so that the number of examples counts by the kernel alone.
    """
    examples = 24
    script = f"""
import json, resource, jax, numpy as np, real_networks as r, spectral_sim as ss
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
params = r.initialised(jax.random.key(0), (64, 960, 960, 10))
rng = np.random.default_rng(0)
data = rng.normal(size=({examples}, 64)).astype(np.float32), rng.normal(size=({examples}, 10)).astype(np.float32)
network = ss.NetworkProblem(r.mlp, params, *data)
before = peak()
features = ss.fitting.kernel_features(network)
size = sum(leaf.size for leaf in jax.tree.leaves(params))
print(json.dumps(dict(parameters=size, rank=features.rank, before_gib=before, peak_gib=peak())))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    row = json.loads(done.stdout.splitlines()[-1])
    whole = 10_000**2 * (4 + 3 * 8) / 2**30
    found = {**row, "examples": examples, "outputs": 10, "solver_gib_at_10000": whole}
    print(f"memory: {found}", flush=True)
    return found


def markdown(found: dict[str, Any]) -> str:
    """Every measured row as a table: means over seeds, the worst tau, and the ceiling in brackets."""
    columns = "tau", "curve_error", "gain_error", "speedup_side", "speedup_error"
    header = [
        "training",
        "kernel",
        "seeds",
        "tau (worst)",
        "curve",
        "gain",
        "regret 0",
        "speed-ups right",
        "their error",
    ]
    lines = [f"| {' | '.join([*header, 'trust'])} |", "| --- " * (len(header) + 1) + "|"]
    for name in SETTINGS:
        for predictor, rows in found.get(name, {}).get("scores", {}).items():
            if not rows:
                told = f"the prediction diverges on {len(found[name]['failed'])} seeds"
                lines.append(f"| {name} | {predictor} | 0 | {told} |{' |' * 6}")
                continue
            cells = []
            for column in columns:
                told, ceiling = (
                    [row[column] for row in some if row[column] is not None] for some in (rows, found[name]["ceiling"])
                )
                worst = f" ({min(told):.2f})" if column == "tau" else ""
                best = f" [{np.mean(ceiling):.2g}]" if ceiling else ""
                cells.append(f"{np.mean(told):.2g}{worst}{best}" if told else "none")
            right = f"{sum(row['regret'] < 1e-9 for row in rows)} of {len(rows)}"
            cells.insert(3, right)
            trust = f"{np.mean([row['trust'] for row in rows]):.2f}"
            lines.append(f"| {name} | {predictor} | {len(rows)} | {' | '.join(cells)} | {trust} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--only", nargs="*", choices=[*SETTINGS, *OTHERS], default=[*SETTINGS, *OTHERS])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "real_networks.json")
    arguments = parser.parse_args()
    found = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    for name in arguments.only:
        began = time.time()
        if name == "independent":
            row: dict[str, Any] = independent(SETTINGS["digits, wrong labels"], arguments.seeds, arguments.steps)
        elif name == "memory":
            row = memory()
        else:
            row = measure(name, SETTINGS[name], arguments.seeds, arguments.steps)
        machine = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "load": os.getloadavg()}
        found[name] = {**row, "seconds": time.time() - began, **machine}
        arguments.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        arguments.output.with_suffix(".md").write_text(markdown(found), encoding="utf-8")


if __name__ == "__main__":
    main()
