"""Loss and accuracy against a naive loop over images, and how often a training is validated."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from trainers.data.dataset import Dataset
from trainers.training.evaluation import evaluate, validation_period


def network() -> nn.Sequential:
    """A small convolutional network with batch norm, the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10)
        )


@pytest.mark.parametrize(
    ("train_count", "val_count", "period"),
    [(600, 200, 4), (1000, 90, 1), (1000, 91, 2), (45_000, 5_000, 2), (10, 100, 112)],
)
def test_validation_takes_a_fixed_share_of_the_time(train_count: int, val_count: int, period: int) -> None:
    # An image is validated in a third of the time of its training; all of it is to be 3 % at most.
    assert validation_period(train_count, val_count) == period
    assert val_count / 3 / train_count / period <= 0.03
    assert period == 1 or val_count / 3 / train_count / (period - 1) > 0.03


def test_evaluate_against_a_loop(few_digits: Dataset) -> None:
    net = network().train()
    loss, accuracy = evaluate(net, few_digits.val, few_digits, batch_size=7)
    assert net.training
    net.eval()
    losses, hits = [], []
    with torch.no_grad():
        for image, label in zip(few_digits.val.images, few_digits.val.labels, strict=True):
            pixels = (image.double() / 255 - few_digits.mean[0]) / few_digits.std[0]
            logits = net(pixels.float()[None])[0].double()
            losses.append(float(logits.exp().sum().log() - logits[label]))
            hits.append(int(logits.argmax()) == int(label))
    assert loss == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert accuracy == sum(hits) / len(hits)
    assert (type(loss), type(accuracy)) == (float, float)


class Moved(nn.Linear):
    """A layer whose tensors are copied by each move, as from a processor to a GPU and back."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Moved:
        super()._apply(lambda tensor: fn(tensor).clone(), recurse)
        return self


def test_a_module_that_was_evaluated_on_another_device_can_be_trained(few_digits: Dataset) -> None:
    module = nn.Sequential(nn.Flatten(), Moved(64, 16), Moved(16, 10))
    evaluate(module, few_digits.val, few_digits)
    module(few_digits.val.images.float()).sum().backward()
