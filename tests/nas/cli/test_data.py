"""`nas data`: the same description for a folder, a study, the folder of a study and a source; nothing is left behind."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from PIL import Image

from nas.formatting import dimensions

Run = Callable[..., CompletedProcess[str]]


BROKEN_WARNING = (
    "nas: warning: data: 1 image left out; `nas search` would end with an error: "
    "data.on_error=skip leaves them out there, too\n"
)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of eight images of two sizes, one of them broken."""
    root = tmp_path / "my photos [x]"
    for label, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for index in range(8):
            Image.new("RGB", (20, 10 + index % 2), (100 * label + index, 0, 0)).save(root / name / f"{index}.png")
    (root / "dog" / "7.png").write_bytes(b"no image")
    return root


def test_folder(nas: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    files = sorted(tmp_path.rglob("*"))
    done = nas("data", photos)
    assert (done.returncode, done.stderr) == (0, BROKEN_WARNING)
    assert "my photos [x]" in done.stdout
    assert f"15 of {dimensions(64, 64, 3)}" in done.stdout
    assert "1 image left out: " in done.stdout
    assert sorted(tmp_path.rglob("*")) == files


def test_json_and_overrides(nas: Run, photos: Path) -> None:
    record = json.loads(nas("data", photos, "data.image_size=9", "data.val_fraction=0.4", "--json").stdout)
    assert (record["image_size"], record["class_names"], record["skipped_count"]) == ([9, 9], ["cat", "dog"], 1)
    assert record["class_counts"] == {"train": [3, 3], "val": [3, 3], "test": [2, 1]}


@pytest.mark.parametrize("override", ["data.on_error=fail", "data={on_error: fail}"])
def test_a_broken_image_can_be_an_error(nas: Run, photos: Path, override: str) -> None:
    done = nas("data", photos, override)
    assert done.returncode == 2
    assert "7.png: is not an image that can be decoded" in done.stderr
    assert done.stderr.endswith("; data.on_error=skip leaves such images out\n")


@pytest.mark.parametrize("overrides", [["data.on_error=skip"], ["data={on_error: skip, limit: 12}"]])
def test_broken_images_that_a_search_leaves_out_too_are_no_warning(
    nas: Run, photos: Path, overrides: list[str]
) -> None:
    done = nas("data", photos, *overrides)
    assert (done.returncode, done.stderr) == (0, "")


def test_all_keys_of_the_data_at_once(nas: Run, photos: Path) -> None:
    record = json.loads(nas("data", photos, "data={image_size: 9, limit: 12}", "--json").stdout)
    assert record["image_size"] == [9, 9]
    assert record["train"] + record["val"] + record["test"] in (11, 12)  # with the broken image among them or not


@pytest.mark.parametrize("where", ["digits", "study.yaml"])
def test_source_and_study_file(nas: Run, where: str, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("space: {stages: [{mixer: pool}]}\n")
    record = json.loads(nas("data", where, "data.limit=300", "--json").stdout)
    assert (record["name"], record["train"] + record["val"] + record["test"]) == ("digits", 300)


def test_folder_of_a_study_is_described_as_stored(nas: Run, digits_study: Path) -> None:
    record = json.loads(nas("data", digits_study, "--json").stdout)
    assert (record["fingerprint"], record["train"]) == ("f00d", 1077)
    assert f"1,797 of {dimensions(8, 8, 1)}" in nas("data", digits_study).stdout
    done = nas("data", digits_study, "data.limit=300")
    assert (done.returncode, "cannot be changed" in done.stderr) == (2, True)


def test_equal_images_of_parts_are_warned_about(nas: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "dog" / "7.png").unlink()
    (tmp_path / "parts").mkdir()
    for part in ("train", "val", "test"):
        (tmp_path / "parts" / part).symlink_to(photos)
    done = nas("data", tmp_path / "parts")
    assert "nas: warning: data: 15 of 15 images (100 %) of the val split are also in the train split" in done.stderr


def test_page(nas: Run, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "data.html"
    assert nas("data", photos, "--html", out).returncode == 0
    page = out.read_text()
    assert page.count('src="data:image/jpeg;base64,') == 2
    assert "<h1>my photos [x]</h1>" in page


def test_wrong_words(nas: Run, tmp_path: Path) -> None:
    done = nas("data", "nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nas: error: nowhere: no such folder, study file, installed study (cifar10, ")
    done = nas("data", tmp_path, "data.limit=1")
    assert (done.returncode, "data.limit" in done.stderr) == (2, True)
    done = nas("data", "digits", "--html", tmp_path)
    assert (done.returncode, "is a folder" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_key_below_a_key_is_not_lost(nas: Run, photos: Path) -> None:
    done = nas("data", photos, "data.split.file=none.csv")
    assert done.returncode == 2
    assert "none.csv" in done.stderr


def test_a_page_that_cannot_be_written_is_noticed_first(nas: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = nas("data", photos, "--html", tmp_path / "file" / "page.html")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
