"""The best mixture under limits, with its interval against the mixtures one would take otherwise."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._types import Float
from .._wording import option
from ._mixture_law import MixtureLaw
from ._mixture_simplex import least_shares, start_between
from ._mixture_support import Support
from ._mixture_table import by_domain

if TYPE_CHECKING:
    from ._mixture_fit import MixtureFit


@dataclass(frozen=True)
class Gain:
    """How much lower the weighted loss of the optimum is than that of another mixture.

    Arguments:
        name: the other mixture.
        loss: its weighted loss: predicted, or measured where it is a run.
        value: the gain.
        low: lower end of its interval; what was won by choosing where the law errs to advantage is taken off.
        high: upper end.
    """

    name: str
    loss: float
    value: float
    low: float
    high: float

    @property
    def within_error(self) -> bool:
        """Whether the interval reaches zero."""
        return self.low <= 0

    def __str__(self) -> str:
        text = f"gain over {self.name}: {self.value:.4f} (interval {self.low:.4f} to {self.high:.4f})"
        return f"{text}; the gain is within the error" if self.within_error else text


@dataclass(frozen=True, eq=False)
class Optimum:
    """The mixture of least weighted loss.

    Arguments:
        domains: names of the domains.
        shares: the mixture, shape (domains,).
        shares_low: 5th percentile of each share among the optima of laws fitted to parts of the table, shape
            (domains,).
        shares_high: 95th percentile, shape (domains,).
        prior: the mixture it is compared with, shape (domains,).
        losses: predicted losses, shape (losses,).
        losses_low: lower ends of their intervals, shape (losses,).
        losses_high: upper ends, shape (losses,).
        loss: the predicted weighted loss.
        gains: over the proportional mix, and over the best run.
        best_run: name of the run of least weighted loss; None at another scale than that of the table.
        limits: domains at a limit, with what it is.
        support: how far it lies from the runs.
        notes: what a user should know.
    """

    domains: tuple[str, ...]
    shares: Float[np.ndarray, "domains"]
    shares_low: Float[np.ndarray, "domains"]
    shares_high: Float[np.ndarray, "domains"]
    prior: Float[np.ndarray, "domains"]
    losses: Float[np.ndarray, "losses"]
    losses_low: Float[np.ndarray, "losses"]
    losses_high: Float[np.ndarray, "losses"]
    loss: float
    gains: tuple[Gain, ...]
    best_run: str | None
    limits: dict[str, str]
    support: Support
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, float]:
        """Share of each domain by name."""
        return {name: float(share) for name, share in zip(self.domains, self.shares, strict=True)}

    def __str__(self) -> str:
        order = np.argsort(-self.shares)
        lines = [
            f"  {self.domains[g]:<20} {self.shares[g]:7.2%}  (laws of parts of the table: "
            f"{self.shares_low[g]:.2%} to {self.shares_high[g]:.2%}; compared with {self.prior[g]:.2%})"
            + (f"  {self.limits[self.domains[g]]}" if self.domains[g] in self.limits else "")
            for g in order
        ]
        more = [str(gain) for gain in self.gains] + [str(self.support), *self.notes]
        return "\n".join([f"weighted loss {self.loss:.4f}", *lines, *more])


def find_optimum(
    fit: "MixtureFit", weights: Any, prior: Any, max_epochs: float | None, divergence: float, pools: Any, minimum: Any
) -> Optimum:
    """See `MixtureFit.optimum`."""
    domains, table = fit.domains, fit.table
    importance = fit.loss_weights(weights)
    if not np.isfinite(divergence) or divergence < 0:
        raise ValueError(f"divergence={divergence!r}: give a number that is not negative.")
    base, name = table.ratios.mean(axis=0), "the mean of the runs"
    if prior is not None:
        base, name = by_domain("prior", prior, domains), "the proportional mix"
        if base.sum() <= 0:
            raise ValueError("prior is all zero: give the share of each domain.")
        base = base / base.sum()
    elif divergence > 0 or (max_epochs is not None and pools is None):
        what = "divergence" if divergence > 0 else "max_epochs"
        raise ValueError(f"{what} needs a prior: give the share of each domain in what there is.")
    low, high = _limits(domains, base, max_epochs, pools, minimum)
    begin = start_between(base, low, high)
    slope, allowed = fit.scale.slope * importance, base > 0
    if divergence > 0:
        high = np.where(allowed, high, low)  # no share without prior has a finite divergence
        begin = start_between(base, low, high)

    def best(law: MixtureLaw) -> np.ndarray:
        def value(shares):
            relative = np.log(np.where(allowed, shares / np.where(allowed, base, 1), 1))
            total = law.predict(shares[None])[0] @ slope + divergence * np.sum(np.where(allowed, shares * relative, 0))
            gradient = slope @ law.sensitivity(shares) + divergence * np.where(allowed, relative + 1, 0)
            return float(total), gradient

        return least_shares(value, low, high, begin)

    shares = best(fit.law)
    laws = fit.calibration.laws
    others = np.array([best(law) for law in laws])
    # what each optimum promises by its own law, beside what the other laws say of it
    promised = np.array([law.predict(others) @ slope for law in laws])  # (law, optimum)
    own = np.diag(promised)
    optimism = max(float(np.mean((promised.sum(axis=0) - own) / max(len(laws) - 1, 1) - own)), 0.0)
    losses, (losses_low, losses_high) = fit.predict(shares), fit.interval(shares)
    loss = float(losses @ importance)
    half = fit.half_width(np.stack([shares, base]), importance)
    both = float(np.sqrt(np.sum(half**2)))
    before = float(fit.predict(base) @ importance)
    gains = [Gain(name, before, before - loss, before - loss - both - optimism, before - loss + both)]
    notes: list[str] = []
    best_run = None
    if fit.scale.method == "identity":
        measured = table.losses @ importance
        row = int(np.argmin(measured))
        best_run = table.runs[row]
        value, one = float(measured[row]) - loss, float(half[0])
        gains.append(
            Gain(f"the best run, {best_run}", float(measured[row]), value, value - one - optimism, value + one)
        )
    support = fit.support(shares)
    if support.extrapolates:
        notes.append("The optimum is an extrapolation: try a run there, or near it, before relying on it.")
    if fit.boost is not None:
        notes.append("The law was minimised, which is convex; predicted losses include the boosted residuals.")
    shown = {
        domains[g]: f"at its {'minimum' if shares[g] <= low[g] + 1e-6 else 'cap'} of {shares[g]:.2%}"
        for g in range(len(domains))
        if (low[g] > 0 and shares[g] <= low[g] + 1e-6) or (high[g] < 1 and shares[g] >= high[g] - 1e-6)
    }
    return Optimum(
        domains=domains,
        shares=shares,
        shares_low=np.quantile(others, 0.05, axis=0),
        shares_high=np.quantile(others, 0.95, axis=0),
        prior=base,
        losses=losses,
        losses_low=losses_low,
        losses_high=losses_high,
        loss=loss,
        gains=tuple(gains),
        best_run=best_run,
        limits=shown,
        support=support,
        notes=tuple(notes),
    )


def _limits(
    domains: tuple[str, ...], prior: np.ndarray, max_epochs: float | None, pools: Any, minimum: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest share of each domain."""
    low = by_domain("minimum", minimum, domains, fill=0.0)
    high = np.ones(len(domains))
    if pools is not None and max_epochs is None:
        raise ValueError(
            f"pools says how much data there is: give {option('max_epochs')} too, how often it may be seen."
        )
    if max_epochs is not None:
        if not np.isfinite(max_epochs) or max_epochs <= 0:
            raise ValueError(f"max_epochs={max_epochs!r}: give a positive number.")
        sizes = prior if pools is None else by_domain("pools", pools, domains)
        high = np.minimum(max_epochs * sizes, 1.0)
    if low.sum() > 1 + 1e-9:
        raise ValueError(f"minimum sums to {low.sum():.4g}: shares sum to one; lower it.")
    crossed = low > high + 1e-12
    if crossed.any():
        g = int(np.argmax(crossed))
        raise ValueError(
            f"domain {domains[g]!r} has a minimum share of {low[g]:.4g}, above its cap of {high[g]:.4g}: lower the "
            f"minimum, or raise {option('max_epochs')}."
        )
    if high.sum() < 1 - 1e-9:
        raise ValueError(
            f"the caps on epochs leave room for {high.sum():.4g} of the data, less than one run: raise "
            f"{option('max_epochs')}."
        )
    return low, high
