"""Wrong input of every command: an error, before anything is started, that leaves no new or changed file or folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.study.layout import CONFIG

STUDY = """\
trials: 4
data: {source: digits, limit: 300}
space:
  stem: {patch: 4}
  stages: [{mixer: {conv: {k: [3, 5]}, pool: null}, width: [8, 16], depth: 1}]
train: {epochs: 1}
"""

# Words of a command -> a part of the message. The folder holds what `content` writes.
SEARCHES = {
    "search study.yaml --out new/runs data.source=folder data.path=nowhere": "no such folder",
    "search study.yaml --out new/runs data.source=folder data.path=notes.txt": "is not a folder",
    "search study.yaml --out new/runs data.source=folder data.path=empty": "holds no folder of images",
    "search study.yaml --out new/runs data.source=folder data.path=broken data.limit=null": "1.png",
    "search study.yaml --out new/runs data.source=cifar10 data.path=empty": "holds neither",
    "search study.yaml --out new/runs data.limit=10": "limit",
    "search study.yaml --out new/runs limits.macs=1": "no architecture of the space is that cheap",
    "search study.yaml --out new/runs space.num_classes=3": "must be that of the data",
    "search study.yaml --out new/runs start.presets=[nothing]": "start.presets[0]",
    "search study.yaml --out new/runs start.study=nowhere": "start.study",
    "search study.yaml --out new/runs start.study=empty": "start.study",
    "search study.yaml --out new/runs sampler.name=nothing": "no such sampler",
    "search study.yaml --out new/runs resources.executor=nothing": "no such executor",
    "search study.yaml --out new/runs resources.gpus_per_trial=1": "the machine has 0 GPUs",
    "search study.yaml --out new/runs resources.cpus_per_trial=100000": "CPUs, found 100000",
    "search study.yaml --out new/runs resources.address=127.0.0.1:1": "no Ray cluster answers",
    "search study.yaml --out new/runs resources.executor=local resources.address=127.0.0.1:1": "must be null",
    "search study.yaml --out new/runs train.compile=default": "needs a compiler",
    "search study.yaml --out notes.txt": "must be a folder that can be written to",
    "search study.yaml --out notes.txt/runs": "must be a folder that can be written to",
    "search study.yaml --out /proc/nas/runs": "must be a folder that can be written to",
    "search nowhere.yaml --out new/runs": "no such file",
    "search study.yaml --out new/runs trials=0": "trials",
}
OTHERS = {
    "data nowhere --html new/page.html": "no such folder",
    "data study.yaml data.source=folder data.path=nowhere --html new/page.html": "no such folder",
    "data study.yaml --html notes.txt/page.html": "must be a folder that can be written to",
    "data empty --html new/page.html": "holds no folder of images",
    "fidelity study.yaml --out new/runs --sample 1": "--sample",
    "fidelity study.yaml --out new/runs --sample 100": "architectures",
    "fidelity study.yaml --out new/runs --sample 3 data.source=folder data.path=nowhere": "no such folder",
    "fidelity study.yaml --out new/runs --sample 3 limits.macs=1": "no architecture of the space is that cheap",
    "fidelity study.yaml --out new/runs --sample 3 resources.cpus_per_trial=100000": "CPUs, found 100000",
    "fidelity study.yaml --out notes.txt/runs --sample 3": "must be a folder that can be written to",
    "fidelity nowhere --out new/runs": "nowhere",
    "export done 99 --out new/model": "99",
    "export done best --out notes.txt": "must be a folder",
    "export done best --out notes.txt/model": "must be a folder",
    "export done best --out broken": "holds other files",
    "export done best --out new/model": "weights",
    "export empty best --out new/model": "holds no study",
    "report done --out empty": "is a folder",
    "report done --out /proc/report.html": "must be a folder that can be written to",
    "data study.yaml --html /proc/page.html": "must be a folder that can be written to",
    "export done best --out /proc/model": "must be a folder that can be written to",
    "validate nowhere study.yaml --html /proc/page.html": "must be a folder that can be written to",
    "diagnose best --study done --out /proc/page.html": "must be a folder that can be written to",
    "report done --out notes.txt/report.html": "must be a folder",
    "report empty": "holds no study",
    "status empty": "holds no study",
    "backup empty new/backup.tar": "holds no study",
    "backup done notes.txt": "a backup must be named",
    "backup done notes.txt/backup.tar": "must be a folder",
    "backup done new/backup.tar --data": "images are missing",
    "doctor empty": "holds no study",
    "doctor empty --repair": "holds no study",
    "front empty": "holds no study",
    "front done --json --csv": "one of them",
    "show done 99": "99",
    "init notes.txt": "already exists",
    "init notes.txt/new.yaml": "notes.txt",
    "init new/study.yaml --preset nothing": "nothing",
    "init new/study.yaml --preset swin_tiny_patch4_window7 --image-size 6": "does not fit",
    "bench search --table nowhere.csv --out new/figure.html": "nowhere.csv",
    "bench search --table notes.txt --out new/figure.png": "a figure is an .html file",
    "bench search --table notes.txt --out notes.txt/figure.html": "must be a folder",
    "bench search --table notes.txt --samplers nothing --out new/figure.html": "no such sampler",
    "bench throughput nothing": "nothing",
    "bench throughput study.yaml --sample 100": "architectures",
    "bench throughput study.yaml --device cuda:9": "cuda:9",
}


@pytest.fixture
def content(tmp_path: Path, digits_study: Path) -> Path:
    """A folder with a study file, a finished study without weights, a text file, an empty folder and broken images."""
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "notes.txt").write_text("no data")
    (tmp_path / "empty").mkdir()
    shutil.copytree(digits_study, tmp_path / "done")
    for name in ("cat", "dog"):
        (tmp_path / "broken" / name).mkdir(parents=True)
        for number in range(8):
            Image.fromarray(np.full((8, 8), number, np.uint8)).save(tmp_path / "broken" / name / f"{number}.png")
    (tmp_path / "broken" / "cat" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    return tmp_path


def digest(folder: Path) -> dict[str, str]:
    """Every file and folder below `folder`, with a digest of its content. Readers of SQLite may open its log."""
    return {
        str(place.relative_to(folder)): hashlib.sha256(place.read_bytes()).hexdigest() if place.is_file() else ""
        for place in sorted(folder.rglob("*"))
        if not place.name.endswith(("-wal", "-shm")) and place.name != "study.db"
    }


@pytest.mark.parametrize(("words", "message"), [*SEARCHES.items(), *OTHERS.items()])
def test_an_error_starts_and_leaves_nothing(
    nas: Callable[..., Any], content: Path, monkeypatch: pytest.MonkeyPatch, words: str, message: str
) -> None:
    def start(*arguments: object) -> None:
        raise AssertionError("an executor was opened")

    for wait in ("LISTING_WAIT_S", "DECODING_WAIT_S"):  # on a busy machine a few images may take longer
        monkeypatch.setattr(f"nas.driver.start.reading.{wait}", 60.0)
    monkeypatch.setattr("nas.driver.search_run.open_executor", start)
    monkeypatch.setattr("nas.fidelity.run.open_executor", start)
    monkeypatch.setattr("nas.execution.resources.count_gpus", lambda: 0)
    monkeypatch.setenv("PATH", str(content / "empty"))  # no compiler
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    before = digest(content)
    ended = nas(*words.split())
    assert ended.returncode in (1, 2)
    assert ended.stderr.startswith("nas: error: ")
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert digest(content) == before


def test_images_without_room_on_the_disk_are_an_error_with_numbers(
    nas: Callable[..., Any], content: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(content)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    before = digest(content)
    ended = nas("search", "study.yaml", "--out", "new", "data.source=folder", "data.path=broken", "data.limit=null",
                "data.image_size=1024")  # fmt: skip
    assert ended.returncode == 2
    assert "16 images of 1024x1024 pixels need at least 0.0 GB on the disk of new" in ended.stderr
    assert "found 0.0 GB" in ended.stderr
    assert digest(content) == before


def test_an_error_of_a_study_that_exists_changes_nothing(nas: Callable[..., Any], content: Path) -> None:
    (content / "done" / CONFIG).write_text(STUDY)
    before = digest(content)
    ended = nas("search", "study.yaml", "--out", "done", "train.epochs=7")
    assert ended.returncode == 2
    assert "`nas search DIR` continues it as it is; another --out begins another study" in ended.stderr
    assert digest(content) == before
