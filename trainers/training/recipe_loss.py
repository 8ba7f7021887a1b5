"""The loss of a recipe: cross-entropy, and the distance to a teacher.

A batch may be computed in parts, one after the other or in several processes. The losses and gradients of its parts add up to
those of the whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.training.feature_maps import Outputs, attention_distance
from trainers.training.recipe_config import Distillation


@dataclass(frozen=True)
class RecipeLoss:
    """The loss of a batch.

    Args:
        class_weights: float `(classes,)`; None: all classes have the same.
        label_smoothing: share of a label that goes to all classes alike.
        distillation: how the teacher takes part; None: there is none.
    """

    class_weights: Tensor | None
    label_smoothing: float
    distillation: Distillation | None

    def total_weight(self, targets: Tensor) -> Tensor | int:
        """The weight of all images of a batch: the sum of their classes' weights, or their number.

        Args:
            targets: labels int64 `(B,)`, or shares of each class, float `(B, classes)`.
        """
        if self.class_weights is None or targets.ndim == 2:  # as torch does: shares are not weighed against each other
            return len(targets)
        return self.class_weights[targets].sum()

    def part(self, own: Outputs, targets: Tensor, teachers: Outputs | None, weight: Tensor | int, count: int) -> Tensor:
        """What some images of a batch contribute to its loss.

        Args:
            own: what the network makes of these images.
            targets: their targets.
            teachers: what the teacher makes of them; None without a teacher.
            weight: `total_weight` of the whole batch.
            count: images of the whole batch.
        """
        logits, smoothing = own.logits.float(), self.label_smoothing
        loss = F.cross_entropy(logits, targets, self.class_weights, reduction="sum", label_smoothing=smoothing) / weight
        if self.distillation is None or teachers is None:
            return loss
        distance = distance_to_teacher(logits, teachers.logits.float(), self.distillation) / count
        loss = torch.lerp(loss, distance, self.distillation.weight)
        if own.feature_map is None or teachers.feature_map is None:
            return loss
        apart = attention_distance(own.feature_map, teachers.feature_map) / count
        return loss + self.distillation.feature_weight * apart


def distance_to_teacher(logits: Tensor, teacher_logits: Tensor, distillation: Distillation) -> Tensor:
    """The sum over the images `(b, classes)` of the distance between a network and its teacher.

    soft: `T^2 KL(teacher || network)`, both at temperature T; the factor keeps the gradients at any T alike (Hinton et al.,
    section 2). hard: the cross-entropy with the teacher's first class.
    """
    if distillation.kind == "hard":
        return F.cross_entropy(logits, teacher_logits.argmax(1), reduction="sum")
    t = distillation.temperature
    own, teachers = (logits / t).log_softmax(1), (teacher_logits / t).log_softmax(1)
    return F.kl_div(own, teachers, reduction="sum", log_target=True) * t**2
