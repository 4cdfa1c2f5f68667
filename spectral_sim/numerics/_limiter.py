"""Slopes of a piecewise linear reconstruction that neither overshoots nor turns negative."""

import jax.numpy as jnp

from .._types import Array, Float
from .._where import where


def limited_slope(
    density: Float[Array, "cells"], width: Float[Array, "cells"], spacing: Float[Array, "gaps"]
) -> Float[Array, "cells"]:
    """Slope in each cell, second order where the density is smooth; zero in the first and last cell.

    The central slope, limited to twice the one-sided slopes and to zero at extrema (monotonised central). Where the
    curvature has one sign over three cells an extremum is resolved, and cutting it would cost the second order: there
    the limit is wider by the least change of the slope over the three, which is nothing beside a jump. At most twice
    the density over the width, so that no part of a cell is negative.

    Arguments:
        density: non-negative averages, shape (cells,).
        width: widths of cells.
        spacing: distances between the middles of neighbouring cells, shape (cells - 1,).

    Source:
        van Leer, Towards the ultimate conservative difference scheme IV (1977), for the monotonised central slope;
        Suresh and Huynh, Accurate monotonicity-preserving schemes with Runge-Kutta time stepping (1997), for the idea
        of letting curvature widen it.
    """
    one_sided = (density[1:] - density[:-1]) / spacing
    before, after = one_sided[:-1], one_sided[1:]
    before_gap, after_gap = spacing[:-1], spacing[1:]
    central = (before * after_gap + after * before_gap) / (before_gap + after_gap)
    curvature = after - before
    ends = jnp.concatenate([jnp.zeros_like(curvature[:1]), curvature, jnp.zeros_like(curvature[:1])])
    resolved = (ends[:-2] * curvature > 0) & (ends[2:] * curvature > 0)
    least = jnp.minimum(jnp.abs(curvature), jnp.minimum(jnp.abs(ends[:-2]), jnp.abs(ends[2:])))
    bound = where(before * after > 0, 2 * jnp.minimum(jnp.abs(before), jnp.abs(after)), 0)
    bound += where(resolved, least, 0)
    limit = jnp.minimum(bound, 2 * density[1:-1] / width[1:-1])
    return jnp.pad(jnp.clip(central, -limit, limit), 1)
