"""How a worker finds the files of its study: it sees the folder, reaches it through the driver or at a URL, or says why not."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nas.errors import StudyError
from nas.evaluation.driver_store import DriverStore
from nas.evaluation.image_cache import MAX_OTHER_FILES, cached_images
from nas.evaluation.place import open_trial_files
from nas.evaluation.settings import EvaluationSettings, StudyPlace
from nas.evaluation.trial_files import SharedTrialFiles, StoredTrialFiles
from nas.evaluation.work_folder import create_work_folder
from nas.execution.driver_files import FileStat, FolderFiles
from nas.study.layout import DATA, WORKERS
from nas.study.segments import WorkerFiles
from trainers.data.config import DataConfig
from trainers.data.description import describe
from trainers.data.prepared import prepare
from trainers.errors import DataError
from trainers.training.config import TrainConfig


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(DataConfig(limit=100), tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of this machine."""
    folder = tmp_path / "machine"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def settings(digits: Path, tmp_path: Path) -> EvaluationSettings:
    """The settings of a study whose driver runs."""
    folder = tmp_path / "study"
    (folder / DATA).mkdir(parents=True)
    images = Path(shutil.copy(digits, folder / DATA))
    place = StudyPlace.new(folder, describe(images).fingerprint, None)
    (folder / WORKERS).mkdir()
    (folder / WORKERS / place.nonce).touch()
    return EvaluationSettings(images, TrainConfig(), place=place)


def folder_of(settings: EvaluationSettings) -> Path:
    assert settings.place is not None
    return settings.place.folder


def moved(settings: EvaluationSettings, folder: Path) -> EvaluationSettings:
    """The settings as on a machine where the study's path leads to `folder`."""
    assert settings.place is not None
    images = folder / DATA / settings.data_file.name
    return replace(settings, data_file=images, place=replace(settings.place, folder=folder))


def test_a_worker_that_sees_the_folder_copies_nothing(settings: EvaluationSettings, machine: Path) -> None:
    files = open_trial_files(settings, FolderFiles(folder_of(settings)))
    assert isinstance(files, SharedTrialFiles)
    assert files.images == settings.data_file
    assert list(machine.iterdir()) == []


def test_a_study_folder_of_another_run_at_the_same_path_is_not_the_study_folder(
    settings: EvaluationSettings, tmp_path: Path
) -> None:
    other = tmp_path / "other machine" / "study"
    shutil.copytree(folder_of(settings), other)
    (nonce,) = (other / WORKERS).iterdir()
    nonce.rename(nonce.with_name("0123456789abcdef"))
    files = open_trial_files(moved(settings, other), FolderFiles(folder_of(settings)))
    assert isinstance(files, StoredTrialFiles)
    assert not files.images.is_relative_to(other)
    assert describe(files.images).fingerprint == describe(settings.data_file).fingerprint


def test_without_any_way_to_the_folder_the_error_names_the_machine(
    settings: EvaluationSettings, tmp_path: Path
) -> None:
    with pytest.raises(
        StudyError, match=f"must be on a disk that all machines share.*{socket.gethostname()} does not see"
    ):
        open_trial_files(moved(settings, tmp_path / "nowhere"), None)


def test_a_url_that_is_another_place_on_this_machine_is_an_error(settings: EvaluationSettings, tmp_path: Path) -> None:
    assert settings.place is not None
    url = f"file://{tmp_path}/elsewhere"
    with pytest.raises(StudyError, match=f"files: must be the same place for all machines, found another at {url}"):
        open_trial_files(replace(settings, place=replace(settings.place, url=url)), None)


class Counting(FolderFiles):
    """Counts the images that are fetched."""

    fetched = 0

    def stat(self, name: str) -> FileStat | None:
        self.fetched += name.startswith("data/")
        return super().stat(name)


def test_images_are_fetched_once_and_again_where_they_were_damaged(
    settings: EvaluationSettings, tmp_path: Path
) -> None:
    served = Counting(folder_of(settings))
    elsewhere = moved(settings, tmp_path / "nowhere")
    images = open_trial_files(elsewhere, served).images
    fetched = served.fetched
    assert open_trial_files(elsewhere, served).images == images
    assert served.fetched == fetched
    content = images.read_bytes()
    images.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert open_trial_files(elsewhere, served).images.read_bytes() == content
    assert served.fetched > fetched


def test_images_that_the_driver_has_damaged_are_an_error(settings: EvaluationSettings, tmp_path: Path) -> None:
    content = settings.data_file.read_bytes()
    settings.data_file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match="is damaged"):
        open_trial_files(moved(settings, tmp_path / "nowhere"), FolderFiles(folder_of(settings)))


def test_several_workers_wait_for_one_fetch(settings: EvaluationSettings, tmp_path: Path, machine: Path) -> None:
    program = """if True:
        import os, sys, time
        from pathlib import Path
        from nas.evaluation.driver_store import DriverStore
        from nas.evaluation.image_cache import cached_images
        from nas.execution.driver_files import FolderFiles

        class Slow(FolderFiles):
            def read(self, *arguments):
                with open(sys.argv[4], "a") as log:
                    log.write("read\\n")
                time.sleep(0.5)
                return super().read(*arguments)

        print(cached_images(DriverStore(Slow(Path(sys.argv[1]))), sys.argv[2], sys.argv[3]))
    """
    assert settings.place is not None
    words = [folder_of(settings), f"data/{settings.data_file.name}", settings.place.fingerprint, tmp_path / "log"]
    command = [sys.executable, "-c", program, *map(str, words)]
    environment = {**os.environ, "TMPDIR": str(machine)}
    started = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = {process.communicate(timeout=600)[0] for process in started}
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(outputs) == 1
    assert (tmp_path / "log").read_text() == "read\n"


def test_images_of_other_studies_are_bounded_and_make_room(
    settings: EvaluationSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.place is not None
    cache = tmp_path / "cache"
    cache.mkdir()
    for age in range(5):
        file = cache / f"{age}.safetensors"
        file.touch()
        os.utime(file, (1e9 - age, 1e9 - age))
    store, name = DriverStore(FolderFiles(folder_of(settings))), f"data/{settings.data_file.name}"
    cached_images(store, name, settings.place.fingerprint, cache)
    others = {file.name for file in cache.glob("?.safetensors")}
    assert others == {f"{age}.safetensors" for age in range(MAX_OTHER_FILES)}  # the most recently used
    (cache / f"{settings.place.fingerprint}.safetensors").unlink()
    monkeypatch.setattr("nas.evaluation.image_cache.MIN_FREE_BYTES", 1 << 62)
    with pytest.raises(
        OSError, match=r"the decoded images need 0\.00 GB, found .* GB free \(TMPDIR names another folder\)"
    ):
        cached_images(store, name, settings.place.fingerprint, cache)
    assert list(cache.glob("*.safetensors")) == []


def test_the_work_folders_of_processes_that_were_killed_are_removed(machine: Path) -> None:
    program = """if True:
        import os, signal
        from nas.evaluation.work_folder import create_work_folder
        print(create_work_folder(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    environment = {**os.environ, "TMPDIR": str(machine)}
    output = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True).stdout
    left = Path(output.strip())
    assert left.is_dir()
    own = create_work_folder()
    second = create_work_folder()
    assert not left.exists()
    assert own.is_dir()  # its process lives
    assert second.is_dir()
    assert own.stat().st_mode & 0o777 == 0o700


def test_a_worker_announces_what_it_trains_through_the_driver(settings: EvaluationSettings, tmp_path: Path) -> None:
    from nas.study.segments import Segment

    files = open_trial_files(moved(settings, tmp_path / "nowhere"), FolderFiles(folder_of(settings)))
    segment = Segment("node2/cuda:1/4711", 12.5, until=3)
    files.announce(4, segment)
    assert list(WorkerFiles(folder_of(settings) / WORKERS).read()) == [(4, segment)]
    announced = folder_of(settings) / WORKERS / "node2_cuda:1_4711.json"
    assert json.loads(announced.read_text())["trial"] == 4
