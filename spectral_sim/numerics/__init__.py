"""Numerical kernels: each does one thing, to rounding, with its derivative."""

from ._crossing import bisect, rounding_of_mean, where_one
from ._eigen_step import phi1_eigen
from ._exponential import exponential, log_or_minus_inf
from ._feature_spectrum import FeatureSpectrum, feature_spectrum, feature_spectrum_slopes
from ._guard import attempt, without_derivative
from ._held_spectrum import HeldSpectrum, held_phi1, held_spectrum
from ._limiter import limited_slope
from ._phi import integral_decay, phi1
from ._projection import project_to_bounds
from ._quadrature import ShellRule, shell_rule
from ._rank_one_power import SHORTEST_POWER, rank_one_power
from ._repeat import batch_max, batch_size, repeat, repeat_while
from ._route_costs import once_pays
from ._rows import row_product, squared_norms, sum_rows
from ._scores import mean_one, power_score, relative_log, scaled_mean, score_of, unit_of
from ._segmented import INTERVAL, SCALAR, segment_length, segmented_scan
from ._selection import Rank, lowest_mass, mass_rank, top_mass
from ._sums import group_sums, total
from ._water_filling import capped_water_level, held_water_level, water_level
from ._weighted_phi import ROUTES, chebyshev_terms, weighted_phi1

__all__ = [
    "FeatureSpectrum",
    "HeldSpectrum",
    "INTERVAL",
    "ROUTES",
    "Rank",
    "SCALAR",
    "SHORTEST_POWER",
    "ShellRule",
    "attempt",
    "batch_max",
    "batch_size",
    "bisect",
    "capped_water_level",
    "chebyshev_terms",
    "exponential",
    "feature_spectrum",
    "feature_spectrum_slopes",
    "group_sums",
    "held_phi1",
    "held_spectrum",
    "held_water_level",
    "integral_decay",
    "limited_slope",
    "log_or_minus_inf",
    "lowest_mass",
    "mass_rank",
    "mean_one",
    "once_pays",
    "phi1",
    "phi1_eigen",
    "power_score",
    "project_to_bounds",
    "rank_one_power",
    "relative_log",
    "repeat",
    "repeat_while",
    "rounding_of_mean",
    "row_product",
    "scaled_mean",
    "score_of",
    "segment_length",
    "segmented_scan",
    "shell_rule",
    "squared_norms",
    "sum_rows",
    "top_mass",
    "total",
    "unit_of",
    "water_level",
    "weighted_phi1",
    "where_one",
    "without_derivative",
]
