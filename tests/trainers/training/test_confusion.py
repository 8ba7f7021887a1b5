"""The confusion matrix and its scores against scikit-learn, and its form on disk."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score, recall_score
from torch import nn

from trainers.data.dataset import Dataset
from trainers.training import confusion as module
from trainers.training.confusion import Confusion
from trainers.training.evaluation import confusion, evaluate


def random_images(classes: int, seed: int, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Labels with every class, most of the first, and predictions that are right for two thirds."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, count) * (rng.random(count) < 0.3)])
    predicted = np.where(rng.random(len(labels)) < 0.67, labels, rng.integers(0, classes, len(labels)))
    return labels.astype(np.int64), predicted.astype(np.int64)


@settings(max_examples=60, deadline=None)
@given(classes=st.integers(2, 30), seed=st.integers(0, 1000))
def test_scores_against_scikit_learn(classes: int, seed: int) -> None:
    labels, predicted = random_images(classes, seed)
    found = Confusion.of(labels, predicted, classes)
    assert found.accuracy == accuracy_score(labels, predicted)
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted), rel=1e-12)
    assert found.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro"), rel=1e-12)
    np.testing.assert_allclose(found.recalls, recall_score(labels, predicted, average=None), rtol=1e-12)
    expected = confusion_matrix(labels, predicted, labels=range(classes))
    np.testing.assert_array_equal(found.matrix(), expected)
    assert (np.diff(found.counts) <= 0).all()
    again = Confusion.from_dict(json.loads(json.dumps(found.to_dict())))
    np.testing.assert_array_equal(again.matrix(), expected)


def test_always_answering_the_majority_by_hand() -> None:
    labels = np.repeat([0, 1], [80, 2])
    found = Confusion.of(labels, np.zeros(82, np.int64), 2)
    assert found.accuracy == 80 / 82
    assert found.balanced_accuracy == 0.5
    assert found.macro_f1 == pytest.approx((2 * 80 / 162 + 0) / 2)
    assert (found.pairs.tolist(), found.counts.tolist()) == ([[1, 0]], [2])


def test_classes_without_images_do_not_count() -> None:
    found = Confusion.of(np.array([0, 0, 2]), np.array([0, 1, 2]), 5)
    assert found.balanced_accuracy == (0.5 + 1) / 2
    assert found.macro_f1 == pytest.approx((2 / 3 + 0 + 1) / 3)  # class 1 is predicted, 3 and 4 never occur
    assert np.isnan(found.recalls[[1, 3, 4]]).all()


def test_no_mistakes() -> None:
    labels = np.array([0, 1, 2, 1])
    found = Confusion.of(labels, labels, 3)
    assert (found.accuracy, found.balanced_accuracy, found.macro_f1) == (1, 1, 1)
    assert Confusion.from_dict(found.to_dict()).matrix().tolist() == np.diag([1, 2, 1]).tolist()


def test_of_many_classes_the_most_frequent_confusions_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STORED_CONFUSIONS", 3)
    labels, predicted = random_images(30, 1)
    found = Confusion.of(labels, predicted, 30)
    stored = Confusion.from_dict(found.to_dict())
    assert stored.counts.tolist() == found.counts[:3].tolist()
    assert (stored.accuracy, stored.balanced_accuracy, stored.macro_f1) == (
        found.accuracy,
        found.balanced_accuracy,
        found.macro_f1,
    )


def test_the_matrix_of_a_network_has_the_accuracy_of_evaluate(few_digits: Dataset) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).train()
    found = confusion(net, few_digits.val, few_digits, batch_size=7)
    assert net.training
    assert found.accuracy == evaluate(net, few_digits.val, few_digits)[1]
    assert found.totals.tolist() == np.bincount(few_digits.val.labels).tolist()
