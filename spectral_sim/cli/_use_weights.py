"""Draws rows of the data by weights.parquet. This file stands alone: it needs numpy and pyarrow.

Rows are counted from 0, the header of a text file left out. Probabilities change with the step of training.

    rows = WeightedRows("weights.parquet")
    rows.draw(step=100, size=32)                                      # row numbers

    # PyTorch; any number of rows, where torch.multinomial stops at 2**24
    loader = torch.utils.data.DataLoader(dataset, batch_sampler=rows.batches(32, steps=10_000))

    # Hugging Face datasets: the rows of a stretch of steps
    chunk = dataset.select(rows.draw(step=0, size=32 * 1_000))

    # Grain
    drawn = grain.MapDataset.source(rows.draw(step=0, size=32 * 1_000)).map(lambda row: records[row]).batch(32)
"""

import json
from collections.abc import Iterator

import numpy as np
import pyarrow.parquet


class WeightedRows:
    """Row numbers drawn with the probabilities that are in force at a step.

    Arguments:
        path: of weights.parquet.
        seed: of the draws.
    """

    def __init__(self, path: str = "weights.parquet", seed: int = 0):
        self._file = pyarrow.parquet.ParquetFile(path)
        self.about = json.loads(self._file.schema_arrow.metadata[b"spectral_sim.weights"])
        self.steps = np.array(self.about["steps"])
        self.rows = self._column("row")
        self._rng = np.random.default_rng(seed)
        self._begin, self._cumulative = -1, np.zeros(0)

    def probabilities(self, step: int) -> np.ndarray:
        """Probability of each of `rows` at a step, float64; they sum to one."""
        return self._column(f"from_step_{self._in_force(step)}")

    def draw(self, step: int, size: int) -> np.ndarray:
        """Row numbers for `size` examples, drawn with replacement."""
        begin = self._in_force(step)
        if begin != self._begin:
            self._begin, self._cumulative = begin, np.cumsum(self.probabilities(step))
        return self.rows[draw_positions(self._cumulative, size, self._rng)]

    def batches(self, batch_size: int, steps: int) -> Iterator[list[int]]:
        """Row numbers of each step's batch, in order."""
        for step in range(steps):
            yield self.draw(step, batch_size).tolist()

    def _in_force(self, step: int) -> int:
        return int(self.steps[np.searchsorted(self.steps, step, side="right") - 1])

    def _column(self, name: str) -> np.ndarray:
        return self._file.read([name])[name].to_numpy()


def draw_positions(cumulative: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Positions drawn in proportion to what a cumulative sum grows by; what grows by nothing is never drawn."""
    return np.searchsorted(cumulative, rng.random(size) * cumulative[-1], side="right").clip(max=len(cumulative) - 1)
