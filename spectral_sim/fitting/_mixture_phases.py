"""Tables whose mixtures change during the run: what the order of the data does, if anything."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy

from .._types import Float
from ._mixture_fit import MixtureFit
from ._mixture_fitting import fit_mixture
from ._mixture_operator import Operators, fit_operators
from ._mixture_phase_laws import (
    OperatorLaw,
    PhaseLaw,
    fit_order,
    fit_repetition,
    fit_retention,
    fit_totals,
    totals_of,
)
from ._mixture_phase_table import checked_phases, phase_table
from ._mixture_scores import MixtureScore, folds, score_mixture
from ._mixture_table import NamedTable, by_domain

PHASE_LAWS = ("totals", "retention", "repetition", "operator")
_STATIC, _FREE = "operators under the totals", "operators alone"
_FOLDS = 5
_SIGNIFICANT = 3.5  # standard errors by which a law must predict held-out runs better than the law on totals
_STUDENT = {0.8: 1.53, 0.9: 2.13, 0.95: 2.78}  # of the jackknife over five folds, four degrees of freedom


@dataclass(frozen=True)
class OrderEffect:
    """How a weighted loss differs from that of the static mixture of the same totals.

    Arguments:
        value: the difference; negative where the order helps.
        low: lower end of its 90% interval.
        high: upper end.
        by_construction: whether the law that was kept knows no order, so that it is zero whatever the data are.
    """

    value: float
    low: float
    high: float
    by_construction: bool

    def __str__(self) -> str:
        if self.by_construction:
            return "0 by construction: the law that was kept depends on the totals only"
        return f"{self.value:+.4f} (90% interval {self.low:+.4f} to {self.high:+.4f})"


@dataclass(frozen=True, eq=False)
class PhaseFit:
    """What `fit_phases` found.

    Arguments:
        static: the fit of the law to the totals, the null model.
        kind: which law was kept: "totals", "retention", "repetition" or "operator".
        law: that law, fitted to all runs.
        fold_laws: the same law, fitted without each fold.
        scores: error and rank correlation of each law on held-out runs.
        gains: by how many standard errors (of the signed-rank statistic over runs) each law predicts held-out runs
            better than its null model: the law on totals, or for operators the same operators under the totals.
        fractions: part of the run that each phase takes, mean over runs, shape (phases,).
        notes: what a user should know.
    """

    static: MixtureFit
    kind: str
    law: PhaseLaw
    fold_laws: tuple[PhaseLaw, ...]
    scores: dict[str, MixtureScore]
    gains: dict[str, float]
    fractions: Float[np.ndarray, "phases"]
    notes: tuple[str, ...]

    @property
    def knows_order(self) -> bool:
        """Whether the order of phases matters to the law that was kept."""
        return self.law.knows_order

    def predict(self, ratios: Any, fractions: Any = None) -> Float[np.ndarray, "runs losses"]:
        """The losses of schedules.

        Arguments:
            ratios: shares, shape (runs, phases, domains).
            fractions: part of the run that each phase takes, shape (phases,) or (runs, phases); as in the table if
                None.
        """
        shares, parts = checked_phases(ratios, self.fractions if fractions is None else fractions, self.static.domains)
        return self.law.predict(shares, parts)

    def order_effect(self, ratios: Any, fractions: Any = None, *, weights: Any = None) -> OrderEffect:
        """The weighted loss of one schedule minus that of the static mixture of its totals.

        Arguments:
            ratios: shares, shape (phases, domains).
            fractions: shape (phases,); as in the table if None.
            weights: weight of each loss, as in `MixtureFit.optimum`.
        """
        importance = self.static.loss_weights(weights)
        parts = self.fractions if fractions is None else fractions
        shares, parts = checked_phases(np.asarray(ratios)[None], parts, self.static.domains)
        if not self.knows_order:
            return OrderEffect(0.0, 0.0, 0.0, True)
        return self._effect(lambda law: float(_order(law, shares, parts)[0] @ importance))

    def dynamic_gain(self, *, weights: Any = None) -> OrderEffect:
        """The weighted loss of the best schedule over these phases minus that of the best static mixture.

        Zero by construction where the law that was kept depends on the totals only: every schedule has the loss of a
        static mixture then. Otherwise the schedule is searched for under the law of all runs, and judged under those of
        the folds, which takes off part of what was won by choosing.

        Arguments:
            weights: weight of each loss, as in `MixtureFit.optimum`.
        """
        if not self.knows_order:
            return OrderEffect(0.0, 0.0, 0.0, True)
        importance = self.static.loss_weights(weights)
        phases, domains = len(self.fractions), len(self.static.domains)
        parts = self.fractions[None]

        def loss(law: PhaseLaw, shares: np.ndarray) -> float:
            return float(law.predict(shares[None], parts)[0] @ importance)

        flat = _search(lambda row: loss(self.law, np.tile(row[0], (phases, 1))), np.full((1, domains), 1 / domains))
        static = np.tile(flat[0], (phases, 1))
        best = _search(lambda rows: loss(self.law, rows), static)
        return self._effect(lambda law: loss(law, best) - loss(law, static))

    def _effect(self, measure) -> OrderEffect:
        value = measure(self.law)
        folds_ = np.array([measure(law) for law in self.fold_laws])
        number = len(folds_)
        error = np.sqrt((number - 1) / number * np.sum((folds_ - folds_.mean()) ** 2))  # jackknife over folds
        return OrderEffect(value, value - _STUDENT[0.9] * error, value + _STUDENT[0.9] * error, False)

    def report(self) -> str:
        """What was found, in a few lines of text."""
        lines = [f"{len(self.static.table.runs)} runs of {len(self.fractions)} phases; kept: {self.kind}."]
        for name, score in self.scores.items():
            beside = "" if name == "totals" else f"  better by {self.gains[name]:+.1f} standard errors"
            lines.append(f"  {name:<12} error {score.error:.3f}, rank correlation {score.spearman:.3f}{beside}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def fit_phases(
    ratios: Any,
    losses: Any,
    fractions: Any,
    *,
    pools: Any = None,
    domains: Sequence[str] | None = None,
    seed: int = 0,
) -> PhaseFit:
    """Fit a table whose mixtures change from phase to phase, and say whether their order matters.

    The law on totals is the null model. A retention parameter for each domain, an operator law (low-rank operators that
    do not commute) and, where pools are given, diminishing returns of repeated data are each tried beside it, and kept
    only if they predict held-out runs better by 3.5 standard errors.

    Arguments:
        ratios: shares in each phase, shape (runs, phases, domains); or one data frame (runs, domains) for each phase.
        losses: shape (runs, losses), after the last phase.
        fractions: part of the run that each phase takes, shape (phases,) or (runs, phases).
        pools: data of each domain over the data of a whole run, shape (domains,).
        domains: names of the domains, for arrays.
        seed: of the folds and the starts.

    Raises:
        ValueError: a static table, shares or fractions that do not sum to one, or a table that `fit_mixture` refuses.
    """
    table, parts, names, runs = phase_table(ratios, fractions, domains)
    pool = None
    if pools is not None:
        pool = by_domain("pools", pools, names)
        if (pool <= 0).any():
            raise ValueError(f"pools of domain {names[int(np.argmin(pool))]!r} is 0: give its size.")
    static = fit_mixture(NamedTable(totals_of(table, parts), names, runs), losses, boost="none", seed=seed)
    losses_ = static.table.losses
    fitted, predicted = _cross_fits(
        table, parts, losses_, static.ridge, pool, folds(static.table.ratios, _FOLDS, seed), seed
    )
    spread = losses_.std(axis=0)
    squared = {kind: np.mean(((values - losses_) / spread) ** 2, axis=1) for kind, values in predicted.items()}
    gains = {kind: _signed_ranks(squared["totals"] - squared[kind]) for kind in fitted if kind != "totals"}
    # as flexible a law without order is the null of operators: they may fit the totals better than the mixture law does
    gains["operator"] = _signed_ranks(squared[_STATIC] - squared[_FREE])
    alone = squared[_FREE].mean() < squared["operator"].mean()
    if alone:
        fitted["operator"] = tuple(replace(law, law=None) for law in fitted["operator"] if isinstance(law, OperatorLaw))
        predicted["operator"], squared["operator"] = predicted[_FREE], squared[_FREE]
    better = [k for k, gain in gains.items() if gain > _SIGNIFICANT and squared[k].mean() < squared["totals"].mean()]
    kept = min(better, key=lambda kind: squared[kind].mean(), default="totals")
    law = _fits(table, parts, losses_, static.ridge, pool, seed, None, (kept,))[kept]
    if alone and isinstance(law, OperatorLaw):
        law = replace(law, law=None)
    notes = list(static.table.notes)
    if not law.knows_order:
        notes.append(
            "Order effects and dynamic gains are 0 by construction: no law that knows the order paid for itself."
        )
    scores = {kind: score_mixture(predicted[kind], losses_) for kind in fitted}
    return PhaseFit(static, kept, law, fitted[kept], scores, gains, parts.mean(axis=0), tuple(notes))


def _fits(
    table: np.ndarray,
    parts: np.ndarray,
    losses: np.ndarray,
    ridge: float,
    pools: np.ndarray | None,
    seed: int,
    start: dict[str, Operators] | None,
    kinds: Sequence[str],
) -> dict[str, PhaseLaw]:
    """The laws of some kinds, fitted to the runs given; operators begin from `start` where there is one."""
    arrays, begin = (table, parts, losses), None if start is None else start["operator"]
    fits: dict[str, Callable[[], PhaseLaw]] = {
        "totals": lambda: fit_totals(*arrays, ridge),
        "retention": lambda: fit_retention(*arrays, ridge),
        "repetition": lambda: fit_repetition(*arrays, ridge, np.asarray(pools)),
        "operator": lambda: fit_order(*arrays, ridge, fit_operators(*arrays, seed, static=False, start=begin)),
    }
    return {kind: fits[kind]() for kind in kinds}


def _cross_fits(
    table: np.ndarray,
    parts: np.ndarray,
    losses: np.ndarray,
    ridge: float,
    pools: np.ndarray | None,
    fold: np.ndarray,
    seed: int,
) -> tuple[dict[str, tuple[PhaseLaw, ...]], dict[str, np.ndarray]]:
    """Each law without each fold, and what it says of the fold; operators under the totals, their null model, too."""
    kinds = [kind for kind in PHASE_LAWS if kind != "repetition" or pools is not None]
    start = {kind: fit_operators(table, parts, losses, seed, static=kind == _STATIC) for kind in ("operator", _STATIC)}
    fitted: dict[str, list[PhaseLaw]] = {kind: [] for kind in kinds}
    predicted = {kind: np.empty_like(losses) for kind in (*kinds, _STATIC, _FREE)}
    for k in range(int(fold.max()) + 1):
        out = fold == k
        rest = table[~out], parts[~out], losses[~out]
        for kind, law in _fits(*rest, ridge, pools, seed, start, kinds).items():
            fitted[kind].append(law)
            predicted[kind][out] = law.predict(table[out], parts[out])
        static = fit_operators(*rest, seed, static=True, start=start[_STATIC])
        predicted[_STATIC][out] = static.predict(table[out], parts[out], static=True)
        free = fitted["operator"][-1]
        assert isinstance(free, OperatorLaw)
        predicted[_FREE][out] = free.operators.predict(table[out], parts[out])
    return {kind: tuple(laws) for kind, laws in fitted.items()}, predicted


def _signed_ranks(better: np.ndarray) -> float:
    """How far above zero differences lie, in standard errors of the signed-rank statistic; robust to outliers."""
    rank = scipy.stats.rankdata(np.abs(better))
    return float(np.sum(rank * np.sign(better)) / np.sqrt(np.sum(rank**2)))


def _order(law: PhaseLaw, shares: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Losses of schedules minus those of the static mixtures of their totals."""
    totals = totals_of(shares, parts)
    static = np.repeat(totals[:, None], shares.shape[1], axis=1)
    return law.predict(shares, parts) - law.predict(static, parts)


def _search(loss, start: np.ndarray) -> np.ndarray:
    """Shares of each phase with the least loss: L-BFGS on their logits, with differences for gradients."""
    shares = lambda values: scipy.special.softmax(values.reshape(start.shape), axis=1)
    value, options = lambda values: loss(shares(values)), {"maxiter": 100}
    begin, rng, found = np.log(np.maximum(start, 1e-4)), np.random.default_rng(0), []
    for noise in (0.0, 1.0, 1.0):  # a static mixture may be a saddle
        here = begin + noise * rng.standard_normal(begin.shape)
        found.append(scipy.optimize.minimize(value, here.ravel(), method="L-BFGS-B", options=options))
    return shares(min(found, key=lambda result: result.fun).x)
