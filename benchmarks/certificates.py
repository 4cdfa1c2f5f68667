"""How tight are certificates, and does any schedule beat one? Every number of docs/certificates.md, from one command.

    python benchmarks/certificates.py [beaten] [torus] [caps] [domains] [conflict] [routes] [closing] [cost] [ahead]
                                      [large] [digits] [digits12] [digits32]

Each part is run on its own or all in turn, and replaces its part of results/certificates.json, from which
results/certificates.md is written anew. "ratio" is the certificate over the best learned loss: 1 would prove the
schedule optimal. Processor seconds are those of this process, wall seconds depend on what else the machine does.
"""

import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.linalg

jax.config.update("jax_enable_x64", True)

import spectral_sim as ss  # noqa: E402
from spectral_sim.bounds import certificate, speed_limit  # noqa: E402
from spectral_sim.bounds._certificate_cost import memory_needed, seconds_needed, shape_ahead  # noqa: E402

RESULTS = Path(__file__).parent / "results"
SIGNS = 0  # seed of the target's signs on the torus
KINDS = (
    "realisable",
    "missed",
    "held out",
    "outputs",
    "many outputs",
    "groups",
    "capped",
    "mass",
    "wide",
    "held groups",
)


# --- schedules ---


@eqx.filter_jit
def search(
    problem: ss.OperatorProblem, tables: jax.Array, times: tuple[float, ...], steps: int, cap: float | None
) -> Any:
    """Least terminal loss along Adam's path from each table of log weights, shape (starts,), and the tables there."""
    grid = np.asarray(times)
    optimizer = optax.adam(optax.cosine_decay_schedule(0.3, steps))

    def loss(table):
        schedule = ss.TableSchedule(ss.PerRefresh(table), None if cap is None else (0.0, cap))
        return jnp.log(ss.simulate(problem, schedule, grid, throw=False).loss[-1])

    def step(carry, _):
        table, state, best, best_table = carry
        value, gradient = jax.value_and_grad(loss)(table)
        better = value < best
        best, best_table = jnp.where(better, value, best), jnp.where(better, table, best_table)
        updates, state = optimizer.update(jnp.nan_to_num(gradient), state)
        return (optax.apply_updates(table, updates), state, best, best_table), None

    def one(table):
        start = table, optimizer.init(table), jnp.inf, table
        return jax.lax.scan(step, start, None, length=steps)[0][2:]

    best, found = jax.vmap(one)(tables)
    return jnp.exp(best), found


def learned_loss(
    problem: ss.OperatorProblem, horizon: float, steps: int, starts: int, cap: float | None = None
) -> float:
    """The best of a few searches over 24 intervals that crowd towards the start and the end."""
    times = horizon * (1 - np.cos(np.pi * np.linspace(0, 1, 25))) / 2
    tables = np.random.default_rng(0).normal(size=(starts, 25, problem.mass.shape[0]))
    tables[0] = 0
    return float(search(problem, jnp.asarray(tables), tuple(times.tolist()), steps, cap)[0].min())


def losses_of(problem: ss.OperatorProblem, weights: np.ndarray, horizon: float) -> np.ndarray:
    """Losses under weights held on equal intervals, by matrix exponentials without the library's loop."""
    features, targets, mass = (np.asarray(x) for x in (problem.features, problem.targets, problem.example_mass))
    held_features, held_targets, held_mass = (np.asarray(x) for x in problem.evaluation)
    size, outputs, refreshes = features.shape[1], targets.shape[1], weights.shape[1]
    if problem.groups is not None:
        weights = weights[:, :, np.asarray(problem.groups)]
    drive = np.zeros((len(weights), refreshes, size + outputs, size + outputs))
    weighted = features.T * (mass * weights)[:, :, None, :]
    drive[:, :, :size, :size], drive[:, :, :size, size:] = -weighted @ features, weighted @ targets
    steps = scipy.linalg.expm(drive * horizon / refreshes)
    theta = np.broadcast_to(np.asarray(problem.initial_parameters), (len(weights), size, outputs))
    for n in range(refreshes):
        theta = steps[:, n, :size, :size] @ theta + steps[:, n, :size, size:]
    return 0.5 * np.sum(held_mass[:, None] * (held_targets - held_features @ theta) ** 2, axis=(1, 2))


def random_weights(problem: ss.OperatorProblem, count: int, rng: Any, cap: float | None) -> np.ndarray:
    """Schedules of six intervals, from nearly uniform to a single example at a time."""
    mass = np.asarray(problem.mass)
    score = np.exp(rng.choice([0.3, 2.0, 20.0], (count, 1, 1)) * rng.normal(size=(count, 6, len(mass))))
    weights = score / (score @ mass)[..., None]
    if cap is not None:
        weights = 1 + (weights - 1) * np.minimum(1, (cap - 1) / (weights.max(axis=2, keepdims=True) - 1))
    return weights


# --- problems ---


def random_problem(kind: str, seed: int) -> tuple[ss.OperatorProblem, dict[str, Any]]:
    rng = np.random.default_rng(seed)
    outputs = {"outputs": 2, "many outputs": 5}.get(kind, 1)
    examples, features = (3, 5) if kind == "wide" else (7, 3)
    phi = rng.normal(size=(examples, features)) * np.arange(1.0, features + 1) ** -rng.uniform(0, 1.5)
    targets = phi @ rng.normal(size=(features, outputs))
    if kind in ("missed", "outputs", "many outputs", "groups", "held groups"):
        targets = targets + rng.uniform(0.1, 1.0) * rng.normal(size=targets.shape)
    more: dict[str, Any] = {}
    if kind in ("held out", "held groups"):
        more |= {"eval_features": rng.normal(size=(5, features)), "eval_targets": rng.normal(size=(5, outputs))}
    if kind == "mass":
        more |= {"mass": rng.uniform(0.1, 1.0, examples)}
    if kind in ("groups", "held groups"):
        more |= {"groups": np.arange(examples) % 3}
    return ss.OperatorProblem(phi, targets, **more), {"cap": 2.0} if kind == "capped" else {}


def domains(features: int, seed: int, conflict: float = 0.0) -> ss.OperatorProblem:
    """Five domains of 20 examples, each with the spectrum k^-1.5 in a basis of its own.

    Arguments:
        conflict: size of what each domain's target adds to the common one; it makes the targets unrealisable.
    """
    rng = np.random.default_rng(seed)
    spectrum = np.arange(1.0, features + 1) ** -0.75
    common = rng.normal(size=features)
    blocks, targets = [], []
    for _ in range(5):
        turn = np.linalg.qr(rng.normal(size=(features, features)))[0]
        block = rng.normal(size=(20, features)) * spectrum @ turn.T
        blocks.append(block)
        targets.append(block @ (common + conflict * rng.normal(size=features)))
    return ss.OperatorProblem(np.concatenate(blocks), np.concatenate(targets), groups=np.repeat(np.arange(5), 20))


# --- parts ---


def beaten() -> list[dict[str, Any]]:
    """Ten random problems of each kind; on each 100 random schedules and two learned ones."""
    rows, times = [], np.linspace(0, 1, 9)
    for kind in KINDS:
        rng, below, ratios, verified, caught = np.random.default_rng(0), 0, [], 0, 0
        for seed in range(10):
            problem, options = random_problem(kind, seed)
            found = certificate(problem, times, **options)
            verified += found.verified
            cap = options.get("cap")
            at_random = losses_of(problem, random_weights(problem, 100, rng, cap), 1.0)
            tables = jnp.asarray(rng.normal(size=(2, 9, problem.mass.shape[0]))).at[0].set(0)
            learned = np.asarray(search(problem, tables, tuple(times.tolist()), 120, cap)[0])
            below += int(np.sum(np.concatenate([at_random, learned]) < found.loss[0]))
            ratios.append(found.loss[0] / min(learned.min(), at_random.min()))
            caught += sum(not raised(found, rng).verified for _ in range(20))
        row = {"kind": kind, "problems": 10, "random": 1000, "learned": 20, "below the certificate": below}
        row |= {"verified": verified, "broken, of which caught": f"200, {caught}"}
        rows.append(tell(row | {"median ratio": float(np.median(ratios)), "least ratio": float(np.min(ratios))}))
    return rows


def raised(found: Any, rng: Any) -> Any:
    """A certificate whose first multiplier is raised somewhere beyond what its conditions bear."""
    first = found.multiplier[0][0]
    control, direction = first.control.copy(), rng.normal(size=len(first.control[0]))
    amount = rng.choice([0.3, 1.0, 10.0]) * np.abs(control).max() / (direction @ direction)
    control[rng.integers(len(control))] += amount * np.outer(direction, direction)
    broken = type(first)(first.knots, control, first.prices)
    return type(found)(**{**vars(found), "multiplier": ((broken, *found.multiplier[0][1:]),)})


def measure(name: str, problem: Any, horizon: float, pieces: int, steps: int, starts: int, cap: Any = None) -> Any:
    wall, processor = time.perf_counter(), time.process_time()
    found = certificate(problem, np.array([0.0, horizon]), pieces=pieces, cap=cap)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    learned = learned_loss(problem, horizon, steps, starts, cap)
    row = {"problem": name, "t": horizon, "pieces": pieces, "cap": cap}
    row |= {"uniform": float(ss.simulate(problem, ss.uniform(), np.array([0.0, horizon])).loss[-1]), "learned": learned}
    row |= {"certificate": float(found.loss[0]), "ratio": float(found.loss[0]) / learned}
    row |= {"speed limit": float(speed_limit(problem, np.array([horizon])).loss[0]), "verified": found.verified}
    return tell(row | {"processor s": round(processor, 1), "wall s": round(wall, 1)})


def torus() -> list[dict[str, Any]]:
    rows = []
    for examples, horizon, pieces in (
        (8, 8.0, 12),
        (8, 8.0, 48),
        (8, 2.0, 12),
        (16, 8.0, 12),
        (16, 8.0, 36),
        (32, 9.7, 12),
    ):
        problem = ss.torus(2.0, 2.0, examples, seed=SIGNS)
        name = f"torus, {examples} examples, signs of seed {SIGNS}"
        rows.append(measure(name, problem, horizon, pieces, 300, 4 if examples < 32 else 2))
    rows += [
        measure(f"torus, 8 examples, signs of seed {seed}", ss.torus(2.0, 2.0, 8, seed=seed), 8.0, 48, 300, 4)
        for seed in (1, 2, 3)
    ]
    return rows


def caps() -> list[dict[str, Any]]:
    problem = ss.torus(2.0, 2.0, 16, seed=SIGNS)
    return [measure("torus, 16 examples", problem, 8.0, 12, 300, 2, cap=cap) for cap in (3.0, 10.0)]


def domain_rows() -> list[dict[str, Any]]:
    rows = [
        measure(f"5 domains, 12 features, seed {seed}", domains(12, seed), (3.0, 10.0)[seed % 2], 48, 300, 2)
        for seed in range(10)
    ]
    return [*rows, measure("5 domains, 20 features, seed 0", domains(20, 0), 5.0, 24, 300, 2)]


def conflict() -> list[dict[str, Any]]:
    return [
        measure(f"5 domains, 32 features, conflicting, seed {seed}", domains(32, seed, 0.5), 5.0, 12, 300, 2)
        for seed in range(2)
    ]


def routes() -> Any:
    """Both routes on the same pieces."""
    cases = [
        (f"torus, {examples} examples", ss.torus(2.0, 2.0, examples, seed=SIGNS), 8.0, pieces)
        for examples, pieces in ((8, 12), (8, 24), (12, 12), (16, 12), (20, 6), (24, 6))
    ]
    cases += [(f"5 domains, {features} features", domains(features, 0), 5.0, 3) for features in (32, 48)]
    for name, problem, horizon, pieces in cases:
        row: dict[str, Any] = {"problem": name, "t": horizon, "pieces": pieces}
        for method in ("exact", "scalable"):
            begin = time.process_time()
            row[method] = float(certificate(problem, np.array([0.0, horizon]), pieces=pieces, method=method).loss[0])
            row[f"{method}, processor s"] = round(time.process_time() - begin, 2)
        yield tell(row | {"scalable over exact": row["scalable"] / row["exact"]})


def closing() -> Any:
    """How near a search and a proof come to each other, and what the proof is worth as a start of the search."""
    problem = ss.torus(2.0, 2.0, 8, seed=SIGNS)
    for horizon in (0.5, 1.0, 2.0, 4.0, 8.0):
        times = horizon * (1 - np.cos(np.pi * np.linspace(0, 1, 25))) / 2
        proof = certificate(problem, times, pieces=48)
        gaps = {"uniform": ss.uniform(), "the proof's weights": proof.schedule(times)}
        for name, begin in (
            ("searched from uniform", {"schedule": ss.TableSchedule.create(problem, times)}),
            ("searched from the proof", {"schedule": None, "start": proof}),
        ):
            gaps[name] = ss.learn(problem, times=times, objective=ss.terminal_log_loss(), steps=300, **begin).schedule
        losses = {name: float(ss.simulate(problem, each, times).loss[-1]) for name, each in gaps.items()}
        row = {"problem": "torus, 8 examples", "t": horizon, "pieces": 48, "certificate": float(proof.loss[0])}
        yield tell(row | {f"{name}, % above it": 100 * proof.gap(loss) for name, loss in losses.items()})


def cost() -> Any:
    """Processor seconds against those that are foreseen before a search."""
    for name, problem, horizon, pieces in (
        ("torus, 16 examples", ss.torus(2.0, 2.0, 16, seed=SIGNS), 8.0, 12),
        ("torus, 32 examples", ss.torus(2.0, 2.0, 32, seed=SIGNS), 9.7, 12),
        ("5 domains, 32 features, conflicting", domains(32, 0, 0.5), 5.0, 12),
        ("digits, 100 examples, 12 features", digit_problem(100, 12), 8.0, 6),
        ("digits, 400 examples, 8 features, one output", digit_problem(400, 8, 1), 8.0, 12),
    ):
        begin = time.process_time()
        found = certificate(problem, np.array([0.0, horizon]), pieces=pieces)
        seconds = round(time.process_time() - begin, 1)
        row = {"problem": name, "t": horizon, "pieces": pieces, "verified": found.verified}
        yield tell(row | {"foreseen s": seconds_needed(shape_ahead(problem), pieces // 3), "processor s": seconds})


def ahead() -> Any:
    """What is foreseen for sizes that no part runs, and for one that does."""
    for features in (12, 24, 32, 48, 64):
        for pieces in (3, 6):
            shape = shape_ahead(digit_problem(400, features))
            row = {"problem": f"digits, 400 examples, {features} features, ten outputs", "pieces": pieces}
            minutes = seconds_needed(shape, pieces // 3) / 60
            yield tell(row | {"foreseen minutes": minutes, "GB": memory_needed(shape, pieces // 3) / 1e9})


def large() -> list[dict[str, Any]]:
    return [measure("torus, 64 examples", ss.torus(2.0, 2.0, 64, seed=SIGNS), 19.5, 12, 200, 1)]


def digit_problem(examples: int, features: int, outputs: int = 10) -> ss.OperatorProblem:
    """Held-out loss of outputs that the features cannot meet."""
    data = ss.problems.digits(examples)
    mapped = ss.problems.feature_map(
        ss.problems.rbf(None), data.inputs, method="nystrom", num_features=features, key=jax.random.key(0)
    )
    assert data.eval_inputs is not None
    assert data.eval_targets is not None
    held_out = {"eval_features": mapped(data.eval_inputs), "eval_targets": data.eval_targets[:, :outputs]}
    return ss.OperatorProblem(mapped(data.inputs), data.targets[:, :outputs], **held_out)


def digits(
    examples: int = 100, features: int = 12, factors: tuple[float, ...] = (0.5, 1.0, 10.0), pieces: int = 6
) -> Any:
    """Bounds by horizon, in units of where the speed limit ends."""
    problem = digit_problem(examples, features)
    limit = speed_limit(problem, np.geomspace(1e-3, 1e5, 400))
    for factor in factors:
        name = f"digits, {examples} examples, {features} features, {factor:g} x where the speed limit ends"
        row = measure(name, problem, factor * float(limit.vacuous_from), pieces, 150, 1)
        yield row | {"floor": float(limit.floor)}


def digits_12() -> Any:
    return digits(400, 12, (1.0, 0.5, 10.0))


def digits_32() -> Any:
    return digits(400, 32, (1.0,), 3)


PARTS = {
    "beaten": beaten,
    "torus": torus,
    "caps": caps,
    "domains": domain_rows,
    "conflict": conflict,
    "routes": routes,
    "closing": closing,
    "cost": cost,
    "ahead": ahead,
    "large": large,
    "digits": digits,
    "digits12": digits_12,
    "digits32": digits_32,
}


def tell(row: dict[str, Any]) -> dict[str, Any]:
    print({key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()}, flush=True)
    return row


def main(names: list[str]) -> None:
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise SystemExit(f"unknown part {unknown[0]!r}; the parts are {', '.join(PARTS)}.")
    path = RESULTS / "certificates.json"
    for name in names or PARTS:
        rows: list[dict[str, Any]] = []
        for row in PARTS[name]():
            rows.append(row)  # what is measured by an interrupt is kept
            stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            stored[name] = {"rows": rows, "machine": f"{platform.machine()}, Python {platform.python_version()}"}
            path.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    stored = json.loads(path.read_text(encoding="utf-8"))
    text = ["# Certificates: measured", "", "Written by `python benchmarks/certificates.py`.", ""]
    for name in PARTS:
        if name in stored:
            text += [f"## {name}", "", *table(stored[name]["rows"]), ""]
    (RESULTS / "certificates.md").write_text("\n".join(text), encoding="utf-8")


def table(rows: list[dict[str, Any]]) -> list[str]:
    def cell(value: Any) -> str:
        return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)

    keys = list({key: None for row in rows for key in row})
    lines = [" | ".join(keys), " | ".join("---" for _ in keys)]
    return [f"| {line} |" for line in [*lines, *(" | ".join(cell(row.get(key)) for key in keys) for row in rows)]]


if __name__ == "__main__":
    main(sys.argv[1:])
