"""Synthetic tables of mixtures; their truths are written here without the library's code."""

import numpy as np
from scipy.linalg import expm

DOMAINS = ("web", "code", "books", "wiki")
METRICS = ("web", "code", "maths")


def truth(ratios):
    """L_h = c_h + (eps_h + sum_g S_hg r_g^p_g)^-theta_h, with numbers of these tests' own."""
    strength = np.array([[3.0, 0.4, 0.7, 1.0], [0.5, 4.0, 0.2, 0.1], [0.3, 1.5, 1.0, 0.6]])
    floor, offset = np.array([1.6, 1.2, 0.8]), np.array([0.15, 0.2, 0.1])
    exponent, power = np.array([0.4, 0.3, 0.5]), np.array([0.8, 0.7, 0.9, 0.6])
    progress = offset + np.asarray(ratios) ** power @ strength.T
    return floor + progress**-exponent


def table(runs, seed, noise=0.003):
    """Mixtures and their losses, with relative noise."""
    rng = np.random.default_rng(seed)
    ratios = rng.dirichlet(np.full(4, 0.8), runs)
    return ratios, truth(ratios) * np.exp(noise * rng.standard_normal((runs, 3)))


def phase_table(seed, commuting, runs=64, noise=0.002):
    """Two phases of three domains, and the losses of operators on three directions; commuting ones are diagonal."""
    rng = np.random.default_rng(seed)
    ratios, fractions = rng.dirichlet(np.full(3, 0.7), (runs, 2)), np.array([0.5, 0.5])
    if commuting:
        operators = np.stack([np.diag(rng.exponential(1.0, 3)) for _ in range(3)])
    else:
        vectors = rng.standard_normal((3, 3))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        operators = 3 * vectors[:, :, None] * vectors[:, None, :]
    start = rng.standard_normal((3, 3))
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    losses = np.empty((runs, 3))
    for n in range(runs):
        left = start.T
        for k, part in enumerate(fractions):
            left = expm(-part * np.tensordot(ratios[n, k], operators, 1)) @ left
        losses[n] = 2 + 2 * np.sum(left**2, axis=0)
    return ratios, losses * np.exp(noise * rng.standard_normal(losses.shape)), fractions
