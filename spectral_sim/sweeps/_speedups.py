"""Speed-ups over uniform sampling for every row: gross, and net of what curating costs."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from .._types import Array
from .._where import where
from ..analysis import Race, check_prices, race, refresh_costs
from ._metric import AbstractMetric, MemberRun, Variable, chosen_rows, chosen_window

_BOUND = "0: a number; -1: at most"


@dataclasses.dataclass(frozen=True)
class AnytimeSpeedup(AbstractMetric):
    """`speedup` and `speedup_bound`: how many times sooner than uniform sampling, over a window, gross of costs.

    The bound is 0 for a number, -1 where it is at most that (some losses were never reached); a row that starts below
    a loss of uniform sampling has none. As `analysis.speedup`; `NetSpeedup` is the same net of costs. Where the learner
    trains on data of its own making, uniform sampling is that of real data.

    Arguments:
        window: (t0, t1) of the horizons; the last two decades if None.
        horizons: how many, evenly in log time; `analysis.speedup` takes 129. The cost is proportional to it.
    """

    window: tuple[float, float] | None = None
    horizons: int = 129

    def variables(self, times: np.ndarray) -> dict[str, Variable]:
        words = _where("speedup", self.window, times)
        return {
            "speedup": Variable(f"anytime speed-up over uniform sampling, gross of costs, {words}"),
            "speedup_bound": Variable(_BOUND),
        }

    def __call__(self, run: MemberRun) -> dict[str, Array]:
        found = _race(run, self.window, self.horizons)
        return {"speedup": _valid(run, found, found.speedup()), "speedup_bound": _bound(found)}


@dataclasses.dataclass(frozen=True)
class NetSpeedup(AbstractMetric):
    """`speedup_net` and `speedup_net_bound`: the speed-up over uniform sampling net of what curating costs.

    As `AnytimeSpeedup`, with passes over the data, second models and own labels added to the time of the row as
    `analysis.curation_cost` charges them; uniform sampling is charged nothing. What is charged may be swept.

    Arguments:
        window: (t0, t1) of the horizons; the last two decades if None.
        horizons: how many, evenly in log time.
        cost_per_example: time units that scoring one example takes; on data that of a forward pass if None.
        cost_per_refresh: time units of anything else that a refresh with a full pass takes; on modes all that a pass
            costs.
        batch_size: examples per training step, which says how much of a time unit a forward pass takes.
    """

    window: tuple[float, float] | None = None
    horizons: int = 129
    cost_per_example: float | None = None
    cost_per_refresh: float = 0.0
    batch_size: int = 64

    def __post_init__(self) -> None:
        check_prices(self.cost_per_example, self.cost_per_refresh, self.batch_size)

    def variables(self, times: np.ndarray) -> dict[str, Variable]:
        words = _where("speedup_net", self.window, times)
        if self.cost_per_example is None:
            example = f"on data a forward pass on each example at batches of {self.batch_size}, on modes nothing"
        else:
            example = f"{self.cost_per_example:.4g} time units for each example"
        more = f", and {self.cost_per_refresh:.4g} time units" if self.cost_per_refresh else ""
        text = f"anytime speed-up over uniform sampling, net of second models, own labels and passes ({example}{more})"
        return {"speedup_net": Variable(f"{text}, {words}"), "speedup_net_bound": Variable(_BOUND)}

    def __call__(self, run: MemberRun) -> dict[str, Array]:
        if run.counts_steps:
            raise ValueError(
                "speedup_net: the swept rates give every row times of its own, and costs are in units of time: leave "
                "it out, or sweep rates one at a time."
            )
        found = _race(run, self.window, self.horizons)
        charges, fixed = refresh_costs(
            run.problem,
            run.schedule,
            run.times,
            run.dynamics,
            cost_per_example=self.cost_per_example,
            cost_per_refresh=self.cost_per_refresh,
            batch_size=self.batch_size,
        )
        value = found.speedup(found.paid(run.times, charges) + fixed)
        return {"speedup_net": _valid(run, found, value), "speedup_net_bound": _bound(found)}


def _race(run: MemberRun, window: tuple[float, float] | None, number: int) -> Race:
    start, stop = chosen_window(window, run.times)
    horizons = np.minimum(np.geomspace(start, stop, number), run.times[-1])
    return race(run.times, run.loss, run.uniform_loss, horizons)


def _valid(run: MemberRun, found: Race, value: Array) -> Array:
    """The speed-up, where there is one: not where the row starts below uniform sampling, nor where it failed."""
    return where(jnp.any(found.before) | jnp.isnan(run.loss[-1]), jnp.nan, value)


def _bound(found: Race) -> Array:
    return where(jnp.any(found.never), -1, 0).astype(jnp.int8)


def _where(name: str, window: tuple[float, float] | None, times: np.ndarray) -> str:
    chosen_rows(name, window, times)
    return "horizons from t = {:.4g} to {:.4g}".format(*chosen_window(window, times))
