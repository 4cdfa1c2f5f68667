"""The normal equations of the certificate: sums of Kronecker products, banded in time."""

import numpy as np
import scipy.linalg

_BAND = 2  # a condition joins a control matrix to the one before and the one after


class Symmetric:
    """Symmetric matrices as vectors of their upper triangles, scaled so that inner products agree.

    Arguments:
        size: number of rows of the matrices.
    """

    def __init__(self, size: int):
        self.size = size
        self.rows, self.columns = np.triu_indices(size)
        self.count = len(self.rows)
        self._scale = np.where(self.rows == self.columns, 1.0, np.sqrt(2.0))
        half = np.where(self.rows == self.columns, 0.5, np.sqrt(0.5))
        self._weight = np.outer(half, half)
        a, b, c, d = self.rows[:, None], self.columns[:, None], self.rows[None], self.columns[None]
        orders = (b, c, d, a), (b, d, c, a), (a, c, d, b), (a, d, c, b)
        self._places = [((p * size + q) * size + r) * size + s for p, q, r, s in orders]

    def vector(self, matrices: np.ndarray) -> np.ndarray:
        """Vectors of the symmetric parts of matrices, shape (..., count)."""
        return (matrices + matrices.swapaxes(-1, -2))[..., self.rows, self.columns] * (self._scale / 2)

    def matrix(self, vectors: np.ndarray) -> np.ndarray:
        """The symmetric matrices of vectors, shape (..., size, size)."""
        matrices = np.empty((*vectors.shape[:-1], self.size, self.size))
        matrices[..., self.rows, self.columns] = matrices[..., self.columns, self.rows] = vectors / self._scale
        return matrices

    def kronecker(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """The form (E, F) -> sum_i tr(E first_i F second_i) on vectors of symmetric E and F, shape (count, count)."""
        products = (first.reshape(len(first), -1).T @ second.reshape(len(second), -1)).ravel()
        form = products.take(self._places[0])
        for places in self._places[1:]:
            form += products.take(places)
        return np.multiply(form, self._weight, out=form)


class BandMatrix:
    """A symmetric matrix of square blocks in which each block row reaches two blocks back.

    Arguments:
        length: number of block rows.
        size: rows of a block.
    """

    def __init__(self, length: int, size: int):
        self._length, self._size = length, size
        self._blocks: dict[tuple[int, int], np.ndarray] = {}

    def add(self, row: int, column: int, block: np.ndarray) -> None:
        """Add to a block on or below the diagonal; those above are given by symmetry."""
        if (row, column) in self._blocks:
            self._blocks[row, column] += block
        else:
            self._blocks[row, column] = block.copy()

    def factor(self) -> None:
        """Replace the matrix by its Cholesky factor.

        Raises:
            LinAlgError: the matrix is not positive definite in float64.
        """
        blocks = self._blocks
        for row in range(self._length):
            for column in range(max(0, row - _BAND), row + 1):
                for earlier in range(max(0, row - _BAND), column):
                    if (row, earlier) in blocks and (column, earlier) in blocks:
                        self.add(row, column, -blocks[row, earlier] @ blocks[column, earlier].T)
                if column == row:
                    blocks[row, row] = scipy.linalg.cholesky(blocks[row, row], lower=True, check_finite=False)
                elif (row, column) in blocks:
                    pivot = blocks[column, column]
                    blocks[row, column] = scipy.linalg.solve_triangular(
                        pivot, blocks[row, column].T, lower=True, check_finite=False
                    ).T

    def solve(self, right: np.ndarray) -> np.ndarray:
        """The solution after `factor`, shape (length, size)."""
        blocks, found = self._blocks, right.copy()
        for row in range(self._length):
            for column in range(max(0, row - _BAND), row):
                if (row, column) in blocks:
                    found[row] -= blocks[row, column] @ found[column]
            found[row] = scipy.linalg.solve_triangular(blocks[row, row], found[row], lower=True, check_finite=False)
        for row in reversed(range(self._length)):
            for later in range(row + 1, min(self._length, row + _BAND + 1)):
                if (later, row) in blocks:
                    found[row] -= blocks[later, row].T @ found[later]
            found[row] = scipy.linalg.solve_triangular(
                blocks[row, row], found[row], lower=True, trans=1, check_finite=False
            )
        return found
