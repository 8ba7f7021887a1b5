"""The covariance of candidates with the observations of a model, of which a proposal computes only what is new.

From one proposal to the next a few candidates and a few observations are added; the hyper-parameters change rarely.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.sampler.features import Features
from nas.sampler.gaussian_process import GaussianProcess

Floats = NDArray[np.float64]

MAX_COMPUTED_ROWS = 4096  # at once: intermediate results take several times the memory of the covariance
SPARE_SHARE = 0.25  # of rows and columns, for later ones


class CandidateCovariance:
    """The covariance of the candidates with the observations of one model; the arguments of `update` say which."""

    def __init__(self) -> None:
        self._table = np.zeros((0, 0))  # larger than what it holds
        self._num_rows = 0
        self._observed: Features | None = None
        self._theta = np.zeros(0)

    def update(self, model: GaussianProcess, candidates: Features) -> Floats:
        """The covariance, `(candidates, observations)`; it holds until the next call.

        Args:
            model: always the same one.
            candidates: those of the last call (see `keep`), and new ones after them.
        """
        rows, columns = len(candidates), model.num_observations
        kept_rows, kept_columns = self._num_rows, 0
        if self._observed is not None and np.array_equal(self._theta, model.theta):
            kept_columns = model.observed.common_prefix(self._observed)
        self._reserve(rows, columns, kept_rows, kept_columns)
        table = self._table[:rows, :columns]
        new_columns = slice(kept_columns, columns)
        self._fill(table[:kept_rows, new_columns], model, candidates[slice(kept_rows)], model.observed[new_columns])
        self._fill(table[kept_rows:], model, candidates[slice(kept_rows, rows)], model.observed)
        self._num_rows, self._observed, self._theta = rows, model.observed, model.theta.copy()
        return table

    def keep(self, index: NDArray[np.intp]) -> None:
        """Keep the candidates `index` only, in this order."""
        self._table, self._num_rows = self._table[index], len(index)

    def _reserve(self, rows: int, columns: int, kept_rows: int, kept_columns: int) -> None:
        """Make room for `rows` and `columns`."""
        if rows <= self._table.shape[0] and columns <= self._table.shape[1]:
            return
        larger = np.empty((int((1 + SPARE_SHARE) * rows), int((1 + SPARE_SHARE) * columns)))
        larger[:kept_rows, :kept_columns] = self._table[:kept_rows, :kept_columns]
        self._table = larger

    @staticmethod
    def _fill(table: Floats, model: GaussianProcess, candidates: Features, observed: Features) -> None:
        for start in range(0, len(table) if len(observed) else 0, MAX_COMPUTED_ROWS):
            rows = slice(start, start + MAX_COMPUTED_ROWS)
            table[rows] = model.kernel.covariance(model.theta, candidates[rows], observed)
