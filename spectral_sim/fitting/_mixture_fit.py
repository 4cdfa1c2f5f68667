"""A fitted mixture law: predictions with intervals, support, the best mixture, other scales, a problem to simulate."""

import os
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._shown import Line, Shown, View
from .._types import ArrayLike, Float
from ._mixture_boost import Boost
from ._mixture_law import MixtureLaw
from ._mixture_optimum import Optimum, find_optimum
from ._mixture_problem import MixtureProblem
from ._mixture_saved import read_mixture, write_mixture
from ._mixture_scale import MixtureClock, ScaleMap, fit_clock, fit_scale
from ._mixture_scores import BOOSTED, MixtureScore
from ._mixture_support import Support, find_support
from ._mixture_table import MixtureTable, by_domain, check_shares, values_of
from ._mixture_validation import Calibration


@dataclass(frozen=True, eq=False, repr=False)
class MixtureFit(Shown):
    """What `fit_mixture` found.

    Arguments:
        table: the runs, checked and renormalised.
        law: the fitted law; see `MixtureLaw`.
        ridge: the strength of the ridge that cross-validation chose.
        kind: "power", or "linear" where p was held at 1.
        boost: trees that predict what the law leaves over, or None.
        calibration: what the intervals are made of.
        scores: error and rank correlation on the folds of the law, of the law with boosted residuals if they were
            tried, and of each baseline, by name.
        ridges: error on the folds for each strength of the ridge.
        scale: how losses of the table become those of another scale; the identity if never rescaled.
        notes: what a user should know.
    """

    table: MixtureTable
    law: MixtureLaw
    ridge: float
    kind: str
    boost: Boost | None
    calibration: Calibration
    scores: dict[str, MixtureScore]
    ridges: dict[float, float]
    scale: ScaleMap
    notes: tuple[str, ...] = field(default=())

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the domains, in the order of shares."""
        return self.table.domains

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the losses, in the order of predictions."""
        return self.table.metrics

    @property
    def score(self) -> MixtureScore:
        """Error and rank correlation, on the folds, of what `predict` answers."""
        return self.scores["law" if self.boost is None else BOOSTED]

    @property
    def best_baseline(self) -> str:
        """Name of the baseline of least error on the folds."""
        names = [name for name in self.scores if name not in ("law", BOOSTED)]
        return min(names, key=lambda name: self.scores[name].error)

    def predict(self, ratios: Any, *, boosted: bool = True) -> Float[np.ndarray, "runs losses"]:
        """The losses of mixtures.

        Arguments:
            ratios: shares, shape (runs, domains) or (domains,); an array, or a data frame with the domains as columns.
            boosted: add the boosted residuals, if the fit has any; without them the answer is that of `problem()`.

        Returns:
            Losses, shape (runs, losses), or (losses,) for one mixture.

        Raises:
            ValueError: shares that are no mixtures, or of other domains.
        """
        shares, single = self._shares(ratios)
        values = self.law.predict(shares)
        if boosted and self.boost is not None:
            values = values + self.boost.predict(shares, values)
        values = self.scale.shift + self.scale.slope * values
        return values[0] if single else values

    def interval(self, ratios: Any) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends of the losses of mixtures, each shaped as `predict` shapes them.

        A loss measured in one new run lies between them with the coverage that `fit_mixture(intervals=)` named. The
        width comes from the residuals on held-out runs and grows where laws fitted to parts of the table disagree.

        Arguments:
            ratios: shares, as for `predict`.
        """
        shares, single = self._shares(ratios)
        middle, half = self.predict(shares), self.half_width(shares)
        low, high = middle - half, middle + half
        return (low[0], high[0]) if single else (low, high)

    def half_width(self, ratios: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Half the width of the interval of each loss, or of a weighting of them, for mixtures (runs, domains).

        Arguments:
            ratios: shares of the domains, shape (runs, domains).
            weights: of the losses, shape (losses,); each loss by itself if None.
        """
        return self.calibration.half_width(ratios, self.scale, weights)

    def support(self, ratios: Any) -> Support:
        """How far a mixture lies from the runs of the table, and where it is an extrapolation.

        Arguments:
            ratios: one mixture, shape (domains,).
        """
        shares, single = self._shares(ratios)
        if not single and len(shares) != 1:
            raise ValueError(f"ratios has {len(shares)} rows: support looks at one mixture; give shape (domains,).")
        return find_support(self.table, shares[0])

    def optimum(
        self,
        weights: Any = None,
        prior: Any = None,
        max_epochs: float | None = None,
        divergence: float = 0.0,
        *,
        pools: Any = None,
        minimum: Any = 0.0,
    ) -> Optimum:
        """The mixture of least weighted loss; the law is convex in the shares, so that there is one.

        Arguments:
            weights: weight of each loss, an array or a mapping by name (those left out count nothing), scaled to sum
                one; equal if None.
            prior: the mixture to compare with and to stay near, shape (domains,) or a mapping by name, scaled to sum
                one: the shares of the domains in what there is. The mean of the runs if None.
            max_epochs: how often the data of a domain may be seen: its share is at most max_epochs times its pool.
            divergence: loss that one nat of divergence KL(r || prior) must pay for.
            pools: size of each domain over the tokens of the whole run; the prior if None: as many tokens as there are.
            minimum: least share of each domain: one number, an array, or a mapping by name.

        Raises:
            ValueError: names that are not in the table, or limits that leave no mixture.
        """
        return find_optimum(self, weights, prior, max_epochs, divergence, pools, minimum)

    def sensitivity(self, ratios: Any) -> Float[np.ndarray, "losses domains"]:
        """Change of each loss for one hundredth of share more of a domain, taken from all others in proportion.

        Arguments:
            ratios: the mixture at which it is asked, shape (domains,).
        """
        shares, _ = self._shares(ratios)
        slopes = self.scale.slope[:, None] * self.law.sensitivity(shares[0])
        towards = slopes - slopes @ shares[0][:, None]
        return 0.01 * towards / np.maximum(1 - shares[0], 1e-9)

    def rescale(self, ratios: Any, losses: Any, *, method: str = "auto") -> "MixtureFit":
        """The same law at another scale, from a few runs there.

        Each loss is mapped by one ratio, or by a shift and a slope, whichever predicts left-out large runs better.

        Arguments:
            ratios: shares of the large runs, shape (runs, domains).
            losses: their losses, shape (runs, losses), of the same metrics.
            method: "ratio", "affine", or "auto", which leaves out each large run in turn to choose; a shift needs four.

        Returns:
            A `MixtureFit` whose predictions, intervals and problem are those of the large scale.
        """
        shares, _ = self._shares(ratios)
        values, _, _ = values_of(losses, "losses", "loss")
        small = replace(self, scale=ScaleMap.identity(len(self.metrics))).predict(shares)
        scale, note = fit_scale(small, values, self.metrics, method)
        return replace(self, scale=scale, notes=(*self.notes, note))

    def clock(self, steps: ArrayLike, ratios: Any, losses: ArrayLike) -> MixtureClock:
        """Other numbers of steps than that of the table, learnt from a few runs of full length.

        Arguments:
            steps: when the full runs were evaluated, shape (times,), increasing.
            ratios: shares of the full runs, shape (runs, domains).
            losses: their losses, shape (runs, times, losses).

        Returns:
            A `MixtureClock`, whose `at(step)` is the fit at that step. It refuses steps after the last of the full
            runs: losses are not extrapolated in time.
        """
        shares, _ = self._shares(ratios)
        return fit_clock(self, steps, shares, losses)

    def problem(self, *, weights: Any = None, mass: Any = None) -> MixtureProblem:
        """A problem whose weights are the shares of the domains, for `simulate`, `sweep` and `learn`.

        At time 1 a static mixture has the loss of `predict(boosted=False)`; time counts the training of one run of the
        table. Every schedule has the loss of the static mixture of its totals, so that a dynamic one gains nothing.

        Arguments:
            weights: weight of each loss, as in `optimum`.
            mass: the shares that a weight of one stands for, positive, scaled to sum one; the mean of the runs if None.
        """
        base = self.table.ratios.mean(axis=0) if mass is None else by_domain("mass", mass, self.domains)
        return MixtureProblem.create(
            self.law.mapped(self.scale.shift, self.scale.slope), base, self.loss_weights(weights), self.domains
        )

    def loss_weights(self, weights: Any) -> np.ndarray:
        """Weights of the losses with sum one, from what a user gives; equal for None.

        Arguments:
            weights: by the name of the loss, others having none, or an array of shape (losses,).

        Raises:
            ValueError: unknown names, negative weights, or none that is positive.
        """
        value = by_domain("weights", 1.0 if weights is None else weights, self.metrics, "loss", fill=0.0)
        if value.sum() <= 0:
            raise ValueError("weights are all zero: give at least one loss a positive weight.")
        return value / value.sum()

    def report(self) -> str:
        """What was found, in a few lines of text."""
        lines = [
            f"{len(self.table.runs)} runs, {len(self.domains)} domains, {len(self.metrics)} losses; "
            f"{self.kind} law, ridge {self.ridge:g}.",
            "Error on held-out runs (1: no better than the mean), and rank correlation:",
        ]
        lines += [f"  {name:<28} {score.error:6.3f}  {score.spearman:6.3f}" for name, score in self.scores.items()]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one .npz file, for `load_mixture`.

        Arguments:
            path: ending in .npz.

        Raises:
            ValueError: another suffix.
        """
        write_mixture(self, path)

    def _view(self) -> View:
        """Error beside the best baseline; the table and what is predicted of it; predicted against measured losses."""
        best, table = self.best_baseline, self.table
        facts = {
            "table": f"{len(table.runs)} runs, {len(self.domains)} domains, {len(self.metrics)} losses",
            "law": f"{self.kind}, ridge {self.ridge:g}, {'no boosting' if self.boost is None else 'boosted residuals'}",
            "error on held-out runs": f"{self.score.error:.3f} of a standard deviation, rank correlation "
            f"{self.score.spearman:.3f}; best baseline ({best}) {self.scores[best].error:.3f}",
            "notes": "; ".join(self.notes) or "none",
        }
        predicted = self.predict(table.ratios)
        arrays = {
            "ratios": (("runs", "domains"), table.ratios, "shares of the domains"),
            "loss": (("runs", "metrics"), table.losses, "measured losses"),
            "predicted": (("runs", "metrics"), predicted, "losses that the fit predicts of these runs"),
        }
        coords = {name: np.asarray(getattr(table, name)) for name in ("runs", "domains", "metrics")}
        pairs = zip(self.metrics, table.losses.T, predicted.T, strict=True)
        lines = [Line(name, measured, fitted, points=True) for name, measured, fitted in pairs]
        return View(facts, arrays, coords, lambda: lines, ("measured loss", "fitted loss"), (False, False))

    def _shares(self, ratios: Any) -> tuple[np.ndarray, bool]:
        """Mixtures as an array of shape (runs, domains) with sums of one, and whether there was only one."""
        if hasattr(ratios, "columns"):
            unknown = [str(name) for name in ratios.columns if str(name) not in self.domains]
            missing = [name for name in self.domains if name not in {str(column) for column in ratios.columns}]
            if unknown or missing:
                what = f"has no column {missing[0]!r}" if missing else f"has a column {unknown[0]!r} of no domain"
                raise ValueError(f"ratios {what}: give the {len(self.domains)} domains of the fit.")
            ratios = ratios[list(self.domains)].to_numpy()
        array = np.asarray(ratios, np.float64)
        single = array.ndim == 1
        array = np.atleast_2d(array)
        if array.ndim != 2 or array.shape[1] != len(self.domains):
            raise ValueError(
                f"ratios has shape {np.shape(ratios)}: give shares of {len(self.domains)} domains, (runs, domains)."
            )
        return check_shares(array, [str(n) for n in range(len(array))], self.domains)[0], single


def load_mixture(path: str | os.PathLike[str]) -> MixtureFit:
    """Read what `MixtureFit.save` wrote, exactly. Nothing in the file is executed.

    Arguments:
        path: the .npz file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file of something else, or of another version.
    """
    return MixtureFit(**read_mixture(path))
