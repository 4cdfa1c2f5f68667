"""The normal equations of the certificate: sums of Kronecker products, banded in time."""

import numpy as np
import scipy.linalg

(_DSYRK,) = scipy.linalg.get_blas_funcs(["syrk"], dtype=np.float64)
_ROUNDING = np.finfo(np.float64).eps / 2
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
        self._triangle = np.empty((size, size), np.intp)  # where an entry stands in a packed triangle
        self._triangle[self.rows, self.columns] = self._triangle[self.columns, self.rows] = np.arange(self.count)
        self._square = np.arange(size**2).reshape(size, size)
        self._places: dict[tuple[bool, bool], list[np.ndarray]] = {}

    def vector(self, matrices: np.ndarray) -> np.ndarray:
        """Vectors of the symmetric parts of matrices, shape (..., count)."""
        return (matrices + matrices.swapaxes(-1, -2))[..., self.rows, self.columns] * (self._scale / 2)

    def matrix(self, vectors: np.ndarray) -> np.ndarray:
        """The symmetric matrices of vectors, shape (..., size, size)."""
        matrices = np.empty((*vectors.shape[:-1], self.size, self.size))
        matrices[..., self.rows, self.columns] = matrices[..., self.columns, self.rows] = vectors / self._scale
        return matrices

    def kronecker(self, first: np.ndarray, second: np.ndarray, symmetric: tuple[bool, bool]) -> np.ndarray:
        """The form (E, F) -> sum_i tr(E first_i F second_i) on vectors of symmetric E and F, shape (count, count).

        Arguments:
            first, second: shape (terms, size, size).
            symmetric: whether the matrices of each are symmetric, of which only the triangles are multiplied then.
        """
        packed = [self._packed(x, each) for x, each in zip((first, second), symmetric, strict=True)]
        products = packed[0].T @ packed[1]
        if all(symmetric):
            products = products + products.T
        products = products.ravel()
        places = self._gathered(symmetric)
        form = products.take(places[0])
        for each in places[1:]:
            form += products.take(each)
        return np.multiply(form, self._weight, out=form)

    def _packed(self, matrices: np.ndarray, symmetric: bool) -> np.ndarray:
        return matrices[:, self.rows, self.columns] if symmetric else matrices.reshape(len(matrices), -1)

    def _gathered(self, symmetric: tuple[bool, bool]) -> list[np.ndarray]:
        """Where the products stand that tr(E X F Y) is made of; half of them coincide if X and Y are symmetric."""
        if symmetric not in self._places:
            a, b, c, d = self.rows[:, None], self.columns[:, None], self.rows[None], self.columns[None]
            orders = ((b, c, d, a), (a, c, d, b), (b, d, c, a), (a, d, c, b))[: 2 if all(symmetric) else 4]
            left, right = (self._triangle if each else self._square for each in symmetric)
            width = self.count if symmetric[1] else self.size**2
            self._places[symmetric] = [left[p, q] * width + right[r, s] for p, q, r, s in orders]
        return self._places[symmetric]


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
        """Replace the matrix by its Cholesky factor, with as much added to its diagonal as rounding may take off it.

        Near the end of a path the matrix is singular to rounding; where there are many features, steps before it.

        Raises:
            LinAlgError: the matrix is not positive definite in float64.
        """
        blocks = self._blocks
        for row in range(self._length):
            blocks[row, row].flat[:: self._size + 1] *= 1 + self._size * _ROUNDING
            for column in range(max(0, row - _BAND), row + 1):
                for earlier in range(max(0, row - _BAND), column):
                    if (row, earlier) not in blocks or (column, earlier) not in blocks:
                        continue
                    if column == row:  # the lower triangle is all that the factor looks at
                        left = blocks[row, earlier].T
                        _DSYRK(-1.0, left, 1.0, blocks[row, row].T, trans=1, overwrite_c=1)
                    else:
                        self.add(row, column, -blocks[row, earlier] @ blocks[column, earlier].T)
                if column == row:
                    blocks[row, row] = scipy.linalg.cholesky(blocks[row, row], lower=True, check_finite=False)
                elif (row, column) in blocks:
                    pivot = blocks[column, column]
                    blocks[row, column] = scipy.linalg.solve_triangular(
                        pivot, blocks[row, column].T, lower=True, check_finite=False
                    ).T

    def forward(self, right: np.ndarray, live: np.ndarray | None = None) -> np.ndarray:
        """L^-1 right after `factor`, shape (length, size) or (length, size, columns).

        Arguments:
            live: how many columns there are whose entries do not all vanish up to each block row; all if None.
        """
        blocks, found = self._blocks, right.copy()
        for row in range(self._length):
            kept = ... if live is None else np.s_[:, : live[row]]
            part = found[row][kept]
            for column in range(max(0, row - _BAND), row):
                if (row, column) in blocks:
                    part = part - blocks[row, column] @ found[column][kept]
            found[row][kept] = scipy.linalg.solve_triangular(blocks[row, row], part, lower=True, check_finite=False)
        return found

    def backward(self, right: np.ndarray) -> np.ndarray:
        """L^-T right after `factor`, shape (length, size)."""
        blocks, found = self._blocks, right.copy()
        for row in reversed(range(self._length)):
            for later in range(row + 1, min(self._length, row + _BAND + 1)):
                if (later, row) in blocks:
                    found[row] -= blocks[later, row].T @ found[later]
            found[row] = scipy.linalg.solve_triangular(
                blocks[row, row], found[row], lower=True, trans=1, check_finite=False
            )
        return found

    def solve(self, right: np.ndarray) -> np.ndarray:
        """The solution after `factor`, shape (length, size)."""
        return self.backward(self.forward(right))
