"""The training loop: it learns, is reproducible to the bit, and resumes to the same bits after any interruption."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trainers.data.dataset import Dataset, Split
from trainers.errors import TrainingError
from trainers.training import checkpoint
from trainers.training.config import TrainConfig
from trainers.training.epoch import Epoch
from trainers.training.evaluation import evaluate
from trainers.training.loop import ProxyTraining, train


def tiny() -> nn.Module:
    """A small convolutional network with batch norm and dropout, the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(128, 10),
        )


def same(one: nn.Module, two: nn.Module) -> bool:
    """Whether all parameters and buffers have the same bits."""
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def metrics(epochs: tuple[Epoch, ...]) -> list[tuple[float | None, ...]]:
    """The metrics of `epochs` without the seconds."""
    return [(e.epoch, e.train_loss, e.val_loss, e.val_accuracy, e.lr) for e in epochs]


SHORT = TrainConfig(epochs=4, batch_size=32)
EACH = range(1, 9)  # every epoch a milestone: validated and saved

# A process that trains `tiny` and is killed while it does.
PROGRAM = f"""
import sys, time
from pathlib import Path
import torch
from torch import nn
from trainers.training.config import TrainConfig
from trainers.data.dataset import load
from trainers.training.loop import train

{inspect.getsource(tiny)}
torch.set_num_threads(1)
config = TrainConfig(epochs=8, batch_size=32)
saying = lambda epoch: print(epoch.epoch, flush=True)
file = Path(sys.argv[2])
train(tiny(), load(Path(sys.argv[1])), config, seed=3, report=saying, checkpoint=file, milestones=range(1, 9))
"""


def test_learns_digits(digits: Dataset) -> None:
    reported: list[Epoch] = []
    net = tiny()
    history = train(net, digits, TrainConfig(epochs=6, lr=0.01, validate_every=1), seed=0, report=reported.append)
    assert history == tuple(reported)
    assert [epoch.epoch for epoch in history] == [1, 2, 3, 4, 5, 6]
    accuracies, losses = (
        [getattr(epoch, name) or math.nan for epoch in history] for name in ("val_accuracy", "val_loss")
    )
    assert accuracies[-1] > 0.9
    assert losses[-1] < losses[0]
    assert history[-1].train_loss < history[0].train_loss
    assert all(0 < epoch.train_s <= epoch.wall_s for epoch in history)
    loss, accuracy = evaluate(net, digits.test, digits)
    assert accuracy > 0.88
    assert math.isfinite(loss)


@pytest.mark.parametrize("schedule", ["cosine", "onecycle"])
def test_the_same_seed_gives_the_same_bits(schedule: str, few_digits: Dataset) -> None:
    config = TrainConfig.model_validate({"epochs": 3, "schedule": schedule, "augment": "standard"})
    one, two, other = tiny(), tiny(), tiny()
    first = train(one, few_digits, config, seed=1)
    torch.rand(7)  # the global generator is none of its business
    second = train(two, few_digits, config, seed=1)
    train(other, few_digits, config, seed=2)
    assert same(one, two)
    assert metrics(first) == metrics(second)
    assert not same(one, other)


def test_global_state_is_restored(few_digits: Dataset) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    flags = (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
    train(tiny(), few_digits, TrainConfig(epochs=1), seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == flags


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_resume_gives_the_same_bits(stop: int, few_digits: Dataset, tmp_path: Path) -> None:
    whole, file = tiny(), tmp_path / "trial" / "checkpoint.pt"
    expected = train(whole, few_digits, SHORT, seed=0, milestones=EACH)
    stopped = ProxyTraining(tiny(), few_digits, SHORT, seed=0, checkpoint=file, milestones=EACH)
    last = list(itertools.islice(stopped.epochs(), stop))[-1]
    resumed = tiny()
    training = ProxyTraining(resumed, few_digits, SHORT, seed=0, checkpoint=file, milestones=EACH)
    assert training.history == ()
    emitted = tuple(training.epochs())
    assert emitted[stop - 1] == last  # the very same, seconds and all: it was not trained again
    assert metrics(emitted) == metrics(expected)
    assert same(whole, resumed)
    assert training.result == emitted[-1]


def test_resume_after_kill_9(digits: Dataset, digits_file: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    file = tmp_path / "checkpoint.pt"
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), str(digits_file), str(file)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line == "3\n":
            break
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    saved = checkpoint.load(file)
    assert saved is not None
    assert 3 <= len(saved["history"]) < 8
    config = TrainConfig(epochs=8, batch_size=32)
    resumed, whole = tiny(), tiny()
    emitted = train(resumed, digits, config, seed=3, checkpoint=file, milestones=EACH)
    assert [epoch.to_dict() for epoch in emitted[: len(saved["history"])]] == saved["history"]
    assert metrics(emitted) == metrics(train(whole, digits, config, seed=3, milestones=EACH))
    assert same(resumed, whole)


@pytest.mark.parametrize("difference", ["seed", "config", "architecture", "data", "damage"])
def test_the_checkpoint_of_another_training_is_ignored(difference: str, few_digits: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    (others,) = train(tiny(), few_digits, TrainConfig(epochs=1), seed=0, checkpoint=file, milestones=EACH)
    if difference == "damage":
        file.write_bytes(file.read_bytes()[:-1])
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)) if difference == "architecture" else tiny()
    config = TrainConfig(epochs=1, lr=1e-3) if difference == "config" else TrainConfig(epochs=1)
    data = dataclasses.replace(few_digits, fingerprint="another") if difference == "data" else few_digits
    training = ProxyTraining(net, data, config, seed=1 if difference == "seed" else 0, checkpoint=file, milestones=EACH)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    next(training.epochs())
    assert training.history != (others,)  # the seconds alone tell them apart
    assert len(training.history) == 1
    assert any(not torch.equal(before[name], value) for name, value in net.state_dict().items())
    saved = checkpoint.load(file)
    assert saved is not None
    assert saved["history"] == [training.result.to_dict()]  # replaced by its own


def test_which_epochs_are_validated(few_digits: Dataset) -> None:
    config = TrainConfig(epochs=8, batch_size=32, validate_every=3)
    history = ProxyTraining(tiny(), few_digits, config, seed=0, milestones=(4,))
    validated = [epoch.epoch for epoch in history.epochs() if epoch.val_accuracy is not None]
    assert validated == [2, 4, 5, 8]
    without = train(tiny(), few_digits, config.model_copy(update={"validate_every": 8}), seed=0)
    assert [epoch.train_loss for epoch in without] == [epoch.train_loss for epoch in history.history]
    assert without[-1].val_loss == history.result.val_loss


def test_a_short_training_saves_at_its_milestones_alone(few_digits: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    config = TrainConfig(epochs=8, batch_size=32)
    training = ProxyTraining(tiny(), few_digits, config, seed=0, checkpoint=file, milestones=(2,))
    epochs = training.epochs()
    next(epochs)
    assert not file.exists()  # the epoch is too short to be worth a checkpoint
    for _ in range(2):
        next(epochs)
        saved = checkpoint.load(file)
        assert saved is not None
        assert len(saved["history"]) == 2


def test_epoch_is_plain_json() -> None:
    epoch = Epoch(epoch=1, train_loss=2.0, val_loss=1.5, val_accuracy=0.5, lr=1e-3, train_s=0.1, wall_s=0.2)
    assert Epoch(**json.loads(json.dumps(epoch.to_dict()))) == epoch


class CallRecorder(nn.Module):
    """A network that records its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.seen: list[tuple[bool, Tensor]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append((self.training, images.detach().clone()))
        return self.linear(images.flatten(1))


@pytest.mark.parametrize(("count", "batch", "expected"), [(100, 32, [32, 32, 32]), (20, 32, [20]), (33, 32, [32])])
def test_batches(count: int, batch: int, expected: list[int], few_digits: Dataset) -> None:
    split = Split(few_digits.train.images[:count], few_digits.train.labels[:count])
    data = dataclasses.replace(few_digits, train=split)
    net = CallRecorder()
    config = TrainConfig(epochs=2, batch_size=batch, augment="none", validate_every=1, eval_batch_size=7)
    train(net, data, config, seed=0)
    trained = [images for training, images in net.seen if training]
    assert [len(images) for images in trained] == expected * 2
    # Each image at most once an epoch, in another order each epoch, normalised with the data's mean and deviation.
    first = torch.cat(trained[: len(expected)])
    assert len({image.numpy().tobytes() for image in first}) == len(first)
    assert not torch.equal(first, torch.cat(trained[len(expected) :]))
    pixels = (first * data.std[0] + data.mean[0]) * 255
    assert (pixels - pixels.round()).abs().max() < 1e-3
    validated = [len(images) for training, images in net.seen if not training]
    assert sum(validated) == 2 * len(data.val)
    assert max(validated) == 7


def test_one_training_image_is_refused(few_digits: Dataset) -> None:
    split = Split(few_digits.train.images[:1], few_digits.train.labels[:1])
    with pytest.raises(TrainingError, match="number of training images must be at least 2, found 1"):
        ProxyTraining(tiny(), dataclasses.replace(few_digits, train=split), SHORT, seed=0)


class Diverging(nn.Module):
    """Its output becomes `value` at the given call in training mode."""

    def __init__(self, value: float, call: int) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.value, self.call, self.calls = value, call, 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += self.training
        bad = self.training and self.calls == self.call
        logits: Tensor = self.linear(images.flatten(1))
        return logits * self.value if bad else logits


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(("call", "epoch", "step"), [(1, 1, 1), (7, 2, 2), (30, 6, 5)])
def test_a_loss_that_is_not_finite(value: float, call: int, epoch: int, step: int, few_digits: Dataset) -> None:
    file_config = TrainConfig(epochs=8, batch_size=32)
    assert len(few_digits.train) // 32 == 5  # the steps of an epoch that the numbers above count on
    with pytest.raises(TrainingError, match=rf"epoch {epoch}, step {step}: the loss is not finite") as caught:
        train(Diverging(value, call), few_digits, file_config, seed=0)
    assert (caught.value.epoch, caught.value.step) == (epoch, step)


def test_a_loss_that_is_not_finite_ends_a_long_epoch_early(digits: Dataset) -> None:
    net = Diverging(math.nan, 3)
    with pytest.raises(TrainingError, match="epoch 1, step 3"):
        train(net, digits, TrainConfig(batch_size=16), seed=0)
    assert net.calls < 3 + 20  # the epoch is not trained to its end


def test_result_before_any_epoch(few_digits: Dataset) -> None:
    with pytest.raises(TrainingError, match="no epoch is finished"):
        _ = ProxyTraining(tiny(), few_digits, SHORT, seed=0).result


def test_one_step_by_hand(few_digits: Dataset) -> None:
    """One step of AdamW on a linear network, with smoothed labels, clipping and decay, written out in float64."""
    count = 12
    data = dataclasses.replace(
        few_digits, train=Split(few_digits.train.images[:count], few_digits.train.labels[:count])
    )
    config = TrainConfig(epochs=1, batch_size=count, lr=0.01, warmup_epochs=0, augment="none", grad_clip=0.1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    weight, bias = (parameter.detach().double() for parameter in net.parameters())
    x = ((data.train.images.double() / 255 - data.mean[0]) / data.std[0]).flatten(1)
    target = torch.full((count, 10), 0.1 / 10, dtype=torch.float64)
    target[torch.arange(count), data.train.labels] += 0.9
    difference = ((x @ weight.T + bias).softmax(1) - target) / count
    gradients = [difference.T @ x, difference.sum(0)]
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    assert norm > 0.1  # it is clipped
    clipped = [g * 0.1 / (norm + 1e-6) for g in gradients]
    # After one step both moments, freed of their bias, are g and g^2: the step is lr * g / (|g| + eps).
    steps = [0.01 * g / (g.abs() + 1e-8) for g in clipped]
    expected = [weight * (1 - 0.01 * 0.05) - steps[0], bias - steps[1]]
    training = ProxyTraining(net, data, config, seed=0)
    list(training.epochs())
    for parameter, value, gradient in zip(net.parameters(), expected, clipped, strict=True):
        torch.testing.assert_close(parameter.detach().double(), value, rtol=0, atol=2e-5)
        # The step does not tell how long the gradient was; the first moment does: it is a tenth of it.
        moment = training.optimizer.state[parameter]["exp_avg"].double()
        torch.testing.assert_close(moment, gradient / 10, rtol=1e-3, atol=1e-7)


def test_balanced_classes_by_hand(few_digits: Dataset) -> None:
    """The gradient of one step, with smoothed labels, in float64: each image counts by the rarity of its class."""
    labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 2, *range(3, 10)])
    count = len(labels)
    data = dataclasses.replace(few_digits, train=Split(few_digits.train.images[:count], labels))
    config = TrainConfig(
        epochs=1, batch_size=count, warmup_epochs=0, augment="none", grad_clip=None, class_weights="balanced"
    )
    assert data.class_counts == (6, 2, *[1] * 8)
    rarity = [count / 10 / n for n in data.class_counts]
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    weight, bias = (parameter.detach().double().requires_grad_() for parameter in net.parameters())
    x = ((data.train.images.double() / 255 - data.mean[0]) / data.std[0]).flatten(1)
    logs = (x @ weight.T + bias).log_softmax(1)
    loss = torch.zeros((), dtype=torch.float64)
    for i, label in enumerate(labels.tolist()):
        for c in range(10):
            loss = loss - rarity[c] * (0.9 * (c == label) + 0.1 / 10) * logs[i, c]
    torch.autograd.backward(loss / sum(rarity[label] for label in labels.tolist()))
    training = ProxyTraining(net, data, config, seed=0)
    list(training.epochs())
    for parameter, expected in zip(net.parameters(), (weight, bias), strict=True):
        assert expected.grad is not None
        moment = training.optimizer.state[parameter]["exp_avg"].double()  # a tenth of the gradient
        torch.testing.assert_close(moment, expected.grad / 10, rtol=1e-3, atol=1e-7)


def test_bf16_on_request(few_digits: Dataset) -> None:
    seen: list[torch.dtype] = []
    net = tiny()
    net[0].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    history = train(net, few_digits, TrainConfig(epochs=2, amp="bf16"), seed=0)
    assert set(seen) == {torch.bfloat16}
    assert math.isfinite(history[-1].train_loss)
    assert all(parameter.dtype == torch.float32 for parameter in net.parameters())
    seen.clear()
    train(net, few_digits, TrainConfig(epochs=1, amp="auto"), seed=0)
    assert set(seen) == {torch.float32}  # on a CPU


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu(digits: Dataset) -> None:
    data = digits.to("cuda")
    nets = [tiny(), tiny()]
    histories = [train(net, data, TrainConfig(epochs=6, lr=0.01), seed=0) for net in nets]
    assert next(nets[0].parameters()).is_cuda
    assert same(*nets)
    assert metrics(histories[0]) == metrics(histories[1])
    accuracy = histories[0][-1].val_accuracy
    assert accuracy is not None
    assert accuracy > 0.9
