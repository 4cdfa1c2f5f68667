"""Whether verdicts are right where the answer is known, and whether intervals cover the truth as often as they say.

    python benchmarks/verdicts.py                       # all, in some minutes; writes results/verdicts.{json,md}
    python benchmarks/verdicts.py --repetitions 50 --only shift    # one case anew; the others stay as they are

The truth is read off curves averaged over fresh training sets and fresh rows to measure on, at the horizon and at the
price of each repetition.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import numpy as np
from verdict_cases import CASES, Case, assess, part_of, population_curves

from spectral_sim.assessment import claim, table
from spectral_sim.assessment._gains import log_gain
from spectral_sim.report import verdict_of

RESULTS = Path(__file__).parent / "results"
COVERED = ("nothing to gain", "a rare part", "duplicates", "shift")
FRESH_SETS, FRESH_ROWS = 60, 4_000


def judged(case: Case, seeds: int) -> dict[str, object]:
    """How often the verdict on a case is one of those that are right."""
    right, said = 0, []
    for seed in range(seeds):
        found = assess(part_of(case, seed), seed)
        numbers = table(found)
        picked = numbers.picked
        claimed = "nothing" if picked is None else claim(picked, numbers)
        text = verdict_of(found)
        right += claimed in case.claims and (not case.says or any(words in text for words in case.says))
        said.append(claimed)
    return {
        "answer": case.answer,
        "right": right,
        "seeds": seeds,
        "claims": {c: said.count(c) for c in sorted(set(said))},
    }


def covered(case: Case, repetitions: int) -> dict[str, object]:
    """How often the interval of the net gain holds the true gain."""
    truth = population_curves(case, FRESH_SETS, FRESH_ROWS)
    inside, known, widths, errors, shares = 0, 0, [], [], []
    for seed in range(repetitions):
        found = assess(part_of(case, seed), seed)
        numbers = table(found)
        picked = numbers.picked
        interval = None if picked is None else picked.gains.net
        if picked is None or interval is None or not interval.is_known or numbers.window is None:
            continue
        costs = next(run.cost_per_refresh for run in found.runs if run.name == picked.name)
        loss, uniform = truth[picked.name], truth["uniform"]
        true = np.exp(log_gain(found.times, loss, uniform, numbers.window.end, costs))
        known += 1
        inside += bool(interval.low <= true <= interval.high)
        widths.append(np.log(interval.high / interval.low) / 2)
        errors.append(np.log(interval.value / true))
        shares.append(abs(errors[-1]) / widths[-1])
    return {
        "repetitions": repetitions,
        "with_interval": known,
        "covered": inside / max(known, 1),
        "share_of_half_width": [float(x) for x in np.quantile(shares, (0.5, 0.8, 0.9, 0.95))],
        "median_half_width": float(np.median(widths)),
        "bias": float(np.mean(errors)),
        "scatter": float(np.std(errors)),
    }


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=10, help="verdicts of each case")
    parser.add_argument("--only", choices=CASES, action="append", help="a case, in place of all; the others stay")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    names = options.only or list(CASES)
    file = options.output / "verdicts.json"
    found = json.loads(file.read_text(encoding="utf-8"))["cases"] if options.only and file.is_file() else {}
    for name in names:
        begin = time.perf_counter()
        before = found.get(name, {})
        found[name] = judged(CASES[name], options.seeds)
        if "coverage" in before and not options.repetitions:
            found[name]["coverage"] = before["coverage"]
        if name in COVERED and options.repetitions:
            found[name]["coverage"] = covered(CASES[name], options.repetitions)
        print(f"{name}: {found[name]} ({time.perf_counter() - begin:.0f} s)", flush=True)
        found = {case: found[case] for case in CASES if case in found}
        about = {"jax": jax.__version__, "cases": found}
        file.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        (options.output / "verdicts.md").write_text(_markdown(found), encoding="utf-8")


def _markdown(found: dict[str, dict]) -> str:
    lines = [
        "# Verdicts on problems with known answers",
        "",
        f"Written by `python benchmarks/verdicts.py`, jax {jax.__version__}. A verdict is right where its claim and",
        "its words are those of the case (`benchmarks/verdict_cases.py`).",
        "",
        "| problem | why the answer is known | right | claims |",
        "|---|---|---|---|",
    ]
    for name, each in found.items():
        claims = ", ".join(f"{claimed} {count}" for claimed, count in sorted(each["claims"].items()))
        lines.append(f"| {name} | {each['answer']} | {each['right']} of {each['seeds']} | {claims} |")
    lines += [
        "",
        "90% intervals of the net gain (log scale); truth from fresh training sets and rows:",
        "",
        "| problem | repetitions | covered | median half width | bias | scatter |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in found.items():
        if "coverage" in each:
            own = each["coverage"]
            lines.append(
                f"| {name} | {own['with_interval']} | {own['covered']:.1%} | {own['median_half_width']:.3f} | "
                f"{own['bias']:+.3f} | {own['scatter']:.3f} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
