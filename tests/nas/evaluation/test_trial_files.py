"""One contract for the files of trials, wherever they are: each `opened()` worker is on another machine."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.driver.checkpoints import published
from nas.evaluation.evaluator import Evaluator
from nas.evaluation.place import open_trial_files
from nas.evaluation.publication import ASSUMED_PUBLISH_S, MAX_PUBLISH_SHARE, Publication
from nas.evaluation.settings import EvaluationSettings, MeasuringSettings, StudyPlace
from nas.evaluation.trial_files import SharedTrialFiles, StoredTrialFiles
from nas.execution.driver_files import FolderFiles
from nas.study.layout import CHECKPOINT, DATA, REFERENCE, WEIGHTS, WORKERS, trial_folder
from nas.study.outcomes.inheritance import Inheritance
from nas.study.outcomes.records import Completed, MachineFailure, Paused
from nas.study.outcomes.worker_tasks import TrialTask
from nas.study.segments import WorkerFiles
from nas.study.url_store import UrlStore
from search_space import SearchSpace
from trainers.data.config import DataConfig
from trainers.data.description import describe
from trainers.data.prepared import prepare
from trainers.training.config import TrainConfig

SPACE = SearchSpace.from_dict(
    {
        "stages": [{"mixer": {"conv": {"k": [3, 5]}, "pool": None}, "width": [8, 16], "depth": [1, 2]}],
        "stem": {"patch": 2},
        "image_size": 8,
        "in_chans": 1,
    }
)
EPOCHS = 4
KINDS = ("shared", "driver", "file", "s3")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(DataConfig(limit=200), tmp_path_factory.mktemp("data"))


@dataclass
class Study:
    """A study whose files are kept in one of the ways of `KINDS`."""

    kind: str
    folder: Path
    settings: EvaluationSettings
    machines: Callable[[], Path]

    def worker(self, epochs: int = EPOCHS) -> Evaluator:
        """A worker on a machine that no other worker was on."""
        tempfile.tempdir = str(self.machines())
        files = FolderFiles(self.folder) if self.kind == "driver" else None
        settings = replace(self.settings, train=TrainConfig(epochs=epochs))
        return Evaluator(settings, "cpu", open_trial_files(settings, files))

    def task(self, **changes: Any) -> TrialTask:
        """The trial number 7. Only workers that see the study's folder may use the folder of the task."""
        sees = self.kind == "shared"
        folder = str(trial_folder(self.folder, 7)) if sees else "/proc/no/such/folder"
        architecture = SPACE.sample(np.random.default_rng(0))
        return replace(TrialTask(7, architecture.to_json(), 1, folder), **changes)

    def kept(self, file: str) -> bytes | None:
        """The content of the `file` of the trial, where the driver and other workers find it."""
        path = trial_folder(self.folder, 7) / file
        if self.settings.place is not None and self.settings.place.url is not None:
            assert not path.exists()
            path = self.machines() / file
            UrlStore(self.settings.place.url).fetch(f"trials/00007/{file}", path)
        return path.read_bytes() if path.exists() else None

    def replace_kept(self, file: str, content: bytes) -> None:
        """Write `content` there."""
        path = trial_folder(self.folder, 7) / file
        if self.settings.place is not None and self.settings.place.url is not None:
            path = self.machines() / file
            path.write_bytes(content)
            UrlStore(self.settings.place.url).publish(f"trials/00007/{file}", path)
        else:
            path.write_bytes(content)


@pytest.fixture(params=KINDS)
def study(
    request: pytest.FixtureRequest, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Study]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("trainers.training.checkpoint.ASSUMED_SAVE_S", 0.0)  # a checkpoint after each epoch
    threads = torch.get_num_threads()
    kind, folder = request.param, tmp_path / "study"
    (folder / DATA).mkdir(parents=True)
    data_file = folder / DATA / digits.name
    data_file.write_bytes(digits.read_bytes())
    urls = {"file": f"file://{tmp_path}/elsewhere"}
    url = request.getfixturevalue("s3_url") if kind == "s3" else urls.get(kind)
    place = StudyPlace.new(folder, describe(data_file).fingerprint, url)
    count = iter(range(100))

    def machine() -> Path:
        new = tmp_path / f"machine{next(count)}"
        new.mkdir()
        return new

    sees = kind == "shared"
    seen_place = place if sees else replace(place, folder=Path("/proc/no/such/folder"))
    measuring = MeasuringSettings(
        ("images_per_s",), min_time_s=0.001, max_time_s=0.01, reference_file=folder / REFERENCE if sees else None
    )
    settings = EvaluationSettings(
        data_file if sees else Path("/proc/no/such") / data_file.name,
        TrainConfig(),
        measuring=measuring,
        place=seen_place,
    )
    with WorkerFiles(folder / WORKERS).opened(place.nonce), published(data_file, place, Path):
        yield Study(kind, folder, settings, machine)
    torch.set_num_threads(threads)


def test_a_trial_leaves_its_weights_before_it_returns_and_no_checkpoint(study: Study) -> None:
    outcome = study.worker().evaluate(study.task())
    assert isinstance(outcome, Completed), outcome
    assert study.kept(WEIGHTS) is not None
    if study.kind != "shared":  # where the driver removes it
        assert study.kept(CHECKPOINT) is None


def test_a_paused_trial_goes_on_elsewhere_with_the_same_bits(study: Study) -> None:
    whole = study.worker().evaluate(study.task())
    assert isinstance(whole, Completed), whole
    weights = study.kept(WEIGHTS)
    study.replace_kept(WEIGHTS, b"")
    paused = study.worker().evaluate(study.task(until=2))
    assert isinstance(paused, Paused), paused
    assert study.kept(CHECKPOINT) is not None
    resumed = study.worker()
    outcome = resumed.evaluate(study.task(until=EPOCHS))
    assert isinstance(outcome, Completed), outcome
    assert outcome.trained.values == whole.trained.values
    assert [epoch["train_s"] for epoch in outcome.trained.curve[:2]] == [
        epoch["train_s"] for epoch in paused.trained.curve
    ]  # these epochs were not trained again
    assert tensors(study.kept(WEIGHTS)) == tensors(weights)


def tensors(content: bytes | None) -> bytes:
    """The tensors of a file of weights, without its header, which has times."""
    assert content
    return content[8 + int.from_bytes(content[:8], "little") :]


def test_a_training_that_was_finished_before_is_not_repeated_elsewhere(study: Study) -> None:
    outcome = study.worker().evaluate(study.task())
    assert isinstance(outcome, Completed), outcome
    again = study.worker().evaluate(study.task())
    assert isinstance(again, Completed)
    assert again.trained.curve == outcome.trained.curve


def test_a_trial_takes_weights_over_from_a_trial_of_another_machine(study: Study) -> None:
    parent = study.worker().evaluate(study.task())
    assert isinstance(parent, Completed), parent
    weights, folder = study.kept(WEIGHTS), trial_folder(study.folder, 8)
    folder = folder if study.kind == "shared" else Path("/proc/no/such/folder")
    inherited = Inheritance(7, WEIGHTS, 1)
    child = study.task(number=8, folder=str(folder), seed=2, until=1, inherited=inherited)
    first = study.worker().evaluate(child)
    assert isinstance(first, Paused), first
    assert first.inherited is not None
    assert first.inherited.parameters == 1.0
    again = study.worker().evaluate(child)  # on a machine that has nothing of the trial
    assert isinstance(again, Paused)
    assert again.trained.curve == first.trained.curve  # not trained again
    assert study.kept(WEIGHTS) == weights


def test_a_damaged_checkpoint_starts_the_trial_afresh(study: Study) -> None:
    assert isinstance(study.worker().evaluate(study.task(until=2)), Paused)
    content = study.kept(CHECKPOINT)
    assert content is not None
    study.replace_kept(CHECKPOINT, content[:-1] + bytes([content[-1] ^ 1]))
    outcome = study.worker().evaluate(study.task(until=EPOCHS))
    assert isinstance(outcome, Completed), outcome
    assert len(outcome.trained.curve) == EPOCHS


def test_the_driver_learns_who_trains_what_and_how_fast_its_reference_is(study: Study) -> None:
    worker = study.worker()
    assert isinstance(worker.evaluate(study.task()), Completed)
    announced = list(WorkerFiles(study.folder / WORKERS).read())
    if study.kind in ("file", "s3"):  # this worker has no way to the driver; it sends all with its outcome
        assert announced == []
        return
    assert [(number, segment.worker) for number, segment in announced] == [(7, worker.name)]
    (seconds,) = json.loads((study.folder / REFERENCE).read_text()).values()
    second = study.worker()
    assert isinstance(second.evaluate(study.task(number=8, folder=str(trial_folder(study.folder, 8)))), Completed)
    assert json.loads((study.folder / REFERENCE).read_text()) == {key_of(study): seconds}


def key_of(study: Study) -> str:
    (key,) = json.loads((study.folder / REFERENCE).read_text())
    return str(key)


def test_nothing_stays_on_a_machine_but_the_images(study: Study, tmp_path: Path) -> None:
    if study.kind == "shared":
        return
    worker = study.worker()
    assert isinstance(worker.evaluate(study.task()), Completed)
    assert isinstance(worker.files, StoredTrialFiles)
    assert [file.name for file in worker.files.folder.rglob("*") if file.name in (WEIGHTS, CHECKPOINT)] == []
    assert worker.files.images.is_relative_to(tmp_path / "machine0")


class BrokenStore:
    """A store that takes nothing any more."""

    def fetch(self, name: str, target: Path) -> bool:
        return False

    def publish(self, name: str, source: Path) -> None:
        raise OSError(28, "No space left on device", name)

    def size(self, name: str) -> int | None:
        return None

    def remove(self, name: str) -> None:
        raise AssertionError("nothing was published")


def test_a_place_without_room_for_the_weights_keeps_the_result_and_is_the_machines_fault(
    digits: Path, tmp_path: Path
) -> None:
    files = StoredTrialFiles(BrokenStore(), digits, tmp_path, None)
    outcome = Evaluator(EvaluationSettings(digits, TrainConfig(epochs=2)), "cpu", files).evaluate(
        TrialTask(7, SPACE.sample(np.random.default_rng(0)).to_json(), 1, "/proc/no/such/folder")
    )
    assert isinstance(outcome, MachineFailure)
    assert outcome.is_certain
    assert outcome.trained is not None
    assert "No space left on device" in outcome.reason


class SlowStore(BrokenStore):
    """Publishes when it is allowed to."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.published: list[str] = []

    def publish(self, name: str, source: Path) -> None:
        assert self.may_go_on.wait(60)
        self.published.append(name)


def test_a_checkpoint_is_skipped_while_the_last_is_on_its_way_and_until_its_time_is_earned() -> None:
    now = [0.0]
    store = SlowStore()
    publication = Publication(store, clock=lambda: now[0])
    assert not publication.offer("a", Path("a"))
    now[0] = ASSUMED_PUBLISH_S / MAX_PUBLISH_SHARE
    assert publication.offer("b", Path("b"))
    now[0] += 100.0
    assert not publication.offer("c", Path("c"))  # on its way
    store.may_go_on.set()
    publication.wait()
    now[0] += 100.0 / MAX_PUBLISH_SHARE - 1
    assert not publication.offer("d", Path("d"))  # it took 100 s
    now[0] += 1
    assert publication.offer("e", Path("e"))
    publication.wait()
    assert store.published == ["b", "e"]


def test_shared_files_are_the_default(digits: Path) -> None:
    files = open_trial_files(EvaluationSettings(digits, TrainConfig()), None)
    assert isinstance(files, SharedTrialFiles)
    assert files.images == digits
