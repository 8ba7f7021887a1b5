"""Workers that do not see the driver's folder: they fetch what they need, and what they write is brought home."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nas import Study
from nas.analysis.results import Results
from nas.errors import StudyError
from nas.evaluation.driver_store import DriverStore
from nas.evaluation.settings import StudyPlace
from nas.execution.driver_files import FolderFiles
from nas.models.retrain.plan.jobs import RetrainSettings, create_jobs, recipe_digest
from nas.models.retrain.subjects.subject import resolve_word
from nas.models.retrain.subjects.teachers import find_teacher
from nas.models.retrain.training.run_files import SharedRunFiles, StoredRunFiles, open_run_files
from nas.models.retrain.training.worker import RetrainWorker
from nas.study.layout import CHECKPOINT, WEIGHTS
from nas.study.retrained import RESULT, RETRAINED, STOP, retrained_runs
from trainers.data.description import DatasetInfo
from trainers.training.recipe_config import RecipeConfig

RECIPE = RecipeConfig(epochs=3, batch_size=32, augment="none", start="trial")


def settings_of(study: Path, images: DatasetInfo) -> RetrainSettings:
    digest = recipe_digest(RECIPE, None)
    stop = study / RETRAINED / STOP
    return RetrainSettings(
        Study.open(study).images().resolve(), images.fingerprint, RECIPE, digest, None, 1, "cpu", stop
    )


def test_a_run_elsewhere_is_brought_home_and_goes_on_elsewhere(
    copy: Path, results: Results, images: DatasetInfo, tmp_path: Path
) -> None:
    settings = settings_of(copy, images)
    subject = resolve_word("0", results, images, "trial")
    weights = {subject.name: Study.open(copy).trial_folder(0)}
    (job,) = create_jobs([subject], 1, copy, settings.digest, weights)
    store = DriverStore(FolderFiles(copy))

    def work(name: str, is_stop_requested: Callable[[], bool] | None = None) -> str:
        files = StoredRunFiles(store, copy, settings.data_file, tmp_path / name)
        worker = RetrainWorker(settings, "cpu", files)
        worker.is_stop_requested = is_stop_requested or worker.is_stop_requested
        outcome: str = worker.run(job.to_dict())["outcome"]
        assert not [file for file in (tmp_path / name / RETRAINED).rglob("*") if file.is_file()]
        return outcome

    looks = iter([False] * 6 + [True])
    assert work("first", lambda: next(looks)) == "interrupted"
    assert [file.name for file in Path(job.folder).iterdir() if file.name != "progress.json"] == [CHECKPOINT]
    (copy / RETRAINED / STOP).touch()
    assert work("second") == "interrupted"
    (copy / RETRAINED / STOP).unlink()
    assert work("third") == "finished"
    assert sorted(file.name for file in Path(job.folder).iterdir()) == [WEIGHTS, RESULT]
    (run,) = retrained_runs(copy)
    (own,) = create_jobs([subject], 1, tmp_path / "here", settings.digest, weights)
    assert RetrainWorker(settings, "cpu").run(own.to_dict())["outcome"] == "finished"
    found, expected = (load_file(folder / WEIGHTS) for folder in (run.folder(copy), Path(own.folder)))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_teacher_travels(copy: Path, results: Results, images: DatasetInfo, tmp_path: Path) -> None:
    settings = replace(settings_of(copy, images), recipe=RecipeConfig(epochs=1, batch_size=32, augment="none"))
    subject = resolve_word("0", results, images, "scratch")
    (job,) = create_jobs([subject], 1, copy, settings.digest, {})
    assert RetrainWorker(settings, "cpu").run(job.to_dict())["outcome"] == "finished"
    teacher = find_teacher("trial-0", copy, images)
    taught = replace(settings, teacher=teacher, digest=recipe_digest(settings.recipe, teacher))
    (other,) = create_jobs([subject], 1, copy, taught.digest, {})
    files = StoredRunFiles(DriverStore(FolderFiles(copy)), copy, settings.data_file, tmp_path)
    assert RetrainWorker(taught, "cpu", files).run(other.to_dict())["outcome"] == "finished"
    assert {run.teacher for run in retrained_runs(copy)} == {None, "trial-0"}


def test_a_worker_looks_whether_it_sees_the_folder(copy: Path, images: DatasetInfo, tmp_path: Path) -> None:
    settings = settings_of(copy, images)
    assert isinstance(open_run_files(settings, None), SharedRunFiles)
    place = StudyPlace.new(copy, images.fingerprint, None, f"{RETRAINED}/workers")
    placed = replace(settings, place=place)
    with pytest.raises(StudyError, match=r"must be on a disk that all machines share; machine .* does not see it"):
        open_run_files(placed, None)
    stored = open_run_files(placed, FolderFiles(copy))
    assert isinstance(stored, StoredRunFiles)
    outside = replace(placed, data_file=tmp_path / "images.safetensors")
    with pytest.raises(
        StudyError, match=r"--out: must be on a disk that all machines share, or be the folder of the study"
    ):
        open_run_files(outside, FolderFiles(copy))
    (copy / place.workers).mkdir(parents=True)
    (copy / place.workers / place.nonce).touch()
    assert isinstance(open_run_files(placed, FolderFiles(copy)), SharedRunFiles)
