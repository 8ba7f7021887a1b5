"""The loss of a recipe against formulas written by hand, in float64."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.training.feature_maps import Outputs, attention_distance
from trainers.training.recipe_config import Distillation
from trainers.training.recipe_loss import RecipeLoss, distance_to_teacher

GENERATOR = torch.Generator().manual_seed(0)
LOGITS, TEACHERS = (torch.randn(6, 4, generator=GENERATOR, dtype=torch.float64) for _ in range(2))
LABELS = torch.tensor([0, 1, 2, 3, 1, 1])


def softmax(values: list[float], temperature: float) -> list[float]:
    powers = [math.exp(value / temperature) for value in values]
    return [power / sum(powers) for power in powers]


def test_soft_distillation_by_hand() -> None:
    expected = 0.0
    for own, teachers in zip(LOGITS.tolist(), TEACHERS.tolist(), strict=True):
        p, q = softmax(teachers, 3.0), softmax(own, 3.0)
        expected += 9.0 * sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))
    found = distance_to_teacher(LOGITS, TEACHERS, Distillation(temperature=3.0))
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_hard_distillation_by_hand() -> None:
    expected = 0.0
    for own, teachers in zip(LOGITS.tolist(), TEACHERS.tolist(), strict=True):
        expected -= math.log(softmax(own, 1.0)[teachers.index(max(teachers))])
    found = distance_to_teacher(LOGITS, TEACHERS, Distillation(kind="hard", temperature=5.0))
    assert float(found) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_labels_and_teacher_are_weighed(kind: str) -> None:
    distillation = Distillation.model_validate({"kind": kind, "weight": 0.3, "temperature": 2.0})
    found = RecipeLoss(None, 0.1, distillation).part(Outputs(LOGITS), LABELS, Outputs(TEACHERS), 6, 6)
    labels = F.cross_entropy(LOGITS, LABELS, label_smoothing=0.1)
    expected = 0.7 * labels + 0.3 * distance_to_teacher(LOGITS, TEACHERS, distillation) / 6
    assert float(found) == pytest.approx(float(expected), rel=1e-6)  # it computes in float32


SHARES = torch.tensor([[0.25, 0.75, 0, 0], [0.5, 0, 0.5, 0]] * 3)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 0.5, 3.0, 2.0])])
@pytest.mark.parametrize("targets", [LABELS, SHARES], ids=["labels", "shares"])
def test_parts_add_up_to_the_loss_of_the_batch(weights: Tensor | None, targets: Tensor) -> None:
    """Oracle: torch's mean over the whole batch."""
    logits = LOGITS.float()
    loss = RecipeLoss(weights, 0.1, None)
    total = loss.total_weight(targets)
    parts = [
        loss.part(Outputs(some), targets_of_some, None, total, 6)
        for some, targets_of_some in zip(logits.split([1, 3, 2]), targets.split([1, 3, 2]), strict=True)
    ]
    expected = F.cross_entropy(logits, targets, weights, label_smoothing=0.1)
    assert float(torch.stack(parts).sum()) == pytest.approx(float(expected), rel=1e-6)


def test_attention_distance_by_hand() -> None:
    own = torch.randn(2, 3, 2, 2, generator=GENERATOR)
    teachers = torch.randn(2, 5, 4, 4, generator=GENERATOR)  # averaged over squares of 2 x 2 places
    expected = 0.0
    for image in range(2):
        a = [sum(float(own[image, c, y, x]) ** 2 for c in range(3)) for y in range(2) for x in range(2)]
        b = [
            sum(
                float(teachers[image, c, 2 * y + i, 2 * x + j]) ** 2
                for c in range(5)
                for i in range(2)
                for j in range(2)
            )
            for y in range(2)
            for x in range(2)
        ]
        lengths = [math.sqrt(sum(value**2 for value in values)) for values in (a, b)]
        expected += sum((p / lengths[0] - q / lengths[1]) ** 2 for p, q in zip(a, b, strict=True))
    assert float(attention_distance(own, teachers)) == pytest.approx(expected, rel=1e-5)
    assert float(attention_distance(teachers, own)) == pytest.approx(expected, rel=1e-5)


def test_feature_maps_are_added_to_the_loss() -> None:
    own, teachers = (torch.randn(6, 3, 2, 2, generator=GENERATOR) for _ in range(2))
    distillation = Distillation(feature_weight=7.0)
    loss = RecipeLoss(None, 0.0, distillation)
    without = loss.part(Outputs(LOGITS), LABELS, Outputs(TEACHERS), 6, 6)
    found = loss.part(Outputs(LOGITS, own), LABELS, Outputs(TEACHERS, teachers), 6, 6)
    assert float(found - without) == pytest.approx(7 * float(attention_distance(own, teachers)) / 6, rel=1e-4)
