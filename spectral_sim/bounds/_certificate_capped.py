"""The prices of a cap, eliminated from the normal equations one condition at a time."""

import numpy as np
import scipy.linalg

from ._certificate_newton import Symmetric

_REFINEMENTS = 2
_DENSE = 600  # unknown prices up to which their matrix is factored as a whole, which keeps the most digits


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
        forms = [space.kronecker(x[None], g[None], (True, True)) for x, g in zip(moments, inverse, strict=True)]
        forms = np.stack(forms)
        slacks, prices = forms[:choices], forms[choices:]
        joined = np.concatenate([slacks, -duration * (slacks @ maps)], axis=2)
        coupling = joined - burden[:, None, None] * joined.sum(axis=0)
        self._count, self._slacks, self._prices, self._burden = count, slacks, prices, burden
        self._dense = self._dense_factor() if choices * count <= _DENSE else None
        if self._dense is None:
            self._prepare_formula()
        self._coupling = coupling.reshape(choices * count, -1)
        self._transfer = self._solve(coupling).reshape(choices * count, -1)

    def _dense_factor(self):
        choices, count, burden, slacks = len(self._slacks), self._count, self._burden, self._slacks
        matrix = np.einsum("i,j,ab->iajb", burden, burden, slacks.sum(axis=0))
        matrix -= np.einsum("j,iab->iajb", burden, slacks) + np.einsum("i,jab->iajb", burden, slacks)
        for i in range(choices):
            matrix[i, :, i, :] += slacks[i] + self._prices[i]
        return scipy.linalg.cho_factor(matrix.reshape(choices * count, -1), lower=True, check_finite=False)

    def _prepare_formula(self) -> None:
        count, slacks, prices, burden = self._count, self._slacks, self._prices, self._burden
        self._factors = [
            scipy.linalg.cho_factor(h + k, lower=True, check_finite=False)
            for h, k in zip(self._slacks, self._prices, strict=True)
        ]
        # the matrix is blockdiag(H_i + K_i) + U C U^T, U = [H_i, n_i] and C^-1 = [[-sum_k H_k, -1], [-1, 0]]
        eye = np.eye(count)
        self._solved = self._by_block(np.concatenate([slacks, burden[:, None, None] * eye], axis=2))
        of_slacks, of_burden = self._solved[:, :, :count], self._solved[:, :, count:]
        inner = np.zeros((2 * count, 2 * count))
        inner[:count, :count] = -np.sum(prices @ of_slacks, axis=0)  # of -H + H (H + K)^-1 H without cancellation
        inner[:count, count:] = np.sum(slacks @ of_burden, axis=0) - eye
        inner[count:, :count] = inner[:count, count:].T
        inner[count:, count:] = np.tensordot(burden, of_burden, axes=1)
        self._inner = scipy.linalg.lu_factor(inner, check_finite=False)

    def reduction(self) -> np.ndarray:
        """What the elimination takes off the matrix of (E, F)."""
        return self._coupling.T @ self._transfer

    def reduce(self, right: np.ndarray) -> np.ndarray:
        """What it takes off the right side of (E, F), given that of the prices."""
        return self._transfer.T @ right

    def recover(self, right: np.ndarray, slope: np.ndarray, own: np.ndarray) -> np.ndarray:
        """The prices, given (E, F), as vectors of shape (choices, count)."""
        found = self._solve(right.reshape(-1, self._count, 1)).ravel()
        found -= self._transfer @ np.concatenate([slope, own])
        return found.reshape(-1, self._count)

    def _solve(self, right: np.ndarray) -> np.ndarray:
        """Solve with the matrix of the prices; near the end of the search the formula alone loses too many digits."""
        if self._dense is not None:
            flat = right.reshape(-1, right.shape[2])
            return scipy.linalg.cho_solve(self._dense, flat, check_finite=False).reshape(right.shape)
        found = self._by_formula(right)
        for _ in range(_REFINEMENTS):
            found = found + self._by_formula(right - self._apply(found))
        return found

    def _by_formula(self, right: np.ndarray) -> np.ndarray:
        """The formula of Sherman, Morrison and Woodbury."""
        first = self._by_block(right)
        seen = [np.sum(self._slacks @ first, axis=0), np.tensordot(self._burden, first, axes=1)]
        return first - self._solved @ scipy.linalg.lu_solve(self._inner, np.concatenate(seen), check_finite=False)

    def _apply(self, prices: np.ndarray) -> np.ndarray:
        """The matrix of the prices times vectors."""
        pulled = self._slacks @ (prices - np.tensordot(self._burden, prices, axes=1))
        return pulled - self._burden[:, None, None] * pulled.sum(axis=0) + self._prices @ prices

    def _by_block(self, right: np.ndarray) -> np.ndarray:
        pairs = zip(self._factors, right, strict=True)
        return np.stack([scipy.linalg.cho_solve(factor, block, check_finite=False) for factor, block in pairs])
