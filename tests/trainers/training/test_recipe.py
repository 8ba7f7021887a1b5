"""Full training: any optimizer resumes to the bit, and each part of a recipe does what it says."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import math
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from search_space import Architecture, build
from trainers.data.dataset import Dataset, Split
from trainers.errors import RecipeError, TrainingError, TrainingInterrupted
from trainers.training import checkpoint
from trainers.training.config import TrainConfig
from trainers.training.epoch import Epoch
from trainers.training.image_sizes import image_size_at
from trainers.training.loop import ProxyTraining
from trainers.training.recipe import RecipeTraining
from trainers.training.recipe_config import Distillation, ImageSizeSchedule, RecipeConfig, network_options
from trainers.training.teacher import AdaptedTeacher

OPTIMIZERS = (
    "adamw", "timm:adamw", "sgd", "lamb", "lion", "adan", "muon", "nadamw", "rmsproptf", "madgradw", "adafactorbv",
    "lookahead_lamb",
)  # fmt: skip


def tiny() -> nn.Module:
    """A small convolutional network with batch norm and dropout, the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, 10),
        )


def linear() -> nn.Module:
    """A network without randomness or statistics of a batch, the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def recipe(**fields: Any) -> RecipeConfig:
    """A short recipe."""
    return RecipeConfig.model_validate({"epochs": 3, "batch_size": 32, "warmup_epochs": 1, **fields})


def same(one: nn.Module, two: nn.Module) -> bool:
    """Whether all parameters and buffers have the same bits."""
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def metrics(epochs: tuple[Epoch, ...]) -> list[tuple[float | None, ...]]:
    """The metrics of `epochs` without the seconds."""
    return [(e.epoch, e.train_loss, e.val_loss, e.val_accuracy, e.lr) for e in epochs]


def interrupted(data: Dataset, config: RecipeConfig, file: Path, draw: random.Random) -> tuple[RecipeTraining, int]:
    """A finished training that was interrupted at random steps, and how often."""
    for interruptions in itertools.count():
        patience = iter(range(draw.randrange(2, 15)))
        training = RecipeTraining(
            tiny(),
            data,
            config,
            seed=0,
            checkpoint=file,
            is_stop_requested=lambda steps=patience: next(steps, None) is None,  # type: ignore[misc]
        )
        try:
            list(training.epochs())
        except TrainingInterrupted:
            continue
        return training, interruptions
    raise AssertionError


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_training_that_is_interrupted_at_any_step_ends_with_the_same_bits(
    optimizer: str, few_digits: Dataset, tmp_path: Path
) -> None:
    config = recipe(optimizer=optimizer, ema=0.9, mixup=0.5, augment="standard")
    whole = RecipeTraining(tiny(), few_digits, config, seed=0)
    list(whole.epochs())
    assert not same(whole.module, tiny())
    resumed, interruptions = interrupted(few_digits, config, tmp_path / "c.pt", random.Random(optimizer))
    assert interruptions >= 1
    assert metrics(resumed.history) == metrics(whole.history)
    assert same(resumed.model, whole.model)
    assert same(resumed.module, whole.module)
    # What has been taken from the checkpoint, at the least, was not trained again.
    assert resumed.own_seconds(resumed.history[0]).train_s < resumed.history[0].train_s


@pytest.mark.parametrize(
    "fields",
    [
        {"schedule": "plateau", "schedule_options": {"patience_epochs": 0}, "epochs": 5, "warmup_epochs": 0},
        {"schedule": "step", "schedule_options": {"decay_epochs": 1}, "accumulate": 2},
        {"augment": "timm:rand-m9-mstd0.5-inc1", "random_erasing": 0.5, "cutmix": 1.0},
        {"image_size_schedule": {"multiple": 2}, "class_weights": "balanced"},
        {"optimizer": "adafactorbv", "momentum": 0.9},  # which it keeps in bfloat16
    ],
    ids=["plateau", "accumulate", "augment", "sizes", "bfloat16"],
)
def test_every_part_of_a_recipe_resumes_to_the_same_bits(
    fields: dict[str, Any], few_digits: Dataset, tmp_path: Path
) -> None:
    config = recipe(**fields)
    whole = RecipeTraining(tiny(), few_digits, config, seed=0)
    list(whole.epochs())
    resumed, interruptions = interrupted(few_digits, config, tmp_path / "c.pt", random.Random(1))
    assert interruptions >= 1
    assert metrics(resumed.history) == metrics(whole.history)
    assert same(resumed.model, whole.model)


# A process that trains `tiny`, saves its state after each step, and is killed while it does.
PROGRAM = f"""
import sys
from pathlib import Path
from typing import Any
import torch
from torch import nn
from trainers.data.dataset import load
from trainers.training.recipe import RecipeTraining
from trainers.training.recipe_config import RecipeConfig

{inspect.getsource(tiny)}
{inspect.getsource(recipe)}
torch.set_num_threads(1)
config = recipe(epochs=6, optimizer="lamb", ema=0.9, augment="strong")
data = load(Path(sys.argv[1]))
training = RecipeTraining(tiny(), data, config, seed=3, checkpoint=Path(sys.argv[2]), max_unsaved_s=0)
for epoch in training.epochs():
    print(epoch.epoch, flush=True)
"""


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
    assert [process.stdout.readline() for _ in range(2)] == ["1\n", "2\n"]
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    saved = checkpoint.load(file)
    assert saved is not None
    assert 1 <= len(saved["history"]) < 6
    config = recipe(epochs=6, optimizer="lamb", ema=0.9, augment="strong")
    resumed = RecipeTraining(tiny(), digits, config, seed=3, checkpoint=file)
    whole = RecipeTraining(tiny(), digits, config, seed=3)
    emitted, expected = tuple(resumed.epochs()), tuple(whole.epochs())
    assert [epoch.to_dict() for epoch in emitted[: len(saved["history"])]] == saved["history"]
    assert metrics(emitted) == metrics(expected)
    assert same(resumed.model, whole.model)


@pytest.mark.parametrize("blended", [False, True])
def test_the_same_recipe_trains_as_a_proxy_does(blended: bool, few_digits: Dataset) -> None:
    """What both can do differs by rounding alone: the mean of losses is a sum over parts here."""
    fields: dict[str, Any] = {"epochs": 2, "batch_size": 32, "lr": 0.01, "warmup_epochs": 1, "augment": "standard"}
    fields |= {"mixup": 0.5, "cutmix": 1.0} if blended else {"class_weights": "balanced"}
    proxy = ProxyTraining(linear(), few_digits, TrainConfig.model_validate(fields), seed=4)
    full = RecipeTraining(linear(), few_digits, RecipeConfig.model_validate(fields), seed=4)
    for ours, theirs in zip(full.epochs(), proxy.epochs(), strict=True):
        assert ours.lr == theirs.lr
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-5)
    for a, b in zip(full.module.parameters(), proxy.module.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4)
    assert full.identity != proxy.identity


@pytest.mark.parametrize("fields", [{"class_weights": "balanced"}, {"mixup": 0.5}, {"batch_size": 30}])
def test_parts_of_a_batch_give_the_gradients_of_the_whole(fields: dict[str, Any], few_digits: Dataset) -> None:
    one, four = (
        RecipeTraining(linear(), few_digits, recipe(optimizer="sgd", accumulate=accumulate, **fields), seed=0)
        for accumulate in (1, 4)
    )
    for a, b in zip(one.epochs(), four.epochs(), strict=True):
        assert a.train_loss == pytest.approx(b.train_loss, rel=1e-5)
    for p, q in zip(one.module.parameters(), four.module.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-6)


def test_averaged_weights_are_the_result(few_digits: Dataset) -> None:
    """Oracle: the average of the weights that the network had before each later step."""
    seen: list[Tensor] = []
    net = linear()
    net.register_forward_pre_hook(
        lambda module, _: seen.append(module[1].weight.detach().clone()) if module.training else None
    )
    training = RecipeTraining(net, few_digits, recipe(epochs=1, ema=0.5), seed=0)
    list(training.epochs())
    average = seen[0].double()
    for step, value in enumerate([*seen[1:], net[1].weight.detach()]):  # type: ignore[index]
        decay = min(0.5, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * value
    assert len(seen) == training.steps_per_epoch
    assert training.model is not net
    torch.testing.assert_close(training.model[1].weight.double(), average, rtol=1e-5, atol=1e-6)  # type: ignore[index]


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "sizes"), [(7, 3, [3, 2, 2]), (9, 4, [3, 2, 2, 2]), (8, 4, [2] * 4)]
)
def test_a_batch_has_as_many_parts_as_the_recipe_says_and_none_of_a_single_image(
    batch_size: int, accumulate: int, sizes: list[int], few_digits: Dataset
) -> None:
    found: list[int] = []
    net = linear()
    net.register_forward_pre_hook(lambda module, inputs: found.append(len(inputs[0])) if module.training else None)
    training = RecipeTraining(net, few_digits, recipe(epochs=1, batch_size=batch_size, accumulate=accumulate), seed=0)
    list(training.epochs())
    assert found == sizes * training.steps_per_epoch


def test_images_grow(few_digits: Dataset) -> None:
    net, shapes = tiny(), []
    net.register_forward_pre_hook(lambda module, inputs: shapes.append((module.training, tuple(inputs[0].shape[-2:]))))
    config = recipe(epochs=8, image_size_schedule={"start": 0.5, "stages": 3, "full_from": 0.5, "multiple": 2})
    list(RecipeTraining(net, few_digits, config, seed=0).epochs())
    trained = [size for training, size in shapes if training]
    steps = len(trained) // 8
    assert [trained[steps * epoch][0] for epoch in range(8)] == [4, 4, 6, 6, 8, 8, 8, 8]
    assert {size for training, size in shapes[3:] if not training} == {(8, 8)}  # the first three are trials


@pytest.mark.parametrize(
    ("epoch", "size"), [(1, (12, 16)), (3, (12, 16)), (4, (16, 20)), (6, (16, 20)), (7, (18, 24)), (10, (18, 24))]
)
def test_sizes_by_hand(epoch: int, size: tuple[int, int]) -> None:
    """Three sizes, the whole one from epoch 7 of 10 on: 0.7, 0.85 and 1 of it, in multiples of 4 but for the last."""
    schedule = ImageSizeSchedule(start=0.7, stages=3, full_from=0.6, multiple=4)
    assert image_size_at(epoch, 10, (18, 24), schedule) == size
    assert image_size_at(epoch, 10, (18, 24), None) == (18, 24)


PLAIN = {
    "stem": {"patch": 2},
    "stages": [{"mixer": "conv", "width": 8, "depth": 1}],
    "image_size": 8,
    "in_chans": 1,
    "num_classes": 10,
}


def map_bound() -> nn.Module:
    return build(Architecture.from_dict({**PLAIN, "stem": {"patch": 2, "pos_embed": True}}))


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (map_bound, r"cannot take images of 4x4 \(images: must be 8x8, to which stem.pos_embed binds the network"),
        (linear, r"cannot take images of 4x4 \(mat1 and mat2 shapes cannot be multiplied"),
    ],
)
def test_a_network_that_is_bound_to_its_size_is_refused(network: Any, said: str, few_digits: Dataset) -> None:
    schedule = ImageSizeSchedule(start=0.5)
    with pytest.raises(RecipeError, match=f"^image_size_schedule: must be absent for a network that {said}"):
        RecipeTraining(network(), few_digits, recipe(image_size_schedule=schedule.model_dump()), seed=0)


def test_a_network_learns_from_its_teacher_alone(digits: Dataset) -> None:
    teacher = linear()
    list(RecipeTraining(teacher, digits, recipe(epochs=10, lr=0.01), seed=0).epochs())
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    wrong = dataclasses.replace(digits, train=Split(digits.train.images, (digits.train.labels + 1) % 10))
    net = tiny()
    distillation = Distillation(weight=1.0, temperature=2.0)  # the labels, which are wrong, do not count
    config = recipe(epochs=6, lr=0.02, distillation=distillation.model_dump())
    training = RecipeTraining(net, wrong, config, seed=0, teacher=teacher)
    list(training.epochs())
    assert training.result.val_accuracy is not None
    assert training.result.val_accuracy > 0.7
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_a_teacher_gives_feature_maps(few_digits: Dataset) -> None:
    """Ours as the student, a ViT of timm as the teacher, for images of another size."""

    def student() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return build(Architecture.from_dict(PLAIN))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        options = {"img_size": 16, "patch_size": 4, "depth": 1, "embed_dim": 16, "num_heads": 2, "in_chans": 1}
        vit = timm.create_model("vit_tiny_patch16_224", num_classes=10, **options)
    teacher = AdaptedTeacher(vit, few_digits, (0.5,), (0.25,), (16, 16))
    images = torch.randn(2, 1, 8, 8)
    pixels = images * few_digits.std[0] + few_digits.mean[0]
    resized = nn.functional.interpolate((pixels - 0.5) / 0.25, (16, 16), mode="bilinear", antialias=True)
    torch.testing.assert_close(teacher.eval()(images), vit(resized), rtol=1e-4, atol=1e-5)

    histories = []
    for weight in (0.0, 50.0, 50.0):
        config = recipe(distillation={"feature_weight": weight}, epochs=2)
        training = RecipeTraining(student(), few_digits, config, seed=0, teacher=teacher)
        histories.append(metrics(tuple(training.epochs())))
    assert histories[1] == histories[2]
    assert histories[0] != histories[1]


@pytest.mark.parametrize("is_teacher", [True, False])
def test_networks_without_feature_maps_are_refused(is_teacher: bool, few_digits: Dataset) -> None:
    network = build(Architecture.from_dict(PLAIN))
    student, teacher = (network, linear()) if is_teacher else (linear(), network)
    place = "teacher" if is_teacher else "distillation"
    config = recipe(distillation={"feature_weight": 1.0})
    with pytest.raises(RecipeError, match=rf"^{place}: must have feature maps \(B, C, h, w\) .*found 'Sequential'"):
        RecipeTraining(student, few_digits, config, seed=0, teacher=teacher)


def test_a_teacher_that_is_bound_to_its_size_is_refused(few_digits: Dataset) -> None:
    with pytest.raises(
        RecipeError, match="image_size_schedule: must be absent for a teacher that cannot take images of"
    ):
        RecipeTraining(tiny(), few_digits, recipe(image_size_schedule={}), seed=0, teacher=linear())


def test_a_checkpoint_belongs_to_one_teacher(few_digits: Dataset, tmp_path: Path) -> None:
    other = linear()
    with torch.no_grad():
        other[1].bias[3] += 1e-6  # type: ignore[index]
    trainings = [
        RecipeTraining(tiny(), few_digits, recipe(), seed=0, teacher=teacher) for teacher in (linear(), other, None)
    ]
    assert len({training.identity for training in trainings}) == 3
    assert RecipeTraining(tiny(), few_digits, recipe(), seed=0, teacher=linear()).identity == trainings[0].identity


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 9)), r"must have the 10 classes of the data.*found \(2, 9\)"),
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 10)), r"must take images of 1x8x8 \(mat1 and mat2"),
    ],
)
def test_teachers_that_do_not_fit_are_refused(teacher: nn.Module, said: str, few_digits: Dataset) -> None:
    with pytest.raises(RecipeError, match=f"^teacher: {said}"):
        RecipeTraining(tiny(), few_digits, recipe(), seed=0, teacher=teacher)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"optimizer": "lmab"}, r"optimizer: must be 'adamw' or one of timm.optim.*found 'lmab'; did you mean .*lamb"),
        ({"optimizer": "adahessian"}, r"optimizer: must be one that can be resumed"),
        ({"optimizer": "bnbadam"}, r"optimizer: cannot be created"),
        ({"optimizer": "sgd", "betas": (0.9, 0.99)}, r"betas: must be absent with the optimizer 'sgd'"),
        ({"optimizer": "lion", "momentum": 0.9}, r"momentum: must be an option of the optimizer 'lion'"),
        (
            {"optimizer": "sgd", "optimizer_options": {"nestrov": True}},
            r"optimizer_options.nestrov: must be an option of the optimizer 'sgd' \(.*nesterov.*found True",
        ),
        ({"layer_decay": 0.7}, r"layer_decay: must be absent for a network without group_matcher\(\)"),
        ({"optimizer": "sgd", "layer_decay": 0.7}, r"layer_decay: must be absent for a network"),
        ({"augment": "timm:rnd-m9"}, r"augment: must be a policy of timm's .*found 'timm:rnd-m9'"),
        ({"batch_size": 400, "accumulate": 150}, r"accumulate: must leave 2 images or more in each part"),
        ({"distillation": {}}, r"distillation: must be absent without a teacher"),
        (
            {"schedule": "wsd", "schedule_options": {"decay_epochs": 9}},
            r"schedule_options: must be options of the schedule 'wsd' \(",
        ),
    ],
)
def test_recipes_that_do_not_fit_are_refused(fields: dict[str, Any], said: str, few_digits: Dataset) -> None:
    with pytest.raises(RecipeError, match=said):
        RecipeTraining(tiny(), few_digits, recipe(**fields), seed=0)


def test_a_loss_that_is_not_finite_ends_the_training(few_digits: Dataset) -> None:
    net = linear()
    with torch.no_grad():
        net[1].weight[0, 0] = math.nan  # type: ignore[index]
    with pytest.raises(TrainingError, match="epoch 1, step 1: the loss is not finite"):
        list(RecipeTraining(net, few_digits, recipe(), seed=0).epochs())


def test_options_of_the_network() -> None:
    options = network_options(recipe(drop_rate=0.1, drop_path=0.2))
    assert options == {"drop_rate": 0.1, "drop_path_rate": 0.2}
    assert network_options(recipe()) == {}
    net = timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=3, **options)
    assert net.head_drop.p == 0.1
    assert net.blocks[-1].drop_path1.drop_prob == pytest.approx(0.2)


def test_a_plateau_needs_every_epoch_to_be_validated(few_digits: Dataset) -> None:
    options = {"patience_epochs": 0, "decay_rate": 0.5}
    config = recipe(epochs=8, schedule="plateau", warmup_epochs=0, lr=1e-9, schedule_options=options)
    epochs = list(RecipeTraining(linear(), few_digits, config, seed=0).epochs())
    assert all(epoch.val_accuracy is not None for epoch in epochs)
    assert [epoch.lr for epoch in epochs] == [
        1e-9,
        *(1e-9 * 0.5**fall for fall in range(7)),
    ]  # the first one is the best


def test_global_state_is_restored(few_digits: Dataset) -> None:
    torch.manual_seed(5)
    random.seed(5)
    before = torch.get_rng_state(), random.getstate()
    list(RecipeTraining(tiny(), few_digits, recipe(epochs=1, augment="timm:v0", random_erasing=1.0), seed=0).epochs())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
