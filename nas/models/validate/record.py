"""The result of a validation: a typed record, and how its numbers are computed. No torch.

**Calibration.** The confidence of a prediction is the largest softmax output. Predictions are put into 15 bins of equal width
by their confidence; the expected calibration error is the mean distance between accuracy and confidence, weighted by the
images in each bin (Guo et al., 2017, arXiv:1706.04599).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainers.training.confusion import Confusion

SCHEMA = 1
BINS = 15
TOP = 5
NORMAL_QUANTILE = 1.959964  # of a 95 % interval

TRAINED_NOTE = (
    "all images: the model looks better than it is if it was trained on some of them; give the folder of its study"
)
"""Said of an export that is validated on data without a test or validation part."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """How far the confidence of a classifier is from its accuracy.

    Args:
        ece: expected calibration error, 0 to 1.
        counts: images of each bin of confidence; the bins have equal width and cover 0 to 1.
        accuracies: the share of the images of each bin that are classified correctly; NaN in an empty one.
        confidences: their mean confidence; NaN in an empty one.
    """

    ece: float
    counts: tuple[int, ...]
    accuracies: tuple[float, ...]
    confidences: tuple[float, ...]

    @classmethod
    def of(cls, confidences: Floats, correct: NDArray[np.bool_], bins: int = BINS) -> Calibration:
        """The calibration of predictions with `confidences` `(N,)`, those of `correct` `(N,)` right.

        A bin holds its upper end, as in the paper; confidence 0 is in the first.
        """
        rows = np.clip(np.ceil(confidences * bins).astype(np.int64) - 1, 0, bins - 1)
        counts = np.bincount(rows, minlength=bins)
        with np.errstate(invalid="ignore"):
            accuracies = np.bincount(rows, weights=correct, minlength=bins) / counts
            means = np.bincount(rows, weights=confidences, minlength=bins) / counts
        ece = float(np.nansum(counts * np.abs(accuracies - means)) / max(1, len(confidences)))
        return cls(ece, tuple(counts.tolist()), tuple(accuracies.tolist()), tuple(means.tolist()))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; what is not known is None."""
        finite = {
            name: [None if math.isnan(v) else v for v in getattr(self, name)] for name in ("accuracies", "confidences")
        }
        return {"ece": self.ece, "counts": list(self.counts), **finite}


@dataclass(frozen=True)
class ModelThroughput:
    """Images in a second.

    Args:
        images_per_s: the median.
        batch_size: images of a pass.
        threads: threads of the processor.
    """

    images_per_s: float
    batch_size: int
    threads: int


@dataclass(frozen=True)
class Validation:
    """How well a model classifies images.

    Args:
        model: the model, as the user named it.
        kind: what it is (`nas.models.loading`).
        data: name of the data.
        split: which of them: "all", or "test split".
        input_shape: (C, H, W) of the images.
        top1: share of images whose class has the largest output.
        top5: share of images whose class is among the five largest outputs.
        loss: mean cross-entropy.
        confusion: which classes are taken for which.
        class_names: the name of each class.
        calibration: how far confidence is from accuracy.
        throughput: of the model on that device.
        device: the name of the processor or GPU.
        skipped: a line for each broken image that was left out.
    """

    model: str
    kind: str
    data: str
    split: str
    input_shape: tuple[int, int, int]
    top1: float
    top5: float
    loss: float
    confusion: Confusion
    class_names: tuple[str, ...]
    calibration: Calibration
    throughput: ModelThroughput
    device: str
    skipped: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """The number of images."""
        return int(self.confusion.totals.sum())

    @property
    def may_have_trained(self) -> bool:
        """True if the model may have been trained on some of the images: an export, on data without a part of their own."""
        return self.kind == "export" and self.split in ("all", "train split")

    @property
    def top1_interval(self) -> tuple[float, float]:
        """The 95 % interval of `top1` (Wilson, 1927): of the accuracy on all images like these."""
        return wilson_interval(self.top1, self.images)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, with a schema number."""
        classes = zip(self.class_names, self.confusion.totals.tolist(), self.confusion.recalls.tolist(), strict=True)
        return {
            "schema": SCHEMA,
            "model": self.model,
            "kind": self.kind,
            "data": self.data,
            "split": self.split,
            "images": self.images,
            "input_shape": list(self.input_shape),
            "top1": self.top1,
            "top1_interval": list(self.top1_interval),
            "top5": self.top5,
            "loss": self.loss,
            "balanced_accuracy": self.confusion.balanced_accuracy,
            "macro_f1": self.confusion.macro_f1,
            "classes": [
                {"name": name, "images": images, "recall": None if math.isnan(recall) else recall}
                for name, images, recall in classes
            ],
            "confusion": self.confusion.to_dict(),
            "calibration": self.calibration.to_dict(),
            "throughput": dict(vars(self.throughput)),
            "device": self.device,
            "skipped": list(self.skipped),
        }


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `count` independent trials."""
    square = NORMAL_QUANTILE**2
    centre = (share + square / (2 * count)) / (1 + square / count)
    half = NORMAL_QUANTILE / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    return max(0.0, centre - half), min(1.0, centre + half)
