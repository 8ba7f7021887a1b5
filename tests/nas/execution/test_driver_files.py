"""The driver's side of its files: what may be named, whole files or none, parts that come again or are lost."""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nas.evaluation.driver_store import PART_BYTES, DriverStore
from nas.execution.driver_files import MAX_DRAFT_AGE_S, MAX_PART_BYTES, FileStat, FolderFiles

CHECKPOINT = "trials/00007/checkpoint.pt"


@pytest.fixture
def files(tmp_path: Path) -> FolderFiles:
    folder = tmp_path / "study"
    (folder / "trials" / "00001").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "study.db").write_bytes(b"the database")
    (folder / "data" / "digits-1.safetensors").write_bytes(b"the images")
    (folder / "trials" / "00001" / "model.safetensors").write_bytes(b"the weights")
    return FolderFiles(folder)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def names_below(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    "name",
    [
        "study.db", "lock", "study.yaml", "", ".", "..", "/etc/passwd", "../study/data/digits-1.safetensors",
        "data/../study.db", "trials/00001/../../study.db", "data/.hidden.safetensors", "data/x/y.safetensors",
        "trials/00001/error.txt", "trials/1/model.safetensors", "trials/00001/model.safetensors\n", "reference.json/x",
        "retrained/timm-x/0123456789ab/seed-0/error.txt", "retrained/timm-x/../0123456789ab/seed-0/checkpoint.pt",
        "retrained/lock", "retrained/timm-x/0123456789ab/seed-/result.json", "retrained/result.json",
        "trials/0000\N{ARABIC-INDIC DIGIT ONE}/model.safetensors", "workers/../study.db", "workers/x.json\0", "TRIALS/00001/x",
    ],
)  # fmt: skip
def test_no_other_file_can_be_named(files: FolderFiles, name: str) -> None:
    with pytest.raises(PermissionError, match="must be a file of the study that workers may use"):
        files.stat(name)
    with pytest.raises(PermissionError):
        files.read(name, 0, 10)
    with pytest.raises(PermissionError):
        files.write(name, b"x", 0, True, digest(b"x"))
    with pytest.raises(PermissionError):
        files.remove(name)


def test_images_are_read_and_never_written(files: FolderFiles) -> None:
    name = "data/digits-1.safetensors"
    assert files.stat(name) == FileStat(10, None)
    assert files.read(name, 4, 100) == b"images"
    with pytest.raises(PermissionError):
        files.write(name, b"x", 0, True, digest(b"x"))
    with pytest.raises(PermissionError):
        files.remove(name)


@pytest.mark.parametrize("link", ["trials/00001", "trials/00001/model.safetensors"])
def test_a_link_that_leads_out_is_not_followed(files: FolderFiles, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "model.safetensors").write_bytes(b"a secret")
    place = files.folder / link
    (files.folder / "trials" / "00001" / "model.safetensors").unlink()
    if place.is_dir():
        place.rmdir()
    place.symlink_to(outside if link == "trials/00001" else outside / "model.safetensors")
    name = "trials/00001/model.safetensors"
    with pytest.raises(PermissionError):
        files.read(name, 0, 100)
    with pytest.raises(PermissionError):
        files.write(name, b"x", 0, True, digest(b"x"))
    assert (outside / "model.safetensors").read_bytes() == b"a secret"


def test_a_file_appears_whole_with_its_last_part(files: FolderFiles) -> None:
    content = b"abcdefghij"
    files.write(CHECKPOINT, content[:4], 0, False, digest(content))
    assert files.stat(CHECKPOINT) is None
    files.write(CHECKPOINT, content[:4], 0, False, digest(content))  # its answer was lost
    files.write(CHECKPOINT, content[4:], 4, True, digest(content))
    assert files.stat(CHECKPOINT) == FileStat(10, digest(content))
    files.write(CHECKPOINT, content[4:], 4, True, digest(content))  # its answer was lost, too
    assert files.read(CHECKPOINT, 0, 100) == content
    assert names_below(files.folder / "trials" / "00007") == {"checkpoint.pt"}


def test_other_content_is_noticed_also_after_it_was_asked_for(files: FolderFiles) -> None:
    for content in (b"first", b"other"):
        files.write(CHECKPOINT, content, 0, True, digest(content))
        assert files.stat(CHECKPOINT) == FileStat(5, digest(content))


def test_a_damaged_write_leaves_the_old_file_and_nothing_else(files: FolderFiles) -> None:
    files.write(CHECKPOINT, b"old", 0, True, digest(b"old"))
    with pytest.raises(ValueError, match="must have the digest"):
        files.write(CHECKPOINT, b"new", 0, True, digest(b"something else"))
    assert files.read(CHECKPOINT, 0, 100) == b"old"
    assert names_below(files.folder / "trials" / "00007") == {"checkpoint.pt"}


def test_a_write_that_breaks_off_leaves_nothing_once_another_comes(files: FolderFiles) -> None:
    files.write(CHECKPOINT, b"half", 0, False, digest(b"half of it"))
    (draft,) = (files.folder / "trials" / "00007").iterdir()
    old = time.time() - MAX_DRAFT_AGE_S - 1
    os.utime(draft, (old, old))
    files.write(CHECKPOINT, b"new", 0, True, digest(b"new"))
    assert names_below(files.folder / "trials" / "00007") == {"checkpoint.pt"}


def test_a_part_whose_predecessors_are_gone_is_refused(files: FolderFiles) -> None:
    content = b"abcdefgh"
    with pytest.raises(FileNotFoundError):
        files.write(CHECKPOINT, content[4:], 4, True, digest(content))
    files.write(CHECKPOINT, content[:2], 0, False, digest(content))
    with pytest.raises(FileNotFoundError, match="the parts before byte 4 are gone"):
        files.write(CHECKPOINT, content[4:], 4, True, digest(content))
    assert files.stat(CHECKPOINT) is None


def test_a_part_is_bounded(files: FolderFiles) -> None:
    large = bytes(MAX_PART_BYTES + 1)
    with pytest.raises(ValueError, match="a part must have at most 8388608 bytes"):
        files.write(CHECKPOINT, large, 0, True, digest(large))
    with pytest.raises(ValueError, match="a part must have 0 to 8388608 bytes"):
        files.read("data/digits-1.safetensors", 0, MAX_PART_BYTES + 1)
    with pytest.raises(ValueError):
        files.read("data/digits-1.safetensors", -1, 10)


def test_two_workers_that_write_one_file_do_not_mix(files: FolderFiles, tmp_path: Path) -> None:
    store = DriverStore(files)
    contents = [bytes([number]) * (2 * PART_BYTES + number) for number in range(4)]
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: store.publish(CHECKPOINT, tmp_path / str(number)), range(4)))
    stat = files.stat(CHECKPOINT)
    assert stat is not None
    assert stat.digest in map(digest, contents)
    assert names_below(files.folder / "trials" / "00007") == {"checkpoint.pt"}


class Restarted(FolderFiles):
    """Loses what was written of a file, once, as when the process that serves the files is restarted on another disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.may_lose = True

    def write(self, name: str, content: bytes, offset: int, is_last: bool, digest: str) -> None:
        if is_last and self.may_lose:
            self.may_lose = False
            for draft in (self.folder / name).parent.glob(".*.tmp"):
                draft.unlink()
        super().write(name, content, offset, is_last, digest)


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, 2 * PART_BYTES + 1])
def test_files_of_any_size_come_and_go(files: FolderFiles, tmp_path: Path, size: int) -> None:
    store, content = DriverStore(Restarted(files.folder)), os.urandom(size)
    (tmp_path / "source").write_bytes(content)
    if size <= PART_BYTES:
        store = DriverStore(files)
    store.publish(CHECKPOINT, tmp_path / "source")
    assert store.size(CHECKPOINT) == size
    assert store.fetch(CHECKPOINT, tmp_path / "new" / "target")
    assert (tmp_path / "new" / "target").read_bytes() == content
    store.remove(CHECKPOINT)
    store.remove(CHECKPOINT)
    assert store.size(CHECKPOINT) is None
    assert not store.fetch(CHECKPOINT, tmp_path / "target")
    assert not (tmp_path / "target").exists()


class Flipping(FolderFiles):
    """Changes what is read."""

    def read(self, name: str, offset: int, size: int) -> bytes:
        return super().read(name, offset, size).replace(b"weights", b"weighty")


def test_content_that_is_damaged_on_its_way_is_an_error_and_leaves_nothing(files: FolderFiles, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="its content does not have its digest"):
        DriverStore(Flipping(files.folder)).fetch("trials/00001/model.safetensors", tmp_path / "target")
    assert not (tmp_path / "target").exists()
