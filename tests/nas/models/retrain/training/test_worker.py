"""The worker: an interrupted run ends with the bits of an undisturbed one; its weights are those of its record."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nas import Study
from nas.analysis.results import Results
from nas.errors import StudyError, UsageError
from nas.models.retrain import load_retrained, retrained_network
from nas.models.retrain.plan.jobs import RetrainJob, RetrainSettings, create_jobs, finished_run, recipe_digest
from nas.models.retrain.plan.measuring import study_measuring
from nas.models.retrain.subjects.subject import Subject, baseline_subject, resolve_word
from nas.models.retrain.subjects.teachers import Teacher, find_teacher
from nas.models.retrain.subjects.timm_models import ImageShape
from nas.models.retrain.training.networks import check_job
from nas.models.retrain.training.worker import RetrainWorker
from nas.study.layout import CHECKPOINT, WEIGHTS
from nas.study.retrained import RESULT, retrained_runs
from trainers.data.dataset import load
from trainers.data.description import DatasetInfo
from trainers.training.evaluation import evaluate
from trainers.training.recipe_config import ImageSizeSchedule, RecipeConfig

RECIPE = RecipeConfig(epochs=3, batch_size=32, ema=0.9, augment="shift", mixup=0.2)


def settings_of(searched: Path, images: DatasetInfo, root: Path, teacher: Teacher | None = None) -> RetrainSettings:
    return RetrainSettings(
        data_file=Study.open(searched).images(),
        fingerprint=images.fingerprint,
        recipe=RECIPE,
        digest=recipe_digest(RECIPE, teacher),
        teacher=teacher,
        threads=1,
        device="cpu",
        stop_file=root / "stop",
    )


def job_of(subject: Subject, root: Path, settings: RetrainSettings, weights: Path | None = None) -> RetrainJob:
    folders = {} if weights is None else {subject.name: weights}
    (job,) = create_jobs([subject], 1, root, settings.digest, folders)
    Path(job.folder).mkdir(parents=True)
    return job


@pytest.fixture
def trial(results: Results, images: DatasetInfo) -> Subject:
    return resolve_word("0", results, images, "scratch")


def test_an_interrupted_run_ends_as_an_undisturbed_one(
    searched: Path, images: DatasetInfo, trial: Subject, tmp_path: Path
) -> None:
    settings = settings_of(searched, images, tmp_path)
    undisturbed = job_of(trial, tmp_path / "undisturbed", settings)
    assert RetrainWorker(settings, "cpu").run(undisturbed.to_dict()) == {
        "outcome": "finished", "reason": "", "traceback": "",
    }  # fmt: skip
    disturbed = job_of(trial, tmp_path / "disturbed", settings)
    worker = RetrainWorker(settings, "cpu")
    looks = iter([False] * 8 + [True])  # in the second of four steps of the second epoch
    worker.is_stop_requested = lambda: next(looks)  # type: ignore[method-assign, assignment]
    assert worker.run(disturbed.to_dict())["outcome"] == "interrupted"
    assert (Path(disturbed.folder) / CHECKPOINT).is_file()
    assert not (Path(disturbed.folder) / RESULT).exists()
    assert RetrainWorker(settings, "cpu").run(disturbed.to_dict())["outcome"] == "finished"
    runs = [finished_run(job, images.fingerprint) for job in (undisturbed, disturbed)]
    curves = [[(e["train_loss"], e["val_loss"]) for e in run.epochs] for run in runs if run is not None]
    assert len(curves[0]) == 3
    assert curves[0] == curves[1]
    assert runs[0] is not None
    assert runs[1] is not None
    assert runs[0].test_confusion == runs[1].test_confusion
    weights = [load_file(Path(job.folder) / WEIGHTS) for job in (undisturbed, disturbed)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert sorted(path.name for path in Path(disturbed.folder).iterdir()) == [WEIGHTS, RESULT]


def test_the_record_is_that_of_the_weights(searched: Path, images: DatasetInfo, trial: Subject, tmp_path: Path) -> None:
    settings = settings_of(searched, images, tmp_path)
    RetrainWorker(settings, "cpu").run(job_of(trial, tmp_path, settings).to_dict())
    (run,) = retrained_runs(tmp_path)
    assert (run.name, run.trial, run.start, run.architecture_id) == ("trial-0", 0, "scratch", trial.architecture.id)  # type: ignore[union-attr]
    assert RecipeConfig.model_validate(run.recipe) == RECIPE
    assert run.macs == trial.macs
    network = retrained_network(tmp_path, run)
    assert run.params == sum(parameter.numel() for parameter in network.parameters())
    data = load(settings.data_file)
    assert evaluate(network, data.test, data)[1] == run.test_accuracy
    assert evaluate(network, data.val, data)[1] == run.val_accuracy == run.epochs[-1]["val_accuracy"]
    assert run.confusion is not None
    assert run.confusion.accuracy == run.test_accuracy
    run.folder(tmp_path).rename(replace(run, seed=7).folder(tmp_path))
    with pytest.raises(StudyError, match="the weights must be those of the run: seed 7, found 0"):
        load_retrained(tmp_path, replace(run, seed=7))
    with pytest.raises(StudyError, match="the weights of this run are missing"):
        load_retrained(tmp_path, run)


def test_a_training_starts_from_the_weights_of_its_trial(
    searched: Path, images: DatasetInfo, results: Results, tmp_path: Path
) -> None:
    settings = settings_of(searched, images, tmp_path)
    frozen = replace(settings, recipe=RECIPE.model_copy(update={"lr": 1e-12, "epochs": 1, "weight_decay": 0.0}))
    weights = Study.open(searched).trial_folder(0)
    job = job_of(resolve_word("0", results, images, "trial"), tmp_path, settings, weights)
    assert RetrainWorker(frozen, "cpu").run(job.to_dict())["outcome"] == "finished"
    before, after = load_file(weights / WEIGHTS), load_file(Path(job.folder) / WEIGHTS)
    parameters = [name for name in before if "running" not in name and "num_batches" not in name]
    assert parameters
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in parameters)


def test_a_model_of_timm_is_trained_and_loaded(searched: Path, images: DatasetInfo, tmp_path: Path) -> None:
    settings = replace(
        settings_of(searched, images, tmp_path), recipe=RECIPE.model_copy(update={"epochs": 1, "drop_path": 0.1})
    )
    subject = baseline_subject("test_resnet", images, {"drop_path_rate": 0.1})
    RetrainWorker(settings, "cpu").run(job_of(subject, tmp_path, settings).to_dict())
    (run,) = retrained_runs(tmp_path)
    model = load_retrained(tmp_path, run)
    data = load(settings.data_file)
    assert evaluate(model, data.test, data)[1] == run.test_accuracy
    with pytest.raises(UsageError, match="timm-test_resnet: is a model of timm, which has no architecture"):
        retrained_network(tmp_path, run)
    teacher = find_teacher("timm-test_resnet", tmp_path, images)
    assert recipe_digest(RECIPE, teacher) != recipe_digest(RECIPE, None)
    with pytest.raises(
        UsageError, match=r"must have the 10 classes of the study, found 1000 in test_resnet; train it first"
    ):
        find_teacher("test_resnet", tmp_path, images)


def test_a_teacher_is_chosen_among_the_runs_that_fit(
    searched: Path, images: DatasetInfo, trial: Subject, tmp_path: Path
) -> None:
    settings = settings_of(searched, images, tmp_path)
    RetrainWorker(settings, "cpu").run(job_of(trial, tmp_path, settings).to_dict())
    (run,) = retrained_runs(tmp_path)
    others = {"better": {"fingerprint": images.fingerprint, "seed": 1}, "foreign": {"fingerprint": "other", "seed": 2}}
    for change in others.values():
        other = replace(run, val_accuracy=1.0, **change)  # type: ignore[arg-type]
        other.folder(tmp_path).mkdir(parents=True)
        (other.folder(tmp_path) / RESULT).write_text(json.dumps(other.to_dict()))
    assert find_teacher("trial-0", tmp_path, images).folder == str(
        run.folder(tmp_path)
    )  # the better one has no weights
    (run.folder(tmp_path) / WEIGHTS).unlink()
    with pytest.raises(UsageError, match=r"the weights of trial-0 are missing from .*seed-1"):
        find_teacher("trial-0", tmp_path, images)
    with pytest.raises(UsageError, match="trial-0 was trained on other images"):
        find_teacher("trial-0", tmp_path, replace(images, fingerprint="unknown"))


def test_images_grow_only_for_networks_that_take_them(images: DatasetInfo) -> None:
    recipe = RecipeConfig(image_size_schedule=ImageSizeSchedule(start=0.5))
    photographs = replace(images, image_size=(32, 32), in_chans=3)
    for name, is_fitting in {"test_resnet": True, "test_vit": False}.items():
        job = RetrainJob(baseline_subject(name, photographs, {}), 0, "")
        with nullcontext() if is_fitting else pytest.raises(UsageError, match=r"cannot take images of 20x20 .*height"):
            check_job(job, ImageShape(3, (32, 32), 10), recipe)


@pytest.mark.parametrize("device", ["another processor", None])
def test_throughput_is_measured_on_the_device_of_the_study_alone(
    searched: Path, images: DatasetInfo, tmp_path: Path, device: str | None
) -> None:
    measuring = study_measuring(Study.open(searched))
    assert measuring is not None
    assert measuring.threads == 1
    settings = replace(
        settings_of(searched, images, tmp_path),
        recipe=RECIPE.model_copy(update={"epochs": 1}),
        measuring=measuring if device is None else replace(measuring, device=device),
    )
    subject = baseline_subject("test_resnet", images, {})
    assert RetrainWorker(settings, "cpu").run(job_of(subject, tmp_path, settings).to_dict())["outcome"] == "finished"
    (run,) = retrained_runs(tmp_path)
    assert (run.images_per_s is None) == (device is not None)


def test_a_run_teaches_another(searched: Path, images: DatasetInfo, trial: Subject, tmp_path: Path) -> None:
    settings = settings_of(searched, images, tmp_path)
    RetrainWorker(settings, "cpu").run(job_of(trial, tmp_path, settings).to_dict())
    alone = retrained_runs(tmp_path)[0]
    taught = settings_of(searched, images, tmp_path, find_teacher("trial-0", tmp_path, images))
    RetrainWorker(taught, "cpu").run(job_of(trial, tmp_path, taught).to_dict())
    (other,) = [run for run in retrained_runs(tmp_path) if run.teacher == "trial-0"]
    assert other.recipe_digest != alone.recipe_digest
    assert other.epochs[0]["train_loss"] != alone.epochs[0]["train_loss"]


def test_a_training_that_fails_tells_its_traceback_and_leaves_no_record(
    searched: Path, images: DatasetInfo, trial: Subject, tmp_path: Path
) -> None:
    settings = settings_of(searched, images, tmp_path)
    divergent = replace(
        settings,
        recipe=RECIPE.model_copy(update={"lr": 100.0, "grad_clip": None, "optimizer": "timm:sgd", "epochs": 20}),
    )
    job = job_of(trial, tmp_path, settings)
    end = RetrainWorker(divergent, "cpu").run(job.to_dict())
    assert end["outcome"] == "failed"
    assert "TrainingError" in end["traceback"]
    assert retrained_runs(tmp_path) == ()


def test_damaged_weights_and_foreign_records_are_noticed(
    searched: Path, images: DatasetInfo, trial: Subject, tmp_path: Path
) -> None:
    settings = settings_of(searched, images, tmp_path)
    job = job_of(trial, tmp_path, settings)
    RetrainWorker(settings, "cpu").run(job.to_dict())
    (run,) = retrained_runs(tmp_path)
    with pytest.raises(UsageError, match="holds a run on other images; --out DIR names another folder"):
        finished_run(job, "another fingerprint")
    weights = Path(job.folder) / WEIGHTS
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(StudyError, match="is damaged: the tensors do not have the digest"):
        load_retrained(tmp_path, run)
    job.result_file.write_text(json.dumps(run.to_dict())[:-5])
    assert finished_run(job, images.fingerprint) is None  # the run is repeated
