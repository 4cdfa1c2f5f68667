"""How near to the best do learned schedules come? Every number that the documentation quotes, from one command.

    python benchmarks/learned_schedules.py [modal] [capped] [torus] [digits] [transfer]

Each part is run on its own or all in turn, and replaces its part of results/learned_schedules.json, from which
results/learned_schedules.md is written anew. Objectives are log losses; gaps are in e-folds of the loss. Times are
processor time, which other work on the machine changes little.
"""

import itertools
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

jax.config.update("jax_enable_x64", True)

import spectral_sim as ss  # noqa: E402

RESULTS = Path(__file__).parent / "results"
ANYTIME, TERMINAL = ss.anytime_log_loss(), ss.terminal_log_loss()
POLICY = RESULTS / "transfer_policy.json"


def adam(rate: float, steps: int) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(rate, steps))


def modal() -> list[dict[str, Any]]:
    """Anytime, no cap, eight random starts: the gap to water-filling of the best and of the worst start."""
    rows, times, steps = [], ss.log_times(1.0, 1e4, 65), 600
    for alpha, beta in itertools.product((1.25, 1.5, 2.0, 3.0), (1.3, 2.0, 3.0)):
        problem = ss.power_law(alpha, beta, max_mode=1e7)
        start = ss.TableSchedule.create(problem, times, scale=1.0, key=jax.random.key(1))
        options = {"steps": steps, "optimizer": adam(0.3, steps), "num_starts": 8, "spread": 1.0}
        found = ss.learn(problem, start, times, objective=ANYTIME, key=jax.random.key(0), **options)
        gap, optimum = found.gap[0], optimum_of(found.gap[0])
        ends = np.nanmin(found.history, axis=0) - optimum
        by_hand = ss.learning.compare_by_hand(problem, ANYTIME, times)
        rows.append(
            {
                "alpha": alpha,
                "beta": beta,
                "gap, best start": gap.value - optimum,
                "gap, worst start": float(ends.max()),
                "gap of uniform": gap.uniform - optimum,
                "best by hand": by_hand.best,
                "its gap": by_hand.best_value - optimum,
            }
        )
        tell(rows[-1])
    return rows


def capped() -> list[dict[str, Any]]:
    """Terminal, weights up to a cap: loss over the capped optimum, minus one."""
    rows, times, steps = [], ss.log_times(1.0, 1e3, 33), 600
    for (alpha, beta), cap in itertools.product(((1.5, 2.0), (2.0, 2.0), (3.0, 1.3)), (3.0, 30.0, 300.0)):
        problem = ss.power_law(alpha, beta, max_mode=1e6)
        start = ss.TableSchedule.create(problem, times, cap=(0.0, cap), scale=1.0, key=jax.random.key(1))
        options = {"steps": steps, "optimizer": adam(0.3, steps), "num_starts": 4, "spread": 1.0}
        found = ss.learn(problem, start, times, objective=TERMINAL, key=jax.random.key(0), **options)
        gap, optimum = found.gap[0], optimum_of(found.gap[0])
        over = {
            "loss above optimum": float(np.expm1(gap.value - optimum)),
            "of uniform": float(np.expm1(gap.uniform - optimum)),
        }
        rows.append({"alpha": alpha, "beta": beta, "cap": cap, **over})
        tell(rows[-1])
    return rows


def torus() -> list[dict[str, Any]]:
    """256 examples and modes, alpha = beta = 2, 40 log-spaced refreshes to t = 3000, weights on examples."""
    rows, times, steps = [], ss.log_times(0.5, 3000.0, 41), 400
    for basis, signs in itertools.product(("fourier", "haar", "random"), ("random", "plus")):
        problem = ss.torus(2.0, 2.0, 256, basis, signs=signs, seed=0)
        for name, objective in (("terminal", TERMINAL), ("anytime", ANYTIME)):
            begin = time.process_time()
            table = ss.TableSchedule.create(problem, times)
            found = ss.learn(problem, table, times, objective=objective, steps=steps, optimizer=adam(0.1, steps))
            seconds = time.process_time() - begin
            loss = np.asarray(ss.simulate(problem, found.schedule, times).loss)
            uniform = np.asarray(ss.simulate(problem, ss.uniform(), times).loss)
            limit = np.asarray(ss.bounds.speed_limit(problem, times).loss)
            gap, by_hand = found.gap[0], ss.learning.compare_by_hand(problem, objective, times)
            rows.append(
                {
                    "basis": basis,
                    "signs": f"{signs}, seed 0" if signs == "random" else signs,
                    "objective": name,
                    "uniform": float(uniform[-1]),
                    "learned": float(loss[-1]),
                    "best by hand": by_hand.best,
                    "its loss at the end": float(np.exp(by_hand.best_value)) if name == "terminal" else None,
                    "mean log loss, uniform": float(gap.uniform) if name == "anytime" else None,
                    "mean log loss, learned": float(gap.value) if name == "anytime" else None,
                    "above the speed limit": bool((loss >= limit * (1 - 1e-9)).all()),
                    "processor minutes": round(seconds / 60, 2),
                }
            )
            tell(rows[-1])
    return rows


def from_dataset(data: ss.problems.Dataset, bandwidth: float | None, features: int) -> ss.OperatorProblem:
    kernel, key = ss.problems.rbf(bandwidth), jax.random.key(0)
    mapped = ss.problems.feature_map(kernel, data.inputs, method="nystrom", num_features=features, key=key)
    held_out = {"eval_features": mapped(data.eval_inputs), "eval_targets": data.eval_targets}
    return ss.OperatorProblem(mapped(data.inputs), data.targets, **held_out)


def digits() -> list[dict[str, Any]]:
    """400 training images, 64 Nystrom features of an RBF kernel, 40 refreshes: ceiling and deployable."""
    problem, rows = from_dataset(ss.problems.digits(400), None, 64), []
    times = ss.log_times(0.1, 9000.0, 41)
    example_wise = ss.TableSchedule.create(problem, times)
    quantiles = ss.TableSchedule.create(problem, times, num_basis=16)
    policy = ss.PolicySchedule.create(jax.random.key(0))
    steps = 100
    for objective_name, objective, name, schedule, searched_on, rate in (
        ("terminal", TERMINAL, "a weight for each example, training loss", example_wise, "training", 0.1),
        ("terminal", TERMINAL, "table over 16 quantiles, validation loss", quantiles, "validation", 0.1),
        ("terminal", TERMINAL, "policy, validation loss", policy, "validation", 0.01),
        ("anytime", ANYTIME, "a weight for each example, training loss", example_wise, "training", 0.1),
    ):
        both = ss.learning.ceiling_and_deployable(
            problem,
            schedule,
            times,
            objective=objective,
            searched_on=searched_on,
            steps=steps,
            optimizer=adam(rate, steps),
            ceiling_optimizer=adam(0.1, steps),
            key=jax.random.key(1),
        )
        lowered = {
            "ceiling lowers it by": 1 - np.exp(both.ceiling_value - both.uniform),
            "deployable lowers it by": 1 - np.exp(both.deployable_value - both.uniform),
            "rule lowers it by": 1 - np.exp(both.by_hand_value - both.uniform),
        }
        rows.append(
            {
                "objective": objective_name,
                "deployable": name,
                "held-out loss, uniform": float(np.exp(both.uniform)),
                **{key: float(value) for key, value in lowered.items()},
                "rule picked": both.by_hand,
            }
        )
        tell(rows[-1])
    return rows


FAMILY = ((1.25, 2.0), (1.5, 1.4), (2.0, 2.0), (2.5, 3.0), (3.0, 1.5), (1.7, 2.6))
UNSEEN = ((1.4, 1.7, 1e7), (2.2, 2.5, 1e8), (2.8, 2.0, 1e5), (3.5, 1.3, 1e7), (1.2, 3.2, 1e6), (2.0, 2.0, 1e4))


def transfer() -> list[dict[str, Any]]:
    """One policy, trained on six power laws of 1e6 modes, run elsewhere as it is; then one trained on other data."""
    times, steps = ss.log_times(1.0, 1e4, 49), 400
    family = [ss.power_law(alpha, beta, max_mode=1e6, nodes=128) for alpha, beta in FAMILY]
    policy = ss.PolicySchedule.create(jax.random.key(0), width=16)
    options = {"objective": ANYTIME, "across": "mean", "steps": steps, "optimizer": adam(0.01, steps)}
    found = ss.learn(family, policy, times, **options)
    ss.learning.save_schedule(found.schedule, POLICY)
    laws = [(f"trained on: {a:g}, {b:g}, 1e6", p) for (a, b), p in zip(FAMILY, family, strict=True)]
    laws += [(f"unseen: {a:g}, {b:g}, {size:.0e}", ss.power_law(a, b, max_mode=size)) for a, b, size in UNSEEN]
    rows = [on_modes(found.schedule, name, problem, times) for name, problem in laws]

    until, steps = ss.log_times(0.5, 3000.0, 41), 150
    seen = [ss.torus(2.0, 2.0, 128, "fourier", seed=1), ss.torus(1.5, 2.0, 128, "haar", seed=2), patches(), diabetes()]
    other = ss.learn(seen, policy, until, **{**options, "steps": steps, "optimizer": adam(0.01, steps)})
    for basis, signs in itertools.product(("fourier", "haar"), ("random", "plus")):
        problem = ss.torus(2.0, 2.0, 256, basis, signs=signs, seed=0)
        rows.append(on_data(found.schedule, other.schedule, f"torus, {basis}, {signs} signs", problem, until))
    held_out = from_dataset(ss.problems.digits(1200), None, 128)
    rows.append(on_data(found.schedule, other.schedule, "digits, held-out", held_out, ss.log_times(0.1, 9000.0, 41)))
    return rows


def patches() -> ss.OperatorProblem:
    return from_dataset(ss.problems.image_patches(800, 400), 20.0, 64)


def diabetes() -> ss.OperatorProblem:
    return from_dataset(ss.problems.diabetes(), None, 64)


def on_modes(schedule: ss.AbstractStage, name: str, problem: ss.ModalProblem, times: np.ndarray) -> dict[str, Any]:
    gap, by_hand = (
        ss.learning.measure_gap(problem, schedule, ANYTIME, times),
        ss.learning.compare_by_hand(problem, ANYTIME, times),
    )
    optimum = optimum_of(gap)
    gain = gap.uniform - optimum
    row = {
        "problem": name,
        "gain of the ideal": gain,
        "part kept by the policy": 1 - (gap.value - optimum) / gain,
        "best by hand": by_hand.best,
        "part kept by it": 1 - (by_hand.best_value - optimum) / gain,
    }
    return tell(row)


def on_data(
    by_modes: ss.AbstractStage, by_data: ss.AbstractStage, name: str, problem: ss.OperatorProblem, times: np.ndarray
) -> dict[str, Any]:
    """On data no ideal is known: gains over uniform, in e-folds of the mean log loss."""
    gap, by_hand = (
        ss.learning.measure_gap(problem, by_modes, ANYTIME, times),
        ss.learning.compare_by_hand(problem, ANYTIME, times),
    )
    row = {
        "problem": name,
        "gain of the policy": gap.uniform - gap.value,
        "gain of the policy trained on data": gap.uniform - float(ANYTIME(ss.simulate(problem, by_data, times))),
        "best by hand": by_hand.best,
        "gain of it": gap.uniform - by_hand.best_value,
    }
    return tell(row)


def optimum_of(gap: ss.learning.Gap) -> float:
    """What no schedule beats, which is known on modes."""
    if gap.optimum is None:
        raise ValueError("this problem has no bound")
    return gap.optimum


def tell(row: dict[str, Any]) -> dict[str, Any]:
    print(", ".join(f"{key} {shown(value)}" for key, value in row.items()), flush=True)
    return row


def shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def markdown(parts: dict[str, Any]) -> str:
    lines = ["# Learned schedules", "", f"By `python benchmarks/{Path(__file__).name}`.", ""]
    for name, part in parts.items():
        made = part["made"]
        lines += [f"## {name}", "", PARTS[name].__doc__ or "", ""]
        groups = itertools.groupby(part["rows"], key=tuple)  # rows with the same columns make one table
        for columns, rows in groups:
            lines += [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
            lines += [f"| {' | '.join(shown(value) for value in row.values())} |" for row in rows]
            lines.append("")
        where = f"jax {made['jax']} on {made['device']}, Python {made['python']}"
        lines += [f"{made['processor seconds']:.0f} s of processor time with {where}.", ""]
    return "\n".join(lines)


PARTS = {"modal": modal, "capped": capped, "torus": torus, "digits": digits, "transfer": transfer}


def main(names: list[str]) -> None:
    for name in names:
        if name not in PARTS:
            raise SystemExit(f"error: {name!r} is no part of this benchmark; choose from {', '.join(PARTS)}.")
    path = RESULTS / "learned_schedules.json"
    RESULTS.mkdir(exist_ok=True)
    for name in names or PARTS:
        begin = time.process_time()
        print(f"== {name}", flush=True)
        rows = PARTS[name]()
        made = {
            "processor seconds": time.process_time() - begin,
            "jax": jax.__version__,
            "spectral_sim": ss.__version__,
            "python": platform.python_version(),
            "device": jax.devices()[0].device_kind,
        }
        parts = json.loads(path.read_text()) if path.exists() else {}
        parts[name] = {"rows": rows, "made": made}
        parts = {key: parts[key] for key in PARTS if key in parts}
        path.write_text(json.dumps(parts, indent=1) + "\n")
        path.with_suffix(".md").write_text(markdown(parts))


if __name__ == "__main__":
    main(sys.argv[1:])
