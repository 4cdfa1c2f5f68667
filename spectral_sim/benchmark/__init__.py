"""The benchmark suite: what the kernels reach beside the machine's limits and other programs for the same task."""

from ._case import PEERS, Case, Peer, PeerUnavailable
from ._compare import Change, Comparison, compare
from ._machine import DeviceError, commit, device_of, machine, slug, versions
from ._markdown import markdown, shown
from ._modal_task import bare_losses, numpy_losses
from ._plots import write_plots
from ._result import SUITE, CaseResult, Figure, Point, Program, Results, load_results, save_results
from ._suite import CASES, chosen_cases, run_suite
from ._targets import TARGETS, Standing, Target, incomparable, judged, load_targets, standings
from ._timing import Spread, interleaved, seconds_of, spread

__all__ = [
    "CASES",
    "Case",
    "CaseResult",
    "Change",
    "Comparison",
    "DeviceError",
    "Figure",
    "PEERS",
    "Peer",
    "PeerUnavailable",
    "Point",
    "Program",
    "Results",
    "SUITE",
    "Spread",
    "Standing",
    "TARGETS",
    "Target",
    "bare_losses",
    "chosen_cases",
    "commit",
    "compare",
    "device_of",
    "incomparable",
    "interleaved",
    "judged",
    "load_results",
    "load_targets",
    "machine",
    "markdown",
    "numpy_losses",
    "run_suite",
    "save_results",
    "seconds_of",
    "shown",
    "slug",
    "spread",
    "standings",
    "versions",
    "write_plots",
]
