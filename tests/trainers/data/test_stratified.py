"""A stratified sample: classes in proportion, no image twice, the same for the same seed."""

from __future__ import annotations

import pytest
import torch

from trainers.data.stratified import stratified_rows

LABELS = torch.tensor([2] * 60 + [0] * 30 + [3] * 10)[torch.randperm(100, generator=torch.Generator().manual_seed(1))]


@pytest.mark.parametrize(
    ("count", "expected"), [(100, [30, 0, 60, 10]), (10, [3, 0, 6, 1]), (3, [1, 0, 1, 1]), (500, [30, 0, 60, 10])]
)
def test_each_class_has_its_share(count: int, expected: list[int]) -> None:
    rows = stratified_rows(LABELS, count)
    assert len(set(rows.tolist())) == len(rows) == min(count, 100)
    assert torch.bincount(LABELS[rows], minlength=4).tolist() == expected
    assert LABELS[rows].tolist() == sorted(LABELS[rows].tolist())


def test_fewer_images_than_classes() -> None:
    assert torch.bincount(LABELS[stratified_rows(LABELS, 2)], minlength=4).tolist() == [1, 0, 1, 0]


def test_the_seed_chooses_the_images() -> None:
    assert torch.equal(stratified_rows(LABELS, 20, seed=1), stratified_rows(LABELS, 20, seed=1))
    assert set(stratified_rows(LABELS, 20, seed=1).tolist()) != set(stratified_rows(LABELS, 20, seed=2).tolist())
