"""The prices of a cap, eliminated from the normal equations one condition at a time."""

import numpy as np
import scipy.linalg

from ._certificate_newton import Symmetric


class PricedRow:
    """The normal equations of the conditions at one point in time, with their prices S_i eliminated.

    The slacks are U_i = E - h (A_i^T F + F A_i) + S_i - cap sum_j p_j S_j and S_i. With H_i and K_i the forms
    (E, F) -> tr(E X F X') of both, J_i the map from (E, F) to U_i, and n_i = cap p_i, the prices have the matrix
    sum_k (d_ki - n_i) H_k (d_kj - n_j) + d_ij K_i, and with (E, F) they are joined by H_i J_i - n_i sum_k H_k J_k.

    Arguments:
        space: symmetric matrices as vectors.
        maps: F -> A_i^T F + F A_i as matrices, shape (choices, count, count).
        burden: cap p_i, shape (choices,).
        duration: h.
        moments, inverse: of the slacks U_i, then of the S_i, shape (2 choices, state, state).
    """

    def __init__(self, space: Symmetric, maps, burden, duration: float, moments, inverse):
        choices, count = len(maps), space.count
        forms = [space.kronecker(x[None], g[None]) for x, g in zip(moments, inverse, strict=True)]
        forms = np.stack([(form + form.T) / 2 for form in forms])
        slacks, prices = forms[:choices], forms[choices:]
        joined = np.concatenate([slacks, -duration * (slacks @ maps)], axis=2)
        coupling = joined - burden[:, None, None] * joined.sum(axis=0)
        matrix = np.einsum("i,j,ab->iajb", burden, burden, slacks.sum(axis=0))
        matrix -= np.einsum("j,iab->iajb", burden, slacks) + np.einsum("i,jab->iajb", burden, slacks)
        for i in range(choices):
            matrix[i, :, i, :] += slacks[i] + prices[i]
        self._count = count
        self._factor = scipy.linalg.cho_factor(
            matrix.reshape(choices * count, -1), lower=True, overwrite_a=True, check_finite=False
        )
        self._coupling = coupling.reshape(choices * count, -1)
        self._transfer = scipy.linalg.cho_solve(self._factor, self._coupling, check_finite=False)

    def reduction(self) -> np.ndarray:
        """What the elimination takes off the matrix of (E, F)."""
        return self._coupling.T @ self._transfer

    def reduce(self, right: np.ndarray) -> np.ndarray:
        """What it takes off the right side of (E, F), given that of the prices."""
        return self._transfer.T @ right

    def recover(self, right: np.ndarray, slope: np.ndarray, own: np.ndarray) -> np.ndarray:
        """The prices, given (E, F), as vectors of shape (choices, count)."""
        found = scipy.linalg.cho_solve(self._factor, right, check_finite=False)
        found -= self._transfer @ np.concatenate([slope, own])
        return found.reshape(-1, self._count)
