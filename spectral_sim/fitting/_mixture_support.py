"""How far a mixture lies from the runs that were tried."""

from dataclasses import dataclass

import numpy as np

from ._mixture_table import MixtureTable


@dataclass(frozen=True)
class Support:
    """Where a mixture lies among the runs.

    Arguments:
        nearest: name of the nearest run.
        distance: share of the data that would have to change domain to get there, from 0 to 1.
        usual: the 95th percentile of that distance from a run to the others.
        beyond: domains whose share lies outside what was tried, with the share and the nearest that was tried.
    """

    nearest: str
    distance: float
    usual: float
    beyond: dict[str, tuple[float, float]]

    @property
    def extrapolates(self) -> bool:
        """Whether a share lies outside what was tried, or the nearest run is farther than runs are from each other."""
        return bool(self.beyond) or self.distance > self.usual

    def __str__(self) -> str:
        usual = f"95% of runs: up to {self.usual:.1%}"
        text = f"nearest run {self.nearest}: {self.distance:.1%} of the data in other domains ({usual})"
        for domain, (share, tried) in self.beyond.items():
            text += f"; {domain} at {share:.2%} is outside what was tried ({tried:.2%})"
        return text


def share_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Half the sum of the differences of shares, for mixtures along the last axis."""
    return 0.5 * np.sum(np.abs(first - second), axis=-1)


def nearest_distances(ratios: np.ndarray) -> np.ndarray:
    """The distance of each run to the nearest run of another mixture, shape (runs,).

    Arguments:
        ratios: shares of the domains in each run, shape (runs, domains).

    Returns:
        Distances, infinite where no other mixture was run.
    """
    distance = share_distance(ratios[:, None], ratios[None])
    distance[distance < 1e-12] = np.inf  # itself, and runs of the same mixture
    return distance.min(axis=1)


def find_support(table: MixtureTable, shares: np.ndarray) -> Support:
    """Compare one mixture with the runs of a table."""
    distance = share_distance(table.ratios, shares)
    row = int(np.argmin(distance))
    low, high = table.ratios.min(axis=0), table.ratios.max(axis=0)
    edge = np.clip(shares, low, high)
    beyond = {
        name: (float(share), float(tried))
        for name, share, tried in zip(table.domains, shares, edge, strict=True)
        if abs(share - tried) > 1e-6
    }
    usual = float(np.quantile(nearest_distances(table.ratios), 0.95))
    return Support(table.runs[row], float(distance[row]), usual, beyond)
