"""Samples of prepared images: those of the class, bit for bit, in the order of the split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data.config import DataConfig
from trainers.data.dataset import Dataset
from trainers.data.prepared import prepare
from trainers.data.samples import sample_classes
from trainers.errors import DataError


def test_samples_are_the_first_images_of_each_class(digits_file: Path, digits: Dataset) -> None:
    samples = sample_classes(digits_file, per_class=4, max_classes=7, part="val")
    images, labels = digits.val.images.numpy(), digits.val.labels.numpy()
    assert [sample.name for sample in samples] == list(digits.class_names[:7])
    for label, sample in enumerate(samples):
        assert sample.count == int((labels == label).sum())
        np.testing.assert_array_equal(sample.images, images[labels == label][:4])


def test_a_class_of_few_images_gives_all_of_them(digits_file: Path, digits: Dataset) -> None:
    samples = sample_classes(digits_file, per_class=10_000, max_classes=100)
    assert [len(sample.images) for sample in samples] == list(digits.class_counts)


def test_copies_are_shown_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "root" / name).mkdir(parents=True)
        for index in range(9):
            level = index // 3 if name == "a" else 100 + index
            Image.new("L", (8, 8), level).save(tmp_path / "root" / name / f"{index}.png")
    file = prepare(DataConfig(source="folder", path=tmp_path / "root"), tmp_path / "cache")
    sample = sample_classes(file, per_class=9, max_classes=9)[0]
    assert sample.count > len(sample.images) == len(np.unique(sample.images))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.safetensors: no such file"):
        sample_classes(tmp_path / "none.safetensors", 1, 1)
