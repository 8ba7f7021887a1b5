"""Damage of prepared images is found when they are mapped, whoever caused it, and by whichever version they were written."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from trainers.data.config import DataConfig
from trainers.data.dataset import load
from trainers.data.description import describe
from trainers.data.prepared import prepare
from trainers.data.verification import MAX_MARK_AGE_S, verify
from trainers.errors import DataError

FIXTURE = Path(__file__).parents[2] / "fixtures" / "v0_1" / "study" / "data"
CONFIG = DataConfig(limit=100)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return prepare(CONFIG, tmp_path / "data")


def flip(file: Path, offset: int) -> None:
    """Flip all bits of the byte at `offset`; negative: counted from the end."""
    content = bytearray(file.read_bytes())
    content[offset] ^= 0xFF
    file.write_bytes(content)


def header_end(file: Path) -> int:
    return 8 + int.from_bytes(file.read_bytes()[:8], "little")


def test_an_intact_file_loads_once_it_is_marked_and_before(file: Path) -> None:
    assert load(file).fingerprint == load(file).fingerprint == describe(file).fingerprint


@pytest.mark.parametrize("place", ["first label", "last image"])
def test_a_flipped_byte_is_an_error_also_where_the_file_was_verified_before(file: Path, place: str) -> None:
    load(file)
    flip(file, header_end(file) if place == "first label" else -1)
    with pytest.raises(DataError, match=r"\.safetensors: is damaged: its images or labels are not those"):
        load(file)


def test_metadata_that_were_changed_are_an_error(file: Path) -> None:
    content = file.read_bytes()
    mean = json.dumps(describe(file).mean[0]).encode()
    assert content.count(mean) == 1
    file.write_bytes(content.replace(mean, mean[:-1] + (b"1" if mean[-1:] != b"1" else b"2")))
    with pytest.raises(DataError, match="is damaged"):
        load(file)


def test_damaged_images_are_decoded_again(file: Path) -> None:
    before = file.read_bytes()
    flip(file, -1)
    assert prepare(CONFIG, file.parent) == file
    assert file.read_bytes() == before


def test_a_disk_that_decays_changes_no_times_and_is_found_after_a_day(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    load(file)
    marks = [mark for mark in (tmp_path / "tmp").rglob("verified/*") if not mark.name.endswith(".lock")]
    assert len(marks) == 1
    old = marks[0].stat().st_mtime - MAX_MARK_AGE_S - 1
    os.utime(marks[0], (old, old))
    calls: list[None] = []
    verify(file, lambda: calls.append(None))
    assert calls  # it was read
    calls.clear()
    verify(file, lambda: calls.append(None))
    assert not calls


def test_a_file_of_version_0_1_is_verified_by_its_fingerprint(file: Path, tmp_path: Path) -> None:
    (source,) = FIXTURE.glob("*.safetensors")
    copy = Path(shutil.copy(source, tmp_path / source.name))
    load(copy)
    flip(copy, -1)
    with pytest.raises(DataError, match="is damaged"):
        load(copy)


def test_a_temporary_folder_of_another_user_is_not_trusted(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    other = tmp_path / "other"
    other.mkdir()
    (other / f"mixfront-{os.getuid()}").symlink_to(target)
    monkeypatch.setattr("tempfile.tempdir", str(other))
    load(file)  # verified, without a mark
    assert not list(target.iterdir())


@pytest.mark.parametrize("place", ["fcntl.flock", "pathlib.Path.touch"])
def test_a_temporary_folder_without_locks_or_room_says_nothing_about_the_file(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOLCK if place == "fcntl.flock" else errno.ENOSPC, "not possible")

    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(place, fail)
    verify(file)
    flip(file, -1)
    with pytest.raises(DataError, match="is damaged"):
        verify(file)
