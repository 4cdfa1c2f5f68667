"""The suite of `spectral-sim bench` as this project runs it: with its targets and with loops in C as further peers.

Run from a checkout: python benchmarks/suite.py, with the options of `spectral-sim bench`. Results go to
benchmarks/results, a folder for each machine.
"""

import subprocess
from pathlib import Path

import numpy as np
from c_peer import COMPILE, closed_loop, find_compiler, modal_loop

from spectral_sim.benchmark import PEERS, TARGETS, Peer, load_targets
from spectral_sim.cli import main

HERE = Path(__file__).parent


def loop_in_c(task):
    """The loop in C on the task of the case "modal"."""
    return modal_loop(task.coefficient, np.asarray(task.rates), task.times)


def closed_loop_in_c(given):
    """The loop in C on the task of the case "closed" and its powers."""
    task, powers = given
    return closed_loop(task.problem, powers, np.diff(task.times))


def compiler_words() -> str:
    """The compiler, its version and its options."""
    compiler = find_compiler()
    if compiler is None:
        return ""
    asked = subprocess.run([compiler, "-dumpfullversion"], capture_output=True, text=True, check=False)
    return " ".join((Path(compiler).name, asked.stdout.strip(), *COMPILE[1:-1]))


def add_parts() -> None:
    """Add this project's targets and peers to those of the package."""
    TARGETS.update(load_targets(HERE / "targets.toml"))
    PEERS["share of the loop in C"] = Peer("modal", loop_in_c, "modal/c", compiler_words())
    name = "proportional, share of the loop in C"
    PEERS[name] = Peer("closed", closed_loop_in_c, "closed/c", compiler_words())


if __name__ == "__main__":
    add_parts()
    main({"bench": {"results": HERE / "results"}}, command="bench")
