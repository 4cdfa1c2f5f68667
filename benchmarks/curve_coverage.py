"""How often intervals of predicted loss curves hold what is measured: curves of a known truth, and of a small network.

    python benchmarks/curve_coverage.py [--repetitions 50] [--networks 5] [--seconds S] [--output FILE]

Each repetition draws a power-law problem and a noise, runs three schedules, adds scatter to the log loss, fits the
three and predicts a fourth schedule. The networks are trained by AdamW, so that the law is wrong there: held-out
coverage is reported beside the error, not as a success of the law.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

jax.config.update("jax_enable_x64", True)

import spectral_sim as ss  # noqa: E402
from spectral_sim.fitting import Curve, fit_curves  # noqa: E402

PEAK, STEPS, MODES, NODES = 2e-3, 2000, 10_000, 32
MEASURED = np.arange(150, STEPS + 1, 74)
SCATTER = 5e-4


def rates(kind: str, peak: float = PEAK) -> np.ndarray:
    """The learning rate of every step, after a warm-up of 100 steps."""
    step = np.arange(STEPS)
    shape = {
        "constant": np.ones(STEPS),
        "cosine": 0.1 + 0.45 * (1 + np.cos(np.pi * step / STEPS)),
        "drop": np.where(step < 1200, 1.0, 0.3),
        "decay": np.clip((STEPS - step) / 600, 0.1, 1),
    }[kind]
    return peak * np.minimum(shape, step / 100)


KINDS = ("constant", "cosine", "drop", "decay")


def known(seed: int) -> dict[str, Curve]:
    """Curves of a truth that is drawn, at every step, with scatter."""
    draw = np.random.default_rng(seed)
    problem = ss.power_law(
        draw.uniform(1.3, 2.2),
        draw.uniform(1.3, 2.2),
        max_mode=MODES,
        nodes=128,
        eigenvalue_scale=10 ** draw.uniform(-2.3, -1.3) / PEAK,
        energy_scale=draw.uniform(2, 10),
        floor=draw.uniform(2, 3),
    )
    noise = {"noise_strength": draw.uniform(1, 10), "noise_exponent": draw.uniform(-0.4, 0.6), "reference_rate": PEAK}
    grid = np.unique(np.concatenate([[0], MEASURED, np.arange(0, STEPS, 5)]))
    curves = {}
    for kind in KINDS:
        rate = rates(kind)
        dynamics = ss.SGDMoments(rate, jnp.inf, **noise)
        loss = np.asarray(ss.simulate(problem, ss.uniform(), grid, dynamics=dynamics).loss)
        loss = loss[np.searchsorted(grid, MEASURED)] * np.exp(SCATTER * draw.normal(size=MEASURED.size))
        curves[kind] = Curve(MEASURED, loss, rate)
    return curves


@jax.jit
def _train(key, rate):
    """Test losses after every step of AdamW on a network with one hidden layer that learns another one."""
    width, inputs = 128, 32
    scale = jnp.arange(1, inputs + 1) ** -0.75
    keys = jax.random.split(key, 6)
    init = lambda key, hidden: {
        "in": jax.random.normal(key, (inputs, hidden)),
        "out": jax.random.normal(jax.random.fold_in(key, 1), (hidden,)) / jnp.sqrt(hidden),
    }
    output = lambda net, x: jnp.maximum(x @ net["in"], 0) @ net["out"]
    teacher, student = init(keys[0], 512), init(keys[1], width)
    test = jax.random.normal(keys[2], (2048, inputs)) * scale
    loss = lambda net, x, y: 0.5 * jnp.mean((output(net, x) - y) ** 2)
    optimizer = optax.inject_hyperparams(optax.adamw)(learning_rate=1.0, weight_decay=1e-4)

    def step(carry, xs):
        net, state = carry
        number, eta = xs
        now = jax.random.fold_in(keys[3], number)
        x = jax.random.normal(now, (64, inputs)) * scale
        y = output(teacher, x) + 0.5 * jax.random.normal(jax.random.fold_in(now, 1), (64,))
        state.hyperparams["learning_rate"] = eta
        updates, state = optimizer.update(jax.grad(loss)(net, x, y), state, net)
        net = optax.apply_updates(net, updates)
        return (net, state), loss(net, test, output(teacher, test)) + 0.125

    return jax.lax.scan(step, (student, optimizer.init(student)), (jnp.arange(STEPS), rate))[1]


def network(seed: int) -> dict[str, Curve]:
    """Curves of a network; the schedules share their start and their data."""
    found = {}
    for kind in KINDS:
        rate = rates(kind, 1e-2)
        loss = np.asarray(_train(jax.random.key(seed), jnp.asarray(rate)))
        smooth = np.array([loss[n - 20 : n].mean() for n in MEASURED])
        found[kind] = Curve(MEASURED, smooth, rate)
    return found


def measure(make, count: int, until: float) -> dict:
    """Coverage of the 90% intervals on the held-out curve, and errors, over repetitions."""
    cover, errors, worst, widths = [], [], [], []
    for seed in range(count):
        if time.monotonic() > until:
            break
        fit = fit_curves(make(seed), hold_out="decay", max_mode=MODES, nodes=NODES)
        score = fit.scores["spectral law"]["decay"]
        found = fit.predict_curve("decay")
        cover.append(score.coverage)
        errors.append(score.mae)
        worst.append(fit.scores["multi-power law"]["decay"].mae)
        widths.append(float(np.mean(found.high - found.low) / 2))
        print(f"{make.__name__} {seed}: coverage {cover[-1]:.2f} MAE {errors[-1]:.5f}", flush=True)
    if not cover:
        return {"repetitions": 0}
    return {
        "repetitions": len(cover),
        "coverage": float(np.mean(cover)),
        "coverage_stderr": float(np.std(cover) / np.sqrt(len(cover))),
        "curves_below_half": int(np.sum(np.array(cover) < 0.5)),
        "mae": float(np.mean(errors)),
        "multi_power_mae": float(np.mean(worst)),
        "median_mae": float(np.median(errors)),
        "median_half_width": float(np.median(widths)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=50)
    parser.add_argument("--networks", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further fit after this time")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    until = time.monotonic() + options.seconds
    found = {"network": measure(network, options.networks, until)}
    found["known"] = measure(known, options.repetitions, until)
    print(json.dumps(found, indent=1))
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
