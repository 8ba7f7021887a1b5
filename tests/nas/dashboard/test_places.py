"""Where studies are found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nas.dashboard import places
from nas.dashboard.places import StudyPlace, find_studies, without_password


def make_study(folder: Path) -> Path:
    """A folder that looks like a study."""
    folder.mkdir(parents=True)
    (folder / "study.db").touch()
    return folder


def test_studies_are_found_some_levels_below_and_not_within_studies(tmp_path: Path) -> None:
    found = [make_study(tmp_path / name) for name in ("b", "a/x", "a/1/2/3")]
    make_study(tmp_path / "a" / "1" / "2" / "4" / "5")  # too deep
    make_study(tmp_path / "b" / "trials" / "inner")
    make_study(tmp_path / ".hidden")
    assert {place.folder for place in find_studies([tmp_path])} == set(found)
    assert next(place.folder for place in find_studies([found[0], tmp_path])) == found[0]
    assert len(find_studies([tmp_path, tmp_path])) == 3


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    make_study(tmp_path / "a")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "broken").symlink_to(tmp_path / "none")
    assert len(find_studies([tmp_path])) == 1


def test_a_tree_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        (tmp_path / f"{number:02}" / "inner").mkdir(parents=True)
    make_study(tmp_path / "zz")
    monkeypatch.setattr(places, "MAX_FOLDERS", 20)
    assert find_studies([tmp_path]) == []
    monkeypatch.setattr(places, "MAX_FOLDERS", 40)
    assert len(find_studies([tmp_path])) == 1  # near folders come first


def test_a_folder_that_may_not_be_read_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_study(tmp_path / "good")
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refuse(path: str | Path) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(places.os, "scandir", refuse)  # root may read anywhere
    assert len(find_studies([tmp_path])) == 1


def test_a_key_says_nothing_of_a_password() -> None:
    keys = {StudyPlace.of_storage(f"postgresql://me:{word}@host/db", "a b").key for word in ("one", "two")}
    (key,) = keys
    assert key.startswith("a-b-")
    assert without_password("postgresql://me:p@ss@host/db") == "postgresql://host/db"
    assert without_password("sqlite:///runs/a.db") == "sqlite:///runs/a.db"


def test_links_lead_neither_up_nor_to_a_study_twice(tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    own = make_study(shown / "z" / "own")
    make_study(tmp_path / "elsewhere" / "linked")
    (shown / "a").symlink_to(tmp_path)
    (shown / "b").symlink_to(tmp_path / "elsewhere")
    (shown / "zz").symlink_to(shown / "z")
    assert {place.folder for place in find_studies([shown])} == {own, shown / "b" / "linked"}
