"""The costs of models of timm, against a count by hand."""

from __future__ import annotations

from torch import nn

from nas.models.retrain.subjects.timm_models import ImageShape, count_costs


def test_multiply_adds_are_counted() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * 5 * 6, 7))
    costs = count_costs(model, ImageShape(3, (5, 6), 7))
    assert costs.macs == 3 * 4 * 9 * 5 * 6 + 4 * 5 * 6 * 7
    assert costs.params == 3 * 4 * 9 + 4 + 4 * 5 * 6 * 7 + 7
