"""`nas export --retrained`: the best-validated full training of a trial, with what is known of it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import timm.data
import timm.optim
import timm.scheduler
import torch
import yaml
from safetensors.torch import load_file

from nas import Study, export
from nas.cli import main as cli
from nas.errors import StudyError, UsageError
from nas.models.export import ExportOptions, Provenance, export_pinned
from nas.models.export.train_file import write_train_file
from nas.models.export.train_recipe import recipe_options
from nas.models.export.train_schedule import TrainSchedule
from nas.models.export.trained_model import TrainedModel
from nas.models.images import study_dataset
from nas.models.loading import load_model
from nas.models.study_models import load_study_model
from nas.models.weights import load_trained
from nas.study.database.storage import write_attributes
from nas.study.layout import WEIGHTS
from nas.study.retrained import RESULT, RetrainedRun, retrained_runs, run_name
from trainers.training.checkpoint import save_weights
from trainers.training.epoch import Epoch
from trainers.training.recipe_config import RecipeConfig, ScheduleOptions
from trainers.training.recipe_schedule import create_schedule

RETRAINED = ExportOptions(retrained=True)
RECIPE = RecipeConfig(epochs=3, lr=0.004, optimizer="timm:lion", mixup=0.2, augment="timm:rand-m5", drop_path=0.1)


@pytest.fixture
def study(small_study: Path, tmp_path: Path) -> Study:
    """A copy of the study without full trainings."""
    return Study.open(shutil.copytree(small_study, tmp_path / "run"))


def write_run(study: Study, trial: int, seed: int, val_accuracy: float) -> torch.Tensor:
    """Write a full training of `trial`, whose weights are others for each seed; returns the bias of its head."""
    network = load_trained(study, study.trials[trial])
    with torch.no_grad():
        network.head.bias += seed + 1
    epochs = [Epoch(n, 1.0, 1.0, val_accuracy, 0.1, 1.0, 1.0).to_dict() for n in range(1, 4)]
    run = RetrainedRun(
        name=run_name("trial", str(trial)), kind="trial", trial=trial, seed=seed, start="scratch",
        architecture_id=network.architecture.id, macs=1, params=1, recipe=RECIPE.model_dump(mode="json"),
        recipe_digest=RECIPE.digest(), fingerprint=study.fingerprint, epochs=tuple(epochs), val_accuracy=val_accuracy,
        test_accuracy=0.25, test_confusion=None, wall_s=1.0, device="a GPU", versions={"torch": "9.9"}, teacher="resnet18",
    )  # fmt: skip
    folder = run.folder(study.folder)
    folder.mkdir(parents=True)
    names = {"run": run.name, "recipe_digest": run.recipe_digest, "seed": str(seed)}
    save_weights(folder / WEIGHTS, network, {"architecture": network.architecture.to_json(), **names})
    (folder / RESULT).write_text(json.dumps(run.to_dict()))
    return network.head.bias.detach()


def test_the_best_validated_run_is_exported(study: Study, tmp_path: Path) -> None:
    biases = [write_run(study, 1, seed, accuracy) for seed, accuracy in enumerate((0.5, 0.75, 0.25))]
    write_run(study, 0, 0, 0.875)  # of another trial
    export(study, 1, tmp_path / "model", RETRAINED)
    assert torch.equal(load_file(tmp_path / "model" / WEIGHTS)["head.bias"], biases[1])
    provenance = Provenance.from_dict(json.loads((tmp_path / "model" / "provenance.json").read_text()))
    assert provenance.name == "small-trial-1-retrained"
    accuracies = provenance.accuracies
    proxy = study.results().trial(1)["accuracy"]
    assert (accuracies.proxy, accuracies.retrained, accuracies.test) == (proxy, 0.75, 0.25)
    assert (provenance.epochs, provenance.training_seed, provenance.training_device) == (3, 1, "a GPU")
    assert provenance.run == f"trial-1/{RECIPE.digest()[:12]}/seed-1"
    assert (provenance.trained_with, provenance.teacher) == ({"torch": "9.9"}, "resnet18")
    card = (tmp_path / "model" / "README.md").read_text()
    assert "| 0.7500 | validation | 40 | full training |" in card
    assert "| 0.2500 | test |" in card


def test_the_recipe_is_that_of_the_full_training(study: Study, tmp_path: Path) -> None:
    write_run(study, 1, 0, 0.5)
    export(study, 1, tmp_path / "model", RETRAINED)
    recipe = yaml.safe_load((tmp_path / "model" / "train.yaml").read_text())
    found = {name: recipe[name] for name in ("epochs", "lr", "opt", "mixup", "aa", "drop_path", "sched", "seed")}
    assert found["epochs"] + recipe["warmup_epochs"] == RECIPE.epochs
    assert found == {
        "epochs": 2, "lr": 0.004, "opt": "lion", "mixup": 0.2, "aa": "rand-m5", "drop_path": 0.1, "sched": "cosine", "seed": 0,
    }  # fmt: skip


def test_the_options_of_a_recipe_are_those_that_timm_makes_the_same_of() -> None:
    """Timm's own factories of transforms, schedules and optimizers take them."""
    plain = ScheduleOptions(decay_milestones=(2, 4), decay_rate=0.5)
    noisy = plain.model_copy(update={"noise": (0.5, 0.9), "noise_std": 0.1})
    recipe = RecipeConfig.model_validate(
        {
            "epochs": 6, "warmup_epochs": 0, "lr": 0.4, "augment": "timm:3augment", "schedule": "multistep",
            "schedule_options": noisy, "optimizer": "timm:sgd", "optimizer_options": {"nesterov": False},
        }
    )  # fmt: skip
    options = SimpleNamespace(**recipe_options(recipe.model_dump(mode="json"), "flip", train_images=64))
    train_transform = timm.data.create_transform(
        (3, 32, 32),
        is_training=True,
        auto_augment=options.aa,
        scale=options.scale,
        hflip=options.hflip,
        color_jitter=0.0,
    )
    names = [type(step).__name__ for step in train_transform.transforms]
    assert names[:3] == ["RandomResizedCropAndInterpolation", "RandomHorizontalFlip", "AutoAugment"]
    optimizer = timm.optim.create_optimizer_v2(
        torch.nn.Linear(1, 1), options.opt, lr=options.lr, weight_decay=0.0, **options.opt_kwargs
    )
    assert optimizer.defaults["nesterov"] is False
    arguments = timm.scheduler.scheduler_kwargs(options)
    assert (arguments["noise"], arguments["noise_std"]) == ([0.5, 0.9], 0.1)
    scheduler, _ = timm.scheduler.create_scheduler_v2(optimizer, **{**arguments, "noise": None}, updates_per_epoch=1)
    own = create_schedule(recipe.model_copy(update={"schedule_options": plain}), steps_per_epoch=1)
    rates = []
    for epoch in range(6):
        scheduler.step_update(epoch)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([own(epoch, ()) for epoch in range(6)])
    assert (rates[0], rates[-1]) == pytest.approx((0.4, 0.1))


SCHEDULES: dict[str, tuple[dict[str, Any], float]] = {
    "cosine": ({"warmup_epochs": 5}, 1 / 15),
    "cosine at once": ({"warmup_epochs": 0}, 0.0),
    "one epoch": ({"epochs": 1, "warmup_epochs": 0}, 0.0),
    "onecycle": ({"schedule": "onecycle"}, 0.15),
    **{name: ({"schedule": name, "warmup_epochs": 2}, 0.0) for name in ("poly", "tanh", "wsd", "rsqrt", "timm:cosine")},
    "step": ({"schedule": "step", "epochs": 100, "schedule_options": {"min_lr": 1e-4, "warmup_lr": 1e-3}}, 0.0),
    "multistep": ({"schedule": "multistep", "schedule_options": {"decay_milestones": [3, 9]}}, 0.0),
}
"""Fields of a recipe, and the largest difference to timm's learning rate, as a share of the peak."""


@pytest.mark.parametrize(("changes", "difference"), SCHEDULES.values(), ids=SCHEDULES.keys())
def test_the_schedule_that_timm_makes_of_the_recipe_is_ours(
    study: Study, tmp_path: Path, changes: dict[str, Any], difference: float
) -> None:
    """Step by step, as `train.py` asks for it: the rate of a step is set after the update before."""
    write_run(study, 1, 0, 0.5)
    trained = TrainedModel.load(study, study.results().trial(1), study_dataset(study), retrained_runs(study.folder)[0])
    recipe = RecipeConfig.model_validate({"epochs": 20, "lr": 0.01, "batch_size": 32, **changes})
    assert trained.run is not None
    run = dataclasses.replace(trained.run, recipe=recipe.model_dump(mode="json"))
    write_train_file(dataclasses.replace(trained, run=run), tmp_path / "train.yaml", has_class_map=True)
    options = SimpleNamespace(**yaml.safe_load((tmp_path / "train.yaml").read_text()))
    steps = len(trained.images.train) // options.batch_size
    assert steps == 3
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=options.lr)
    arguments = timm.scheduler.scheduler_kwargs(options)
    scheduler, epochs = timm.scheduler.create_scheduler_v2(optimizer, **arguments, updates_per_epoch=steps)
    assert range(epochs) == range(recipe.epochs)
    own = create_schedule(recipe, steps)
    differences = []
    for step in range(epochs * steps):
        differences.append(own(step, ()) - optimizer.param_groups[0]["lr"])
        scheduler.step_update(num_updates=step + 1)
    assert max(map(abs, differences)) <= difference * recipe.lr + 1e-9
    if difference:
        assert max(map(abs, differences)) > difference * recipe.lr / 2  # the comment in the file is not too careful


@pytest.mark.parametrize(
    ("schedule", "remarks"),
    [
        (
            TrainSchedule("cosine", 0.01, 20, 5, 30),
            [
                "epochs: without those of the warm-up; 20 in all",
                "learning rate: that of the training, but up to 0.67 % of lr lower during the warm-up",
            ],
        ),
        (
            TrainSchedule("cosine", 0.01, 2, 1, 1),
            [
                "epochs: without those of the warm-up; 2 in all",
                "learning rate: that of the training, but up to 100 % of lr lower during the warm-up",
            ],
        ),
        (TrainSchedule("cosine", 0.01, 1, 5, 30), ["warmup_epochs: whole epochs in timm; 0.5 in the training"]),
        (
            TrainSchedule("cosine", 0.01, 3, 5, 30),
            [
                "epochs: without those of the warm-up; 3 in all",
                "warmup_epochs: whole epochs in timm; 1.5 in the training",
            ],
        ),
        (TrainSchedule("cosine", 0.01, 20, 0, 30), []),
        (TrainSchedule("step", 0.01, 20, 1.5, 30), ["warmup_epochs: whole epochs in timm; 1.5 in the training"]),
    ],
)
def test_what_timm_does_otherwise_is_named(schedule: TrainSchedule, remarks: list[str]) -> None:
    assert schedule.remarks == remarks


def test_damaged_weights_are_refused_and_nothing_is_written(study: Study, tmp_path: Path) -> None:
    write_run(study, 1, 0, 0.5)
    (file,) = (study.folder / "retrained").rglob(WEIGHTS)
    content = file.read_bytes()
    file.write_bytes(content[:-4] + bytes(4))
    with pytest.raises(StudyError, match="is damaged"):
        export(study, 1, tmp_path / "model", RETRAINED)
    assert not (tmp_path / "model").exists()


def run_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[int, str, str]:
    """Run `nas` with `words`; returns its exit code and what it printed."""
    monkeypatch.setattr(sys, "argv", ["nas", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0), *capsys.readouterr()


def test_trials_of_a_front_that_were_not_retrained_are_named(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_attributes(study.folder, {"pins": [1, 0]})
    words = ("export", study.folder, "--pinned", "--retrained", "--out", tmp_path / "models")
    code, _, error = run_command(monkeypatch, capsys, *words)
    assert code == 2
    assert "none of the trials 1, 0 was retrained" in error
    assert not (tmp_path / "models").exists()
    write_run(study, 1, 4, 0.75)
    code, printed, _ = run_command(monkeypatch, capsys, *words)
    assert code == 0
    recipe = RECIPE.digest()[:12]
    assert (
        f"weights: full training, recipe {recipe}, seed 4; validation accuracy 0.7500; test accuracy 0.2500" in printed
    )
    assert printed.endswith("left out, for they were not retrained: trials 0\n")
    code, printed, _ = run_command(monkeypatch, capsys, *words, "--json")
    record = json.loads(printed)
    assert (record["left_out"], [model["run"] for model in record["models"]]) == ([0], [f"trial-1/{recipe}/seed-4"])
    assert record["models"][0]["accuracies"]["retrained"] == 0.75
    assert list(export_pinned(Study.open(study.folder), tmp_path / "models", RETRAINED)) == [1]


def test_full_trainings_are_models_of_commands(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    biases = [write_run(study, 1, seed, accuracy) for seed, accuracy in enumerate((0.5, 0.75, 0.25))]
    recipe = RECIPE.digest()[:12]
    for word, seed in (("trial-1", 1), (f"trial-1/{recipe}", 1), (f"trial-1/{recipe}/seed-2", 2)):
        model = load_study_model(study, word)
        assert torch.equal(model.module.head.bias, biases[seed]), word
        assert (model.name, model.kind) == (f"trial-1 (seed {seed})", "retrained")
    folder = study.folder / "retrained" / "trial-1" / recipe / "seed-2"
    assert torch.equal(load_model(str(folder)).module.head.bias, biases[2])
    code, printed, _ = run_command(monkeypatch, capsys, "validate", "trial-1", study.folder, "--json")
    record = json.loads(printed)
    assert (code, record["model"], record["split"]) == (0, "trial-1 (seed 1)", "test split")
    words = ("1", f"trial-1/{recipe}/seed-2", folder.parent / "seed-0", "--study", study.folder)
    options = ("--only", "channels", "--limit", 20, "--json", "--out", tmp_path / "page.html")
    code, printed, _ = run_command(monkeypatch, capsys, "diagnose", *words, *options)
    names = [model["name"] for model in json.loads(printed)["models"]]
    assert (code, names) == (0, ["trial 1", "trial-1 (seed 2)", "trial-1 (seed 0)"])


def test_a_full_training_that_is_none_of_the_study_is_refused(study: Study, tmp_path: Path) -> None:
    write_run(study, 1, 0, 0.5)
    with pytest.raises(UsageError, match=r"trial-2: .* has no such full training .known: trial-1.$"):
        load_study_model(study, "trial-2")
    folder = study.folder / "retrained" / "trial-1" / RECIPE.digest()[:12] / "seed-0"
    away = Path(shutil.copytree(folder, tmp_path / "trial-1" / folder.parent.name / "seed-0"))
    with pytest.raises(UsageError, match="must be in the folder of its study"):
        load_model(str(away))
    (away / RESULT).write_text("{}")
    with pytest.raises(UsageError, match="is no record of a training"):
        load_model(str(away))


def test_files_of_an_earlier_export_that_are_removed_are_named(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("export", small_study, "best", "--out", tmp_path / "model")
    assert "removed" not in run_command(monkeypatch, capsys, *words, "--standalone")[1]
    (tmp_path / "model" / "model.onnx").write_text("earlier")
    (tmp_path / "model" / "notes.txt").write_text("of the user")
    _, printed, _ = run_command(monkeypatch, capsys, *words)
    assert "removed, of the earlier export: model.onnx, model.py\n" in printed
    assert (tmp_path / "model" / "notes.txt").is_file()
    assert not (tmp_path / "model" / "model.py").exists()


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (("export", "STUDY", "best", "--out", "OUT"), "nas.models.export.run.study_dataset"),
        (("validate", "best", "STUDY"), "nas.models.validate.run.read_images"),
        (("diagnose", "best", "--study", "STUDY", "--out", "OUT"), "nas.models.diagnose.request.study_sample"),
        (("data", "STUDY"), "nas.study.data_argument.describe_data"),
    ],
)
def test_an_interrupted_command_says_so(
    small_study: Path, tmp_path: Path, words: tuple[str, ...], place: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, interrupt)
    places = {"STUDY": small_study, "OUT": tmp_path / "out"}
    code, printed, error = run_command(monkeypatch, capsys, *(places.get(word, word) for word in words))
    assert (code, printed, error.splitlines()[-1]) == (130, "", "interrupted; nothing was written")
    assert not (tmp_path / "out").exists()
