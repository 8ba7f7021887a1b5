"""How often images of one class are taken for another: counts, and the scores that follow from them. No torch.

Kept sparse, since ten thousand classes have a hundred million pairs, of which a split meets few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_STORED_CONFUSIONS = 2500
"""Pairs of different classes that `to_dict` keeps, the most frequent ones: all of up to 50 classes."""

_COLUMNS = ("totals", "predicted", "correct")


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix of a classifier on a split.

    Args:
        totals: images of each class, int64 `(K,)`.
        predicted: images that are taken for each class, `(K,)`.
        correct: those of `totals` that are classified correctly, `(K,)`.
        pairs: (class, another class that some of its images are taken for), `(P, 2)`, the most frequent first.
        counts: images of each pair, `(P,)`.
    """

    totals: NDArray[np.int64]
    predicted: NDArray[np.int64]
    correct: NDArray[np.int64]
    pairs: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> Confusion:
        """The confusion matrix of `predicted` classes `(N,)` of images whose classes are `labels` `(N,)`."""
        wrong = labels != predicted
        keys, counts = np.unique(labels[wrong] * classes + predicted[wrong], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return cls(
            totals=np.bincount(labels, minlength=classes),
            predicted=np.bincount(predicted, minlength=classes),
            correct=np.bincount(labels[~wrong], minlength=classes),
            pairs=np.stack(np.divmod(keys[order], classes), axis=1),
            counts=counts[order],
        )

    @property
    def accuracy(self) -> float:
        """The share of images that are classified correctly."""
        return int(self.correct.sum()) / int(self.totals.sum())

    @property
    def recalls(self) -> NDArray[np.float64]:
        """For each class the share of its images that are classified correctly, `(K,)`; NaN for a class without images."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.correct / self.totals)

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that have images."""
        return float(np.nanmean(self.recalls))

    @property
    def macro_f1(self) -> float:
        """The mean F1 score of the classes that have images or are predicted: `2 correct / (images + predictions)`."""
        both = self.totals + self.predicted
        return float(np.mean(2 * self.correct[both > 0] / both[both > 0]))

    def matrix(self) -> NDArray[np.int64]:
        """The dense matrix `(K, K)`: a row for each class, a column for each predicted class."""
        dense = np.diag(self.correct)
        dense[self.pairs[:, 0], self.pairs[:, 1]] = self.counts
        return dense

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, with the `MAX_STORED_CONFUSIONS` most frequent confusions."""
        kept = zip(self.pairs[:MAX_STORED_CONFUSIONS].tolist(), self.counts.tolist(), strict=False)
        confusions = [[*pair, count] for pair, count in kept]
        columns = {name: getattr(self, name).tolist() for name in _COLUMNS}
        return {**columns, "confusions": confusions}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Confusion:
        """The inverse of `to_dict`, but for confusions that it leaves out."""
        confusions = np.array(plain["confusions"], np.int64).reshape(-1, 3)
        columns = {name: np.array(plain[name], np.int64) for name in _COLUMNS}
        return cls(**columns, pairs=confusions[:, :2], counts=confusions[:, 2])
