"""A worker of `nas fidelity`: fewer and smaller images, trainings, scores and failures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from nas.evaluation.networks import initial_network
from nas.execution.base import WorkerSite
from nas.execution.driver_files import FolderFiles
from nas.fidelity import worker as workers
from nas.fidelity.factory import FidelityWorkerFactory
from nas.fidelity.plan import Budget, Job
from nas.fidelity.settings import FidelitySettings
from nas.fidelity.worker import FidelityWorker, draw_batches, drop_duplicates, reduce_images, reduce_pixels
from search_space import Architecture
from trainers.data.config import DataConfig
from trainers.data.dataset import load
from trainers.data.description import describe
from trainers.data.prepared import prepare
from trainers.training.config import TrainConfig
from trainers.training.loop import train

SMALL = Architecture.from_dict(
    {
        "stages": [{"mixer": "conv", "width": 8, "depth": 1}],
        "stem": {"patch": 2},
        "image_size": 8,
        "in_chans": 1,
        "num_classes": 10,
    }
)
HUGE = SMALL.replace(  # 2.5 TB of weights, which no machine holds
    stages=(SMALL.stages[0].replace(channel_mixer={"name": "mlp", "expansion": 1e10}),)
)
TRAIN = TrainConfig(epochs=5, lr=5e-3)


def job(budget: Budget | None = None, architecture: Architecture = SMALL, seed: int = 3) -> Job:
    return Job(architecture.id, architecture.to_json(), budget, 0, seed)


@pytest.fixture(scope="module")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(DataConfig(limit=200), tmp_path_factory.mktemp("data"))


@pytest.fixture
def worker(data_file: Path) -> FidelityWorker:
    return FidelityWorker(FidelitySettings(data_file, describe(data_file).fingerprint, TRAIN), "cpu")


def test_a_machine_that_does_not_see_the_folder_fetches_the_images_and_keeps_its_checkpoint(
    data_file: Path, worker: FidelityWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "machine"))
    (tmp_path / "run" / "data").mkdir(parents=True)
    shutil.copy(data_file, tmp_path / "run" / "data")
    nowhere = Path("/proc/no/run")
    settings = FidelitySettings(nowhere / "data" / data_file.name, describe(data_file).fingerprint, TRAIN)
    site = WorkerSite("cpu", FolderFiles(tmp_path / "run"))
    away = FidelityWorkerFactory(settings)(site)
    asked = job(Budget("proxy", 2, 1, 1))
    record = away.run({"job": asked.to_dict(), "checkpoint": str(nowhere / "checkpoints" / "c.pt")})
    here = worker.run_job(asked, tmp_path / "c.pt")
    assert [accuracy for accuracy, _ in record["curve"]] == [accuracy for accuracy, _ in here["curve"]]


def test_fewer_images_are_the_same_share_of_each_class_and_other_splits_stay(data_file: Path) -> None:
    data = load(data_file)
    half, quarter = reduce_images(data, 2), reduce_images(data, 4)
    assert half.train.labels.bincount().tolist() == [-(-n // 2) for n in data.train.labels.bincount().tolist()]
    assert quarter.train.labels.bincount().tolist() == [-(-n // 4) for n in data.train.labels.bincount().tolist()]
    labels = {
        image.numpy().tobytes(): int(label) for image, label in zip(data.train.images, data.train.labels, strict=True)
    }
    for image, label in zip(quarter.train.images, quarter.train.labels, strict=True):
        assert labels[image.numpy().tobytes()] == int(label)
    assert half.val is data.val
    assert (half.mean, half.std) == (data.mean, data.std)
    assert len({half.fingerprint, quarter.fingerprint, data.fingerprint}) == 3
    assert reduce_images(data, 1) is data


def test_smaller_images_are_means_of_pixels_with_new_statistics(data_file: Path) -> None:
    data = load(data_file)
    half = reduce_pixels(data, 2)
    assert half.image_size == (4, 4)
    for small, large in ((half.train, data.train), (half.val, data.val), (half.test, data.test)):
        blocks = large.images.double().unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2))
        assert torch.equal(small.images, blocks.round().byte())
        assert small.labels is large.labels
    shares = half.train.images.double() / 255
    assert half.mean == pytest.approx([float(shares.mean())])
    assert half.std == pytest.approx([float(shares.std(correction=0))])
    assert half.fingerprint != data.fingerprint
    assert reduce_pixels(data, 1) is data


def test_a_training_equals_that_of_the_trainer_with_that_budget(
    worker: FidelityWorker, data_file: Path, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "c.pt"
    record = worker.run_job(job(Budget("epochs/2", 2)), checkpoint)
    data = load(data_file)
    theirs = train(initial_network(SMALL, 3), data, TrainConfig(epochs=2, lr=5e-3, validate_every=1), seed=3)
    assert [accuracy for accuracy, _ in record["curve"]] == [epoch.val_accuracy for epoch in theirs]
    assert all(seconds > 0 for _, seconds in record["curve"])
    assert (record["id"], record["seed"], record["epochs"]) == (SMALL.id, 3, 2)
    assert not checkpoint.exists()


def test_fewer_and_smaller_images_are_trained_on(worker: FidelityWorker, tmp_path: Path) -> None:
    quarter = worker.run_job(job(Budget("images/4", 1, images=4)), tmp_path / "c.pt")
    small = SMALL.replace(image_size=(4, 4))
    half = worker.run_job(job(Budget("pixels/2", 1, pixels=2), small), tmp_path / "c.pt")
    assert (quarter["images"], half["pixels"]) == (4, 2)
    assert len(quarter["curve"]) == len(half["curve"]) == 1
    wrong = worker.run_job(
        job(Budget("pixels/2", 1, pixels=2), small.replace(stem=small.stem.replace(pos_embed=True), image_size=(8, 8))),
        tmp_path / "c.pt",
    )
    assert "failure" in wrong  # positions of 8x8 do not fit images of 4x4


def test_scores_are_finite_timed_and_repeatable(worker: FidelityWorker, data_file: Path, tmp_path: Path) -> None:
    first = worker.run_job(job(), tmp_path / "c.pt")["scores"]
    again = FidelityWorker(FidelitySettings(data_file, describe(data_file).fingerprint, TRAIN), "cpu").run_job(
        job(), tmp_path / "c.pt"
    )["scores"]
    assert list(first) == ["naswot", "synflow", "zico"]
    assert [value for value, _ in first.values()] == [value for value, _ in again.values()]
    assert all(isinstance(value, float) and seconds > 0 for value, seconds in first.values())
    other = worker.run_job(job(seed=4), tmp_path / "c.pt")["scores"]
    assert all(first[name][0] != other[name][0] for name in first)


def test_a_score_that_fails_leaves_the_others(
    worker: FidelityWorker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*words: object) -> float:
        raise ValueError("there is\nnone")

    monkeypatch.setattr(workers.scores, "zico", broken)
    monkeypatch.setattr(workers.scores, "naswot", lambda *words: float("-inf"))
    scores = worker.run_job(job(), tmp_path / "c.pt")["scores"]
    assert scores["zico"][0] == "ValueError: there is"
    assert scores["naswot"][0] == "it is -inf"
    assert isinstance(scores["synflow"][0], float)


def test_batches_share_no_image_and_are_normalised(data_file: Path) -> None:
    data = load(data_file)
    first, second = draw_batches(data, 0)
    assert len(first[0]) == len(second[0]) == len(data.train) // 2
    assert torch.cat([first[0], second[0]]).mean().item() == pytest.approx(0, abs=0.05)
    both = torch.cat([first[1], second[1]]).bincount()
    assert torch.all(both <= data.train.labels.bincount())
    assert not torch.equal(first[0], draw_batches(data, 1)[0][0])
    doubled = torch.cat([first[0], first[0][:5]])
    assert len(drop_duplicates(doubled)) == len(drop_duplicates(first[0])) == len(set(map(str, first[0].tolist())))


def test_a_failed_training_is_recorded_and_the_next_one_runs(worker: FidelityWorker, tmp_path: Path) -> None:
    record = worker.run_job(job(Budget("proxy", 1, 1, 1), HUGE), tmp_path / "c.pt")
    assert "memory" in record["failure"]
    assert "curve" in worker.run_job(job(Budget("proxy", 1, 1, 1)), tmp_path / "c.pt")


def test_jobs_and_records_are_plain_json(worker: FidelityWorker, tmp_path: Path) -> None:
    given = job(Budget("epochs/2", 1))
    assert Job.from_dict(json.loads(json.dumps(given.to_dict()))) == given
    assert Job.from_dict(json.loads(json.dumps(job().to_dict()))) == job()
    record = worker.run({"job": given.to_dict(), "checkpoint": str(tmp_path / "c.pt")})
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_a_failure_of_the_machine_keeps_the_checkpoint_and_says_so(
    worker: FidelityWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(error: Exception) -> None:
        def build(*arguments: object) -> None:
            raise error

        monkeypatch.setattr(workers, "initial_network", build)

    checkpoint = tmp_path / "job.pt"
    for error, cause in ((OSError(28, "No space left on device"), "machine"), (MemoryError(), "either")):
        checkpoint.write_text("epoch 3")
        fail(error)
        record = worker.run_job(job(Budget("proxy", 1, 1, 1)), checkpoint)
        assert record["cause"] == cause
        assert checkpoint.exists() is (cause == "machine")
    fail(ValueError("bad"))
    assert "cause" not in worker.run_job(job(Budget("proxy", 1, 1, 1)), checkpoint)
